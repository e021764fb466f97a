"""`python -m treadle` is the command `treadle`. Owns nothing."""

from treadle.cli import main

main()
