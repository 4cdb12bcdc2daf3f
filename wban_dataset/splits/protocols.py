"""The protocols: how windows are divided into folds, and what each division claims."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wban_dataset.errors import DatasetError
from wban_dataset.session_info import SessionInfo
from wban_dataset.splits.dealing import (
    dealt,
    in_groups_of,
    seeded_order,
    stratified,
    validation_units,
)
from wban_dataset.splits.description import described_by_rows, described_by_unit
from wban_dataset.splits.fold import Fold, Role
from wban_dataset.splits.official import official_units
from wban_dataset.splits.options import Split, SplitOptions, Unit
from wban_dataset.splits.random_windows import random_folds
from wban_dataset.splits.units import Units, named, units_of
from wban_dataset.windows.window_table import WindowTable

DEFAULT_FOLDS = 5


@dataclass(frozen=True, slots=True)
class Protocol:
    """A way to divide windows, and what a result under it is independent of.

    Attributes
    ----------
    unit
        Never on two sides of a fold.
    claims
        In words, for the card.
    test_groups
        Deals units to folds: who tests in each. None: not by units.
    """

    name: str
    unit: Unit
    claims: str
    test_groups: Callable[[Units, SplitOptions], list[NDArray[np.int64]]] | None

    @property
    def independent(self) -> bool:
        """Whether it claims that train and test are strangers."""
        return self.unit is not Unit.WINDOW


def make_folds(
    sessions: Sequence[SessionInfo],
    windows: WindowTable,
    options: SplitOptions,
    classes: Sequence[str],
) -> Split:
    """Divide windows into folds; unlabelled windows are unused.

    Raises
    ------
    DatasetError
        If the protocol is unknown or cannot be used on these sessions.
    """
    protocol = protocol_named(options.protocol)
    if protocol.test_groups is None:
        folds = random_folds(windows, options, options.folds or DEFAULT_FOLDS)
        described = described_by_rows(folds)
        warnings = _warnings_of_folds(windows, folds, classes)
    else:
        units = units_of(protocol.unit, sessions, windows, len(classes))
        groups = _checked_groups(protocol, units, options, classes)
        folds, described = _folds_of(protocol, units, groups, options)
        warnings = _warnings_of_units(units) + _warnings_of_folds(windows, folds, classes)
    _refuse_untrainable(windows, folds)
    description = {
        "protocol": protocol.name,
        "unit": protocol.unit.value,
        "independent": protocol.independent,
        "seed": options.seed,
        "purge_s": options.purge_s if protocol.unit is Unit.WINDOW else 0.0,
        "validation": protocol.unit.value,
        "folds": described,
    }
    warnings = (*_ignored(protocol, options), *warnings)
    return Split(protocol.name, protocol.unit, folds, warnings, description)


def protocol_named(name: str) -> Protocol:
    """Give a protocol by its name.

    Raises
    ------
    DatasetError
        If there is none.
    """
    if name not in PROTOCOLS:
        raise DatasetError(f"protocol {name!r} is unknown, expected one of {', '.join(PROTOCOLS)}.")
    return PROTOCOLS[name]


def _one_each(units: Units, options: SplitOptions) -> list[NDArray[np.int64]]:
    return [np.array([i]) for i in range(len(units.names))]


def _n_each(units: Units, options: SplitOptions) -> list[NDArray[np.int64]]:
    if options.n_test_subjects >= len(units.names):
        raise DatasetError(
            f"{options.n_test_subjects} subjects were to be left out of {len(units.names)}, "
            "expected fewer than there are. Leave fewer out."
        )
    order = seeded_order(len(units.names), options.seed)
    return in_groups_of(order, options.n_test_subjects)


def _in_k_folds(units: Units, options: SplitOptions) -> list[NDArray[np.int64]]:
    n_folds = options.folds or min(DEFAULT_FOLDS, len(units.names))
    if n_folds > len(units.names):
        raise DatasetError(
            f"{n_folds} folds were asked for, but there are {len(units.names)} {units.unit}s with "
            f"labelled windows, expected at most as many folds as {units.unit}s. "
            f"Choose --folds {len(units.names)} or fewer."
        )
    return dealt(seeded_order(len(units.names), options.seed), n_folds)


def _group_k_fold(units: Units, options: SplitOptions) -> list[NDArray[np.int64]]:
    groups = _in_k_folds(units, options)
    if not options.stratified:
        return groups
    order = seeded_order(len(units.names), options.seed)
    return stratified(units.counts, len(groups), order)


def _official(units: Units, options: SplitOptions) -> list[NDArray[np.int64]]:
    return [official_units(units, options)[0]]


PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol("loso", Unit.SUBJECT, "people never seen, one at a time", _one_each),
        Protocol("lnso", Unit.SUBJECT, "people never seen, a few at a time", _n_each),
        Protocol("group-kfold", Unit.SUBJECT, "people never seen, in groups", _group_k_fold),
        Protocol("official", Unit.SUBJECT, "people never seen, as listed", _official),
        Protocol("session", Unit.SESSION, "other sessions of people who may be known", _in_k_folds),
        Protocol("date", Unit.DATE, "other days of people who may be known", _in_k_folds),
        Protocol("random", Unit.WINDOW, "nothing: neighbouring windows share samples", None),
    )
}


def _checked_groups(
    protocol: Protocol, units: Units, options: SplitOptions, classes: Sequence[str]
) -> list[NDArray[np.int64]]:
    """Deal the units, or say why it cannot be done."""
    if len(units.names) < 2:
        raise DatasetError(
            f"protocol {protocol.name} divides by {units.unit}, but only "
            f"{named(units.names)} has labelled windows, expected at least 2 {units.unit}s. "
            f"Add sessions of another {units.unit}."
        )
    if protocol.name == "group-kfold" and options.stratified:
        _refuse_unstratifiable(units, classes)
    assert protocol.test_groups is not None  # noqa: S101 - random windows do not come here
    return protocol.test_groups(units, options)


def _refuse_unstratifiable(units: Units, classes: Sequence[str]) -> None:
    """Folds cannot have like shares of a class that one person has alone."""
    n_owners = (units.counts > 0).sum(axis=0)
    codes: list[int] = np.flatnonzero(n_owners == 1).tolist()
    for code in codes:
        owner = units.names[int(np.argmax(units.counts[:, code]))]
        raise DatasetError(
            f"class {classes[code]!r} was recorded of subject {owner} alone, expected of at least "
            "2 subjects to stratify by class. Choose --protocol loso, or turn stratification off."
        )
    if len(units.one_class_only) == len(units.names):
        raise DatasetError(
            f"each of the {len(units.names)} subjects has windows of one class only, expected "
            "several to stratify by class. Turn stratification off, or label the other activities."
        )


def _folds_of(
    protocol: Protocol,
    units: Units,
    groups: Sequence[NDArray[np.int64]],
    options: SplitOptions,
) -> tuple[list[Fold], list[dict[str, object]]]:
    """Turn who tests into roles of windows, validation taken from those who do not."""
    folds: list[Fold] = []
    described: list[dict[str, object]] = []
    for number, test in enumerate(groups):
        role_of_unit = np.full(len(units.names), Role.TRAIN, dtype=np.uint8)
        role_of_unit[test] = Role.TEST
        role_of_unit[_validation(units, test, options, number)] = Role.VALIDATION
        name = units.names[int(test[0])] if protocol.name == "loso" else str(number + 1)
        role = np.where(units.of_window >= 0, role_of_unit[units.of_window], Role.UNUSED)
        folds.append(Fold(name, role.astype(np.uint8)))
        described.append(described_by_unit(folds[-1], units, role_of_unit))
    return folds, described


def _validation(
    units: Units, test: NDArray[np.int64], options: SplitOptions, number: int
) -> NDArray[np.int64]:
    if options.protocol == "official" and options.official_validation:
        return official_units(units, options)[1]
    left = np.setdiff1d(np.arange(len(units.names)), test)
    order = seeded_order(len(units.names), options.seed, stage=number + 1)
    return validation_units(units.counts, left, options.validation_fraction, order)


def _refuse_untrainable(windows: WindowTable, folds: Sequence[Fold]) -> None:
    for fold in folds:
        trained = np.unique(windows.label[fold.rows(Role.TRAIN)])
        if len(trained) == 0 or not len(fold.rows(Role.TEST)):
            lacking = "train" if len(trained) == 0 else "test"
            raise DatasetError(
                f"fold {fold.name} has no window to {lacking} on, expected some. Choose fewer "
                "people to test on, a shorter purge gap, or add sessions."
            )


def _ignored(protocol: Protocol, options: SplitOptions) -> list[str]:
    """Say which options mean nothing to a protocol."""
    ignored: list[str] = []
    if options.purge_s and protocol.unit is not Unit.WINDOW:
        ignored.append(
            f"the purge gap is ignored: {protocol.name} never cuts inside a {protocol.unit}"
        )
    if options.folds and protocol.name in ("loso", "lnso", "official"):
        ignored.append(f"the number of folds is ignored: {protocol.name} has as many as it has")
    return ignored


def _warnings_of_units(units: Units) -> list[str]:
    warnings: list[str] = []
    if units.without_windows:
        warnings.append(
            f"{len(units.without_windows)} {units.unit}s have no labelled window and are in no "
            f"fold: {named(units.without_windows)}"
        )
    for names in units.written_alike:
        warnings.append(
            f"{units.unit}s {named(names)} differ in writing only; if they are one, give them "
            "one name"
        )
    if units.one_class_only:
        warnings.append(
            f"{len(units.one_class_only)} of {len(units.names)} {units.unit}s have windows of one "
            f"class only, so that scores by {units.unit} mean little: {named(units.one_class_only)}"
        )
    return warnings


def _warnings_of_folds(
    windows: WindowTable, folds: Sequence[Fold], classes: Sequence[str]
) -> list[str]:
    warnings: list[str] = []
    for fold in folds:
        trained = np.unique(windows.label[fold.rows(Role.TRAIN)])
        tested = np.unique(windows.label[fold.rows(Role.TEST)])
        codes: list[int] = np.setdiff1d(tested, trained).tolist()
        absent = [classes[code] for code in codes]
        if absent:
            warnings.append(f"fold {fold.name} tests what it never trained on: {named(absent)}")
        if len(trained) == 1:
            warnings.append(
                f"fold {fold.name} trains on one class only: {classes[int(trained[0])]}"
            )
    without = [fold.name for fold in folds if not len(fold.rows(Role.VALIDATION))]
    if without:
        warnings.append(
            f"{len(without)} of {len(folds)} folds have no validation: {named(without)}"
        )
    return warnings
