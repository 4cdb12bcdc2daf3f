"""Whether one 400 kHz bus shared by accelerometer and thermal camera loses anything.

Ten virtual minutes each: the reference load's chips at the full bus speed, and the default load's
at the 160 kHz that a Pi 4 with an idling core clock makes of a nominal 400.
"""

from __future__ import annotations

from typing import Any

from report import json_path_argument, report, row
from truth import compare, stamps
from virtual_rig import START_NS, run_bus, wearer

from wban_collect.clock import VirtualClock
from wban_collect.devices.adxl345 import Adxl345
from wban_collect.devices.mlx90640 import Mlx90640
from wban_collect.simulation.adxl345 import SimulatedAdxl345
from wban_collect.simulation.bus import SimulatedI2CBus
from wban_collect.simulation.mlx90640 import SimulatedMlx90640

DURATION_S = 600.0


def measure(rate_hz: float, refresh_hz: float, effective: float) -> dict[str, Any]:
    clock = VirtualClock(START_NS)
    motion = SimulatedAdxl345(wearer(), 1, clock_error=0.02, keep_truth=True)
    heat = SimulatedMlx90640(wearer(), 2, clock_error=0.01, power_on_ns=START_NS)
    bus = SimulatedI2CBus(clock, [motion, heat], effective=effective)
    devices = [
        Adxl345("adxl345", bus, clock, sampling_rate_hz=rate_hz),
        Mlx90640("mlx90640", bus, clock, refresh_hz=refresh_hz),
    ]
    collected = run_bus(bus, devices, clock, DURATION_S)
    n_made = {
        "accel": compare(stamps(collected, "accel"), motion.read_instants_ns(), in_order=True)[1],
        "thermal": compare(stamps(collected, "thermal"), heat.subpage_middles_ns, in_order=False)[
            1
        ],
    }
    n_recorded = {name: collected.n_rows(name) for name in n_made}
    n_lost = sum(n_made.values()) - sum(n_recorded.values())
    return row(
        f"{rate_hz:g} Hz and {refresh_hz:g} subpages/s at {400 * effective:g} kHz",
        asked="nothing lost",
        measured=f"{n_recorded['accel']} of {n_made['accel']} samples, {n_recorded['thermal']} of "
        f"{n_made['thermal']} subpages; counted as lost {collected.n_lost}",
        reached=n_lost == collected.n_lost == 0
        and n_recorded["accel"] > 0.99 * rate_hz * DURATION_S
        and n_recorded["thermal"] > 0.99 * refresh_hz * DURATION_S,
        on_pi4="the same bus times; about 0.15 ms more for each transaction",
        n_lost=n_lost,
        n_samples=n_recorded["accel"],
        n_subpages=n_recorded["thermal"],
    )


def main() -> int:
    json_path = json_path_argument(__doc__)
    rows = [measure(400.0, 16.0, 1.0), measure(100.0, 8.0, 0.4)]
    return 0 if report("shared_bus", rows, json_path) else 1


if __name__ == "__main__":
    raise SystemExit(main())
