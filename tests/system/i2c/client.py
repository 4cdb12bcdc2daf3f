"""What runs against the fake /dev/i2c-1: each function returns what its test looks at."""

from __future__ import annotations

import itertools
import json
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from smbus2 import i2c_msg

from wban_collect.clock import SystemClock
from wban_collect.device import BusDevice
from wban_collect.devices.adxl345 import Adxl345
from wban_collect.devices.mpu6050 import Mpu6050
from wban_collect.errors import BusError, DeviceNotFoundError
from wban_collect.i2c import LinuxI2CBus
from wban_dataset.recording.streams import Gap, SampleBlock

PLUG = 0x75
CLOCK = SystemClock()


def run(steps: Iterator[Any], device: BusDevice) -> list[Any]:
    """Take all steps of a start or a read, each no earlier than it is due."""
    outputs = []
    while True:
        CLOCK.sleep_until_ns(device.next_due_ns())
        try:
            outputs.append(next(steps))
        except StopIteration:
            return outputs


def record(device: BusDevice, duration_s: float) -> list[Any]:
    end_ns = time.monotonic_ns() + int(duration_s * 1e9)
    outputs = []
    while time.monotonic_ns() < end_ns:
        outputs += run(device.read(), device)
    return [output for output in outputs if output is not None]


def summary(outputs: list[Any], stream: str) -> dict[str, Any]:
    blocks = [o for o in outputs if isinstance(o, SampleBlock) and o.stream == stream]
    return {
        "first_index": [b.first_index for b in blocks],
        "n": [b.n_samples for b in blocks],
        "segments": sorted({b.segment for b in blocks}),
        "gaps": [o.cause for o in outputs if isinstance(o, Gap) and o.stream == stream],
        "data": list(itertools.chain.from_iterable(b.data.tolist() for b in blocks)),
        "read_ns": [b.read.read_end_ns - b.read.read_start_ns for b in blocks],
    }


def failure(action: Callable[[], object]) -> list[Any]:
    try:
        action()
    except (BusError, DeviceNotFoundError) as error:
        return [type(error).__name__, getattr(error, "errno", 0), str(error)]
    return []


def opened(bus: int | str) -> LinuxI2CBus:
    made = LinuxI2CBus(bus)
    made.reopen()
    return made


def transfers() -> dict[str, Any]:
    with_bus = opened(1)
    with_bus.write(0x53, bytes((0x1E, 1, 2, 3)))
    answer = with_bus.write_read(0x53, b"\x1e", 3)
    device_id = with_bus.write_read(0x53, b"\x00", 1)
    with_bus.reopen()
    again = with_bus.write_read(0x53, b"\x1e", 3)
    with_bus.close()
    with_bus.close()
    closed = failure(lambda: with_bus.write(0x53, b"\x00"))
    return {
        "registers": answer.hex(),
        "device_id": device_id.hex(),
        "after_reopen": again.hex(),
        "closed": closed,
    }


def errors() -> dict[str, Any]:
    bus = opened(1)
    failures = {
        f"0x{address:02x}": failure(lambda a=address: bus.write_read(a, b"\x00", 1))
        for address in (0x70, 0x71, 0x72, 0x73, 0x74)
    }
    two_reads = failure(lambda: bus._transfer(0x53, i2c_msg.read(0x53, 1), i2c_msg.read(0x53, 1)))
    bus.close()
    return {**failures, "two reads": two_reads}


def opening() -> dict[str, Any]:
    first = opened("/dev/i2c-1")
    second = failure(lambda: opened(1))
    first.reopen()
    first.close()
    third = failure(lambda: opened(1).close())
    return {
        "second": second,
        "after close": third,
        "absent": failure(lambda: opened(7)),
        "no bus": failure(lambda: opened("/dev/null")),
    }


def accelerometer() -> dict[str, Any]:
    bus = opened(1)
    device = Adxl345("adxl345", bus, CLOCK)
    run(device.start(), device)
    before = record(device, 1.0)
    bus.write(PLUG, b"\x01")
    unplugged = failure(lambda: record(device, 1.0))
    absent = failure(lambda: run(device.start(), device))
    bus.write(PLUG, b"\x00")
    while failure(lambda: run(device.start(), device)):
        pass  # it answers 1 ms after it got its power
    after = record(device, 0.5)
    device.stop()
    bus.close()
    return {
        "before": summary(before, "accel"),
        "unplugged": unplugged,
        "absent": absent,
        "after": summary(after, "accel"),
    }


def gyroscope() -> dict[str, Any]:
    bus = opened(1)
    device = Mpu6050("mpu6050", bus, CLOCK, address=0x69, sampling_rate_hz=200.0)
    run(device.start(), device)
    outputs = record(device, 1.0)
    device.stop()
    bus.close()
    return {
        "model": device.identity.model,
        "accel": summary(outputs, "accel"),
        "gyro": summary(outputs, "gyro"),
    }


CHECKS = (transfers, errors, opening, accelerometer, gyroscope)
sys.stdout.write(json.dumps({check.__name__: check() for check in CHECKS}))
