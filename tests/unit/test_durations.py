"""Lengths of time as people write them."""

from __future__ import annotations

import pytest

from wban_collect.durations import parse_duration, span


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("30", 30 * 10**9),
        ("250ms", 250 * 10**6),
        ("30s", 30 * 10**9),
        ("5min", 300 * 10**9),
        ("5 m", 300 * 10**9),
        ("1.5h", 5400 * 10**9),
        ("2d", 172_800 * 10**9),
        (" 1s ", 10**9),
    ],
)
def test_a_number_and_its_unit(text, nanoseconds):
    assert parse_duration(text) == nanoseconds


@pytest.mark.parametrize("text", ["", "0s", "-1s", "1e3s", "5 weeks", "366d", "9" * 5000, "1.s"])
def test_what_is_no_length_of_time_says_what_is(text):
    with pytest.raises(ValueError, match="expected a positive length of time such as 30s, 5min"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("duration_s", "said"),
    [
        (-1, "0 s"),
        (0, "0 s"),
        (59.9, "59 s"),
        (60, "1 min 0 s"),
        (3_600, "1 h 0 min"),
        (86_399, "23 h 59 min"),
        (86_400 * 12 + 3_600 * 5 + 1, "12 d 5 h"),
    ],
)
def test_a_span_is_said_in_its_two_largest_units(duration_s, said):
    assert span(duration_s) == said
