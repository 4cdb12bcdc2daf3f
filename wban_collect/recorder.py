"""One recording from start to stop: preflight, run, drain, close."""

from __future__ import annotations

import errno
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from wban_collect.audience import Audience, Observed, Progress
from wban_collect.bus import BusWorker
from wban_collect.device import BusDevice, DeviceOutput, FrameDevice
from wban_collect.errors import (
    AddressHeldError,
    BusOpenError,
    CameraStackError,
    DeviceError,
    DeviceNotFoundError,
    StorageError,
    WbanError,
)
from wban_collect.frames import FrameWorker
from wban_collect.housekeeping import Housekeeping
from wban_collect.open_session import OpenSession
from wban_collect.parts import Parts
from wban_collect.session_folder import check_writable, missing_folders, remove_empty
from wban_collect.storage import Commit, Storage
from wban_collect.vitals import FreshRows, Vitals
from wban_collect.worker import ThreadedRunner, VirtualRunner, Worker
from wban_dataset.recording.layout import DEGRADED, power_up_of
from wban_dataset.recording.streams import (
    NEXT_SESSION,
    Label,
    Mark,
    SampleBlock,
    SessionEnd,
    SessionHeader,
    StreamSpec,
)
from wban_dataset.recording.wording import check_printable

log = logging.getLogger(__name__)

PREFLIGHT_NS = 30_000_000_000
"""How long required streams may take until they deliver."""

HOPELESS = (DeviceNotFoundError, AddressHeldError, BusOpenError, CameraStackError)
"""Errors that waiting does not mend: a recording that has not begun yet is refused at once."""

DISK_FULL = "disk full"
DISK_FAILED = "disk failed"

LIVE_LABEL_UNCERTAINTY_NS = 1_000_000_000
"""Of a label that a person gives by a key press."""

HELD_BY_CHIPS_NS = 1_000_000_000
"""Samples that a chip still held when the session changed are at most so much older."""

RETRY_CHANGE_NS = 60_000_000_000
"""A next session that cannot be begun is tried again after this; the present one goes on."""

REST_PATIENCE_S = 0.5
"""How long the end of a recording waits for chips that are put to rest."""

NextSession = Callable[[SessionHeader, str, int], tuple[SessionHeader, str]]


@dataclass(frozen=True)
class Plan:
    """What is to be recorded, and how it is stored.

    Attributes
    ----------
    session_ns
        A new session begins after this time, without a gap; None: one session.
    next_session
        Makes its header and its folder's name, of the header before it, the label that runs, and
        the instant.
    without_missing
        Record without required devices that do not deliver in time: better some than nothing.
    """

    header: SessionHeader
    out: Path
    folder_name: str
    next_session: NextSession
    duration_ns: int | None = None
    session_ns: int | None = None
    without_missing: bool = False
    commit_interval_ns: int = 500_000_000
    segment_bytes: int = 64 << 20
    segment_ns: int = 60_000_000_000
    queue_bytes: int = 64 << 20
    keep_free_bytes: int = 200_000_000


class Recorder:
    """Runs one recording: one session, or many without a gap between them."""

    def __init__(self, parts: Parts, plan: Plan, audience: Audience | None = None) -> None:
        self._parts = parts
        self._plan = plan
        self._audience = audience or Audience()
        self._delivered: set[str] = set()
        self._announced: dict[str, StreamSpec] = {}
        self._streams_of: dict[str, set[str]] = {}
        self._progress = Progress()
        self._stop_reason = ""
        self._delivering_since_ns = 0
        self._session: OpenSession | None = None
        self._changing = False
        self._change_due_ns = 0
        self._power_up_ns: dict[str, int] = {}
        self._label: Label | None = None
        self._label_lock = threading.Lock()
        self._fresh = FreshRows(parts.clock.monotonic_ns())
        self.storage = Storage(
            parts.storage_clock,
            commit_interval_ns=plan.commit_interval_ns,
            queue_bytes=plan.queue_bytes,
            on_commit=self._note_commit,
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

    def label(self, activity: str) -> None:
        """Begin another activity's span now; the running one ends. From any thread."""
        now_ns = self._parts.clock.monotonic_ns()
        with self._label_lock:
            before, self._label = self._label, self._live_label(now_ns, activity)
            self._progress.label = activity
            for label in (replace(before, stop_ns=now_ns) if before else None, self._label):
                if label is not None:
                    self._observe(label)

    def mark(self, text: str) -> None:
        """Remark on this instant; from any thread.

        Raises
        ------
        WbanError
            If there is a control character in it: it would go to every terminal that shows it.
        """
        try:
            check_printable(text, "remark")
        except ValueError as error:
            raise WbanError(f"{error}.") from error
        self._observe(Mark(self._parts.clock.monotonic_ns(), text))

    def vitals(self) -> Vitals:
        """Tell what the watchdog judges by; from any thread."""
        attempts_ns: dict[str, int] = {}
        for worker in (*self._bus_workers, *self._frame_workers):
            for device, attempt_ns in worker.attempts_ns().items():
                if device in self._parts.required_devices:
                    streams = self._streams_of.get(device) or {device}
                    attempts_ns |= dict.fromkeys(streams, attempt_ns)
        now_ns = self._parts.clock.monotonic_ns()
        # Before the session is open there is nothing to fsync.
        fsync_ns = self._fresh.fsync_ns if self._session is not None else now_ns
        return Vitals(now_ns, fsync_ns, dict(self._fresh.by_stream), attempts_ns)

    def run(self) -> Path:
        """Record until the duration is over, the source ends, or `stop`; return the last folder.

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
            self._session = self._open_session()
        except BaseException:
            self.runner.stop()
            self._put_to_rest()
            remove_empty(made)
            raise
        try:
            self.runner.run_until(self._done)
        except StorageError as error:
            log.error("%s", error)
            self.stop(DISK_FULL if _is_for_want_of_room(error) else DISK_FAILED)
        finally:
            self.runner.stop(wait_for=self.storage)
            folder = self._close_session(self._session)
            self._put_to_rest()
        return folder

    def _take(self, output: DeviceOutput) -> None:
        """Store what a device delivers; called from the devices' threads."""
        if isinstance(output, SampleBlock):
            self._delivered.add(output.stream)
        elif output.cause == "device missing":
            self._power_up_ns[output.stream] = output.stop_ns
        self._observe(output)

    def _observe(self, item: Observed) -> None:
        """Hand an item to the writer, and a copy to whoever listens."""
        self.storage.put(item)
        self._audience.output(item)

    def _meet(self, device: BusDevice | FrameDevice) -> None:
        """Announce the streams of a device that has been set up, once each."""
        self._streams_of[device.name] = {spec.name for spec in device.streams}
        for spec in device.streams:
            known = self._announced.get(spec.name)
            if known is None:
                self._announced[spec.name] = spec
                self._observe(spec)
            elif not _same_calibration(known, spec):
                raise DeviceError(
                    f"{device.name}: another device answers than when the recording began "
                    "(its calibration differs). Plug the first one in, or start a new recording."
                )

    def _note_commit(self, commit: Commit) -> None:
        self._fresh.note(commit)
        self._audience.commit(commit)

    def _preflight_passed(self) -> bool:
        """Whether every required stream delivers; raises when it cannot be hoped for."""
        self._show()
        required = self._required_failures()
        patient = self._plan.without_missing
        for error in required.values():
            if isinstance(error, HOPELESS) and not patient:
                raise error
        missing = self._missing()
        waited_ns = self._parts.clock.monotonic_ns() - self._progress.started_ns
        if missing and waited_ns > PREFLIGHT_NS:
            if patient and self._delivered:
                return True
            if not patient:
                raise _silent(missing[0], waited_ns, required.get(missing[0]))
        return not missing or bool(self._stop_reason)

    def _missing(self) -> list[str]:
        """Name the required devices that have not delivered yet."""
        devices = [device for part in self._parts.buses for device in part.devices]
        cameras = [part.device for part in self._parts.cameras]
        required = self._parts.required_devices
        return [
            device.name
            for device in (*devices, *cameras)
            if device.name in required and not self._delivers(device)
        ]

    def _delivers(self, device: BusDevice | FrameDevice) -> bool:
        names = self._streams_of.get(device.name, set())
        return bool(names) and names <= self._delivered

    def _open_session(self) -> OpenSession:
        """Begin the first session; its header is on the disk when this returns."""
        plan = self._plan
        header = _degraded(plan.header, self._missing())
        session = self._new_session(header, plan.folder_name)
        try:
            self.storage.open(session.destination)
        except StorageError:
            session.discard()
            raise
        self.storage.put(self._parts.read_anchor())
        labels = self._parts.labels()
        if not labels:
            self._label = self._live_label(self._progress.started_ns, header.activity)
            labels = [self._label]
        self._progress.label = labels[-1].label
        for label in labels:
            self._observe(label)
        self._delivering_since_ns = self._parts.clock.monotonic_ns()
        self._fresh.fsync_ns = self._delivering_since_ns
        self._change_due_ns = self._delivering_since_ns + (plan.session_ns or 0)
        self._introduce(session)
        return session

    def _new_session(self, header: SessionHeader, name: str) -> OpenSession:
        plan = self._plan
        return OpenSession(plan.out, name, header, plan.segment_bytes, plan.segment_ns)

    def _introduce(self, session: OpenSession) -> None:
        self._progress.folder, self._progress.header = session.folder, session.header
        self._progress.n_sessions += 1
        degraded = str(session.header.attributes.get(DEGRADED, ""))
        self._progress.degraded = tuple(degraded.split(",")) if degraded else ()
        self._audience.opened(session.header, session.folder)

    def _live_label(self, start_ns: int, activity: str) -> Label:
        annotator = self._plan.header.annotator
        return Label(start_ns, 0, activity, annotator, uncertainty_ns=LIVE_LABEL_UNCERTAINTY_NS)

    def _done(self) -> bool:
        self._show()
        now_ns = self._parts.clock.monotonic_ns()
        duration_ns = self._plan.duration_ns
        if duration_ns is not None and now_ns - self._delivering_since_ns >= duration_ns:
            self.stop("duration reached")
        if self._parts.ended():
            self.stop("source ended")
        if self._plan.session_ns is not None and not self._stop_reason:
            self._change_if_due(now_ns, self._plan.session_ns)
        return bool(self._stop_reason)

    def _change_if_due(self, now_ns: int, session_ns: int) -> None:
        """Begin the next session when its time has come."""
        if now_ns < self._change_due_ns or self._changing or not self._audience.may_change():
            return
        self._change_due_ns = now_ns + RETRY_CHANGE_NS
        try:
            self._change_session(now_ns, session_ns)
        except StorageError as error:
            log.warning("The next session cannot begin, the present one goes on: %s", error)

    def _change_session(self, now_ns: int, session_ns: int) -> None:
        before = self._session
        if before is None:
            return
        with self._label_lock:
            running = self._label or self._live_label(now_ns, before.header.activity)
            header, name = self._plan.next_session(before.header, running.label, now_ns)
            header = _degraded(header, sorted(self._required_failures()))
            header = _powered(header, self._power_up_ns)
            session = self._new_session(header, name)
            self._label = replace(running, start_ns=now_ns - HELD_BY_CHIPS_NS)
            anchor = self._parts.read_anchor()
            last = (replace(running, stop_ns=now_ns), anchor, SessionEnd(now_ns, NEXT_SESSION, {}))

            def done(error: StorageError | None) -> None:
                self._changing = False
                if error is not None:
                    log.warning("The present session goes on: %s", error)
                    session.discard()
                    return
                self._session = session
                self._change_due_ns = now_ns + session_ns
                before.close()
                self._introduce(session)
                self._audience.closed(before.folder)

            self._changing = True
            self.storage.change(session.destination, last, (anchor, self._label), done)

    def _failures(self) -> dict[str, Exception]:
        workers = (*self._bus_workers, *self._frame_workers)
        return {name: e for worker in workers for name, e in worker.failures().items()}

    def _required_failures(self) -> dict[str, Exception]:
        required = self._parts.required_devices
        return {name: error for name, error in self._failures().items() if name in required}

    def _show(self) -> None:
        self._progress.now_ns = self._parts.clock.monotonic_ns()
        self._progress.counts = self.storage.counts
        self._progress.failures = self._failures()
        self._progress.free_bytes = self._housekeeping.free_bytes
        self._audience.progress(self._progress)

    def _put_to_rest(self) -> None:
        """Put chips and cameras to rest; one that hangs is left alone, its samples are safe."""
        resting = threading.Thread(target=self._rest, name="put to rest", daemon=True)
        resting.start()
        resting.join(None if self._parts.virtual else REST_PATIENCE_S)

    def _rest(self) -> None:
        for worker in (*self._frame_workers, *self._bus_workers):
            if not self.runner.has_ended(worker):
                log.warning("%s: still busy with a transfer, not put to rest.", worker.name)
                continue
            try:
                worker.stop()
            except (WbanError, OSError) as error:
                log.warning("%s: %s", worker.name, error)
        self._parts.close()

    def _close_session(self, session: OpenSession) -> Path:
        """Write the end record; a full disk gets the reservation's margin for it."""
        end = SessionEnd(self._parts.clock.monotonic_ns(), self._stop_reason or "failed", {})
        with self._label_lock:
            if self._label is not None:  # who watches is told; the file ends it with the session
                self._audience.output(replace(self._label, stop_ns=end.monotonic_ns))
        try:
            session.reservation.give_margin()
            self.storage.close([self._parts.read_anchor(), end])
        except StorageError as error:
            log.error("%s", error)
        last = self._session or session  # a change that waited in the queue has been made
        last.close()
        self._audience.closed(last.folder)
        return last.folder


def _silent(device: str, waited_ns: int, reason: Exception | None) -> DeviceError:
    return DeviceError(
        f"{device} delivers nothing after {waited_ns / 1e9:.0f} s: "
        f"{reason or 'it was set up and stays silent.'} Check its wiring, or set "
        "required = false for it in the configuration."
    )


def _is_for_want_of_room(error: StorageError) -> bool:
    cause = error.__cause__
    return isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT)


def _degraded(header: SessionHeader, missing: Sequence[str]) -> SessionHeader:
    """Write into a header which required devices are missing."""
    others = {key: value for key, value in header.attributes.items() if key != DEGRADED}
    return replace(header, attributes={**others, DEGRADED: ",".join(missing)})


def _powered(header: SessionHeader, power_up_ns: Mapping[str, int]) -> SessionHeader:
    """Write into a header which devices were without power in the sessions before."""
    told = {power_up_of(stream): instant_ns for stream, instant_ns in power_up_ns.items()}
    return replace(header, attributes={**header.attributes, **told})


def _same_calibration(one: StreamSpec, other: StreamSpec) -> bool:
    return one.calibration.keys() == other.calibration.keys() and all(
        np.array_equal(one.calibration[key], other.calibration[key]) for key in one.calibration
    )
