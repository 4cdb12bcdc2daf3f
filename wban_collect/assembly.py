"""From a configuration to real or simulated parts; nothing else knows both."""

from __future__ import annotations

import importlib
import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from wban_collect.bus import RetryingBus
from wban_collect.clock import Clock, SystemClock, VirtualClock
from wban_collect.clock_sources import read_anchor
from wban_collect.config import (
    WITH_GYROSCOPE,
    Config,
    DeviceConfig,
    InfraredConfig,
    MotionConfig,
    ThermalConfig,
    i2c_address,
    stream_name,
)
from wban_collect.device import BusDevice, FrameDevice
from wban_collect.devices import DEVICE_CLASSES
from wban_collect.errors import ConfigError
from wban_collect.gpio import EdgeSource, GpiodEdges
from wban_collect.i2c import I2CBus, LinuxI2CBus
from wban_collect.parts import BusPart, CameraPart, Parts
from wban_collect.plugins import (
    installed,
    make_device,
    make_simulated_chip,
    refuse_same_names,
)
from wban_collect.simulation import SIMULATED_CLASSES
from wban_collect.simulation.world import World
from wban_dataset.recording.streams import ClockAnchor, Label

LARGEST_CLOCK_ERROR = {
    "mpu6050": 0.01,
    "adxl345": 0.03,
    "lis3dh": 0.1,
    "lsm6dsox": 0.05,
    "mlx90640": 0.02,
    "camera": 0.0001,
    "plug-in": 0.02,
}
"""Oscillator errors that simulated chips draw from, as fractions of the rate."""

POWERED_FOR_NS = 300_000_000_000
"""A simulated thermal camera has been on for five minutes and is warm."""

EEPROM_FOLDER = Path(".local/share/wban/eeprom")
"""Under the home folder: copies of the thermal cameras' EEPROMs, compared at every start."""

DRAIN_NS = 500_000_000
"""After a replayed source has ended, the FIFOs are read for so long."""


def real_parts(config: Config, eeprom_folder: Path) -> Parts:
    """Put the configured chips and cameras together, on the machine's own buses and clock."""
    buses: list[BusPart] = []
    with ExitStack() as lines:
        edges = partial(_gpio_edges, lines=lines)
        for number in _bus_numbers(config):
            bus = LinuxI2CBus(number)
            buses.append(_bus_part(config, number, bus, SystemClock(), edges, eeprom_folder))
        cameras = [
            CameraPart(_camera(entry, SystemClock()), SystemClock()) for entry in config.infrared
        ]
        _refuse_same_names(buses, cameras)
        interrupts = lines.pop_all()
    return Parts(
        buses=buses,
        cameras=cameras,
        clock=SystemClock(),
        storage_clock=SystemClock(),
        read_anchor=read_anchor,
        required_devices=required_devices(config),
        close=interrupts.close,
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
    classes
        What takes the place of `SIMULATED_CLASSES`, by name: parts that fail when they are told to.
    eeprom_folder
        Where the copies of thermal cameras' EEPROMs are kept; None: they are not compared.
    chips_may_lack
        A plug-in that brings no simulated chip finds nobody at its address, rather than being
        refused: enough to check a configuration.
    """

    world: World
    seed: int
    chip_errors: bool = True
    start_ns: int | None = None
    realtime_ns: int = 0
    label_source: str = ""
    classes: Mapping[str, Callable[..., Any]] = field(default_factory=dict[str, Callable[..., Any]])
    eeprom_folder: Path | None = None
    chips_may_lack: bool = False

    def part(self, name: str) -> Callable[..., Any]:
        """Give what makes a simulated part."""
        return self.classes.get(name) or _load(SIMULATED_CLASSES[name])

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
        bus: I2CBus = simulation.part("bus")(
            clock,
            chips,
            nominal_hz=config.simulation.bus_hz,
            effective=config.simulation.bus_effective,
            seed=simulation.seed,
        )
        folder = simulation.eeprom_folder
        buses.append(_bus_part(config, number, bus, clock, edges.get, folder))
    cameras: list[CameraPart] = []
    own_workers: list[Any] = []
    for index, entry in enumerate(config.infrared):
        clock = simulation.clock()
        camera = simulation.part("camera")(
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
    _refuse_same_names(buses, cameras)
    clock = simulation.clock()
    return Parts(
        buses=buses,
        cameras=cameras,
        clock=clock,
        storage_clock=simulation.clock(),
        read_anchor=_virtual_anchor(clock) if virtual else read_anchor,
        required_devices=required_devices(config),
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
    devices += [
        make_device(entry, device_name(entry), bus, clock)
        for entry in config.device
        if entry.bus == number
    ]
    return BusPart(f"i2c-{number}", bus, devices, clock)


def _motion(entry: MotionConfig, bus: I2CBus, clock: Clock, edges: EdgeSource | None) -> BusDevice:
    settings: dict[str, Any] = {
        "address": i2c_address(entry),
        "sampling_rate_hz": entry.sampling_rate_hz,
        "placement": entry.placement,
        "mounting": tuple(value for row in entry.mounting for value in row),
    }
    if entry.driver not in WITH_GYROSCOPE:
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
    return _construct(entry.driver, device_name(entry), bus, clock, settings)


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
    return _construct(entry.driver, device_name(entry), bus, clock, settings)


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
        return _load(DEVICE_CLASSES[entry.driver])(device_name(entry), clock, **settings)
    except ValueError as error:
        raise ConfigError(f"{device_name(entry)}: {error}") from error


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
    entries = [entry for entry in config.chips if entry.bus == number]
    for index, entry in enumerate(entries):
        seed = simulation.seed + 100 * number + index
        if isinstance(entry, DeviceConfig):
            chips += _plugin_chip(entry, simulation, seed, 100 * number + index)
            continue
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
        chip = simulation.part(driver)(simulation.world, seed, **settings)
        if isinstance(entry, MotionConfig) and entry.interrupt_line is not None:
            chip.int1 = edges[entry] = simulation.part("edges")(clock, chip, seed=seed)
        chips.append(chip)
    return chips, edges


def _plugin_chip(entry: DeviceConfig, simulation: Simulation, seed: int, number: int) -> list[Any]:
    """Make the simulated chip of a plug-in, which needs to bring one."""
    clock_error = _clock_error("plug-in", simulation, number)
    chip = make_simulated_chip(entry, simulation.world, seed, clock_error)
    # A driver that is not installed either is refused when it is made.
    if chip is None and entry.driver in installed() and not simulation.chips_may_lack:
        raise ConfigError(
            f"{device_name(entry)}: the plug-in {entry.driver!r} brings no simulated chip; "
            "expected one for --simulate. Take its [[device]] out of the configuration for this."
        )
    return [] if chip is None else [chip]


def _clock_error(driver: str, simulation: Simulation, number: int) -> float:
    if not simulation.chip_errors:
        return 0.0
    largest = LARGEST_CLOCK_ERROR[driver]
    return random.Random(f"{simulation.seed} {number}").uniform(-largest, largest)


def _gpio_edges(entry: MotionConfig, *, lines: ExitStack) -> EdgeSource | None:
    """Take the interrupt line of a chip, to be given back with `lines`."""
    if entry.interrupt_line is None:
        return None
    return lines.enter_context(closing(GpiodEdges(entry.gpio_chip, entry.interrupt_line)))


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
    return sorted({entry.bus for entry in config.chips})


def _refuse_same_names(buses: Sequence[BusPart], cameras: Sequence[CameraPart]) -> None:
    """Only the made devices tell all their streams: a plug-in may have several."""
    devices = [device for part in buses for device in part.devices]
    devices += [part.device for part in cameras]
    refuse_same_names([(device.name, device.streams) for device in devices])


def device_name(entry: MotionConfig | ThermalConfig | InfraredConfig | DeviceConfig) -> str:
    """Name of a device in messages and in the recorder's status."""
    kind = "camera" if isinstance(entry, InfraredConfig) else entry.driver
    return stream_name(entry.name, kind)


def required_devices(config: Config) -> frozenset[str]:
    """Names of the devices without which a recording does not begin."""
    entries = (*config.chips, *config.infrared)
    return frozenset(device_name(entry) for entry in entries if entry.required)


def _load(path: str) -> Any:
    """Import a class by its name, so that nothing is loaded before it is used."""
    module, name = path.split(":")
    return getattr(importlib.import_module(module), name)
