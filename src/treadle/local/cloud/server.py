"""moto as a WSGI application that keeps what it acknowledges.

Owns the order: run the request, write it to the journal, flush, answer. Requests that change something run one at a
time, so that the journal has them in the order in which they happened; reading ones run beside them, but those of items
of a table. Repeating the journal gives the same state again (`sealed`), and has no effect outside of this process.
"""

from __future__ import annotations

import io
import queue
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeAlias, cast

import msgspec

from treadle.local.addresses import current
from treadle.local.cloud.journal import Journal, Request
from treadle.local.cloud.operations import FORM, changed, changes, operation, wait_of
from treadle.local.cloud.sealed import sealed
from treadle.local.cloud.traces import told_by

Environ: TypeAlias = dict[str, Any]
StartResponse: TypeAlias = Callable[[str, list[tuple[str, str]]], Any]
Wsgi: TypeAlias = Callable[[Environ, StartResponse], Iterable[bytes]]

BODY_LIMIT: Final = 512 * 1024 * 1024
"""Bytes of a request. One upload in parts may hold many."""

_POLL_EVERY: Final = 0.05

# Where moto keeps the spelling of headers with an underscore.
_PRESERVED: Final = "moto.preserved_header_names"

# moto changes an item attribute by attribute, and DynamoDB never shows half of a change: these reads take their turn.
_WHOLE: Final = frozenset(["GetItem", "BatchGetItem", "TransactGetItems", "Query", "Scan"])

# A credential is of no use later, and belongs into no file.
_LEFT_OUT: Final = frozenset(["HTTP_X_AMZ_SECURITY_TOKEN", "HTTP_COOKIE"])


class Deliveries:
    """HTTP deliveries of topics, made after the request that caused them: the receiver may call us in turn.

    Stands in for `requests` in moto's SNS. While the journal is repeated nothing is delivered a second time. What is
    for a function goes to `endpoint`, whatever it was when the function subscribed.
    """

    def __init__(self, post: Callable[..., Any], endpoint: str) -> None:
        self.muted = True
        self._post, self._endpoint = post, endpoint
        self._waiting = queue.SimpleQueue[tuple[str, dict[str, Any]]]()
        threading.Thread(target=self._deliver, daemon=True, name="deliveries").start()

    def post(self, url: str, **settings: Any) -> None:
        """Deliver later."""
        if not self.muted:
            self._waiting.put((current(url, self._endpoint), settings))

    def _deliver(self) -> None:
        while True:
            url, settings = self._waiting.get()
            try:
                self._post(url, timeout=30, **settings)
            except OSError as error:
                print(f"a topic's message did not reach {url}: {error}", flush=True)


class Cloud:
    """The application. `journal` is repeated when it is made; `repeated` tells how many requests that were, `progress`
    after each of them."""

    def __init__(
        self, moto: Wsgi, journal: Journal, deliveries: Deliveries, progress: Callable[[int], None] | None = None
    ) -> None:
        self._moto = moto
        self._journal = journal
        self._turn = threading.Lock()
        self.repeated = 0
        for request in journal.requests():
            self._run(request)
            self.repeated += 1
            if progress is not None:
                progress(self.repeated)
        deliveries.muted = False

    def __call__(self, environ: Environ, start: StartResponse) -> Iterable[bytes]:
        """Answer a request."""
        if _length(environ) > BODY_LIMIT:
            start("413 Content Too Large", [("Content-Type", "text/plain")])
            return [f"A request to the local cloud has at most {BODY_LIMIT} bytes.".encode()]
        body = _read(environ)
        headers = {
            name.removeprefix("HTTP_").replace("_", "-").lower(): value
            for name, value in environ.items()
            if isinstance(value, str)
        }
        name = operation(environ["REQUEST_METHOD"], headers, environ.get("QUERY_STRING", ""), body)
        if name in _WHOLE:
            with self._turn:
                return list(self._moto(_environ(environ, body), start))
        if not changes(environ["REQUEST_METHOD"], name):
            return self._moto(_environ(environ, body), start)
        wait, body = wait_of(name, body)
        until = time.time() + (self._queue_wait(body) if wait is None else wait)
        while True:
            status, answered, answer = self._change(name, environ, body)
            if name != "ReceiveMessage" or changed(name, int(status[:3]), answer) or time.time() >= until:
                start(status, answered)
                return [answer]
            time.sleep(_POLL_EVERY)

    def _change(self, name: str | None, environ: Environ, body: bytes) -> tuple[str, list[tuple[str, str]], bytes]:
        kept = {key: each for key, each in environ.items() if isinstance(each, str) and key not in _LEFT_OUT}
        request = Request(
            time.time(), secrets.randbits(64), kept, cast("Mapping[str, str]", environ.get(_PRESERVED, {})), body
        )
        with self._turn:
            status, headers, answer = self._run(request)
            position = 0
            if changed(name, int(status[:3]), answer):
                position = self._journal.append(msgspec.structs.replace(request, told=told_by(name, answer)))
        self._journal.sync(position)
        return status, headers, answer

    def _run(self, request: Request) -> tuple[str, list[tuple[str, str]], bytes]:
        head: list[tuple[str, list[tuple[str, str]]]] = []

        def start(status: str, headers: list[tuple[str, str]], *_: object) -> None:
            head.append((status, headers))

        environ = _environ({**request.environ, _PRESERVED: dict(request.preserved)}, request.body)
        with sealed(request.at, request.seed):
            answer = b"".join(self._moto(environ, start))
        return *head[-1], answer

    def _queue_wait(self, body: bytes) -> float:
        """How long a queue has receivers wait that do not say it themselves."""
        import json

        from moto.sqs.models import sqs_backends

        url = str(json.loads(body).get("QueueUrl"))
        for account in sqs_backends.values():
            for region in account.values():
                found = cast("Any", region.queues.get(url.rpartition("/")[2]))
                if found is not None:
                    return float(found.receive_message_wait_time_seconds or 0)
        return 0.0


def _read(environ: Environ) -> bytes:
    # werkzeug ends the input of a body in chunks, and no other.
    return environ["wsgi.input"].read(-1 if environ.get("wsgi.input_terminated") else _length(environ))


def _length(environ: Environ) -> int:
    return int(environ.get("CONTENT_LENGTH") or 0)


def _environ(environ: Mapping[str, Any], body: bytes) -> Environ:
    """A WSGI environment around a body that was read. Sent in chunks, its length is known only now."""
    without = {key: each for key, each in environ.items() if key != "HTTP_TRANSFER_ENCODING"}
    if environ["REQUEST_METHOD"] == "PUT" and str(environ.get("CONTENT_TYPE")).startswith(FORM):
        # werkzeug would read the object as a form, and nothing of it were kept. curl and others say so of any data.
        without["CONTENT_TYPE"] = "binary/octet-stream"
    return {
        **without,
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": io.StringIO(),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
