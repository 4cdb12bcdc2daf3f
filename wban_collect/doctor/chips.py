"""The I2C buses and the chips on them: speed, identity, data, self-test."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast

from wban_collect.bus_budget import IDLE_CORE, bus_load
from wban_collect.clock import Clock
from wban_collect.config import Config
from wban_collect.device import BusDevice, SelfTesting, SelfTestResult
from wban_collect.doctor.finding import Finding, failure, ok, sentences, warning
from wban_collect.errors import BusError, BusOpenError, WbanError
from wban_collect.i2c import I2CBus
from wban_collect.parts import BusPart
from wban_dataset.recording.streams import SampleBlock

SHORT_BYTES, LONG_BYTES = 2, 66
N_MEASUREMENTS = 25
BITS_PER_BYTE = 9

SLOW = 0.8
"""Of the nominal speed; the controller rounds its divisor, and Python takes some of the time."""

PATIENCE_NS = 5_000_000_000
"""Within this a chip that was set up delivers: the slowest thermal camera needs four seconds."""

THERMAL_ADDRESS = 0x33
THERMAL_RAM = b"\x04\x00"
ANY_REGISTER = b"\x00"

IDENTITIES = {
    0x53: [(0x00, 0xE5, "an ADXL345")],
    0x1D: [(0x00, 0xE5, "an ADXL345")],
    0x68: [(0x75, 0x68, "an MPU-6050"), (0x75, 0x70, "an MPU-6500")],
    0x69: [(0x75, 0x68, "an MPU-6050"), (0x75, 0x70, "an MPU-6500")],
    0x6A: [(0x0F, 0x6C, "an LSM6DSOX")],
    0x6B: [(0x0F, 0x6C, "an LSM6DSOX")],
    0x18: [(0x0F, 0x33, "a LIS3DH")],
    0x19: [(0x0F, 0x33, "a LIS3DH")],
}
"""By address: register, value and name of chips that can be told by reading one byte."""

Chip = tuple[BusDevice, int]
"""A device and its address."""


@dataclass(frozen=True)
class ExaminedBus:
    """A bus, its chips with their addresses, and the speed that it was set to, if that is known."""

    number: int
    part: BusPart
    chips: Sequence[Chip]
    nominal_hz: int | None = None


def examine_bus(config: Config, bus: ExaminedBus) -> Iterator[Finding]:
    """Look at each chip of a bus, then at the bus; gives it back afterwards."""
    area, part = f"bus {bus.number}", bus.part
    try:
        present: list[Chip] = []
        for chip in bus.chips:
            found = list(examine_chip(chip[0], part.clock))
            if not any(finding.verdict == "failure" for finding in found):
                present.append(chip)
            yield from found
        yield from _speed(config, bus, present)
        yield from _strangers(bus)
    except BusOpenError as error:
        yield sentences(area, error)
    finally:
        part.bus.close()


def examine_chip(device: BusDevice, clock: Clock) -> Iterator[Finding]:
    """Set a chip up, see whether it delivers, let it test itself, and put it to rest."""
    area = device.name
    try:
        _wait_through(device.start(), device, clock)
        n_samples = _first_samples(device, clock)
        if not n_samples:
            yield failure(
                area,
                "it answers and is what it should be, but delivers nothing",
                "cycle its power; check its supply voltage",
            )
            return
        yield ok(area, f"it is what it should be, and delivers ({_streams(device)})")
        if hasattr(device, "self_test"):
            yield _self_test(area, cast("Any", device), clock)
    except BusOpenError:
        raise
    except WbanError as error:
        yield sentences(area, error)
    finally:
        device.stop()


def measured_hz(bus: I2CBus, clock: Clock, address: int) -> float:
    """Measure SCL: how much longer a long transfer takes than a short one, at the least.

    Reads of status registers change nothing in any chip that is supported.
    """
    register = THERMAL_RAM if address == THERMAL_ADDRESS else ANY_REGISTER
    shortest: dict[int, int] = {}
    for _ in range(N_MEASUREMENTS):
        for n_bytes in (SHORT_BYTES, LONG_BYTES):
            begun_ns = clock.monotonic_ns()
            bus.write_read(address, register, n_bytes)
            taken_ns = clock.monotonic_ns() - begun_ns
            shortest[n_bytes] = min(taken_ns, shortest.get(n_bytes, taken_ns))
    n_bits = (LONG_BYTES - SHORT_BYTES) * BITS_PER_BYTE
    return n_bits * 1e9 / max(shortest[LONG_BYTES] - shortest[SHORT_BYTES], 1)


def _speed(config: Config, bus: ExaminedBus, present: list[Chip]) -> Iterator[Finding]:
    area = f"bus {bus.number}"
    if not present:
        yield failure(
            area,
            "no chip answers on it",
            "check power, ground, SDA and SCL (docs/wiring.md), and 'i2cdetect -y "
            f"{bus.number}'; the speed cannot be measured without one",
        )
        return
    try:
        hz = measured_hz(bus.part.bus, bus.part.clock, present[0][1])
    except BusError as error:
        yield sentences(area, error)
        return
    nominal_hz = bus.nominal_hz
    text = f"{hz / 1e3:.0f} kHz measured"
    if nominal_hz:
        text += f" of {nominal_hz / 1e3:.0f} kHz nominal"
    load = bus_load(config, bus.number, hz)
    text += f"; its chips keep it {load:.0%} busy"
    slow = nominal_hz is not None and hz < SLOW * nominal_hz
    remedy = (
        "core_freq=500 and core_freq_min=500 in /boot/firmware/config.txt hold the core clock that "
        f"the bus is divided from (an idling one leaves {IDLE_CORE:.0%} of the speed); reboot"
    )
    if load > 1:
        other = "lower the rates, raise i2c_arm_baudrate to 400000, or use a second bus"
        yield failure(area, text, remedy if slow else other)
    elif slow:
        yield warning(area, text, remedy)
    else:
        yield ok(area, text)


def _strangers(bus: ExaminedBus) -> Iterator[Finding]:
    """Name chips that answer and are not configured."""
    configured = {address for _, address in bus.chips}
    for address, identities in IDENTITIES.items():
        if address in configured:
            continue
        with suppress(BusError):  # nobody there
            for register, identity, name in identities:
                (found,) = bus.part.bus.write_read(address, bytes([register]), 1)
                if found == identity:
                    yield warning(
                        f"bus {bus.number}",
                        f"{name} answers at 0x{address:02x} and is not in the configuration",
                        "add it, or take it off the bus",
                    )


def _self_test(area: str, device: SelfTesting, clock: Clock) -> Finding:
    results = [
        result
        for result in _wait_through(device.self_test(), device, clock)
        if isinstance(result, SelfTestResult)
    ]
    failed = [result for result in results if not result.passed]
    if not failed:
        return ok(area, f"its self-test passes on {len(results)} axes")
    told = "; ".join(
        f"{r.axis} changed by {r.change:.3g} {r.units}, expected {r.lowest:.3g} to {r.highest:.3g}"
        for r in failed
    )
    return failure(
        area,
        f"its self-test fails: {told}",
        "lay the sensor still and try again; if this returns, the chip is damaged: replace it",
    )


def _wait_through(steps: Iterator[Any], device: BusDevice | SelfTesting, clock: Clock) -> list[Any]:
    """Go through a generator to its end, waiting where it waits."""
    found: list[Any] = []
    for step in steps:
        if step is None:
            clock.sleep_until_ns(device.next_due_ns())
        else:
            found.append(step)
    return found


def _first_samples(device: BusDevice, clock: Clock) -> int:
    """Read until there is something; the number of samples, or 0."""
    give_up_ns = clock.monotonic_ns() + PATIENCE_NS
    while clock.monotonic_ns() < give_up_ns:
        clock.sleep_until_ns(device.next_due_ns())
        blocks = [out for out in device.read() if isinstance(out, SampleBlock)]
        if blocks:
            return sum(block.n_samples for block in blocks)
    return 0


def _streams(device: BusDevice) -> str:
    return ", ".join(f"{s.name} at {s.sampling_rate_hz:g}/s" for s in device.streams)
