"""What both MLX90640 back ends promise, above a simulated chip on a simulated bus."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.contract.driver_rig import SECOND, DriverRig
from wban_collect.clock import VirtualClock
from wban_collect.devices.mlx90640 import Mlx90640
from wban_collect.devices.mlx90640_adafruit import AdafruitMlx90640, load_library
from wban_collect.errors import BusError, DeviceDataError, DeviceError, DeviceNotFoundError
from wban_collect.simulation.bus import BusFaults, SimulatedI2CBus
from wban_collect.simulation.mlx90640 import SimulatedMlx90640
from wban_collect.simulation.mlx90640_eeprom import synthesise
from wban_dataset.recording.evidence import Evidence
from wban_dataset.recording.streams import Gap, SampleBlock
from wban_dataset.recording.thermal import Calibration
from wban_dataset.recording.timebase import StampInputs, stamp

START_NS = 1_000 * SECOND
PERIOD_NS = 125_000_000
IDLE_CORE = 0.4
"""Share of 400 kHz that a Pi 4 really gives while its core idles: 160 kHz."""


class Room:
    """A room that is warmer to one side and one corner."""

    scene_c = 20.0 + np.add.outer(0.3 * np.arange(24), 0.4 * np.arange(32))

    def temperature(self, time_ns: int) -> NDArray[np.float64]:
        return self.scene_c


class Rig(DriverRig):
    """The rig of a thermal camera."""

    def blocks(self, stream: str = "thermal") -> list[SampleBlock]:
        return super().blocks(stream)

    def gaps(self, stream: str = "thermal") -> list[Gap]:
        return super().gaps(stream)

    def raw(self) -> NDArray[np.uint16]:
        return self.counts("thermal")

    def ready_ns(self) -> NDArray[np.int64]:
        """True instants at which the delivered subpages were ready: the last that ended in time."""
        ends_ns = self.chip.subpage_ends_ns
        by_ns = [block.read.read_end_ns for block in self.blocks()]
        return ends_ns[np.searchsorted(ends_ns, by_ns, side="right") - 1]


MakeRig = Callable[..., Rig]


def rig_of(driver: type[Mlx90640], chip_options: dict[str, Any], **options: Any) -> Rig:
    clock = VirtualClock(START_NS)
    chip = SimulatedMlx90640(Room(), 1, **{"warm_up": False, "noise": False, **chip_options})
    bus_names = ("nominal_hz", "effective", "faults")
    bus_options = {name: options.pop(name) for name in bus_names if name in options}
    bus = SimulatedI2CBus(clock, [chip], **bus_options)
    return Rig(driver("mlx90640", bus, clock, **options), chip, bus, clock)


def native_rig(*, chip: dict[str, Any] | None = None, **options: Any) -> Rig:
    return rig_of(Mlx90640, chip or {}, **options)


def adafruit_rig(*, chip: dict[str, Any] | None = None, **options: Any) -> Rig:
    try:
        load_library()
    except ImportError:
        pytest.skip("adafruit-circuitpython-mlx90640 is not installed")
    return rig_of(AdafruitMlx90640, chip or {}, **options)


every_driver = pytest.mark.parametrize("make_rig", [native_rig, adafruit_rig])


@every_driver
def test_constructing_does_not_touch_the_bus(make_rig: MakeRig) -> None:
    assert make_rig().bus.n_transactions == 0


@every_driver
def test_streams_describe_themselves(make_rig: MakeRig) -> None:
    rig = make_rig(stream="chest_thermal", placement="chest", emissivity=0.98)
    rig.start()
    (spec,) = rig.device.streams
    assert (spec.name, spec.kind, spec.dtype) == ("chest_thermal", "thermal", "<u2")
    assert spec.sample_shape == (834,)
    assert (spec.units, spec.sampling_rate_hz, spec.evidence) == ("degC", 8.0, "ready")
    assert spec.placement == "chest"
    np.testing.assert_array_equal(spec.calibration["eeprom"], rig.chip.eeprom)
    serial = Calibration.from_eeprom(rig.chip.eeprom).device_id
    attributes = dict(spec.attributes)
    assert START_NS <= attributes.pop("power_up_ns") < START_NS + SECOND
    assert attributes == {
        "emissivity": 0.98,
        "reflected_offset_c": 8.0,
        "refresh_hz": 8.0,
        "pattern": "chess",
        "adc_bits": 18,
        "serial": serial,
    }
    assert rig.device.identity.serial == serial


@every_driver
@pytest.mark.parametrize("clock_error", [-0.02, 0.0, 0.02])
@pytest.mark.parametrize(("effective", "refresh_hz"), [(IDLE_CORE, 8.0), (1.0, 16.0)])
def test_every_subpage_is_delivered(
    make_rig: MakeRig, clock_error: float, effective: float, refresh_hz: float
) -> None:
    rig = make_rig(effective=effective, refresh_hz=refresh_hz, chip={"clock_error": clock_error})
    rig.start()
    rig.record(12.0)
    assert rig.gaps() == []
    ready_ns = rig.ready_ns()
    first = int(np.searchsorted(rig.chip.subpage_ends_ns, ready_ns[0]))
    np.testing.assert_array_equal(ready_ns, rig.chip.subpage_ends_ns[first : first + len(ready_ns)])
    assert len(ready_ns) > 10 * refresh_hz
    blocks = rig.blocks()
    assert [block.first_index for block in blocks] == list(range(len(blocks)))
    assert {block.segment for block in blocks} == {0}
    subpages = [int(block.columns["subpage"][0]) for block in blocks]
    assert subpages == [(subpages[0] + i) % 2 for i in range(len(blocks))]
    np.testing.assert_array_equal(rig.raw()[:, 833], subpages)


@every_driver
def test_evidence_brackets_the_instant_at_which_a_subpage_was_ready(make_rig: MakeRig) -> None:
    rig = make_rig(chip={"clock_error": 0.013})
    rig.start()
    rig.record(30.0)
    for block, ready_ns in zip(rig.blocks(), rig.ready_ns(), strict=True):
        assert 0 < block.read.read_start_ns < ready_ns <= block.read.read_end_ns


@every_driver
@pytest.mark.parametrize("clock_error", [-0.03, 0.0, 0.03])
def test_stamps_fitted_from_the_evidence_are_true(make_rig: MakeRig, clock_error: float) -> None:
    rig = make_rig(chip={"clock_error": clock_error})
    rig.start()
    rig.record(60.0)
    blocks = rig.blocks()
    evidence = Evidence.from_reads(
        "ready",
        PERIOD_NS,
        0,
        first_index=[block.first_index for block in blocks],
        n=[block.n_samples for block in blocks],
        segment=[block.segment for block in blocks],
        reads=[block.read for block in blocks],
    )
    stamps_ns, _ = stamp(StampInputs("thermal", evidence))
    ends_ns = rig.chip.subpage_ends_ns
    middles_ns = rig.chip.subpage_middles_ns[np.searchsorted(ends_ns, rig.ready_ns())]
    assert np.sqrt(np.mean(((stamps_ns - middles_ns) / 1e6) ** 2)) <= 1.0


@every_driver
@pytest.mark.parametrize("pattern", ["chess", "interleaved"])
@pytest.mark.parametrize("adc_bits", [16, 19])
def test_what_is_delivered_decodes_to_the_scene(
    make_rig: MakeRig, pattern: str, adc_bits: int
) -> None:
    rig = make_rig(pattern=pattern, adc_bits=adc_bits)
    rig.start()
    rig.record(3.0)
    calibration = Calibration.from_eeprom(rig.device.streams[0].calibration["eeprom"])
    # The simulated surroundings are at 24 degC, eight degrees below the sensor.
    images = calibration.temperatures(rig.raw(), emissivity=0.95, fill=False)
    assert np.isfinite(images[1:]).all()
    good = ~calibration.bad_pixels
    # One count of the converter is worth up to 0.2 K in the corners.
    np.testing.assert_allclose(images[-1][good], Room.scene_c[good], atol=0.4)
    assert abs(np.mean((images[-1] - Room.scene_c)[good])) < 0.05


@every_driver
def test_nothing_but_registers_is_written(make_rig: MakeRig) -> None:
    rig = make_rig(chip={"eeprom_writable": True})
    before = rig.chip.eeprom
    rig.start()
    rig.record(3.0)
    rig.device.stop()
    assert rig.chip.n_eeprom_writes == 0
    np.testing.assert_array_equal(rig.chip.eeprom, before)


def test_the_native_driver_lets_others_go_first_every_3_ms() -> None:
    rig = native_rig()
    rig.start()
    rig.record(5.0)
    assert rig.longest_hold_ns < 4_000_000


def test_adafruits_library_holds_the_bus_for_one_whole_ram() -> None:
    rig = adafruit_rig()
    rig.start()
    rig.longest_hold_ns = 0
    rig.record(5.0)
    assert 37_000_000 < rig.longest_hold_ns < 41_000_000


@every_driver
def test_invalid_frames_become_one_gap(make_rig: MakeRig) -> None:
    rig = make_rig()
    rig.start()
    rig.record(3.0)
    rig.chip.invalidate(2)
    rig.record(2.0)
    (gap,) = rig.gaps()
    assert (gap.cause, gap.n_missing) == ("invalid data", 2)
    assert rig.blocks()[-1].segment == 1
    assert np.isfinite(Calibration.from_eeprom(rig.chip.eeprom).ambient_c(rig.raw())).all()


@every_driver
@pytest.mark.parametrize("n_missed", [1, 4])
def test_subpages_nobody_fetched_become_a_missed_gap(make_rig: MakeRig, n_missed: int) -> None:
    rig = make_rig()
    rig.start()
    rig.record(3.0)
    last_ns = int(rig.ready_ns()[-1])
    rig.clock.sleep_until_ns(last_ns + (n_missed + 1) * PERIOD_NS + 10_000_000)
    rig.record(2.0)
    (gap,) = rig.gaps()
    assert (gap.cause, gap.n_missing) == ("missed", n_missed)
    assert abs(gap.start_ns - last_ns) < 6_000_000
    n_before = sum(block.segment == 0 for block in rig.blocks())
    assert abs(gap.stop_ns - rig.ready_ns()[n_before]) < 12_000_000


@every_driver
def test_a_power_cycle_costs_a_gap_and_the_settings_come_back(make_rig: MakeRig) -> None:
    rig = make_rig()
    rig.start()
    rig.record(3.0)
    n_before = len(rig.blocks())
    rig.chip.power_cycle(rig.clock.monotonic_ns())
    rig.record(5.0)
    (gap,) = rig.gaps()
    assert gap.cause == "device restarted"
    assert len(rig.blocks()) > n_before + 20
    assert set(rig.raw()[:, 832].tolist()) == {0x1A01}
    assert rig.blocks()[n_before].segment == 1
    assert rig.device.streams[0].attributes["power_up_ns"] > gap.start_ns


@every_driver
def test_a_chip_pulled_and_put_back_is_set_up_anew(make_rig: MakeRig) -> None:
    pulled = (4 * SECOND, 6 * SECOND)
    rig = make_rig(faults=BusFaults(unplugged_spans_ns={0x33: (pulled,)}))
    rig.start()
    with pytest.raises(BusError):
        rig.record(10.0)
    with pytest.raises(DeviceNotFoundError, match="nobody answers"):
        rig.start()
    rig.clock.sleep_until_ns(START_NS + 7 * SECOND)
    rig.start()
    rig.record(4.0)
    (gap,) = rig.gaps()
    assert gap.cause == "device missing"  # by which sealing knows that it has to warm up anew
    assert set(rig.raw()[:, 832].tolist()) == {0x1A01}
    blocks = rig.blocks()
    assert [block.first_index for block in blocks] == list(range(len(blocks)))
    assert [block.segment for block in blocks] == sorted(block.segment for block in blocks)
    assert blocks[-1].segment == 1


@every_driver
def test_another_chip_at_the_address_is_not_taken_for_one(make_rig: MakeRig) -> None:
    silent = make_rig(address=0x32)
    with pytest.raises(DeviceNotFoundError, match=r"0x32: nobody answers.*i2cdetect"):
        silent.start()
    mlx90641 = synthesise(3)
    mlx90641[10] |= 0x0040
    with pytest.raises(DeviceNotFoundError, match="MLX90641"):
        make_rig(chip={"eeprom": mlx90641}).start()


@every_driver
def test_an_eeprom_read_too_fast_is_found_out(make_rig: MakeRig, tmp_path) -> None:
    rig = make_rig(eeprom_folder=tmp_path)
    rig.start()
    fast = make_rig(
        eeprom_folder=tmp_path, nominal_hz=1_000_000, chip={"eeprom_bit_error_rate": 1e-3}
    )
    with pytest.raises(DeviceDataError, match=r"EEPROM words differ from the copy"):
        fast.start()


@every_driver
def test_a_bad_bus_costs_segments_but_never_order_or_a_wrong_frame(make_rig: MakeRig) -> None:
    faults = BusFaults(nack_probability=0.002, clock_timeout_probability=0.001)
    rig = make_rig(faults=faults)
    end_ns, n_failures = START_NS + 60 * SECOND, 0
    while rig.clock.monotonic_ns() < end_ns:
        try:
            rig.start()
            rig.record((end_ns - rig.clock.monotonic_ns()) / SECOND)
        except (BusError, DeviceError):
            n_failures += 1
    assert n_failures > 2
    blocks = rig.blocks()
    assert [block.first_index for block in blocks] == list(range(len(blocks)))
    assert [block.segment for block in blocks] == sorted(block.segment for block in blocks)
    for before, after in pairwise(blocks):
        if before.segment == after.segment:
            assert before.columns["subpage"][0] != after.columns["subpage"][0]
    for gap in rig.gaps():
        assert gap.start_ns < gap.stop_ns
        assert gap.n_missing >= 0
    for block, ready_ns in zip(blocks, rig.ready_ns(), strict=True):
        assert block.read.read_start_ns < ready_ns <= block.read.read_end_ns
