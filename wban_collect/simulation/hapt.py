"""Reads one recording out of a folder like the HAPT data set's.

HAPT (Reyes-Ortiz, Oneto, Sama, Parra, Anguita, Neurocomputing 171, 2016) keeps a recording in
``RawData/acc_expEE_userUU.txt`` and ``gyro_expEE_userUU.txt``: x y z in lines, g and rad/s, 50 Hz.
``labels.txt`` has experiment, user, activity, first and last sample (from 1, inclusive);
``activity_labels.txt`` names the activities. ``RawData`` may be a folder or a tar archive, which is
read through in order and never unpacked to disk.
"""

from __future__ import annotations

import io
import lzma
import re
import tarfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

SAMPLING_RATE_HZ = 50.0
STANDARD_GRAVITY = 9.80665
ARCHIVES = ("RawData.tar.xz", "RawData.tar.gz", "RawData.tar")

_SIGNAL = re.compile(r"(?:\./)?RawData/(acc|gyro)_exp(\d{2,4})_user(\d{2,4})\.txt")
_LARGEST_BYTES = 64 << 20  # some 20 hours of one signal
_SHOWN = 12

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class HaptRecording:
    """One recording in SI units.

    Attributes
    ----------
    accel, gyro
        (n, 3) in m/s^2 and rad/s at `SAMPLING_RATE_HZ`.
    spans
        (first sample, sample after the last, activity slug), half-open, counted from 0.
    """

    recording: str
    subject: str
    accel: Floats
    gyro: Floats
    spans: tuple[tuple[int, int, str], ...]


def read_recording(path: Path, recording: str | None = None) -> HaptRecording:
    """Read `recording` ("exp07"), or the first one, from the folder `path`.

    Raises
    ------
    ValueError
        If the folder, the recording or its labels are not there or cannot be understood.
    """
    if not path.is_dir():
        raise ValueError(f"{path} is not a folder; expected one with RawData and labels.txt.")
    if recording is not None and not re.fullmatch(r"exp\d{2,4}", recording):
        raise ValueError(f"Recording is '{recording}'; expected a name like 'exp07'.")
    found = _read_folder(path, recording) if (path / "RawData").is_dir() else None
    user, texts = found or _read_archive(path, recording)
    experiment = texts["experiment"].decode()
    accel = _samples(texts["acc"], f"acc_exp{experiment}_user{user}.txt") * STANDARD_GRAVITY
    gyro = _samples(texts["gyro"], f"gyro_exp{experiment}_user{user}.txt")
    if len(accel) != len(gyro):
        raise ValueError(
            f"exp{experiment} has {len(accel)} samples of acceleration and {len(gyro)} of angular "
            "rate; expected as many of both."
        )
    spans = _spans(path, int(experiment), len(accel))
    return HaptRecording(f"exp{experiment}", f"user{user}", accel, gyro, spans)


def _read_folder(path: Path, recording: str | None) -> tuple[str, dict[str, bytes]]:
    """Read user and texts of a recording from the folder ``RawData``."""
    names = sorted(
        f"RawData/{entry.name}"
        for entry in (path / "RawData").iterdir()
        if entry.is_file() and not entry.is_symlink()
    )
    available = [match for match in map(_SIGNAL.fullmatch, names) if match and match[1] == "acc"]
    if not available:
        raise ValueError(
            f"{path / 'RawData'} holds no acc_expEE_userUU.txt; expected at least one."
        )
    wanted = recording or f"exp{available[0][2]}"
    chosen = next((match for match in available if f"exp{match[2]}" == wanted), None)
    if chosen is None:
        raise ValueError(_unknown(path, wanted, [f"exp{match[2]}" for match in available]))
    experiment, user = chosen[2], chosen[3]
    gyro = path / "RawData" / f"gyro_exp{experiment}_user{user}.txt"
    if not gyro.is_file():
        raise ValueError(f"{gyro} is missing; expected the angular rate beside the acceleration.")
    acc = gyro.with_name(f"acc_exp{experiment}_user{user}.txt")
    texts = {"acc": _limited(acc), "gyro": _limited(gyro), "experiment": experiment.encode()}
    return user, texts


def _read_archive(path: Path, recording: str | None) -> tuple[str, dict[str, bytes]]:
    """Read user and texts of a recording from the archive, no further than needed."""
    archive = next((path / name for name in ARCHIVES if (path / name).is_file()), None)
    if archive is None:
        raise ValueError(
            f"{path} has neither RawData nor {ARCHIVES[0]}; expected a folder like HAPT's."
        )
    texts: dict[str, bytes] = {}
    seen: list[str] = []
    wanted, user = recording, ""
    try:
        with tarfile.open(archive, "r|*") as members:
            for member in members:
                match = _SIGNAL.fullmatch(member.name)
                if match is None or not member.isreg():
                    continue
                kind, experiment = match[1], match[2]
                seen.append(f"exp{experiment}")
                wanted = wanted or seen[0]
                if seen[-1] != wanted or kind in texts:
                    continue
                texts[kind] = _member_text(members, member)
                texts["experiment"], user = experiment.encode(), match[3]
                if "acc" in texts and "gyro" in texts:
                    return user, texts
    except (tarfile.TarError, lzma.LZMAError, EOFError, OSError) as error:
        raise ValueError(
            f"{archive} cannot be read ({error}); expected a whole tar archive. Fetch it again."
        ) from error
    if texts:
        missing = "gyro" if "acc" in texts else "acc"
        raise ValueError(f"{archive} has no {missing} file of {wanted}; expected acc and gyro.")
    raise ValueError(_unknown(archive, wanted or "exp01", seen))


def _member_text(members: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    if member.size > _LARGEST_BYTES:
        raise ValueError(
            f"{member.name} has {member.size} bytes; expected at most {_LARGEST_BYTES}."
        )
    stream = members.extractfile(member)
    return stream.read() if stream is not None else b""


def _limited(path: Path) -> bytes:
    if path.stat().st_size > _LARGEST_BYTES:
        raise ValueError(
            f"{path} has {path.stat().st_size} bytes; expected at most {_LARGEST_BYTES}."
        )
    return path.read_bytes()


def _unknown(where: Path, wanted: str, available: list[str]) -> str:
    names = sorted(set(available))
    listed = ", ".join(names[:_SHOWN]) + (f" ... {names[-1]}" if len(names) > _SHOWN else "")
    return f"{where} has no recording '{wanted}'; it has {listed or 'none'}."


def _samples(text: bytes, name: str) -> Floats:
    """Parse lines of three numbers, (n, 3)."""
    if not text.strip():
        raise ValueError(f"{name} is empty; expected three numbers in each line.")
    try:
        samples = np.loadtxt(io.BytesIO(text), dtype=np.float64, ndmin=2, comments=None)
    except ValueError as error:
        raise ValueError(f"{name}: {error}; expected three numbers in each line.") from error
    if samples.shape[1:] != (3,) or len(samples) < 2:
        raise ValueError(
            f"{name} has {samples.shape[0]} lines of {samples.shape[1]} columns; "
            "expected at least two lines of three."
        )
    if not np.isfinite(samples).all():
        line = int(np.flatnonzero(~np.isfinite(samples).all(axis=1))[0]) + 1
        raise ValueError(f"{name}, line {line}: not a finite number; expected x y z.")
    return samples


def _spans(path: Path, experiment: int, n_samples: int) -> tuple[tuple[int, int, str], ...]:
    """Read the experiment's labels; samples outside every span are unlabelled."""
    names = _activity_names(path / "activity_labels.txt")
    spans: list[tuple[int, int, str]] = []
    file = path / "labels.txt"
    for number, line in enumerate(_lines(file), start=1):
        fields = line.split()
        if len(fields) != 5 or not all(field.isdecimal() for field in fields):
            raise ValueError(
                f"{file}, line {number} is '{line[:60]}'; expected five whole numbers."
            )
        of, _, activity, first, last = map(int, fields)
        if of != experiment:
            continue
        if activity not in names or not 1 <= first <= last <= n_samples:
            raise ValueError(
                f"{file}, line {number}: activity {activity}, samples {first} to {last}; expected "
                f"an activity of activity_labels.txt and samples within 1 to {n_samples}."
            )
        spans.append((first - 1, last, names[activity]))
    if not spans:
        raise ValueError(
            f"{file} has no labels of exp{experiment:02d}; expected at least one line."
        )
    return tuple(sorted(spans))


def _activity_names(file: Path) -> dict[int, str]:
    names: dict[int, str] = {}
    for number, line in enumerate(_lines(file), start=1):
        fields = line.split()
        if len(fields) != 2 or not fields[0].isdecimal():
            raise ValueError(
                f"{file}, line {number} is '{line[:60]}'; expected a number and a name."
            )
        names[int(fields[0])] = re.sub(r"[^a-z0-9]+", "_", fields[1].lower()).strip("_")
    return names


def _lines(file: Path) -> list[str]:
    if not file.is_file():
        raise ValueError(f"{file} is missing; expected it beside RawData.")
    return [line for line in file.read_text("utf-8", errors="replace").splitlines() if line.strip()]
