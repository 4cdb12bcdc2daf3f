"""What fuzzing starts from, made by code: small journals, and every kind of control message."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.integration import session_journal as made
from wban_collect.control import messages
from wban_collect.control.messages import (
    LabelRequest,
    MarkRequest,
    Reply,
    SessionEntry,
    SessionsRequest,
    StartRequest,
    Status,
    StatusRequest,
    StopRequest,
)
from wban_dataset.recording.journal import JournalWriter
from wban_dataset.recording.records import JournalItem, encode
from wban_dataset.recording.streams import SampleBlock

NONCE = bytes(range(16))


def segment_of(items: Sequence[JournalItem]) -> bytes:
    """Write a journal of one segment, and give its bytes."""
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder) / "journal"
        with JournalWriter(directory, NONCE) as journal:
            for item in items:
                journal.append(*encode(item), 0)
        return (directory / "000000.wbj").read_bytes()


def small_session() -> list[JournalItem]:
    """Give a session of every kind of item, without the bulk: two blocks of each small stream."""
    kept: list[JournalItem] = []
    n_blocks: dict[str, int] = {}
    for item in made.whole_session(1):
        if isinstance(item, SampleBlock):
            n_blocks[item.stream] = n_blocks.get(item.stream, 0) + 1
            if item.stream == "thermal" or n_blocks[item.stream] > 2:
                continue
        kept.append(item)
    return kept


def journal_seeds() -> list[bytes]:
    """Give segments: a whole small session, and one for each kind of item."""
    session = small_session()
    by_kind = {type(item): item for item in session}
    gap = made.gap_of_accel(made.START_NS, made.START_NS + made.SECOND_NS, 3)
    declared = [
        item for item in session if item is made.HEADER or not isinstance(item, SampleBlock)
    ]
    return [
        segment_of(session),
        segment_of(declared),
        *(segment_of([item]) for item in by_kind.values()),
        segment_of([made.HEADER, made.accel_spec(), made.accel_block(0), gap, made.accel_block(2)]),
        segment_of([made.thermal_block(0)]),
        b"",
    ]


def message_seeds() -> list[bytes]:
    """Give every kind of request, and replies."""
    status = Status(
        *("recording", "0.1.0", "pi", "boot", 1, 2, 3.0, "recordings"),
        *(True, True, 10**9, 1e8, 9.5),
        backlog=messages.BacklogStatus(0, 12),
        recording=messages.RecordingStatus("folder", "id", "S01", "eating", 1, 2.0, 1),
        streams=[messages.StreamStatus("accel", 1, 1, 0, 0, 100.0, 0.1)],
        troubles=[messages.DeviceTrouble("camera", True, "It is gone.")],
    )
    spoken = [
        StartRequest("S01", "eating", 60_000_000_000),
        StartRequest("S01", "eating"),
        StopRequest(),
        LabelRequest("walking"),
        MarkRequest("dropped the fork — twice"),
        StatusRequest(),
        SessionsRequest(7),
        Reply(2, "activity: it is unknown."),
        Reply(status=status),
        Reply(sessions=[SessionEntry("folder", "sealed", 10**6)]),
    ]
    return [messages.encode(message) for message in spoken]
