"""The MLX90640 drivers' paths that a healthy chip never takes, on a small scripted chip."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from tests.unit.scripted_mlx90640 import (
    BYTE_NS,
    MS,
    PERIOD,
    SERIAL,
    WANTED,
    ScriptedChip,
    adafruit,
    blocks,
    gaps,
    native,
    numbers,
    record,
    set_before,
    start,
)
from wban_collect.clock import VirtualClock
from wban_collect.devices.mlx90640_adafruit import AdafruitMlx90640
from wban_collect.devices.mlx90640_pace import SubpagePace
from wban_collect.errors import BusError, DeviceDataError, DeviceError, DeviceNotFoundError


@pytest.fixture
def chip() -> ScriptedChip:
    return ScriptedChip(VirtualClock(1_000 * MS))


# --- a healthy chip ---------------------------------------------------------------------------


def test_constructing_does_not_touch_the_bus(chip):
    native(chip)
    AdafruitMlx90640("mlx90640", chip, chip.clock)
    assert chip.clock.monotonic_ns() == 1_000 * MS


def test_after_power_up_two_subpages_are_dropped_and_the_instant_is_noted(chip):
    device = native(chip)
    start(device)
    got = record(device, chip, 14)
    assert numbers(got)[:3] == [2, 3, 4]
    assert not gaps(got)
    spec = device.streams[0]
    assert chip.writes[0] == (0x800D, WANTED)
    assert 1_000 * MS < spec.attributes["power_up_ns"] < 1_100 * MS
    assert spec.attributes["serial"] == device.identity.serial == SERIAL
    np.testing.assert_array_equal(spec.calibration["eeprom"], chip.eeprom)


def test_a_chip_that_is_set_up_already_is_used_at_once(chip):
    set_before(chip)
    device = native(chip)
    start(device)
    assert numbers(record(device, chip, 5)) == [0, 1, 2, 3, 4]
    assert device.streams[0].attributes["power_up_ns"] == 0


def test_blocks_hold_ram_control_and_subpage(chip):
    set_before(chip)
    device = native(chip, stream="chest_thermal")
    start(device)
    first, second, *_ = blocks(record(device, chip, 4))
    assert (first.stream, first.first_index, second.first_index) == ("chest_thermal", 0, 1)
    assert first.data.shape == (1, 834)
    assert first.data.dtype == np.dtype("<u2")
    np.testing.assert_array_equal(first.data[0, 2:832], chip.frames[0, 2:832])
    assert second.data[0, 832:].tolist() == [WANTED, 1]
    assert second.columns["subpage"].tolist() == [1]
    assert second.columns["subpage"].dtype == np.uint8


def test_evidence_brackets_every_subpage(chip):
    device = native(chip)
    start(device)
    for block in blocks(record(device, chip, 60)):
        true_ns = chip.ready_ns[int(block.data[0, 1])]
        assert block.read.read_start_ns < true_ns <= block.read.read_end_ns
        assert block.read.read_end_ns - block.read.read_start_ns < 40 * MS


def test_polls_are_few_and_not_locked_to_the_chip(chip):
    set_before(chip)
    device = native(chip)
    start(device)
    got = blocks(record(device, chip, 100))
    assert len(chip.status_polls_ns) < 9 * len(got)
    late_ms = [
        (block.read.read_end_ns - chip.ready_ns[int(block.data[0, 1])]) / MS for block in got
    ]
    assert min(late_ms) < 0.5
    assert max(late_ms) < 6
    assert np.ptp(late_ms) > 4


def test_no_stretch_between_two_yields_holds_the_bus_much_longer_than_3_ms(chip):
    device = native(chip)
    stretches = []
    began = chip.clock.monotonic_ns()
    for _ in device.start():
        stretches.append(chip.clock.monotonic_ns() - began)
        began = chip.clock.monotonic_ns()
    for _ in range(100):
        chip.clock.sleep_until_ns(device.next_due_ns())
        began = chip.clock.monotonic_ns()
        for _ in device.read():
            stretches.append(chip.clock.monotonic_ns() - began)
            began = chip.clock.monotonic_ns()
    assert max(stretches) < 3.7 * MS


def test_deadline_is_when_the_subpage_is_overwritten(chip):
    set_before(chip)
    device = native(chip)
    start(device)
    record(device, chip, 3)
    assert abs(device.deadline_ns() - (chip.ready_ns[-1] + 2 * PERIOD)) < 6 * MS
    chip.clock.sleep_until_ns(chip.next_ready_ns + 1 * MS)
    reading = device.read()
    next(reading)
    assert abs(device.deadline_ns() - (chip.ready_ns[-1] + PERIOD)) < 6 * MS


@pytest.mark.parametrize(
    ("settings", "control"),
    [
        ({"refresh_hz": 16.0}, 0x1A81),
        ({"adc_bits": 19}, 0x1E01),
        ({"pattern": "interleaved", "refresh_hz": 0.5, "adc_bits": 16}, 0x0001),
    ],
)
def test_settings_reach_the_control_register(chip, settings, control):
    start(native(chip, **settings))
    assert chip.control == control


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"refresh_hz": 10.0}, "allowed are 0.5, 1, 2, 4, 8, 16, 32, 64"),
        ({"adc_bits": 20}, "allowed are 16, 17, 18 and 19"),
        ({"pattern": "tv"}, "'chess' and 'interleaved'"),
        ({"emissivity": 0.0}, "emissivity"),
        ({"address": 0x80}, "0x08 to 0x77"),
    ],
)
def test_settings_that_the_chip_does_not_have_are_refused(chip, settings, text):
    with pytest.raises(ValueError, match=text):
        native(chip, **settings)


# --- losses -----------------------------------------------------------------------------------


def test_a_subpage_overwritten_while_it_is_read_is_a_torn_gap(chip):
    set_before(chip)
    device = native(chip)
    start(device)
    got = record(device, chip, 3)
    chip.byte_ns = 5 * BYTE_NS  # 80 kHz: the RAM takes 190 ms
    got += record(device, chip, 1)
    chip.byte_ns = BYTE_NS
    got += record(device, chip, 5)
    (gap,) = gaps(got)
    assert gap.cause == "torn"
    delivered = numbers(got)
    missing = sorted(set(range(delivered[-1] + 1)) - set(delivered))
    assert gap.n_missing == len(missing) > 0
    before, after = missing[0] - 1, missing[-1] + 1
    assert abs(gap.start_ns - chip.ready_ns[before]) < 6 * MS
    assert abs(gap.stop_ns - chip.ready_ns[after]) < 6 * MS
    assert [block.segment for block in blocks(got)] == [
        0 if number <= before else 1 for number in delivered
    ]
    assert [block.first_index for block in blocks(got)] == list(range(len(delivered)))


@pytest.mark.parametrize("n_periods", [1, 2, 3, 10])
def test_subpages_that_came_and_went_are_a_missed_gap(chip, n_periods):
    set_before(chip)
    device = native(chip)
    start(device)
    got = record(device, chip, 4)
    chip.clock.sleep_until_ns(chip.next_ready_ns + n_periods * PERIOD + 10 * MS)
    got += record(device, chip, 4)
    (gap,) = gaps(got)
    assert (gap.cause, gap.n_missing) == ("missed", n_periods)
    assert blocks(got)[-1].segment == 1


def test_a_repeated_subpage_is_noticed_although_the_time_fits(chip):
    set_before(chip)
    device = native(chip)
    start(device)
    got = record(device, chip, 4)
    chip.n_measured += 1  # the chip shows the same subpage again
    got += record(device, chip, 4)
    (gap,) = gaps(got)
    assert (gap.cause, gap.n_missing) == ("missed", 1)


def test_a_subpage_between_poll_and_clearing_is_not_taken_for_the_polled_one(chip, monkeypatch):
    set_before(chip)
    device = native(chip)
    start(device)
    got = record(device, chip, 3)
    clear = chip.write

    def late_write(address: int, data: bytes) -> None:
        chip.clock.sleep_until_ns(chip.next_ready_ns)
        monkeypatch.undo()
        clear(address, data)

    monkeypatch.setattr(chip, "write", late_write)
    got += record(device, chip, 5)
    (gap,) = gaps(got)
    assert (gap.cause, gap.n_missing) == ("missed", 2)
    for block in blocks(got):
        assert block.read.read_start_ns < chip.ready_ns[int(block.data[0, 1])]


def test_marked_words_are_an_invalid_data_gap(chip):
    set_before(chip)
    chip.marked_subpages = {3, 4}
    device = native(chip)
    start(device)
    got = record(device, chip, 8)
    (gap,) = gaps(got)
    assert (gap.cause, gap.n_missing) == ("invalid data", 2)
    assert numbers(got)[:4] == [0, 1, 2, 5]


def test_after_a_power_cycle_settings_are_written_again(chip, caplog):
    set_before(chip)
    device = native(chip)
    start(device)
    got = record(device, chip, 4)
    n_before = len(chip.ready_ns)
    chip.power_cycle()
    with caplog.at_level(logging.WARNING):
        got += record(device, chip, 20)
    assert "restarted" in caplog.text
    assert chip.control == WANTED
    (gap,) = gaps(got)
    assert gap.cause == "device restarted"
    # the subpage that showed the restart, and two more, were measured with other settings
    assert numbers(got)[4] == n_before + 3
    assert all(block.data[0, 832] == WANTED for block in blocks(got))
    assert blocks(got)[-1].segment == 1
    assert device.streams[0].attributes["power_up_ns"] > chip.ready_ns[n_before - 1]


def test_a_bus_error_is_raised_and_becomes_a_gap_after_the_next_start(chip):
    set_before(chip)
    device = native(chip)
    start(device)
    got = record(device, chip, 3)
    chip.errors = [BusError("broken off", 5)]
    with pytest.raises(BusError):
        record(device, chip, 1)
    chip.clock.sleep_until_ns(chip.clock.monotonic_ns() + 4 * PERIOD)
    start(device)
    got += record(device, chip, 4)
    (gap,) = gaps(got)
    assert gap.cause == "bus error"
    assert gap.n_missing == numbers(got)[3] - 3
    assert blocks(got)[3].segment == 1


def test_a_chip_that_stops_measuring_is_reported_in_time(chip):
    set_before(chip)
    device = native(chip)
    start(device)
    record(device, chip, 3)
    chip.running = False
    began = chip.clock.monotonic_ns()
    with pytest.raises(DeviceError, match=r"stalled, no new subpage .* expected one every 125 ms"):
        record(device, chip, 100)
    assert chip.clock.monotonic_ns() - began < 1_000 * MS + 4 * PERIOD
    chip.running = True
    start(device)
    assert gaps(record(device, chip, 3))[0].cause == "stalled"


def test_settings_that_do_not_hold_are_an_error(chip):
    chip.holds_settings = False
    with pytest.raises(DeviceError, match="reads 0x1901 after set-up, expected 0x1a01"):
        start(native(chip))


def test_a_short_answer_is_a_bus_error(chip, monkeypatch):
    monkeypatch.setattr(chip, "write_read", lambda *_: b"\x00")
    with pytest.raises(BusError, match="read 1 bytes from 0x800d, expected 2"):
        start(native(chip))


def test_stop_leaves_a_missing_chip_alone(chip):
    chip.errors = [BusError("gone", 121)] * 5
    native(chip).stop()


# --- who is there, and its EEPROM -------------------------------------------------------------


@pytest.mark.parametrize("make", [native, adafruit])
def test_nobody_at_the_address(chip, make):
    chip.errors = [BusError("not acknowledged", 121)]
    with pytest.raises(DeviceNotFoundError, match=r"0x33: nobody answers.*i2cdetect"):
        start(make(chip))


@pytest.mark.parametrize("make", [native, adafruit])
@pytest.mark.parametrize("word", [0x0000, 0xFFFF])
def test_an_empty_eeprom_is_refused(chip, make, word):
    chip.eeprom[:] = word
    with pytest.raises(DeviceDataError):
        start(make(chip))


def test_an_eeprom_without_a_device_id_is_refused(chip):
    chip.eeprom[7:10] = 0
    with pytest.raises(DeviceDataError, match="device id in the EEPROM is 000000000000"):
        start(native(chip))


def test_an_mlx90641_is_refused(chip):
    chip.eeprom[10] |= 0x0040
    with pytest.raises(DeviceNotFoundError, match="MLX90641"):
        start(native(chip))


def test_many_bad_pixels_are_reported_and_used(chip, caplog):
    set_before(chip)
    chip.eeprom[100:106] |= 1
    device = native(chip)
    start(device)
    assert "6 bad pixels, some touching" in caplog.text
    assert record(device, chip, 3)


def test_the_first_start_keeps_a_copy_of_two_equal_readings(chip, tmp_path):
    folder = tmp_path / "eeprom"
    start(native(chip, eeprom_folder=folder))
    (copy,) = folder.iterdir()
    assert copy.name == f"{SERIAL}.bin"
    np.testing.assert_array_equal(np.fromfile(copy, dtype="<u2"), chip.eeprom)


def test_two_readings_that_differ_are_not_kept(chip, tmp_path):
    chip.bad_eeprom_reads = 1
    with pytest.raises(DeviceDataError, match="1 of 832 EEPROM words differ between two readings"):
        start(native(chip, eeprom_folder=tmp_path))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("make", [native, adafruit])
def test_one_wrong_reading_is_read_again(chip, tmp_path, caplog, make):
    start(make(chip, eeprom_folder=tmp_path))
    chip.bad_eeprom_reads = 1
    device = make(chip, eeprom_folder=tmp_path)
    start(device)
    assert "read wrongly once" in caplog.text
    np.testing.assert_array_equal(device.streams[0].calibration["eeprom"], chip.eeprom)


@pytest.mark.parametrize("make", [native, adafruit])
def test_an_eeprom_that_differs_from_the_copy_twice_is_refused(chip, tmp_path, make):
    start(make(chip, eeprom_folder=tmp_path))
    chip.eeprom[300] ^= 0x0400
    with pytest.raises(DeviceDataError, match=f"1 of 832 .*{SERIAL}.bin.*remove that file"):
        start(make(chip, eeprom_folder=tmp_path))


def test_a_copy_of_another_size_is_replaced(chip, tmp_path, caplog):
    copy = tmp_path / f"{SERIAL}.bin"
    copy.write_bytes(b"short")
    start(native(chip, eeprom_folder=tmp_path))
    assert "5 bytes, expected 1664" in caplog.text
    assert copy.stat().st_size == 1664


def test_a_folder_that_cannot_be_written_costs_no_recording(chip, tmp_path, caplog):
    set_before(chip)
    blocked = tmp_path / "file"
    blocked.touch()
    device = native(chip, eeprom_folder=blocked / "eeprom")
    start(device)
    assert "cannot be" in caplog.text
    assert record(device, chip, 3)


@pytest.mark.parametrize("make", [native, adafruit])
@pytest.mark.parametrize("address", [0x2400, 0x240F, 0x273F])
def test_the_eeprom_is_never_written(chip, make, address):
    device = make(chip)
    start(device)
    with pytest.raises(ValueError, match="never written"):
        device._write_word(address, 0)
    assert all(not 0x2400 <= register <= 0x273F for register, _ in chip.writes)


# --- pace -------------------------------------------------------------------------------------


def test_pace_prefers_a_prediction_that_the_bounds_allow():
    pace = SubpagePace(100.0)
    pace.observe(0, 1_000)
    pace.observe(1_050, 1_150)
    assert pace.ready_ns == 1_100
    pace.observe(1_210, 1_250)
    assert pace.ready_ns == 1_210
    pace.observe(1_700, 1_820)  # after silence: five periods and a bit later
    assert pace.ready_ns == 1_810


@pytest.mark.parametrize(
    ("elapsed", "odd", "expected"),
    [
        (100, True, 1),
        (140, True, 1),
        (160, False, 2),
        (90, False, 2),
        (480, True, 5),
        (480, None, 5),
    ],
)
def test_pace_counts_periods_of_the_parity_that_subpages_tell(elapsed, odd, expected):
    pace = SubpagePace(100.0)
    pace.restart(1_000 + elapsed)
    assert pace.n_periods(1_000, odd=odd) == expected
