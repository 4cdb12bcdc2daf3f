"""What Adafruit's library lacks and the driver through it makes good."""

from __future__ import annotations

import numpy as np
import pytest

from tests.unit.scripted_mlx90640 import (
    BYTE_NS,
    MS,
    PERIOD,
    ScriptedChip,
    adafruit,
    blocks,
    gaps,
    numbers,
    record,
    set_before,
    start,
)
from wban_collect.clock import VirtualClock
from wban_collect.devices import mlx90640_adafruit
from wban_collect.devices.mlx90640_adafruit import AdafruitMlx90640
from wban_collect.errors import DeviceDataError, DeviceError, DeviceNotFoundError


@pytest.fixture
def chip() -> ScriptedChip:
    return ScriptedChip(VirtualClock(1_000 * MS))


def test_adafruit_reads_again_what_was_overtaken_and_that_is_a_torn_gap(chip):
    set_before(chip)
    device = adafruit(chip)
    start(device)
    got = record(device, chip, 3)
    n_before = len(chip.ready_ns)
    # Poll so late that the next subpage ends while the RAM is read.
    chip.clock.sleep_until_ns(chip.next_ready_ns + PERIOD - 20 * MS)
    got += record(device, chip, 4)
    (gap,) = gaps(got)
    assert (gap.cause, gap.n_missing) == ("torn", 1)
    assert numbers(got)[3] == n_before + 1
    for block in blocks(got):
        true_ns = chip.ready_ns[int(block.data[0, 1])]
        assert block.read.read_start_ns < true_ns <= block.read.read_end_ns


def test_adafruit_too_many_retries_become_a_data_error(chip):
    set_before(chip)
    device = adafruit(chip)
    start(device)
    chip.byte_ns = 5 * BYTE_NS  # each reading takes longer than a subpage
    with pytest.raises(DeviceDataError, match=r"Too many retries.*lower refresh_hz"):
        record(device, chip, 20)


def test_adafruit_status_loop_ends(chip):
    set_before(chip)
    device = adafruit(chip)
    start(device)
    record(device, chip, 2)
    chip.clock.sleep_until_ns(chip.next_ready_ns + 1 * MS)
    reading = device.read()
    assert next(reading) is None  # announced, not fetched yet
    chip.power_cycle()
    with pytest.raises(DeviceError, match="the chip restarted"):
        next(reading)


def test_adafruit_refuses_more_than_four_bad_pixels_with_advice(chip):
    chip.eeprom[[100, 200, 300, 400, 500]] |= 1
    with pytest.raises(DeviceDataError, match=r'More than 4 outlier.*driver = "mlx90640"'):
        start(adafruit(chip))


def test_adafruit_starts_any_number_of_cameras_with_bad_pixels(chip):
    chip.eeprom[[100, 200, 300]] |= 1
    for _ in range(3):
        start(adafruit(chip))


def test_adafruits_library_missing_is_said(chip, monkeypatch):
    monkeypatch.setattr(mlx90640_adafruit, "LIBRARY", "adafruit_mlx90640_that_is_not_there")
    with pytest.raises(DeviceNotFoundError, match="pip install adafruit-circuitpython-mlx90640"):
        start(AdafruitMlx90640("mlx90640", chip, chip.clock))


@pytest.mark.parametrize("word", [52, 54])
def test_adafruit_is_not_given_an_eeprom_that_it_never_finishes(chip, word):
    chip.eeprom[52 if word == 52 else [54, 55]] = 0
    if word == 54:
        chip.eeprom[64:] &= ~np.uint16(0x000E)
    with pytest.raises(DeviceDataError, match="would never return"):
        start(adafruit(chip))


def test_adafruit_cameras_do_not_share_parameters(chip):
    first, second = adafruit(chip), adafruit(chip)
    start(first)
    chip.eeprom[17] += 5  # offset average
    start(second)
    assert second._library.offset[0] == first._library.offset[0] + 5
