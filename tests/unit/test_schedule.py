"""When the unattended recorder records: spans, days, midnight, and clocks that are changed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wban_collect.schedule import Schedule, local_zone, parse_session_length

BERLIN = ZoneInfo("Europe/Berlin")
SECOND_NS = 10**9


def at(text: str, zone=BERLIN, *, fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold)


# 2026-11-23 is a Monday; clocks go forward on 2026-03-29 at 02:00 and back on 2026-10-25 at 03:00.


def test_no_spans_means_always_and_never_a_change():
    schedule = Schedule.parse([])
    assert schedule.wants(at("2026-11-23T03:00"))
    assert schedule.next_change(at("2026-11-23T03:00")) is None


def test_a_span_begins_with_its_first_second_and_ends_before_its_last():
    schedule = Schedule.parse(["07:00-23:00"])
    wanted = [schedule.wants(at(f"2026-11-23T{t}")) for t in ("06:59:59", "07:00", "22:59:59")]
    assert wanted == [False, True, True]
    assert not schedule.wants(at("2026-11-23T23:00"))
    assert schedule.next_change(at("2026-11-23T06:59:59.5")) == at("2026-11-23T07:00")
    assert schedule.next_change(at("2026-11-23T07:00")) == at("2026-11-23T23:00")
    assert schedule.next_change(at("2026-11-23T23:00")) == at("2026-11-24T07:00")


def test_days_of_the_week():
    schedule = Schedule.parse(["mon-fri 08:00-18:30", "Sat,Sun 10:00-12:00"])
    assert schedule.wants(at("2026-11-27T18:29"))  # Friday
    assert not schedule.wants(at("2026-11-28T09:00"))  # Saturday
    assert schedule.next_change(at("2026-11-27T18:30")) == at("2026-11-28T10:00")
    assert schedule.next_change(at("2026-11-29T12:00")) == at("2026-11-30T08:00")


def test_a_range_of_days_may_run_over_the_weekend():
    schedule = Schedule.parse(["fri-mon 10:00-11:00"])
    wanted = [schedule.wants(at(f"2026-11-{day}T10:30")) for day in range(23, 30)]
    assert wanted == [True, False, False, False, True, True, True]


def test_a_span_over_midnight_belongs_to_the_day_it_begins_on():
    schedule = Schedule.parse(["fri 22:00-06:00"])
    assert schedule.wants(at("2026-11-27T23:00"))
    assert schedule.wants(at("2026-11-28T05:59:59"))
    assert not schedule.wants(at("2026-11-28T06:00"))
    assert not schedule.wants(at("2026-11-27T05:00"))
    assert schedule.next_change(at("2026-11-27T23:00")) == at("2026-11-28T06:00")
    assert schedule.next_change(at("2026-11-28T06:00")) == at("2026-12-04T22:00")


def test_spans_that_touch_are_one():
    schedule = Schedule.parse(["07:00-12:00", "12:00-23:00"])
    assert schedule.next_change(at("2026-11-23T08:00")) == at("2026-11-23T23:00")


def test_all_days_whole_never_change():
    schedule = Schedule.parse(["00:00-24:00"])
    assert schedule.wants(at("2026-11-23T23:59:59"))
    assert schedule.next_change(at("2026-11-23T12:00")) is None


def test_a_start_that_the_clock_skips_takes_effect_as_it_jumps():
    schedule = Schedule.parse(["02:30-04:00"])
    change = schedule.next_change(at("2026-03-29T01:00"))
    assert change == at("2026-03-29T03:00")  # an hour after 01:00 was two
    assert change.timestamp() - at("2026-03-29T01:00").timestamp() == 3600


def test_a_span_that_the_clock_skips_is_left_out_that_day():
    schedule = Schedule.parse(["sun 02:15-02:45"])
    assert schedule.next_change(at("2026-03-28T12:00")) == at("2026-04-05T02:15")


def test_an_end_that_the_clock_shows_twice_counts_both_times():
    schedule = Schedule.parse(["01:00-02:30"])
    off = schedule.next_change(at("2026-10-25T01:30"))
    on = schedule.next_change(off)
    off_again = schedule.next_change(on)
    start_s = at("2026-10-25T01:30").timestamp()
    # 02:30; an hour after 02:00 it is 02:00 again; 02:30 for the second time.
    assert [t.timestamp() - start_s for t in (off, on, off_again)] == [3600, 5400, 7200]
    assert (on.hour, on.minute, on.fold) == (2, 0, 1)


def test_a_span_is_an_hour_longer_on_the_day_on_which_clocks_go_back():
    schedule = Schedule.parse(["01:00-05:00"])
    change = schedule.next_change(at("2026-10-25T01:00"))
    assert change.timestamp() - at("2026-10-25T01:00").timestamp() == 5 * 3600


spans = st.tuples(st.integers(0, 1439), st.integers(0, 1439)).filter(lambda t: t[0] != t[1])


@settings(max_examples=60, deadline=None)
@given(
    spans=st.lists(spans, min_size=1, max_size=3),
    day=st.sampled_from(["2026-03-28", "2026-10-24", "2026-11-23"]),
    minute=st.integers(0, 2879),
)
def test_nothing_changes_before_the_change_and_something_does_at_it(spans, day, minute):
    texts = [f"{a // 60:02}:{a % 60:02}-{b // 60:02}:{b % 60:02}" for a, b in spans]
    schedule = Schedule.parse(texts)
    now_s = int(at(f"{day}T00:00").timestamp()) + 60 * minute
    now = datetime.fromtimestamp(now_s, BERLIN)
    change = schedule.next_change(now)
    stop_s = now_s + 3 * 86400 if change is None else int(change.timestamp())
    for step_s in range(now_s, stop_s, 60):
        assert schedule.wants(datetime.fromtimestamp(step_s, BERLIN)) == schedule.wants(now)
    assert change is None or schedule.wants(change) != schedule.wants(now)


def test_a_time_without_zone_is_refused():
    with pytest.raises(ValueError, match="time zone"):
        Schedule.parse(["07:00-08:00"]).next_change(datetime(2026, 11, 23))  # noqa: DTZ001


@pytest.mark.parametrize(
    "text",
    [
        "",
        "07:00",
        "7-23",
        "07:00-07:00",
        "24:00-01:00",
        "07:60-08:00",
        "07:00-24:01",
        "25:00-26:00",
        "man 07:00-08:00",
        "mon-wed-fri 07:00-08:00",
        "mon, 07:00-08:00",
        "07:00-08:00 mon",
        "mon 07:00-08:00-09:00",
        "x" * 500,
    ],
)
def test_what_is_no_span_is_named_with_what_is_expected(text):
    with pytest.raises(ValueError, match="expected local times such as") as error:
        Schedule.parse(["07:00-23:00", text])
    assert repr(text[:40]) in str(error.value)
    assert len(str(error.value)) < 300


def test_length_of_a_session():
    assert parse_session_length("10s") == 10 * SECOND_NS
    assert parse_session_length("1.5h") == 5400 * SECOND_NS
    assert parse_session_length("1d") == 86400 * SECOND_NS


@pytest.mark.parametrize("text", ["9.9s", "25h", "", "soon", "-1h", "9" * 5000])
def test_unusable_length_of_a_session(text):
    with pytest.raises(ValueError, match="expected"):
        parse_session_length(text)


def test_the_machines_zone_says_what_its_clock_says(monkeypatch):
    now = datetime(2026, 11, 23, 12, tzinfo=UTC)
    assert now.astimezone(local_zone()).utcoffset() == now.astimezone().utcoffset()
    monkeypatch.setenv("TZ", ":Asia/Kolkata")
    assert now.astimezone(local_zone()).utcoffset() == timedelta(hours=5, minutes=30)
    monkeypatch.setenv("TZ", "no/such/zone")
    assert now.astimezone(local_zone()).utcoffset() == timedelta(0)
