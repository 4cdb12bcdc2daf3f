"""The simulated ADXL345 does what its data sheet says; registers are numbers on purpose."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from wban_collect.clock import VirtualClock
from wban_collect.errors import BusError
from wban_collect.simulation.adxl345 import SimulatedAdxl345
from wban_collect.simulation.bus import BusFaults, SimulatedI2CBus
from wban_collect.simulation.edges import SimulatedEdges
from wban_collect.simulation.world import ActivitySpan

G = 9.80665
MS = 1_000_000
MEASURE = bytes((0x2D, 0x08))
STANDBY = bytes((0x2D, 0x00))
FULL_RES_16G = bytes((0x31, 0x0B))
STREAM_16 = bytes((0x38, 0x90))
RATE_100_HZ = bytes((0x2C, 0x0A))


class CountingWorld:
    """x rises by 1/256 g every `period_ns` from the beginning; y and z as given, in g."""

    end_ns = None

    def __init__(self, period_ns: int = 10 * MS, y_g: float = 0.0, z_g: float = 1.0) -> None:
        self.period_ns = period_ns
        self.rest_g = (y_g, z_g)
        self.begun_ns: int | None = None
        self.n_calls = 0

    def begin(self, start_ns: int) -> None:
        if self.begun_ns is None:
            self.begun_ns = start_ns

    def acceleration(self, times_ns: NDArray[np.int64]) -> NDArray[np.float64]:
        assert self.begun_ns is not None
        self.n_calls += 1
        result = np.empty((len(times_ns), 3))
        result[:, 0] = (times_ns - self.begun_ns) / self.period_ns * (G / 256)
        result[:, 1:] = np.array(self.rest_g) * G
        return result

    def angular_rate(self, times_ns: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.zeros((len(times_ns), 3))

    def temperature(self, time_ns: int) -> NDArray[np.float64]:
        return np.zeros((24, 32))

    def infrared(self, time_ns: int, height: int, width: int) -> NDArray[np.uint8]:
        return np.zeros((height, width), dtype=np.uint8)

    def spans(self) -> list[ActivitySpan]:
        return []


class Rig:
    """A chip alone on a 400 kHz bus, without overhead, at time 0."""

    def __init__(self, *settings: bytes, world: CountingWorld | None = None, **options: object):
        self.world = world or CountingWorld()
        options = {"ideal": True, "keep_truth": True, **options}
        self.chip = SimulatedAdxl345(self.world, 1, **options)  # type: ignore[arg-type]
        self.clock = VirtualClock(0)
        self.bus = SimulatedI2CBus(self.clock, [self.chip], overhead_ns=0)
        self.write(*settings)

    def write(self, *settings: bytes) -> None:
        for setting in settings:
            self.bus.write(0x53, setting)

    def wire_int1(self) -> SimulatedEdges:
        edges = self.chip.int1 = SimulatedEdges(self.clock, self.chip)
        return edges

    def register(self, register: int) -> int:
        return self.bus.write_read(0x53, bytes((register,)), 1)[0]

    def sample(self) -> list[int]:
        data = self.bus.write_read(0x53, b"\x32", 6)
        return np.frombuffer(data, "<i2").tolist()

    def drain_x(self, n: int) -> list[int]:
        return [self.sample()[0] for _ in range(n)]

    def wait_for_samples(self, n: int) -> None:
        """Until just after sample n - 1 since Measure."""
        self.clock.sleep_until_ns(int(self.chip.latch_instants_ns(n - 1, 1)[0]))


def streaming(*more: bytes, world: CountingWorld | None = None, **options: object) -> Rig:
    return Rig(RATE_100_HZ, FULL_RES_16G, STREAM_16, *more, MEASURE, world=world, **options)


def test_power_on_values():
    rig = Rig()
    assert rig.register(0x00) == 0xE5
    assert rig.register(0x2C) == 0x0A
    assert rig.register(0x2D) == 0x00
    assert rig.register(0x30) == 0x02  # watermark 0 is always reached
    assert rig.register(0x39) == 0x00


def test_registers_keep_what_is_written_and_step_on():
    rig = Rig(bytes((0x1D, 0x11, 0x22, 0x33)))
    assert rig.bus.write_read(0x53, b"\x1d", 4) == b"\x11\x22\x33\x00"
    rig.write(bytes((0x00, 0xAA)), bytes((0x39, 0x3F)))
    assert (rig.register(0x00), rig.register(0x39)) == (0xE5, 0x00)  # read only


@pytest.mark.parametrize("code", range(16))
def test_rate_codes(code: int):
    rig = Rig(bytes((0x2C, code)), MEASURE)
    period_ns = np.diff(rig.chip.latch_instants_ns(0, 2))[0]
    assert period_ns == round(1e9 / (3200 / 2 ** (15 - code)))


def test_first_sample_comes_turn_on_time_and_a_period_after_measure_and_begins_the_world():
    rig = Rig(RATE_100_HZ)
    rig.write(MEASURE)
    # the write ends before the STOP bit of 2.5 us
    first_ns = rig.clock.monotonic_ns() - 2_500 + 1_100_000 + 10_000_000
    assert rig.world.begun_ns == first_ns
    assert rig.chip.latch_instants_ns(0, 3).tolist() == [
        first_ns,
        first_ns + 10_000_000,
        first_ns + 20_000_000,
    ]


def test_one_g_is_256_counts():
    rig = streaming(world=CountingWorld(y_g=-1.0, z_g=1.0))
    rig.wait_for_samples(1)
    assert rig.sample() == [0, -256, 256]


def test_each_read_takes_one_entry_in_order():
    rig = streaming()
    rig.wait_for_samples(5)
    assert rig.register(0x39) == 5
    assert rig.drain_x(3) == [0, 1, 2]
    assert rig.register(0x39) == 2
    assert rig.drain_x(2) == [3, 4]
    assert rig.register(0x39) == 0
    assert rig.drain_x(1) == [4]  # empty: the registers still hold the last one


def test_reading_any_part_of_the_data_takes_the_whole_entry():
    rig = streaming()
    rig.wait_for_samples(3)
    assert rig.bus.write_read(0x53, b"\x32", 1) == b"\x00"
    assert rig.bus.write_read(0x53, b"\x36", 2) == (256).to_bytes(2, "little")
    assert rig.drain_x(1) == [2]


def test_reading_on_to_0x39_tells_the_entries_left():
    rig = streaming()
    rig.wait_for_samples(5)
    data = rig.bus.write_read(0x53, b"\x32", 8)
    assert data[6] == 0x90
    assert data[7] == 4


def test_fill_level_is_that_of_the_instant_its_byte_is_read():
    rig = streaming()
    second_ns = int(rig.chip.latch_instants_ns(1, 1)[0])
    # 8 bytes from 0x32: byte 7 is taken 20 + 9 + 7 * 9 bits after the start: 230 us
    rig.clock.sleep_until_ns(second_ns - 229_000)
    assert rig.bus.write_read(0x53, b"\x32", 8)[7] == 1
    third_ns = int(rig.chip.latch_instants_ns(2, 1)[0])
    rig.sample()
    rig.clock.sleep_until_ns(third_ns - 231_000)
    assert rig.bus.write_read(0x53, b"\x32", 8)[7] == 0


def test_stream_mode_keeps_the_newest_33_and_shows_32():
    rig = streaming()
    rig.wait_for_samples(100)
    assert rig.register(0x39) == 32
    assert rig.register(0x30) == 0x83
    assert rig.drain_x(1) == [67]
    assert rig.register(0x39) == 32  # the one at the output filter moved in
    assert rig.drain_x(32) == list(range(68, 100))


def test_overrun_is_shown_while_the_fifo_is_full():
    rig = streaming()
    rig.wait_for_samples(31)
    assert rig.register(0x30) & 0x01 == 0
    rig.wait_for_samples(32)
    assert rig.register(0x30) & 0x01 == 1
    rig.sample()
    assert rig.register(0x30) & 0x01 == 0


def test_fifo_mode_stops_when_full_and_goes_on_when_there_is_room():
    rig = Rig(FULL_RES_16G, bytes((0x38, 0x50)), MEASURE)
    rig.wait_for_samples(50)
    assert rig.drain_x(33) == list(range(33))
    assert rig.register(0x39) == 0
    rig.wait_for_samples(52)
    assert rig.drain_x(2) == [50, 51]


def test_bypass_clears_the_fifo_and_standby_does_not():
    rig = streaming()
    rig.wait_for_samples(4)
    rig.write(STANDBY)
    assert rig.register(0x39) == 4
    rig.write(bytes((0x38, 0x00)), STREAM_16)
    assert rig.register(0x39) == 0


def test_nothing_is_sampled_in_standby():
    rig = streaming()
    rig.wait_for_samples(4)
    rig.write(STANDBY)
    rig.clock.sleep_until_ns(2_000 * MS)
    assert rig.register(0x39) == 4


def test_measuring_again_starts_the_clock_anew_but_not_the_world():
    rig = streaming()
    begun_ns = rig.world.begun_ns
    rig.write(STANDBY)
    rig.clock.sleep_until_ns(500 * MS)
    rig.write(MEASURE)
    assert rig.chip.latch_instants_ns(0, 1)[0] > 511 * MS
    assert rig.world.begun_ns == begun_ns


def test_bypass_mode_shows_the_newest_sample_and_overrun():
    rig = Rig(FULL_RES_16G, MEASURE)
    rig.wait_for_samples(1)
    assert rig.register(0x30) == 0x82
    assert rig.sample()[0] == 0
    assert rig.register(0x30) == 0x02
    rig.wait_for_samples(4)
    assert rig.register(0x30) == 0x83
    assert rig.sample()[0] == 3


@pytest.mark.parametrize(
    ("data_format", "counts"),
    [
        (0x00, 511),  # 10 bit, 2 g: saturated
        (0x01, 384),  # 3 g at 128 per g
        (0x02, 192),
        (0x03, 96),
        (0x08, 511),  # full resolution, 2 g: saturated
        (0x09, 768),
        (0x0B, 768),
        (0x05, 384 << 6),  # left justified, 10 bit
        (0x0F, 768 << 3),  # left justified, 13 bit
    ],
)
def test_formats_and_saturation(data_format: int, counts: int):
    world = CountingWorld(z_g=3.0)
    rig = Rig(bytes((0x31, data_format)), STREAM_16, MEASURE, world=world)
    rig.wait_for_samples(1)
    assert rig.sample()[2] == counts


def test_negative_saturation_is_one_lower():
    rig = streaming(world=CountingWorld(z_g=-40.0))
    rig.wait_for_samples(1)
    assert rig.sample()[2] == -4096


def test_lowest_bit_is_zero_at_1600_hz_in_full_resolution():
    world = CountingWorld(period_ns=625_000)
    rig = Rig(bytes((0x2C, 0x0E)), FULL_RES_16G, STREAM_16, MEASURE, world=world)
    rig.wait_for_samples(6)
    assert rig.drain_x(6) == [0, 0, 2, 2, 4, 4]


def test_offset_registers_add_15_6_mg_per_count():
    rig = streaming(bytes((0x1E, 0x02, 0xFF, 0x40)))
    rig.wait_for_samples(1)
    assert rig.sample() == [8, -4, 256 + 256]


def test_self_test_moves_every_axis_within_its_limits():
    rig = streaming()
    rig.wait_for_samples(1)
    plain = np.array(rig.sample())
    rig.write(bytes((0x31, 0x8B)))
    rig.wait_for_samples(2)
    x, y, z = np.array(rig.sample()) - plain
    assert 50 <= x <= 540
    assert -540 <= y <= -50
    assert 75 <= z <= 875


def test_a_broken_element_does_not_move():
    rig = streaming(self_test_works=False)
    rig.write(bytes((0x31, 0x8B)))
    rig.wait_for_samples(1)
    assert rig.sample() == [0, 0, 256]


def test_samples_already_taken_keep_their_format():
    rig = Rig(bytes((0x31, 0x00)), STREAM_16, MEASURE)
    rig.wait_for_samples(2)
    rig.write(bytes((0x31, 0x01)))
    rig.wait_for_samples(3)
    assert [rig.sample()[2] for _ in range(3)] == [256, 256, 128]


def test_given_offset_and_gain_errors_show():
    rig = streaming(
        ideal=False,
        noise=False,
        zero_g_offset_g=(0.0, 0.125, -0.25),
        gain_error=(0.0, 0.0, 0.5),
    )
    rig.wait_for_samples(1)
    assert rig.sample() == [0, 32, 384 - 64]


@pytest.mark.parametrize(("code", "sigma"), [(0x0A, 0.75), (0x0C, 1.5), (0x1A, 1.8)])
def test_noise_is_that_of_the_data_sheet(code: int, sigma: float):
    world = CountingWorld(y_g=0.5)
    zero = (0.0, 0.0, 0.0)
    rig = Rig(
        bytes((0x2C, code)),
        FULL_RES_16G,
        STREAM_16,
        MEASURE,
        world=world,
        ideal=False,
        zero_g_offset_g=zero,
        gain_error=zero,
    )
    y: list[int] = []
    for n in range(30, 1501, 30):
        rig.wait_for_samples(n)
        y += [rig.sample()[1] for _ in range(30)]
    # rounding adds 1/12 to the variance; 1500 values tell sigma within 6 %
    assert np.std(y) == pytest.approx(np.hypot(sigma, 12**-0.5), rel=0.06)
    assert np.mean(y) == pytest.approx(128.0, abs=0.15)


def test_seed_draws_typical_errors_and_draws_them_again():
    def first_sample(seed: int) -> list[int]:
        rig = streaming()
        rig.chip = SimulatedAdxl345(CountingWorld(), seed, noise=False)
        rig.bus = SimulatedI2CBus(rig.clock, [rig.chip])
        rig.write(FULL_RES_16G, STREAM_16, MEASURE)
        rig.wait_for_samples(1)
        return rig.sample()

    assert first_sample(7) == first_sample(7)
    assert first_sample(7) != first_sample(8)
    assert abs(first_sample(7)[0]) < 0.15 * 256


def test_watermark_edge_is_the_instant_of_the_entry_that_reached_it():
    rig = Rig(RATE_100_HZ, FULL_RES_16G, STREAM_16, bytes((0x2E, 0x02)))
    edges = rig.wire_int1()
    rig.write(MEASURE)
    rig.wait_for_samples(20)
    sixteenth_ns = int(rig.chip.latch_instants_ns(15, 1)[0])
    (edge_ns,) = edges.edges_ns()
    assert 20_000 <= edge_ns - sixteenth_ns < 5 * MS


def test_watermark_rises_again_only_after_it_was_left():
    rig = Rig(RATE_100_HZ, FULL_RES_16G, STREAM_16, bytes((0x2E, 0x02)))
    edges = rig.wire_int1()
    rig.write(MEASURE)
    rig.wait_for_samples(18)
    rig.drain_x(2)  # 16 are left: still high
    rig.wait_for_samples(21)
    assert len(edges.edges_ns()) == 1
    rig.drain_x(4)  # 15 are left: low
    rig.wait_for_samples(23)  # the 22nd is the 16th held
    again_ns = int(rig.chip.latch_instants_ns(21, 1)[0])
    (edge_ns,) = edges.edges_ns()
    assert 20_000 <= edge_ns - again_ns < 5 * MS


def test_int_map_leads_to_the_other_pin_and_int_enable_gates():
    rig = Rig(RATE_100_HZ, STREAM_16, bytes((0x2E, 0x02, 0x02)))
    first = rig.wire_int1()
    second = rig.chip.int2 = SimulatedEdges(rig.clock, rig.chip)
    rig.write(MEASURE)
    rig.wait_for_samples(18)
    assert (len(first.edges_ns()), len(second.edges_ns())) == (0, 1)
    assert rig.register(0x30) & 0x02
    off = Rig(RATE_100_HZ, STREAM_16)
    silent = off.wire_int1()
    off.write(MEASURE)
    off.wait_for_samples(18)
    assert silent.edges_ns() == []
    assert off.register(0x30) & 0x02  # shown though not enabled


def test_inverted_pin_rises_when_the_watermark_is_left():
    rig = Rig(RATE_100_HZ, bytes((0x31, 0x2B)), STREAM_16, bytes((0x2E, 0x02)))
    edges = rig.wire_int1()
    rig.write(MEASURE)
    rig.wait_for_samples(17)
    assert edges.edges_ns() == []
    rig.drain_x(2)
    left_ns = rig.clock.monotonic_ns()
    rig.clock.sleep_until_ns(left_ns + 5 * MS)
    (edge_ns,) = edges.edges_ns()
    assert abs(edge_ns - left_ns) < 5 * MS


def test_truth_tells_the_instant_of_every_sample_read_through_losses_and_restarts():
    rig = streaming()
    rig.wait_for_samples(40)
    rig.drain_x(33)
    expected = rig.chip.latch_instants_ns(7, 33).tolist()
    rig.write(STANDBY, MEASURE)
    rig.wait_for_samples(2)
    rig.drain_x(3)  # the third read finds nothing new
    expected += rig.chip.latch_instants_ns(0, 2).tolist()
    assert rig.chip.read_instants_ns().tolist() == expected


def test_clock_error_changes_the_true_rate():
    rig = streaming(ideal=False, clock_error=0.03)
    assert np.diff(rig.chip.latch_instants_ns(0, 2))[0] == round(10e6 / 1.03)


def test_unplugged_chip_loses_its_settings():
    rig = streaming()
    rig.bus = SimulatedI2CBus(
        rig.clock, [rig.chip], faults=BusFaults(unplugged_spans_ns={0x53: ((MS, 50 * MS),)})
    )
    rig.clock.sleep_until_ns(20 * MS)
    with pytest.raises(BusError) as caught:
        rig.register(0x00)
    assert caught.value.errno == 121
    rig.clock.sleep_until_ns(200 * MS)
    assert (rig.register(0x2D), rig.register(0x38), rig.register(0x39)) == (0, 0, 0)


def test_world_is_asked_in_batches():
    rig = streaming()
    for n in range(10, 1001, 10):
        rig.wait_for_samples(n)
        rig.drain_x(10)
    assert rig.world.n_calls <= 25  # 1000 samples, half a second each


def test_answers_from_1_1_ms_after_power():
    rig = Rig(power_on_ns=0)
    with pytest.raises(BusError):
        rig.register(0x00)
    rig.clock.sleep_until_ns(1_100_000)
    assert rig.register(0x00) == 0xE5
