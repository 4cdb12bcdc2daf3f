"""The runners: whose turn it is in virtual time, and what priority threads ask for."""

from __future__ import annotations

import os

import pytest

from wban_collect.clock import SystemClock, VirtualClock
from wban_collect.worker import QUESTION_NS, REAL_TIME_PRIORITY, ThreadedRunner, VirtualRunner

MS = 1_000_000


class Ticking:
    """Wants to be called at each period; notes when it was."""

    def __init__(self, name, clock, period_ns, log):
        self.name = name
        self.clock = clock
        self.period_ns = period_ns
        self.due_ns = clock.monotonic_ns() + period_ns
        self.log = log

    def next_due_ns(self):
        return self.due_ns

    def step(self):
        self.log.append((self.clock.monotonic_ns(), self.name))
        self.due_ns += self.period_ns


class Postponing(Ticking):
    """Puts another's next call off."""

    def __init__(self, other, *arguments):
        super().__init__(*arguments)
        self.other = other

    def step(self):
        super().step()
        self.other.due_ns = self.clock.monotonic_ns() + 10 * MS


def run_virtually(workers, until_ns):
    clock = VirtualClock(0)
    log = workers[0].log
    stop = Ticking("stop", clock, until_ns, [])
    VirtualRunner([*workers, stop]).run_until(lambda: bool(stop.log))
    return log


def test_virtual_time_serves_the_earliest_first():
    log = []
    a = Ticking("a", VirtualClock(0), 7 * MS, log)
    b = Ticking("b", VirtualClock(0), 5 * MS, log)
    run_virtually([a, b], 21 * MS)
    assert log[:7] == [
        (5 * MS, "b"),
        (7 * MS, "a"),
        (10 * MS, "b"),
        (14 * MS, "a"),
        (15 * MS, "b"),
        (20 * MS, "b"),
        (21 * MS, "a"),
    ]


def test_virtual_time_asks_anew_when_a_worker_on_the_same_clock_is_due():
    clock, log = VirtualClock(0), []
    watched = Ticking("watched", clock, 5 * MS, log)
    feeder = Postponing(watched, "feeder", clock, 4 * MS, log)
    run_virtually([watched, feeder], QUESTION_NS)
    assert {name for _, name in log} == {"feeder"}


def test_virtual_time_runs_for_all_alike():
    log = []
    busy, idle = Ticking("busy", VirtualClock(0), 1 * MS, log), VirtualClock(0)
    workers = [busy, Ticking("idle", idle, 1000 * MS, log)]
    VirtualRunner(workers).run_until(lambda: idle.monotonic_ns() >= 200 * MS)
    assert abs(busy.clock.monotonic_ns() - idle.monotonic_ns()) <= QUESTION_NS


@pytest.mark.parametrize("refused", [False, True])
def test_real_time_priority_is_asked_for_given_back_and_done_without(monkeypatch, refused):
    asked, log = [], []

    def set_scheduler(pid, policy, param):
        asked.append((pid, policy, param.sched_priority))
        if refused:
            raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "sched_setscheduler", set_scheduler)
    worker = Ticking("ticking", SystemClock(), MS, log)
    runner = ThreadedRunner([worker])
    runner.run_until(lambda: len(log) >= 3, poll_s=0.001)
    runner.stop()
    wanted, usual = (0, os.SCHED_RR, REAL_TIME_PRIORITY), (0, os.sched_getscheduler(0), 0)
    assert asked == ([wanted] if refused else [wanted, usual])
    assert runner.cpu_ns["ticking"] > 0
