"""Task tokens: what is ours is read, everything else is refused."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treadle.errors import ApiError
from treadle.runtime.tokens import Tokens

OURS = Tokens(b"our key")
ARN = "arn:aws:states:us-east-1:123456789012:execution:m:x"
GOOD = OURS.make(ARN, 7)


@given(st.text(st.characters(exclude_categories=["Cs"])), st.integers(0, 10**9))
def test_a_token_names_its_execution_and_wait(arn: str, wait: int) -> None:
    assert OURS.read(OURS.make(arn, wait)) == (arn, wait)


def test_every_wait_has_a_token_of_its_own_that_is_always_the_same() -> None:
    made = [OURS.make(arn, wait) for arn in (ARN, ARN + "2") for wait in (1, 2, 11)]
    assert len(set(made)) == 6
    assert made[0] == OURS.make(ARN, 1)


@pytest.mark.parametrize(
    "token",
    [
        "",
        "x",
        "AAAA",
        "näh",
        "\ud800",
        " " + GOOD,
        GOOD + "=",
        GOOD[:-1],
        GOOD[4:],
        GOOD[:20],
        GOOD.swapcase(),
        Tokens(b"another key").make(ARN, 7),
        base64.urlsafe_b64encode(b"7:" + ARN.encode()).decode(),
        base64.urlsafe_b64encode(b"\0" * 32 + b"7:" + ARN.encode()).decode(),
    ],
)
def test_what_is_not_ours_is_invalid(token: str) -> None:
    with pytest.raises(ApiError) as refused:
        OURS.read(token)
    assert refused.value.code == "InvalidToken"
    assert GOOD not in str(refused.value)


@given(st.data())
def test_no_part_of_a_token_can_be_changed(data: st.DataObject) -> None:
    raw = bytearray(base64.urlsafe_b64decode(GOOD))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(ApiError):
        OURS.read(base64.urlsafe_b64encode(bytes(raw)).decode())


def test_a_token_shows_no_key() -> None:
    assert b"our key" not in base64.urlsafe_b64decode(GOOD)
