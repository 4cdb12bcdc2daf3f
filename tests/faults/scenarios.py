"""What can happen to a chip, a bus or a camera while all default streams are recorded.

Each is run twice in virtual time, with the fault and without: what the fault does not touch is the
same, and of what it does touch each missing sample is in the file's ledger.
"""

from __future__ import annotations

import functools
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.faults.hardware import ADXL345, MOTION, SECOND_NS, THERMAL, Event, Hardware
from tests.faults.ledger import account, gaps_out_of_bounds, recovery_s
from tests.faults.recording import CONFIGS, START_NS, RecordedStream, Recording, record
from wban_collect.simulation.bus import BusFaults

DURATION_S = 60.0
MOTION_STREAMS = ("accel", "gyro")
SAME_STAMP_NS = 20_000


@dataclass(frozen=True)
class Scenario:
    """A fault, and the streams that it may touch; seconds count from the start of the recording.

    `config` is one of `recording.CONFIGS`.
    """

    name: str
    what: str
    hit: tuple[str, ...]
    begins_s: float
    ends_s: float
    events: Sequence[Event]
    config: str = "split"
    effective: Mapping[int, Callable[[int], float]] | None = None
    compares_eeprom: bool = False


@dataclass(frozen=True)
class Hit:
    """What a fault did to one stream.

    Attributes
    ----------
    n_undisturbed
        Rows that the same recording has without the fault.
    n_missing, n_counted, n_undecided, wrong
        See `ledger.Account`.
    causes
        How many gaps the file has, by their cause.
    n_astray
        Gaps that do not lie between the rows on their two sides.
    back_s
        From the end of the fault to the first sample recorded after it.
    """

    stream: str
    n_undisturbed: int
    n_recorded: int
    n_missing: int
    n_counted: int
    n_undecided: int
    wrong: tuple[str, ...]
    causes: dict[str, int]
    n_astray: int
    back_s: float
    largest_error_ns: int


@dataclass(frozen=True)
class Outcome:
    """What a fault did.

    Attributes
    ----------
    untouched
        Of every other stream, how many rows of the undisturbed recording are not there to the bit.
    problems
        What `Session.verify` says of the sealed file.
    """

    name: str
    what: str
    stop_reason: str
    hit: tuple[Hit, ...]
    untouched: dict[str, int]
    problems: tuple[str, ...]


def run(scenario: Scenario) -> Outcome:
    """Record with the fault and compare with the recording without."""
    hardware = Hardware(start_ns=START_NS, effective=scenario.effective)
    with tempfile.TemporaryDirectory() as folder:
        found = record(
            Path(folder) / "out",
            hardware,
            scenario.events,
            config=CONFIGS[scenario.config],
            duration_s=DURATION_S,
            eeprom_folder=Path(folder) / "eeprom" if scenario.compares_eeprom else None,
        )
    whole = undisturbed(scenario.config)
    end_ns = START_NS + round(scenario.ends_s * SECOND_NS)
    hit = tuple(
        hit_stream(name, found.streams[name], whole.streams[name], end_ns) for name in scenario.hit
    )
    others = sorted(set(whole.streams) - set(scenario.hit))
    untouched = {name: n_changed(whole.streams[name], found.streams[name]) for name in others}
    return Outcome(scenario.name, scenario.what, found.stop_reason, hit, untouched, found.problems)


@functools.cache
def undisturbed(config: str = "split") -> Recording:
    """Give the recording without a fault; made once."""
    with tempfile.TemporaryDirectory() as folder:
        hardware = Hardware(start_ns=START_NS)
        return record(Path(folder), hardware, config=CONFIGS[config], duration_s=DURATION_S)


def hit_stream(name: str, found: RecordedStream, whole: RecordedStream, fault_end_ns: int) -> Hit:
    """Balance a stream that the fault touched."""
    balance = account(found)
    return Hit(
        stream=name,
        n_undisturbed=len(whole.stamps_ns),
        n_recorded=balance.n_recorded,
        n_missing=balance.n_missing,
        n_counted=balance.n_counted,
        n_undecided=balance.n_undecided,
        wrong=balance.wrong,
        causes=dict(Counter(gap.cause for gap in found.gaps)),
        n_astray=len(gaps_out_of_bounds(found)),
        back_s=recovery_s(found, fault_end_ns),
        largest_error_ns=balance.largest_error_ns,
    )


def n_changed(whole: RecordedStream, found: RecordedStream) -> int:
    """Count the rows of a recording that are not the same in the other, which may go on longer.

    The stamps may differ by as much as what comes later moves the fit.
    """
    n = min(len(whole.stamps_ns), len(found.stamps_ns))
    same = np.abs(whole.stamps_ns[:n] - found.stamps_ns[:n]) <= SAME_STAMP_NS
    same &= np.all(whole.counts[:n] == found.counts[:n], axis=tuple(range(1, whole.counts.ndim)))
    return len(whole.stamps_ns) - int(same.sum())


# --- what happens --------------------------------------------------------------------------------


def suffer(address: int, **faults: object) -> Callable[[Hardware], None]:
    """Let the bus of a chip suffer from now on; without faults it is well again."""
    return lambda hardware: hardware.bus(address).suffer(BusFaults(**faults))  # type: ignore[arg-type]


def for_a_while(
    address: int, begins_s: float, ends_s: float, **faults: object
) -> tuple[Event, Event]:
    """Let the bus of a chip suffer for a span."""
    return (begins_s, suffer(address, **faults)), (ends_s, suffer(address))


def unplugged(address: int, begins_s: float, duration_s: float) -> tuple[Event]:
    """Pull a chip off its bus for so long; it comes back with its power-on settings."""
    span = (0, round(duration_s * SECOND_NS))
    return ((begins_s, suffer(address, unplugged_spans_ns={address: (span,)})),)


STUCK = ((0, 30 * SECOND_NS),)


def idle_core(now_ns: int) -> float:
    """Give a quarter of the bus's rate between 20 and 30 s: a RAM read takes 150 ms, not 38."""
    return 0.25 if 20 * SECOND_NS <= now_ns < 30 * SECOND_NS else 1.0


BUS_SCENARIOS = (
    Scenario(
        "nack storm, motion",
        "one transfer in ten is not acknowledged for 30 s, on the MPU-6050's bus",
        MOTION_STREAMS,
        20.0,
        50.0,
        for_a_while(MOTION, 20.0, 50.0, nack_probability=0.1),
    ),
    Scenario(
        "nack storm, thermal",
        "the same on the MLX90640's bus",
        ("thermal",),
        20.0,
        50.0,
        for_a_while(THERMAL, 20.0, 50.0, nack_probability=0.1),
    ),
    Scenario(
        "nack storm, shared bus",
        "the same on one bus with both chips",
        (*MOTION_STREAMS, "thermal"),
        20.0,
        50.0,
        for_a_while(MOTION, 20.0, 50.0, nack_probability=0.1),
        "shared",
    ),
    Scenario(
        "stuck bus, motion",
        "every transfer takes 1 s and fails for 30 s, on the MPU-6050's bus",
        MOTION_STREAMS,
        15.0,
        45.0,
        ((15.0, suffer(MOTION, stuck_spans_ns=STUCK)),),
    ),
    Scenario(
        "stuck bus, thermal",
        "the same on the MLX90640's bus",
        ("thermal",),
        15.0,
        45.0,
        ((15.0, suffer(THERMAL, stuck_spans_ns=STUCK)),),
    ),
    Scenario(
        "stuck bus, shared",
        "the same on one bus with both chips",
        (*MOTION_STREAMS, "thermal"),
        15.0,
        45.0,
        ((15.0, suffer(MOTION, stuck_spans_ns=STUCK)),),
        "shared",
    ),
    Scenario(
        "garbage, MPU-6050",
        "one byte in a thousand is read wrongly for 30 s",
        MOTION_STREAMS,
        20.0,
        50.0,
        for_a_while(MOTION, 20.0, 50.0, garbage_probability=1e-3),
    ),
    Scenario(
        "garbage, ADXL345",
        "the same",
        ("accel",),
        20.0,
        50.0,
        for_a_while(ADXL345, 20.0, 50.0, garbage_probability=1e-3),
        "adxl345",
    ),
    Scenario(
        "garbage, MLX90640",
        "the same",
        ("thermal",),
        20.0,
        50.0,
        for_a_while(THERMAL, 20.0, 50.0, garbage_probability=1e-3),
    ),
)

CHIP_SCENARIOS = (
    Scenario(
        "unplugged, MPU-6050",
        "off the bus for 10 s; it comes back asleep, with its power-on settings",
        MOTION_STREAMS,
        20.0,
        30.0,
        unplugged(MOTION, 20.0, 10.0),
    ),
    Scenario(
        "unplugged, ADXL345",
        "the same; it comes back in standby",
        ("accel",),
        20.0,
        30.0,
        unplugged(ADXL345, 20.0, 10.0),
        "adxl345",
    ),
    Scenario(
        "unplugged, MLX90640",
        "the same; it comes back cold, at 2 subpages/s",
        ("thermal",),
        20.0,
        30.0,
        unplugged(THERMAL, 20.0, 10.0),
    ),
    Scenario(
        "FIFO overflow, MPU-6050",
        "the bus's thread does not run for 3 s",
        MOTION_STREAMS,
        20.0,
        23.0,
        ((20.0, lambda hardware: hardware.hold_up(MOTION, 3.0)),),
    ),
    Scenario(
        "FIFO overflow, ADXL345",
        "the same",
        ("accel",),
        20.0,
        23.0,
        ((20.0, lambda hardware: hardware.hold_up(ADXL345, 3.0)),),
        "adxl345",
    ),
    Scenario(
        "alignment lost",
        "the MPU-6050's FIFO loses a byte",
        MOTION_STREAMS,
        20.05,
        20.05,
        ((20.05, lambda hardware: hardware.chips[MOTION].slip(1)),),
    ),
    Scenario(
        "torn subpages",
        "the core clock idles for 10 s: each MLX90640 subpage is overwritten while it is read",
        ("thermal",),
        20.0,
        30.0,
        (),
        effective={THERMAL: idle_core},
    ),
    Scenario(
        "stale subpages",
        "the MLX90640 does not take 20 clearings: an old subpage says that it is new",
        ("thermal",),
        20.0,
        20.0,
        ((20.0, lambda hardware: hardware.chips[THERMAL].ignore_clears(20)),),
    ),
    Scenario(
        "invalid subpages",
        "20 subpages hold 0x7FFF",
        ("thermal",),
        20.0,
        20.0,
        ((20.0, lambda hardware: hardware.chips[THERMAL].invalidate(20)),),
    ),
    Scenario(
        "EEPROM misread",
        "the MLX90640 is off the bus for 2 s, then three bytes in a thousand are wrong for 8 s: "
        "its EEPROM differs from the copy",
        ("thermal",),
        20.0,
        30.0,
        (
            *unplugged(THERMAL, 20.0, 2.0),
            *for_a_while(THERMAL, 22.5, 30.0, garbage_probability=3e-3),
        ),
        compares_eeprom=True,
    ),
)

CAMERA_SCENARIOS = (
    Scenario(
        "camera raises, frames",
        "20 frames raise when they are read",
        ("infrared",),
        20.0,
        24.0,
        ((20.0, lambda hardware: hardware.camera.spoil(20)),),
    ),
    Scenario(
        "camera raises, start",
        "it stalls, and the next 3 attempts to start it raise",
        ("infrared",),
        20.0,
        20.0,
        (
            (20.0, lambda hardware: hardware.camera.refuse_starts(3)),
            (20.0, lambda hardware: hardware.camera.stall()),
        ),
    ),
    Scenario(
        "camera stalls",
        "no frame comes any more, until it is started again",
        ("infrared",),
        20.0,
        20.0,
        ((20.0, lambda hardware: hardware.camera.stall()),),
    ),
    Scenario(
        "camera vanishes",
        "its cable is out for 10 s",
        ("infrared",),
        20.0,
        30.0,
        (
            (20.0, lambda hardware: hardware.camera.vanish()),
            (30.0, lambda hardware: hardware.camera.restore()),
        ),
    ),
)

SCENARIOS = {
    scenario.name: scenario for scenario in (*BUS_SCENARIOS, *CHIP_SCENARIOS, *CAMERA_SCENARIOS)
}
