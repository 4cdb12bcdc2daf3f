"""Temperatures of MLX90640 subpages, against the calculation of Adafruit's driver.

Both get the same words of a real sensor (Melexis' example) with noise on the pixels, in the same
run, best of five: a batch of 1,000 subpages here, 40 one after the other there, which knows no
batches. Adafruit's share is its `_GetTa` and `_CalculateTo` alone, as its `getFrame` calls them:
neither the transfer nor the extraction of parameters.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from report import PI4_SLOWDOWN, json_path_argument, report, row

from wban_collect.devices.mlx90640_adafruit import load_library
from wban_dataset.recording.thermal import Calibration

EXAMPLE = Path(__file__).parents[1] / "tests" / "data" / "mlx90640" / "melexis_example.json"
N_BATCH = 1000
N_ADAFRUIT = 40
N_REPEATS = 5
EMISSIVITY = 0.95


def subpages(frames: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """Make a batch of alternating subpages, no two alike."""
    raw = frames[np.arange(N_BATCH) % 2].copy()
    noise = np.random.default_rng(0).integers(0, 30, (N_BATCH, 768))
    raw[:, :768] += noise.astype(np.uint16)
    return raw


def best_us(run: Callable[[], object], n_subpages: int) -> float:
    """Shortest time per subpage of five runs, us."""
    times = []
    for _ in range(N_REPEATS):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times) / n_subpages * 1e6


def adafruit_run(
    eeprom: NDArray[np.uint16], raw: NDArray[np.uint16]
) -> tuple[Callable[[], None], list[float]]:
    """Adafruit's calculation over some subpages, and the last image it leaves."""
    module = load_library()
    lists: dict[str, Any] = {"brokenPixels": [], "outlierPixels": []}
    camera_class = type("Camera", (module.MLX90640,), lists)
    camera = camera_class.__new__(camera_class)
    module.eeData[:] = eeprom.tolist()
    camera._ExtractParameters()
    frames = raw[:N_ADAFRUIT].tolist()
    image = [0.0] * 768

    def run() -> None:
        for frame in frames:
            reflected_c = camera._GetTa(frame) - 8
            camera._CalculateTo(frame, EMISSIVITY, reflected_c, image)

    return run, image


def measure() -> list[dict[str, Any]]:
    """Time both and compare what they give."""
    example = json.loads(EXAMPLE.read_text(encoding="utf-8"))
    eeprom = np.array(example["eeprom"], dtype=np.uint16)
    raw = subpages(np.array(example["frames"], dtype=np.uint16))
    calibration = Calibration.from_eeprom(eeprom)
    whole_us = best_us(lambda: calibration.temperatures(raw, EMISSIVITY), N_BATCH)
    run, image = adafruit_run(eeprom, raw)
    adafruit_us = best_us(run, N_ADAFRUIT)
    ours = calibration.temperatures(raw[:N_ADAFRUIT], EMISSIVITY)[-1]
    difference_c = float(np.abs(ours.ravel() - np.array(image)).max())
    ratio = adafruit_us / whole_us
    return [
        row(
            "Adafruit's own calculation, per subpage",
            measured=f"{adafruit_us:.0f} us",
            on_pi4=f"about {adafruit_us * PI4_SLOWDOWN / 1e3:.1f} ms",
            adafruit_us=adafruit_us,
        ),
        row(
            f"whole images (subpage, other half, bad pixels), batch of {N_BATCH}",
            asked="aim 8 us",
            measured=f"{whole_us:.1f} us",
            reached=whole_us <= 8,
            on_pi4=f"about {whole_us * PI4_SLOWDOWN:.0f} us",
            whole_us=whole_us,
        ),
        row(
            "whole images against Adafruit's calculation",
            asked=">= 60 times faster",
            measured=f"{ratio:.0f} times",
            reached=ratio >= 60,
            on_pi4="much the same ratio",
            ratio=ratio,
        ),
        row(
            "largest difference between the two (its parameters are rounded)",
            asked="<= 0.005 degC",
            measured=f"{difference_c:.5f} degC",
            reached=difference_c <= 0.005,
            difference_c=difference_c,
        ),
    ]


if __name__ == "__main__":
    path = json_path_argument(__doc__)
    sys.exit(0 if report("thermal", measure(), path) else 1)
