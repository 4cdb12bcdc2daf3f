"""The simulated MLX90640 does what the data sheet says, and its words decode to its scene."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from wban_collect.simulation.chip import ChipNack
from wban_collect.simulation.mlx90640 import SimulatedMlx90640
from wban_collect.simulation.mlx90640_eeprom import read_parameters, synthesise
from wban_dataset.recording.thermal import Calibration

MELEXIS = Path(__file__).parents[1] / "data" / "mlx90640" / "melexis_example.json"
MS = 1_000_000
BYTE_400_KHZ_NS = 22_500.0
BYTE_1_MHZ_NS = 9_000.0
STATUS, CONTROL, EEPROM, RAM = 0x8000, 0x800D, 0x2400, 0x0400
RATE_CODES = {0.5: 0, 1: 1, 2: 2, 4: 3, 8: 4, 16: 5, 32: 6, 64: 7}


class Room:
    """A world with one picture, which may grow warmer with time."""

    def __init__(self, scene_c=25.0, c_per_s=0.0):
        self.scene_c = np.broadcast_to(np.asarray(scene_c, float), (24, 32))
        self.c_per_s = c_per_s
        self.asked_ns = []

    def temperature(self, time_ns):
        self.asked_ns.append(time_ns)
        return self.scene_c + self.c_per_s * time_ns / 1e9


@pytest.fixture
def melexis_eeprom():
    if not MELEXIS.exists():
        pytest.skip("Melexis' example (shared/data/mlx90640) is not there")
    return np.array(json.loads(MELEXIS.read_text())["eeprom"], np.uint16)


def chip_of(world=None, seed=1, **options):
    options = {"noise": False, "warm_up": False, **options}
    return SimulatedMlx90640(world or Room(), seed, **options)


def read_words(chip, address, n_words, now_ns, byte_ns=BYTE_400_KHZ_NS):
    """Read as one transaction with a repeated start that begins at now_ns."""
    chip.write(address.to_bytes(2, "big"), now_ns)
    content = chip.read(2 * n_words, byte_ns, now_ns)
    chip.stop_condition()
    return np.frombuffer(content, ">u2").astype(np.uint16)


def read_word(chip, address, now_ns):
    return int(read_words(chip, address, 1, now_ns)[0])


def write_word(chip, address, word, now_ns):
    chip.write(address.to_bytes(2, "big") + word.to_bytes(2, "big"), now_ns)
    chip.stop_condition()


def control_word(rate_hz, *, chess=True, resolution=2, data_hold=False):
    return 1 | data_hold << 2 | RATE_CODES[rate_hz] << 7 | resolution << 10 | chess << 12


def frame(chip, now_ns):
    """Read everything that a driver records, at an instant (no transfer time)."""
    ram = read_words(chip, RAM, 832, now_ns, byte_ns=1e-6)
    return np.array(
        [*ram, read_word(chip, CONTROL, now_ns), read_word(chip, STATUS, now_ns) & 7], np.uint16
    )


def running_chip(world, rate_hz=16, **options):
    """Give a chip at a rate, and an instant at which several subpages of that rate are over."""
    chip = chip_of(world, **options)
    write_word(chip, CONTROL, control_word(rate_hz), 0)
    # 40 ms, then a subpage of 500 ms as at power-up; the next ones at the new rate.
    return chip, 540 * MS + round(6.5e9 / rate_hz)


# Registers and timing


def test_registers_after_power_up():
    chip = chip_of()
    assert read_word(chip, CONTROL, 0) == 0x1901  # chess, 18 bit, 2 Hz
    assert read_word(chip, STATUS, 0) & 0x0008 == 0
    assert chip.address == 0x33


def test_the_first_subpage_is_number_0_and_ready_40_ms_and_a_period_after_power_up():
    chip = chip_of(power_on_ns=1000 * MS)
    before, ready = 1540 * MS - 200_000, 1540 * MS
    assert read_word(chip, STATUS, before) & 0x000F == 0x0000
    assert read_word(chip, STATUS, ready) & 0x000F == 0x0008
    assert read_word(chip, STATUS, ready + 500 * MS) & 0x000F == 0x0009
    assert chip.subpage_end_ns(0) == 1540 * MS
    assert [subpage.number for subpage in chip.subpages] == [0, 1]


def test_data_ready_is_set_again_whether_or_not_it_was_cleared():
    chip = chip_of()
    assert read_word(chip, STATUS, 540 * MS) & 8
    write_word(chip, STATUS, 0x0030, 550 * MS)
    assert not read_word(chip, STATUS, 560 * MS) & 8
    assert read_word(chip, STATUS, 1040 * MS) & 0x000F == 0x0009
    assert read_word(chip, STATUS, 1540 * MS) & 0x000F == 0x0008  # nobody cleared it


def test_a_host_can_neither_set_data_ready_nor_the_subpage():
    chip = chip_of()
    write_word(chip, STATUS, 0xFFFF, 100 * MS)
    assert read_word(chip, STATUS, 110 * MS) == 0x0010


def test_a_change_of_rate_acts_after_the_running_subpage():
    chip = chip_of()
    write_word(chip, CONTROL, control_word(8), 600 * MS)
    read_word(chip, STATUS, 1300 * MS)
    # 40 + 500; then 500 still at 2 Hz, as it was running; then 125 each.
    assert chip.subpage_ends_ns.tolist() == [540 * MS, 1040 * MS, 1165 * MS, 1290 * MS]
    assert chip.subpage_middles_ns[2] == 1040 * MS + 125 * MS // 2


@pytest.mark.parametrize("error", [-0.02, 0.02])
def test_the_clock_error_shortens_or_lengthens_every_subpage(error):
    chip = chip_of(clock_error=error, power_on_ns=7)
    read_word(chip, STATUS, 100_000 * MS)
    k = np.arange(len(chip.subpages))
    expected = 7 + 40e6 + (k + 1) * 500e6 / (1 + error)
    assert np.abs(chip.subpage_ends_ns - expected).max() <= 1.0
    assert len(k) == int((100_000 - 40) / (500 / (1 + error)))


def test_the_clock_drifts_slowly():
    chip = chip_of(drift_ppm=200, drift_period_s=100)
    read_word(chip, STATUS, 200_000 * MS)
    periods = np.diff(chip.subpage_ends_ns)
    assert np.abs(periods / 500e6 - 1).max() == pytest.approx(200e-6, rel=0.01)
    assert np.abs(np.diff(periods / 500e6)).max() < 10e-6


def test_an_impossible_clock_is_refused():
    with pytest.raises(ValueError, match=r"clock with error -0\.5"):
        chip_of(clock_error=-0.5)


def test_a_repeated_subpage_is_measured_alone():
    chip = chip_of()
    write_word(chip, CONTROL, control_word(8) | 0x0008 | 1 << 4, 0)
    read_word(chip, STATUS, 1000 * MS)
    assert [subpage.number for subpage in chip.subpages] == [0, 1, 1, 1]


def test_what_a_subpage_measures_is_the_world_in_the_middle_of_its_integration():
    world = Room()
    chip = chip_of(world)
    read_word(chip, STATUS, 540 * MS)
    assert world.asked_ns == [290 * MS]


def test_it_does_not_matter_how_often_somebody_looks():
    eager, lazy = (chip_of(Room(c_per_s=3), noise=True, warm_up=True) for _ in range(2))
    for now_ns in range(0, 20_000 * MS, 100 * MS):
        read_word(eager, STATUS, now_ns)
    np.testing.assert_array_equal(frame(eager, 20_000 * MS), frame(lazy, 20_000 * MS))
    assert eager.subpages == lazy.subpages


def test_subpages_that_nobody_can_see_cost_no_picture():
    world = Room()
    chip, _ = running_chip(world)
    read_word(chip, STATUS, 600_000 * MS)
    assert len(chip.subpages) > 9000
    assert len(world.asked_ns) == 2


# Transfers


def test_without_a_repeated_start_the_address_is_lost():
    chip = chip_of()
    eeprom = read_words(chip, EEPROM, 4, 0)
    np.testing.assert_array_equal(eeprom, chip.eeprom[:4])
    chip.write(EEPROM.to_bytes(2, "big"), 0)
    chip.stop_condition()
    start_of_memory = np.frombuffer(chip.read(8, BYTE_400_KHZ_NS, 0), ">u2")
    np.testing.assert_array_equal(start_of_memory, read_words(chip, 0x0000, 4, 0))
    assert start_of_memory.tolist() != eeprom.tolist()


def test_a_read_goes_on_where_the_one_before_ended_in_the_same_transaction():
    chip = chip_of()
    chip.write(EEPROM.to_bytes(2, "big"), 0)
    chip.read(20, BYTE_400_KHZ_NS, 0)
    np.testing.assert_array_equal(
        np.frombuffer(chip.read(4, BYTE_400_KHZ_NS, 0), ">u2"), chip.eeprom[10:12]
    )


def test_the_eeprom_is_read_without_error_up_to_400_khz_only():
    chip = chip_of()
    np.testing.assert_array_equal(read_words(chip, EEPROM, 832, 0), chip.eeprom)
    fast = [read_words(chip, EEPROM, 832, 0, BYTE_1_MHZ_NS) for _ in range(20)]
    n_wrong = [np.unpackbits((words ^ chip.eeprom).view(np.uint8)).sum() for words in fast]
    assert 60 < sum(n_wrong) < 210  # 5e-4 of 20 * 13312 bits: 133
    assert sum(n > 0 for n in n_wrong) > 15


def test_the_ram_is_read_without_error_at_1_mhz():
    chip, now_ns = running_chip(Room())
    slow, fast = (
        read_words(chip, RAM, 100, now_ns, byte) for byte in (BYTE_400_KHZ_NS, BYTE_1_MHZ_NS)
    )
    np.testing.assert_array_equal(slow, fast)


def test_writes_to_the_eeprom_are_counted_and_do_nothing_unless_asked():
    protected, open_ = chip_of(), chip_of(eeprom_writable=True)
    before = protected.eeprom
    for chip in (protected, open_):
        write_word(chip, EEPROM + 100, 0xFFFF, 0)
    assert (protected.n_eeprom_writes, open_.n_eeprom_writes) == (1, 1)
    np.testing.assert_array_equal(protected.eeprom, before)
    assert open_.eeprom[100] == 0xFFFF


def test_an_unplugged_chip_does_not_acknowledge_and_starts_anew_when_it_is_back():
    chip = chip_of()
    write_word(chip, CONTROL, control_word(16), 0)
    chip.unplugged = True
    with pytest.raises(ChipNack):
        chip.write(b"\x80\x00", 1000 * MS)
    with pytest.raises(ChipNack):
        chip.read(2, BYTE_400_KHZ_NS, 1000 * MS)
    chip.unplugged = False
    chip.power_cycle(2000 * MS)
    assert read_word(chip, CONTROL, 2000 * MS) == 0x1901
    assert not read_word(chip, STATUS, 2539 * MS) & 8
    assert read_word(chip, STATUS, 2541 * MS) & 0x000F == 8
    assert not read_words(chip_of(), RAM, 832, 0).any()


def test_a_read_that_spans_the_end_of_a_subpage_is_torn():
    chip, _ = running_chip(Room(c_per_s=100.0), 8)
    read_word(chip, STATUS, 2000 * MS)
    end_ns = chip.subpage_end_ns(len(chip.subpages) - 1) + 125 * MS  # of the next subpage
    before = read_words(chip, RAM, 832, end_ns - 100, byte_ns=1e-6)
    # 832 words take 37.44 ms; the subpage ends after 300 words and the address byte.
    start_ns = end_ns - round(601 * BYTE_400_KHZ_NS)
    torn_chip, _ = running_chip(Room(c_per_s=100.0), 8)
    torn = read_words(torn_chip, RAM, 832, start_ns)
    after = read_words(torn_chip, RAM, 832, end_ns + 40 * MS, byte_ns=1e-6)
    np.testing.assert_array_equal(torn[:300], before[:300])
    np.testing.assert_array_equal(torn[300:], after[300:])
    assert (before[:300] != after[:300]).any()
    assert (before[300:768] != after[300:768]).any()


def test_only_the_pixels_of_the_subpage_that_ended_are_replaced():
    chip, _ = running_chip(Room(c_per_s=100.0), 8)
    row, column = np.indices((24, 32))
    previous = read_words(chip, RAM, 768, 3000 * MS, byte_ns=1e-6)
    number = (read_word(chip, STATUS, 3000 * MS) & 7) ^ 1
    now = read_words(chip, RAM, 768, 3125 * MS, byte_ns=1e-6)
    changed = (now != previous).reshape(24, 32)
    np.testing.assert_array_equal(changed, (row ^ column) & 1 == number)


def test_with_data_hold_a_frame_stays_until_overwriting_is_enabled():
    chip = chip_of(Room(c_per_s=100.0))
    write_word(chip, CONTROL, control_word(8, data_hold=True), 0)
    write_word(chip, STATUS, 0x0000, 1300 * MS)
    held = frame(chip, 1300 * MS)
    np.testing.assert_array_equal(frame(chip, 5000 * MS), held)
    assert not read_word(chip, STATUS, 5000 * MS) & 8
    write_word(chip, STATUS, 0x0010, 5000 * MS)
    assert read_word(chip, STATUS, 5200 * MS) & 8
    assert (frame(chip, 5200 * MS) != held).any()


def test_invalid_words_come_on_request():
    chip, now_ns = running_chip(Room(), 8)
    frame(chip, now_ns)
    chip.invalidate()
    bad = frame(chip, now_ns + 125 * MS)
    number = bad[833]
    row_starts = bad[:768:32] == 0x7FFF
    np.testing.assert_array_equal(row_starts, np.arange(24) % 2 == number)
    assert np.isnan(Calibration.from_eeprom(chip.eeprom).temperatures(bad[None])).all()
    good = frame(chip, now_ns + 375 * MS)
    assert not (good[:768:32] == 0x7FFF).any()


# What it measures


def picture_c():
    """Give a person of 33 degC before a wall of 19 to 23 degC, a window at 8 and a lamp at 75."""
    picture = np.broadcast_to(np.linspace(19, 23, 32), (24, 32)).copy()
    picture[4:22, 12:20] = 33.0
    picture[2:8, 26:31] = 8.0
    picture[0:2, 2:4] = 75.0
    return picture


def decoded(chip, rate_hz, world, emissivity, n_frames, control=None):
    """Decode frames after the first two subpages, while the scene rises by 1 degC in all.

    Returns
    -------
    error_c
        (n_frames, 24, 32), NaN where a row did not measure.
    """
    write_word(chip, CONTROL, control_word(rate_hz) if control is None else control, 0)
    period_ns = round(1e9 / rate_hz)
    calibration = Calibration.from_eeprom(chip.eeprom)
    row, column = np.indices((24, 32))
    errors = []
    for k in range(2, 2 + n_frames):
        now_ns = 540 * MS + k * period_ns + period_ns // 2
        words = frame(chip, now_ns)
        image = calibration.temperatures(words[None], emissivity=emissivity, fill=False)[0]
        chess = bool(words[832] & 0x1000)
        own = ((row ^ column) & 1 if chess else row & 1) == words[833]
        scene = world.scene_c + world.c_per_s * chip.subpages[-1].middle_ns / 1e9
        errors.append(np.where(own, image - scene, np.nan))
    return np.array(errors)


def lsb_c(parameters, scene_c):
    """Half a count in degC for every pixel: what rounding to words may cost."""
    slope = 4 * parameters.alpha.reshape(24, 32) * (scene_c + 273.15) ** 3
    return 0.5 / slope


@pytest.mark.parametrize("emissivity", [1.0, 0.95])
@pytest.mark.parametrize("sensor", ["made up", "Melexis", "with TGC"])
@pytest.mark.parametrize("chess", [True, False])
def test_a_decoded_frame_is_the_scene(sensor, emissivity, chess, request):
    eeprom = {
        "made up": lambda: synthesise(5),
        "with TGC": lambda: synthesise(6, tgc_code=16),
        "Melexis": lambda: request.getfixturevalue("melexis_eeprom"),
    }[sensor]()
    parameters = read_parameters(eeprom)
    world = Room(picture_c(), c_per_s=0.25)
    chip = chip_of(world, eeprom=eeprom, emissivity=emissivity)
    errors = decoded(chip, 16, world, emissivity, 64, control_word(16, chess=chess))
    errors[:, parameters.outlier.reshape(24, 32)] = np.nan
    # A word is rounded: a frame may be off by half a count's worth, up to 0.15 degC in a corner.
    bound = lsb_c(parameters, picture_c()) / emissivity / 0.9 + 0.02
    assert (np.nan_to_num(np.abs(errors)) < bound).all()
    # As the scene rises by several counts, rounding averages out over the frames.
    good = ~parameters.outlier.reshape(24, 32)
    mean = np.nanmean(errors[:, good], axis=0)
    assert np.abs(mean).max() < 0.05
    assert abs(mean.mean()) < 0.005


@pytest.mark.parametrize("resolution", range(4))
def test_supply_and_ambient_temperature_decode_in_every_resolution(resolution):
    chip = chip_of(ambient_c=21.0)
    write_word(chip, CONTROL, control_word(16, resolution=resolution), 0)
    raw = frame(chip, 1500 * MS)[None]
    calibration = Calibration.from_eeprom(chip.eeprom)
    # 8 degC over the surroundings, once warm; the resolution of Vbe is below 0.01 degC.
    assert calibration.ambient_c(raw)[0] == pytest.approx(29.0, abs=0.02)
    assert 3.25 < calibration.supply_v(raw)[0] < 3.35


def test_noise_is_as_the_data_sheet_says_and_grows_with_the_root_of_the_rate():
    spreads = {}
    for rate_hz in (0.5, 8):
        world = Room(25.0)
        chip = chip_of(world, noise=True, eeprom=synthesise(3, n_bad_pixels=0), emissivity=1.0)
        errors = decoded(chip, rate_hz, world, 1.0, 60)
        spreads[rate_hz] = np.nanstd(errors, axis=0)
        frames = frame(chip, 10**12), frame(chip, 10**12 + 10**10)
        assert (frames[0] != frames[1]).any()
    middle = spreads[8][8:16, 12:20].mean()
    assert middle == pytest.approx(0.4, rel=0.15)  # 0.1 * sqrt(8 / 0.5)
    assert spreads[8][0, 0] / middle > 1.7
    # At 0.5 Hz the rounding to words, 0.24 / sqrt(12) of a degree at most, adds to it.
    assert spreads[0.5][8:16, 12:20].mean() == pytest.approx(0.1, rel=0.25)


def test_a_cold_sensor_is_off_and_warms_up_within_four_minutes():
    world = Room(25.0)
    chip = chip_of(world, warm_up=True)
    calibration = Calibration.from_eeprom(chip.eeprom)

    def error_c(now_ns):
        rows = np.stack([frame(chip, now_ns + k * 500 * MS) for k in range(2)])
        return np.nanmean(calibration.temperatures(rows)[-1]) - 25.0

    start, warm = error_c(2000 * MS), error_c(240_000 * MS)
    assert start < -1.0
    assert abs(warm) < 0.05
    assert calibration.ambient_c(frame(chip, 250_000 * MS)[None])[0] == pytest.approx(32, abs=0.1)
    chip.power_cycle(300_000 * MS)
    assert error_c(302_000 * MS) == pytest.approx(start, abs=0.1)


def test_another_seed_is_another_sensor_and_the_same_seed_the_same():
    frames = [
        frame(chip_of(Room(), seed, noise=True, warm_up=True), 9000 * MS) for seed in (1, 1, 2)
    ]
    np.testing.assert_array_equal(frames[0], frames[1])
    assert (frames[0][:768] != frames[2][:768]).mean() > 0.9


# The EEPROM


def test_the_parameters_of_a_real_eeprom_are_the_vendors(melexis_eeprom):
    expected = json.loads(MELEXIS.read_text())["expected_parameters"]
    parameters = read_parameters(melexis_eeprom)
    assert parameters.k_vdd == expected["K_V_DD"]
    assert parameters.vdd_25 == expected["V_DD_25"]
    assert parameters.k_t_ptat == expected["K_T_PTAT"]
    assert parameters.alpha_ptat == expected["ALPHA_PTAT"]
    assert parameters.gain == expected["GAIN_EE"]
    assert parameters.offset_cp == tuple(expected["OFFSET_CP"])
    assert parameters.alpha_cp == pytest.approx(expected["ALPHA_CP"], rel=1e-6)
    assert parameters.corners_c.tolist() == expected["CORNER_TEMPERATURES"]
    np.testing.assert_allclose(parameters.offset, expected["OFFSET_REFERENCE_PIXELS"])
    np.testing.assert_allclose(parameters.alpha, expected["ALPHA_PIXELS"], rtol=1e-6)
    np.testing.assert_allclose(parameters.k_ta, expected["K_TA_PIXELS"], rtol=1e-4)
    np.testing.assert_allclose(parameters.k_v, expected["K_V_PIXELS"])


def test_made_up_sensors_are_plausible_and_all_different():
    eeproms = [synthesise(seed) for seed in range(30)]
    ids = {tuple(words[7:10].tolist()) for words in eeproms}
    assert len(ids) == 30
    n_bad = []
    for words in eeproms:
        parameters = read_parameters(words)
        alpha = parameters.alpha.reshape(24, 32)
        assert (alpha > 0).all()
        corners = alpha[[0, 0, 23, 23], [0, 31, 0, 31]].mean()
        assert 0.25 < corners / alpha[8:16, 12:20].mean() < 0.6
        assert parameters.chess_calibrated
        n_bad.append(int(parameters.outlier.sum()))
    assert set(n_bad) == {0, 1, 2}


def test_bad_pixels_of_a_made_up_sensor_never_touch():
    places = np.flatnonzero(read_parameters(synthesise(1, n_bad_pixels=4)).outlier)
    assert len(places) == 4
    for a, b in itertools.combinations(places.tolist(), 2):
        assert max(abs(a // 32 - b // 32), abs(a % 32 - b % 32)) > 1


def test_a_bad_pixel_stands_out_until_it_is_filled():
    chip, now_ns = running_chip(Room(25.0), eeprom=synthesise(1, n_bad_pixels=1), emissivity=0.95)
    rows = np.stack([frame(chip, now_ns + round(k * 1e9 / 16)) for k in range(2)])
    calibration = Calibration.from_eeprom(chip.eeprom)
    (bad,) = np.flatnonzero(read_parameters(chip.eeprom).outlier)
    raw = calibration.temperatures(rows, fill=False)[-1].ravel()
    filled = calibration.temperatures(rows)[-1].ravel()
    assert raw[bad] > 35
    assert filled[bad] == pytest.approx(25.0, abs=0.3)
