"""One recording from start to stop: preflight, run, drain, close."""

from __future__ import annotations

import hashlib
import logging
import shutil
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from wban_collect.bus import BusWorker
from wban_collect.clock import Clock
from wban_collect.device import BusDevice, DeviceOutput, FrameDevice
from wban_collect.errors import (
    BusPermissionError,
    CameraStackError,
    DeviceError,
    DeviceNotFoundError,
    StorageError,
    WbanError,
)
from wban_collect.frames import FrameWorker
from wban_collect.housekeeping import Housekeeping
from wban_collect.i2c import I2CBus
from wban_collect.reservation import SpaceReservation, reserved_share
from wban_collect.session_folder import (
    check_writable,
    create_folder,
    missing_folders,
    remove_empty,
    unusable,
)
from wban_collect.storage import Commit, Storage, StreamCount
from wban_collect.worker import ThreadedRunner, VirtualRunner, Worker
from wban_dataset.recording.errors import SealingError
from wban_dataset.recording.folder_lock import locked
from wban_dataset.recording.journal import JournalWriter, sync_directory
from wban_dataset.recording.layout import JOURNAL_NAME, RESERVATION_NAME
from wban_dataset.recording.streams import (
    ClockAnchor,
    Label,
    SampleBlock,
    SessionEnd,
    SessionHeader,
    StreamSpec,
)

log = logging.getLogger(__name__)

PREFLIGHT_NS = 30_000_000_000
"""How long required streams may take until they deliver."""

HOPELESS = (DeviceNotFoundError, BusPermissionError, CameraStackError)
"""Errors that waiting does not mend: a recording that has not begun yet is refused at once."""


DISK_FULL = "disk full"


@dataclass(frozen=True)
class BusPart:
    """One I2C bus, its devices, and the clock of its thread."""

    name: str
    bus: I2CBus
    devices: Sequence[BusDevice]
    clock: Clock


@dataclass(frozen=True)
class CameraPart:
    """One camera and the clock of its worker."""

    device: FrameDevice
    clock: Clock


@dataclass(frozen=True)
class Parts:
    """Everything that assembly has put together for one recording.

    `own_workers` are those of simulated hardware that has no thread (virtual time). `labels` tells
    the spans that are known by themselves: those of a replayed or simulated schedule.
    """

    buses: Sequence[BusPart]
    cameras: Sequence[CameraPart]
    clock: Clock
    storage_clock: Clock
    read_anchor: Callable[[], ClockAnchor]
    required_devices: frozenset[str]
    virtual: bool = False
    own_workers: Sequence[Worker] = ()
    labels: Callable[[], list[Label]] = list
    ended: Callable[[], bool] = lambda: False


@dataclass(frozen=True)
class Plan:
    """What is to be recorded, and how it is stored."""

    header: SessionHeader
    out: Path
    folder_name: str
    duration_ns: int | None = None
    commit_interval_ns: int = 500_000_000
    segment_bytes: int = 64 << 20
    segment_ns: int = 60_000_000_000
    queue_bytes: int = 64 << 20
    keep_free_bytes: int = 200_000_000


@dataclass
class Progress:
    """What a recording is doing, for whoever shows it."""

    folder: Path | None = None
    started_ns: int = 0
    now_ns: int = 0
    free_bytes: int = 0
    counts: dict[str, StreamCount] = field(default_factory=dict[str, StreamCount])
    failures: dict[str, Exception] = field(default_factory=dict[str, Exception])


class Recorder:
    """Runs one recording.

    Parameters
    ----------
    on_progress
        Called about ten times a second of real time, from the thread that called `run`.
    on_commit
        Called after every fsync, from the writer's thread.
    """

    def __init__(
        self,
        parts: Parts,
        plan: Plan,
        *,
        on_progress: Callable[[Progress], None] | None = None,
        on_commit: Callable[[Commit], None] | None = None,
    ) -> None:
        self._parts = parts
        self._plan = plan
        self._on_progress = on_progress or _say_nothing
        self._delivered: set[str] = set()
        self._announced: dict[str, StreamSpec] = {}
        self._streams_of: dict[str, set[str]] = {}
        self._progress = Progress()
        self._stop_reason = ""
        self._delivering_since_ns = 0
        self._reservation: SpaceReservation | None = None
        self._held = ExitStack()
        self.storage = Storage(
            parts.storage_clock,
            commit_interval_ns=plan.commit_interval_ns,
            queue_bytes=plan.queue_bytes,
            on_commit=on_commit,
        )
        self._bus_workers = [
            BusWorker(part.name, part.bus, part.devices, part.clock, self._take, self._meet)
            for part in parts.buses
        ]
        self._frame_workers = [
            FrameWorker(part.device, part.clock, self._take, self._meet) for part in parts.cameras
        ]
        self._housekeeping = Housekeeping(
            parts.clock,
            parts.read_anchor,
            self.storage,
            plan.out,
            plan.keep_free_bytes,
            self.stop,
            note_health=not parts.virtual,
        )
        workers: list[Worker] = [
            *self._bus_workers,
            *self._frame_workers,
            *parts.own_workers,
            self.storage,
            self._housekeeping,
        ]
        self.runner = VirtualRunner(workers) if parts.virtual else ThreadedRunner(workers)

    @property
    def stop_reason(self) -> str:
        """Why the recording ended: one of `ORDERLY_ENDS`, or what went wrong."""
        return self._stop_reason

    def stop(self, reason: str = "asked to stop") -> None:
        """End the recording in order; from any thread or a signal handler."""
        self._stop_reason = self._stop_reason or reason

    def run(self) -> Path:
        """Record until the duration is over, the source ends, or `stop`; return the folder.

        Raises
        ------
        WbanError
            If the recording could not begin; nothing is left on disk then. Once it has begun, a
            failure ends it in order and stands in its end record.
        """
        made = missing_folders(self._plan.out)
        self._progress.started_ns = self._parts.clock.monotonic_ns()
        try:
            check_writable(self._plan.out, self._plan.keep_free_bytes)
            self.runner.run_until(self._preflight_passed)
            if self._stop_reason:
                raise WbanError(f"nothing was recorded: {self._stop_reason}.")
            folder = self._open_session()
        except BaseException:
            self._stop_workers()
            remove_empty(made)
            raise
        try:
            self.runner.run_until(self._done)
        except StorageError as error:
            log.error("%s", error)
            self.stop(DISK_FULL)
        finally:
            self._stop_workers()
            self._close_session()
        return folder

    def _take(self, output: DeviceOutput) -> None:
        """Store what a device delivers; called from the devices' threads."""
        if isinstance(output, SampleBlock):
            self._delivered.add(output.stream)
        self.storage.put(output)

    def _meet(self, device: BusDevice | FrameDevice) -> None:
        """Announce the streams of a device that has been set up, once each."""
        self._streams_of[device.name] = {spec.name for spec in device.streams}
        for spec in device.streams:
            known = self._announced.get(spec.name)
            if known is None:
                self._announced[spec.name] = spec
                self.storage.put(spec)
            elif not _same_calibration(known, spec):
                raise DeviceError(
                    f"{device.name}: another device answers than when the recording began "
                    "(its calibration differs). Plug the first one in, or start a new recording."
                )

    def _preflight_passed(self) -> bool:
        """Whether every required stream delivers; raises when it cannot be hoped for."""
        self._show()
        required = {
            name: error
            for name, error in self._failures().items()
            if name in self._parts.required_devices
        }
        for error in required.values():
            if isinstance(error, HOPELESS):
                raise error
        devices = [device for part in self._parts.buses for device in part.devices]
        cameras = [part.device for part in self._parts.cameras]
        missing = [
            device.name
            for device in (*devices, *cameras)
            if device.name in self._parts.required_devices and not self._delivers(device)
        ]
        waited_ns = self._parts.clock.monotonic_ns() - self._progress.started_ns
        if missing and waited_ns > PREFLIGHT_NS:
            reason = required.get(missing[0])
            raise DeviceError(
                f"{missing[0]} delivers nothing after {waited_ns / 1e9:.0f} s: "
                f"{reason or 'it was set up and stays silent.'} Check its wiring, or set "
                "required = false for it in the configuration."
            )
        return not missing or bool(self._stop_reason)

    def _delivers(self, device: BusDevice | FrameDevice) -> bool:
        names = self._streams_of.get(device.name, set())
        return bool(names) and names <= self._delivered

    def _open_session(self) -> Path:
        folder = create_folder(self._plan.out, self._plan.folder_name)
        try:
            self._begin(folder)
        except (OSError, SealingError, StorageError) as error:
            self._held.close()
            shutil.rmtree(folder, ignore_errors=True)
            if isinstance(error, OSError):
                raise unusable(self._plan.out, error) from error
            raise StorageError(str(error)) from error
        self._progress.folder = folder
        self._delivering_since_ns = self._parts.clock.monotonic_ns()
        return folder

    def _begin(self, folder: Path) -> None:
        """Take the folder, so that nobody seals it meanwhile; begin the journal in it."""
        plan, header = self._plan, self._plan.header
        self._held.enter_context(locked(folder))
        sync_directory(plan.out)
        journal = JournalWriter(
            folder / JOURNAL_NAME,
            hashlib.blake2b(header.session_id.encode(), digest_size=16).digest(),
            segment_bytes=plan.segment_bytes,
            segment_ns=plan.segment_ns,
        )
        self._reservation = SpaceReservation(
            folder / RESERVATION_NAME, reserved_share(header.gzip_level)
        )
        self.storage.open(journal, header, self._reservation)
        self.storage.put(self._parts.read_anchor())
        labels = self._parts.labels() or [
            Label(
                self._progress.started_ns,
                0,
                header.activity,
                header.annotator,
                uncertainty_ns=1_000_000_000,
            )
        ]
        for label in labels:
            self.storage.put(label)

    def _done(self) -> bool:
        self._show()
        duration_ns = self._plan.duration_ns
        elapsed_ns = self._parts.clock.monotonic_ns() - self._delivering_since_ns
        if duration_ns is not None and elapsed_ns >= duration_ns:
            self.stop("duration reached")
        if self._parts.ended():
            self.stop("source ended")
        return bool(self._stop_reason)

    def _failures(self) -> dict[str, Exception]:
        workers = (*self._bus_workers, *self._frame_workers)
        return {name: e for worker in workers for name, e in worker.failures().items()}

    def _show(self) -> None:
        self._progress.now_ns = self._parts.clock.monotonic_ns()
        self._progress.counts = self.storage.counts
        self._progress.failures = self._failures()
        self._progress.free_bytes = self._housekeeping.free_bytes
        self._on_progress(self._progress)

    def _stop_workers(self) -> None:
        self.runner.stop()
        for worker in (*self._frame_workers, *self._bus_workers):
            try:
                worker.stop()
            except (WbanError, OSError) as error:
                log.warning("%s: %s", worker.name, error)

    def _close_session(self) -> None:
        """Write the end record; a full disk gets the reservation's margin for it."""
        n_lost = {name: count.n_lost for name, count in self.storage.counts.items()}
        end = SessionEnd(self._parts.clock.monotonic_ns(), self._stop_reason or "failed", n_lost)
        try:
            if self._reservation is not None:
                self._reservation.give_margin()
            self.storage.close([self._parts.read_anchor(), end])
        except StorageError as error:
            log.error("%s", error)
        finally:
            if self._reservation is not None:
                self._reservation.release()
            self._held.close()


def _say_nothing(_progress: Progress) -> None:
    """Nobody watches."""


def _same_calibration(one: StreamSpec, other: StreamSpec) -> bool:
    return one.calibration.keys() == other.calibration.keys() and all(
        np.array_equal(one.calibration[key], other.calibration[key]) for key in one.calibration
    )
