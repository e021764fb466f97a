"""What the local platform raises to its caller: a template that cannot be brought to life, a local cloud that is gone.

Every message names the place and what to do about it.
"""

from __future__ import annotations

from treadle.errors import TreadleError


class TemplateError(TreadleError):
    """A template that cannot be brought to life as written. `findings` has one sentence each: place, fault, remedy."""

    def __init__(self, *findings: str) -> None:
        super().__init__("\n".join(findings))
        self.findings = findings


class CloudError(TreadleError):
    """The local cloud cannot do its work."""
