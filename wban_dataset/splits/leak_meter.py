"""The leak meter: how much better a model looks under random windows than it is.

One fast model, a random forest on simple features, is scored under the dataset's protocol and under
random windows. What random windows add is not skill: it is what train and test share.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wban_dataset.errors import DatasetError
from wban_dataset.splits.dealing import seeded_order
from wban_dataset.splits.fold import Fold, Role
from wban_dataset.splits.options import SplitOptions
from wban_dataset.splits.random_windows import random_folds
from wban_dataset.windows.window_table import WindowTable

N_TREES = 50
N_TOGETHER = 25
"""Windows are chosen in stretches of neighbours: scattered ones would share less than the dataset's
own, and the meter would show less than there is."""

MOST_RANDOM_FOLDS = 10

Labels = NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class Scores:
    """Scores of one protocol, each (folds,), from 0 to 1.

    Attributes
    ----------
    macro_f1
        Mean over the classes that a fold tests or predicts.
    """

    protocol: str
    macro_f1: NDArray[np.float64]
    accuracy: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Measured:
    """What the leak meter shows."""

    own: Scores
    random: Scores
    n_windows: int

    def inflation(self, score: str) -> tuple[float, float]:
        """Difference of the means over folds, random minus own, and its standard error."""
        own, random = getattr(self.own, score), getattr(self.random, score)
        error = np.sqrt(sum(_squared_error(values) for values in (own, random)))
        return float(random.mean() - own.mean()), float(error)


def chosen_windows(windows: WindowTable, at_most: int, seed: int) -> NDArray[np.int64]:
    """Choose labelled windows in stretches of neighbours, increasing."""
    labelled = np.flatnonzero(windows.is_labelled)
    stretches = [labelled[i : i + N_TOGETHER] for i in range(0, len(labelled), N_TOGETHER)]
    n_wanted = max(1, at_most // N_TOGETHER)
    chosen = seeded_order(len(stretches), seed)[:n_wanted]
    places: list[int] = chosen.tolist()
    parts = [stretches[i] for i in places]
    return np.sort(np.concatenate(parts)) if parts else labelled


def measured(
    features: NDArray[np.float32],
    windows: WindowTable,
    folds: Sequence[Fold],
    protocol: str,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> Measured:
    """Score both protocols on the same windows; what validates trains too, since nothing is tuned.

    Parameters
    ----------
    features, windows
        Of the chosen windows, all labelled, (n, features) and n rows.
    folds
        Of these windows under the dataset's protocol.
    progress
        Told how many models were trained, of how many.

    Raises
    ------
    DatasetError
        If scikit-learn is missing, or no fold has windows to train and to test on.
    """
    usable = [fold for fold in folds if _is_usable(fold, windows.label)]
    if not usable:
        raise DatasetError(
            f"none of the {len(folds)} folds has chosen windows to test on and two classes "
            "to train on, expected some. Use more windows (--max-windows), or another protocol."
        )
    share = float(np.mean([(fold.role == Role.TEST).mean() for fold in usable]))
    n_random = int(np.clip(round(1 / share), 2, MOST_RANDOM_FOLDS))
    options = SplitOptions(protocol="random", validation_fraction=0.0, seed=seed)
    random = random_folds(windows, options, n_random)
    n_models = len(usable) + n_random

    def scored(name: str, chosen: Sequence[Fold], n_before: int) -> Scores:
        scores: list[tuple[float, float]] = []
        for number, fold in enumerate(chosen, start=1):
            scores.append(_scores(features, windows.label, fold, seed))
            if progress is not None:
                progress(n_before + number, n_models)
        macro_f1, accuracy = np.array(scores).T
        return Scores(name, macro_f1, accuracy)

    own = scored(protocol, usable, 0)
    return Measured(own, scored("random", random, len(usable)), len(windows))


def _is_usable(fold: Fold, label: Labels) -> bool:
    train = np.isin(fold.role, (Role.TRAIN, Role.VALIDATION))
    return bool((fold.role == Role.TEST).any()) and len(np.unique(label[train])) > 1


def _scores(
    features: NDArray[np.float32], label: Labels, fold: Fold, seed: int
) -> tuple[float, float]:
    """Macro-F1 and accuracy of one fold."""
    try:
        ensemble: Any = importlib.import_module("sklearn.ensemble")
        metrics: Any = importlib.import_module("sklearn.metrics")
    except ModuleNotFoundError as error:
        raise DatasetError(
            f"the leak meter needs {error.name}, which is not installed; "
            "install it with: pip install 'wban[analysis]'."
        ) from error
    train = np.isin(fold.role, (Role.TRAIN, Role.VALIDATION))
    test = fold.role == Role.TEST
    model = ensemble.RandomForestClassifier(n_estimators=N_TREES, random_state=seed, n_jobs=1)
    model.fit(features[train], label[train])
    predicted = model.predict(features[test])
    return (
        float(metrics.f1_score(label[test], predicted, average="macro", zero_division=0)),
        float(metrics.accuracy_score(label[test], predicted)),
    )


def _squared_error(values: NDArray[np.float64]) -> float:
    return float(values.var(ddof=1) / len(values)) if len(values) > 1 else 0.0
