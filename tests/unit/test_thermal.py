"""MLX90640 words to degC: against Melexis' values, Adafruit's calculation, and by hand."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from wban_collect.devices.mlx90640_adafruit import load_library
from wban_dataset.recording.thermal import (
    Calibration,
    ambient_temperatures,
    compose,
    temperatures,
)
from wban_dataset.recording.thermal_subpage import subpage_mask

EXAMPLE = Path(__file__).parents[1] / "data" / "mlx90640" / "melexis_example.json"

CONTROL, SUBPAGE = 832, 833
CHESS = 0x1000
CHESS_0 = subpage_mask("chess", 0)


@pytest.fixture(scope="module")
def example() -> dict[str, Any]:
    return json.loads(EXAMPLE.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def eeprom(example: dict[str, Any]) -> NDArray[np.uint16]:
    return np.array(example["eeprom"], dtype=np.uint16)


@pytest.fixture(scope="module")
def raw(example: dict[str, Any]) -> NDArray[np.uint16]:
    """Two subpages, 0 and 1, (2, 834)."""
    return np.array(example["frames"], dtype=np.uint16)


@pytest.fixture(scope="module")
def calibration(eeprom: NDArray[np.uint16]) -> Calibration:
    return Calibration.from_eeprom(eeprom)


def changed(words: NDArray[np.uint16], **values: int) -> NDArray[np.uint16]:
    """A copy with some words changed: ``w60=0x1234``."""
    copy = words.copy()
    for name, value in values.items():
        copy[..., int(name[1:])] = value
    return copy


# --- the vendor's example ---------------------------------------------------------------------


def test_temperatures_equal_the_vendors_example(calibration, raw, example):
    images = calibration.temperatures(raw, emissivity=example["emissivity"])
    first = np.array(example["expected_to_after_frame0"]).reshape(24, 32)
    second = np.array(example["expected_to_after_frame1"]).reshape(24, 32)
    assert images.dtype == np.float32
    np.testing.assert_allclose(images[0][CHESS_0], first[CHESS_0], atol=0.001, rtol=0)
    assert np.all(np.isnan(images[0][~CHESS_0]))
    np.testing.assert_allclose(images[1], second, atol=0.001, rtol=0)


def test_ambient_and_supply_equal_the_vendors_example(calibration, raw, example):
    vendor = example["vendor_library"]
    np.testing.assert_allclose(calibration.ambient_c(raw), vendor["ta"], atol=1e-5)
    np.testing.assert_allclose(ambient_temperatures(calibration, raw), vendor["ta"], atol=1e-5)
    np.testing.assert_allclose(calibration.supply_v(raw), vendor["vdd"], atol=1e-5)


def test_parameters_equal_the_vendors_example(calibration, example):
    expected = SimpleNamespace(**example["expected_parameters"])
    scalars = {
        "k_vdd": expected.K_V_DD,
        "vdd_25": expected.V_DD_25,
        "k_v_ptat": expected.K_V_PTAT,
        "k_t_ptat": expected.K_T_PTAT,
        "v_ptat_25": expected.V_PTAT_25,
        "alpha_ptat": expected.ALPHA_PTAT,
        "gain": expected.GAIN_EE,
        "k_v_cp": expected.K_V_CP,
        "k_ta_cp": expected.K_TA_CP,
        "resolution": expected.RESOLUTION_EE,
        "ks_ta": expected.K_S_TA,
        "alpha_cp": expected.ALPHA_CP,
        "offset_cp": expected.OFFSET_CP,
        "corner_temperatures_c": expected.CORNER_TEMPERATURES,
    }
    for name, value in scalars.items():
        np.testing.assert_allclose(getattr(calibration, name), value, rtol=5e-4, err_msg=name)
    np.testing.assert_allclose(calibration.ks_to, expected.K_S_TO, atol=5e-5)
    np.testing.assert_allclose(calibration.alpha.ravel(), expected.ALPHA_PIXELS, rtol=1e-9)
    np.testing.assert_array_equal(calibration.offset.ravel(), expected.OFFSET_REFERENCE_PIXELS)
    np.testing.assert_allclose(calibration.k_ta.ravel(), expected.K_TA_PIXELS, atol=1e-8)
    k_v = np.tile(calibration.k_v, (12, 16))
    np.testing.assert_allclose(k_v.ravel(), expected.K_V_PIXELS, atol=1e-8)


def test_device_id_is_words_7_to_9(calibration):
    # 5904, 41508 and 389 in hexadecimal
    assert calibration.device_id == "1710a2240185"
    assert calibration.within_specification


# --- Adafruit's own calculation ---------------------------------------------------------------


class AdafruitCalculation:
    """The library's parameters and formulae, without a chip."""

    def __init__(self, eeprom: NDArray[np.uint16]) -> None:
        pytest.importorskip("adafruit_bus_device", reason="Adafruit's library is not installed")
        self.module = load_library()
        lists = {"brokenPixels": [], "outlierPixels": []}
        camera_class = type("Camera", (self.module.MLX90640,), lists)
        self.camera = camera_class.__new__(camera_class)
        self.module.eeData[:] = eeprom.tolist()
        self.camera._ExtractParameters()

    def parameters(self, calibration: Calibration) -> Calibration:
        """The calibration with alpha, kta and kv rounded as the library rounds them."""
        camera = self.camera
        k_v = np.array(camera.kv, dtype=float).reshape(24, 32)[:2, :2] / 2**camera.kvScale
        return dataclasses.replace(
            calibration,
            alpha=1e-6 * 2**camera.alphaScale / np.array(camera.alpha).reshape(24, 32),
            k_ta=np.array(camera.kta, dtype=float).reshape(24, 32) / 2**camera.ktaScale,
            k_v=k_v,
        )

    def temperatures(self, row: NDArray[np.uint16], emissivity: float) -> NDArray[np.float64]:
        result = [float("nan")] * 768
        words = row.tolist()
        reflected = self.camera._GetTa(words) - 8
        self.camera._CalculateTo(words, emissivity, reflected, result)
        return np.array(result).reshape(24, 32)


def wide_scene(raw: NDArray[np.uint16], control: int, seed: int) -> NDArray[np.uint16]:
    """Four subpages whose pixels lie between about -40 and 400 degC at various Ta and Vdd."""
    rng = np.random.default_rng(seed)
    rows = np.repeat(raw[:1], 4, axis=0)
    pixels = np.concatenate(
        [rng.integers(-300, 300, (4, 384)), rng.integers(300, 5000, (4, 384))], axis=1
    )
    rows[:, :768] = rng.permuted(pixels, axis=1).astype(np.int16).view(np.uint16)
    rows[:, 800] += rng.integers(0, 25, 4).astype(np.uint16)
    rows[:, 810] += rng.integers(0, 100, 4).astype(np.uint16)
    rows[:, CONTROL] = control
    rows[:, SUBPAGE] = [0, 1, 0, 1]
    return rows


@pytest.mark.parametrize("pattern", ["chess", "interleaved"])
@pytest.mark.parametrize("tgc_word", [None, 0x0000, 0x2020, 0xF0E0])
def test_formulae_equal_adafruits_in_all_ranges(eeprom, raw, pattern, tgc_word):
    # Other KsTo in each range, and corners at 0, 60 and 140 degC, so that all are used.
    words = changed(eeprom, w61=0xF0E8, w62=0xE4F6, w63=0x2439)
    if tgc_word is not None:
        words = changed(words, w60=tgc_word)
    adafruit = AdafruitCalculation(words)
    calibration = adafruit.parameters(Calibration.from_eeprom(words))
    rows = wide_scene(raw, 0x0901 | (CHESS if pattern == "chess" else 0), seed=1)
    found = temperatures(calibration, rows, emissivity=0.95)
    for row, image in zip(rows, found, strict=True):
        expected = adafruit.temperatures(row, 0.95)
        np.testing.assert_array_equal(np.isnan(image), np.isnan(expected))
        np.testing.assert_allclose(image, expected, atol=0.001, rtol=0)
    assert np.nanmin(found) < -30
    assert np.nanmax(found) > 300


def test_single_precision_is_within_a_millidegree_from_minus_40_to_300(eeprom, raw):
    adafruit = AdafruitCalculation(eeprom)
    calibration = adafruit.parameters(Calibration.from_eeprom(eeprom))
    worst = 0.0
    for seed in range(5):
        rows = wide_scene(raw, 0x1901, seed)
        found = temperatures(calibration, rows, emissivity=0.95)
        for row, image in zip(rows, found, strict=True):
            worst = max(worst, float(np.nanmax(abs(image - adafruit.temperatures(row, 0.95)))))
    assert worst < 0.001


def test_rounding_of_the_librarys_parameters_is_the_only_difference(eeprom, raw, calibration):
    adafruit = AdafruitCalculation(eeprom)
    found = temperatures(calibration, raw, emissivity=0.95)
    for row, image in zip(raw, found, strict=True):
        np.testing.assert_allclose(image, adafruit.temperatures(row, 0.95), atol=0.001, rtol=0)


# --- rows and images --------------------------------------------------------------------------


def test_pixels_of_the_other_subpage_are_nan(calibration, raw):
    found = temperatures(calibration, raw)
    np.testing.assert_array_equal(np.isnan(found[0]), ~CHESS_0)
    np.testing.assert_array_equal(np.isnan(found[1]), CHESS_0)


def test_interleaved_rows_hold_whole_lines(calibration, raw):
    rows = changed(raw, w832=0x0901)
    found = temperatures(calibration, rows)
    assert not np.isnan(found[0, 0::2]).any()
    assert np.isnan(found[0, 1::2]).all()
    assert not np.isnan(found[1, 1::2]).any()


def test_other_half_is_kept_from_the_row_before(calibration, raw):
    rows = raw[[1, 0, 0, 1, 1]]
    halves = temperatures(calibration, rows)
    images = calibration.temperatures(rows)
    assert np.isnan(images[0][CHESS_0]).all()
    for i, (own, other) in enumerate([(1, None), (0, 0), (0, 0), (1, 2), (1, 2)]):
        mask = CHESS_0 if own == 0 else ~CHESS_0
        np.testing.assert_array_equal(images[i][mask], halves[i][mask])
        if other is not None:
            np.testing.assert_array_equal(images[i][~mask], halves[other][~mask])


def test_batches_give_what_the_whole_gives(calibration, raw):
    rng = np.random.default_rng(3)
    rows = raw[np.arange(301) % 2].copy()
    rows[:, :768] += rng.integers(0, 50, (301, 768)).astype(np.uint16)
    rows[150:, CONTROL] = 0x0901  # the pattern changes on the way
    whole = calibration.temperatures(rows)
    previous, parts = None, []
    for batch in np.array_split(rows, [1, 2, 66, 149, 200]):
        parts.append(calibration.temperatures(batch, previous=previous))
        previous = parts[-1][-1]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_no_rows_give_no_images(calibration):
    empty = np.empty((0, 834), dtype=np.uint16)
    assert calibration.temperatures(empty).shape == (0, 24, 32)
    assert calibration.ambient_c(empty).shape == (0,)


def test_compose_by_hand():
    halves = np.full((3, 24, 32), np.nan, dtype=np.float32)
    for i, value in enumerate([10, 20, 30]):
        halves[i][CHESS_0 if i % 2 == 0 else ~CHESS_0] = value
    images = compose(halves, np.array([0, 1, 0]))
    assert images[0, 0, 0] == 10
    assert np.isnan(images[0, 0, 1])
    assert (images[1, 0, 0], images[1, 0, 1]) == (10, 20)
    assert (images[2, 0, 0], images[2, 0, 1]) == (30, 20)
    again = compose(halves[2:], np.array([0]), previous=images[1])
    np.testing.assert_array_equal(again[0], images[2])


# --- invalid data -----------------------------------------------------------------------------


@pytest.mark.parametrize("word", [768, 776, 778, 800, 808, 810, 0, 64, 23 * 32 - 32])
def test_a_marked_word_makes_the_whole_row_nan(calibration, raw, word):
    rows = raw[[0, 1, 0]]
    rows[2, word] = 0x7FFF
    images = calibration.temperatures(rows)
    assert np.isnan(images[2][CHESS_0]).all()
    assert not np.isnan(images[2][~CHESS_0]).any()
    np.testing.assert_array_equal(np.isnan(calibration.ambient_c(rows)), [False, False, True])


def test_a_marked_row_start_of_the_other_subpage_does_not_matter(calibration, raw):
    rows = changed(raw[:1], w32=0x7FFF)
    assert not np.isnan(temperatures(calibration, rows)[0][CHESS_0]).any()


def test_an_invalid_half_stays_nan_until_it_is_measured_again(calibration, raw):
    rows = raw[[0, 1, 0, 1, 0]]
    rows[2, 800] = 0x7FFF
    images = calibration.temperatures(rows)
    assert np.isnan(images[3][CHESS_0]).all()
    assert not np.isnan(images[4]).any()


def test_negative_radicand_and_zero_gain_give_nan_without_a_warning(calibration, raw):
    rows = raw[[0, 0]]
    rows[0, 2] = np.uint16(0x10000 - 5000)  # far colder than 0 K
    rows[1, 778] = 0
    found = temperatures(calibration, rows)
    assert np.isnan(found[0, 0, 2])
    assert np.isfinite(found[0, 0, 0])
    assert np.isnan(found[1]).all()


def test_an_eeprom_of_zeros_gives_nan_and_only_bad_pixels(raw):
    calibration = Calibration.from_eeprom(np.zeros(832, dtype=np.uint16))
    assert calibration.bad_pixels.all()
    assert not calibration.within_specification
    assert np.isnan(calibration.temperatures(raw)).all()


@pytest.mark.parametrize("shape", [(834,), (2, 768), (2, 24, 32)])
def test_rows_of_another_shape_are_refused(calibration, shape):
    with pytest.raises(ValueError, match="834 words"):
        calibration.temperatures(np.zeros(shape, dtype=np.uint16))


@pytest.mark.parametrize("emissivity", [0.0, -1.0, 1.1, float("nan")])
def test_impossible_emissivities_are_refused(calibration, raw, emissivity):
    with pytest.raises(ValueError, match="emissivity"):
        calibration.temperatures(raw, emissivity=emissivity)


# --- options ----------------------------------------------------------------------------------


def test_reflected_temperature_is_ambient_less_eight_unless_stated(calibration, raw):
    default = temperatures(calibration, raw)
    stated = temperatures(calibration, raw, reflected_c=calibration.ambient_c(raw) - 8)
    np.testing.assert_allclose(stated, default, atol=1e-4)
    hot = calibration.temperatures(raw, reflected_c=60.0)
    # More of what arrives is then reflected: the object itself must be colder.
    assert np.all(hot[1] < calibration.temperatures(raw)[1])


def test_reflected_temperature_has_no_effect_at_emissivity_one(calibration, raw):
    cold, hot = (temperatures(calibration, raw, 1.0, reflected_c=c) for c in (0.0, 80.0))
    np.testing.assert_allclose(cold, hot, atol=1e-4)


def test_adc_resolution_scales_the_supply_word_only(calibration, raw):
    nineteen = raw[:1].copy()
    nineteen[:, CONTROL] = 0x1901 & ~0x0C00 | 0x0C00
    nineteen[:, 810] = (raw[0, 810].astype(np.int16) * 2).astype(np.uint16)
    np.testing.assert_allclose(calibration.supply_v(nineteen), calibration.supply_v(raw[:1]))
    np.testing.assert_array_equal(
        temperatures(calibration, nineteen), temperatures(calibration, raw[:1])
    )


def test_averaged_compensation_readings_smooth_the_same_subpage_only(eeprom, raw):
    calibration = Calibration.from_eeprom(changed(eeprom, w60=0xF020))  # TGC = 1
    rows = raw[[0, 1, 0, 1]]
    rows[2, 776] += 40  # one noisy reading of subpage 0's compensation pixel
    plain = temperatures(calibration, rows)
    smooth = temperatures(calibration, rows, cp_average=16)
    np.testing.assert_array_equal(smooth[[0, 1, 3]], plain[[0, 1, 3]])
    step = plain[2, 0, 0] - plain[0, 0, 0]
    half = smooth[2, 0, 0] - plain[0, 0, 0]
    assert half == pytest.approx(step / 2, rel=0.05)


# --- bad pixels -------------------------------------------------------------------------------


def with_bad(eeprom: NDArray[np.uint16], *pixels: tuple[int, int]) -> Calibration:
    words = eeprom.copy()
    for row, column in pixels:
        words[64 + 32 * row + column] |= 1
    return Calibration.from_eeprom(words)


def test_bad_pixel_is_the_median_of_its_diagonal_neighbours(eeprom, raw):
    calibration = with_bad(eeprom, (5, 7))
    plain = calibration.temperatures(raw, fill=False)[1]
    filled = calibration.temperatures(raw)[1]
    around = sorted(float(plain[r, c]) for r, c in [(4, 6), (4, 8), (6, 6), (6, 8)])
    assert filled[5, 7] == pytest.approx((around[1] + around[2]) / 2, abs=1e-5)
    others = np.ones((24, 32), dtype=bool)
    others[5, 7] = False
    np.testing.assert_array_equal(filled[others], plain[others])


def test_bad_pixels_at_the_rim_use_what_neighbours_there_are(eeprom, raw):
    calibration = with_bad(eeprom, (0, 0), (23, 31), (0, 10), (12, 31))
    plain = calibration.temperatures(raw, fill=False)[1]
    filled = calibration.temperatures(raw)[1]
    assert filled[0, 0] == plain[1, 1]
    assert filled[23, 31] == plain[22, 30]
    assert filled[0, 10] == pytest.approx((plain[1, 9] + plain[1, 11]) / 2)
    assert filled[12, 31] == pytest.approx((plain[11, 30] + plain[13, 30]) / 2)


def test_clones_with_many_touching_bad_pixels_are_reported_and_filled(eeprom, raw):
    calibration = with_bad(eeprom, (5, 5), (5, 6), (6, 6), (4, 4), (10, 10), (11, 11))
    assert calibration.bad_pixels.sum() == 6
    assert calibration.bad_pixel_neighbours
    assert not calibration.within_specification
    plain = calibration.temperatures(raw, fill=False)[1]
    filled = calibration.temperatures(raw)[1]
    # (4, 4) and (6, 6) are bad themselves: two good neighbours are left
    assert filled[5, 5] == pytest.approx((plain[4, 6] + plain[6, 4]) / 2)
    assert np.isfinite(filled).all()


def test_a_broken_pixel_is_a_bad_one(eeprom):
    words = eeprom.copy()
    words[64 + 100] = 0
    bad = Calibration.from_eeprom(words).bad_pixels
    assert np.argwhere(bad).tolist() == [[3, 4]]


def test_bad_pixel_in_interleaved_pattern_follows_the_flatter_side():
    images = np.zeros((1, 24, 32), dtype=np.float32)
    images[0, 2, 3:8] = [20, 21, 99, 30, 34]
    bad = np.zeros((24, 32), dtype=bool)
    bad[2, 5] = True
    filled = compose(images, np.array([0]), bad_pixels=bad, pattern="interleaved")
    # left rises by 1 per pixel, right falls by 4 towards the gap: the left line is carried on
    assert filled[0, 2, 5] == 22


def test_without_any_good_neighbour_a_bad_pixel_is_nan():
    images = np.zeros((1, 24, 32), dtype=np.float32)
    bad = np.zeros((24, 32), dtype=bool)
    bad[0, 0] = bad[1, 1] = True
    assert np.isnan(compose(images, np.array([0]), bad_pixels=bad)[0, 0, 0])
