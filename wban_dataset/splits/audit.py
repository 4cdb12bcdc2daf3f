"""The auditor: proof that the roles of every fold share nothing that they should not.

For each fold, between test, validation and training:

- no sample, by time and by the rows and frames of every stream; of ready windows without times,
  what cannot be excluded counts as shared;
- no session; no subject, or no date, if the protocol claims that;
- no copy of a recording (`near_duplicates`), and no two sessions of the same content;
- the gap that was promised where a session is cut;
- nothing was fitted outside the training windows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain

from wban_dataset.splits.audited import AuditedDataset
from wban_dataset.splits.findings import AuditResult, Finding, LeakKind, Tally
from wban_dataset.splits.near_duplicates import near_duplicates
from wban_dataset.splits.recording import Recording
from wban_dataset.splits.shared import SharedBetweenRoles
from wban_dataset.splits.shared_recordings import SharedRecordings
from wban_dataset.splits.sketch import Sketch, has_shape, sketched

Progress = Callable[[int, int], None]


def audit(
    audited: AuditedDataset,
    sketches: Iterable[Sketch] | None = None,
    progress: Progress | None = None,
    numbered: Callable[[Finding], Finding] | None = None,
) -> AuditResult:
    """Look for everything that two roles of a fold may share.

    Parameters
    ----------
    sketches
        Of all recordings, where they were made before; otherwise each recording is read once here.
        They are taken one at a time and not kept.
    progress
        Told how many recordings were read, of how many.
    numbered
        Gives a finding with other numbers of windows, under which they are counted and listed.

    Raises
    ------
    DatasetError
        If folds, windows, sessions and statistics do not fit together.
    """
    audited.check()
    duplicates = []
    if audited.recordings is not None:
        if sketches is None:
            sketches = _sketched(audited.recordings, progress)
        duplicates = near_duplicates(audited.recordings, sketches)
    shared = SharedBetweenRoles(audited)
    copies = SharedRecordings(audited, duplicates)
    tally = Tally()
    for fold in audited.folds:
        found = chain(shared.findings(fold), copies.findings(fold))
        tally.add_fold(map(numbered, found) if numbered else found, len(audited.windows))
    return AuditResult(
        unit=audited.unit,
        findings=tuple(tally.kept),
        n_leaking={kind.value: n for kind in LeakKind if (n := tally.counts[kind.value])},
        n_left_out=tally.n_left_out,
        n_folds=len(audited.folds),
        n_windows=len(audited.windows),
        unchecked=tuple(_unchecked(audited)),
        sessions=audited.sessions,
        windows=audited.windows if audited.has_times else None,
    )


def _sketched(recordings: Sequence[Recording], progress: Progress | None) -> Iterator[Sketch]:
    for number, recording in enumerate(recordings):
        yield sketched(recording)
        if progress is not None:
            progress(number + 1, len(recordings))


def _unchecked(audited: AuditedDataset) -> Iterator[str]:
    """Say what was not looked for, and why."""
    if audited.recordings is None:
        yield "near-duplicate recordings were not looked for: there are no samples"
        return
    blind = sum(
        not any(has_shape(signal) for signal in recording.streams.values())
        for recording in audited.recordings
    )
    if blind:
        yield (
            f"{blind} of {len(audited.recordings)} recordings have no acceleration in known units: "
            "copies of them were looked for by equal raw counts only"
        )
