"""What the thermal sensor and the infrared camera see of the simulated person."""

from __future__ import annotations

import numpy as np
import pytest

from wban_collect.simulation.body import Body, Limb
from wban_collect.simulation.scene import HEIGHT_M, LEFT_M, TOP_M, WIDTH_M, _axes, _Shape
from wban_collect.simulation.schedule import Schedule
from wban_collect.simulation.wearer import SimulatedWearer, SubjectParameters

SECOND_NS = 10**9


def wearer(*activities: str, seed: int = 4) -> SimulatedWearer:
    person = SimulatedWearer(
        SubjectParameters.draw(seed), Schedule.of([(a, 30.0) for a in activities]), seed
    )
    person.begin(0)
    return person


def warm_area(person: SimulatedWearer, t_s: float):
    """Rows and columns of pixels 3 degC above the room."""
    picture = person.temperature(int(t_s * SECOND_NS))
    return np.nonzero(picture > person.subject.room_c + 3.0)


def test_temperatures_lie_between_room_and_skin():
    person = wearer("standing")
    picture = person.temperature(10 * SECOND_NS)
    assert picture.shape == (24, 32)
    assert picture.dtype == np.float64
    room_c, skin_c = person.subject.room_c, person.subject.skin_c
    assert room_c - 4.0 < picture.min() < room_c
    assert skin_c - 3.0 < picture.max() <= skin_c + 0.01
    assert np.median(picture) == pytest.approx(room_c, abs=1.0)


def test_the_room_is_warmer_under_the_ceiling():
    picture = wearer("standing").temperature(10 * SECOND_NS)
    assert picture[0, :8].mean() > picture[18, :2].mean() + 0.5


def test_one_stands_tall_sits_lower_and_lies_flat():
    person = wearer("standing", "sitting", "sleeping")
    heights, widths = [], []
    for t_s in (15.0, 45.0, 75.0):
        rows, columns = warm_area(person, t_s)
        heights.append(int(np.ptp(rows)) + 1)
        widths.append(int(np.ptp(columns)) + 1)
    assert heights[0] >= 15  # 1.7 m of 2.4 m on 24 rows
    assert heights[0] > heights[1] > heights[2]
    assert heights[2] <= 7
    assert widths[2] > 1.5 * heights[2]


def test_between_sitting_and_standing_the_head_is_half_way_up():
    person = wearer("sitting", "standing")

    def head(t_s):
        return float(warm_area(person, t_s)[0].min())

    assert head(45.0) < head(30.0) < head(15.0)


def test_food_is_hot_while_eating_only():
    eating, sitting = wearer("eating"), wearer("sitting")
    skin_c = eating.subject.skin_c
    assert eating.temperature(10 * SECOND_NS).max() > skin_c + 2.0
    assert sitting.temperature(10 * SECOND_NS).max() <= skin_c + 0.01
    early, late = (eating.temperature(t * SECOND_NS).max() for t in (10, 600))
    assert late < early - 2.0  # the mug cools


def test_a_blanket_hides_the_sleepers_warmth():
    sleeping, standing = wearer("sleeping"), wearer("standing")
    limit_c = sleeping.subject.clothes_c - 1.5
    assert (sleeping.temperature(15 * SECOND_NS) > limit_c).sum() < (
        0.6 * (standing.temperature(15 * SECOND_NS) > limit_c).sum()
    )


def test_a_walker_crosses_the_picture():
    person = wearer("walking")
    centres = []
    for t_s in np.arange(5.0, 15.0, 0.1):
        _, columns = warm_area(person, float(t_s))
        if len(columns):
            centres.append(columns.mean())
    assert max(centres) - min(centres) > 15
    assert np.abs(np.diff(centres)).max() < 31


def test_both_cameras_see_the_body_at_the_same_place():
    person = wearer("standing", "sitting", "walking")
    empty = person._scene._view(240, 320).background
    in_view = [t_s for t_s in np.arange(63.0, 75.0, 0.5) if len(warm_area(person, t_s)[0]) > 60]
    assert in_view
    for t_s in (12.0, 42.0, in_view[0]):
        rows, columns = warm_area(person, t_s)
        picture = person.infrared(int(t_s * SECOND_NS), 240, 320)
        seen_rows, seen_columns = np.nonzero(np.abs(picture - empty) > 25)
        assert np.median(seen_columns) / 320 == pytest.approx((columns.mean() + 0.5) / 32, abs=0.06)
        assert np.median(seen_rows) / 240 == pytest.approx((rows.mean() + 0.5) / 24, abs=0.08)


@pytest.mark.parametrize(("height", "width"), [(120, 160), (240, 320), (480, 640), (90, 90)])
def test_pictures_have_the_size_asked_for(height, width):
    picture = wearer("standing").infrared(SECOND_NS, height, width)
    assert picture.shape == (height, width)
    assert picture.dtype == np.uint8
    assert 8 < picture.mean() < 120  # dark, with something in it


def test_the_light_falls_off_towards_the_corners():
    person = wearer("walking")
    view = person._scene._view(120, 160)
    assert view.light[60, 80] > 1.3 * view.light[0, 0]
    picture = person._scene._exposed(view.background.copy(), 5)
    assert picture[20:40, 60:90].mean() > picture[:10, :10].mean() + 5


def test_noise_is_the_instants_own():
    person, twin = wearer("standing"), wearer("standing")
    first = person.infrared(SECOND_NS, 120, 160)
    np.testing.assert_array_equal(first, twin.infrared(SECOND_NS, 120, 160))
    later = person.infrared(SECOND_NS + 1, 120, 160)  # nobody moves within 1 ns
    difference = later.astype(float) - first
    assert 1.5 < difference.std() / np.sqrt(2) < 5.0
    np.testing.assert_array_equal(first, person.infrared(SECOND_NS, 120, 160))


def test_pictures_are_the_callers_own():
    person = wearer("standing")
    first = person.temperature(SECOND_NS)
    copy = first.copy()
    first[:] = 99.0
    np.testing.assert_array_equal(person.temperature(SECOND_NS), copy)


def test_how_deep_a_pixel_lies_in_a_limb_by_hand():
    """A limb of radius 0.2 m from (0, 1) to (1, 1): depth is 1 - (distance / radius)^2."""
    limb = Limb("shirt", (0.0, 0.0, 1.0), (1.0, 0.0, 1.0), 0.2)
    x_m = np.array([0.5, 1.1, 1.3], dtype=np.float32)
    z_m = np.array([1.0, 1.1, 1.2], dtype=np.float32)
    depth = _Shape([limb], x_m, z_m).depth(slice(0, 1), slice(None), slice(None))[0]
    expected = [
        [1.0, 0.75, -1.25],  # on the axis; 0.1 and 0.3 m beyond the end
        [0.75, 0.5, -1.5],  # 0.1 m above
        [0.0, -0.25, -2.25],
    ]
    np.testing.assert_allclose(depth, expected, atol=1e-4)


def test_cover_is_half_at_the_edge_and_never_more_than_the_opacity():
    limb = Limb("blanket", (0.0, 0.0, 0.0), (1.0, 0.0, 0.0), 0.2, 0.7)
    x_m, z_m = np.array([0.5], dtype=np.float32), np.array([0.0, 0.2, 0.4], dtype=np.float32)
    shape = _Shape([limb], x_m, z_m)
    depth = shape.depth(slice(0, 1), slice(None), slice(None))
    cover = shape.cover(depth, slice(0, 1), 0.05)
    np.testing.assert_allclose(cover[0, :, 0], [0.7, 0.5, 0.0], atol=1e-4)


def test_pixels_fill_the_view_evenly():
    x_m, z_m = _axes(24, 32)
    np.testing.assert_allclose(x_m[[0, -1]], [LEFT_M + 0.05, LEFT_M + WIDTH_M - 0.05], atol=1e-6)
    np.testing.assert_allclose(z_m[[0, -1]], [TOP_M - 0.05, TOP_M - HEIGHT_M + 0.05], atol=1e-6)


def test_limbs_have_a_bodys_proportions():
    person = wearer("standing")
    height_m = person.subject.height_m
    limbs = [
        limb for group in Body(person.subject).limbs(person.pose(15 * SECOND_NS)) for limb in group
    ]
    top_m = max(max(limb.a[2], limb.b[2]) + limb.radius_m for limb in limbs)
    bottom_m = min(min(limb.a[2], limb.b[2]) - limb.radius_m for limb in limbs)
    assert top_m == pytest.approx(height_m, rel=0.04)
    assert bottom_m == pytest.approx(0.0, abs=0.08)
    assert sum(limb.part == "shoe" for limb in limbs) == 2
