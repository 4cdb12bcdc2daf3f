"""How windows are cut: length, stride, label rule, minimum coverage."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, Self, cast, get_args

from wban_dataset.errors import DatasetError

LabelRule = Literal["majority", "last", "centre", "pure", "drop-mixed"]
LABEL_RULES: tuple[str, ...] = get_args(LabelRule)
DEFAULT_MIN_COVERAGE = 0.9

_DURATION = re.compile(r"(?P<number>\d+(\.\d+)?)\s*(?P<unit>ns|us|ms|s|min|h)?\Z")
_UNIT_NS = {
    "ns": 1,
    "us": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "min": 60_000_000_000,
    "h": 3_600_000_000_000,
}


@dataclass(frozen=True, slots=True)
class WindowRule:
    """How windows are cut out of a session; docs/dataset-file.md says what each value means.

    Attributes
    ----------
    length_ns, stride_ns
        Of every window, and from one start to the next.
    label_rule
        ``majority``: the class that covers most of the window, where unlabelled time counts as one
        more class that loses a tie, and among classes the lower code wins it. ``last``, ``centre``:
        the class at the window's last nanosecond, at its middle. ``pure``: a window that one class
        does not cover whole is unlabelled. ``drop-mixed``: as ``pure``, and windows that are partly
        one thing and partly another are left out.
    min_coverage
        Share of the window that a stream has to cover to count as present, over 0 to 1.
    reference
        The stream whose stretches are cut; None: the first accelerometer.

    Raises
    ------
    DatasetError
        If a value is out of its range.
    """

    length_ns: int
    stride_ns: int
    label_rule: LabelRule = "majority"
    min_coverage: float = DEFAULT_MIN_COVERAGE
    reference: str | None = None

    def __post_init__(self) -> None:
        if self.length_ns < 1:
            raise DatasetError(
                f"window length: found {self.length_ns} ns, expected at least 1 ns; "
                "give one such as 1s."
            )
        if self.stride_ns < 1:
            raise DatasetError(
                f"window stride: found {self.stride_ns} ns, expected at least 1 ns; "
                "give one such as 0.4s, or an overlap under 1."
            )
        if self.label_rule not in LABEL_RULES:
            raise DatasetError(
                f"label rule: found {self.label_rule!r}, expected one of {', '.join(LABEL_RULES)}; "
                "choose one of them."
            )
        if not 0 < self.min_coverage <= 1:
            raise DatasetError(
                f"minimum coverage: found {self.min_coverage:g}, expected a share over 0 and up "
                "to 1; give one such as 0.9."
            )

    @classmethod
    def parse(
        cls,
        window: str,
        *,
        overlap: float | str | None = None,
        stride: str | None = None,
        label_rule: str = "majority",
        min_coverage: float = DEFAULT_MIN_COVERAGE,
        reference: str | None = None,
    ) -> Self:
        """Make a rule of what a person writes.

        Parameters
        ----------
        window, stride
            As ``1s``, ``400ms``, ``2.5``; a bare number is seconds.
        overlap
            Share of a window that the next one repeats, as 0.6 or ``60%``; instead of `stride`.
            Without either, windows lie end to end.

        Raises
        ------
        DatasetError
            If a text cannot be understood, or both `overlap` and `stride` are given.
        """
        length_ns = parse_duration_ns(window, "window length")
        if overlap is not None and stride is not None:
            raise DatasetError(
                f"windows: found both an overlap ({overlap}) and a stride ({stride}), expected one "
                "of them; leave one out."
            )
        if stride is not None:
            stride_ns = parse_duration_ns(stride, "window stride")
        else:
            stride_ns = round(length_ns * (1 - _share(overlap or 0, "window overlap")))
        rule = cast(LabelRule, label_rule)
        return cls(length_ns, stride_ns, rule, min_coverage, reference)

    @property
    def required_ns(self) -> int:
        """Least time of a window that a present stream covers."""
        required = Fraction(str(self.min_coverage)) * self.length_ns
        return max(1, -(-required.numerator // required.denominator))


def parse_duration_ns(text: str, what: str) -> int:
    """Parse a length of time to whole nanoseconds; a bare number is seconds.

    Parameters
    ----------
    what
        Begins the sentence where it is none.

    Raises
    ------
    DatasetError
        If it is none, or not a whole number of nanoseconds over 0.
    """
    match = _DURATION.match(text.strip())
    exact = Fraction(match["number"]) * _UNIT_NS[match["unit"] or "s"] if match else Fraction(0)
    if exact <= 0 or exact.denominator != 1:
        raise DatasetError(
            f"{what}: found {text[:40]!r}, expected a positive length of time of whole "
            "nanoseconds; write it as 1s, 400ms or 2.5s."
        )
    return int(exact)


def _share(value: float | str, what: str) -> Fraction:
    """Parse a share from 0 up to 1, exactly as it is written in decimals."""
    text = str(value).strip()
    try:
        share = Fraction(text[:-1]) / 100 if text.endswith("%") else Fraction(text)
    except (ValueError, ZeroDivisionError):
        share = Fraction(-1)
    if not 0 <= share < 1:
        raise DatasetError(
            f"{what}: found {text[:40]!r}, expected a share from 0 up to, not including, 1; "
            "write it as 0.6 or 60%."
        )
    return share
