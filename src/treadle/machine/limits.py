"""The quotas that the machine itself enforces, and AWS's words for what exceeds them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Quotas of one execution, with AWS's values. AWS 'Service quotas'.

    `payload_bytes` bounds every input and output, as UTF-8 of its JSON. `history_events` bounds the public history;
    None takes the bound away. `inline_concurrency` is how many iterations an inline Map runs at once when its
    definition sets no limit. `variables_bytes` bounds all variables visible in one place.
    """

    payload_bytes: int = 262_144
    history_events: int | None = 25_000
    inline_concurrency: int = 40
    variables_bytes: int = 10 * 1024 * 1024

    @property
    def history_text(self) -> str:
        """What an execution fails with when its history is full."""
        return f"The execution reached the maximum number of history events ({self.history_events})."


def too_large(name: str) -> str:
    """What a state or task fails with when its result is too large. Observed on AWS."""
    return f"The state/task '{name}' returned a result with a size exceeding the maximum number of bytes service limit."
