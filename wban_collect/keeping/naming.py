"""Sessions that were named by boot get their true time, once the same boot has learnt it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from wban_collect.errors import StorageError
from wban_collect.keeping.catalogue import Catalogue, started_ns
from wban_collect.session_folder import folder_name, rename_folder
from wban_dataset.recording.errors import FolderInUseError, SealingError
from wban_dataset.recording.folder_lock import locked
from wban_dataset.recording.folder_tree import is_sealed
from wban_dataset.recording.layout import CLOCK_SIDECAR
from wban_dataset.recording.streams import ClockAnchor
from wban_dataset.recording.summary_file import SessionSummary
from wban_dataset.recording.whole_file import write_whole

log = logging.getLogger(__name__)

SOURCE = "same boot"
"""What ``clock.csv`` says of where the time comes from."""


def true_time_learnt(
    out: Path, boot_id: str, anchor: ClockAnchor, catalogue: Catalogue | None = None
) -> list[tuple[Path, Path]]:
    """Tell the sealed sessions of this boot their true time, and name them by it.

    Only folders directly in `out`, where the recorder makes them, that are named by this boot are
    touched; what is not sealed yet, or in use, keeps its name until the next call. A session that
    learnt the time itself needs no ``clock.csv``. Called again, it costs a look into `out`.

    Parameters
    ----------
    anchor
        Of a clock that is synchronised, in the boot `boot_id`.

    Returns
    -------
    list
        Folders that were renamed: (before, after).

    Raises
    ------
    ValueError
        If the anchor's clock was not synchronised.
    """
    if not anchor.synchronised:
        raise ValueError("an anchor of a clock that is not synchronised tells no true time")
    catalogue = catalogue or Catalogue(out)
    prefix = f"boot-{boot_id[:8]}_"
    folders = [folder for folder in sorted(out.glob(f"{prefix}*")) if is_sealed(folder)]
    renamed: list[tuple[Path, Path]] = []
    for folder, summary in catalogue.summaries.of(folders).items():
        if boot_id and summary.boot_id == boot_id:
            renamed += _Session(folder, summary).learn(anchor)
    # What the sidecars changed is noted now, while nobody waits for it.
    catalogue.summaries.of([after for _, after in renamed])
    return renamed


@dataclass(frozen=True)
class _Session:
    folder: Path
    summary: SessionSummary

    def learn(self, anchor: ClockAnchor) -> list[tuple[Path, Path]]:
        """Write down the time where it is not known, and rename."""
        try:
            with locked(self.folder):
                if not is_sealed(self.folder):
                    return []
                started = self._started_ns(anchor)
                if not self.summary.clock_synchronised:
                    _write_clock(self.folder, anchor)
                after = rename_folder(self.folder, self._name(started))
        except FolderInUseError as error:
            log.debug("%s", error)  # somebody works on it
            return []
        except (OSError, SealingError, StorageError) as error:
            log.warning("%s keeps its name: %s", self.folder, error)
            return []
        return [(self.folder, after)]

    def _started_ns(self, anchor: ClockAnchor) -> int:
        """UTC at which the session began, ns; from its own clocks where those were right."""
        if self.summary.clock_synchronised:
            return started_ns(self.summary)
        return anchor.realtime_ns - (anchor.monotonic_ns - self.summary.started_monotonic_ns)

    def _name(self, realtime_ns: int) -> str:
        return folder_name(
            self.summary.subject,
            self.summary.activity,
            realtime_ns=realtime_ns,
            synchronised=True,
            boot_id=self.summary.boot_id,
            monotonic_ns=self.summary.started_monotonic_ns,
        )


def _write_clock(folder: Path, anchor: ClockAnchor) -> None:
    rows = f"monotonic_ns,realtime_ns,source\n{anchor.monotonic_ns},{anchor.realtime_ns},{SOURCE}\n"
    write_whole(folder / CLOCK_SIDECAR, rows.encode())
