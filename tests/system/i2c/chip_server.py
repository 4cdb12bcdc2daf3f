"""The chips behind the fake /dev/i2c-1: the simulated bus in real time, over stdin and stdout.

Besides an ADXL345 (0x53) and an MPU-6500 (0x69) there are addresses that fail in one way each, and
one that pulls the ADXL345 off the bus (write 1) and puts it back (write 0).
"""

from __future__ import annotations

import errno
import json
import sys

import numpy as np
from numpy.typing import NDArray

from wban_collect.clock import SystemClock
from wban_collect.errors import BusError
from wban_collect.simulation.adxl345 import SimulatedAdxl345
from wban_collect.simulation.bus import SimulatedI2CBus
from wban_collect.simulation.mpu6050 import SimulatedMpu6050

FAILING = {0x71: errno.ETIMEDOUT, 0x72: errno.EIO, 0x73: errno.ENXIO, 0x74: errno.ENODEV}
PLUG = 0x75
COUNT = 9.80665 / 256


class CountingWorld:
    """Acceleration along x grows by one count of 1/256 g every 10 ms; turning at 1 rad/s."""

    end_ns = None

    def begin(self, start_ns: int) -> None:
        """Time needs no zero here."""

    def acceleration(self, times_ns: NDArray[np.int64]) -> NDArray[np.float64]:
        ticks = times_ns // 10_000_000 % 500
        return np.stack([ticks * COUNT, 0 * ticks, 0 * ticks + 9.80665], axis=1)

    def angular_rate(self, times_ns: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.ones((len(times_ns), 3))


def main() -> None:
    accelerometer = SimulatedAdxl345(CountingWorld(), 1, ideal=True)
    gyroscope = SimulatedMpu6050(CountingWorld(), 2, model="mpu6500", address=0x69, ideal=True)
    clock = SystemClock()
    bus = SimulatedI2CBus(clock, [accelerometer, gyroscope], overhead_ns=0)
    for line in sys.stdin:
        messages = [(a, bytes.fromhex(c) if isinstance(c, str) else c) for a, c in json.loads(line)]
        address, content = messages[0]
        code, data = FAILING.get(address, 0), b""
        if address == PLUG:
            accelerometer.unplugged = content == b"\x01"
            accelerometer.power_cycle(clock.monotonic_ns())
        elif not code:
            try:
                data = bus.transfer(messages)
            except BusError as error:
                code = error.errno
        sys.stdout.write(json.dumps({"errno": code, "data": data.hex()}) + "\n")
        sys.stdout.flush()


main()
