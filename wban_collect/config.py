"""The recorder's configuration: one TOML file; unknown keys and bad values are refused."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import msgspec
import tomli_w
from msgspec import Meta, Struct

from wban_collect.config_errors import explain
from wban_collect.errors import ConfigError
from wban_collect.schedule import Schedule, parse_session_length
from wban_dataset.recording.activities import PRESETS, known_activity, slug, subject_id
from wban_dataset.recording.wording import check_printable

FRAME_RULE = re.compile(r"every frame|every \d+(\.\d+)? s|on change")
REFRESH_RATES_HZ = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
"""Subpages per second that an MLX90640 can make (data sheet, control register 1)."""

Matrix3 = tuple[tuple[float, float, float], tuple[float, float, float], tuple[float, float, float]]
Matrix2x3 = tuple[tuple[float, float, float], tuple[float, float, float]]
IDENTITY: Matrix3 = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))

DEFAULT_ADDRESSES = {"mpu6050": 0x68, "adxl345": 0x53, "lsm6dsox": 0x6A, "lis3dh": 0x18}
WITH_GYROSCOPE = ("mpu6050", "lsm6dsox")
"""Motion drivers that make a gyroscope's stream as well."""

BusNumber = Annotated[int, Meta(ge=0, le=99)]
Address = Annotated[int, Meta(ge=0x08, le=0x77)]
StreamName = Annotated[str, Meta(pattern=r"^([a-z][a-z0-9_]{0,30})?$")]
PositiveFloat = Annotated[float, Meta(gt=0, le=1e6)]
OptionValue = str | int | float | bool
"""What an option of a plug-in may be."""

PLUGIN_BYTES_PER_SECOND = 600.0
"""What a plug-in is taken to record: as much as an accelerometer at 100 Hz."""


class _Section(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the file."""


class StudyConfig(_Section, frozen=True, kw_only=True):
    """What is recorded, in people's words."""

    activities: str | list[str] = "paper"
    annotator: Annotated[str, Meta(max_length=64)] = ""


class StorageConfig(_Section, frozen=True, kw_only=True):
    """Where sessions go and how they are kept safe."""

    out: str = "recordings"
    commit_interval_s: Annotated[float, Meta(ge=0.05, le=5)] = 0.5
    segment_mb: Annotated[int, Meta(ge=1, le=64)] = 64
    segment_s: Annotated[float, Meta(ge=1, le=60)] = 60.0
    queue_mb: Annotated[int, Meta(ge=1, le=1024)] = 64
    keep_free_mb: Annotated[int, Meta(ge=0)] = 200
    gzip_level: Annotated[int, Meta(ge=0, le=9)] = 1
    when_full: Literal["stop", "remove verified"] = "stop"
    warn_hours: Annotated[float, Meta(ge=0, le=8784)] = 24.0
    backlog_limit: Annotated[int, Meta(ge=1, le=1000)] = 12


class UnattendedConfig(_Section, frozen=True, kw_only=True):
    """Recording by itself, in sessions of one length, from boot on."""

    enabled: bool = False
    subject: str = ""
    activity: str = ""
    session_length: str = "1h"
    schedule: list[str] = []


class ControlConfig(_Section, frozen=True, kw_only=True):
    """How the daemon is spoken to: a socket file always, TCP with keys when it is asked for."""

    socket: str = ""
    tcp: str = ""
    live_socket: str = ""
    live_tcp: str = ""
    keys: str = ""


class AlignmentConfig(_Section, frozen=True, kw_only=True):
    """The common axis of the sealed session."""

    rate_hz: Annotated[float, Meta(gt=0, le=1000)] = 25.0


class MotionConfig(_Section, frozen=True, kw_only=True):
    """One accelerometer, with or without gyroscope."""

    driver: Literal["mpu6050", "adxl345", "lsm6dsox", "lis3dh"] = "mpu6050"
    name: StreamName = ""
    bus: BusNumber = 1
    address: Address | None = None
    sampling_rate_hz: PositiveFloat = 100.0
    accel_range_g: Literal[2, 4, 8, 16] = 8
    gyro_range_dps: Literal[250, 500, 1000, 2000] = 1000
    watermark: Annotated[int, Meta(ge=1, le=31)] | None = None
    interrupt_line: Annotated[int, Meta(ge=0, le=57)] | None = None
    gpio_chip: str = "/dev/gpiochip0"
    placement: Annotated[str, Meta(max_length=64)] = ""
    mounting: Matrix3 = IDENTITY
    required: bool = True


class ThermalConfig(_Section, frozen=True, kw_only=True):
    """One MLX90640."""

    driver: Literal["mlx90640", "mlx90640-adafruit"] = "mlx90640"
    name: StreamName = ""
    bus: BusNumber = 1
    address: Address = 0x33
    refresh_hz: float = 8.0
    adc_bits: Literal[16, 17, 18, 19] = 18
    pattern: Literal["chess", "interleaved"] = "chess"
    emissivity: Annotated[float, Meta(gt=0, le=1)] = 0.95
    placement: Annotated[str, Meta(max_length=64)] = ""
    required: bool = True


class InfraredConfig(_Section, frozen=True, kw_only=True):
    """One NoIR camera."""

    driver: Literal["picamera"] = "picamera"
    name: StreamName = ""
    camera: Annotated[int, Meta(ge=0, le=9)] = 0
    sensor: Literal["imx219", "imx708", "ov5647", "imx477"] = "imx219"
    sensor_size: tuple[int, int] | None = None
    capture_size: tuple[int, int] = (640, 480)
    size: tuple[Annotated[int, Meta(ge=8, le=1920)], Annotated[int, Meta(ge=8, le=1080)]] = (
        160,
        120,
    )
    frame_rate_hz: Annotated[float, Meta(gt=0, le=60)] = 5.0
    rule: str = "every frame"
    change_threshold: Annotated[float, Meta(gt=0, le=255)] = 4.0
    tuning_file: str = ""
    exposure_us: Annotated[int, Meta(ge=1)] | None = None
    gain: PositiveFloat | None = None
    placement: Annotated[str, Meta(max_length=64)] = ""
    thermal_to_infrared: Matrix2x3 | None = None
    required: bool = True


class DeviceConfig(_Section, frozen=True, kw_only=True):
    """One chip whose driver another package brings; see docs/plugins.md."""

    driver: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_-]{0,30}$")]
    name: StreamName = ""
    bus: BusNumber = 1
    address: Address
    placement: Annotated[str, Meta(max_length=64)] = ""
    required: bool = True
    options: dict[str, OptionValue] = {}

    @property
    def stream(self) -> str:
        """Name of the device and of its stream; further streams begin with it and ``_``."""
        return self.name or self.driver.replace("-", "_")


class SimulationConfig(_Section, frozen=True, kw_only=True):
    """How the simulated chips and buses behave (used with --simulate and --replay)."""

    seed: Annotated[int, Meta(ge=0)] = 1
    chip_errors: bool = True
    bus_hz: Annotated[int, Meta(ge=10_000, le=1_000_000)] = 400_000
    bus_effective: Annotated[float, Meta(ge=0.1, le=1)] = 1.0


class Config(_Section, frozen=True, kw_only=True):
    """Everything the recorder can be told."""

    study: StudyConfig = StudyConfig()
    storage: StorageConfig = StorageConfig()
    alignment: AlignmentConfig = AlignmentConfig()
    unattended: UnattendedConfig = UnattendedConfig()
    control: ControlConfig = ControlConfig()
    motion: list[MotionConfig] = []
    thermal: list[ThermalConfig] = []
    infrared: list[InfraredConfig] = []
    device: list[DeviceConfig] = []
    simulation: SimulationConfig = SimulationConfig()

    @property
    def chips(self) -> tuple[MotionConfig | ThermalConfig | DeviceConfig, ...]:
        """Everything on an I2C bus, in the order in which it is written."""
        return (*self.motion, *self.thermal, *self.device)

    def activities(self) -> tuple[str, ...]:
        """Slugs of the activities that may be recorded."""
        names = self.study.activities
        if isinstance(names, str):
            return PRESETS[names]
        return tuple(dict.fromkeys(s for name in names for s in PRESETS.get(name, (slug(name),))))

    def bytes_per_second(self) -> float:
        """Raw bytes that the configured streams make each second; the journal adds about 2 %.

        What a plug-in makes only its driver knows: it counts as `PLUGIN_BYTES_PER_SECOND`.
        """
        motion = sum(
            m.sampling_rate_hz * (12 if m.driver in WITH_GYROSCOPE else 6) for m in self.motion
        )
        thermal = sum(t.refresh_hz * 834 * 2 for t in self.thermal)
        infrared = sum(i.frame_rate_hz * i.size[0] * i.size[1] for i in self.infrared)
        return motion + thermal + infrared + PLUGIN_BYTES_PER_SECOND * len(self.device)


DEFAULT_LOAD = Config(
    motion=[MotionConfig()], thermal=[ThermalConfig()], infrared=[InfraredConfig()]
)
"""One MPU-6050 at 100 Hz, one MLX90640 at 8 subpages/s, one camera 160x120 at 5/s."""

REFERENCE_LOAD = Config(
    motion=[MotionConfig(sampling_rate_hz=400.0)],
    thermal=[ThermalConfig(refresh_hz=16.0)],
    infrared=[InfraredConfig(size=(320, 240), frame_rate_hz=15.0)],
)
"""400 Hz, 16 subpages/s and 320x240 at 15/s: about 1.2 MB/s, for benchmarks."""

LOADS = {"default": DEFAULT_LOAD, "reference": REFERENCE_LOAD}


def parse_config(text: str, origin: str) -> Config:
    """Make a configuration from TOML; with no device in it, the default load's devices.

    Raises
    ------
    ConfigError
        If the text is no TOML, a key is unknown, or a value is not allowed; the sentence names the
        key's path and what is allowed.
    """
    try:
        table: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{origin}: not valid TOML: {error}.") from error
    try:
        config = msgspec.convert(table, Config)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{origin}: {explain(str(error), Config, table)}") from error
    if not (config.motion or config.thermal or config.infrared or config.device):
        config = msgspec.structs.replace(
            config,
            motion=DEFAULT_LOAD.motion,
            thermal=DEFAULT_LOAD.thermal,
            infrared=DEFAULT_LOAD.infrared,
        )
    _check(config, origin)
    return config


def load_config(path: Path) -> Config:
    """Read the configuration from a TOML file; see `parse_config`."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ConfigError(
            f"configuration {path} cannot be read: {reason}; "
            "make one with 'wban-collect config init'."
        ) from error
    return parse_config(text, str(path))


def to_toml(config: Config) -> str:
    """Write the configuration as TOML, every key spelled out but those that have no value."""
    return tomli_w.dumps(_without_none(msgspec.to_builtins(config)))


def stream_names(config: Config) -> list[str]:
    """Names of all streams that the configuration makes, in order; of each plug-in's, the first."""
    names: list[str] = []
    for motion in config.motion:
        names.append(stream_name(motion.name, "accel"))
        if motion.driver in WITH_GYROSCOPE:
            names.append(stream_name(motion.name, "gyro"))
    names += [stream_name(t.name, "thermal") for t in config.thermal]
    names += [stream_name(i.name, "infrared") for i in config.infrared]
    names += [device.stream for device in config.device]
    return names


def i2c_address(entry: MotionConfig | ThermalConfig | DeviceConfig) -> int:
    """Address of a chip: the configured one, or the one that its kind has by default."""
    return entry.address or DEFAULT_ADDRESSES[entry.driver]


def stream_name(device_name: str, kind: str) -> str:
    """Name of a device's stream: ``accel``, or ``wrist_accel`` for a device named ``wrist``."""
    return f"{device_name}_{kind}" if device_name else kind


def _check(config: Config, origin: str) -> None:
    """Refuse what no single key can be blamed for."""
    names = stream_names(config)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(
            f"{origin}: two devices make the stream {twice[0]!r}; "
            "give each device of one kind a 'name' of its own, e.g. name = \"wrist\"."
        )
    for number, thermal in enumerate(config.thermal):
        if thermal.refresh_hz not in REFRESH_RATES_HZ:
            rates = ", ".join(f"{rate:g}" for rate in REFRESH_RATES_HZ)
            raise ConfigError(
                f"{origin}: thermal[{number}].refresh_hz is {thermal.refresh_hz:g}, "
                f"expected one of {rates}."
            )
    for number, infrared in enumerate(config.infrared):
        if not FRAME_RULE.fullmatch(infrared.rule):
            raise ConfigError(
                f"{origin}: infrared[{number}].rule is {infrared.rule!r}, "
                "expected 'every frame', 'every 10 s' or 'on change'."
            )
    addresses = [(chip.bus, i2c_address(chip)) for chip in config.chips]
    for bus, address in addresses:
        if addresses.count((bus, address)) > 1:
            raise ConfigError(
                f"{origin}: two devices share address 0x{address:02x} on bus {bus}; "
                "move one of them to its other address or to another bus."
            )
    study = config.study.activities
    if isinstance(study, str) and study not in PRESETS:
        raise ConfigError(
            f"{origin}: study.activities is {study!r}, expected one of {', '.join(PRESETS)} "
            "or a list of activities."
        )
    try:
        activities = config.activities()
    except ValueError as error:
        raise ConfigError(f"{origin}: study.activities: {error}.") from error
    if not activities:
        raise ConfigError(f"{origin}: study.activities is empty, expected at least one activity.")
    try:
        check_printable(config.study.annotator, "study.annotator")
    except ValueError as error:
        raise ConfigError(f"{origin}: {error}.") from error
    _check_unattended(config.unattended, activities, origin)


def _check_unattended(
    unattended: UnattendedConfig, activities: tuple[str, ...], origin: str
) -> None:
    """Refuse what a recorder that nobody watches could not begin with."""
    checks: dict[str, Callable[[], object]] = {
        "schedule": lambda: Schedule.parse(unattended.schedule),
        "session_length": lambda: parse_session_length(unattended.session_length),
    }
    if unattended.enabled:
        checks["subject"] = lambda: subject_id(unattended.subject)
        checks["activity"] = lambda: known_activity(unattended.activity, activities)
    for key, check in checks.items():
        try:
            check()
        except ValueError as error:
            raise ConfigError(f"{origin}: unattended.{key}: {error}.") from error


def _without_none(value: Any) -> Any:
    """Leave out what has no value: TOML has no null."""
    if isinstance(value, dict):
        items = cast("dict[str, Any]", value).items()
        return {key: _without_none(item) for key, item in items if item is not None}
    if isinstance(value, list | tuple):
        return [_without_none(item) for item in cast("list[Any]", value)]
    return value
