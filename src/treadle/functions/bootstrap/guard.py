"""The guard process: kills the process groups it was told of when its standard input closes.

Started by `treadle.functions.guard`, with neither site-packages nor environment, so it imports the standard library
alone. Reads lines: `+123` for a new group, `-123` for one that is gone.
"""

import os
import signal
import sys
from contextlib import suppress


def main() -> None:
    """Listen until the other side is gone."""
    groups: set[int] = set()
    for line in sys.stdin.buffer:
        group = int(line[1:])
        if line.startswith(b"+"):
            groups.add(group)
        else:
            groups.discard(group)
    for group in groups:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    main()
