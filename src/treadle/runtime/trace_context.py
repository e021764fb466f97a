"""The trace that an execution belongs to: read from its trace header, and passed on to what its tasks call.

AWS X-Ray 'Tracing header': `Root=1-<time>-<identifier>;Parent=<span>;Sampled=0|1`. An execution without one has a trace
of its own. Identifiers follow from ARNs and numbers of entries alone: so the spans that are made when an execution has
ended are those that its tasks were told of while it ran, after a restart too.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Final

from treadle.runtime.ports import Summary

_ROOT: Final = re.compile(r"1-[0-9a-fA-F]{8}-[0-9a-fA-F]{24}")
_SPAN: Final = re.compile(r"[0-9a-fA-F]{16}")
_NO_SPAN: Final = "0" * 16


@dataclass(frozen=True, slots=True)
class TraceContext:
    """A trace: its X-Ray id, the span above the execution if there is one, and whether it is wanted."""

    root: str
    parent: str | None = None
    sampled: bool = True

    @property
    def trace_id(self) -> str:
        """The id as OpenTelemetry has it: 32 hexadecimal digits."""
        return self.root[2:].replace("-", "").lower()


def context_of(summary: Summary) -> TraceContext:
    """The trace of an execution. A header without a good Root is none; only `Sampled=0` says that nobody wants it."""
    parts = (each.partition("=") for each in (summary.trace_header or "").split(";"))
    fields = {name.strip(): value.strip() for name, _, value in parts}
    sampled = fields.get("Sampled") != "0"
    root, parent = fields.get("Root", ""), fields.get("Parent", "")
    if not _ROOT.fullmatch(root):
        digest = hashlib.sha256(summary.arn.encode()).hexdigest()
        return TraceContext(f"1-{int(summary.started_at) & 0xFFFFFFFF:08x}-{digest[:24]}", sampled=sampled)
    good = _SPAN.fullmatch(parent) and parent != _NO_SPAN
    return TraceContext(root, parent.lower() if good else None, sampled)


def span_id(summary: Summary, number: int, part: str = "") -> str:
    """The span that began with entry `number` (from 1) of a journal; a child that is started anew has others."""
    attempt = summary.member.attempt if summary.is_express_child and summary.member else 0
    return hashlib.sha256(f"{summary.arn}\n{attempt}\n{number}\n{part}".encode()).hexdigest()[:16]


def passed_on(summary: Summary, number: int) -> str:
    """The header for what was called with entry `number` of an execution."""
    context = context_of(summary)
    return f"Root={context.root};Parent={span_id(summary, number)};Sampled={int(context.sampled)}"
