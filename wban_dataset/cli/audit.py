# pyright: basic, reportIndexIssue=false, reportAttributeAccessIssue=false
# h5py's types are incomplete: whatever stands in a file is a Group | Dataset | Datatype.
"""wban-dataset audit and leak-meter: whether a split can be believed, and what it is worth."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np
from numpy.typing import NDArray

from wban_dataset.errors import DatasetError
from wban_dataset.recording.errors import DAMAGE
from wban_dataset.recording.wording import counted

if TYPE_CHECKING:
    from wban_dataset.dataset.opened import Dataset
    from wban_dataset.splits.audited import AuditedDataset
    from wban_dataset.splits.findings import AuditResult
    from wban_dataset.splits.fold import Fold
    from wban_dataset.splits.leak_meter import Measured, Scores
    from wban_dataset.splits.recording import Recording, Signal

CLEAN, LEAKS = 0, 3
UNITS = ("subject", "session", "date", "window")
PROTOCOLS = ("loso", "lnso", "group-kfold", "session", "date", "random")
N_LISTED = 20

dataset_path = click.Path(exists=True, path_type=Path)
file_path = click.Path(exists=True, path_type=Path)


@click.command(
    epilog="""\b
Examples:
  wban-dataset audit study-dataset
  wban-dataset audit --windows windows.csv --split folds.json"""
)
@click.argument("dataset", required=False, type=dataset_path)
@click.option(
    "--windows",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Other people's windows: a CSV file with session, start, stop and subject.",
)
@click.option(
    "--split",
    type=file_path,
    help="Their folds: JSON, or a folder with train.txt and test.txt; window numbers from 0.",
)
@click.option(
    "--unit",
    type=click.Choice(UNITS),
    help="What must not stand on two sides; by default what the dataset claims, else subject.",
)
@click.option("--purge", "purge_s", type=click.FloatRange(0), help="Gap in s that was promised.")
@click.option("--limit", default=N_LISTED, show_default=True, help="Findings that are listed.")
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="All findings, each with its first 1000 windows, as JSON.",
)
def audit(
    dataset: Path | None,
    windows: Path | None,
    split: Path | None,
    unit: str | None,
    purge_s: float | None,
    limit: int,
    as_json: bool,
) -> None:
    """Prove that the folds of DATASET share nothing.

    Where they share something, it is listed. Looked for between training, validation and test:
    shared samples, sessions, and subjects or dates, copies of recordings (also shifted, scaled or
    noisy), statistics fitted outside training.

    Exit codes: 0 clean, 1 cannot be audited, 3 leaks.
    """
    if (dataset is None) == (windows is None) or (windows is None) != (split is None):
        raise click.UsageError("Give either DATASET, or both --windows and --split.")
    if dataset is not None:
        result = _audited_dataset(dataset, unit, purge_s)
    else:
        assert windows is not None and split is not None  # noqa: S101, PT018 - checked above
        result = _audited_lists(windows, split, unit or "subject", purge_s or 0.0)
    if as_json:
        click.echo(json.dumps(result.as_json()))
    else:
        _tell(result, limit)
    sys.exit(CLEAN if result.clean else LEAKS)


@click.command("leak-meter", epilog="Example:  wban-dataset leak-meter study-dataset")
@click.argument("dataset", type=dataset_path)
@click.option(
    "--protocol",
    type=click.Choice(PROTOCOLS[:-1]),
    help="Compared with random windows; by default the dataset's own folds.",
)
@click.option(
    "--max-windows",
    type=click.IntRange(100),
    default=4000,
    show_default=True,
    help="Windows to use, in stretches of neighbours.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="The scores of every fold, as JSON.")
def leak_meter(
    dataset: Path, protocol: str | None, max_windows: int, seed: int, as_json: bool
) -> None:
    """Measure what random folds would flatter on DATASET.

    A random forest on simple features is scored under the dataset's protocol and under random
    windows. The difference is what train and test share, not skill.
    """
    from wban_dataset.dataset.opened import load_dataset
    from wban_dataset.splits.leak_meter import chosen_windows, measured
    from wban_dataset.splits.window_features import window_features

    with _readable(dataset), load_dataset(dataset) as found:
        folds, name = _folds(found, protocol, seed)
        rows = chosen_windows(found.windows, max_windows, seed)
        if not len(rows):
            raise DatasetError(
                f"dataset {dataset}: none of its windows has a label, expected labels to learn. "
                "Build it from labelled sessions."
            )
        features = window_features(found.windows, _recordings(found), rows)
        windows = found.windows.take(rows)
    chosen = [type(fold)(fold.name, fold.role[rows]) for fold in folds]
    with _progress("training") as progress:
        result = measured(features, windows, chosen, name, seed, progress)
    if as_json:
        click.echo(json.dumps(_meter_dict(result)))
    else:
        _tell_meter(result)


def _audited_dataset(path: Path, unit: str | None, purge_s: float | None) -> AuditResult:
    from wban_dataset.dataset.opened import load_dataset
    from wban_dataset.dataset.threads import one_thread
    from wban_dataset.splits.audit import audit as audited

    with (
        one_thread(),
        _readable(path),
        load_dataset(path) as found,
        _progress("reading") as progress,
    ):
        return audited(_as_audited(found, unit, purge_s), progress=progress)


@contextmanager
def _readable(path: Path) -> Generator[None]:
    """Say in a sentence what a dataset that is damaged inside leads to."""
    try:
        yield
    except (*DAMAGE, OSError, RuntimeError) as error:
        raise DatasetError(
            f"dataset {path}: it is damaged inside ({type(error).__name__}: {error}), expected a "
            "dataset as it was built. Build it again, or restore it from a copy."
        ) from error


def _audited_lists(windows: Path, split: Path, unit: str, purge_s: float) -> AuditResult:
    from wban_dataset.splits.audited import AuditedDataset
    from wban_dataset.splits.index_lists import audited_as_listed, read_split, read_windows
    from wban_dataset.splits.options import Unit

    sessions, table = read_windows(windows)
    listed = read_split(split, table)
    given = AuditedDataset(
        sessions, listed.windows, listed.folds, Unit(unit), purge_ns=round(purge_s * 1e9)
    )
    return audited_as_listed(given, listed)


def _as_audited(dataset: Dataset, unit: str | None, purge_s: float | None) -> AuditedDataset:
    """Give a dataset to the auditor, with what its splits.json claims."""
    from wban_dataset.splits.audited import AuditedDataset
    from wban_dataset.splits.options import Unit

    claims = _claims(dataset)
    found_purge_s = float(claims.get("purge_s", 0.0)) if purge_s is None else purge_s
    return AuditedDataset(
        sessions=dataset.sessions,
        windows=dataset.windows,
        folds=dataset.folds,
        unit=Unit(unit or str(claims["unit"])),
        purge_ns=round(found_purge_s * 1e9),
        has_times=dataset.timebase != "none",
        recordings=_recordings(dataset),
        statistics=dataset.fitted_windows,
    )


def _claims(dataset: Dataset) -> dict[str, Any]:
    """Give what splits.json says; without it, what the name of the protocol means."""
    from wban_dataset.splits.protocols import PROTOCOLS as KNOWN

    known = KNOWN.get(dataset.protocol)
    claims: dict[str, Any] = {"unit": known.unit.value if known else "subject"}
    path = dataset.path / "splits.json"
    try:
        if path.is_file():
            claims |= json.loads(path.read_text(encoding="utf-8"))
        if claims["unit"] not in UNITS:
            raise ValueError(f"its unit is {claims['unit']!r}")
        float(claims.get("purge_s", 0.0))
    except (OSError, ValueError, TypeError) as error:
        raise DatasetError(
            f"splits {path}: it cannot be used ({error}), expected what 'wban-dataset build' wrote "
            f"with a unit of {', '.join(UNITS)}. Build the dataset again, or give --unit."
        ) from error
    return claims


def _recordings(dataset: Dataset) -> list[Recording]:
    from wban_dataset.splits.recording import Recording

    streams = {name: _Counts.of(dataset, name) for name in dataset.streams}
    return [
        Recording(
            number,
            {
                name: signal
                for name, counts in streams.items()
                if (signal := _signal(dataset, name, number, counts)).n_rows
            },
        )
        for number in range(len(dataset.sessions))
    ]


@dataclass(frozen=True)
class _Counts:
    """How the counts of a stream are compared: their scale by session, and the rows of a copy."""

    scales: NDArray[np.float64]
    copy_rows: int

    @classmethod
    def of(cls, dataset: Dataset, name: str) -> _Counts:
        from wban_dataset.splits.fingerprints import copy_rows_of_ready

        stream = dataset.stream(name)
        scales = stream.scale_factors * (not stream.is_pictures)
        windows = dataset.windows
        if dataset.timebase != "none" or not len(windows):
            return cls(scales, 0)
        length = np.median(windows.last_row[name] - windows.first_row[name])
        return cls(scales, copy_rows_of_ready(int(length), stream.sampling_rate_hz))


def _signal(dataset: Dataset, name: str, session: int, counts: _Counts) -> Signal:
    from wban_dataset.splits.recording import Signal

    stream = dataset.stream(name)
    first, last = stream.offset[session : session + 2].tolist()
    return Signal(
        kind=stream.kind,
        units=stream.units,
        sampling_rate_hz=stream.sampling_rate_hz,
        n_rows=last - first,
        first_row=first,
        read=lambda start, stop: stream.rows(first + start, first + stop),
        scale_factor=float(counts.scales[session]),
        copy_rows=counts.copy_rows,
    )


def _folds(dataset: Dataset, protocol: str | None, seed: int) -> tuple[list[Fold], str]:
    """Folds to be compared with random ones: the dataset's, or loso where its own are random."""
    from wban_dataset.splits.options import SplitOptions
    from wban_dataset.splits.protocols import make_folds

    if protocol is None and dataset.protocol != "random":
        return dataset.folds, dataset.protocol
    options = SplitOptions(protocol=protocol or "loso", seed=seed)
    split = make_folds(dataset.sessions, dataset.windows, options, dataset.classes)
    return split.folds, split.protocol


def _tell(result: AuditResult, limit: int) -> None:
    """Leaks and warnings first, what it comes to last."""
    if result.leaks:
        click.echo(result.explain(limit))
    if result.warnings:
        click.echo(f"warnings (similar, but short of a leak):\n{result.explain_warnings(limit)}")
    for sentence in result.unchecked:
        click.echo(f"note: {sentence}")
    folds, windows = counted(result.n_folds, "fold"), counted(result.n_windows, "window")
    what = f"{folds} of {windows}, by {result.unit.value}"
    if result.clean:
        click.echo(f"clean: {what}; train, validation and test share nothing that was looked for")
        return
    counts = ", ".join(f"{kind} {n}" for kind, n in result.counts().items())
    click.echo(f"leaky: {what}; windows that leak, each counted once a fold: {counts}")


def _tell_meter(result: Measured) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(
        title=f"random forest on {counted(result.n_windows, 'window')}, mean ± SD over folds"
    )
    for column in ("folds by", "number", "macro-F1", "accuracy"):
        table.add_column(column)
    for scores in (result.own, result.random):
        cells = [f"{v.mean():.3f} ± {v.std():.3f}" for v in (scores.macro_f1, scores.accuracy)]
        table.add_row(scores.protocol, str(len(scores.accuracy)), *cells)
    Console(width=None if sys.stdout.isatty() else 100).print(table)
    parts = [
        f"{'macro-F1' if score == 'macro_f1' else score} {value:+.3f} (standard error {error:.3f})"
        for score in ("macro_f1", "accuracy")
        for value, error in [result.inflation(score)]
    ]
    click.echo(f"inflation by random windows: {', '.join(parts)}")


def _meter_dict(result: Measured) -> dict[str, Any]:
    def plain(scores: Scores) -> dict[str, Any]:
        return {
            "protocol": scores.protocol,
            "macro_f1": scores.macro_f1.tolist(),
            "accuracy": scores.accuracy.tolist(),
        }

    inflation = {
        score: dict(zip(("difference", "standard_error"), result.inflation(score), strict=True))
        for score in ("macro_f1", "accuracy")
    }
    return {
        "n_windows": result.n_windows,
        "own": plain(result.own),
        "random": plain(result.random),
        "inflation": inflation,
    }


@contextmanager
def _progress(words: str) -> Generator[Callable[[int, int], None]]:
    """Show how far it is, on a terminal only."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(
        console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()
    ) as p:
        task = p.add_task(words, total=None)

        def told(done: int, total: int) -> None:
            p.update(task, completed=done, total=total)

        yield told
