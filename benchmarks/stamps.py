"""Stamps against the simulator's truth, for clocks that run -3, 0 and +3 % wrong.

The real drivers run above simulated chips on a bus with true transfer times; what they deliver is
fitted as sealing fits it, and compared with the instants at which the chips latched.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from report import json_path_argument, report, row
from truth import compare, rms_ms, stamps
from virtual_rig import START_NS, Collected, run_bus, wearer

from wban_collect.clock import VirtualClock
from wban_collect.devices.adxl345 import Adxl345
from wban_collect.devices.mlx90640 import Mlx90640
from wban_collect.devices.mpu6050 import Mpu6050
from wban_collect.devices.picamera import PicameraDevice
from wban_collect.frames import FrameWorker
from wban_collect.simulation.adxl345 import SimulatedAdxl345
from wban_collect.simulation.bus import SimulatedI2CBus
from wban_collect.simulation.camera import SimulatedPicamera2
from wban_collect.simulation.edges import SimulatedEdges
from wban_collect.simulation.mlx90640 import SimulatedMlx90640
from wban_collect.simulation.mpu6050 import SimulatedMpu6050
from wban_collect.worker import VirtualRunner

CLOCK_ERRORS = (-0.03, 0.0, 0.03)
DURATION_S = 120.0
Case = Callable[[float], NDArray[np.int64]]


def adxl345(error: float, rate_hz: float, *, edges: bool) -> NDArray[np.int64]:
    clock = VirtualClock(START_NS)
    chip = SimulatedAdxl345(wearer(), 1, clock_error=error, drift_ppm=50.0, keep_truth=True)
    chip.int1 = line = SimulatedEdges(clock, chip) if edges else None
    bus = SimulatedI2CBus(clock, [chip])
    device = Adxl345("adxl345", bus, clock, sampling_rate_hz=rate_hz, edges=line)
    collected = run_bus(bus, [device], clock, DURATION_S)
    return compare(stamps(collected, "accel"), chip.read_instants_ns(), in_order=True)[0]


def mpu6050(error: float, rate_hz: float) -> NDArray[np.int64]:
    clock = VirtualClock(START_NS)
    chip = SimulatedMpu6050(wearer(), 1, clock_error=error, drift_ppm=50.0, keep_truth=True)
    bus = SimulatedI2CBus(clock, [chip])
    device = Mpu6050("mpu6050", bus, clock, sampling_rate_hz=rate_hz)
    collected = run_bus(bus, [device], clock, DURATION_S)
    return compare(stamps(collected, "accel"), chip.read_instants_ns(), in_order=True)[0]


def mlx90640(error: float, refresh_hz: float) -> NDArray[np.int64]:
    clock = VirtualClock(START_NS)
    chip = SimulatedMlx90640(wearer(), 1, clock_error=error, power_on_ns=START_NS)
    bus = SimulatedI2CBus(clock, [chip])
    device = Mlx90640("mlx90640", bus, clock, refresh_hz=refresh_hz)
    collected = run_bus(bus, [device], clock, DURATION_S)
    return compare(stamps(collected, "thermal"), chip.subpage_middles_ns, in_order=False)[0]


def camera(error: float) -> NDArray[np.int64]:
    clock = VirtualClock(START_NS)
    sensor = SimulatedPicamera2(wearer(), clock, 1, clock_error=error, keep_truth=True)
    device = PicameraDevice(
        "camera", clock, frame_rate_hz=15.0, open_camera=sensor.open, boottime_offset_ns=lambda: 0
    )
    collected = Collected()
    worker = FrameWorker(device, clock, collected.take, collected.meet)
    end_ns = START_NS + int(30e9)
    VirtualRunner([worker, sensor]).run_until(lambda: clock.monotonic_ns() >= end_ns)
    truth = np.array([middle_ns for _, middle_ns in sensor.frame_truth])
    return compare(stamps(collected, "infrared"), truth, in_order=False)[0]


def shared(error: float, stream: str) -> NDArray[np.int64]:
    """Stamps of the reference load's chips, which share one bus."""
    clock = VirtualClock(START_NS)
    motion = SimulatedMpu6050(wearer(), 1, clock_error=error, drift_ppm=50.0, keep_truth=True)
    heat = SimulatedMlx90640(wearer(), 2, clock_error=-error, power_on_ns=START_NS)
    bus = SimulatedI2CBus(clock, [motion, heat])
    devices = [
        Mpu6050("mpu6050", bus, clock, sampling_rate_hz=400.0),
        Mlx90640("mlx90640", bus, clock, refresh_hz=16.0),
    ]
    collected = run_bus(bus, devices, clock, DURATION_S)
    if stream == "thermal":
        return compare(stamps(collected, stream), heat.subpage_middles_ns, in_order=False)[0]
    return compare(stamps(collected, stream), motion.read_instants_ns(), in_order=True)[0]


def cases() -> Sequence[tuple[str, float, Case]]:
    """List what is measured, the rms asked for in ms, and how."""
    return (
        ("ADXL345 100 Hz, polling", 0.3, lambda e: adxl345(e, 100.0, edges=False)),
        ("ADXL345 400 Hz, polling", 0.3, lambda e: adxl345(e, 400.0, edges=False)),
        ("ADXL345 100 Hz, edge", 0.05, lambda e: adxl345(e, 100.0, edges=True)),
        ("ADXL345 400 Hz, edge", 0.05, lambda e: adxl345(e, 400.0, edges=True)),
        ("MPU-6050 100 Hz, polling", 0.3, lambda e: mpu6050(e, 100.0)),
        ("MPU-6050 400 Hz, polling", 0.3, lambda e: mpu6050(e, 400.0)),
        ("MLX90640 8 subpages/s", 1.0, lambda e: mlx90640(e, 8.0)),
        ("MLX90640 16 subpages/s", 1.0, lambda e: mlx90640(e, 16.0)),
        ("MPU-6050 400 Hz beside it on one bus", 0.3, lambda e: shared(e, "accel")),
        ("MLX90640 16 subpages/s beside that", 1.0, lambda e: shared(e, "thermal")),
        ("camera 15/s", 0.1, camera),
    )


def main() -> int:
    json_path = json_path_argument(__doc__)
    rows: list[dict[str, Any]] = []
    for name, asked_ms, measure in cases():
        errors = [measure(error) for error in CLOCK_ERRORS]
        rms = [rms_ms(error) for error in errors]
        worst = max(float(np.abs(error).max()) / 1e6 for error in errors)
        rows.append(
            row(
                name,
                asked=f"{asked_ms:g} ms rms",
                measured=" / ".join(f"{value:.3f}" for value in rms)
                + f" ms rms at -3 / 0 / +3 %, largest {worst:.2f} ms, none out of order",
                reached=max(rms) <= asked_ms,
                on_pi4="the same: simulated bus times",
                rms_ms=max(rms),
                max_ms=worst,
            )
        )
    return 0 if report("stamps", rows, json_path) else 1


if __name__ == "__main__":
    raise SystemExit(main())
