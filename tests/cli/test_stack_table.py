"""The table of a stack shows names as they are."""

from __future__ import annotations

import pytest

from treadle.cli.stack_table import show
from treadle.local.stack.made import Made


def test_an_arn_stays_what_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:token-[bold]-1"
    made = Made(name="Token", type="AWS::SecretsManager::Secret", id=arn, support="works")
    show([made], "http://127.0.0.1:8083", {"Secret": arn})
    assert capsys.readouterr().out.count(arn) == 2
