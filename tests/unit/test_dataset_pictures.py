"""Pictures at the size of a model."""

from __future__ import annotations

import numpy as np
import pytest

from wban_dataset.dataset.converted import distinct
from wban_dataset.dataset.pictures import infrared_at, thermal_at

UNKNOWN = -32768


def test_whole_blocks_are_averaged_and_halves_go_up():
    picture = np.array([[[0, 1, 10, 20], [2, 3, 30, 41]]], dtype=np.uint8)
    # (0 + 1 + 2 + 3) / 4 = 1.5, (10 + 20 + 30 + 41) / 4 = 25.25
    np.testing.assert_array_equal(infrared_at(picture, (1, 2)), [[[2, 25]]])


def test_many_bright_pixels_do_not_overflow():
    picture = np.full((1, 480, 640), 255, dtype=np.uint8)
    assert (infrared_at(picture, (1, 1)) == 255).all()
    assert (infrared_at(picture, (60, 80)) == 255).all()


def test_parts_of_pixels_count_by_their_area():
    picture = np.array([[[0, 90, 180]]], dtype=np.uint8)
    # Two new pixels of 1.5 old ones: (0 + 90 / 2) / 1.5 = 30, (90 / 2 + 180) / 1.5 = 150
    np.testing.assert_array_equal(infrared_at(picture, (1, 2)), [[[30, 150]]])


def test_a_picture_of_the_right_size_stays_as_it_is():
    picture = np.arange(12, dtype=np.uint8).reshape(1, 3, 4)
    assert infrared_at(picture, (3, 4)) is picture


def test_a_model_may_be_larger_than_the_sensor():
    picture = np.array([[[10, 200]]], dtype=np.uint8)
    np.testing.assert_array_equal(infrared_at(picture, (2, 4)), [[[10, 10, 200, 200]] * 2][0:1])


def test_unknown_temperatures_are_left_out():
    picture = np.array([[[2000, UNKNOWN], [2100, 2300]], [[UNKNOWN] * 2] * 2], dtype=np.int16)
    # (2000 + 2100 + 2300) / 3 = 2133.3
    np.testing.assert_array_equal(thermal_at(picture, (1, 1)), [[[2133]], [[UNKNOWN]]])


@pytest.mark.parametrize("step", [1, 2, 5])
def test_equal_neighbours_share_a_row_whatever_the_blocks(step):
    pictures = np.array([1, 1, 2, 2, 1, 1, 1], dtype=np.uint8).reshape(-1, 1, 1)
    segment = np.array([0, 0, 0, 0, 0, 1, 1], dtype=np.int32)
    blocks = (pictures[i : i + step] for i in range(0, len(pictures), step))
    found = list(distinct(blocks, segment))
    kept = np.concatenate([keep for _, keep in found])
    # 1, then 2, then 1 again; and 1 once more, since a gap lies between
    assert kept.tolist() == [True, False, True, False, True, True, False]
    assert np.concatenate([rows for rows, _ in found]).ravel().tolist() == [1, 2, 1, 1]
