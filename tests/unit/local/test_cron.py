from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treadle.local.events.cron import InvalidSchedule, read_cron
from treadle.local.events.expression import Timing, read_expression


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


# Derived by hand from a calendar.
NEXT = [
    ("0 10 * * ? *", "2026-01-01T10:00", "2026-01-02T10:00"),
    ("15 12 * * ? *", "2026-01-01T00:00", "2026-01-01T12:15"),
    ("0 18 ? * MON-FRI *", "2026-01-02T18:00", "2026-01-05T18:00"),
    ("0/15 * * * ? *", "2026-01-01T00:46", "2026-01-01T01:00"),
    ("0/5 8-17 ? * MON-FRI *", "2026-01-02T17:55", "2026-01-05T08:00"),
    ("0 9 ? * 2#1 *", "2026-01-01T00:00", "2026-01-05T09:00"),
    ("0 9 ? * MON#1 *", "2026-01-01T00:00", "2026-01-05T09:00"),
    ("0 9 ? * 6#5 *", "2026-02-01T00:00", "2026-05-29T09:00"),
    ("0 9 L * ? *", "2028-02-01T00:00", "2028-02-29T09:00"),
    ("0 9 L 2 ? *", "2027-03-01T00:00", "2028-02-29T09:00"),
    ("0 9 ? * 6L *", "2026-01-01T00:00", "2026-01-30T09:00"),
    ("0 9 ? * FRIL *", "2026-01-01T00:00", "2026-01-30T09:00"),
    ("0 9 ? * L *", "2026-01-01T00:00", "2026-01-03T09:00"),
    ("0 9 15W * ? *", "2026-02-01T00:00", "2026-02-16T09:00"),
    ("0 9 15W * ? *", "2026-08-01T00:00", "2026-08-14T09:00"),
    ("0 9 1W * ? *", "2026-08-01T00:00", "2026-08-03T09:00"),
    ("0 9 31W * ? *", "2026-05-01T00:00", "2026-05-29T09:00"),
    ("0 9 31W * ? *", "2026-06-01T00:00", "2026-07-31T09:00"),
    ("0 9 LW * ? *", "2026-05-01T00:00", "2026-05-29T09:00"),
    ("0 0 29 2 ? *", "2026-01-01T00:00", "2028-02-29T00:00"),
    ("0 0 1 1 ? 2030/5", "2026-01-01T00:00", "2030-01-01T00:00"),
    ("0 0 1 1 ? 2027-2029", "2028-06-01T00:00", "2029-01-01T00:00"),
    ("0 10 ? * SUN *", "2026-01-01T00:00", "2026-01-04T10:00"),
    ("0 10 ? * SAT-MON *", "2026-01-01T00:00", "2026-01-03T10:00"),
    ("0 22-2 * * ? *", "2026-01-01T03:00", "2026-01-01T22:00"),
    ("0 0 ? NOV-FEB 2 *", "2026-03-01T00:00", "2026-11-02T00:00"),
    ("5,35 14 * * ? *", "2026-01-01T14:05", "2026-01-01T14:35"),
    ("0 0 L-3 * ? *", "2026-01-01T00:00", "2026-01-28T00:00"),
    ("*/10 * * * ? *", "2026-01-01T00:01", "2026-01-01T00:10"),
    ("0 0 ? * 3-5/2 *", "2026-01-01T00:00", "2026-01-06T00:00"),
    ("0 10 ? * sat *", "2026-01-01T00:00", "2026-01-03T10:00"),
]


@pytest.mark.parametrize(("expression", "after", "due"), NEXT)
def test_a_cron_expression_fires_next_when_the_calendar_says(expression: str, after: str, due: str) -> None:
    assert read_cron(expression).next(at(after)) == at(due)


@pytest.mark.parametrize("expression", ["0 0 31 4 ? *", "0 0 1 1 ? 2025"])
def test_what_never_comes_again_gives_none(expression: str) -> None:
    assert read_cron(expression).next(at("2026-01-01T00:00")) is None


@pytest.mark.parametrize(
    "expression",
    [
        "0 10 * * * *",
        "0 10 ? * ? *",
        "0 10 1 * MON *",
        "60 10 * * ? *",
        "0 24 * * ? *",
        "0 10 * * ?",
        "0 10 0 * ? *",
        "0 10 32 * ? *",
        "0 10 * 13 ? *",
        "0 10 ? * 8 *",
        "0 10 * * ? 1969",
        "0 10 * * ? 2200",
        "0 10 * * ? 2030-2020",
        "0 10 ? * 2#6 *",
        "a b c d e f",
        "0/0 * * * ? *",
        "-1 * * * ? *",
        "² * * * ? *",
    ],
)
def test_what_says_nothing_is_refused(expression: str) -> None:
    with pytest.raises(InvalidSchedule):
        read_cron(expression)


BERLIN = ZoneInfo("Europe/Berlin")


def test_a_time_that_the_clock_change_leaves_out_is_skipped() -> None:
    # 2026-03-29: 02:00 becomes 03:00.
    assert read_cron("30 2 * * ? *", BERLIN).next(at("2026-03-28T12:00")) == at("2026-03-30T00:30")


def test_a_time_that_the_clock_change_repeats_fires_once() -> None:
    # 2026-10-25: 03:00 becomes 02:00 again.
    first = read_cron("30 2 * * ? *", BERLIN).next(at("2026-10-24T12:00"))
    assert first == at("2026-10-25T00:30")
    assert read_cron("30 2 * * ? *", BERLIN).next(first) == at("2026-10-26T01:30")


@given(
    st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)),
    st.sampled_from([case[0] for case in NEXT if "20" not in case[0]]),
    st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]),
)
def test_the_next_moment_is_later_and_none_lies_between(after: datetime, expression: str, zone: str) -> None:
    cron = read_cron(expression, ZoneInfo(zone))
    start = after.replace(tzinfo=UTC)
    due = cron.next(start)
    assert due is not None
    assert due > start
    assert cron.next(due - timedelta(seconds=1)) == due


def test_a_rate_counts_from_its_beginning() -> None:
    timing = Timing(read_expression("rate(5 minutes)"), at("2026-01-01T00:02"))
    assert timing.next(at("2026-01-01T00:02")) == at("2026-01-01T00:07")
    assert timing.next(at("2026-01-01T00:08")) == at("2026-01-01T00:12")


def test_at_fires_once_in_its_time_zone() -> None:
    timing = Timing(read_expression("at(2026-07-01T09:00:00)", "Europe/Berlin"), at("2026-01-01T00:00"))
    assert timing.next(at("2026-01-01T00:00")) == at("2026-07-01T07:00")
    assert timing.next(at("2026-07-01T07:00")) is None


def test_a_schedule_ends_with_its_end() -> None:
    timing = Timing(read_expression("rate(1 hour)"), at("2026-01-01T00:00"), at("2026-01-01T02:30"))
    assert timing.next(at("2026-01-01T01:30")) == at("2026-01-01T02:00")
    assert timing.next(at("2026-01-01T02:00")) is None


@pytest.mark.parametrize(
    ("text", "zone", "one_time"),
    [
        ("rate(0 minutes)", None, True),
        ("rate(5 minute)", None, False),
        ("rate(1 minutes)", None, False),
        ("rate(5 weeks)", None, True),
        ("at(2026-07-01T09:00:00)", None, False),
        ("at(2026-02-30T09:00:00)", None, True),
        ("cron(0 10 * * ? *)", "Europe/Atlantis", True),
        ("every day", None, True),
    ],
)
def test_what_is_no_schedule_expression_is_refused(text: str, zone: str | None, one_time: bool) -> None:
    with pytest.raises(InvalidSchedule):
        read_expression(text, zone, one_time=one_time)
