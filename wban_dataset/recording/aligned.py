"""The streams of a recording as `alignment` takes them."""

from __future__ import annotations

from typing import Any

import numpy as np

from wban_dataset.recording.alignment import Frames, Signal, SignalSpan, frame_max_age_ns
from wban_dataset.recording.store import Store

CHANGE_RULE = "on change"


def signals_of(store: Store) -> list[Signal]:
    """All accelerometers and gyroscopes, in physical units."""
    return [_signal(store, *found) for found in _of_kinds(store, ("accel", "gyro"))]


def frames_of(store: Store) -> list[Frames]:
    """All thermal and infrared streams."""
    return [_frames(store, *found) for found in _of_kinds(store, ("thermal", "infrared"))]


def _of_kinds(store: Store, kinds: tuple[str, ...]) -> list[tuple[str, dict[str, Any]]]:
    """Names and attributes of all streams of some kinds."""
    found = ((name, store.stream_attributes(name)) for name in store.stream_names())
    return [(name, attributes) for name, attributes in found if attributes["kind"] in kinds]


def _signal(store: Store, name: str, attributes: dict[str, Any]) -> Signal:
    _, scale_factor, add_offset = store.scaling(name)

    def read(start: int, stop: int) -> SignalSpan:
        counts = store.rows(name, "data", start, stop)
        return SignalSpan(
            store.rows(name, "monotonic_ns", start, stop),
            store.rows(name, "segment", start, stop),
            counts * scale_factor + add_offset,
        )

    return Signal(
        name=name,
        n_samples=store.n_rows(name),
        n_channels=store.sample_shape(name)[0],
        sampling_rate_hz=float(attributes["effective_rate_hz"] or attributes["sampling_rate_hz"]),
        read=read,
    )


def _frames(store: Store, name: str, attributes: dict[str, Any]) -> Frames:
    on_change = attributes.get("rule") == CHANGE_RULE
    max_age_ns = None if on_change else frame_max_age_ns(float(attributes["sampling_rate_hz"]))
    stamps = np.asarray(store.column(name, "monotonic_ns"), dtype=np.int64)
    return Frames(name, stamps, max_age_ns)
