"""The LSM6DSOX driver: how it sets the chip up, what it says of it, and its self-test."""

from __future__ import annotations

import math
from typing import Any

import pytest

from tests.contract.driver_rig import DriverRig, RestingWorld
from tests.unit.scripted_lsm6dsox import MS, ScriptedBus, run, started
from wban_collect.clock import VirtualClock
from wban_collect.device import SelfTestResult
from wban_collect.devices import lsm6dsox_registers as reg
from wban_collect.devices.lsm6dsox import Lsm6dsox
from wban_collect.errors import DeviceDataError, DeviceError, DeviceNotFoundError
from wban_collect.simulation.bus import SimulatedI2CBus
from wban_collect.simulation.lsm6dsox import SimulatedLsm6dsox


def test_the_chip_is_reset_set_up_and_settles_before_its_fifo_runs() -> None:
    clock = VirtualClock(1_000 * MS)
    bus = ScriptedBus(clock)
    device = Lsm6dsox("lsm6dsox", bus, clock, accel_range_g=8, gyro_range_dps=1000)
    run(device, clock, device.start())
    assert [(register, value) for register, value, _ in bus.written] == [
        (0x10, 0x00),
        (0x11, 0x00),  # both off, as the reset wants it
        (0x12, 0x05),  # SW_RESET, address goes on by itself
        (0x12, 0x44),  # BDU
        (0x18, 0xE2),  # no I3C
        (0x13, 0x08),  # DRDY_MASK
        (0x14, 0x00),
        (0x15, 0x00),
        (0x16, 0x00),
        (0x17, 0x00),
        (0x0D, 0x00),
        (0x09, 0x44),  # both batched at 104 Hz
        (0x0A, 0x40),  # with every timestamp; bypass
        (0x19, 0x20),  # timestamp on
        (0x10, 0x4C),  # 104 Hz, 8 g
        (0x11, 0x48),  # 104 Hz, 1000 dps
        (0x0A, 0x40),
        (0x0A, 0x46),  # continuous
    ]
    times_ns = [time_ns for _, _, time_ns in bus.written]
    assert times_ns[3] - times_ns[2] >= 50_000
    assert times_ns[17] - times_ns[15] >= 70 * MS  # the gyroscope's turn-on time
    # The trim of the oscillator is read while it runs, what was latched before is forgotten.
    assert bus.reads[-2:] == [(0x63, 1), (0x3A, 2)]


def test_the_streams_say_what_counts_mean() -> None:
    device, _, _ = started(accel_range_g=4, gyro_range_dps=500, placement="ankle")
    accel, gyro = device.streams
    assert (accel.name, accel.kind, accel.units) == ("accel", "accel", "m s-2")
    assert accel.scale_factor == 9.80665 / 8192
    assert (gyro.name, gyro.kind, gyro.units) == ("gyro", "gyro", "rad s-1")
    assert gyro.scale_factor == pytest.approx(math.pi / 180 * 0.0175)
    assert (accel.placement, gyro.placement) == ("ankle", "ankle")
    assert accel.attributes == {
        "range": 4 * 9.80665,
        "clip_counts": 32767,
        "bandwidth_hz": pytest.approx(52.083, abs=0.001),
        "group_delay_ns": 4_800_000,  # half a period
        "watermark": 10,
        "fifo_size": 170,
        "internal_freq_fine": 0,
        "chip_tick_ns": 25_000.0,
    }
    assert gyro.attributes["bandwidth_hz"] == 33.0
    # A second-order low-pass delays by 0.2251 / cut-off.
    assert gyro.attributes["group_delay_ns"] == pytest.approx(6_821_000, abs=1_000)
    assert device.identity.model == "LSM6DSOX"


@pytest.mark.parametrize(("register", "fine"), [(0x0A, 10), (0xEC, -20), (0x00, 0)])
def test_the_rate_is_the_one_that_the_chip_says_it_really_has(register: int, fine: int) -> None:
    clock = VirtualClock(0)
    bus = ScriptedBus(clock)
    bus.registers[0x63] = register
    device = Lsm6dsox("lsm6dsox", bus, clock)
    assert device.streams[0].sampling_rate_hz == pytest.approx(1e9 / 9.6e6)
    run(device, clock, device.start())
    factor = 1 + 0.0015 * fine
    for spec in device.streams:
        assert spec.sampling_rate_hz == pytest.approx(1e9 / 9.6e6 * factor)
        assert spec.attributes["internal_freq_fine"] == fine
        assert spec.attributes["chip_tick_ns"] == pytest.approx(25_000 / factor)


@pytest.mark.parametrize(
    ("asked_hz", "code", "true_hz"),
    [
        (12.5, 1, 13.0208),
        (25, 2, 26.0417),
        (50, 3, 52.0833),
        (52, 3, 52.0833),
        (100, 4, 104.1667),
        (104, 4, 104.1667),
        (200, 5, 208.3333),
        (400, 6, 416.6667),
        (833, 7, 833.3333),
    ],
)
def test_the_nearest_rate_is_taken(asked_hz: float, code: int, true_hz: float) -> None:
    rate = reg.output_rate(asked_hz)
    assert rate.code == code
    assert rate.hz == pytest.approx(true_hz, abs=1e-4)


@pytest.mark.parametrize(
    ("who_am_i", "says"),
    [
        (0x69, "is 0x69, expected 0x6c: that is an LSM6DS3"),
        (0x6B, "that is an ISM330DHCX"),
        (0xFF, "is 0xff, expected 0x6c: another chip"),
    ],
)
def test_another_chip_is_refused_and_not_written_to(who_am_i: int, says: str) -> None:
    clock = VirtualClock(0)
    bus = ScriptedBus(clock, who_am_i)
    device = Lsm6dsox("lsm6dsox", bus, clock)
    with pytest.raises(DeviceNotFoundError, match=says):
        run(device, clock, device.start())
    assert bus.written == []


def test_a_reset_that_does_not_end_is_an_error() -> None:
    clock = VirtualClock(0)
    bus = ScriptedBus(clock)
    bus.resets = False
    device = Lsm6dsox("lsm6dsox", bus, clock)
    with pytest.raises(DeviceError, match=r"still in reset after 1 ms \(CTRL3_C is 0x05\)"):
        run(device, clock, device.start())


def test_an_empty_fifo_of_a_chip_that_lost_its_settings_is_an_error() -> None:
    device, bus, clock = started()
    bus.registers[0x09:0x0B] = bytes(2)
    with pytest.raises(DeviceDataError, match="FIFO_CTRL3 and 4 read 00 00, expected 44 46"):
        run(device, clock, device.read())


def test_a_chip_that_was_without_power_for_a_moment_is_noticed_at_the_next_read() -> None:
    clock = VirtualClock(0)
    chip = SimulatedLsm6dsox(RestingWorld(), 1)
    device = Lsm6dsox("lsm6dsox", SimulatedI2CBus(clock, [chip]), clock)
    run(device, clock, device.start())
    clock.sleep_until_ns(device.next_due_ns())
    assert len(run(device, clock, device.read())) == 2
    chip.power_cycle(clock.monotonic_ns())
    clock.sleep_until_ns(device.next_due_ns())
    with pytest.raises(DeviceDataError, match="lost its settings"):
        run(device, clock, device.read())
    run(device, clock, device.start())
    clock.sleep_until_ns(device.next_due_ns())
    gap, _, accel, _ = run(device, clock, device.read())
    assert (gap.cause, gap.exact, accel.segment) == ("device restarted", False, 1)


def test_a_chip_that_stopped_sampling_is_an_error() -> None:
    device, _, clock = started()
    clock.sleep_until_ns(clock.monotonic_ns() + 800 * MS)
    with pytest.raises(DeviceError, match=r"no new sample for 0\.8 s"):
        run(device, clock, device.read())


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"sampling_rate_hz": 150.0}, r"104\.167\. Allowed, to 5 %: 12\.5, 26, 52, 104, 208, 416"),
        ({"sampling_rate_hz": 1000.0}, r"the nearest rate that the chip makes is 833\.333"),
        ({"sampling_rate_hz": 1.0}, r"the nearest rate that the chip makes is 13\.0208"),
        ({"sampling_rate_hz": -1.0}, r"the nearest rate that the chip makes is 13\.0208"),
        ({"accel_range_g": 6}, "allowed are 2, 4, 8 and 16"),
        ({"gyro_range_dps": 300}, "allowed are 250, 500, 1000 and 2000"),
        ({"watermark": 32}, "allowed are 1 to 31"),
        ({"address": 0x68}, "the chip has 0x6a or 0x6b"),
    ],
)
def test_a_setting_the_chip_has_not_is_refused_with_what_is_allowed(
    options: dict[str, Any], says: str
) -> None:
    clock = VirtualClock(0)
    with pytest.raises(ValueError, match=says):
        Lsm6dsox("lsm6dsox", ScriptedBus(clock), clock, **options)


def test_making_a_device_does_not_touch_the_bus() -> None:
    clock = VirtualClock(0)
    bus = ScriptedBus(clock)
    Lsm6dsox("lsm6dsox", bus, clock)
    assert (bus.reads, bus.written) == ([], [])


def test_a_chip_at_rest_draws_little() -> None:
    device, bus, _ = started()
    device.stop()
    assert [(r, v) for r, v, _ in bus.written] == [(0x10, 0x00), (0x11, 0x00)]


def self_tested(*, works: bool) -> tuple[list[SelfTestResult], SimulatedI2CBus]:
    clock = VirtualClock(0)
    chip = SimulatedLsm6dsox(RestingWorld(), 1, self_test_works=works)
    bus = SimulatedI2CBus(clock, [chip])
    return DriverRig(Lsm6dsox("lsm6dsox", bus, clock), chip, bus, clock).self_test(), bus


def test_a_sound_chip_passes_its_self_test_and_is_in_standby_afterwards() -> None:
    results, bus = self_tested(works=True)
    assert [(r.axis, r.units, r.lowest, r.highest) for r in results] == [
        *((f"accel {axis}", "mg", 50, 1700) for axis in "xyz"),
        *((f"gyro {axis}", "deg/s", 150, 700) for axis in "xyz"),
    ]
    assert all(result.passed for result in results)
    # The simulated chip moves by 620, 580 and 710 mg, and 0.18, 0.21 and 0.17 of 2000 dps.
    changes = [result.change for result in results]
    assert changes == pytest.approx([620, 580, 710, 360, 420, 340], rel=0.02)
    assert bus.write_read(0x6A, b"\x10", 2) == bytes(2)
    assert bus.write_read(0x6A, b"\x14", 1) == bytes(1)


def test_a_broken_chip_fails_its_self_test_on_every_axis() -> None:
    results, _ = self_tested(works=False)
    assert [result.passed for result in results] == [False] * 6
