"""Pictures, tested without their pixels: what is drawn, from what, and with which text."""

from __future__ import annotations

import numpy as np
import pytest

from wban_dataset.figures.overview import TimeAxis, envelope
from wban_dataset.figures.style import activity_colours

SECOND = 1_000_000_000


class OneStream:
    """A stream with a sample every second whose channels are n, -n and 0."""

    channels = ("x", "y", "z")

    def __init__(self, n):
        self.n = n
        self.monotonic_ns = np.arange(n) * SECOND

    def read(self, start_ns, stop_ns):
        index = np.flatnonzero((self.monotonic_ns >= start_ns) & (self.monotonic_ns < stop_ns))
        return np.stack([index, -index, 0 * index], axis=1).astype(float)


def test_envelope_keeps_the_extremes_of_each_stretch():
    stream = OneStream(8)  # 4 stretches of 2 s
    seconds, low, high = envelope(stream, TimeAxis(0, 8 * SECOND))
    assert seconds.tolist() == [1, 3, 5, 7]
    assert low[:, 0].tolist() == [0, 2, 4, 6]
    assert high[:, 0].tolist() == [1, 3, 5, 7]
    assert low[:, 1].tolist() == [-1, -3, -5, -7]


def test_envelope_is_nan_where_nothing_was_recorded():
    stream = OneStream(8)
    stream.monotonic_ns = np.concatenate([np.arange(4), np.arange(12, 16)]) * SECOND
    _, low, _ = envelope(stream, TimeAxis(0, 16 * SECOND))
    assert np.isnan(low[:, 0]).tolist() == [False, True, True, False]


def test_long_stream_is_read_in_pieces_with_the_same_result(monkeypatch):
    stream = OneStream(1000)
    whole = envelope(stream, TimeAxis(0, 1000 * SECOND))
    monkeypatch.setattr("wban_dataset.figures.overview.N_READ", 7)
    for one, other in zip(whole, envelope(stream, TimeAxis(0, 1000 * SECOND)), strict=True):
        np.testing.assert_array_equal(one, other)


def test_an_activity_has_the_same_colour_whatever_stands_beside_it():
    assert activity_colours(["eating"])["eating"] == activity_colours(["a", "eating"])["eating"]


@pytest.mark.parametrize("n", [1, 2, 3])
def test_envelope_of_a_very_short_stream(n):
    seconds, low, high = envelope(OneStream(n), TimeAxis(0, n * SECOND))
    assert len(seconds) == len(low) == len(high) >= 1
