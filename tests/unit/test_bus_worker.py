"""The bus worker: who goes first, and what happens to a device that fails."""

from __future__ import annotations

import errno

import numpy as np
import pytest

from wban_collect.bus import BusWorker, RetryingBus
from wban_collect.clock import VirtualClock
from wban_collect.device import StreamCursor
from wban_collect.errors import BusError
from wban_dataset.recording.streams import Read

MS = 1_000_000


class ScriptedDevice:
    """Due every `period_ns`; a read takes `n_chunks` chunks of 1 ms and gives one block."""

    streams = ()

    def __init__(self, name, clock, log, *, period_ns, n_chunks=1, slack_ns=0, fail_at=()):
        self.name = name
        self.clock = clock
        self.log = log
        self.period_ns = period_ns
        self.n_chunks = n_chunks
        self.slack_ns = slack_ns
        self.fail_at = set(fail_at)
        self.cursor = StreamCursor(name)
        self.due_ns = clock.monotonic_ns()
        self.n_reads = self.n_starts = 0

    def start(self):
        self.n_starts += 1
        self.due_ns = self.clock.monotonic_ns()
        self.cursor.new_segment()
        yield

    def next_due_ns(self):
        return self.due_ns

    def deadline_ns(self):
        return self.due_ns + self.slack_ns

    def read(self):
        self.n_reads += 1
        for chunk in range(self.n_chunks):
            self.clock.sleep_until_ns(self.clock.monotonic_ns() + MS)
            self.log.append((self.name, chunk))
            if self.n_reads in self.fail_at:
                raise BusError("no answer", errno.ETIMEDOUT)
            yield None
        self.due_ns += self.period_ns
        yield self.cursor.block(np.zeros((1, 3), "<i2"), Read(0, 0))

    def stop(self):
        self.log.append((self.name, "stop"))


class SilentBus:
    def __init__(self, failures=()):
        self.failures = list(failures)
        self.n_calls = self.n_reopened = 0

    def write(self, address, data):
        self.write_read(address, data, 0)

    def write_read(self, address, data, n_bytes):
        self.n_calls += 1
        if self.failures:
            raise BusError("failed", self.failures.pop(0))
        return bytes(n_bytes)

    def reopen(self):
        self.n_reopened += 1

    def close(self):
        pass


def run(worker, clock, until_ns):
    while clock.monotonic_ns() < until_ns:
        clock.sleep_until_ns(worker.next_due_ns())
        worker.step()


def make_worker(clock, devices, bus=None, delivered=None):
    out = [] if delivered is None else delivered
    return BusWorker("i2c-1", bus or SilentBus(), devices, clock, out.append, lambda _device: None)


def test_urgent_device_goes_between_the_chunks_of_a_long_read():
    clock = VirtualClock(0)
    log = []
    slow = ScriptedDevice("slow", clock, log, period_ns=100 * MS, n_chunks=6, slack_ns=90 * MS)
    fast = ScriptedDevice("fast", clock, log, period_ns=3 * MS, slack_ns=2 * MS)
    worker = make_worker(clock, [slow, fast])
    run(worker, clock, 90 * MS)  # both are set up, and the slow one's first read is over
    del log[:]
    run(worker, clock, 120 * MS)
    first, last = log.index(("slow", 0)), log.index(("slow", 5))
    assert [name for name, _ in log[first:last]].count("fast") >= 2


def test_nobody_waits_longer_than_one_chunk():
    clock = VirtualClock(0)
    log = []
    slow = ScriptedDevice("slow", clock, log, period_ns=50 * MS, n_chunks=13, slack_ns=40 * MS)
    fast = ScriptedDevice("fast", clock, log, period_ns=10 * MS, slack_ns=MS)
    worker = make_worker(clock, [slow, fast])
    lateness = []
    while clock.monotonic_ns() < 1000 * MS:
        clock.sleep_until_ns(worker.next_due_ns())
        before = len(log)
        due_ns, now_ns = fast.due_ns, clock.monotonic_ns()
        worker.step()
        if log[before:] == [("fast", 0)]:
            lateness.append(now_ns - due_ns)
    assert max(lateness) <= MS
    assert len(lateness) >= 99


def test_read_goes_on_without_a_pause_while_nobody_else_is_due():
    clock = VirtualClock(0)
    log, delivered = [], []
    slow = ScriptedDevice("slow", clock, log, period_ns=100 * MS, n_chunks=6)
    fast = ScriptedDevice("fast", clock, [], period_ns=1000 * MS)
    worker = make_worker(clock, [slow, fast], delivered=delivered)
    run(worker, clock, 50 * MS)  # both are set up and were read once
    del log[:], delivered[:]
    clock.sleep_until_ns(worker.next_due_ns())
    worker.step()
    assert log == [("slow", chunk) for chunk in range(6)]
    assert [block.stream for block in delivered] == ["slow"]


def test_failed_device_is_set_up_again_and_the_other_goes_on():
    clock = VirtualClock(0)
    log, delivered = [], []
    bad = ScriptedDevice("bad", clock, log, period_ns=10 * MS, fail_at=(3,))
    good = ScriptedDevice("good", clock, log, period_ns=10 * MS)
    worker = make_worker(clock, [bad, good], delivered=delivered)
    run(worker, clock, 500 * MS)
    segments = [block.segment for block in delivered if block.stream == "bad"]
    assert bad.n_starts == 2
    assert segments[:3] == [0, 0, 1]
    assert {block.segment for block in delivered if block.stream == "good"} == {0}
    assert sum(block.stream == "good" for block in delivered) >= 45
    assert worker.failures() == {}


def test_pauses_grow_and_the_bus_is_reopened_after_three_failures():
    clock = VirtualClock(0)
    bus = SilentBus()
    bad = ScriptedDevice("bad", clock, [], period_ns=10 * MS, fail_at=range(1, 100))
    worker = make_worker(clock, [bad], bus)
    run(worker, clock, 600 * MS)  # tries at about 0, 100, 300 and 700 ms
    assert bad.n_starts == 4
    assert bus.n_reopened == 1
    assert list(worker.failures()) == ["bad"]


def test_missing_acknowledgement_is_repeated_at_once():
    bus = SilentBus([errno.EREMOTEIO, errno.EREMOTEIO])
    assert RetryingBus(bus).write_read(0x53, b"\0", 2) == b"\0\0"
    assert bus.n_calls == 3


@pytest.mark.parametrize("code", [errno.ETIMEDOUT, errno.EIO])
def test_other_failures_are_not_repeated_for_a_fifo_may_have_moved(code):
    bus = SilentBus([code])
    with pytest.raises(BusError):
        RetryingBus(bus).write_read(0x53, b"\0", 2)
    assert bus.n_calls == 1
