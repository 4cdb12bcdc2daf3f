"""What is asked of a split, and what comes back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, cast

from wban_dataset.errors import DatasetError
from wban_dataset.splits.fold import Fold


class Unit(StrEnum):
    """What never stands on two sides of a fold; what a result is independent of."""

    SUBJECT = "subject"
    SESSION = "session"
    DATE = "date"
    WINDOW = "window"
    """Nothing but the window itself: neighbours may share samples, sessions and subjects."""


@dataclass(frozen=True, slots=True)
class SplitOptions:
    """How windows are divided.

    Attributes
    ----------
    protocol
        A name in `protocols.PROTOCOLS`.
    folds
        How many, for group-kfold, session, date and random; None: 5, or as many as there are
        sessions or dates if these are fewer.
    n_test_subjects
        For lnso: how many people are left out together.
    official_test, official_validation
        For official: the people to test and to validate on; all others train.
    validation_fraction
        Share of the units that do not test which is taken for validation: at least one where at
        least two are left; 0 for none.
    purge_s
        For random: windows nearer than this to another role's become unused.
    stratified
        For group-kfold: folds of like shares of classes.
    """

    protocol: str = "loso"
    folds: int | None = None
    n_test_subjects: int = 2
    official_test: tuple[str, ...] = ()
    official_validation: tuple[str, ...] = ()
    validation_fraction: float = 0.15
    purge_s: float = 0.0
    stratified: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what no protocol can use.

        Raises
        ------
        DatasetError
            In a sentence.
        """
        if self.folds is not None and self.folds < 2:
            raise DatasetError(f"folds is {self.folds}, expected at least 2; choose more folds.")
        if self.n_test_subjects < 1:
            raise DatasetError(
                f"the number of people left out is {self.n_test_subjects}, expected at least 1."
            )
        if not 0 <= self.validation_fraction < 1:
            raise DatasetError(
                f"the validation fraction is {self.validation_fraction:g}, expected 0 up to "
                "below 1; 0.15 takes about a seventh."
            )
        if not 0 <= self.purge_s < float("inf"):
            raise DatasetError(f"the purge gap is {self.purge_s:g} s, expected 0 s or more.")
        if self.seed < 0:
            raise DatasetError(f"the seed is {self.seed}, expected 0 or more.")


@dataclass(frozen=True, slots=True)
class Split:
    """Folds, and what is to be said of them.

    Attributes
    ----------
    protocol, unit
        What the protocol is called, and what it keeps apart.
    warnings
        Sentences on what makes a fold weaker than it looks.
    description
        The content of ``splits.json``, except for ``leaky``.
    """

    protocol: str
    unit: Unit
    folds: list[Fold]
    warnings: tuple[str, ...]
    description: Mapping[str, Any]

    @property
    def independent(self) -> bool:
        """Whether the protocol claims that train and test are strangers."""
        return self.unit is not Unit.WINDOW

    def as_json(self, *, leaky: bool) -> dict[str, Any]:
        """Give the content of ``splits.json``, once the audit is done."""
        return {**self.description, "leaky": leaky}


def read_official_subjects(path: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Read the people to test on, and those to validate on, from a file.

    Either JSON, ``{"test": [...], "validation": [...]}``, or text: names of test subjects, by
    spaces, commas or lines; what follows a ``#`` is a remark.

    Raises
    ------
    DatasetError
        If it cannot be read, or names nobody.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(
            f"list of subjects {path}: it cannot be read ({error}), expected a text or JSON file."
        ) from error
    if text.lstrip().startswith("{"):
        test, validation = _from_json(path, text)
    else:
        lines = (line.partition("#")[0] for line in text.splitlines())
        test, validation = tuple(" ".join(lines).replace(",", " ").split()), ()
    if not test:
        raise DatasetError(
            f"list of subjects {path}: it names nobody to test on, expected at least one subject."
        )
    return test, validation


def _from_json(path: Path, text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    try:
        parts: Any = json.loads(text)
        return _names(parts.get("test", [])), _names(parts.get("validation", []))
    except (ValueError, TypeError) as error:
        raise DatasetError(
            f'list of subjects {path}: {error}; expected {{"test": ["S01", ...], '
            '"validation": [...]}.'
        ) from error


def _names(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise TypeError(f"{value!r} is no list of names")
    return tuple(str(name) for name in cast("Sequence[object]", value))
