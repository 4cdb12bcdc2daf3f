"""Stamps against a simulated truth, and what holds of them whatever the evidence."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from wban_dataset.recording.clock_fit import fit_clock
from wban_dataset.recording.evidence import Evidence
from wban_dataset.recording.streams import Read
from wban_dataset.recording.timebase import (
    StampInputs,
    camera_midpoints,
    count_missing,
    fit,
    refit,
    stamp,
    stamped,
    thermal_midpoints,
)

BOOT_NS = 3_000_000_000_000
CLOCK_ERRORS = [-0.03, 0.0, 0.03]
DRIFT_PER_S = 100e-6 / 600  # 100 ppm over 10 minutes


def true_times(duration_s, rate_hz, clock_error, drift_per_s=DRIFT_PER_S):
    """Instants of the samples of a chip that runs fast by `clock_error` and slows down."""
    period_ns = 1e9 / (rate_hz * (1 + clock_error))
    t = np.arange(int(duration_s * 1e9 / period_ns)) * period_ns
    return BOOT_NS + np.rint(t + 0.5e-9 * drift_per_s * t * t).astype(np.int64)


def bus_delay_ns(rng, share):
    """Waiting for a bus that another chip holds for 3 ms at a time."""
    return rng.exponential(60e3) + (rng.random() < share) * rng.uniform(0, 3e6)


def fifo_evidence(truth, rate_hz, *, watermark=0, seed=1, share=0.1, looks_at=(0.3, 0.7)):
    """Reads of a FIFO: dithered polls, or drains after a watermark interrupt.

    The chip tells its level at some moment within the transaction, `looks_at` of its duration.
    """
    rng = np.random.default_rng(seed)
    interval_ns = np.array([100e6, 170e6]) if rate_hz <= 100 else np.array([30e6, 60e6])
    rows, first, now_ns = [], 0, float(truth[0]) + 50e6
    while True:
        edge_ns = 0.0
        if watermark:
            if first + watermark > len(truth):
                break
            late_ns = 20e3 + rng.exponential(40e3) + (rng.random() < 0.02) * 3e6
            edge_ns = truth[first + watermark - 1] + late_ns
            now_ns = edge_ns + 100e3
        else:
            now_ns += rng.uniform(*interval_ns)
        start_ns = now_ns + bus_delay_ns(rng, share)
        duration_ns = rng.uniform(100e3, 320e3)
        look_ns = start_ns + rng.uniform(*looks_at) * duration_ns
        n = int(np.searchsorted(truth, look_ns, side="right")) - first
        if first + n >= len(truth):
            break
        rows.append((first, n, 0, int(start_ns), int(start_ns + duration_ns), int(edge_ns), 0, 0))
        first += n
        now_ns = start_ns + duration_ns + n * 100e3
    return Evidence("fifo", 1e9 / rate_hz, watermark, *np.array(rows, dtype=np.int64).T)


def ready_evidence(truth, rate_hz, *, missed=0.0, seed=2):
    """Polls every 5 ms of a status bit; returns which samples were recorded, too."""
    rng = np.random.default_rng(seed)
    rows, kept, segment = [], [], 0
    for k, ready_ns in enumerate(truth):
        if rng.random() < missed:
            segment += bool(rows) and rows[-1][2] == segment
            continue
        seen_ns, before_ns = ready_ns - rng.uniform(5e6, 20e6), 0.0
        while True:
            duration_ns = rng.uniform(150e3, 400e3)
            if seen_ns + duration_ns / 2 > ready_ns:
                break
            before_ns = seen_ns
            seen_ns += duration_ns + 5e6 + bus_delay_ns(rng, 0.15)
        rows.append((len(kept), 1, segment, int(before_ns), int(seen_ns + duration_ns), 0, 0, 0))
        kept.append(k)
    evidence = Evidence("ready", 1e9 / rate_hz, 0, *np.array(rows, dtype=np.int64).T)
    return evidence, np.array(kept)


def rms_ms(errors_ns):
    return float(np.sqrt(np.mean(np.square(errors_ns / 1e6))))


def assert_honest(errors_ns, unc_ns):
    """Within 3 sigma nearly always, and sigma of the size of the errors."""
    assert np.mean(np.abs(errors_ns) <= 3 * unc_ns) >= 0.99
    assert rms_ms(unc_ns.astype(float)) <= 10 * rms_ms(errors_ns)


def columns_of(evidence):
    names = ("first_index", "n", "segment", "read_start_ns", "read_end_ns", "edge_ns")
    return {name: getattr(evidence, name) for name in (*names, "fifo_level", "chip_ticks")}


@pytest.mark.parametrize("clock_error", CLOCK_ERRORS)
@pytest.mark.parametrize("rate_hz", [100, 400])
@pytest.mark.parametrize("duration_s", [60, 300])
@pytest.mark.parametrize(("watermark", "limit_ms"), [(0, 0.3), (16, 0.05)])
def test_fifo_stamps_are_near_the_truth(duration_s, rate_hz, clock_error, watermark, limit_ms):
    truth = true_times(duration_s, rate_hz, clock_error)
    stamps_ns, unc_ns = fit(fifo_evidence(truth, rate_hz, watermark=watermark))
    errors_ns = (stamps_ns - truth[: len(stamps_ns)]).astype(float)
    assert rms_ms(errors_ns) < limit_ms
    assert_honest(errors_ns, unc_ns)
    assert np.all(np.diff(stamps_ns) > 0)


@pytest.mark.parametrize("clock_error", CLOCK_ERRORS)
@pytest.mark.parametrize("rate_hz", [8, 16])
@pytest.mark.parametrize("missed", [0.0, 0.1])
def test_ready_stamps_are_near_the_truth_from_the_first_minute_on(rate_hz, clock_error, missed):
    truth = true_times(300, rate_hz, clock_error)
    evidence, kept = ready_evidence(truth, rate_hz, missed=missed)
    stamps_ns, unc_ns = fit(evidence)
    errors_ns = (stamps_ns - truth[kept]).astype(float)
    in_first_minute = truth[kept] < BOOT_NS + 60e9
    assert rms_ms(errors_ns) < 1.0
    assert rms_ms(errors_ns[in_first_minute]) < 1.0
    assert_honest(errors_ns, unc_ns)
    assert np.all(np.diff(stamps_ns) > 0)


@pytest.mark.parametrize("rate_hz", [8, 16])
def test_a_minute_of_polled_subpages_is_enough(rate_hz):
    truth = true_times(60, rate_hz, 0.03)
    evidence, kept = ready_evidence(truth, rate_hz)
    stamps_ns, unc_ns = fit(evidence)
    errors_ns = (stamps_ns - truth[kept]).astype(float)
    assert rms_ms(errors_ns) < 0.3
    assert_honest(errors_ns, unc_ns)


@pytest.mark.parametrize("looks_at", [(0.0, 0.05), (0.95, 1.0)])
def test_uncertainty_covers_a_chip_that_looks_at_one_end_of_the_transaction(looks_at):
    truth = true_times(120, 400, 0.01)
    stamps_ns, unc_ns = fit(fifo_evidence(truth, 400, looks_at=looks_at))
    errors_ns = (stamps_ns - truth[: len(stamps_ns)]).astype(float)
    assert rms_ms(errors_ns) < 0.3
    assert np.mean(np.abs(errors_ns) <= 3 * unc_ns) >= 0.99


@pytest.mark.parametrize(("watermark", "limit_ms"), [(0, 0.3), (16, 0.05)])
@pytest.mark.parametrize("clock_error", [-0.15, 0.1])
def test_a_badly_tuned_chip_that_warms_up_is_followed(clock_error, watermark, limit_ms):
    truth = true_times(180, 100, clock_error, drift_per_s=300e-6 / 180)
    stamps_ns, unc_ns = fit(fifo_evidence(truth, 100, watermark=watermark))
    errors_ns = (stamps_ns - truth[: len(stamps_ns)]).astype(float)
    assert rms_ms(errors_ns) < limit_ms
    assert_honest(errors_ns, unc_ns)


def test_short_segments_take_the_rate_from_their_neighbours():
    truth = true_times(120, 100, 0.03)
    evidence = fifo_evidence(truth, 100)
    middle = evidence.n_reads // 2
    segment = np.where(np.arange(evidence.n_reads) < middle, 0, 1)
    segment[middle + 3 :] = 2  # a segment of three reads, about 40 samples
    cut = replace(evidence, segment=segment)
    chosen = slice(int(evidence.first_index[middle]), int(evidence.first_index[middle + 3]))
    stamps_ns, unc_ns = fit(cut)
    periods_ns = np.diff(stamps_ns[chosen])
    errors_ns = (stamps_ns - truth[: len(stamps_ns)])[chosen]
    assert np.mean(periods_ns) == pytest.approx(1e7 / 1.03, rel=1e-4)
    assert np.all(np.abs(errors_ns) <= 3 * unc_ns[chosen])
    assert unc_ns[chosen].min() > np.median(unc_ns)


def test_a_single_read_is_stamped_by_the_nominal_period_and_says_how_sure_it_is():
    # Sample 9 was there at 1.0001 s, sample 10 not yet at 1.0 s: sample 9 lies in [0.99, 1.0001] s.
    read = Read(1_000_000_000, 1_000_100_000)
    evidence = Evidence.from_reads(
        "fifo", 1e7, 0, first_index=[0], n=[10], segment=[0], reads=[read]
    )
    stamps_ns, unc_ns = fit(evidence)
    assert 990_000_000 < stamps_ns[9] < 1_000_100_000
    assert np.diff(stamps_ns) == pytest.approx(1e7, rel=0.1)
    assert 2_000_000 < unc_ns[9] < 5_000_000  # the interval's width over sqrt(12) is 2.9 ms
    assert unc_ns[0] > unc_ns[9]


def test_a_lone_subpage_without_an_earlier_poll_lies_within_one_period_before_it_was_seen():
    evidence = Evidence.from_reads(
        "ready", 125e6, 0, first_index=[0], n=[1], segment=[0], reads=[Read(0, 5_000_000_000)]
    )
    stamps_ns, unc_ns = fit(evidence)
    assert 4_850_000_000 < stamps_ns[0] <= 5_000_000_000
    assert unc_ns[0] > 30_000_000


def test_no_reads_give_no_stamps():
    empty = {name: [] for name in columns_of(fifo_evidence(true_times(5, 100, 0.0), 100))}
    stamps_ns, unc_ns = fit(Evidence.from_columns("fifo", 1e7, 0, **empty))
    assert stamps_ns.dtype == np.int64
    assert unc_ns.dtype == np.int32
    assert len(stamps_ns) == len(unc_ns) == 0


def test_stamps_do_not_run_backwards_over_a_gap_whatever_the_reads_say():
    # The second segment's only bounds leave room for times before the end of the first.
    reads = [Read(1_000_000_000, 1_000_100_000), Read(0, 1_000_200_000), Read(0, 1_000_300_000)]
    evidence = Evidence.from_reads(
        "ready", 125e6, 0, first_index=[0, 1, 2], n=[1, 1, 1], segment=[0, 1, 2], reads=reads
    )
    stamps_ns, unc_ns = fit(evidence)
    assert np.all(np.diff(stamps_ns) > 0)
    assert unc_ns[2] > stamps_ns[2] - 1_000_300_000  # moved away from its evidence, and says so


def test_interrupts_that_belong_to_an_earlier_drain_are_not_believed():
    truth = true_times(120, 100, 0.01)
    evidence = fifo_evidence(truth, 100, watermark=16)
    stale_ns = evidence.edge_ns.copy()
    stale_ns[10::7] = evidence.edge_ns[9:-1:7]  # one watermark, 160 ms, too early
    stamps_ns, _ = fit(replace(evidence, edge_ns=stale_ns))
    assert rms_ms((stamps_ns - truth[: len(stamps_ns)]).astype(float)) < 0.05


def test_polls_carry_on_where_the_interrupt_line_breaks():
    truth = true_times(300, 100, 0.02)
    evidence = fifo_evidence(truth, 100, watermark=16)
    broken = np.arange(evidence.n_reads) >= 0.7 * evidence.n_reads
    stamps_ns, unc_ns = fit(replace(evidence, edge_ns=np.where(broken, 0, evidence.edge_ns)))
    errors_ns = (stamps_ns - truth[: len(stamps_ns)]).astype(float)
    last_with_edge = int(evidence.first_index[broken][0]) - 600
    assert rms_ms(errors_ns[:last_with_edge]) < 0.05
    assert np.mean(np.abs(errors_ns) <= 3 * unc_ns) >= 0.99


def test_samples_lost_with_a_journal_record_keep_their_places_in_the_count():
    truth = true_times(300, 100, 0.02)
    evidence = fifo_evidence(truth, 100)
    kept = np.ones(evidence.n_reads, dtype=bool)
    kept[600:1200] = False  # about a minute, longer than a window
    holed = Evidence.from_columns(
        "fifo", 1e7, 0, **{name: c[kept] for name, c in columns_of(evidence).items()}
    )
    stamps_ns, _ = fit(holed)
    place = np.repeat(holed.first_index, holed.n)
    place += np.arange(len(place)) - np.repeat(np.cumsum(holed.n) - holed.n, holed.n)
    assert len(stamps_ns) == holed.n_samples
    assert rms_ms((stamps_ns - truth[place]).astype(float)) < 0.3


def test_a_wrong_bound_spoils_its_own_window_only_and_shows_in_the_uncertainty():
    truth = true_times(300, 100, 0.0)
    evidence = fifo_evidence(truth, 100)
    wrong_ns = evidence.read_end_ns.copy()
    wrong_ns[100] -= 20_000_000  # "was there" 20 ms before it was
    stamps_ns, unc_ns = fit(replace(evidence, read_end_ns=wrong_ns))
    errors_ns = (stamps_ns - truth[: len(stamps_ns)]).astype(float)
    assert np.mean(np.abs(errors_ns) <= 3 * unc_ns) >= 0.99
    assert rms_ms(errors_ns[8000:]) < 0.3
    assert np.all(np.diff(stamps_ns) > 0)


@pytest.mark.parametrize("watermark", [0, 16])
def test_stamps_move_by_exactly_what_the_clock_is_moved_by(watermark):
    evidence = fifo_evidence(true_times(60, 100, 0.03), 100, watermark=watermark)
    # 285 years: float64 would resolve 1 us only.
    later_ns = 9_000_000_000_000_000_001
    later = replace(
        evidence,
        read_start_ns=evidence.read_start_ns + later_ns,
        read_end_ns=evidence.read_end_ns + later_ns,
        edge_ns=np.where(evidence.edge_ns > 0, evidence.edge_ns + later_ns, 0),
    )
    assert np.array_equal(fit(later)[0], fit(evidence)[0] + later_ns)


def test_stamps_are_the_same_bits_in_any_parts():
    truth = true_times(120, 8, 0.02)
    evidence, _ = ready_evidence(truth, 8, missed=0.05)
    clock = fit_clock(evidence)
    whole_ns, whole_unc_ns = fit(evidence)
    cuts = [0, 1, 17, 400, clock.n_samples]
    parts = [clock.stamps(a, b) for a, b in itertools.pairwise(cuts)]
    assert np.array_equal(np.concatenate([p[0] for p in parts]), whole_ns)
    assert np.array_equal(np.concatenate([p[1] for p in parts]), whole_unc_ns)


class StoredSession:
    """A session as its file keeps it: columns in the file's types."""

    def __init__(self, inputs):
        self._inputs = inputs

    def stream_names(self):
        return tuple(self._inputs)

    def stamp_inputs(self, stream):
        inputs = self._inputs[stream]
        evidence = inputs.evidence
        stored = {
            **columns_of(evidence),
            "n": evidence.n.astype(np.uint16),
            "segment": evidence.segment.astype(np.uint16),
        }
        again = Evidence.from_columns(
            evidence.kind, evidence.period_ns, evidence.watermark, **stored
        )
        return replace(inputs, evidence=again)


def camera_inputs(sensor_ns, exposure_ns):
    n = len(sensor_ns)
    reads = [Read(t, t + 20_000_000, edge_ns=t) for t in sensor_ns]
    return StampInputs(
        kind="infrared",
        evidence=Evidence.from_reads(
            "sensor", 66.7e6, 0, first_index=range(n), n=[1] * n, segment=[0] * n, reads=reads
        ),
        columns={
            "sensor_ns": np.array(sensor_ns, dtype=np.int64),
            "exposure_ns": np.array(exposure_ns, dtype=np.int64),
            "stamp_unc_ns": np.full(n, 50_000, dtype=np.int32),
        },
        rows=1232,
        line_time_ns=18_904,
    )


def test_refit_gives_the_stamps_again_exactly():
    truth = true_times(60, 100, 0.03)
    thermal, _ = ready_evidence(true_times(60, 8, -0.03), 8, missed=0.05)
    inputs = {
        "accel": StampInputs("accel", fifo_evidence(truth, 100)),
        "gyro": StampInputs("gyro", fifo_evidence(truth, 100, watermark=16)),
        "thermal": StampInputs("thermal", thermal),
        "infrared": camera_inputs([BOOT_NS, BOOT_NS + 66_700_000], [10_000_000, 10_000_000]),
    }
    again = refit(StoredSession(inputs))
    assert set(again) == set(inputs)
    for name, stream in inputs.items():
        assert np.array_equal(again[name], stamp(stream)[0])


def test_a_subpage_is_stamped_half_a_fitted_period_before_it_was_ready():
    truth = true_times(60, 8, 0.03, drift_per_s=0.0)
    evidence, kept = ready_evidence(truth, 8)
    stamps_ns, _ = stamp(StampInputs("thermal", evidence))
    middles_ns = truth[kept] - 125e6 / 1.03 / 2  # the nominal half period would be 1.8 ms off
    assert rms_ms(stamps_ns - middles_ns) < 0.3


def test_thermal_midpoints_are_half_a_period_earlier():
    midpoints_ns = thermal_midpoints(
        np.array([1_000_000_000, 1_125_000_000]), np.array([125e6, 124e6])
    )
    assert midpoints_ns.tolist() == [937_500_000, 1_063_000_000]


def test_camera_stamp_is_the_middle_row_at_the_middle_of_its_exposure():
    stamps_ns, unc_ns = stamp(camera_inputs([5_000_000_000], [10_000_001]))
    # 5 s - 5 ms (the odd half nanosecond is dropped) + 616 rows of 18,904 ns
    assert stamps_ns.tolist() == [5_000_000_000 - 5_000_000 + 616 * 18_904]
    assert unc_ns.tolist() == [50_000]


def test_camera_stamps_in_boottime_are_brought_to_monotonic():
    sensor_ns = np.array([7_000_000_000])
    midpoints_ns = camera_midpoints(
        sensor_ns, np.array([0]), 0, 0, boottime_offset_ns=1_500_000_000
    )
    assert midpoints_ns.tolist() == [5_500_000_000]


def test_camera_stamps_increase_even_when_an_exposure_jumps():
    stamps_ns, _ = stamp(camera_inputs([5_000_000_000, 5_010_000_000], [0, 40_000_000]))
    assert stamps_ns[1] == stamps_ns[0] + 1


def test_lateness_is_that_of_the_interrupt_or_of_the_read():
    truth = true_times(60, 100, 0.0)
    by_edge = stamped(StampInputs("accel", fifo_evidence(truth, 100, watermark=16)))
    by_poll = stamped(StampInputs("accel", fifo_evidence(truth, 100)))
    # Exponential with a mean of 40 us above the least latency: the median is 28 us.
    assert 15_000 < np.median(by_edge.lateness_ns) < 40_000
    # The newest sample is on average half a period of 10 ms old, plus the transaction.
    assert 4_000_000 < np.median(by_poll.lateness_ns) < 6_500_000
    camera = stamped(camera_inputs([5_000_000_000], [0]))
    assert camera.lateness_ns.tolist() == [20_000_000 - 616 * 18_904]


@pytest.mark.parametrize(
    ("first_ns", "n_missing"), [(10_000_000, 0), (20_100_000, 1), (49_000_000, 4), (1_000, 0)]
)
def test_missing_samples_are_counted_from_the_stamps_around_the_gap(first_ns, n_missing):
    assert count_missing(0, first_ns, 1e7) == n_missing


def test_stamps_of_the_hardware_are_not_fitted():
    with pytest.raises(ValueError, match="expected 'fifo' or 'ready'"):
        fit(camera_inputs([5_000_000_000], [0]).evidence)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n": [1, 0]}, "no sample"),
        ({"first_index": [5, 0]}, "backwards"),
        ({"segment": [1, 0]}, "backwards"),
        ({"edge_ns": [0]}, "one length"),
    ],
)
def test_evidence_out_of_order_is_refused(change, message):
    columns = {
        "first_index": [0, 1],
        "n": [1, 1],
        "segment": [0, 0],
        "read_start_ns": [0, 9],
        "read_end_ns": [1, 10],
        "edge_ns": [0, 0],
        "fifo_level": [0, 0],
        "chip_ticks": [0, 0],
    }
    with pytest.raises(ValueError, match=message):
        Evidence.from_columns("fifo", 10.0, 0, **{**columns, **change})
