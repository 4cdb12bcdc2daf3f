from __future__ import annotations

import numpy as np
import pytest

from wban_collect.devices.frame_rules import EveryFrame, EverySeconds, OnChange, parse_rule
from wban_collect.devices.frame_timing import FrameTimer, SensorClock, Shutter
from wban_collect.devices.frames import Resizer, luma_plane
from wban_collect.devices.line_times import line_time_ns

MS = 1_000_000
SECOND = 1_000_000_000


def test_a_whole_ratio_gives_block_means_rounded_half_up():
    picture = np.array([[0, 1, 10, 20], [2, 3, 30, 40]], dtype=np.uint8)
    shrunk = Resizer((2, 4), (1, 2))(picture)
    # (0 + 1 + 2 + 3) / 4 = 1.5 -> 2; (10 + 20 + 30 + 40) / 4 = 25
    np.testing.assert_array_equal(shrunk, [[2, 25]])
    assert shrunk.dtype == np.uint8


@pytest.mark.parametrize("target", [(1, 1), (2, 2), (30, 40), (45, 50)])
def test_a_white_picture_stays_white(target):
    picture = np.full((60, 80), 255, dtype=np.uint8)
    assert (Resizer((60, 80), target)(picture) == 255).all()


def test_large_blocks_do_not_overflow():
    picture = np.full((480, 640), 255, dtype=np.uint8)  # 32 x 32 pixels of 255 in a block
    assert (Resizer((480, 640), (15, 20))(picture) == 255).all()


def test_a_fractional_ratio_shares_pixels_by_area():
    picture = np.array([[0, 100, 200]], dtype=np.uint8)
    # Each stored pixel covers 1.5: (0 + 100 / 2) / 1.5 = 33.3 and (100 / 2 + 200) / 1.5 = 166.7
    np.testing.assert_array_equal(Resizer((1, 3), (1, 2))(picture), [[33, 167]])


def test_a_fractional_ratio_agrees_with_weights_written_out():
    picture = np.random.default_rng(3).integers(0, 256, (48, 64), dtype=np.uint8)
    fine = np.repeat(np.repeat(picture, 9, axis=0), 10, axis=1)  # 432 x 640 = 9 x 48, 10 x 64
    expected = fine.reshape(27, 16, 40, 16).mean(axis=(1, 3))
    difference = np.abs(Resizer((48, 64), (27, 40))(picture) - expected)
    assert difference.max() <= 0.51


def test_same_size_gives_a_copy():
    picture = np.zeros((4, 6), dtype=np.uint8)
    shrunk = Resizer((4, 6), (4, 6))(picture)
    picture[:] = 9
    assert (shrunk == 0).all()


def test_enlarging_is_refused():
    with pytest.raises(ValueError, match="at most the captured size"):
        Resizer((120, 160), (240, 160))


def test_the_luma_plane_leaves_out_padding_and_colour():
    buffer = np.zeros((6, 8), dtype=np.uint8)  # 6 wide, 4 high: stride 8, two rows of chroma
    buffer[:4, :6] = 7
    plane = luma_plane(buffer, 4, 6)
    assert plane.shape == (4, 6)
    assert (plane == 7).all()


def test_a_buffer_too_small_for_its_size_is_refused():
    with pytest.raises(ValueError, match="expected at least"):
        luma_plane(np.zeros((6, 8), dtype=np.uint8), 4, 10)


@pytest.mark.parametrize(
    ("text", "kind"),
    [("every frame", EveryFrame), ("every 10 s", EverySeconds), ("on change", OnChange)],
)
def test_rules_are_named_by_text(text, kind):
    assert isinstance(parse_rule(text), kind)


@pytest.mark.parametrize("text", ["", "every", "every 10", "every 0 s", "every -1 s", "sometimes"])
def test_an_unknown_rule_is_refused(text):
    with pytest.raises(ValueError, match="every"):
        parse_rule(text)


def kept_times(rule, times_ns, frame_ns):
    picture = np.zeros((8, 8), dtype=np.uint8)
    return [t for t in times_ns if rule.wants(t, frame_ns) and rule.keeps(t, picture)]


def test_every_second_keeps_the_frame_nearest_to_each_tick():
    frame_ns = 300 * MS
    times_ns = [k * frame_ns for k in range(12)]  # 0, 300 ... 3300 ms; ticks at 0, 1, 2, 3 s
    expected = [0, 900 * MS, 2100 * MS, 3000 * MS]
    assert kept_times(EverySeconds(1.0), times_ns, frame_ns) == expected


def test_every_second_counts_only_ticks_without_a_frame_as_lost():
    rule = EverySeconds(1.0)
    kept_times(rule, [0], 100 * MS)
    # The next tick is 1 s. A drop until 1.2 s only delays it; one until 3.4 s loses 1 s and 2 s, as
    # does one until 2.7 s, which is nearer to 3 s.
    assert rule.n_lost(1200 * MS, 3) == 0
    assert rule.n_lost(2700 * MS, 23) == 2
    assert rule.n_lost(3400 * MS, 30) == 2
    assert kept_times(rule, [2700 * MS, 2860 * MS, 2960 * MS, 3060 * MS], 100 * MS) == [2960 * MS]


def test_every_second_keeps_every_frame_of_a_slower_camera_and_calls_none_lost():
    rule = EverySeconds(1.0)
    times_ns = [k * 2400 * MS for k in range(5)]
    assert kept_times(rule, times_ns, 2400 * MS) == times_ns
    assert rule.n_lost(5 * 2400 * MS, 0) == 0


def test_on_change_ignores_noise_and_overall_brightness():
    noise = np.random.default_rng(1).integers(-6, 7, (120, 160))
    rule = OnChange(4.0)
    assert rule.keeps(0, np.full((120, 160), 100, dtype=np.uint8))
    assert not rule.keeps(1, (100 + noise).astype(np.uint8))
    assert not rule.keeps(2, np.full((120, 160), 140, dtype=np.uint8))


def test_on_change_keeps_a_small_thing_that_moves_and_compares_with_what_was_kept():
    rule = OnChange(4.0)
    still = np.full((120, 160), 100, dtype=np.uint8)
    with_hand = still.copy()
    with_hand[16:32, 24:40] = 130  # 4 of 300 squares
    assert rule.keeps(0, still)
    assert rule.keeps(1, with_hand)
    assert not rule.keeps(2, with_hand)
    assert rule.keeps(3, still)


def test_line_time_follows_the_advertised_shortest_frame():
    # raspberrypi/linux issue 5438: 206.65 and 103.33 frames/s of 480 + 32 lines
    assert line_time_ns("imx219", 480, 1e6 / 206.65) == pytest.approx(9451, abs=2)
    assert line_time_ns("imx219", 480, 1e6 / 103.33) == pytest.approx(18_902, abs=3)
    # imx708.c: 1296 + 40 lines of 7824 pixels at 585.6 MHz
    assert line_time_ns("imx708_wide_noir", 1296, 1336 * 7824 / 585.6) == pytest.approx(
        13_361, abs=1
    )


def test_line_time_comes_from_the_table_where_nothing_is_advertised():
    assert line_time_ns("imx219", 1232, None) == 18_904  # 3448 pixels at 182.4 MHz
    assert line_time_ns("imx477", 1520, 25_000.0) == 15_167  # 12740 at 840 MHz
    assert line_time_ns("virtual_noir", 480, None) is None


SHUTTER = Shutter(rows=480, line_time_ns=10_000)


def test_a_frame_is_stamped_at_middle_row_and_mid_exposure():
    timer = FrameTimer(SensorClock(0), SHUTTER, 200 * MS)
    metadata = {"SensorTimestamp": 5 * SECOND, "ExposureTime": 8000, "FrameDuration": 200_000}
    timing = timer.timing(metadata, 5 * SECOND + 30 * MS)
    # 5 s - 8 ms / 2 + 240 rows * 10 us
    assert timer.midpoint_ns(timing) == 5 * SECOND - 4 * MS + 2_400_000
    assert timing.unc_ns == 30_000


def test_a_missing_exposure_takes_the_value_asked_for_and_is_less_certain():
    timer = FrameTimer(SensorClock(0), SHUTTER, 200 * MS, exposure_ns=6 * MS)
    metadata = {"SensorTimestamp": 5 * SECOND, "FrameDuration": 200_000}
    timing = timer.timing(metadata, 5 * SECOND + 30 * MS)
    assert timing.exposure_ns == 6 * MS
    assert timing.unc_ns == pytest.approx(104_403, abs=1)  # sqrt(30^2 + 100^2) us


def test_a_missing_automatic_exposure_is_anything_up_to_a_frame():
    timer = FrameTimer(SensorClock(0), SHUTTER, 200 * MS)
    timing = timer.timing({"SensorTimestamp": 5 * SECOND, "FrameDuration": 200_000}, 6 * SECOND)
    assert timing.exposure_ns == 100 * MS
    # The middle lies anywhere in 100 ms: 100 / sqrt(12) = 28.9 ms
    assert timing.unc_ns == pytest.approx(28.87 * MS, rel=0.01)


def test_a_frame_without_stamp_is_placed_before_its_delivery():
    timer = FrameTimer(SensorClock(0), SHUTTER, 200 * MS)
    timing = timer.timing({"ExposureTime": 8000, "FrameDuration": 200_000}, 5 * SECOND)
    # 480 rows of 10 us are read, then 20 ms pass until the callback
    assert timing.sensor_ns == 5 * SECOND - 4_800_000 - 20 * MS
    assert not timing.is_stamped
    assert timing.unc_ns >= 20 * MS


def test_a_stamp_from_the_future_is_not_believed():
    timer = FrameTimer(SensorClock(0), SHUTTER, 200 * MS)
    assert not timer.timing({"SensorTimestamp": 6 * SECOND}, 5 * SECOND).is_stamped


def test_boottime_stamps_are_told_by_their_age_and_brought_to_monotonic():
    hour_ns = 3600 * SECOND
    clock = SensorClock(hour_ns)  # the machine has slept for an hour
    assert clock.to_monotonic_ns(5 * SECOND + hour_ns, 5 * SECOND + 30 * MS) == 5 * SECOND
    assert clock.base == "boottime"


def test_monotonic_stamps_stay_on_a_machine_that_has_slept():
    clock = SensorClock(3600 * SECOND)
    assert clock.to_monotonic_ns(5 * SECOND, 5 * SECOND + 30 * MS) == 5 * SECOND
    assert clock.base == "monotonic"


def test_exposures_are_converted_from_the_microseconds_of_a_fast_sensor():
    timer = FrameTimer(SensorClock(0), SHUTTER, 100 * MS)
    for k in range(200):  # its 100 ms are 97 of ours
        stamp_ns = SECOND + k * 97 * MS
        metadata = {"SensorTimestamp": stamp_ns, "ExposureTime": 10_000, "FrameDuration": 100_000}
        timing = timer.timing(metadata, stamp_ns + 30 * MS)
    assert timing.exposure_ns == pytest.approx(9.7 * MS, rel=1e-6)
    assert timing.frame_duration_ns == pytest.approx(97 * MS, rel=1e-6)


@pytest.mark.parametrize(("analogue", "digital", "expected"), [(2.0, 1.5, 3.0), (2.0, None, 2.0)])
def test_gain_is_analogue_times_digital(analogue, digital, expected):
    timer = FrameTimer(SensorClock(0), SHUTTER, 200 * MS)
    metadata = {"SensorTimestamp": SECOND, "AnalogueGain": analogue, "DigitalGain": digital}
    assert timer.timing(metadata, SECOND + MS).gain == expected
