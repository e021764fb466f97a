"""The child process of the local cloud: `python -m treadle.local.cloud.process FOLDER ENDPOINT`.

Owns its life: it says its port in one line on stdout once the journal is repeated, and ends when its standard input
does, however its parent ended. Neighbours: `child` starts it, `server` does the work.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from treadle.local.cloud import sealed

if TYPE_CHECKING:
    from treadle.local.cloud.journal import Journal

_PATIENCE: Final = 5.0


def main(folder: Path, endpoint: str) -> None:
    """Serve until standard input ends."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    began = time.monotonic()
    # Its answers must not depend on what the user has in ~/.aws or in the environment.
    os.environ |= {"AWS_DEFAULT_REGION": "us-east-1", "MOTO_SQS_LIST_QUEUES": "false"}
    sealed.install()
    import moto.moto_server.werkzeug_app as moto  # pyright: ignore[reportMissingTypeStubs]
    import moto.sns.models as sns
    from moto.moto_server.threaded_moto_server import make_server  # pyright: ignore

    from treadle.local.cloud.living import kept
    from treadle.local.cloud.server import Cloud, Deliveries

    sealed.install_chance()
    deliveries = Deliveries(cast("Any", sns).requests.post, endpoint)
    cast("Any", sns).requests = deliveries
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    dispatcher = moto.DomainDispatcherApplication(moto.create_backend_app)
    journal = _opened(folder)
    dropped = journal.compact(kept)
    cloud = Cloud(cast("Any", dispatcher), journal, deliveries, _Progress())
    serve = cast("Any", make_server)
    server = serve("127.0.0.1", 0, cloud, threaded=True, request_handler=moto.MotoRequestHandler)
    took = round(time.monotonic() - began, 3)
    ready = {"port": server.port, "repeated": cloud.repeated, "dropped": dropped, "seconds": took}
    print(json.dumps(ready), flush=True)
    server.serve_forever()


def _opened(folder: Path) -> Journal:
    """The journal; the process that had it may take a moment to notice that its parent is gone."""
    from treadle.local.cloud.journal import Journal

    until = time.monotonic() + _PATIENCE
    while True:
        try:
            return Journal(folder)
        except BlockingIOError:
            if time.monotonic() > until:
                sys.exit("another local cloud works in this folder: `treadle doctor` finds it, `treadle down` ends it")
            time.sleep(0.05)


class _Progress:
    """Says from time to time how far the repetition is: a long one is not mistaken for one that hangs."""

    def __init__(self) -> None:
        self._said = time.monotonic()

    def __call__(self, repeated: int) -> None:
        now = time.monotonic()
        if now - self._said > 1:
            self._said = now
            print(json.dumps({"repeated": repeated}), flush=True)


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
