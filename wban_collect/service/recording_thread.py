"""One recording in a thread of its own: whether it has begun, how it does, how it ended."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

from wban_collect.audience import Audience, Progress
from wban_collect.errors import WbanError, unexpected
from wban_collect.recorder import Recorder
from wban_dataset.recording.streams import SessionHeader

log = logging.getLogger(__name__)

ASKED = "asked to stop"


class RecordingThread:
    """Runs a recorder.

    Parameters
    ----------
    make
        Makes the recorder; called in the thread, since buses and cameras take their time.

    Attributes
    ----------
    begun
        Folder of the first session, once the required streams deliver; or why they do not.
    ended
        Folder of the last session, once all of it is on the disk; or why there is none.
    """

    def __init__(self, make: Callable[[Audience], Recorder], audience: Audience) -> None:
        self.begun: Future[Path] = Future()
        self.ended: Future[Path] = Future()
        self.progress = Progress()
        self._make = make
        self._audience = replace(audience, progress=self._note, opened=self._opened)
        self._tell_opened = audience.opened
        self._recorder: Recorder | None = None
        self._stop_reason = ""
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)

    def start(self) -> None:
        """Begin, in the background."""
        self._thread.start()

    @property
    def state(self) -> str:
        """One of ``starting``, ``recording``, ``stopping`` and ``idle``."""
        if self.ended.done():
            return "idle"
        if self._stop_reason:
            return "stopping"
        return "recording" if self.begun.done() else "starting"

    @property
    def end_reason(self) -> str:
        """Why it ended, as it stands in the session; empty before."""
        return self._recorder.stop_reason if self._recorder is not None else ""

    def stop(self, reason: str = ASKED) -> None:
        """End it in order; `ended` tells when it is done."""
        with self._lock:
            self._stop_reason = self._stop_reason or reason
            if self._recorder is not None:
                self._recorder.stop(reason)

    def label(self, activity: str) -> None:
        """Begin another activity's span now."""
        self._running().label(activity)

    def mark(self, text: str) -> None:
        """Remark on this instant."""
        self._running().mark(text)

    def complaint(self) -> str:
        """Say what hangs; nothing while the recorder lives."""
        return self._recorder.vitals().complaint() if self._recorder is not None else ""

    def _running(self) -> Recorder:
        if self._recorder is None or self.state != "recording":
            raise WbanError(
                f"nothing is being recorded (state: {self.state}); begin with 'wban-collect start'."
            )
        return self._recorder

    def _note(self, progress: Progress) -> None:
        self.progress = progress

    def _opened(self, header: SessionHeader, folder: Path) -> None:
        self._tell_opened(header, folder)
        if not self.begun.done():
            self.begun.set_result(folder)

    def _run(self) -> None:
        try:
            recorder = self._make(self._audience)
            with self._lock:
                self._recorder = recorder
                if self._stop_reason:
                    recorder.stop(self._stop_reason)
            folder = recorder.run()
        except WbanError as error:
            self._fail(error)
        except Exception as error:  # the daemon goes on; a defect stands in its log
            log.exception("the recording ended")
            self._fail(unexpected(error))
        else:
            self.ended.set_result(folder)

    def _fail(self, error: WbanError) -> None:
        self.ended.set_exception(error)
        # Whoever waited for the beginning may ask again at once: what follows the end is done.
        if not self.begun.done():
            self.begun.set_exception(error)
