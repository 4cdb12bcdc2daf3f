"""The simulated LIS3DH does what its data sheet says; registers are numbers on purpose."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from wban_collect.clock import VirtualClock
from wban_collect.errors import BusError
from wban_collect.simulation.bus import BusFaults, SimulatedI2CBus
from wban_collect.simulation.edges import SimulatedEdges
from wban_collect.simulation.lis3dh import SimulatedLis3dh
from wban_collect.simulation.world import ActivitySpan

G = 9.80665
MS = 1_000_000
RATE_100_HZ = bytes((0x20, 0x57))
POWER_DOWN = bytes((0x20, 0x07))
HIGH_RES_2G = bytes((0x23, 0x88))
FIFO_ON = bytes((0x24, 0x40))
BYPASS = bytes((0x2E, 0x00))
STREAM_16 = bytes((0x2E, 0x8F))  # the flag rises with one more than 15


class CountingWorld:
    """x rises by 4 mg every 10 ms from the beginning; y and z as given, in g."""

    end_ns = None

    def __init__(self, y_g: float = 0.0, z_g: float = 1.0) -> None:
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
        result[:, 0] = (times_ns - self.begun_ns) / (10 * MS) * 0.004 * G
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
        self.chip = SimulatedLis3dh(self.world, 1, **options)  # type: ignore[arg-type]
        self.clock = VirtualClock(0)
        self.bus = SimulatedI2CBus(self.clock, [self.chip], overhead_ns=0)
        self.write(*settings)

    def write(self, *settings: bytes) -> None:
        for setting in settings:
            self.bus.write(0x18, setting)

    def read(self, register: int, n_bytes: int = 1) -> bytes:
        """Read with the bit that makes the address step."""
        return self.bus.write_read(0x18, bytes((register | 0x80,)), n_bytes)

    def register(self, register: int) -> int:
        return self.read(register)[0]

    def samples(self, n: int) -> NDArray[np.int16]:
        """Words of n samples in one burst, (n, 3)."""
        return np.frombuffer(self.read(0x28, 6 * n), "<i2").reshape(-1, 3)

    def drain_x(self, n: int) -> list[int]:
        """Number of each sample: x rises by one step of 4 mg a sample."""
        return (self.samples(n)[:, 0] >> 6).tolist()

    def wait_for_samples(self, n: int) -> None:
        """Until just after the sample that is number n - 1 in the FIFO."""
        first = self.chip.fifo_first_sample
        self.clock.sleep_until_ns(int(self.chip.latch_instants_ns(first + n - 1, 1)[0]))


def streaming(*more: bytes, world: CountingWorld | None = None, **options: object) -> Rig:
    return Rig(HIGH_RES_2G, FIFO_ON, RATE_100_HZ, *more, STREAM_16, world=world, **options)


def test_power_on_values():
    rig = Rig()
    assert rig.register(0x0F) == 0x33
    assert rig.register(0x1E) == 0x10
    assert rig.register(0x20) == 0x07
    assert rig.read(0x21, 6) == bytes(6)
    assert rig.register(0x2E) == 0x00
    assert rig.register(0x2F) == 0x20  # empty


def test_the_address_steps_only_with_its_highest_bit_set():
    rig = Rig(bytes((0x20 | 0x80, 0x57, 0x11, 0x04)))
    assert rig.read(0x20, 3) == b"\x57\x11\x04"
    assert rig.bus.write_read(0x18, b"\x20", 3) == b"\x57\x57\x57"
    rig.write(bytes((0x21, 0x22, 0x33)))  # both into the same register
    assert rig.read(0x20, 3) == b"\x57\x33\x04"


def test_read_only_registers_stay():
    rig = Rig(bytes((0x0F, 0xAA)), bytes((0x28, 0xAA)), bytes((0x2F, 0xAA)))
    assert (rig.register(0x0F), rig.register(0x28), rig.register(0x2F)) == (0x33, 0x00, 0x20)


@pytest.mark.parametrize(
    ("control", "rate_hz"),
    [
        (0x17, 1),
        (0x27, 10),
        (0x37, 25),
        (0x47, 50),
        (0x57, 100),
        (0x67, 200),
        (0x77, 400),
        (0x8F, 1620),  # low power only
        (0x97, 1344),
        (0x9F, 5376),
    ],
)
def test_rate_codes(control: int, rate_hz: int):
    rig = Rig(bytes((0x20, control)))
    assert np.diff(rig.chip.latch_instants_ns(0, 2))[0] == round(1e9 / rate_hz)


@pytest.mark.parametrize("control", [0x07, 0x0F, 0x87, 0xA7])
def test_codes_that_sample_nothing(control: int):
    rig = Rig(bytes((0x20, control)))
    rig.clock.sleep_until_ns(1_000 * MS)
    assert rig.register(0x27) == 0x00


def test_the_world_begins_with_the_first_sample_in_the_fifo():
    rig = Rig(HIGH_RES_2G, FIFO_ON, RATE_100_HZ)
    rig.clock.sleep_until_ns(75 * MS)
    assert rig.world.begun_ns is None
    rig.write(STREAM_16)
    assert rig.world.begun_ns == rig.chip.latch_instants_ns(7, 1)[0]
    assert rig.chip.fifo_first_sample == 7


def test_one_g_is_1000_digits_of_twelve_bits_left_justified():
    rig = Rig(HIGH_RES_2G, RATE_100_HZ, world=CountingWorld(y_g=-1.0, z_g=1.0))
    rig.clock.sleep_until_ns(35 * MS)
    assert rig.samples(1).tolist() == [[0, -1000 << 4, 1000 << 4]]


def test_one_burst_drains_the_fifo_and_the_address_rolls_over():
    rig = streaming()
    rig.wait_for_samples(5)
    assert rig.register(0x2F) == 5
    assert rig.drain_x(5) == [0, 1, 2, 3, 4]
    assert rig.register(0x2F) == 0x20
    assert rig.drain_x(1) == [4]  # empty: the registers still hold the last one


def test_without_the_fifo_the_address_goes_on_behind_the_data():
    rig = Rig(HIGH_RES_2G, RATE_100_HZ, bytes((0x2E, 0x0F)))
    rig.clock.sleep_until_ns(35 * MS)
    assert rig.read(0x2C, 4)[2:] == b"\x0f\x20"


def test_a_burst_that_is_no_multiple_of_six_goes_on_where_it_ended():
    rig = streaming()
    rig.wait_for_samples(3)
    whole = Rig.read(rig, 0x28, 8)
    rest = rig.bus.write_read(0x18, b"", 10)
    words = np.frombuffer(whole + rest, "<i2").reshape(-1, 3)
    assert (words[:, 0] >> 6).tolist() == [0, 1, 2]


def test_reading_only_part_of_a_sample_keeps_it():
    rig = streaming()
    rig.wait_for_samples(3)
    assert rig.read(0x28, 2) == b"\x00\x00"
    assert rig.register(0x2F) == 3
    assert rig.read(0x2C, 2) == (1000 << 4).to_bytes(2, "little")  # the last of it: it is gone
    assert rig.drain_x(2) == [1, 2]


def test_the_fifo_keeps_the_ten_highest_bits():
    rig = streaming(world=CountingWorld(y_g=0.0035, z_g=-0.0035), ideal=False, noise=False,
                    zero_g_offset_g=(0, 0, 0), gain_error=(0, 0, 0))  # fmt: skip
    rig.wait_for_samples(8)
    words = rig.samples(8)
    # rint(3.5) is 4 digits, one step; -4 digits is one step down.
    assert words[7, 1:].tolist() == [4 << 4, -4 << 4]
    assert np.all(words & 0x3F == 0)


def test_bypass_shows_all_twelve_bits_and_what_was_overwritten():
    rig = Rig(HIGH_RES_2G, RATE_100_HZ, world=CountingWorld(z_g=0.0015))
    rig.clock.sleep_until_ns(15 * MS)
    assert rig.register(0x27) == 0x0F
    assert rig.samples(1)[0, 2] == 2 << 4  # rint(1.5)
    assert rig.register(0x27) == 0x00
    rig.clock.sleep_until_ns(45 * MS)
    assert rig.register(0x27) == 0xFF


def test_stream_mode_keeps_the_newest_32_and_counts_to_31():
    rig = streaming()
    rig.wait_for_samples(31)
    assert rig.register(0x2F) == 0x80 | 31
    rig.wait_for_samples(32)
    assert rig.register(0x2F) == 0x80 | 0x40 | 31
    rig.wait_for_samples(100)
    assert rig.register(0x2F) == 0x80 | 0x40 | 31
    assert rig.drain_x(1) == [68]
    assert rig.register(0x2F) == 0x80 | 31
    assert rig.drain_x(31) == list(range(69, 100))


def test_the_watermark_shows_with_one_more_than_the_threshold():
    rig = streaming()
    rig.wait_for_samples(15)
    assert rig.register(0x2F) == 15
    rig.wait_for_samples(16)
    assert rig.register(0x2F) == 0x80 | 16
    rig.drain_x(1)
    assert rig.register(0x2F) == 15


def test_fifo_mode_stops_when_full_and_bypass_empties_it():
    rig = Rig(HIGH_RES_2G, FIFO_ON, RATE_100_HZ, bytes((0x2E, 0x4F)))
    rig.wait_for_samples(50)
    assert rig.register(0x2F) == 0x80 | 0x40 | 31
    rig.write(BYPASS)
    assert rig.register(0x2F) == 0x20
    rig.write(bytes((0x2E, 0x4F)))
    rig.wait_for_samples(3)
    assert rig.register(0x2F) == 3


def test_a_mode_without_fifo_en_freezes_the_data():
    rig = Rig(HIGH_RES_2G, RATE_100_HZ)
    rig.clock.sleep_until_ns(15 * MS)
    before = rig.samples(1).tolist()
    rig.write(STREAM_16)
    rig.clock.sleep_until_ns(500 * MS)
    assert rig.register(0x2F) == 0x20
    assert rig.samples(1).tolist() == before
    rig.write(FIFO_ON)
    rig.clock.sleep_until_ns(545 * MS)
    assert rig.register(0x2F) == 4


def test_power_down_takes_no_samples_and_keeps_those_in_the_fifo():
    rig = streaming()
    rig.wait_for_samples(4)
    rig.write(POWER_DOWN)
    rig.clock.sleep_until_ns(2_000 * MS)
    assert rig.register(0x2F) == 4


@pytest.mark.parametrize(
    ("control_1", "control_4", "word"),
    [
        (0x57, 0x88, 1500 << 4),  # high resolution, 2 g
        (0x57, 0x98, 750 << 4),
        (0x57, 0xA8, 375 << 4),
        (0x57, 0xB8, 125 << 4),  # 12 mg
        (0x57, 0x80, 375 << 6),  # normal: 4 mg in 10 bits
        (0x5F, 0x80, 94 << 8),  # low power: 16 mg in 8 bits, rint(93.75)
    ],
)
def test_ranges_and_resolutions(control_1: int, control_4: int, word: int):
    rig = Rig(bytes((0x23, control_4)), bytes((0x20, control_1)), world=CountingWorld(z_g=1.5))
    rig.clock.sleep_until_ns(35 * MS)
    assert rig.samples(1)[0, 2] == word


def test_saturation_is_that_of_the_word():
    rig = Rig(HIGH_RES_2G, RATE_100_HZ, world=CountingWorld(y_g=-3.0, z_g=3.0))
    rig.clock.sleep_until_ns(35 * MS)
    assert rig.samples(1)[0, 1:].tolist() == [-2048 << 4, 2047 << 4]


def test_an_axis_that_is_off_reads_zero():
    rig = Rig(HIGH_RES_2G, bytes((0x20, 0x53)), world=CountingWorld(y_g=0.5, z_g=1.0))
    rig.clock.sleep_until_ns(35 * MS)
    assert rig.samples(1)[0, 1:].tolist() == [500 << 4, 0]


@pytest.mark.parametrize(("bits", "sign"), [(0x02, 1), (0x04, -1), (0x06, 0)])
def test_self_test_moves_every_axis_within_its_limits(bits: int, sign: int):
    rig = Rig(bytes((0x23, 0x80)), RATE_100_HZ)
    rig.clock.sleep_until_ns(35 * MS)
    plain = rig.samples(1)[0].astype(int)
    rig.write(bytes((0x23, 0x80 | bits)))
    rig.clock.sleep_until_ns(45 * MS)
    change = (rig.samples(1)[0] - plain) >> 6  # digits of 4 mg
    if sign:
        assert np.all((sign * change >= 17) & (sign * change <= 360))
    else:
        assert np.all(np.abs(change) <= 1)


def test_a_broken_element_does_not_move():
    rig = Rig(bytes((0x23, 0x80)), RATE_100_HZ, self_test_works=False)
    rig.clock.sleep_until_ns(35 * MS)
    plain = rig.samples(1)[0, 1:].tolist()
    rig.write(bytes((0x23, 0x82)))
    rig.clock.sleep_until_ns(45 * MS)
    assert rig.samples(1)[0, 1:].tolist() == plain


def test_high_resolution_takes_seven_samples_to_settle():
    zero = (0.0, 0.0, 0.0)
    rig = streaming(ideal=False, noise=False, zero_g_offset_g=zero, gain_error=zero)
    rig.wait_for_samples(9)
    z = rig.samples(9)[:, 2] >> 6
    # 1 g is 250 steps; each of the first six samples shows a seventh more.
    assert z.tolist() == [35, 71, 107, 142, 178, 214, 250, 250, 250]


@pytest.mark.parametrize(
    ("control_1", "control_4", "sigma_mg"),
    [
        (0x57, 0x88, 0.22 * (100 / 9) ** 0.5),  # 0.73
        (0x77, 0x88, 0.22 * (400 / 9) ** 0.5),  # 1.47
        (0x77, 0x80, 0.22 * 200**0.5),  # 3.11
    ],
)
def test_noise_is_that_of_the_data_sheet(control_1: int, control_4: int, sigma_mg: float):
    zero = (0.0, 0.0, 0.0)
    rig = Rig(
        bytes((0x23, control_4)),
        bytes((0x20, control_1)),
        ideal=False,
        zero_g_offset_g=zero,
        gain_error=zero,
    )
    z: list[int] = []
    for n in range(20, 1520):
        rig.clock.sleep_until_ns(int(rig.chip.latch_instants_ns(n, 1)[0]))
        z.append(int(rig.samples(1)[0, 2]) >> 4)
    # rounding to a digit adds 1/12 of its square to the variance; 1500 values tell sigma within 6 %
    digit_mg = 1 if control_4 & 0x08 else 4
    assert np.std(z) == pytest.approx(np.hypot(sigma_mg, digit_mg / 12**0.5), rel=0.06)


def test_seed_draws_typical_errors_and_draws_them_again():
    def first_sample(seed: int) -> list[int]:
        rig = Rig()
        rig.chip = SimulatedLis3dh(CountingWorld(), seed, noise=False)
        rig.bus = SimulatedI2CBus(rig.clock, [rig.chip])
        rig.write(HIGH_RES_2G, RATE_100_HZ)
        rig.clock.sleep_until_ns(200 * MS)
        return rig.samples(1)[0].tolist()

    assert first_sample(7) == first_sample(7)
    assert first_sample(7) != first_sample(8)
    assert abs(first_sample(7)[1]) <= 100 << 4


def test_watermark_edge_is_the_instant_of_the_sample_that_reached_it():
    rig = Rig(HIGH_RES_2G, FIFO_ON, bytes((0x22, 0x04)), RATE_100_HZ)
    edges = rig.chip.int1 = SimulatedEdges(rig.clock, rig.chip)
    rig.write(STREAM_16)
    rig.wait_for_samples(20)
    sixteenth_ns = int(rig.chip.latch_instants_ns(rig.chip.fifo_first_sample + 15, 1)[0])
    (edge_ns,) = edges.edges_ns()
    assert 20_000 <= edge_ns - sixteenth_ns < 5 * MS


def test_watermark_rises_again_only_after_it_was_left():
    rig = Rig(HIGH_RES_2G, FIFO_ON, bytes((0x22, 0x04)), RATE_100_HZ)
    edges = rig.chip.int1 = SimulatedEdges(rig.clock, rig.chip)
    rig.write(STREAM_16)
    rig.wait_for_samples(18)
    rig.drain_x(2)  # 16 are left: still high
    rig.wait_for_samples(21)
    assert len(edges.edges_ns()) == 1
    rig.drain_x(4)  # 15 are left: low
    rig.wait_for_samples(23)
    again_ns = int(rig.chip.latch_instants_ns(rig.chip.fifo_first_sample + 21, 1)[0])
    (edge_ns,) = edges.edges_ns()
    assert 20_000 <= edge_ns - again_ns < 5 * MS


@pytest.mark.parametrize(("enabled", "sample"), [(0x02, 31), (0x10, 0), (0x06, 15)])
def test_the_pin_follows_the_functions_that_are_enabled(enabled: int, sample: int):
    rig = Rig(HIGH_RES_2G, FIFO_ON, bytes((0x22, enabled)), RATE_100_HZ)
    edges = rig.chip.int1 = SimulatedEdges(rig.clock, rig.chip)
    rig.write(STREAM_16)
    rig.wait_for_samples(40)
    at_ns = int(rig.chip.latch_instants_ns(rig.chip.fifo_first_sample + sample, 1)[0])
    (edge_ns,) = edges.edges_ns()
    assert 20_000 <= edge_ns - at_ns < 5 * MS


def test_truth_tells_the_instant_of_every_sample_read_through_losses():
    rig = streaming()
    rig.wait_for_samples(40)
    rig.drain_x(33)  # the last read finds nothing new
    first = rig.chip.fifo_first_sample
    expected = rig.chip.latch_instants_ns(first + 8, 32).tolist()
    assert rig.chip.read_instants_ns().tolist() == expected


@pytest.mark.parametrize("clock_error", [-0.1, 0.1])
def test_clock_error_changes_the_true_rate(clock_error: float):
    rig = streaming(ideal=False, clock_error=clock_error)
    assert np.diff(rig.chip.latch_instants_ns(0, 2))[0] == round(10e6 / (1 + clock_error))


def test_unplugged_chip_loses_its_settings():
    rig = streaming()
    rig.bus = SimulatedI2CBus(
        rig.clock, [rig.chip], faults=BusFaults(unplugged_spans_ns={0x18: ((MS, 50 * MS),)})
    )
    rig.clock.sleep_until_ns(20 * MS)
    with pytest.raises(BusError) as caught:
        rig.register(0x0F)
    assert caught.value.errno == 121
    rig.clock.sleep_until_ns(200 * MS)
    assert (rig.register(0x20), rig.register(0x2E), rig.register(0x2F)) == (0x07, 0x00, 0x20)


def test_answers_from_5_ms_after_power():
    rig = Rig(power_on_ns=0)
    with pytest.raises(BusError):
        rig.register(0x0F)
    rig.clock.sleep_until_ns(5 * MS)
    assert rig.register(0x0F) == 0x33


def test_world_is_asked_in_batches():
    rig = streaming()
    for n in range(10, 1001, 10):
        rig.wait_for_samples(n)
        rig.drain_x(10)
    assert rig.world.n_calls <= 25  # 1000 samples, half a second each
