"""Third-party devices: found by entry points, checked before they record, refused in a sentence."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.unit.plugin_packages import register
from wban_collect.assembly import Simulation, real_parts, simulated_parts
from wban_collect.config import Config, parse_config
from wban_collect.device import BusDevice
from wban_collect.errors import ConfigError
from wban_collect.plugins import installed
from wban_collect.simulation.people import one_activity

MODULE = """
from wban_dataset.recording.streams import StreamSpec

MADE = []


def spec(name, kind="accel", dtype="<i2", shape=(3,), evidence="fifo", rate_hz=50.0):
    return StreamSpec(name, kind, "X1", dtype, shape, "m s-2", rate_hz, evidence)


class Device:
    def __init__(self, name, bus, clock, *, stream, address, placement, rate=50.0, makes=""):
        if rate > 100:
            raise ValueError(f"X1: rate is {rate}; allowed are up to 100")
        MADE.append((name, stream, address, placement, rate))
        self.name = name
        self.streams = {
            "": (spec(stream),),
            "two": (spec(stream), spec(stream + "_gyro", "gyro")),
            "nothing": (),
            "foreign": (spec("mine"),),
            "capital": (spec(stream + "_X"),),
            "magnet": (spec(stream, kind="magnet"),),
            "wide": (spec(stream, dtype="<i4"),),
            "evidence": (spec(stream, evidence="guess"),),
            "rate": (spec(stream, rate_hz=0.0),),
        }[makes]

    def start(self):
        yield None

    def read(self):
        yield None

    def stop(self):
        pass

    def next_due_ns(self):
        return 0

    def deadline_ns(self):
        return 0


class Renamed(Device):
    def __init__(self, name, *more, **options):
        super().__init__("other", *more, **options)


class Half:
    def __init__(self, name, bus, clock, **options):
        self.name = name
        self.start = self.read = self.stop = lambda: None


def broken(name, bus, clock, **options):
    return {}["nothing"]


class Chip:
    unplugged = False

    def __init__(self, world, seed, *, address, clock_error):
        self.address = address
        MADE.append((seed, address, clock_error))

    def write(self, data, end_ns):
        pass

    def read(self, n_bytes, byte_ns, start_ns):
        return bytes(n_bytes)

    def stop_condition(self):
        pass
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: Any) -> Any:
    """Put a package with several drivers on sys.path; gives its module's name."""
    module = "plugin_" + re.sub(r"\W", "_", request.node.name)
    (tmp_path / f"{module}.py").write_text(MODULE)
    drivers = {
        "x1": f"{module}:Device",
        "renamed": f"{module}:Renamed",
        "half": f"{module}:Half",
        "broken": f"{module}:broken",
        "absent": f"{module}:Nobody",
        "no-module": f"{module}_that_is_not_there:Device",
        "chipless": f"{module}:Device",
        "mpu6050": f"{module}:Device",
    }
    chips = dict.fromkeys(drivers.keys() - {"chipless"}, f"{module}:Chip")
    register(tmp_path, "x-ones", {"wban.devices": drivers, "wban.simulated_devices": chips})
    monkeypatch.syspath_prepend(str(tmp_path))
    return module


def config(*lines: str, more: str = "") -> Config:
    return parse_config("\n".join(["[[device]]", "address = 0x1d", *lines, more]), "c")


def assemble(wanted: Config, **options: Any) -> list[BusDevice]:
    world = one_activity("sitting", 1)
    parts = simulated_parts(wanted, Simulation(world, seed=1, start_ns=0, **options))
    return [device for part in parts.buses for device in part.devices]


def test_nothing_is_installed_by_default() -> None:
    assert installed() == []


def test_the_drivers_of_a_package_are_found(package: str) -> None:
    assert installed() == [
        *("absent", "broken", "chipless", "half", "mpu6050", "no-module", "renamed", "x1")
    ]


def test_a_driver_gets_its_names_its_place_and_its_options(package: str) -> None:
    (device,) = assemble(
        config('driver = "x1"', 'name = "leg"', 'placement = "left leg"', "options = { rate = 25 }")
    )
    made = __import__(package).MADE
    assert made[-1] == ("leg_x1", "leg", 0x1D, "left leg", 25)
    assert (device.name, [spec.name for spec in device.streams]) == ("leg_x1", ["leg"])


def test_its_simulated_chip_gets_a_seed_and_a_clock_error_within_two_percent(package: str) -> None:
    assemble(config('driver = "x1"', "bus = 3"))
    seed, address, clock_error = __import__(package).MADE[0]
    assert (seed, address) == (301, 0x1D)  # the simulation's, its bus and its place on it
    assert 0 < abs(clock_error) <= 0.02


def test_a_chip_without_errors_has_none_of_its_clock(package: str) -> None:
    assemble(config('driver = "x1"'), chip_errors=False)
    assert __import__(package).MADE[0][2] == 0.0


def test_a_driver_may_make_several_streams_that_begin_with_its_name(package: str) -> None:
    (device,) = assemble(config('driver = "x1"', 'options = { makes = "two" }'))
    assert [spec.name for spec in device.streams] == ["x1", "x1_gyro"]


def test_a_required_plug_in_is_waited_for_and_another_is_not(package: str) -> None:
    world = one_activity("sitting", 1)
    for required in (True, False):
        wanted = config('driver = "x1"', f"required = {str(required).lower()}")
        parts = simulated_parts(wanted, Simulation(world, seed=1, start_ns=0))
        assert parts.required_devices == (frozenset({"x1"}) if required else frozenset())


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        (['driver = "x1"', "options = { rate = 200 }"], "X1: rate is 200; allowed are up to 100"),
        (['driver = "x1"', "options = { speed = 1 }"], "unexpected keyword argument 'speed'"),
        (['driver = "x1"', 'options = { stream = "a" }'], "options.stream is set by wban"),
        (['driver = "renamed"'], "makes a device 'other'; expected 'renamed', as it was told"),
        (['driver = "half"'], "makes a Half without next_due_ns, deadline_ns, streams; expected"),
        (['driver = "broken"'], "failed with KeyError: 'nothing'; expected a device"),
        (['driver = "absent"'], "cannot be loaded from"),
        (['driver = "no-module"'], "ModuleNotFoundError: No module named"),
        (['driver = "x1"', 'options = { makes = "nothing" }'], "makes no stream; expected at"),
        (['driver = "x1"', 'options = { makes = "foreign" }'], "the stream 'mine'; expected 'x1'"),
        (['driver = "x1"', 'options = { makes = "capital" }'], "expected a name of letters a-z"),
        (
            ['driver = "x1"', 'options = { makes = "magnet" }'],
            "of kind 'magnet'; the session file knows accel, gyro, thermal, infrared",
        ),
        (['driver = "x1"', 'options = { makes = "wide" }'], "of <i4 (3,); expected <i2 (3,)"),
        (['driver = "x1"', 'options = { makes = "evidence" }'], "expected fifo, ready or sensor"),
        (['driver = "x1"', 'options = { makes = "rate" }'], "at 0.0 Hz; expected a rate above 0"),
        (['driver = "chipless"'], "brings no simulated chip; expected one for --simulate"),
    ],
)
def test_a_device_that_cannot_record_is_refused_in_a_sentence(
    package: str, lines: list[str], complaint: str
) -> None:
    with pytest.raises(ConfigError) as error:
        assemble(config(*lines))
    assert complaint in str(error.value)
    assert str(error.value).count("\n") == 0


def test_a_driver_that_nobody_installed_is_refused_with_those_there_are(package: str) -> None:
    with pytest.raises(ConfigError, match="brings the driver 'x2'; installed are absent, broken"):
        assemble(config('driver = "x2"'))


def test_without_any_plug_in_the_sentence_says_so() -> None:
    with pytest.raises(ConfigError, match=r"brings the driver 'x1'; none is installed\. Install"):
        assemble(config('driver = "x1"'))


def test_on_real_buses_it_is_made_and_refused_alike(package: str, tmp_path: Path) -> None:
    parts = real_parts(config('driver = "chipless"', "bus = 7"), tmp_path)
    (part,) = parts.buses
    assert (part.name, [device.name for device in part.devices]) == ("i2c-7", ["chipless"])
    assert parts.required_devices == {"chipless"}
    parts.close()
    with pytest.raises(ConfigError, match="brings the driver 'x2'; installed are"):
        real_parts(config('driver = "x2"'), tmp_path)


def test_two_packages_with_drivers_of_one_name_are_refused(package: str, tmp_path: Path) -> None:
    register(tmp_path, "x-others", {"wban.devices": {"x1": "somewhere:Else"}})
    with pytest.raises(ConfigError, match="'x1' is brought by x-ones and x-others; expected one"):
        assemble(config('driver = "x1"'))


def test_a_stream_that_another_device_makes_too_is_refused(package: str) -> None:
    """The configuration's own check cannot know of a plug-in's further streams."""
    wanted = config(
        'driver = "x1"',
        'name = "leg"',
        'options = { makes = "two" }',
        more='[[motion]]\nname = "leg"',
    )
    with pytest.raises(ConfigError, match="makes the stream 'leg_gyro', which leg_mpu6050 makes"):
        assemble(wanted)


def test_two_devices_of_one_name_are_refused(package: str) -> None:
    """A plug-in may be called like one of wban's own drivers, but not stand beside it so."""
    wanted = config('driver = "mpu6050"', more="[[motion]]")
    with pytest.raises(ConfigError, match="mpu6050: two devices have this name; expected one"):
        assemble(wanted)


def test_a_check_of_the_configuration_needs_no_simulated_chip(package: str) -> None:
    (device,) = assemble(config('driver = "chipless"'), chips_may_lack=True)
    assert device.name == "chipless"


def test_a_replay_leaves_plug_ins_out() -> None:
    from wban_collect.replay import motion_only

    assert motion_only(config('driver = "x1"'), 50.0).device == []
