"""The simulated I2C bus: transfer times, the controller's rules, faults; and the chips' clocks."""

from __future__ import annotations

import numpy as np
import pytest

from wban_collect.clock import VirtualClock
from wban_collect.errors import BusError
from wban_collect.simulation.bus import BusFaults, SimulatedI2CBus
from wban_collect.simulation.chip import ChipNack, PluggableChip
from wban_collect.simulation.chip_clock import ChipClock
from wban_collect.simulation.edges import SimulatedEdges


class NotingChip:
    """Acknowledges everything and notes what it is asked for, and when."""

    def __init__(self, address: int = 0x20) -> None:
        self.address = address
        self.unplugged = False
        self.calls: list[tuple[object, ...]] = []

    def write(self, data: bytes, end_ns: int) -> None:
        if self.unplugged:
            raise ChipNack
        self.calls.append(("write", data, end_ns))

    def read(self, n_bytes: int, byte_ns: float, start_ns: int) -> bytes:
        if self.unplugged:
            raise ChipNack
        self.calls.append(("read", n_bytes, byte_ns, start_ns))
        return bytes(n_bytes)

    def stop_condition(self) -> None:
        self.calls.append(("stop",))

    def power_cycle(self, now_ns: int) -> None:
        self.calls.append(("power", now_ns))


def make_bus(chip: NotingChip, **options: object) -> tuple[SimulatedI2CBus, VirtualClock]:
    clock = VirtualClock(1_000_000)
    options.setdefault("overhead_ns", 0)
    return SimulatedI2CBus(clock, [chip], **options), clock  # type: ignore[arg-type]


def failure_of(bus: SimulatedI2CBus, address: int = 0x20) -> int:
    with pytest.raises(BusError) as caught:
        bus.write_read(address, b"\x00", 1)
    return caught.value.errno


def test_register_read_takes_its_bits_on_the_wire():
    chip = NotingChip()
    bus, clock = make_bus(chip)
    bus.write_read(0x20, b"\x32", 6)
    # start, address, register; repeated start, address, 6 bytes; stop: 3 + 9 * 9 bits of 2.5 us
    assert clock.monotonic_ns() == 1_000_000 + 84 * 2_500
    assert chip.calls == [
        ("write", b"\x32", 1_000_000 + 19 * 2_500),
        ("read", 6, 22_500.0, 1_000_000 + 20 * 2_500),
        ("stop",),
    ]


def test_thermal_ram_read_takes_37_ms_at_400_khz():
    bus, clock = make_bus(NotingChip())
    bus.write_read(0x20, b"\x04\x00", 1664)
    # 4 bytes before the data: 1668 * 9 + 3 bits of 2.5 us
    assert clock.monotonic_ns() - 1_000_000 == 37_537_500


@pytest.mark.parametrize("effective", [0.0, -1.0, 1.2])
def test_effective_rate_must_be_a_fraction(effective: float):
    with pytest.raises(ValueError, match="effective"):
        make_bus(NotingChip(), effective=effective)


def test_overhead_lies_half_before_and_half_after_the_wire():
    chip = NotingChip()
    bus, clock = make_bus(chip, overhead_ns=100_000)
    bus.write(0x20, b"\x2d\x08")
    assert clock.monotonic_ns() == 1_000_000 + 100_000 + 29 * 2_500
    assert chip.calls[0] == ("write", b"\x2d\x08", 1_000_000 + 50_000 + 28 * 2_500)


def test_effective_rate_may_change_between_transfers():
    chip = NotingChip()

    def effective(now_ns: int) -> float:
        return 1.0 if now_ns == 1_000_000 else 0.4

    bus, clock = make_bus(chip, effective=effective)
    bus.write(0x20, b"\x00")
    assert clock.monotonic_ns() == 1_000_000 + 20 * 2_500
    bus.write(0x20, b"\x00")
    assert clock.monotonic_ns() == 1_000_000 + 20 * 2_500 + 20 * 6_250


def test_absent_chip_gives_121_after_its_address():
    bus, clock = make_bus(NotingChip())
    assert failure_of(bus, 0x21) == 121
    assert clock.monotonic_ns() == 1_000_000 + 11 * 2_500  # start, 9 bits, stop


def test_chip_that_refuses_gives_121():
    chip = NotingChip()
    chip.unplugged = True
    bus, _ = make_bus(chip)
    assert failure_of(bus) == 121


@pytest.mark.parametrize(
    "messages",
    [((0x20, 6), (0x20, 6)), ((0x20, 6), (0x20, b"\x00"))],
    ids=["two reads", "read first"],
)
def test_read_that_is_not_the_only_one_and_last_gives_95(
    messages: tuple[tuple[int, bytes | int], ...],
):
    chip = NotingChip()
    bus, _ = make_bus(chip)
    with pytest.raises(BusError) as caught:
        bus.transfer(messages)
    assert caught.value.errno == 95
    assert chip.calls == []


def test_messages_are_limited_to_8192_bytes():
    bus, _ = make_bus(NotingChip())
    assert len(bus.write_read(0x20, b"\x00", 8192)) == 8192
    with pytest.raises(BusError) as caught:
        bus.write_read(0x20, b"\x00", 8193)
    assert caught.value.errno == 22


def test_stuck_bus_costs_a_second_and_gives_110():
    bus, clock = make_bus(NotingChip(), faults=BusFaults(stuck_spans_ns=((0, 500_000_000),)))
    assert failure_of(bus) == 110
    assert clock.monotonic_ns() == 1_000_000 + 1_000_000_000
    assert bus.write_read(0x20, b"\x00", 2) == b"\x00\x00"  # free again


def test_broken_off_transfer_gives_5():
    bus, _ = make_bus(NotingChip(), faults=BusFaults(clock_timeout_probability=1.0))
    assert failure_of(bus) == 5


def outcomes(seed: int) -> list[int]:
    bus, _ = make_bus(NotingChip(), seed=seed, faults=BusFaults(nack_probability=0.1))
    results: list[int] = []
    for _ in range(1000):
        try:
            bus.write(0x20, b"\x00")
        except BusError as error:
            results.append(error.errno)
        else:
            results.append(0)
    return results


def test_random_nacks_come_as_often_as_asked_and_again_with_the_same_seed():
    assert 70 <= outcomes(seed=5).count(121) <= 130  # 100 +- 3 sigma
    assert outcomes(seed=5) == outcomes(seed=5)
    assert outcomes(seed=5) != outcomes(seed=6)


def test_garbage_replaces_the_share_of_bytes_asked_for():
    bus, _ = make_bus(NotingChip(), faults=BusFaults(garbage_probability=0.05))
    received = b"".join(bus.write_read(0x20, b"\x00", 1000) for _ in range(10))
    # 500 of 10,000 replaced, one in 256 of them by the zero that was there
    assert 430 <= len(received) - received.count(0) <= 570


def test_chip_pulled_off_the_bus_comes_back_after_a_power_cycle():
    chip = NotingChip()
    assert isinstance(chip, PluggableChip)
    faults = BusFaults(unplugged_spans_ns={0x20: ((1_000_000, 3_000_000),)})
    bus, clock = make_bus(chip, faults=faults)
    bus.write(0x20, b"\x00")
    clock.sleep_until_ns(2_500_000)
    assert failure_of(bus) == 121
    clock.sleep_until_ns(5_000_000)
    bus.write(0x20, b"\x00")
    assert ("power", 4_000_000) in chip.calls  # 3 ms after the bus was made at 1 ms


def test_unplugging_a_chip_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match="0x21"):
        make_bus(NotingChip(), faults=BusFaults(unplugged_spans_ns={0x21: ((0, 1),)}))


def test_closed_bus_fails_until_it_is_reopened():
    bus, _ = make_bus(NotingChip())
    bus.close()
    assert failure_of(bus) == 9
    bus.reopen()
    bus.write(0x20, b"\x00")


def test_time_spent_in_chips_is_accounted():
    bus, _ = make_bus(NotingChip())
    bus.write(0x20, b"\x00")
    assert bus.simulation_thread_time_ns > 0
    assert bus.n_transactions == 1


def test_exact_clock_samples_on_the_rounded_grid():
    clock = ChipClock(1_000, 3.0)  # period 333333333.33 ns
    assert clock.instants_ns(0, 4).tolist() == [1_000, 333_334_333, 666_667_667, 1_000_001_000]


def test_fast_clock_has_shorter_periods():
    clock = ChipClock(0, 100.0, 0.25)
    assert clock.instants_ns(0, 3).tolist() == [0, 8_000_000, 16_000_000]


def test_count_includes_the_instant_itself():
    clock = ChipClock(500, 100.0)
    assert [clock.n_until(t) for t in (499, 500, 10_000_499, 10_000_500)] == [0, 1, 1, 2]


@pytest.mark.parametrize("drift_ppm", [0.0, 200.0, 50_000.0])
def test_count_and_instants_agree_wherever_time_jumps(drift_ppm: float):
    clock = ChipClock(7, 400.0, 0.03, drift_ppm=drift_ppm, drift_period_s=60.0)
    for index in (0, 1, 255, 256, 257, 3, 40_000, 1_000_000, 39_999, 5_000_000):
        instant_ns = clock.instant_ns(index)
        assert instant_ns == clock.instants_ns(index, 1)[0]
        assert clock.n_until(instant_ns) == index + 1
        assert clock.n_until(instant_ns - 1) == index


def test_drift_swings_the_rate_by_what_it_says_and_never_goes_back():
    clock = ChipClock(0, 1000.0, drift_ppm=300.0, drift_period_s=10.0)
    steps = np.diff(clock.instants_ns(0, 10_001))
    assert steps.min() == 1_000_000 - 300
    assert steps.max() == 1_000_000 + 300
    assert clock.instant_ns(10_000) == 10_000_000_000  # one whole swing later


class Quiet:
    """A chip that tells no edges by itself."""

    def advance(self, now_ns: int) -> None:
        """Do nothing."""


def edges_of_every_10_ms(**options: float) -> list[int]:
    clock = VirtualClock(0)
    edges = SimulatedEdges(clock, Quiet(), seed=3, **options)  # type: ignore[arg-type]
    for index in range(2000):
        edges.rise(index * 10_000_000)
    clock.sleep_until_ns(30_000_000_000)
    return edges.edges_ns()


def test_edge_latency_is_one_sided_with_rare_outliers():
    latency_ns = np.array(edges_of_every_10_ms()) - np.arange(2000) * 10_000_000
    assert latency_ns.min() >= 20_000
    assert 30_000 < np.median(latency_ns) < 40_000  # 20 us + 20 us * ln 2 = 33.9 us
    assert 20 <= (latency_ns > 1_000_000).sum() <= 60  # 2 % of 2000 is 40
    assert latency_ns.max() < 4_500_000


def test_edges_are_seen_once_and_not_before_their_stamp():
    clock = VirtualClock(0)
    edges = SimulatedEdges(clock, Quiet(), mean_extra_ns=0, outlier_probability=0.0)
    edges.rise(0)
    assert edges.edges_ns() == []
    clock.sleep_until_ns(20_000)
    assert edges.edges_ns() == [20_000]
    assert edges.edges_ns() == []
    edges.close()
    edges.rise(30_000)
    clock.sleep_until_ns(1_000_000)
    assert edges.edges_ns() == []
