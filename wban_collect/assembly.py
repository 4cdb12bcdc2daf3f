"""From a configuration to real or simulated parts; nothing else knows both."""

from __future__ import annotations

import importlib
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wban_collect.bus import RetryingBus
from wban_collect.clock import Clock, SystemClock, VirtualClock
from wban_collect.clock_sources import read_anchor
from wban_collect.config import (
    Config,
    InfraredConfig,
    MotionConfig,
    ThermalConfig,
    i2c_address,
    stream_name,
)
from wban_collect.device import BusDevice, FrameDevice
from wban_collect.devices import DEVICE_CLASSES
from wban_collect.errors import ConfigError, DeviceError
from wban_collect.gpio import EdgeSource, GpiodEdges
from wban_collect.i2c import I2CBus, LinuxI2CBus
from wban_collect.recorder import BusPart, CameraPart, Parts
from wban_collect.simulation import SIMULATED_CLASSES
from wban_collect.simulation.world import World
from wban_dataset.recording.streams import ClockAnchor, Label

LARGEST_CLOCK_ERROR = {"mpu6050": 0.01, "adxl345": 0.03, "mlx90640": 0.02, "camera": 0.0001}
"""Oscillator errors that simulated chips draw from, as fractions of the rate."""

POWERED_FOR_NS = 300_000_000_000
"""A simulated thermal camera has been on for five minutes and is warm."""

DRAIN_NS = 500_000_000
"""After a replayed source has ended, the FIFOs are read for so long."""


def real_parts(config: Config, eeprom_folder: Path) -> Parts:
    """Put the configured chips and cameras together, on the machine's own buses and clock."""
    buses: list[BusPart] = []
    for number in _bus_numbers(config):
        bus = LinuxI2CBus(number)
        _refuse_kernel_drivers(config, number, bus)
        buses.append(_bus_part(config, number, bus, SystemClock(), _gpio_edges, eeprom_folder))
    cameras = [
        CameraPart(_camera(entry, SystemClock()), SystemClock()) for entry in config.infrared
    ]
    return Parts(
        buses=buses,
        cameras=cameras,
        clock=SystemClock(),
        storage_clock=SystemClock(),
        read_anchor=read_anchor,
        required_devices=_required(config),
    )


@dataclass(frozen=True)
class Simulation:
    """Simulated hardware around one world.

    Attributes
    ----------
    start_ns
        Virtual monotonic time at which the recording begins; None for real time.
    realtime_ns
        Wall time at that instant; virtual time only.
    label_source
        Written to the labels that come from the world; no labels where it is empty.
    """

    world: World
    seed: int
    chip_errors: bool = True
    start_ns: int | None = None
    realtime_ns: int = 0
    label_source: str = ""

    def clock(self) -> SystemClock | VirtualClock:
        """Make a clock for one more thread, or its virtual counterpart."""
        if self.start_ns is None:
            return SystemClock()
        return VirtualClock(self.start_ns, self.realtime_ns - self.start_ns)


def simulated_parts(config: Config, simulation: Simulation) -> Parts:
    """Put the same drivers together above simulated chips."""
    virtual = simulation.start_ns is not None
    buses: list[BusPart] = []
    for number in _bus_numbers(config):
        clock = simulation.clock()
        chips, edges = _simulated_chips(config, number, simulation, clock)
        bus: I2CBus = _load(SIMULATED_CLASSES["bus"])(
            clock,
            chips,
            nominal_hz=config.simulation.bus_hz,
            effective=config.simulation.bus_effective,
            seed=simulation.seed,
        )
        buses.append(_bus_part(config, number, bus, clock, edges.get, None))
    cameras: list[CameraPart] = []
    own_workers: list[Any] = []
    for index, entry in enumerate(config.infrared):
        clock = simulation.clock()
        camera = _load(SIMULATED_CLASSES["camera"])(
            simulation.world,
            clock,
            simulation.seed + 900 + index,
            clock_error=_clock_error("camera", simulation, 900 + index),
            threaded=not virtual,
        )
        device = _camera(entry, clock, open_camera=camera.open, boottime_offset_ns=_no_offset)
        cameras.append(CameraPart(device, clock))
        if virtual:
            own_workers.append(camera)
    clock = simulation.clock()
    return Parts(
        buses=buses,
        cameras=cameras,
        clock=clock,
        storage_clock=simulation.clock(),
        read_anchor=_virtual_anchor(clock) if virtual else read_anchor,
        required_devices=_required(config),
        virtual=virtual,
        own_workers=own_workers,
        labels=lambda: _world_labels(simulation),
        ended=_source_ended(simulation.world, clock),
    )


def _bus_part(
    config: Config,
    number: int,
    bus: I2CBus,
    clock: Clock,
    edges: Callable[[MotionConfig], EdgeSource | None],
    eeprom_folder: Path | None,
) -> BusPart:
    bus = RetryingBus(bus)
    devices: list[BusDevice] = [
        _motion(entry, bus, clock, edges(entry)) for entry in config.motion if entry.bus == number
    ]
    devices += [
        _thermal(entry, bus, clock, eeprom_folder)
        for entry in config.thermal
        if entry.bus == number
    ]
    return BusPart(f"i2c-{number}", bus, devices, clock)


def _refuse_kernel_drivers(config: Config, number: int, bus: LinuxI2CBus) -> None:
    """Two masters of one chip disturb each other: the kernel's driver and this program."""
    entries = (*config.motion, *config.thermal)
    for entry in (entry for entry in entries if entry.bus == number):
        address = i2c_address(entry)
        driver = bus.kernel_driver(address)
        if driver is not None:
            raise DeviceError(
                f"{_device_name(entry)}: the kernel's driver {driver} holds address "
                f"0x{address:02x} on bus {number}; expected it free. Remove its dtoverlay line "
                "from config.txt and reboot."
            )


def _motion(entry: MotionConfig, bus: I2CBus, clock: Clock, edges: EdgeSource | None) -> BusDevice:
    settings: dict[str, Any] = {
        "address": i2c_address(entry),
        "sampling_rate_hz": entry.sampling_rate_hz,
        "placement": entry.placement,
        "mounting": tuple(value for row in entry.mounting for value in row),
    }
    if entry.driver == "adxl345":
        settings |= {
            "stream": stream_name(entry.name, "accel"),
            "range_g": entry.accel_range_g,
            "watermark": entry.watermark,
            "edges": edges,
        }
    else:
        settings |= {
            "accel_stream": stream_name(entry.name, "accel"),
            "gyro_stream": stream_name(entry.name, "gyro"),
            "accel_range_g": entry.accel_range_g,
            "gyro_range_dps": entry.gyro_range_dps,
            "watermark": entry.watermark,
        }
    return _construct(entry.driver, _device_name(entry), bus, clock, settings)


def _thermal(
    entry: ThermalConfig, bus: I2CBus, clock: Clock, eeprom_folder: Path | None
) -> BusDevice:
    settings = {
        "stream": stream_name(entry.name, "thermal"),
        "address": entry.address,
        "refresh_hz": entry.refresh_hz,
        "adc_bits": entry.adc_bits,
        "pattern": entry.pattern,
        "emissivity": entry.emissivity,
        "placement": entry.placement,
        "eeprom_folder": eeprom_folder,
    }
    return _construct(entry.driver, _device_name(entry), bus, clock, settings)


def _camera(entry: InfraredConfig, clock: Clock, **stack: Any) -> FrameDevice:
    """Make the driver; `stack` replaces the camera software for a simulated one."""
    settings: dict[str, Any] = {
        "stream": stream_name(entry.name, "infrared"),
        "camera_index": entry.camera,
        "sensor": entry.sensor,
        "capture_size": entry.capture_size,
        "size": entry.size,
        "frame_rate_hz": entry.frame_rate_hz,
        "rule": entry.rule,
        "change_threshold": entry.change_threshold,
        "tuning_file": entry.tuning_file or None,
        "exposure_us": entry.exposure_us,
        "gain": entry.gain,
        "placement": entry.placement,
        "sensor_size": entry.sensor_size,
        **stack,
    }
    if entry.thermal_to_infrared is not None:
        settings["calibration"] = {"thermal_to_infrared": np.array(entry.thermal_to_infrared)}
    try:
        return _load(DEVICE_CLASSES[entry.driver])(_device_name(entry), clock, **settings)
    except ValueError as error:
        raise ConfigError(f"{_device_name(entry)}: {error}") from error


def _construct(driver: str, name: str, bus: I2CBus, clock: Clock, settings: Any) -> BusDevice:
    try:
        return _load(DEVICE_CLASSES[driver])(name, bus, clock, **settings)
    except ValueError as error:
        raise ConfigError(f"{name}: {error}") from error


def _simulated_chips(
    config: Config, number: int, simulation: Simulation, clock: Clock
) -> tuple[list[Any], dict[MotionConfig, EdgeSource]]:
    """Chips of one simulated bus, and the interrupt lines of those that have one wired."""
    chips: list[Any] = []
    edges: dict[MotionConfig, EdgeSource] = {}
    entries: Sequence[MotionConfig | ThermalConfig] = [
        entry for entry in (*config.motion, *config.thermal) if entry.bus == number
    ]
    for index, entry in enumerate(entries):
        seed = simulation.seed + 100 * number + index
        driver = entry.driver.removesuffix("-adafruit")
        settings: dict[str, Any] = {
            "address": i2c_address(entry),
            "clock_error": _clock_error(driver, simulation, 100 * number + index),
        }
        if driver == "mlx90640":
            settings |= {
                "power_on_ns": clock.monotonic_ns() - POWERED_FOR_NS,
                "noise": simulation.chip_errors,
            }
        else:
            settings |= {"ideal": not simulation.chip_errors, "drift_ppm": 30.0}
        chip = _load(SIMULATED_CLASSES[driver])(simulation.world, seed, **settings)
        if isinstance(entry, MotionConfig) and entry.interrupt_line is not None:
            chip.int1 = edges[entry] = _load(SIMULATED_CLASSES["edges"])(clock, chip, seed=seed)
        chips.append(chip)
    return chips, edges


def _clock_error(driver: str, simulation: Simulation, number: int) -> float:
    if not simulation.chip_errors:
        return 0.0
    largest = LARGEST_CLOCK_ERROR[driver]
    return random.Random(f"{simulation.seed} {number}").uniform(-largest, largest)


def _gpio_edges(entry: MotionConfig) -> EdgeSource | None:
    if entry.interrupt_line is None:
        return None
    return GpiodEdges(entry.gpio_chip, entry.interrupt_line)


def _no_offset() -> int:
    """CLOCK_BOOTTIME against CLOCK_MONOTONIC of a simulated camera."""
    return 0


def _virtual_anchor(clock: Clock) -> Callable[[], ClockAnchor]:
    def read() -> ClockAnchor:
        now_ns = clock.monotonic_ns()
        return ClockAnchor(now_ns, now_ns, clock.realtime_ns(), synchronised=True, est_error_ns=0)

    return read


def _world_labels(simulation: Simulation) -> list[Label]:
    if not simulation.label_source:
        return []
    return [
        Label(span.start_ns, span.stop_ns, span.activity, source=simulation.label_source)
        for span in simulation.world.spans()
    ]


def _source_ended(world: World, clock: Clock) -> Callable[[], bool]:
    def ended() -> bool:
        end_ns = world.end_ns
        return end_ns is not None and clock.monotonic_ns() > end_ns + DRAIN_NS

    return ended


def _bus_numbers(config: Config) -> list[int]:
    return sorted({entry.bus for entry in (*config.motion, *config.thermal)})


def _device_name(entry: MotionConfig | ThermalConfig | InfraredConfig) -> str:
    kind = "camera" if isinstance(entry, InfraredConfig) else entry.driver
    return stream_name(entry.name, kind)


def _required(config: Config) -> frozenset[str]:
    entries = (*config.motion, *config.thermal, *config.infrared)
    return frozenset(_device_name(entry) for entry in entries if entry.required)


def _load(path: str) -> Any:
    """Import a class by its name, so that nothing is loaded before it is used."""
    module, name = path.split(":")
    return getattr(importlib.import_module(module), name)
