"""Seals a session of the soak, verifies it, balances it against the truth, and removes it.

    soak_check.py FOLDER TRUTH LAST

LAST keeps the last rows of the session before, so that nothing between two sessions is overlooked.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.faults.ledger import account  # noqa: E402
from tests.faults.recording import RecordedStream  # noqa: E402
from wban_dataset.recording.recorded_stream import Stream  # noqa: E402
from wban_dataset.recording.sealing import seal  # noqa: E402
from wban_dataset.recording.session import Session  # noqa: E402
from wban_dataset.recording.streams import Gap  # noqa: E402

EVERY_SECONDS = re.compile(r"every (\d+(?:\.\d+)?) s")


def check(folder: Path, truth_path: Path, last_path: Path) -> dict[str, object]:
    """Balance every stream of the session, from the last row of the one before."""
    seal(folder)
    before: dict[str, int] = json.loads(last_path.read_text()) if last_path.exists() else {}
    found: dict[str, object] = {"n_recorded": 0, "n_missing": 0, "n_counted": 0, "n_undecided": 0}
    wrong: list[str] = []
    with Session.open(folder) as session, np.load(truth_path) as truth:
        wrong += [f"{folder.name}: {problem}" for problem in session.verify().problems]
        gaps = _gaps(session)
        for name in session.streams:
            stream = session.stream(name)
            stamps_ns = stream.monotonic_ns
            joined = np.concatenate(([before[name]], stamps_ns)) if name in before else stamps_ns
            balance = account(
                RecordedStream(
                    joined,
                    np.empty(0),
                    tuple(gap for gap in gaps if gap.stream == name),
                    int(stream.attributes["n_lost"]),
                    truth[name],
                    truth[f"{name}_counting"],
                    ticks_of(stream, before),
                )
            )
            found["n_recorded"] += len(stamps_ns)  # type: ignore[operator]
            for key in ("n_missing", "n_counted", "n_undecided"):
                found[key] += getattr(balance, key)  # type: ignore[operator]
            wrong += [f"{folder.name} {name}: {text}" for text in balance.wrong]
            before[name] = int(stamps_ns[-1])
    last_path.write_text(json.dumps(before))
    shutil.rmtree(folder)
    truth_path.unlink()
    return {**found, "wrong": wrong}


def ticks_of(stream: Stream, before: dict[str, int]) -> NDArray[np.int64] | None:
    """Give the tick that each frame is for, that of the last one before included."""
    rule = EVERY_SECONDS.fullmatch(str(stream.attributes.get("rule", "")))
    if rule is None:
        return None
    sensor_ns = np.asarray(stream.column("sensor_ns"), dtype=np.int64)
    grid_ns = before.setdefault("grid", int(sensor_ns[0]))
    if "sensor" in before:
        sensor_ns = np.concatenate(([before["sensor"]], sensor_ns))
    before["sensor"] = int(sensor_ns[-1])
    return np.rint((sensor_ns - grid_ns) / (float(rule[1]) * 1e9)).astype(np.int64)


def _gaps(session: Session) -> list[Gap]:
    table = session.gaps
    columns = [table[name] for name in ("stream", "start_ns", "stop_ns", "n_missing", "cause")]
    return [
        Gap(str(stream), int(start_ns), int(stop_ns), int(n_missing), str(cause))
        for stream, start_ns, stop_ns, n_missing, cause in zip(*columns, strict=True)
    ]


if __name__ == "__main__":
    print(json.dumps(check(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))))
