"""What BIDS calls things."""

from __future__ import annotations

import pytest

from wban_dataset.exports.bids_export import seconds
from wban_dataset.exports.bids_names import label_of, labels_of
from wban_dataset.exports.errors import ExportError


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("S01", "S01"),
        ("speak_and_walk", "speakAndWalk"),
        ("user-3", "user3"),
        ("wrist_accel", "wristAccel"),
        ("", "unknown"),
        ("__", "unknown"),
    ],
)
def test_labels_are_letters_and_digits(name, label):
    assert label_of(name) == label


def test_two_people_never_become_one():
    assert labels_of(["S-2", "S-1"], "subjects") == {"S-1": "S1", "S-2": "S2"}
    with pytest.raises(ExportError, match="subjects 'S-1' and 'S1' would both be 'S1'"):
        labels_of(["S1", "S-1"], "subjects")
    with pytest.raises(ExportError, match="'A' and 'a'"):
        labels_of(["A", "a"], "subjects")


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (0, "0.000000000"),
        (1, "0.000000001"),
        (-180939002, "-0.180939002"),
        (86_400_000_000_001, "86400.000000001"),
    ],
)
def test_nanoseconds_are_written_exactly(ns, text):
    assert seconds(ns) == text
