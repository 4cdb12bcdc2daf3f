"""When the recorder records by itself."""

from __future__ import annotations

from datetime import UTC, datetime

from wban_collect.config import UnattendedConfig
from wban_collect.service.unattended import OUTSIDE, RETRY_NS, Unattended

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
NIGHT = datetime(2026, 11, 23, 23, 30, tzinfo=UTC)
BY_DAY = UnattendedConfig(enabled=True, subject="S01", activity="eating", schedule=["07:00-23:00"])


def test_it_records_within_the_schedule_only():
    unattended = Unattended(BY_DAY)
    assert unattended.wants(NOON, synchronised=True)
    assert not unattended.wants(NIGHT, synchronised=True)


def test_while_the_clock_may_be_wrong_the_schedule_does_not_count():
    assert Unattended(BY_DAY).wants(NIGHT, synchronised=False)


def test_a_persons_stop_holds_until_the_schedule_begins_again():
    unattended = Unattended(BY_DAY)
    assert unattended.wants(NOON, synchronised=True)
    unattended.hold()
    assert not unattended.wants(NOON, synchronised=True)
    assert not unattended.wants(NIGHT, synchronised=True)
    assert unattended.wants(NOON, synchronised=True)


def test_a_persons_start_ends_the_hold():
    unattended = Unattended(BY_DAY)
    unattended.wants(NOON, synchronised=True)
    unattended.hold()
    unattended.release()
    assert unattended.wants(NOON, synchronised=True)


def test_while_it_records_outside_the_schedule_it_says_why():
    unattended = Unattended(BY_DAY)
    unattended.wants(NIGHT, synchronised=False)
    assert unattended.note == OUTSIDE
    unattended.wants(NIGHT, synchronised=True)
    assert unattended.note == ""
    unattended.wants(NOON, synchronised=False)
    assert unattended.note == ""


def test_after_a_persons_stop_it_says_when_it_goes_on():
    unattended = Unattended(BY_DAY)
    unattended.wants(NOON, synchronised=True)
    unattended.hold(NOON)
    assert unattended.note == (
        "stopped by hand; it records again at the schedule's next beginning (Tue 24 Nov 07:00), at "
        "'wban-collect start' or the next boot"
    )
    unattended.wants(NOON, synchronised=True)
    assert "stopped by hand" in unattended.note
    unattended.release()
    assert unattended.note == ""
    unattended.hold(NIGHT)
    assert "(Tue 24 Nov 07:00)" in unattended.note
    always = Unattended(UnattendedConfig(enabled=True, subject="S01", activity="eating"))
    always.hold(NOON)
    assert always.note == (
        "stopped by hand; it records again at 'wban-collect start' or the next boot"
    )


def test_where_it_records_only_when_asked_a_stop_is_no_remark():
    unattended = Unattended(UnattendedConfig())
    unattended.hold(NOON)
    assert unattended.note == ""


def test_it_does_nothing_by_itself_unless_it_is_asked_to():
    assert not Unattended(UnattendedConfig()).wants(NOON, synchronised=True)


def test_after_a_failure_it_waits_less_than_the_watchdog_does():
    unattended = Unattended(BY_DAY)
    unattended.note_failure(100)
    assert not unattended.may_try(100 + RETRY_NS - 1)
    assert unattended.may_try(100 + RETRY_NS)
    assert RETRY_NS < 10_000_000_000
