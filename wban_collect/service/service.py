"""The recorder as a service: what is asked of it, what it does by itself, how it does."""

from __future__ import annotations

import logging
import os
import platform
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path

from wban_collect.assembly import required_devices
from wban_collect.audience import Audience, Observed
from wban_collect.clock import SystemClock
from wban_collect.clock_sources import boot_id, read_anchor, synchronisation
from wban_collect.config import Config
from wban_collect.control.messages import (
    FAILURE,
    DeviceTrouble,
    EndStatus,
    LabelRequest,
    MarkRequest,
    RecordingStatus,
    Reply,
    Request,
    SessionsRequest,
    StartRequest,
    Status,
    StatusRequest,
    StopRequest,
)
from wban_collect.errors import ConfigError, StorageError, WbanError
from wban_collect.keeping.catalogue import Catalogue
from wban_collect.keeping.naming import true_time_learnt
from wban_collect.keeping.sealer import Sealer
from wban_collect.keeping.sealing import SealOutcome
from wban_collect.keeping.space import LOOK_INTERVAL_S, SpacePolicy
from wban_collect.live.publisher import Publisher
from wban_collect.parts import Parts
from wban_collect.plan import Request as PlanRequest
from wban_collect.plan import make_plan
from wban_collect.recorder import DISK_FAILED, DISK_FULL, Recorder
from wban_collect.service.rates import Rates
from wban_collect.service.recording_thread import RecordingThread
from wban_collect.service.replies import answered, given, later
from wban_collect.service.unattended import Unattended
from wban_collect.session_folder import check_writable
from wban_collect.storage import Commit
from wban_dataset.recording.activities import known_activity, subject_id
from wban_dataset.recording.errors import RecordingError
from wban_dataset.recording.streams import ORDERLY_ENDS, SCHEDULE, SessionHeader

log = logging.getLogger(__name__)

STOP_PATIENCE_S = 1.8
"""How long the end of the service waits for the recording's."""


@dataclass(frozen=True)
class Surroundings:
    """What the service is put into.

    Attributes
    ----------
    parts
        Makes the hardware, or what stands for it, for an activity.
    live_address
        Where the live data can be read.
    acknowledge
        Told of every fsync, and of the folder that it was in.
    """

    out: Path
    parts: Callable[[str], Parts]
    publisher: Publisher
    live_address: str = ""
    simulated: bool = False
    acknowledge: Callable[[Path, Commit], None] = lambda folder, commit: None


class Service:
    """Records when it is asked to or by itself; seals, names and makes room in the background."""

    def __init__(self, config: Config, surroundings: Surroundings) -> None:
        self._config = config
        # Whoever asks stands in another folder.
        self._around = replace(surroundings, out=surroundings.out.absolute())
        self._clock = SystemClock()
        self._boot_id = boot_id()
        self._began_ns = self._clock.monotonic_ns()
        self._recording: RecordingThread | None = None
        self._header: SessionHeader | None = None
        self._folder: Path | None = None
        self._lock = threading.RLock()
        self._rates = Rates()
        self._recovered: list[str] = []
        self._ending = threading.Event()
        self._chores = threading.Thread(target=self._do_chores, name="chores", daemon=True)
        self._last_end: EndStatus | None = None
        self._began_by_itself = False
        self._label_configured = False
        self._is_wanted = False
        self._logged_note = ""
        self.unattended = Unattended(config.unattended)
        out = self._around.out
        self._catalogue = Catalogue(out)
        self._sealer = Sealer(out, limit=config.storage.backlog_limit, on_sealed=self._note_sealed)
        self._space = SpacePolicy.of(config, out, self._catalogue)

    def start(self) -> None:
        """Finish in the background what an earlier run has left."""
        self._sealer.find_left_over()
        self._sealer.start()
        self._chores.start()

    def close(self) -> None:
        """End the recording in order; what is not sealed yet is sealed at the next start."""
        self._ending.set()
        with self._lock:
            recording = self._recording
        if recording is not None:
            recording.stop()
            if not wait([recording.ended], STOP_PATIENCE_S).done:
                log.warning("the recording hangs; its journal is safe.")
        unsealed = [str(folder) for folder in self._sealer.states]
        self._sealer.close()
        if unsealed:
            log.info(
                "%s: to be sealed at the next start, or by 'wban-collect recover %s'",
                ", ".join(unsealed),
                self._around.out,
            )

    def handle(self, request: Request) -> Reply | Future[Reply]:
        """Answer a request; what takes long is answered later."""
        match request:
            case StatusRequest():
                return Reply(status=self.status())
            case SessionsRequest(limit=limit):
                return later(partial(self._sessions, limit))
            case StartRequest():
                return self._start_asked(request)
            case StopRequest():
                return self._stop_asked()
            case LabelRequest(activity=activity):
                slug = self._known_activity(activity)
                self._present().label(slug)
                self._label_configured = False
                return Reply(folder=str(self._folder or ""))
            case MarkRequest(text=text):
                self._present().mark(text)
                return Reply(folder=str(self._folder or ""))

    def supervise(self) -> None:
        """Do what is to be done by itself; called every second."""
        self._follow_schedule(self._clock.monotonic_ns())
        if self._around.publisher.is_watched:
            self._around.publisher.offer_status(self.status())

    def keep_space(self) -> None:
        """Make room while it records or wants to; end a recording for which there is none."""
        if self._recording is not None or self._is_wanted:
            self._space.make_room_to_record(self._sealer.unsealed_bytes)
        with self._lock:
            if self._recording is not None and self._is_full():
                self._recording.stop(DISK_FULL)

    def complaint(self) -> str:
        """Say what hangs; nothing while all lives."""
        recording = self._recording
        return recording.complaint() if recording is not None else ""

    @property
    def is_recording(self) -> bool:
        """Whether a session is open."""
        recording = self._recording
        return recording is not None and recording.state == "recording"

    def begins_by_itself(self) -> bool:
        """Whether a recording is wanted now without anybody asking."""
        local, synchronised = datetime.now().astimezone(), synchronisation()[0]
        return self.unattended.wants(local, synchronised=synchronised)

    def status(self) -> Status:
        """Tell how it does."""
        with self._lock:
            recording = self._recording
        now_ns = self._clock.monotonic_ns()
        free_bytes = self._free_bytes()
        progress = recording.progress if recording is not None else None
        return Status(
            state=recording.state if recording is not None else "idle",
            version=version("wban"),
            host=platform.node(),
            boot_id=self._boot_id,
            pid=os.getpid(),
            now_ns=now_ns,
            uptime_s=(now_ns - self._began_ns) / 1e9,
            out=str(self._around.out),
            unattended=self.unattended.enabled,
            unattended_note=self.unattended.note,
            synchronised=synchronisation()[0],
            free_bytes=free_bytes,
            bytes_per_hour=self._config.bytes_per_second() * 3600,
            hours_left=self._space.hours_left(free_bytes),
            backlog=self._sealer.backlog,
            simulated=self._around.simulated,
            live_address=self._around.live_address,
            recording=self._recording_status(now_ns) if recording is not None else None,
            last_end=self._last_end,
            streams=self._rates.statuses(dict(progress.counts), now_ns) if progress else [],
            troubles=self._troubles() if recording is not None else [],
            degraded=list(progress.degraded) if progress is not None else [],
            recovered=list(self._recovered),
            warnings=self._warnings(free_bytes),
        )

    # --- what is asked ---------------------------------------------------------------------------

    def _start_asked(self, request: StartRequest) -> Future[Reply]:
        own = self.unattended
        try:
            subject = subject_id(given(request.subject, own.subject, "subject"))
        except ValueError as error:
            raise ConfigError(f"subject: {error}.") from error
        activity = self._known_activity(given(request.activity, own.activity, "activity"))
        with self._lock:
            own.release()
            recording = self._begin(
                PlanRequest(
                    subject,
                    activity,
                    self._around.out,
                    request.duration_ns,
                    # Left alone it would grow for weeks: nobody may come to stop it.
                    session_ns=own.session_ns if own.enabled else None,
                    simulated=self._around.simulated,
                ),
                label_configured=not request.activity,
            )
        return answered(recording.begun)

    def _stop_asked(self) -> Reply | Future[Reply]:
        with self._lock:
            self.unattended.hold()
            self._log_note()
            recording = self._recording
            if recording is None:
                return Reply(FAILURE, "nothing is being recorded; there is nothing to stop.")
            was_starting = recording.state == "starting"
            recording.stop()
        return answered(recording.ended, without_result=was_starting)

    def _present(self) -> RecordingThread:
        with self._lock:
            if self._recording is None:
                raise WbanError(
                    "nothing is being recorded; begin with 'wban-collect start --subject S01 "
                    "--activity eating'."
                )
            return self._recording

    def _known_activity(self, text: str) -> str:
        try:
            return known_activity(text, self._config.activities())
        except ValueError as error:
            raise ConfigError(f"activity: {error}.") from error

    def _sessions(self, limit: int) -> Reply:
        busy = self._sealer.states
        if self._folder is not None:
            busy[self._folder] = "recording"
        return Reply(sessions=self._catalogue.entries(limit, busy))

    # --- recording -------------------------------------------------------------------------------

    def _begin(self, request: PlanRequest, *, label_configured: bool) -> RecordingThread:
        """Begin to record, unless something speaks against it; the lock is held."""
        if self._recording is not None:
            raise WbanError(
                f"{self._folder or 'another session'} is being recorded; end it with "
                "'wban-collect stop' first."
            )
        if self._sealer.is_full:
            backlog = self._sealer.backlog
            raise WbanError(
                f"{backlog.n_waiting} sessions wait to be sealed, expected fewer than "
                f"{backlog.limit}; wait until some are done ('wban-collect status')."
            )
        audience = Audience(
            commit=self._note_commit,
            output=self._publish,
            opened=self._note_opened,
            closed=self._sealer.add,
            may_change=lambda: not self._sealer.is_full,
        )

        def make(audience: Audience) -> Recorder:
            self._find_room()
            parts = self._around.parts(request.activity)
            return Recorder(parts, make_plan(request, self._config, parts.clock), audience)

        recording = self._recording = RecordingThread(make, audience)
        self._began_by_itself = request.without_missing
        self._label_configured = label_configured
        self._rates = Rates()
        recording.ended.add_done_callback(self._note_ended)
        recording.start()
        return recording

    def _publish(self, item: Observed) -> None:
        self._around.publisher.offer(item)

    def _note_commit(self, commit: Commit) -> None:
        if self._folder is not None:
            self._around.acknowledge(self._folder, commit)

    def _note_opened(self, header: SessionHeader, folder: Path) -> None:
        self._header, self._folder = header, folder
        self._around.publisher.describe_session(header)
        whence = " (from the configuration)" if self._label_configured else ""
        log.info("recording into %s, labelled %s%s", folder, header.activity, whence)

    def _note_ended(self, ended: Future[Path]) -> None:
        error = ended.exception()
        with self._lock:
            reason = self._recording.end_reason if self._recording is not None else ""
            folder = str(self._folder or "")
            told = str(error) if error is not None else reason
            orderly = error is None and reason in ORDERLY_ENDS
            self._last_end = EndStatus(self._clock.monotonic_ns(), told, orderly, folder)
            self._recording = self._folder = self._header = None
            self._around.publisher.describe_session(None)
            if error is not None or reason in (DISK_FULL, DISK_FAILED):
                self.unattended.note_failure(self._clock.monotonic_ns())
        if error is not None:
            log.warning("%s", error)
        else:
            log.info("recording ended: %s", reason)

    def _follow_schedule(self, now_ns: int) -> None:
        wanted = self._is_wanted = self.begins_by_itself()
        self._log_note()
        with self._lock:
            recording = self._recording
            if recording is not None:
                if self._began_by_itself and not wanted:
                    recording.stop(SCHEDULE)
                return
            if not wanted or not self.unattended.may_try(now_ns):
                return
            if self._lack_of_room():
                return
            try:
                self._begin(
                    PlanRequest(
                        self.unattended.subject,
                        self._known_activity(self.unattended.activity),
                        self._around.out,
                        session_ns=self.unattended.session_ns,
                        without_missing=True,
                        simulated=self._around.simulated,
                    ),
                    label_configured=True,
                )
            except WbanError as error:
                log.warning("%s", error)
                self.unattended.note_failure(now_ns)

    def _log_note(self) -> None:
        """Log once what it does otherwise than the schedule."""
        note = self.unattended.note
        if note and note != self._logged_note:
            log.info("%s", note)
        self._logged_note = note

    # --- the disk --------------------------------------------------------------------------------

    def _note_sealed(self, outcome: SealOutcome) -> None:
        report = outcome.report
        if report["recovered"]:
            lost_s = report["lost_tail_ns"] / 1e9
            self._recovered.append(f"{outcome.folder}: up to {lost_s:.1f} s missing at its end")
        log.info("%s", outcome.text)

    def _do_chores(self) -> None:
        """Make room and name sessions, which may take long: apart from what feeds the watchdog."""
        while not self._ending.is_set():
            try:
                self.keep_space()
                self._name_by_true_time()
            except (WbanError, RecordingError, OSError) as error:
                log.warning("%s", error)
            self._ending.wait(LOOK_INTERVAL_S)

    def _find_room(self) -> None:
        """Make room for a recording that is about to begin; refuse it where there is none."""
        check_writable(self._around.out, 0)
        self._space.make_room_to_record(self._sealer.unsealed_bytes)
        lack = self._lack_of_room()
        if lack:
            raise StorageError(lack)

    def _lack_of_room(self) -> str:
        """Say why no session can begin; nothing where one can."""
        free_bytes = self._free_bytes()
        needed_bytes = self._space.needed_to_begin(self._sealer.unsealed_bytes)
        if free_bytes >= needed_bytes:
            return ""
        return (
            f"output folder {self._around.out}: {free_bytes / 1e6:.0f} MB are free, expected at "
            f"least {needed_bytes / 1e6:.0f} MB: storage.keep_free_mb, what the sessions need that "
            "wait to be sealed, and what a session takes to begin with. Copy sessions away and "
            "remove them."
        )

    def _name_by_true_time(self) -> None:
        anchor = read_anchor()
        if anchor.synchronised:
            learnt = true_time_learnt(self._around.out, self._boot_id, anchor, self._catalogue)
            for before, after in learnt:
                log.info("%s is now %s: the clock is known to be right", before, after.name)

    def _is_full(self) -> bool:
        return self._space.state(self._free_bytes(), self._sealer.unsealed_bytes) == "full"

    def _free_bytes(self) -> int:
        try:
            return shutil.disk_usage(self._around.out).free
        except OSError:
            return 0

    # --- how it does -----------------------------------------------------------------------------

    def _recording_status(self, now_ns: int) -> RecordingStatus | None:
        header, recording = self._header, self._recording
        if header is None or recording is None:
            return None
        return RecordingStatus(
            folder=str(self._folder),
            session_id=header.session_id,
            subject=header.subject,
            label=recording.progress.label,
            started_ns=header.started_monotonic_ns,
            duration_s=(now_ns - header.started_monotonic_ns) / 1e9,
            n_sessions=recording.progress.n_sessions,
            label_configured=self._label_configured,
        )

    def _troubles(self) -> list[DeviceTrouble]:
        recording = self._recording
        failures = dict(recording.progress.failures) if recording is not None else {}
        required = required_devices(self._config)
        return [
            DeviceTrouble(device, device in required, str(error))
            for device, error in failures.items()
        ]

    def _warnings(self, free_bytes: int) -> list[str]:
        shortage = self._space.shortage(free_bytes, self._sealer.unsealed_bytes)
        lack = self._lack_of_room() if self._is_wanted and self._recording is None else ""
        warnings = [text for text in (lack, shortage) if text]
        if self._sealer.is_full:
            warnings.append(
                f"{self._sealer.backlog.n_waiting} sessions wait to be sealed; no new one begins."
            )
        return warnings + self._sealer.warnings
