"""What the records of a journal mean: kinds of records, to and from the classes of `streams`.

A payload is: length of the head (u32), head (MessagePack), then the arrays that the head lists,
little endian in C order, each beginning at a multiple of 8 bytes. Arrays are neither copied when
encoded nor when decoded.

A head is a map with the item's fields by name, so that a newer program may add fields and an older
one still reads it; the head of a block, of which there are many, is a list.
"""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from wban_dataset.recording.journal import Damage, JournalReader, Record
from wban_dataset.recording.streams import (
    ClockAnchor,
    Gap,
    HealthSample,
    Label,
    Mark,
    Read,
    SampleBlock,
    SessionEnd,
    SessionHeader,
    StreamSpec,
)

JournalItem = (
    SessionHeader
    | StreamSpec
    | SampleBlock
    | Gap
    | ClockAnchor
    | Label
    | Mark
    | HealthSample
    | SessionEnd
)

# On the disk: a number is never given to another meaning.
SESSION_HEADER, STREAM_SPEC, BLOCK, GAP, CLOCK_ANCHOR = 1, 2, 3, 4, 5
LABEL, MARK, HEALTH, SESSION_END = 6, 7, 8, 9

DTYPES = ("|u1", "<i2", "<u2", "<i8", "<f4", "<f8", "<i4", "<u4", "<u8", "|i1", "|b1")
ALIGNMENT = 8
MAX_DIMENSIONS = 8

_LENGTH_BYTES = 4
_INT64_MIN, _INT64_MAX = -(1 << 63), (1 << 63) - 1

LARGEST_FIFO = 1 << 20
LARGEST_INDEX = 1 << 44
"""Of a block; a thousand samples a second for five hundred years."""

_logger = logging.getLogger(__name__)


class RecordError(ValueError):
    """A record verified, but what it says makes no sense."""


class _Array(msgspec.Struct, array_like=True, frozen=True):
    name: str
    dtype: str
    shape: tuple[int, ...]


class _BlockHead(msgspec.Struct, array_like=True, frozen=True):
    stream: str
    first_index: int
    segment: int
    read: tuple[int, int, int, int, int]
    arrays: list[_Array]  # the first is the data


class _SpecHead(msgspec.Struct, frozen=True):
    spec: msgspec.Raw
    arrays: list[_Array]


_KINDS: dict[type[Any], int] = {
    SessionHeader: SESSION_HEADER,
    StreamSpec: STREAM_SPEC,
    SampleBlock: BLOCK,
    Gap: GAP,
    ClockAnchor: CLOCK_ANCHOR,
    Label: LABEL,
    Mark: MARK,
    HealthSample: HEALTH,
    SessionEnd: SESSION_END,
}
_NAMES = {kind: item_type.__name__ for item_type, kind in _KINDS.items()}


def _python_number(value: Any) -> Any:
    """Turn a NumPy scalar, which drivers may well hand in, into Python's own number."""
    if isinstance(value, np.generic):
        return cast("Any", value).item()
    raise TypeError(f"a journal record cannot hold a {type(value).__name__}")


_encoder = msgspec.msgpack.Encoder(enc_hook=_python_number)
_block_head = msgspec.msgpack.Decoder(_BlockHead)
_spec_head = msgspec.msgpack.Decoder(_SpecHead)
_stream_spec = msgspec.msgpack.Decoder(StreamSpec)


def encode(item: JournalItem) -> tuple[int, list[bytes | memoryview]]:
    """Make a record of an item.

    Returns
    -------
    kind, buffers
        As `JournalWriter.append` takes them. The buffers refer to the item's arrays; do not change
        those before the record is written.

    Raises
    ------
    ValueError
        If an array has a dtype that is not in `DTYPES` (byte order aside), or if the item makes no
        sense and `decode` would refuse it.
    TypeError
        If the item, or a value in it, is of a class that has no place in a journal.
    """
    kind = _KINDS.get(type(item))
    if kind is None:
        raise TypeError(f"a {type(item).__name__} has no kind of journal record")
    complaint = _complaint(item)
    if complaint:
        raise ValueError(f"{type(item).__name__} for the journal: {complaint}")
    if isinstance(item, SampleBlock):
        return kind, _encode_block(item)
    if isinstance(item, StreamSpec):
        return kind, _encode_spec(item)
    return kind, _payload(_encoder.encode(item), [])


def decode(kind: int, payload: bytes | memoryview) -> JournalItem | None:
    """Make an item of a record's payload; arrays are read-only views of it.

    Returns
    -------
    JournalItem or None
        None for a kind that this version does not know.

    Raises
    ------
    RecordError
        If the payload is not what the kind promises.
    """
    decoder = _decoders.get(kind)
    if decoder is None:
        return None
    name = _NAMES[kind]
    try:
        item = decoder(memoryview(payload))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, RecordError) as error:
        raise RecordError(f"journal record of a {name}: {error}") from error
    complaint = _complaint(item)
    if complaint:
        raise RecordError(f"journal record of a {name}: {complaint}")
    return item


def read_items(directory: Path) -> Iterator[JournalItem | Damage]:
    """Read a journal as items, in order; a record that makes no sense is damage as well."""
    for found in JournalReader(directory):
        if isinstance(found, Damage):
            yield found
            continue
        try:
            item = decode(found.kind, found.payload)
        except RecordError as error:
            _logger.warning("record %d of %s left out: %s", found.sequence, directory, error)
            yield _as_damage(found)
        else:
            if item is not None:
                yield item


def _as_damage(record: Record) -> Damage:
    return Damage(record.segment, record.offset, len(record.payload), record.sequence, 1)


def _encode_block(block: SampleBlock) -> list[bytes | memoryview]:
    # Plain tuples in the order of _BlockHead: this runs for every block, on a slow machine.
    read = block.read
    arrays = [_storable("", block.data)]
    described = [("", arrays[0].dtype.str, arrays[0].shape)]
    for name, column in block.columns.items():
        array = _storable(name, column)
        arrays.append(array)
        described.append((name, array.dtype.str, array.shape))
    times = (read.read_start_ns, read.read_end_ns, read.edge_ns, read.fifo_level, read.chip_ticks)
    head = (block.stream, block.first_index, block.segment, times, described)
    return _payload(_encoder.encode(head), arrays)


def _encode_spec(spec: StreamSpec) -> list[bytes | memoryview]:
    arrays = [(name, _storable(name, array)) for name, array in spec.calibration.items()]
    fields = _encoder.encode(dataclasses.replace(spec, calibration={}))
    described = [_Array(name, array.dtype.str, array.shape) for name, array in arrays]
    head = _SpecHead(msgspec.Raw(fields), described)
    return _payload(_encoder.encode(head), [array for _, array in arrays])


def _storable(name: str, array: NDArray[Any]) -> NDArray[Any]:
    """Give the array little endian and contiguous: itself wherever it is so already."""
    if array.flags.c_contiguous and array.dtype.str in DTYPES:
        return array
    dtype = array.dtype.newbyteorder("<")
    if dtype.str not in DTYPES:
        raise ValueError(
            f"array {name or 'data'!r} for the journal is of dtype {array.dtype}, "
            f"expected one of {', '.join(DTYPES)}"
        )
    return np.asarray(array, dtype=dtype, order="C")


def _payload(head: bytes, arrays: list[NDArray[Any]]) -> list[bytes | memoryview]:
    n_padding = -(_LENGTH_BYTES + len(head)) % ALIGNMENT
    buffers: list[bytes | memoryview] = [
        len(head).to_bytes(_LENGTH_BYTES, "little") + head + bytes(n_padding)
    ]
    for array in arrays:
        n_bytes = array.nbytes
        if n_bytes:
            buffers.append(array.data)
        if n_bytes % ALIGNMENT:
            buffers.append(bytes(-n_bytes % ALIGNMENT))
    return buffers


def _split(payload: memoryview) -> tuple[memoryview, int]:
    """Find the head, and where the arrays begin."""
    end = _LENGTH_BYTES + int.from_bytes(payload[:_LENGTH_BYTES], "little")
    if len(payload) < end:
        raise RecordError(f"its head ends at byte {end} of {len(payload)}")
    return payload[_LENGTH_BYTES:end], end + -end % ALIGNMENT


def _plain_decoder(item_type: type[Any]) -> Callable[[memoryview], JournalItem]:
    """Make the decoder of an item without arrays."""
    decoder = msgspec.msgpack.Decoder(item_type)

    def decode_plain(payload: memoryview) -> JournalItem:
        head, body = _split(payload)
        if body != len(payload):
            raise RecordError(f"its head ends at byte {body} of {len(payload)}")
        return cast("JournalItem", decoder.decode(head))

    return decode_plain


def _decode_block(payload: memoryview) -> SampleBlock:
    head, body = _split(payload)
    fields = _block_head.decode(head)
    arrays = _views(fields.arrays, payload, body)
    data = arrays.pop("", None)
    if data is None:
        raise RecordError("a block without data")
    return SampleBlock(
        fields.stream, fields.first_index, fields.segment, data, Read(*fields.read), arrays
    )


def _decode_spec(payload: memoryview) -> StreamSpec:
    head, body = _split(payload)
    fields = _spec_head.decode(head)
    spec = _stream_spec.decode(fields.spec)
    return dataclasses.replace(spec, calibration=_views(fields.arrays, payload, body))


def _views(described: list[_Array], payload: memoryview, offset: int) -> dict[str, NDArray[Any]]:
    """Give the arrays of a payload, which must fill it exactly."""
    arrays: dict[str, NDArray[Any]] = {}
    for name, dtype, shape in ((array.name, array.dtype, array.shape) for array in described):
        if dtype not in DTYPES or len(shape) > MAX_DIMENSIONS or min(shape, default=0) < 0:
            raise RecordError(f"array {name!r} of dtype {dtype!r} and shape {shape}")
        count = math.prod(shape)
        stop = offset + count * np.dtype(dtype).itemsize
        if name in arrays or stop > len(payload):
            raise RecordError(f"array {name!r} twice, or to byte {stop} of {len(payload)}")
        flat = np.frombuffer(payload[offset:stop], dtype) if count else np.empty(0, dtype)
        try:
            arrays[name] = flat.reshape(shape)
        except (ValueError, OverflowError) as error:  # no samples, but dimensions beyond any array
            raise RecordError(f"array {name!r} of shape {shape}") from error
        offset = stop + -stop % ALIGNMENT
    if offset != len(payload):
        raise RecordError(f"its arrays end at byte {offset} of {len(payload)}")
    return arrays


def _complaint(item: JournalItem) -> str:
    """Say what makes no sense about an item whose fields have the right types, or nothing."""
    if isinstance(item, SampleBlock):
        return _complaint_of_block(item)
    match item:
        case StreamSpec():
            return _complaint_of_spec(item)
        case Gap(n_missing=n_missing, n_bytes=n_bytes) if n_missing < -1 or n_bytes < 0:
            return f"{n_missing} samples and {n_bytes} bytes missing"
        case Label(start_ns=start_ns, stop_ns=stop_ns) if stop_ns and stop_ns < start_ns:
            return f"it ends at {stop_ns} ns, before it starts at {start_ns} ns"
        case SessionEnd(n_lost=n_lost) if min(n_lost.values(), default=0) < 0:
            return f"a negative number is lost: {dict(n_lost)}"
        case _:
            return _complaint_of_integers(item)


def _complaint_of_integers(item: Any) -> str:
    for field in dataclasses.fields(item):
        value = getattr(item, field.name)
        if isinstance(value, int | np.integer) and not _INT64_MIN <= value <= _INT64_MAX:
            return f"{field.name} is {value}, beyond 64 bits"
    return ""


def _complaint_of_block(block: SampleBlock) -> str:
    if not block.stream or not block.data.ndim:
        return "it has no stream, or data without an axis of samples"
    for name, column in block.columns.items():
        if not name or not column.ndim or len(column) != len(block.data):
            return f"column {name!r} is of shape {column.shape}, expected {len(block.data)} rows"
    read = block.read
    times_ns = (read.read_start_ns, read.read_end_ns, read.edge_ns)
    numbers = (block.first_index, block.segment, read.fifo_level, read.chip_ticks, *times_ns)
    if min(numbers) < 0:
        return "a negative time" if min(times_ns) < 0 else "a negative index, level or tick"
    if max(numbers) > _INT64_MAX:
        return f"number {max(numbers)} is beyond 64 bits"
    if read.fifo_level > LARGEST_FIFO or block.first_index > LARGEST_INDEX:
        return f"fifo level {read.fifo_level} or index {block.first_index}: no device has these"
    return ""


def _complaint_of_spec(spec: StreamSpec) -> str:
    if not spec.name or "/" in spec.name or "\0" in spec.name:
        return f"name {spec.name!r} cannot name a group"
    shape = spec.sample_shape
    if spec.dtype not in DTYPES or len(shape) >= MAX_DIMENSIONS or min(shape, default=1) < 1:
        return f"samples of dtype {spec.dtype!r} and shape {shape}"
    if max(shape, default=1) > _INT64_MAX:
        return f"samples of shape {shape}"
    if not 0 <= spec.sampling_rate_hz < math.inf:
        return f"sampling rate of {spec.sampling_rate_hz} Hz"
    if len(spec.mounting) != 9:
        return f"mounting of {len(spec.mounting)} numbers, expected 9"
    return ""


_decoders: dict[int, Callable[[memoryview], JournalItem]] = {
    kind: _plain_decoder(item_type)
    for item_type, kind in _KINDS.items()
    if kind not in (BLOCK, STREAM_SPEC)
}
_decoders[BLOCK] = _decode_block
_decoders[STREAM_SPEC] = _decode_spec
