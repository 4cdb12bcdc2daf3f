"""Change points of signals whose changes are known."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from wban_dataset.labels import proposals

PERIOD_NS = 20_000_000
RATE_HZ = 50.0


def stream(values, segment=None, stamps=None):
    """As much of an accelerometer's stream as is looked at; values in m/s2, (n, 3)."""
    stamps = np.arange(len(values)) * PERIOD_NS if stamps is None else stamps

    def read(start_ns, stop_ns):
        return values[slice(*np.searchsorted(stamps, (start_ns, stop_ns)).tolist())]

    return SimpleNamespace(
        n=len(values),
        sampling_rate_hz=RATE_HZ,
        monotonic_ns=stamps,
        segment=np.zeros(len(values), np.uint16) if segment is None else segment,
        read=read,
    )


def standing_and_walking(changes_s, seconds, seed=1):
    """Quiet and lively in turn, (n, 3)."""
    rng = np.random.default_rng(seed)
    at_s = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    lively = np.searchsorted(changes_s, at_s, side="right") % 2
    values = rng.normal(0, 1, (len(at_s), 3)) * np.where(lively, 3.0, 0.02)[:, None]
    values[:, 2] += 9.8
    return values


def test_changes_are_found_to_a_bin():
    changes = [7.0, 19.0, 26.5]
    (edges,) = proposals.change_points(stream(standing_and_walking(changes, 40)))
    assert edges[0] == 0
    np.testing.assert_allclose(np.array(edges[1:-1]) / 1e9, changes, atol=0.2)


def test_a_gap_is_no_change_and_each_stretch_is_searched_alone():
    values = standing_and_walking([7.0, 27.0], 40)
    stamps = np.arange(len(values)) * PERIOD_NS
    stamps[1000:] += 60_000_000_000
    segment = (np.arange(len(values)) >= 1000).astype(np.uint16)
    first, second = proposals.change_points(stream(values, segment, stamps))
    np.testing.assert_allclose(np.array(first[1:-1]) / 1e9, [7.0], atol=0.2)
    np.testing.assert_allclose(np.array(second[1:-1]) / 1e9, [87.0], atol=0.2)
    assert second[0] == stamps[1000]


def test_a_stretch_that_is_too_short_has_no_proposal():
    assert proposals.change_points(stream(standing_and_walking([], 1.5))) == []
    assert proposals.change_points(stream(np.zeros((0, 3)))) == []


@pytest.mark.parametrize("changes", [[], [7.0, 19.0, 61.0, 200.0, 290.0]])
def test_searching_in_pieces_finds_what_one_search_finds(monkeypatch, changes):
    looked_at = stream(standing_and_walking(changes, 300))
    at_once = proposals.change_points(looked_at)
    monkeypatch.setattr(proposals, "MOST_BINS", 200)
    assert proposals.change_points(looked_at) == at_once
    assert len(at_once[0]) == len(changes) + 2
