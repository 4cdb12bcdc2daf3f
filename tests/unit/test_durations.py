"""Lengths of time as people write them."""

from __future__ import annotations

import pytest

from wban_collect.durations import parse_duration


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
