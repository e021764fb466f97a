"""Who may call: bearer tokens and signatures, checked against a secret that can be rotated while calls come in.

A new version of the secret is current at once, and the version before it stays valid: nobody has to change at the same
moment. Values are kept for a short time only; a token that nothing kept matches makes the secret be read again, but not
more often than every few seconds, whatever strangers send. All comparisons take constant time. Never logs a value.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import time

from aws import client, code_of
from botocore.exceptions import ClientError
from web import Refusal, Request

KEPT_SECONDS = 60.0
SOONEST_SECONDS = 5.0
CLOCK_SECONDS = 300


class Secret:
    """The versions of a secret that are valid now: the current one first."""

    def __init__(self, id: str) -> None:
        self.id = id
        self._values: list[str] = []
        self._read_at = float("-inf")

    def current(self) -> str:
        """What to send."""
        return self._valid(KEPT_SECONDS)[0]

    def refresh(self) -> str:
        """What to send, after the one sent before was refused."""
        return self._valid(SOONEST_SECONDS)[0]

    def knows(self, given: str) -> bool:
        """Whether a token is one of the valid ones."""
        return any(_among(given, self._valid(oldest)) for oldest in (KEPT_SECONDS, SOONEST_SECONDS))

    def signed(self, message: bytes, signature: str) -> bool:
        """Whether a hexadecimal HMAC-SHA256 was made with one of the valid ones."""
        return any(
            _among(signature.lower(), [signature_of(value, message) for value in self._valid(oldest)])
            for oldest in (KEPT_SECONDS, SOONEST_SECONDS)
        )

    def _valid(self, oldest: float) -> list[str]:
        if time.monotonic() - self._read_at > oldest:
            manager = client("secretsmanager")
            values: list[str] = [manager.get_secret_value(SecretId=self.id)["SecretString"]]
            try:
                values.append(manager.get_secret_value(SecretId=self.id, VersionStage="AWSPREVIOUS")["SecretString"])
            except ClientError as error:
                # A secret that was never rotated has no version before.
                if code_of(error) != "ResourceNotFoundException":
                    raise
            self._values, self._read_at = values, time.monotonic()
        return self._values


def signature_of(key: str, message: bytes) -> str:
    """HMAC-SHA256 as hexadecimal digits."""
    return hmac.new(key.encode(), message, hashlib.sha256).hexdigest()


def require_bearer(request: Request, secret: Secret) -> None:
    """Refuse who has no valid bearer token."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Refusal(401, "Unauthorized", "Send the header Authorization: Bearer TOKEN.")
    if not secret.knows(token.strip()):
        raise Refusal(401, "Unauthorized", "The bearer token is not valid.")


def require_caller(request: Request, secret: Secret, now: float) -> str | None:
    """Refuse who has neither a valid bearer token nor a valid signature; whatever is sent must be valid.

    Gives the nonce of a request that carries one: it must be used once only.
    """
    hub = request.headers.get("x-hub-signature")
    own = request.headers.get("x-approval-signature")
    if hub is None and own is None:
        require_bearer(request, secret)
        return None
    if "authorization" in request.headers:
        require_bearer(request, secret)
    if hub is not None:
        method, _, digest = hub.partition("=")
        if method != "sha256" or not secret.signed(request.raw, digest):
            raise Refusal(401, "InvalidSignature", "X-Hub-Signature does not fit the body: check the webhook's secret.")
    return None if own is None else _nonce(own, request, secret, now)


def _nonce(header: str, request: Request, secret: Secret, now: float) -> str:
    # t=SECONDS,n=NONCE,v1=HMAC of "SECONDS.NONCE." and the body
    found = re.fullmatch(r"t=(\d{1,12}),n=([A-Za-z0-9_-]{16,64}),v1=([0-9a-fA-F]{64})", header)
    if found is None:
        raise Refusal(401, "InvalidSignature", "X-Approval-Signature is t=SECONDS,n=NONCE,v1=HEX.")
    at, nonce, digest = found.groups()
    if not secret.signed(f"{at}.{nonce}.".encode() + request.raw, digest):
        raise Refusal(401, "InvalidSignature", "X-Approval-Signature does not fit the body.")
    if abs(now - int(at)) > CLOCK_SECONDS:
        raise Refusal(401, "StaleSignature", f"The signature is more than {CLOCK_SECONDS} seconds away: set the clock.")
    return nonce


def _among(given: str, values: list[str]) -> bool:
    # Every value is compared, so that the time does not tell which one was close.
    return sum(hmac.compare_digest(given.encode(), value.encode()) for value in values) > 0


def secret_of(variable: str) -> Secret:
    """The secret that an environment variable names."""
    return Secret(os.environ[variable])
