"""Pictures and curves made of characters."""

from __future__ import annotations

import io

import numpy as np
import pytest
from rich.console import Console

from wban_collect.cli.colour_maps import N_LEVELS, grey_map, heat_colours, heat_map, srgb
from wban_collect.cli.terminal_pictures import BARS, Curve, Picture, enlarged, fitted

UNKNOWN = float("nan")


def coloured(renderable, width: int = 80) -> list[list[tuple[str, object, object]]]:
    """Characters of each line with their two colours."""
    console = Console(
        file=io.StringIO(), force_terminal=True, color_system="truecolor", width=width
    )
    lines = console.render_lines(renderable, pad=False)
    return [
        [(part.text, part.style.color, part.style.bgcolor) for part in line if part.style]
        for line in lines
    ]


def plain(renderable, width: int = 80) -> list[str]:
    """Text of each line where there are no colours."""
    console = Console(file=io.StringIO(), color_system=None, width=width)
    console.print(renderable)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def test_colours_of_heat_are_equally_far_apart_for_the_eye():
    steps = np.linalg.norm(np.diff(heat_colours(), axis=0), axis=1)
    assert steps.max() / steps.min() < 1.01


def test_hotter_is_brighter_also_without_colour_vision():
    assert (np.diff(heat_colours()[:, 0]) > 0).all()


def test_a_screen_can_show_all_colours_of_heat():
    rgb = srgb(heat_colours())
    assert rgb.min() >= 0
    assert rgb.max() <= 1


def test_white_and_black_of_oklab_are_white_and_black():
    np.testing.assert_allclose(
        srgb(np.array([[1.0, 0, 0], [0, 0, 0]])), [[1] * 3, [0] * 3], atol=1e-3
    )


def test_a_character_shows_two_pixels():
    heat = heat_map()
    (line,) = coloured(Picture(np.array([[10.0, 20.0], [20.0, 15.0]]), 10.0, 20.0, is_heat=True))
    middle = 32  # half of 63 levels, rounded
    assert line == [("▀", heat[0], heat[63]), ("▀", heat[63], heat[middle])]


def test_values_beyond_the_map_have_the_colour_of_its_end():
    grey = grey_map()
    (line,) = coloured(Picture(np.array([[-5.0], [500.0]]), 0.0, 255.0, is_heat=False))
    assert line == [("▀", grey[0], grey[N_LEVELS - 1])]


def test_an_unknown_pixel_has_a_colour_of_its_own():
    heat = heat_map()
    (line,) = coloured(Picture(np.array([[UNKNOWN], [1.0]]), 0.0, 1.0, is_heat=True))
    assert line == [("▀", heat[-1], heat[63])]
    assert heat[-1] not in heat[:-1]


def test_a_picture_all_of_one_value_is_drawn():
    assert plain(Picture(np.full((2, 3), 20.0), 20.0, 20.0, is_heat=True)) == ["   "]


def test_without_colours_brighter_is_denser():
    values = np.array([[0.0, 9.0, 9.0, UNKNOWN], [0.0, 9.0, 0.0, UNKNOWN]])
    # The third character is a bright pixel above a dark one: 4.5 of the ramp's 9 steps.
    assert plain(Picture(values, 0.0, 9.0, is_heat=True)) == [" @+?"]


def test_a_picture_is_shrunk_by_averaging_and_keeps_its_shape():
    values = np.arange(16.0).reshape(4, 4)
    # Squares of four: 0, 1, 4, 5 have the mean 2.5, and so on.
    assert fitted(values, 2, 2).tolist() == [[2.5, 4.5], [10.5, 12.5]]
    assert fitted(np.zeros((120, 160)), 24, 32).shape == (24, 32)
    assert fitted(np.zeros((90, 160)), 24, 32).shape == (18, 32)
    assert fitted(np.zeros((160, 120)), 24, 32).shape == (24, 18)


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (7, 200), (200, 7), (1080, 1920)])
def test_a_picture_of_any_shape_becomes_one_that_fits(shape):
    height, width = fitted(np.ones(shape), 24, 32).shape
    assert height <= 24
    assert width <= 32
    assert height % 2 == 0
    assert (fitted(np.ones(shape), 24, 32) == 1).all()


def test_a_small_picture_is_enlarged_pixel_by_pixel():
    assert enlarged(np.array([[1.0, 2.0]]), 2).tolist() == [[1, 1, 2, 2], [1, 1, 2, 2]]


def test_a_curve_uses_the_whole_height():
    assert plain(Curve([0, 1, 2, 3, 4, 5, 6], 0.1, 60)) == [BARS]


def test_mere_noise_is_a_flat_curve():
    # A tenth of the shortest span around its middle: all in the middle bar.
    assert plain(Curve([5.0, 5.05, 4.95, 5.0], 1.0, 60)) == [BARS[3] * 4]


def test_a_curve_shows_the_newest_that_there_is_room_for():
    assert plain(Curve([9, 9, 9, 0, 1, 2, 3, 4, 5, 6], 0.1, 60), width=7) == [BARS]
    assert plain(Curve([9, 9, 9, 0, 1, 2, 3, 4, 5, 6], 0.1, 7)) == [BARS]


def test_there_is_no_curve_where_nothing_is_known_or_no_room():
    assert "".join(plain(Curve([UNKNOWN, UNKNOWN], 1.0, 60))) == ""
    assert "".join(plain(Curve([1, 2, 3, 4, 5], 1.0, 60), width=3)) == ""
