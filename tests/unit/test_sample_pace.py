"""Planning of FIFO reads: the running line, the gaps, and the watermark's edges."""

from __future__ import annotations

import numpy as np
import pytest

from wban_collect.devices.fifo_streams import FifoStreams, default_watermark
from wban_collect.devices.sample_pace import SamplePace
from wban_collect.devices.watermark_line import PATIENCE, WatermarkLine
from wban_collect.errors import DeviceError
from wban_dataset.recording.streams import Gap, Read, SampleBlock

MS = 1_000_000


class ListedEdges:
    """Edges that the test hands out."""

    def __init__(self) -> None:
        self.stamps: list[int] = []

    def edges_ns(self) -> list[int]:
        stamps, self.stamps = self.stamps, []
        return stamps

    def close(self) -> None:
        pass


def fifo(watermark: int = 10, capacity: int = 32) -> FifoStreams:
    return FifoStreams(
        "a chip",
        ("accel", "gyro"),
        10.0 * MS,
        watermark=watermark,
        capacity=capacity,
        tolerance=0.1,
    )


def deliver(streams: FifoStreams, n: int, read: Read) -> list[Gap | SampleBlock]:
    counts = np.zeros((n, 3), dtype="<i2")
    return list(streams.deliver((counts, counts), read))


@pytest.mark.parametrize("error", [-0.05, 0.0, 0.05])
def test_the_pace_learns_the_chips_period_from_looks_at_its_fifo(error: float) -> None:
    period_ns = 10 * MS * (1 + error)
    pace = SamplePace(10.0 * MS, 0.1)
    pace.restart(0, 0.0)
    for look in range(60):
        # Looks at ever other phases of the chip's clock.
        now_ns = 105 * MS * (look + 1) + int(10 * MS * (look * 0.618 % 1))
        pace.observe(int(now_ns // period_ns), now_ns, now_ns)
    assert pace.period_ns == pytest.approx(period_ns, rel=0.004)
    assert pace.latch_ns(700) == pytest.approx(700 * period_ns, abs=0.5 * period_ns)


def test_the_pace_never_leaves_the_chips_tolerance() -> None:
    pace = SamplePace(10.0 * MS, 0.1)
    pace.restart(0, 0.0)
    for look in range(1, 50):  # a sample every 50 ms, as if four of five were lost
        pace.observe(look, 50 * MS * look, 50 * MS * look)
    assert pace.period_ns == 11.0 * MS


def test_a_late_edge_moves_the_line_little_and_an_early_one_at_once() -> None:
    pace = SamplePace(10.0 * MS, 0.1)
    pace.restart(0, 0.0)
    pace.observe_edge(0, 3 * MS, 200_000)
    assert pace.latch_ns(0) == pytest.approx(0.2 * 2.8 * MS)
    pace.observe_edge(0, 100_000, 200_000)
    assert pace.latch_ns(0) == 100_000


@pytest.mark.parametrize(
    ("rate_hz", "watermark"), [(800, 16), (400, 16), (100, 10), (25, 2), (12.5, 1), (0.1, 1)]
)
def test_the_default_watermark_reads_ten_times_a_second_but_not_more_than_16(
    rate_hz: float, watermark: int
) -> None:
    assert default_watermark(rate_hz) == watermark


def test_polls_fall_on_every_tenth_of_the_chips_period_equally_often() -> None:
    streams = fifo()
    streams.restart(0)  # sample k at (k + 1) * 10 ms
    offsets = [streams.poll_due_ns() - 100 * MS for _ in range(100)]
    histogram = np.bincount([offset // MS for offset in offsets], minlength=10)
    assert len(histogram) == 10
    assert histogram.min() >= 9
    assert histogram.max() <= 11


def test_the_deadline_leaves_a_twentieth_of_the_fifo() -> None:
    streams = fifo()
    streams.restart(0)
    assert streams.deadline_ns() == pytest.approx(0.95 * 32 * 10 * MS)


def test_a_gap_is_told_with_the_next_block_for_every_stream() -> None:
    streams = fifo()
    streams.restart(0)
    streams.observe(10, 101 * MS, 101 * MS)  # sample 9 at 100 ms
    assert [type(o) for o in deliver(streams, 10, Read(1, 2))] == [SampleBlock, SampleBlock]
    streams.interrupt("bus error")
    streams.interrupt("device restarted")
    streams.restart(490 * MS)  # the first new one at 500 ms
    outputs = deliver(streams, 5, Read(1, 2))
    gaps = [output for output in outputs if isinstance(output, Gap)]
    assert [(gap.stream, gap.cause, gap.n_missing, gap.exact) for gap in gaps] == [
        ("accel", "bus error", 39, False),
        ("gyro", "bus error", 39, False),
    ]
    assert (gaps[0].start_ns, gaps[0].stop_ns) == (100 * MS, 500 * MS)
    blocks = outputs[2:]
    assert [(b.first_index, b.segment) for b in blocks if isinstance(b, SampleBlock)] == [
        (10, 1),
        (10, 1),
    ]
    assert [type(o) for o in deliver(streams, 1, Read(1, 2))] == [SampleBlock, SampleBlock]


def test_nothing_is_missing_before_the_first_sample() -> None:
    streams = fifo()
    streams.interrupt("device restarted")
    streams.restart(0)
    outputs = deliver(streams, 1, Read(1, 2))
    assert [(type(o), o.segment) for o in outputs if not isinstance(o, Gap)] == [
        (SampleBlock, 0),
        (SampleBlock, 0),
    ]


def test_a_chip_that_falls_silent_is_an_error_and_the_gap_says_stalled() -> None:
    streams = fifo()
    streams.restart(0)
    streams.observe(1, 10 * MS, 10 * MS)
    deliver(streams, 1, Read(1, 2))
    streams.observe(0, 640 * MS, 640 * MS)  # 630 ms; 500 ms and 14 samples are borne
    with pytest.raises(DeviceError, match=r"a chip: no new sample for 0\.7 s, expected one every"):
        streams.observe(0, 720 * MS, 720 * MS)
    streams.restart(800 * MS)
    gap = deliver(streams, 1, Read(1, 2))[0]
    assert isinstance(gap, Gap)
    assert gap.cause == "stalled"


def test_an_edge_counts_only_if_it_is_the_only_one_between_two_drains() -> None:
    edges = ListedEdges()
    line = WatermarkLine(edges)
    edges.stamps = [5]
    assert line.edge_ns(100) == 0  # nothing is known of the level yet
    line.rearm(50, will_rise=True)
    edges.stamps = [40, 60, 120]
    assert line.edge_ns(100) == 60  # 40 is too early, 120 after the look
    assert line.edge_ns(200) == 0  # 60 and 120
    line.rearm(200, will_rise=False)
    edges.stamps = [250]
    assert line.edge_ns(300) == 0


def test_a_line_without_edges_is_given_up_until_one_comes() -> None:
    line = WatermarkLine(ListedEdges())
    line.rearm(0, will_rise=True)
    given_up = [line.judge(edge_ns=0, above_watermark=True) for _ in range(PATIENCE + 2)]
    assert given_up.count(True) == 1
    assert given_up[PATIENCE - 1]
    assert not line.expected
    line.judge(edge_ns=1, above_watermark=True)
    assert line.expected
