"""The recorded cases of the project, run against the machine without a server. Read adapter.py first."""
