"""A SAM or CloudFormation template brought to life on this machine."""
