"""What a person may write for a window, and the sentence where it is wrong."""

from __future__ import annotations

import pytest

from wban_dataset.errors import DatasetError
from wban_dataset.windows.window_rule import WindowRule, parse_duration_ns


def test_one_second_at_60_percent_overlap_goes_in_steps_of_exactly_400_ms():
    for overlap in (0.6, "0.6", "60%"):
        rule = WindowRule.parse("1s", overlap=overlap)
        assert (rule.length_ns, rule.stride_ns) == (1_000_000_000, 400_000_000)


def test_windows_without_overlap_lie_end_to_end():
    assert WindowRule.parse("2.56").stride_ns == 2_560_000_000


def test_a_stride_may_be_longer_than_the_window():
    assert WindowRule.parse("400ms", stride="1s").stride_ns == 1_000_000_000


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1s", 10**9), ("400ms", 4 * 10**8), ("2.5", 25 * 10**8), ("1 min", 6 * 10**10), ("7ns", 7)],
)
def test_durations(text, expected):
    assert parse_duration_ns(text, "window length") == expected


def test_required_coverage_is_rounded_up_and_exact():
    assert WindowRule(1_000_000_000, 1, min_coverage=0.9).required_ns == 900_000_000
    assert WindowRule(3, 1, min_coverage=0.5).required_ns == 2
    assert WindowRule(10, 1, min_coverage=1.0).required_ns == 10


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"window": "long"}, "window length: found 'long', expected a positive length"),
        ({"window": "0s"}, "window length: found '0s'"),
        ({"window": "0.5ns"}, "whole nanoseconds"),
        ({"window": "1s", "overlap": 1.0}, "window overlap: found '1.0', expected a share from 0"),
        ({"window": "1s", "overlap": -0.1}, "window overlap"),
        ({"window": "1s", "overlap": "half"}, "window overlap: found 'half'"),
        ({"window": "1s", "overlap": "1/0"}, "window overlap"),
        ({"window": "1s", "overlap": 0.5, "stride": "1s"}, "both an overlap (0.5) and a stride"),
        ({"window": "1s", "label_rule": "mode"}, "label rule: found 'mode', expected one of maj"),
        ({"window": "1s", "min_coverage": 0.0}, "minimum coverage: found 0, expected a share"),
        ({"window": "1s", "min_coverage": 1.5}, "minimum coverage: found 1.5"),
        ({"window": "1ns", "overlap": 0.9}, "window stride: found 0 ns"),
    ],
)
def test_what_cannot_be_used_is_refused_in_a_sentence(arguments, expected):
    with pytest.raises(DatasetError) as refused:
        WindowRule.parse(**arguments)
    assert expected in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_length_of_nothing_is_refused():
    with pytest.raises(DatasetError, match="window length: found 0 ns"):
        WindowRule(0, 1)
