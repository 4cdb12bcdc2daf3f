"""How surely copies of recordings are found, how often strangers are taken for them, how fast.

All on HAPT (61 recordings of 30 people): its recordings are compared as they are; stretches of one
are planted into another, disguised; and its people are multiplied by letting them move at other
speeds, which makes strangers of them.
"""

from __future__ import annotations

import math
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from report import json_path_argument, report, row

from wban_dataset.splits.correlation import COPY
from wban_dataset.splits.near_duplicates import near_duplicates
from wban_dataset.splits.recording import Recording, Signal
from wban_dataset.splits.sketch import Sketch, sketched

HAPT = Path(__file__).resolve().parents[2] / "shared/data/hapt/RawData.tar.xz"
RATE_HZ = 50.0
COUNT = 9.80665 / 720
N_PLANTED = 200
LIMIT_S = 2.0
SPEEDS = (1.0, 1.19, 0.81, 1.43)

Values = NDArray[np.float32]


def read_hapt() -> list[dict[str, Values]]:
    """Acceleration in m s-2 and angular rate in rad s-1 of each recording."""
    found: dict[str, dict[str, Values]] = {}
    with tarfile.open(HAPT) as archive:
        for member in archive:
            kind, _, name = Path(member.name).stem.partition("_")
            if kind not in ("acc", "gyro"):
                continue
            text = archive.extractfile(member).read().decode()  # pyright: ignore
            values = np.fromstring(text, sep=" ").reshape(-1, 3)
            if kind == "acc":
                values = np.rint(values * 720) * COUNT
            found.setdefault(name, {})[kind] = values.astype(np.float32)
    return [found[name] for name in sorted(found)]


def recording(number: int, streams: dict[str, Values], scale: float = COUNT) -> Recording:
    """Give the auditor's view of arrays."""

    def signal(kind: str, units: str, values: Values, scale: float) -> Signal:
        def read(start: int, stop: int) -> Values:
            return values[start:stop]

        return Signal(kind, units, RATE_HZ, len(values), 0, read, scale)

    made = {"accel": signal("accel", "m s-2", streams["acc"], scale)}
    if "gyro" in streams:
        made["gyro"] = signal("gyro", "rad s-1", streams["gyro"], 0.0)
    return Recording(number, made)


def at_speed(streams: dict[str, Values], speed: float) -> dict[str, Values]:
    """Let somebody do the same faster or slower."""
    if speed == 1.0:
        return streams
    n = len(streams["acc"])
    at, places = np.arange(n), np.arange(0, n - 1, speed)
    return {
        kind: np.stack([np.interp(places, at, v[:n, i]) for i in range(3)], 1).astype(np.float32)
        for kind, v in streams.items()
    }


def cpu_s(work: Callable[[], Any]) -> tuple[float, Any]:
    begun = time.process_time()
    result = work()
    return time.process_time() - begun, result


def planted(
    recordings: list[dict[str, Values]],
    sketches: list[Sketch],
    duration_s: float,
    disguise: Callable[[Values, np.random.Generator], Values],
    *,
    scale: float = 0.0,
    moving: bool = True,
) -> int:
    """How many of `N_PLANTED` stretches are found in somebody else's recording."""
    generator = np.random.default_rng(7)
    n, host, n_found, n_done = round(duration_s * RATE_HZ), 30, 0, 0
    while n_done < N_PLANTED:
        source = int(generator.integers(len(recordings)))
        values = recordings[source]["acc"]
        start = int(generator.integers(len(values) - n))
        stretch = values[start : start + n]
        changed = disguise(stretch, generator)
        if source == host or (moving and not is_copy(stretch, changed)):
            continue
        n_done += 1
        into = recordings[host]["acc"].copy()
        place = int(generator.integers(len(into) - n))
        into[place : place + n] = changed
        pair = [
            recording(source, recordings[source]),
            recording(len(recordings), {"acc": into}, scale),
        ]
        found = near_duplicates(pair, [sketches[source], sketched(pair[1])])
        n_found += any(not duplicate.is_warning for duplicate in found)
    return n_found


def is_copy(stretch: Values, changed: Values) -> bool:
    """Whether the definition holds for the magnitude: deviation and correlation."""
    one, other = (np.linalg.norm(values, axis=1) for values in (stretch, changed))
    return bool(one.std() > 0.5 and np.corrcoef(one, other)[0, 1] > COPY)


def noisy(stretch: Values, generator: np.random.Generator) -> Values:
    """Gain 1.1, and noise that leaves the correlation just above the limit."""
    deviation = 0.09 * np.linalg.norm(stretch, axis=1).std()
    return (1.1 * (stretch + generator.normal(0, deviation, stretch.shape))).astype(np.float32)


def turned(stretch: Values, generator: np.random.Generator) -> Values:
    rotation, _ = np.linalg.qr(generator.normal(size=(3, 3)))
    return noisy((stretch @ rotation).astype(np.float32), generator)


def as_it_is(stretch: Values, generator: np.random.Generator) -> Values:
    return stretch


def main() -> int:
    json_path = json_path_argument(__doc__)
    arrays = read_hapt()
    recordings = [recording(i, streams) for i, streams in enumerate(arrays)]
    sketch_s, sketches = cpu_s(lambda: [sketched(r) for r in recordings])
    search_s, found = cpu_s(lambda: near_duplicates(recordings, sketches))
    n_leaks = sum(not duplicate.is_warning for duplicate in found)
    n_bytes = sum(v.nbytes for s in sketches for v in s.to_arrays().values())
    n_sample_bytes = sum(v.nbytes for streams in arrays for v in streams.values())
    rows = [
        row(
            "HAPT whole, 6.2 h x 6 channels, CPU",
            asked=f"< {LIMIT_S:g} s",
            measured=f"{sketch_s + search_s:.2f} s: sketches {sketch_s:.2f}, search {search_s:.2f}",
            reached=sketch_s + search_s < LIMIT_S,
            sketch_s=sketch_s,
            search_s=search_s,
        ),
        row(
            "strangers taken for copies, 61 recordings against each other",
            asked="0",
            measured=f"{n_leaks}, and {len(found) - n_leaks} warnings",
            reached=n_leaks == 0,
        ),
        row("sketches", measured=f"{n_bytes / 1e6:.1f} MB of {n_sample_bytes / 1e6:.0f} MB"),
        *recall_rows(arrays, sketches),
        *scaling_rows(arrays),
    ]
    return 0 if report("near duplicates", rows, json_path) else 1


def recall_rows(arrays: list[dict[str, Values]], sketches: list[Sketch]) -> list[dict[str, Any]]:
    cases = [
        ("20 s, gain 1.1 and noise to just above 0.995", 20.0, noisy, {}),
        ("20 s, turned as well", 20.0, turned, {}),
        ("60 s, gain 1.1 and noise to just above 0.995", 60.0, noisy, {}),
        ("5 s of equal counts", 5.0, as_it_is, {"scale": COUNT, "moving": False}),
    ]
    rows: list[dict[str, Any]] = []
    for what, duration_s, disguise, options in cases:
        n = planted(arrays, sketches, duration_s, disguise, **options)
        rows.append(
            row(
                f"planted copies found: {what}",
                asked="all",
                measured=f"{n} of {N_PLANTED}",
                reached=n == N_PLANTED,
                n_found=n,
            )
        )
    return rows


def scaling_rows(arrays: list[dict[str, Values]]) -> list[dict[str, Any]]:
    measured: list[tuple[int, float]] = []
    for n_times in (1, 2, 4):
        people = [at_speed(a, speed) for speed in SPEEDS[:n_times] for a in arrays]
        recordings = [recording(i, streams) for i, streams in enumerate(people)]
        sketches = [sketched(r) for r in recordings]
        seconds = min(
            cpu_s(lambda r=recordings, s=sketches: near_duplicates(r, s))[0] for _ in "12"
        )
        measured.append((n_times, seconds))
    exponent = math.log(measured[-1][1] / measured[0][1]) / math.log(4)
    text = ", ".join(f"{n * 6.2:.1f} h {seconds:.2f} s" for n, seconds in measured)
    return [
        row(
            "search in a growing study, CPU",
            asked="less than quadratic",
            measured=f"{text}: exponent {exponent:.2f}",
            reached=exponent < 2,
            exponent=exponent,
        )
    ]


if __name__ == "__main__":
    raise SystemExit(main())
