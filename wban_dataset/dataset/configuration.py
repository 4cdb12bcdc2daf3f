"""What a dataset is made like: the options of ``wban-dataset build``, and ``study.toml``."""

from __future__ import annotations

import difflib
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from wban_dataset.errors import DatasetError
from wban_dataset.splits.options import SplitOptions
from wban_dataset.windows.window_rule import WindowRule

Protocol = Literal["loso", "lnso", "group-kfold", "session", "date", "official", "random"]
LabelRule = Literal["majority", "last", "centre", "pure", "drop-mixed"]
Fraction = Annotated[float, msgspec.Meta(ge=0, le=1)]
Positive = Annotated[float, msgspec.Meta(gt=0)]
Pixels = Annotated[int, msgspec.Meta(ge=1, le=4096)]
Count = Annotated[int, msgspec.Meta(ge=0)]


class StudyConfiguration(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How sessions become a dataset; no key tells where or when.

    Attributes
    ----------
    name, description, licence, citation
        For the card; "" where nothing is known.
    window, overlap, stride
        Length of a window, e.g. ``1s``, and either the share that two neighbours have in common or
        the step from one to the next; `stride` prevails where it is given.
    label_rule, min_coverage, reference
        See docs/dataset-file.md.
    classes
        Names of the classes in the order of their codes; all labels found, sorted, where empty.
    unlabelled
        Keep windows without a label; no fold uses them.
    calibrate
        Apply the calibration that ``wban-dataset hygiene`` wrote beside a session.
    rate
        Hz that all motion streams are resampled to; None: each keeps its own.
    thermal_size, infrared_size
        Height and width that pictures are averaged to.
    protocol, folds, n_test_subjects, validation_fraction, purge_s, seed
        See `splits.options.SplitOptions`.
    test_subjects, validation_subjects
        For the protocol ``official``.
    """

    name: str = ""
    description: str = ""
    licence: str = ""
    citation: str = ""
    window: str = "1s"
    overlap: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.6
    stride: str = ""
    label_rule: LabelRule = "majority"
    min_coverage: Fraction = 0.9
    reference: str = ""
    classes: tuple[str, ...] = ()
    unlabelled: bool = False
    calibrate: bool = False
    rate: Positive | None = None
    thermal_size: tuple[Pixels, Pixels] = (24, 32)
    infrared_size: tuple[Pixels, Pixels] = (60, 80)
    protocol: Protocol = "loso"
    folds: Annotated[int, msgspec.Meta(ge=2)] | None = None
    n_test_subjects: Annotated[int, msgspec.Meta(ge=1)] = 2
    test_subjects: tuple[str, ...] = ()
    validation_subjects: tuple[str, ...] = ()
    validation_fraction: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.15
    purge_s: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    seed: Count = 0

    def as_json(self) -> dict[str, Any]:
        """Give plain values for the manifest."""
        return msgspec.to_builtins(self)

    def changed(self, **options: Any) -> StudyConfiguration:
        """Give the same with other values; None leaves a key as it is.

        Raises
        ------
        DatasetError
            If a value is not allowed.
        """
        given = {name: value for name, value in options.items() if value is not None}
        return _converted("options", self.as_json() | given)


def window_rule(study: StudyConfiguration) -> WindowRule:
    """Give the rule that windows are cut by.

    Raises
    ------
    DatasetError
        If a length cannot be understood.
    """
    return WindowRule.parse(
        study.window,
        overlap=None if study.stride else study.overlap,
        stride=study.stride or None,
        label_rule=study.label_rule,
        min_coverage=study.min_coverage,
        reference=study.reference or None,
    )


def split_options(study: StudyConfiguration) -> SplitOptions:
    """Give what folds are made by.

    Raises
    ------
    DatasetError
        If a value is not allowed.
    """
    return SplitOptions(
        protocol=study.protocol,
        folds=study.folds,
        n_test_subjects=study.n_test_subjects,
        official_test=study.test_subjects,
        official_validation=study.validation_subjects,
        validation_fraction=study.validation_fraction,
        purge_s=study.purge_s,
        seed=study.seed,
    )


def read_configuration(path: Path) -> StudyConfiguration:
    """Read a ``study.toml``.

    Raises
    ------
    DatasetError
        If it cannot be read, has an unknown key, or a value that is not allowed.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise DatasetError(
            f"configuration {path}: it cannot be read ({error}), expected a TOML file. "
            "Mend it, or leave out --config."
        ) from error
    return _converted(f"configuration {path}", table)


def _converted(where: str, table: dict[str, Any]) -> StudyConfiguration:
    names = [field.name for field in msgspec.structs.fields(StudyConfiguration)]
    for key in table:
        if key not in names:
            nearest = difflib.get_close_matches(key, names, n=1)
            hint = f" (did you mean {nearest[0]}?)" if nearest else ""
            raise DatasetError(
                f"{where}: the key {key} is unknown{hint}, expected one of {', '.join(names)}. "
                "Correct or remove it."
            )
    try:
        return msgspec.convert(table, StudyConfiguration)
    except msgspec.ValidationError as error:
        complaint, _, place = str(error).partition(" - at `$.")
        key = re.split(r"[`\[]", place)[0]
        found = f"{key} is {table[key]!r}: " if key in table else ""
        complaint = complaint[:1].lower() + complaint[1:].replace("`", "")
        raise DatasetError(f"{where}: {found}{complaint}. Correct it.") from error
