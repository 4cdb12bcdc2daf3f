"""A list of subjects that others published, matched with the subjects that are there."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from wban_dataset.errors import DatasetError
from wban_dataset.splits.options import SplitOptions
from wban_dataset.splits.units import Units, named


def official_units(
    units: Units, options: SplitOptions
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Give the places in `units` of those who test and of those who are validated on.

    Raises
    ------
    DatasetError
        If nobody is listed, a subject is unknown, or one is listed twice.
    """
    if not options.official_test:
        raise DatasetError(
            "protocol official has no list of subjects, expected those to test on. Name them, or "
            "a file that lists them."
        )
    known = {*units.names, *units.without_windows}
    test = [matched(name, sorted(known)) for name in options.official_test]
    validation = [matched(name, sorted(known)) for name in options.official_validation]
    twice = sorted(name for name in known if (test + validation).count(name) > 1)
    if twice:
        raise DatasetError(
            f"the official list names {named(twice)} twice, expected each subject once: either "
            "to test or to validate on."
        )
    if not set(units.names) - {*test, *validation}:
        raise DatasetError(
            f"the official list takes all {len(units.names)} subjects for test and validation, "
            "expected some to be left to train on."
        )
    return _places(units, test), _places(units, validation)


def matched(name: str, known: Sequence[str]) -> str:
    """Find the subject that a list means: by name, or a bare number by the number in the name.

    Published lists often say 2 where the files say ``user02``.

    Raises
    ------
    DatasetError
        If there is none, or several.
    """
    if name in known:
        return name
    if name.isdecimal():
        numbers = {subject: re.findall(r"\d+", subject) for subject in known}
        found = [s for s, n in numbers.items() if len(n) == 1 and int(n[0]) == int(name)]
        if len(found) == 1:
            return found[0]
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"Did you mean {near[0]}?" if near else "Check the list."
    raise DatasetError(
        f"the official list names subject {name!r}, expected one of {named(known)}. {hint}"
    )


def _places(units: Units, names: Sequence[str]) -> NDArray[np.int64]:
    """Those without a labelled window have no place."""
    places = [units.names.index(name) for name in names if name in units.names]
    return np.array(sorted(places), dtype=np.int64)
