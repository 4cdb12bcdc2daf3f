"""What is said over the control socket: requests of a person or a program, replies of the daemon.

Each message is one msgpack map. Times are CLOCK_MONOTONIC in ns of the daemon's boot.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

LARGEST_MESSAGE_BYTES = 65_536
"""Of a request; a longer one is dropped together with its connection."""

SUCCESS, FAILURE, UNUSABLE_VALUE = 0, 1, 2
"""Exit codes that a reply asks its command for."""

ShortText = Annotated[str, Meta(max_length=64)]
RemarkText = Annotated[str, Meta(min_length=1, max_length=1000)]


class StartRequest(Struct, frozen=True, forbid_unknown_fields=True, tag="start"):
    """Record; answered once the required streams deliver, or cannot.

    Where `subject` or `activity` is empty, the one of the configuration's [unattended] is taken.
    """

    subject: ShortText = ""
    activity: ShortText = ""
    duration_ns: Annotated[int, Meta(gt=0, lt=1 << 62)] | None = None


class StopRequest(Struct, frozen=True, forbid_unknown_fields=True, tag="stop"):
    """End the recording; answered once all is on the disk, before it is sealed."""


class LabelRequest(Struct, frozen=True, forbid_unknown_fields=True, tag="label"):
    """From now on this is done."""

    activity: ShortText


class MarkRequest(Struct, frozen=True, forbid_unknown_fields=True, tag="mark"):
    """Something worth a remark happens now."""

    text: RemarkText


class StatusRequest(Struct, frozen=True, forbid_unknown_fields=True, tag="status"):
    """How do you do."""


class SessionsRequest(Struct, frozen=True, forbid_unknown_fields=True, tag="sessions"):
    """What has been recorded; the newest first."""

    limit: Annotated[int, Meta(ge=1, le=10_000)] = 100


Request = StartRequest | StopRequest | LabelRequest | MarkRequest | StatusRequest | SessionsRequest


class StreamStatus(Struct, frozen=True):
    """One stream since the recording began.

    `age_s` is how long ago its newest sample was read; -1 before the first.
    """

    name: str
    n_rows: int
    n_acknowledged: int
    n_lost: int
    n_gaps: int
    rate_hz: float
    age_s: float


class DeviceTrouble(Struct, frozen=True):
    """A device that does not deliver, and why."""

    device: str
    required: bool
    error: str


class BacklogStatus(Struct, frozen=True):
    """Sessions that wait to be sealed; the folder that is at work, and how far it is."""

    n_waiting: int
    limit: int
    sealing: str = ""
    fraction: float = 0.0
    failed: list[str] = []


class RecordingStatus(Struct, frozen=True):
    """The session that is being recorded.

    `label_configured`: the label is the configuration's, nobody has given one since it began.
    """

    folder: str
    session_id: str
    subject: str
    label: str
    started_ns: int
    duration_s: float
    n_sessions: int
    label_configured: bool = False


class EndStatus(Struct, frozen=True):
    """How the last recording ended.

    `orderly`: all that was wanted is there. `folder` is empty where nothing was recorded at all;
    `reason` is then the sentence that says why.
    """

    ended_ns: int
    reason: str
    orderly: bool
    folder: str = ""


class Status(Struct, frozen=True):
    """How the daemon does.

    `state` is "idle", "starting", "recording" or "stopping". `degraded` names required devices that
    did not deliver when the recording began without them. `warnings` are whole sentences.
    `hours_left` is what the disk lasts at least. `last_end` is of this daemon, none before the
    first. `unattended_note` says where it does otherwise than the schedule by itself.
    """

    state: str
    version: str
    host: str
    boot_id: str
    pid: int
    now_ns: int
    uptime_s: float
    out: str
    unattended: bool
    synchronised: bool
    free_bytes: int
    bytes_per_hour: float
    hours_left: float
    backlog: BacklogStatus
    simulated: bool = False
    live_address: str = ""
    unattended_note: str = ""
    recording: RecordingStatus | None = None
    last_end: EndStatus | None = None
    streams: list[StreamStatus] = []
    troubles: list[DeviceTrouble] = []
    degraded: list[str] = []
    recovered: list[str] = []
    warnings: list[str] = []


class SessionEntry(Struct, frozen=True):
    """One session on the recorder's disk.

    `state` is "recording", "waiting" (to be sealed), "sealing", "sealed", "failed" (cannot be
    sealed). Fields that only a sealed file tells are empty or zero before.
    """

    folder: str
    state: str
    n_bytes: int
    session_id: str = ""
    subject: str = ""
    activity: str = ""
    start_utc: str = ""
    duration_s: float = 0.0
    n_lost: int = 0
    complete: bool = False
    recovered: bool = False
    verified_elsewhere: bool = False
    continues: str = ""


class Reply(Struct, frozen=True):
    """The answer to any request.

    `error` is one whole sentence; then `exit_code` is 1 (it failed) or 2 (a value is unusable).
    """

    exit_code: int = SUCCESS
    error: str = ""
    folder: str = ""
    status: Status | None = None
    sessions: list[SessionEntry] = []


def encode(message: Request | Reply) -> bytes:
    """Pack a message."""
    return msgspec.msgpack.encode(message)


_REQUESTS = msgspec.msgpack.Decoder(Request)
_REPLIES = msgspec.msgpack.Decoder(Reply)


def decode_request(data: bytes) -> Request:
    """Unpack a request; raises `msgspec.MsgspecError`, `UnicodeDecodeError`, `RecursionError`."""
    return _REQUESTS.decode(data)


def decode_reply(data: bytes) -> Reply:
    """Unpack a reply; raises as `decode_request` does."""
    return _REPLIES.decode(data)
