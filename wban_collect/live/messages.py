"""What is said on the live socket: two frames a message, a topic and one msgpack map.

Each message is understood alone: whoever subscribes late has missed data, never its meaning.
Topics: ``sample/<stream>``, ``gap/<stream>``, ``label``, ``mark``, ``status``.

The times here are for looking, not for keeping: the stamps of the session file are fitted over the
whole recording when it is sealed, these are worked out from one read alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, cast

import msgspec
import numpy as np
from msgspec import Meta, Struct
from numpy.typing import NDArray

from wban_collect.control.messages import Status
from wban_dataset.recording.streams import StreamKind

FORMAT = "wban-live"
FORMAT_VERSION = 1

LABEL_TOPIC, MARK_TOPIC, STATUS_TOPIC = b"label", b"mark", b"status"

Count = Annotated[int, Meta(ge=0, lt=1 << 62)]
Finite = Annotated[float, Meta(ge=-1e300, le=1e300)]
Instant = Annotated[int, Meta(gt=-(1 << 62), lt=1 << 62)]


def sample_topic(stream: str) -> bytes:
    """Topic of a stream's samples; as a subscription also of streams whose names begin so."""
    return b"sample/" + stream.encode()


def gap_topic(stream: str) -> bytes:
    """Topic of a stream's gaps."""
    return b"gap/" + stream.encode()


class _Message(Struct, frozen=True, kw_only=True, tag_field="type"):
    """What every message begins with. Without a recording `session_id` is empty."""

    format: str = FORMAT
    format_version: int = FORMAT_VERSION
    session_id: str
    host: str
    boot_id: str
    simulated: bool


class SampleMessage(_Message, frozen=True, kw_only=True, tag="sample"):
    """A stretch of one stream without a gap.

    Attributes
    ----------
    dtype, shape, data
        The counts: little endian, in C order, the first axis is time.
    units, scale_factor, add_offset
        Physical value = counts * scale_factor + add_offset.
    fill_value
        The count that means "not known"; None where every count is a value.
    every_nth_pixel
        Of a large picture only every n-th pixel of every n-th row is sent; otherwise 1.
    first_index
        Index of the first sample among those recorded. A jump: this reader has missed some.
    newest_ns, newest_within_ns
        About when the newest sample was taken (CLOCK_MONOTONIC of `boot_id`), and how far off that
        may be as far as one read tells; a chip's filter delay is not taken off.
    period_ns
        Nominal time between two samples.
    realtime_offset_ns, synchronised
        CLOCK_REALTIME less CLOCK_MONOTONIC, and whether the wall clock was known to be right.
    """

    stream: str
    kind: StreamKind
    device: str
    placement: str
    mounting: tuple[float, ...]
    dtype: Literal[
        "|u1", "<i2", "<u2", "<i8", "<f4", "<f8", "<i4", "<u4", "<u8", "|i1", "|b1"
    ]  # as `records.DTYPES`
    shape: Annotated[tuple[Count, ...], Meta(min_length=1, max_length=8)]
    channels: tuple[str, ...]
    units: str
    scale_factor: Finite
    add_offset: Finite
    fill_value: int | None
    every_nth_pixel: int
    sampling_rate_hz: float
    first_index: Count
    segment: Count
    newest_ns: Instant
    newest_within_ns: Count
    period_ns: Annotated[float, Meta(gt=0, lt=1e18)]
    realtime_offset_ns: Instant
    synchronised: bool
    data: bytes


class GapMessage(_Message, frozen=True, kw_only=True, tag="gap"):
    """Samples are missing, and why; see `streams.Gap`."""

    stream: str
    start_ns: int
    stop_ns: int
    n_missing: int
    cause: str
    exact: bool


class LabelMessage(_Message, frozen=True, kw_only=True, tag="label"):
    """From `start_ns` on this is done; `stop_ns` is 0 while it still is."""

    start_ns: int
    stop_ns: int
    label: str
    annotator: str
    source: str


class MarkMessage(_Message, frozen=True, kw_only=True, tag="mark"):
    """A remark at one instant."""

    time_ns: int
    text: str


class StatusMessage(_Message, frozen=True, kw_only=True, tag="status"):
    """How the daemon does; once a second, also while nothing is recorded."""

    status: Status


Message = SampleMessage | GapMessage | LabelMessage | MarkMessage | StatusMessage


@dataclass(frozen=True, slots=True)
class LiveSample:
    """A message of samples with its counts, (n, *sample_shape)."""

    about: SampleMessage
    counts: NDArray[Any]

    def values(self) -> NDArray[np.float64]:
        """Values in `about.units`, (n, *sample_shape); NaN where they are not known."""
        about = self.about
        values = self.counts * about.scale_factor + about.add_offset
        if about.fill_value is not None:
            values[self.counts == about.fill_value] = np.nan
        return values

    def times_ns(self) -> NDArray[np.int64]:
        """About when each sample was taken, CLOCK_MONOTONIC of the recorder, (n,)."""
        before_newest = np.arange(len(self.counts) - 1, -1, -1)
        periods_ns = np.rint(before_newest * self.about.period_ns).astype(np.int64)
        return self.about.newest_ns - periods_ns


LiveMessage = LiveSample | GapMessage | LabelMessage | MarkMessage | StatusMessage


class _Head(Struct, frozen=True):
    """As much of a message as every version of the format will have."""

    format: str = ""
    format_version: int = 0


def _python_number(value: Any) -> Any:
    """Turn a NumPy scalar, which a driver may well hand in, into Python's own number."""
    if isinstance(value, np.generic):
        return cast("Any", value).item()
    raise TypeError(f"a live message cannot hold a {type(value).__name__}")


_ENCODER = msgspec.msgpack.Encoder(enc_hook=_python_number)
_HEADS = msgspec.msgpack.Decoder(_Head)
_MESSAGES = msgspec.msgpack.Decoder(Message)


def encode(message: Message) -> bytes:
    """Pack a message."""
    return _ENCODER.encode(message)


def decode(parts: Sequence[bytes]) -> LiveMessage:
    """Unpack the frames of a message as they were received, topic first.

    Raises
    ------
    ValueError
        If they are no live message, or one of a format that is not known here.
    """
    if len(parts) != 2:
        raise ValueError(
            f"a live message has {len(parts)} frames, expected 2 (topic, map). "
            "Check that the address is a recorder's live socket."
        )
    try:
        head = _HEADS.decode(parts[1])
        if (head.format, head.format_version) != (FORMAT, FORMAT_VERSION):
            raise ValueError(
                f"a live message has format {head.format[:32]!r} version {head.format_version}, "
                f"expected {FORMAT!r} version {FORMAT_VERSION}. Install the recorder's version of "
                "wban here."
            )
        message = _MESSAGES.decode(parts[1])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(
            f"a live message cannot be understood: {error}. "
            "Check that the address is a recorder's live socket."
        ) from error
    return _with_counts(message) if isinstance(message, SampleMessage) else message


def _with_counts(message: SampleMessage) -> LiveSample:
    dtype = np.dtype(message.dtype)
    n_expected = math.prod(message.shape) * dtype.itemsize
    if len(message.data) != n_expected:
        raise ValueError(
            f"a live message of {message.stream[:32]!r} has {len(message.data)} bytes of data, "
            f"expected {n_expected} for shape {message.shape}. "
            "Check that the address is a recorder's live socket."
        )
    return LiveSample(message, np.frombuffer(message.data, dtype).reshape(message.shape))
