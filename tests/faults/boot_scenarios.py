"""A chip that is missing, or is another than it was, when a recording begins."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from tests.faults.hardware import MOTION, SECOND_NS, THERMAL, Hardware
from tests.faults.ledger import account
from tests.faults.recording import SPLIT, START_NS, record
from wban_collect.config import Config
from wban_collect.errors import WbanError
from wban_collect.simulation.bus import BusFaults
from wban_collect.simulation.mlx90640_eeprom import synthesise

DURATION_S = 30.0
APPEARS_S = 10.0
EVER = (0, 10**6 * SECOND_NS)
A_PIXEL, A_BIT = 64 + 400, 0x0010


@dataclass(frozen=True)
class BootOutcome:
    """How a recording began.

    Attributes
    ----------
    refusal
        The sentence that refused it; "" where it went on.
    left_over
        What a refused recording has left on the disk.
    n_rows
        Rows of each stream.
    wrong
        What does not agree in the ledgers.
    appeared_s
        From when the chip was there to its first sample; None where it never was.
    """

    name: str
    what: str
    refusal: str = ""
    left_over: tuple[str, ...] = ()
    n_rows: Mapping[str, int] = field(default_factory=dict)
    wrong: tuple[str, ...] = ()
    appeared_s: float | None = None


def optional(device: str) -> Config:
    """Give the default load, one kind of device of which may be missing."""
    (entry,) = getattr(SPLIT, device)
    return msgspec.structs.replace(
        SPLIT, **{device: [msgspec.structs.replace(entry, required=False)]}
    )


def absent(address: int, span_ns: tuple[int, int] = EVER) -> dict[int, BusFaults]:
    """Let a chip be off its bus from the beginning."""
    return {address: BusFaults(unplugged_spans_ns={address: (span_ns,)})}


def required_chip_missing() -> BootOutcome:
    """Begin without a chip that is required."""
    hardware = Hardware(start_ns=START_NS, faults=absent(MOTION))
    return _begin("missing, required", "the MPU-6050 is not there", hardware)


def optional_chip_late() -> BootOutcome:
    """Begin without a chip that is not required; it is plugged in later."""
    span_ns = (0, round(APPEARS_S * SECOND_NS))
    hardware = Hardware(start_ns=START_NS, faults=absent(THERMAL, span_ns))
    return _begin(
        "missing, not required",
        f"the MLX90640 is plugged in {APPEARS_S:.0f} s after the start",
        hardware,
        appears=("thermal", START_NS + span_ns[1]),
        config=optional("thermal"),
    )


def other_eeprom(config: Config = SPLIT) -> BootOutcome:
    """Begin with a chip whose EEPROM differs in one bit from the copy of the day before."""
    with tempfile.TemporaryDirectory() as folder:
        copies = Path(folder)
        words = synthesise(7)
        record(
            copies / "before",
            Hardware(start_ns=START_NS, eeprom=words),
            duration_s=1.0,
            eeprom_folder=copies,
        )
        words[A_PIXEL] ^= A_BIT
        required = "" if config.thermal[0].required else ", not required"
        return _begin(
            f"EEPROM differs{required}",
            "one bit of the MLX90640's EEPROM is not as in the copy",
            Hardware(start_ns=START_NS, eeprom=words),
            config=config,
            eeprom_folder=copies,
        )


def scenarios() -> list[BootOutcome]:
    """Run all of them."""
    return [
        required_chip_missing(),
        optional_chip_late(),
        other_eeprom(),
        other_eeprom(optional("thermal")),
    ]


def _begin(
    name: str,
    what: str,
    hardware: Hardware,
    *,
    appears: tuple[str, int] | None = None,
    **how: Any,
) -> BootOutcome:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "a" / "b"
        try:
            found = record(out, hardware, duration_s=DURATION_S, **how)
        except WbanError as error:
            left = tuple(sorted(str(path) for path in Path(folder).iterdir()))
            return BootOutcome(name, what, refusal=str(error), left_over=left)
    streams = found.streams
    first_s = None
    if appears is not None:
        stream, since_ns = appears
        first_s = (int(streams[stream].stamps_ns[0]) - since_ns) / 1e9
    return BootOutcome(
        name,
        what,
        n_rows={name: len(stream.stamps_ns) for name, stream in streams.items()},
        wrong=tuple(wrong for stream in streams.values() for wrong in account(stream).wrong),
        appeared_s=first_s,
    )
