"""The reference load in real time: what is lost, what the threads cost, how late the data is.

An accelerometer at 400 Hz (with gyroscope: MPU-6050; without: ADXL345) and an MLX90640 at 16
subpages/s share one 400 kHz bus; a camera gives 320x240 at 15/s. The real recorder runs its threads
on the machine's clock, above simulated chips, and writes to the disk that holds this folder.

CPU is `thread_time` of each of the collector's threads, start and end included, without what the
simulated chips, bus and camera took in it. Their transfers stand for system calls; what the Python
around a real one costs is measured apart and added.

    python benchmarks/reference_load.py [--seconds 60] [--rounds 1] [--json PATH]
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import msgspec
import numpy as np
from metered_simulation import Hardware, metered
from numpy.typing import NDArray
from report import PI4_SLOWDOWN, RESULTS, report, row
from sleeper import Sleeper
from truth import compare, rms_ms, stamps
from virtual_rig import Collected

from wban_collect.assembly import Simulation, simulated_parts
from wban_collect.config import REFERENCE_LOAD, Config, MotionConfig
from wban_collect.i2c import LinuxI2CBus
from wban_collect.parts import Parts
from wban_collect.plan import Request, make_plan
from wban_collect.recorder import Recorder
from wban_collect.simulation.people import one_activity
from wban_collect.worker import ThreadedRunner
from wban_dataset.recording.streams import SampleBlock, StreamSpec

CASES = {
    "MPU-6050": REFERENCE_LOAD,
    "ADXL345": msgspec.structs.replace(
        REFERENCE_LOAD, motion=[MotionConfig(driver="adxl345", sampling_rate_hz=400.0)]
    ),
}
MOST_CPU_SHARE = 0.10
LATENCY_P99_MS = 20.0


@dataclass
class Timeline:
    """When each block was last read from its device, and when it was written."""

    hardware: Hardware
    collected: Collected = field(default_factory=Collected)
    read_ns: dict[tuple[str, int], int] = field(default_factory=dict[tuple[str, int], int])
    latency_ns: dict[str, list[int]] = field(default_factory=dict[str, list[int]])
    written_ns: dict[str, list[int]] = field(default_factory=dict[str, list[int]])
    opened_ns: int = 0

    def watch(self, recorder: Recorder) -> None:
        """Look on while a recorder stores blocks."""
        put, open_journal = recorder.storage.put, recorder.storage.open

        def noted(item: Any) -> None:
            if isinstance(item, StreamSpec):
                self.collected.specs[item.name] = item
            elif isinstance(item, SampleBlock):
                # A camera's frame is transferred when its callback begins.
                is_frame = self.collected.specs[item.stream].kind == "infrared"
                end_ns = item.read.read_start_ns if is_frame else self.hardware.last_end_ns
                self.read_ns[item.stream, item.first_index] = end_ns
            put(item)

        def opened(*arguments: Any, **named: Any) -> None:
            self.opened_ns = time.monotonic_ns()
            open_journal(*arguments, **named)

        recorder.storage.put = noted
        recorder.storage.open = opened
        recorder.storage.on_write = self._written

    def age_ms(self, stream: str, made_ns: NDArray[np.int64]) -> NDArray[np.float64]:
        """Give the age since capture of each block's newest sample when it was written, (b,)."""
        sizes = [block.n_samples for block in self.collected.blocks[stream]]
        newest_ns = made_ns[np.cumsum(sizes) - 1]
        n = len(self.latency_ns[stream])
        return (np.array(self.written_ns[stream]) - newest_ns)[-n:] / 1e6

    def _written(self, block: SampleBlock, put_ns: int, written_ns: int) -> None:
        self.collected.take(block)
        read_ns = self.read_ns.pop((block.stream, block.first_index))
        if put_ns > self.opened_ns:  # before, blocks wait until every device delivers
            self.latency_ns.setdefault(block.stream, []).append(written_ns - read_ns)
        self.written_ns.setdefault(block.stream, []).append(written_ns)


@dataclass
class Run:
    """What one recording showed; CPU in shares of a core."""

    seconds: float
    cpu: dict[str, float]
    simulation_cpu: float
    unaccounted_cpu: float
    transactions_per_s: float
    n_lost_counted: int
    timeline: Timeline
    load1: float
    sleeper_late_ms: tuple[float, float, float]
    stolen_s: float

    @property
    def total_cpu(self) -> float:
        """All threads of the collector together."""
        return sum(self.cpu.values())

    @property
    def latencies_ms(self) -> NDArray[np.float64]:
        """From the end of each block's last transfer to its write, all streams."""
        every = [np.array(values) for values in self.timeline.latency_ns.values()]
        return np.concatenate(every) / 1e6


def record(config: Config, seconds: float, out: Path) -> Run:
    """Record the load for some seconds of real time."""
    with metered() as hardware:
        parts = simulated_parts(config, Simulation(one_activity("eating", 1), 1))
    timeline = Timeline(hardware)
    recorder = _recorder(parts, config, seconds, out)
    timeline.watch(recorder)
    stolen_before_s = stolen_s()
    with Sleeper() as sleeper:
        began, process, started = time.thread_time_ns(), time.process_time_ns(), time.monotonic()
        recorder.run()
        elapsed_ns = (time.monotonic() - started) * 1e9
        main_ns = time.thread_time_ns() - began
        process_ns = time.process_time_ns() - process
    runner = recorder.runner
    if not isinstance(runner, ThreadedRunner):
        raise TypeError("the parts run in virtual time, expected real time")
    cpu_ns = dict(runner.cpu_ns)
    bus_ns = sum(bus.simulation_thread_time_ns for bus in hardware.buses)
    (bus_thread,) = (part.name for part in parts.buses)
    cpu_ns[bus_thread] -= bus_ns
    cpu_ns["main"] = main_ns
    cpu_ns["camera callback"] = sum(c.callback_thread_time_ns for c in hardware.cameras)
    simulation_ns = bus_ns + sum(c.simulation_thread_time_ns for c in hardware.cameras)
    return Run(
        elapsed_ns / 1e9,
        {name: value / elapsed_ns for name, value in sorted(cpu_ns.items())},
        simulation_ns / elapsed_ns,
        (process_ns - simulation_ns - sum(cpu_ns.values())) / elapsed_ns,
        hardware.n_transactions * 1e9 / elapsed_ns,
        sum(count.n_lost for count in recorder.storage.counts.values()),
        timeline,
        os.getloadavg()[0],
        sleeper.late_ms,
        stolen_s() - stolen_before_s,
    )


def _recorder(parts: Parts, config: Config, seconds: float, out: Path) -> Recorder:
    request = Request("S01", "eating", out, int(seconds * 1e9), simulated=True)
    return Recorder(parts, make_plan(request, config, parts.clock))


def stolen_s() -> float:
    """CPU time since boot that a hypervisor gave to others while this machine had work to do."""
    steal = Path("/proc/stat").read_text("ascii").split(maxsplit=9)[8]
    return int(steal) / os.sysconf("SC_CLK_TCK")


def _no_system_call(*_arguments: object) -> int:
    return 0


def python_per_transfer_us(n_rounds: int = 10, n_transfers: int = 500) -> float:
    """Measure what the Python around a real transfer costs at best, the system call left out."""
    with (
        patch("smbus2.smbus2.ioctl", _no_system_call),
        tempfile.NamedTemporaryFile() as file,
    ):
        bus = LinuxI2CBus(Path(file.name))
        spent_ns: list[int] = []
        for _ in range(n_rounds):
            began = time.thread_time_ns()
            for _ in range(n_transfers):
                bus.write_read(0x33, b"\x04\x00", 128)
            spent_ns.append(time.thread_time_ns() - began)
        bus.close()
    return min(spent_ns) / n_transfers / 1e3


@dataclass(frozen=True)
class StreamFigures:
    """What became of one stream."""

    stream: str
    n_expected: int
    n_recorded: int
    age_ms: NDArray[np.float64]
    stamp_rms_ms: float


def stream_figures(run: Run, stream: str) -> StreamFigures:
    """Hold a stream against the chip's truth: everything from its first to its last sample."""
    collected = run.timeline.collected
    made = stamps(collected, stream)
    spec = collected.specs[stream]
    truth = run.timeline.hardware.truth_ns(spec.kind)
    errors_ns, n_expected = compare(made, truth, in_order=spec.evidence == "fifo")
    age_ms = run.timeline.age_ms(stream, made)
    return StreamFigures(stream, n_expected, len(made), age_ms, rms_ms(errors_ns))


def loss_row(name: str, runs: Sequence[Run]) -> dict[str, Any]:
    """Count what is lost, by the recorder's own count and by the chips' truth."""
    per_run = [[stream_figures(run, s) for s in run.timeline.collected.specs] for run in runs]
    n_lost = [sum(f.n_expected - f.n_recorded for f in figures) for figures in per_run]
    counted = [run.n_lost_counted for run in runs]
    best = per_run[n_lost.index(min(n_lost))]
    rows = ", ".join(f"{f.n_recorded} of {f.n_expected} {f.stream}" for f in best)
    late = ", ".join("{1:.1f} and {2:.0f}".format(*run.sleeper_late_ms) for run in runs)
    stolen = ", ".join(f"{run.stolen_s:.1f}" for run in runs)
    return row(
        f"{name}: rows recorded in {runs[-1].seconds:.0f} s, {_best(runs)}",
        asked="nothing lost",
        measured=f"{rows}; lost in each run: {_listed(n_lost)} (by the recorder's own count "
        f"{_listed(counted)}); meanwhile a hypervisor took {stolen} s of CPU, and a program that "
        f"only slept was woken late by {late} ms (p99 and most)",
        reached=min(n_lost) == 0 and n_lost == counted,
        on_pi4="the bus times are the same; no hypervisor takes the core away",
        n_lost=min(n_lost),
        n_lost_worst=max(n_lost),
        **{f"n_{f.stream}": f.n_recorded for f in best},
    )


def cpu_row(name: str, runs: Sequence[Run], transfer_us: float) -> dict[str, Any]:
    """Sum the collector's threads, and what real transfers would add."""
    run = min(runs, key=lambda run: run.total_cpu)
    bus_share = run.transactions_per_s * transfer_us / 1e6
    total = run.total_cpu + bus_share
    parts = ", ".join(f"{thread} {share:.2%}" for thread, share in run.cpu.items())
    return row(
        f"{name}: CPU of the collector's threads, {_best(runs)}",
        asked=f"< {MOST_CPU_SHARE:.0%} of a core",
        measured=f"{total:.1%}: {parts}, Python around {run.transactions_per_s:.0f} real "
        f"transfers/s {bus_share:.2%} (not counted: simulation {run.simulation_cpu:.1%}, "
        f"threads that only start {run.unaccounted_cpu:.2%}; load {run.load1:.1f})",
        reached=total < MOST_CPU_SHARE,
        on_pi4=f"about {total * PI4_SLOWDOWN:.0%} of one of four cores",
        cpu_share=total,
        simulation_cpu_share=run.simulation_cpu,
        transfer_us=transfer_us,
        load1=run.load1,
        **{f"cpu_share_{thread}": share for thread, share in run.cpu.items()},
    )


def latency_row(name: str, runs: Sequence[Run]) -> dict[str, Any]:
    """Measure the way from the end of a block's last transfer to its write."""
    run = min(runs, key=lambda run: np.percentile(run.latencies_ms, 99))
    p50, p99, most = np.percentile(run.latencies_ms, (50, 99, 100))
    return row(
        f"{name}: from the end of a block's last transfer to its write(), {_best(runs)}",
        asked=f"p99 <= {LATENCY_P99_MS:g} ms",
        measured=f"p50 {p50:.2f}, p99 {p99:.2f}, largest {most:.1f} ms (load {run.load1:.1f})",
        reached=bool(p99 <= LATENCY_P99_MS),
        on_pi4=f"about {p99 * PI4_SLOWDOWN:.0f} ms at p99, and an SD card's fsync behind the queue",
        p50_ms=p50,
        p99_ms=p99,
        max_ms=most,
        load1=run.load1,
    )


def age_rows(name: str, runs: Sequence[Run]) -> list[dict[str, Any]]:
    """State how old each stream's newest sample is when its block is written."""
    run = min(runs, key=lambda run: np.percentile(run.latencies_ms, 99))
    meant = {
        "accel": "since latched",
        "gyro": "since latched",
        "thermal": "since the middle of integration",
        "infrared": "since the middle of exposure",
    }
    rows: list[dict[str, Any]] = []
    for stream, spec in run.timeline.collected.specs.items():
        figures = stream_figures(run, stream)
        p50, p99 = np.percentile(figures.age_ms, (50, 99))
        rows.append(
            row(
                f"{name}: age of {stream} when written, newest sample of a block, "
                f"{meant[spec.kind]}",
                measured=f"p50 {p50:.1f}, p99 {p99:.1f} ms; stamps {figures.stamp_rms_ms:.3f} ms "
                "rms from the chip's truth",
                on_pi4="waiting for bus and sensor is the same; a few ms more",
                p50_ms=p50,
                p99_ms=p99,
                stamp_rms_ms=figures.stamp_rms_ms,
            )
        )
    return rows


def _best(runs: Sequence[Run]) -> str:
    return f"best of {len(runs)} runs" if len(runs) > 1 else "one run"


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(str(number) for number in numbers)


def main() -> int:
    parser = argparse.ArgumentParser(description="The reference load in real time.")
    parser.add_argument("--seconds", type=float, default=60.0, help="length of each recording")
    parser.add_argument("--rounds", type=int, default=1, help="recordings of each load")
    parser.add_argument("--json", type=Path, metavar="PATH", help="where the JSON file goes")
    options = parser.parse_args()
    RESULTS.mkdir(parents=True, exist_ok=True)
    transfer_us = python_per_transfer_us()
    rows: list[dict[str, Any]] = []
    for name, config in CASES.items():
        # Beside the results, since /tmp is often no disk.
        with tempfile.TemporaryDirectory(dir=RESULTS, prefix=".reference-") as out:
            runs = [record(config, options.seconds, Path(out)) for _ in range(options.rounds)]
        rows += [loss_row(name, runs), cpu_row(name, runs, transfer_us), latency_row(name, runs)]
        rows += age_rows(name, runs)
    return 0 if report("reference_load", rows, options.json) else 1


if __name__ == "__main__":
    sys.exit(main())
