"""Order fulfilment with real functions, killed in the middle, and going on as if nothing had happened.

    make demo

Everything is done through the command line, as a person would: `treadle run` in a process that is killed with -9, the
same command again, the approval by `treadle tasks succeed` from a second process, the history at the end.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO

HERE = Path(__file__).parent / "order-fulfilment"
NAME = "order-7"
INPUT = '{"order": 7, "items": ["lamp", "desk", "chair"]}'
BOLD, DIM, RED, GREEN, PLAIN = (
    ("\033[1m", "\033[2m", "\033[31m", "\033[32m", "\033[0m") if sys.stdout.isatty() else ("",) * 5
)
PATIENCE = 60.0


def say(text: str) -> None:
    print(f"\n{BOLD}{text}{PLAIN}", flush=True)


def treadle(*arguments: str) -> list[str]:
    """A command line, as a person would type it."""
    return [sys.executable, "-m", "treadle", *arguments]


def start(store: str, log: IO[str]) -> subprocess.Popen[str]:
    """`treadle run`, in a process of its own; what it prints is shown as it comes."""
    command = treadle(
        "run",
        str(HERE / "order-fulfilment.asl.yaml"),
        *("--functions", str(HERE / "functions")),
        *("--input", INPUT, "--name", NAME, "--store", store),
    )
    print(f"{DIM}$ treadle {' '.join(command[3:])}{PLAIN}", flush=True)
    return subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, text=True)


class Output:
    """What a process has printed, read and shown as it grows."""

    def __init__(self, path: Path) -> None:
        self._path, self._shown = path, 0

    def until(self, text: str, process: subprocess.Popen[str]) -> None:
        """Show what comes until a text has come, or the process has ended."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            ended = process.poll() is not None
            printed = self._path.read_text()
            print(printed[self._shown :], end="", flush=True)
            self._shown, new = len(printed), printed[self._shown :]
            if ended or (text and text in new):
                return
            time.sleep(0.05)
        raise SystemExit(f"the demo waited {PATIENCE:.0f} s for {text!r} in vain")


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="treadle-demo-") as store:
        say("An order is fulfilled by real functions. The card network is down at first.")
        path = Path(store, "first.log")
        with path.open("w") as log:
            process = start(store, log)
            Output(path).until("Charge the card", process)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        print(f"\n{RED}kill -9 {process.pid}{PLAIN}: the process is gone, while the payment was under way.")

        say("The same command again: it goes on where it stopped.")
        path = Path(store, "second.log")
        with path.open("w") as log:
            process = start(store, log)
            output = Output(path)
            output.until("answer it with", process)
            say("It waits for a person. The answer comes from another process.")
            answer = treadle(
                "tasks", "succeed", NAME, "Ask for approval", "--output", '{"by": "mira"}', "--store", store
            )
            print(f"{DIM}$ treadle {' '.join(answer[3:])}{PLAIN}", flush=True)
            subprocess.run(answer, check=True)
            output.until("", process)
        succeeded = process.wait() == 0

        say("What happened, as the history tells it:")
        subprocess.run(treadle("executions", "history", NAME, "--store", store), check=True)
        subprocess.run(treadle("verify", "--store", store), check=True)
        print(f"\n{GREEN}The order was fulfilled.{PLAIN}" if succeeded else f"\n{RED}The order failed.{PLAIN}")
        return 0 if succeeded else 1


if __name__ == "__main__":
    sys.exit(main())
