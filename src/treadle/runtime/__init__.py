"""Drives machines durably: the only place with a loop, a clock and claims."""
