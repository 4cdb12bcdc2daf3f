"""What a check found: well, doubtful, or wrong, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["ok", "warning", "failure"]


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's.

    Attributes
    ----------
    area
        What was looked at: ``configuration``, ``bus 1``, ``mpu6050``, ``disk``, ...
    remedy
        What to do; empty where all is well.
    """

    area: str
    verdict: Verdict
    text: str
    remedy: str = ""


def ok(area: str, text: str) -> Finding:
    """Say that all is well."""
    return Finding(area, "ok", text)


def warning(area: str, text: str, remedy: str) -> Finding:
    """Say that it will record, but not as well as it could."""
    return Finding(area, "warning", text, remedy)


def failure(area: str, text: str, remedy: str) -> Finding:
    """Say that it will not record."""
    return Finding(area, "failure", text, remedy)


def sentences(area: str, error: Exception) -> Finding:
    """Make a failure of an error, whose text names the thing first and the next step last."""
    text, _, remedy = str(error).partition(". ")
    return failure(area, text, remedy or "see 'wban-collect -v doctor'")
