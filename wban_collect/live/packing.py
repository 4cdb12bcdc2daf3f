"""From what the recorder's threads deliver to live messages: everything that costs time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wban_collect.control.messages import Status
from wban_collect.live.messages import (
    LABEL_TOPIC,
    MARK_TOPIC,
    STATUS_TOPIC,
    GapMessage,
    LabelMessage,
    MarkMessage,
    SampleMessage,
    StatusMessage,
    encode,
    gap_topic,
    sample_topic,
)
from wban_collect.live.times import newest_sample_ns
from wban_dataset.recording.layout import TEMPERATURE_FILL, TEMPERATURE_SCALE_C
from wban_dataset.recording.streams import Gap, Label, Mark, SampleBlock, SessionHeader, StreamSpec
from wban_dataset.recording.thermal_rows import ThermalRows

LARGEST_PICTURE_BYTES = 262_144
"""What waits for a reader that has stopped reading is counted in messages, so their size is kept
small."""

LiveItem = SampleBlock | Gap | Label | Mark | Status


@dataclass(frozen=True, slots=True)
class Origin:
    """Which session the data belong to; without a recording `session_id` is empty."""

    session_id: str
    host: str
    boot_id: str
    simulated: bool = False

    @classmethod
    def of(cls, header: SessionHeader) -> Origin:
        """Take it from a session's header."""
        return cls(header.session_id, header.host, header.boot_id, header.simulated)


@dataclass(frozen=True, slots=True)
class WallClock:
    """CLOCK_REALTIME less CLOCK_MONOTONIC, and whether it was known to be right."""

    offset_ns: int
    synchronised: bool


@dataclass(frozen=True, slots=True)
class _Picture:
    """Counts as they are sent, and how they are to be understood."""

    counts: NDArray[Any]
    scale_factor: float
    add_offset: float
    fill_value: int | None = None
    every_nth_pixel: int = 1


class LivePacker:
    """Makes messages. Keeps the half of each thermal picture that a subpage does not measure."""

    def __init__(self) -> None:
        self._specs: dict[str, StreamSpec] = {}
        self._thermal: dict[str, _ThermalPictures] = {}

    def meet(self, spec: StreamSpec) -> None:
        """Take the description of a stream; a device that was set up anew may bring another."""
        self._specs[spec.name] = spec

    def knows(self, stream: str) -> bool:
        """Whether the stream has been described."""
        return stream in self._specs

    def pack(self, item: LiveItem, origin: Origin, wall_clock: WallClock) -> bytes:
        """Make the map of a message.

        Raises
        ------
        KeyError
            If the stream has not been described.
        ValueError
            If the data are not of the stream's shape.
        """
        if isinstance(item, SampleBlock):
            return encode(self._sample(item, origin, wall_clock))
        return encode(_message(item, origin))

    def _sample(self, block: SampleBlock, origin: Origin, wall_clock: WallClock) -> SampleMessage:
        spec = self._specs[block.stream]
        picture = self._picture(spec, block)
        newest_ns, within_ns = newest_sample_ns(spec, block)
        counts = picture.counts
        dtype = counts.dtype.newbyteorder("<")
        return SampleMessage(
            session_id=origin.session_id,
            host=origin.host,
            boot_id=origin.boot_id,
            simulated=origin.simulated,
            stream=spec.name,
            kind=spec.kind,
            device=spec.device,
            placement=spec.placement,
            mounting=spec.mounting,
            dtype=dtype.str,  # pyright: ignore[reportArgumentType] - one of those a stream may have
            shape=counts.shape,
            channels=spec.channels,
            units=spec.units,
            scale_factor=picture.scale_factor,
            add_offset=picture.add_offset,
            fill_value=picture.fill_value,
            every_nth_pixel=picture.every_nth_pixel,
            sampling_rate_hz=spec.sampling_rate_hz,
            first_index=block.first_index,
            segment=block.segment,
            newest_ns=newest_ns,
            newest_within_ns=within_ns,
            period_ns=spec.period_ns,
            realtime_offset_ns=wall_clock.offset_ns,
            synchronised=wall_clock.synchronised,
            data=np.ascontiguousarray(counts, dtype).tobytes(),
        )

    def _picture(self, spec: StreamSpec, block: SampleBlock) -> _Picture:
        if spec.kind == "thermal":
            counts = self._thermal_pictures(spec).convert(block)
            return _Picture(counts, TEMPERATURE_SCALE_C, 0.0, TEMPERATURE_FILL)
        if spec.kind == "infrared":
            nth = _every_nth_pixel(block.data)
            counts = block.data[:, ::nth, ::nth]
            return _Picture(counts, spec.scale_factor, spec.add_offset, None, nth)
        return _Picture(block.data, spec.scale_factor, spec.add_offset)

    def _thermal_pictures(self, spec: StreamSpec) -> _ThermalPictures:
        known = self._thermal.get(spec.name)
        if known is None or known.spec is not spec:
            known = self._thermal[spec.name] = _ThermalPictures(spec)
        return known


class _ThermalPictures:
    """Rows of one thermal stream to pictures in hundredths of a degC."""

    def __init__(self, spec: StreamSpec) -> None:
        self.spec = spec
        self._rows = ThermalRows(spec)
        self._next_index = -1
        self._segment = -1
        self._run = 0

    def convert(self, block: SampleBlock) -> NDArray[np.int16]:
        """Pictures of the block's subpages, (n, 24, 32), whose other half is the subpage before."""
        if (block.first_index, block.segment) != (self._next_index, self._segment):
            self._run += 1  # rows between were not seen: the half that is kept may be old
        self._next_index = block.first_index + block.n_samples
        self._segment = block.segment
        runs = np.full(block.n_samples, self._run)
        return self._rows.convert(block.data, runs)[0]


def topic_of(item: LiveItem) -> bytes:
    """Topic of what was delivered."""
    if isinstance(item, SampleBlock):
        return sample_topic(item.stream)
    if isinstance(item, Gap):
        return gap_topic(item.stream)
    if isinstance(item, Label):
        return LABEL_TOPIC
    return MARK_TOPIC if isinstance(item, Mark) else STATUS_TOPIC


def _message(
    item: Gap | Label | Mark | Status, origin: Origin
) -> GapMessage | LabelMessage | MarkMessage | StatusMessage:
    head: dict[str, Any] = {
        "session_id": origin.session_id,
        "host": origin.host,
        "boot_id": origin.boot_id,
        "simulated": origin.simulated,
    }
    if isinstance(item, Gap):
        return GapMessage(
            stream=item.stream,
            start_ns=item.start_ns,
            stop_ns=item.stop_ns,
            n_missing=item.n_missing,
            cause=item.cause,
            exact=item.exact,
            **head,
        )
    if isinstance(item, Label):
        return LabelMessage(
            start_ns=item.start_ns,
            stop_ns=item.stop_ns,
            label=item.label,
            annotator=item.annotator,
            source=item.source,
            **head,
        )
    if isinstance(item, Mark):
        return MarkMessage(time_ns=item.time_ns, text=item.text, **head)
    return StatusMessage(status=item, **head)


def _every_nth_pixel(pictures: NDArray[Any]) -> int:
    """Smallest n at which every n-th pixel of every n-th row is small enough to be sent."""
    _, height, width = pictures.shape
    nth = 1
    while -(-height // nth) * -(-width // nth) * pictures.itemsize > LARGEST_PICTURE_BYTES:
        nth += 1
    return nth
