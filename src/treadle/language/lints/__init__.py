"""The rules of lint, one idea per module."""
