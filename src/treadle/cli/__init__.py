"""The command line. Owns nothing that a program could not do through the packages below it; knows every concrete class.

Neighbours: everything; nothing imports this package.
"""

from treadle.cli.app import cli, main

__all__ = ["cli", "main"]
