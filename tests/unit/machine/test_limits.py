"""The quotas of AWS, and how their excess is told."""

from __future__ import annotations

from driven import chain, mapped, task

from treadle.machine.limits import Limits, too_large
from treadle.testing import Returns, run


def test_the_defaults_are_those_of_aws() -> None:
    limits = Limits()
    assert (limits.payload_bytes, limits.history_events, limits.inline_concurrency) == (262_144, 25_000, 40)
    assert limits.variables_bytes == 10 * 1024 * 1024


def test_what_is_too_large_is_told_by_name() -> None:
    assert too_large("S").startswith("The state/task 'S' returned a result with a size exceeding")


def test_an_unlimited_history_has_no_end() -> None:
    definition = chain(
        A={"Type": "Pass"},
        M=mapped(chain(I={"Type": "Pass"}), ItemsPath="$.items", MaxConcurrency=1),
    )
    items = {"items": list(range(10))}
    assert run(definition, items, limits=Limits(history_events=None)).status == "SUCCEEDED"
    assert run(definition, items, limits=Limits(history_events=20)).status == "FAILED"


def test_an_inline_map_without_max_concurrency_runs_no_more_than_the_quota() -> None:
    definition = chain(M=mapped(chain(I=task()), ItemsPath="$.items"))
    result = run(definition, {"items": list(range(5))}, {"I": Returns(1, after=1)}, limits=Limits(inline_concurrency=2))
    assert result.seconds == 3
