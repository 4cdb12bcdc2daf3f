"""A recorded session: open it, read a span in physical units, check it.

It does not matter whether the session is sealed: one that is not is read straight from its journal,
with the same fit of the same evidence behind the same interface.

Examples
--------
>>> with Session.open("20261123T140512Z_S01_eating") as session:  # doctest: +SKIP
...     accel = session.stream("accel")
...     first_second = accel.read(accel.monotonic_ns[0], accel.monotonic_ns[0] + 10**9)
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from wban_dataset.recording import layout
from wban_dataset.recording import reconstruction as made
from wban_dataset.recording.aligned import frames_of, signals_of
from wban_dataset.recording.alignment import AlignedChunk, Axis, align, span_of
from wban_dataset.recording.clock_anchors import UtcMap
from wban_dataset.recording.errors import JournalContentError, SessionError
from wban_dataset.recording.framing import JournalVersionError, segment_paths
from wban_dataset.recording.recorded_stream import Stream
from wban_dataset.recording.sealed import SealedStore
from wban_dataset.recording.sidecars import overlaid, read_clock, read_labels
from wban_dataset.recording.store import Store, Table
from wban_dataset.recording.streams import ORDERLY_ENDS, ClockAnchor, Label
from wban_dataset.recording.timebase import StampInputs
from wban_dataset.recording.unsealed import JournalStore
from wban_dataset.recording.verification import VerifyReport, verify

__all__ = ["Session", "SessionError", "Stream"]

T = TypeVar("T")


class _RootAttribute(Generic[T]):
    """An attribute of the file's root, read when it is asked for."""

    def __set_name__(self, owner: type[Session], name: str) -> None:
        self._name = name

    def __get__(self, session: Session, owner: type[Session]) -> T:
        return session.attributes[self._name]


class Session:
    """One recorded session.

    Made by `open`. Times are CLOCK_MONOTONIC in integer ns unless called UTC; spans are half-open.

    Attributes
    ----------
    path
        The file, or the folder with the journal.
    attributes
        All attributes of the session by name; the usual ones are attributes of this object too.
    complete
        Ended in order, and no record of its journal was damaged.
    recovered
        It was cut off; up to `lost_tail_ns` are missing at its end.
    """

    session_id = _RootAttribute[str]()
    boot_id = _RootAttribute[str]()
    subject = _RootAttribute[str]()
    activity = _RootAttribute[str]()
    host = _RootAttribute[str]()
    wban_version = _RootAttribute[str]()
    started_monotonic_ns = _RootAttribute[int]()
    complete = _RootAttribute[bool]()
    recovered = _RootAttribute[bool]()
    lost_tail_ns = _RootAttribute[int]()
    simulated = _RootAttribute[bool]()
    replay_source = _RootAttribute[str]()
    continues = _RootAttribute[str]()

    def __init__(self, store: Store, folder: Path) -> None:
        self._store = store
        self._folder = folder
        self._streams: dict[str, Stream] = {}

    @classmethod
    def open(cls, path: Path | str) -> Self:
        """Open a session's folder, or its ``session.h5``.

        Raises
        ------
        SessionError
            If there is no session, or it cannot be read.
        """
        path = Path(path)
        if path.is_dir():
            return cls(_store_of_folder(path), path)
        return cls(SealedStore.open(path), path.parent)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._store.close()

    @property
    def path(self) -> Path:
        """The file, or the folder with the journal."""
        return self._store.path

    @property
    def is_sealed(self) -> bool:
        """Whether it is a sealed file."""
        return self._store.is_sealed

    @property
    def store(self) -> Store:
        """What the session is read from."""
        return self._store

    @cached_property
    def attributes(self) -> dict[str, Any]:
        """All attributes of the session; those of time after ``clock.csv`` was applied."""
        found = self._store.root()
        if self._has_clock_sidecar:
            started_ns = found["started_monotonic_ns"]
            found["start_utc"] = made.start_utc(self.utc_map, started_ns)
            found["clock_synchronised"] = bool(self.utc_map and self.utc_map.synchronised)
        return found

    @property
    def start_utc(self) -> str:
        """When it started, ISO 8601; "" where the true time was never known."""
        return self.attributes["start_utc"]

    @property
    def clock_synchronised(self) -> bool:
        """Whether the machine knew the true time, then or later in the same boot."""
        return self.attributes["clock_synchronised"]

    @property
    def ending(self) -> str:
        """How the recording ended, in a few words; where it ended early, why."""
        if self.recovered:
            return "recovered"
        reason = str(self.attributes["end_reason"])
        if reason not in ORDERLY_ENDS:
            return f"ended before its time: {reason}"
        return "complete" if self.complete else "with losses"

    @property
    def configuration(self) -> str:
        """The configuration that was recorded with, TOML."""
        return self._store.configuration()

    @cached_property
    def streams(self) -> tuple[str, ...]:
        """Names of the streams that were recorded, sorted."""
        return self._store.stream_names()

    def stream_names(self) -> tuple[str, ...]:
        """Names of the streams that were recorded, sorted."""
        return self.streams

    def stream(self, name: str) -> Stream:
        """Give a stream by name.

        Raises
        ------
        SessionError
            If the session has no such stream.
        """
        if name not in self.streams:
            raise SessionError(
                f"session {self.path}: it has no stream {name!r}, "
                f"expected one of {', '.join(self.streams) or 'none'}."
            )
        if name not in self._streams:
            self._streams[name] = Stream(self._store, name, self.to_utc)
        return self._streams[name]

    def stamp_inputs(self, stream: str) -> StampInputs:
        """Return what the stamps of a stream were made from (`timebase.refit`)."""
        return self.stream(stream).stamp_inputs()

    @cached_property
    def labels(self) -> list[Label]:
        """Activity spans in the order of their start, those of ``labels.csv`` over the file's.

        Raises
        ------
        SessionError
            If ``labels.csv`` cannot be read.
        """
        own = [Label(**row) for row in _records(self._store.table("labels"))]
        sidecar = self._folder / layout.LABELS_SIDECAR
        return overlaid(own, read_labels(sidecar)) if sidecar.exists() else own

    @cached_property
    def marks(self) -> Table:
        """Remarks: ``time_ns``, ``text``."""
        return self._store.table("marks")

    @cached_property
    def gaps(self) -> Table:
        """What is missing: ``stream start_ns stop_ns n_missing n_bytes cause``."""
        return self._store.table("gaps")

    @cached_property
    def clock(self) -> Table:
        """Clock anchors as they were recorded."""
        return self._store.table("clock")

    @cached_property
    def health(self) -> Table:
        """The recorder's own state over time."""
        return self._store.table("health")

    @cached_property
    def quality(self) -> dict[str, dict[str, float]]:
        """Figures of quality by stream."""
        return {row.pop("stream"): row for row in _records(self._store.table("quality"))}

    @cached_property
    def utc_map(self) -> UtcMap | None:
        """CLOCK_MONOTONIC to UTC; None where no clock was ever read."""
        anchors = [ClockAnchor(**row) for row in _records(self.clock)]
        sidecar = self._folder / layout.CLOCK_SIDECAR
        return made.utc_map([*anchors, *(read_clock(sidecar) if sidecar.exists() else [])])

    @property
    def _has_clock_sidecar(self) -> bool:
        return (self._folder / layout.CLOCK_SIDECAR).exists()

    def to_utc(self, monotonic_ns: NDArray[np.int64]) -> NDArray[np.int64]:
        """UTC in ns of instants of this session, (n,)."""
        return made.to_utc(self.utc_map, np.asarray(monotonic_ns, dtype=np.int64))

    def aligned(
        self,
        rate_hz: float | None = None,
        start_ns: int | None = None,
        stop_ns: int | None = None,
    ) -> AlignedChunk:
        """All streams on one axis.

        Parameters
        ----------
        rate_hz
            By default that of the group ``aligned``.
        start_ns, stop_ns
            By default from the first stamp of any stream to the last; ticks lie within both.
        """
        signals, frames = signals_of(self._store), frames_of(self._store)
        whole = span_of(signals, frames) or (0, -1)
        start_ns = whole[0] if start_ns is None else start_ns
        stop_ns = whole[1] if stop_ns is None else stop_ns
        rate_hz = float(self.attributes["aligned_rate_hz"]) if rate_hz is None else rate_hz
        return align(Axis.covering(rate_hz, start_ns, stop_ns), signals, frames)

    def verify(self) -> VerifyReport:
        """Check counts, checksums, structure and stamps; see `verification`."""
        return verify(self._store)

    def to_xarray(self) -> dict[str, Any]:
        """One ``xarray.Dataset`` per stream, in physical units; needs the extra ``analysis``."""
        return {name: self.stream(name).to_xarray() for name in self.streams}


def _store_of_folder(folder: Path) -> Store:
    """Prefer the sealed file: a journal beside it was sealed and not yet removed."""
    sealed = folder / layout.FILE_NAME
    if not sealed.exists():
        try:
            return _store_of_journal(folder)
        except SessionError:
            if not sealed.exists():
                raise
            # It was sealed a moment ago, and its journal removed while it was read.
    return SealedStore.open(sealed)


def _store_of_journal(folder: Path) -> Store:
    journal = folder / layout.JOURNAL_NAME
    try:
        if journal.is_dir() and segment_paths(journal):
            return JournalStore(folder)
    except (JournalContentError, JournalVersionError, OSError) as error:
        raise SessionError(str(error)) from error
    raise SessionError(
        f"folder {folder}: there is neither {layout.FILE_NAME} nor a journal in it, expected a "
        "recorded session. Check the path."
    )


def _records(table: Table) -> list[dict[str, Any]]:
    """Rows of a table as Python's own values."""
    columns = {
        name: values if isinstance(values, list) else values.tolist()
        for name, values in table.items()
    }
    n_rows = min((len(values) for values in columns.values()), default=0)
    return [{name: values[i] for name, values in columns.items()} for i in range(n_rows)]
