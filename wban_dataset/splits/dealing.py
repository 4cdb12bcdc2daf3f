"""How units are dealt out: the same for the same seed, on any machine, in any order of input."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


def seeded_order(n: int, seed: int, stage: int = 0) -> Ints:
    """Give 0 to n - 1 in an order that depends on the seed and the stage alone, (n,).

    Sorted by raw numbers of PCG64: its bits are fixed for good, which a method of `Generator`, such
    as `permutation`, does not promise.
    """
    keys = np.random.PCG64(np.random.SeedSequence([seed, stage])).random_raw(n)
    return np.argsort(np.asarray(keys, dtype=np.uint64), kind="stable")


def dealt(order: Ints, n_groups: int) -> list[Ints]:
    """Cut an order into groups whose sizes differ by at most one, each sorted."""
    return [np.sort(group) for group in np.array_split(order, n_groups)]


def in_groups_of(order: Ints, size: int) -> list[Ints]:
    """Cut an order into groups of a size, each sorted; the last may be smaller."""
    return [np.sort(order[first : first + size]) for first in range(0, len(order), size)]


def stratified(counts: Ints, n_groups: int, order: Ints) -> list[Ints]:
    """Deal units so that each group has like shares of each class.

    Units with the most uneven counts first, each to the group where the shares of classes over
    groups then differ least; among equals to the one with fewest units.

    Parameters
    ----------
    counts
        Windows by unit and class, (u, c).
    order
        Breaks ties, (u,).

    Returns
    -------
    list
        Units of each group, sorted; none is empty if there are at least as many units as groups.
    """
    share = counts[order] / np.maximum(counts.sum(axis=0), 1)
    by_unevenness = order[np.argsort(-share.std(axis=1), kind="stable")]
    of_class = counts / np.maximum(counts.sum(axis=0), 1)
    groups: list[list[int]] = [[] for _ in range(n_groups)]
    filled = np.zeros((n_groups, counts.shape[1]))
    for n_dealt, unit in enumerate(by_unevenness):
        n_left = len(order) - n_dealt
        empty = [g for g in range(n_groups) if not groups[g]]
        # Whoever is left just fills the groups that have nobody yet.
        allowed = empty if len(empty) == n_left else range(n_groups)
        best = min(allowed, key=lambda g: (_unevenness(filled, g, of_class[unit]), len(groups[g])))
        groups[best].append(int(unit))
        filled[best] += of_class[unit]
    return [np.sort(np.array(group, dtype=np.int64)) for group in groups]


def _unevenness(filled: NDArray[np.float64], group: int, added: NDArray[np.float64]) -> float:
    """Mean over classes of the spread over groups, were a unit added to a group."""
    with_it = filled.copy()
    with_it[group] += added
    # Rounded, so that the last bit of another processor's sum does not decide a tie.
    return round(float(with_it.std(axis=0).mean()), 12)


def validation_units(counts: Ints, left: Ints, fraction: float, order: Ints) -> Ints:
    """Choose who of those that do not test is validated on.

    In the seeded order, but first those without whom training keeps all of its classes.

    Parameters
    ----------
    counts
        Windows by unit and class, (u, c).
    left
        Units that do not test.
    fraction
        Of `left`; at least one unit is chosen where at least two are left, none for 0.
    """
    if fraction == 0 or len(left) < 2:
        return np.zeros(0, dtype=np.int64)
    n_wanted = min(max(1, round(fraction * len(left))), len(left) - 1)
    in_order = order[np.isin(order, left)]
    trained = counts[left].sum(axis=0)
    chosen: list[int] = []
    for unit in in_order:
        if len(chosen) < n_wanted and not ((trained == counts[unit]) & (trained > 0)).any():
            chosen.append(int(unit))
            trained = trained - counts[unit]
    spare = [int(unit) for unit in in_order if unit not in chosen]
    return np.sort(np.array(chosen + spare[: n_wanted - len(chosen)], dtype=np.int64))
