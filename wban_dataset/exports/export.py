"""Exports: sessions, or a dataset, into another format in a new folder."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from wban_dataset.exports.bids_export import write_bids
from wban_dataset.exports.chosen import check_without, chosen_sessions, opened
from wban_dataset.exports.csv_export import write_csv
from wban_dataset.exports.errors import ExportError
from wban_dataset.exports.mcap_export import write_mcap
from wban_dataset.exports.new_folder import new_folder
from wban_dataset.exports.parquet_export import write_parquet
from wban_dataset.exports.session_export import write_session
from wban_dataset.recording.session import Session

Format = Literal["session", "motion-bids", "mcap", "csv", "parquet", "arrays"]
FORMATS: tuple[Format, ...] = ("session", "motion-bids", "mcap", "csv", "parquet", "arrays")

SessionExport = Callable[[Session, Path, Collection[str]], None]

_BY_SESSION: Mapping[str, SessionExport] = {
    "session": write_session,
    "csv": write_csv,
    "parquet": write_parquet,
    "mcap": write_mcap,
}


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export made.

    Attributes
    ----------
    n_sessions
        Of sessions exported; 0 for a dataset.
    without_place
        Streams that the format cannot hold.
    leaky
        Whether the exported splits leak.
    """

    n_sessions: int
    without_place: tuple[str, ...] = ()
    leaky: bool = False


def export(
    paths: Sequence[Path],
    out: Path,
    to: Format,
    *,
    without: Collection[str] = (),
    progress: Callable[[int, int], None] | None = None,
) -> Exported:
    """Export sessions, or for ``arrays`` one dataset, into a new folder.

    Parameters
    ----------
    paths
        Sessions, or folders with sessions below; the folder of one dataset.
    without
        Streams to leave out, by name or kind.
    progress
        Called with the number of sessions done, and of all.

    Raises
    ------
    DatasetError, RecordingError
        If something cannot be read or written; nothing is left at `out` then.
    """
    if to == "arrays":
        return _export_dataset(paths, out, without)
    folders = chosen_sessions(paths)
    check_without(without, folders)
    with new_folder(out) as aside:
        if to == "motion-bids":
            return Exported(len(folders), tuple(write_bids(folders, aside, without)))
        for number, folder in enumerate(folders, 1):
            target = aside / folder.resolve().name
            target.mkdir()
            with opened(folder) as session:
                _BY_SESSION[to](session, target, without)
            if progress is not None:
                progress(number, len(folders))
    return Exported(len(folders))


def _export_dataset(paths: Sequence[Path], out: Path, without: Collection[str]) -> Exported:
    if len(paths) != 1:
        raise ExportError(
            f"arrays are made of one dataset, found {len(paths)} paths, expected the folder that "
            "'wban-dataset build' made. Export each into a place of its own."
        )
    from wban_dataset.exports.array_export import write_arrays  # sessions need no dataset

    with new_folder(out) as aside:
        return Exported(0, leaky=write_arrays(paths[0], aside, without))
