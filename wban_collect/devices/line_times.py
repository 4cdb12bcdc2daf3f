"""How long a camera sensor takes from one row to the next: what a rolling shutter is made of.

libcamera does not tell the line time, but it advertises the shortest frame of the running mode, and
that is ``(rows + shortest vertical blanking) * line time`` (libcamera ``src/ipa/rpi/common``,
``minFrameLength * minLineLength``). Working it out from there follows the kernel: the IMX219's
640x480 mode is read at 206.65 or 103.33 frames/s, which is 9.45 or 18.9 us a line, depending on the
kernel's version (raspberrypi/linux issue 5438).
"""

from __future__ import annotations

SHORTEST_BLANKING_LINES: dict[str, tuple[int, dict[int, int]]] = {
    # sensor: (usual, {rows of a mode that differs: its own})
    "imx219": (32, {}),  # imx219.c, IMX219_VBLANK_MIN
    "imx708": (40, {2592: 58}),  # imx708.c, vblank_min of each mode
    "ov5647": (24, {}),  # ov5647.c, OV5647_VBLANK_MIN
}

LINE_TIMES_NS: dict[str, dict[int, int]] = {
    # sensor: {rows of the mode: ns}; line length in pixels / pixel rate, from the same drivers
    "imx219": {480: 9_452, 1080: 18_904, 1232: 18_904, 2464: 18_904},  # 3448 (1724) / 182.4 MHz
    "imx708": {864: 9_209, 1296: 13_361, 2592: 26_290},  # 5216 / 566.4, 7824 / 585.6, 15648 / 595.2
    "ov5647": {480: 33_673, 972: 23_216, 1080: 29_584, 1944: 32_503},  # 1852 / 55 MHz and so on
    "imx477": {990: 15_167, 1080: 15_167, 1520: 15_167, 3040: 28_571},  # 12740, 24000 / 840 MHz
}

IMX219_LINE_TIME_NS = 18_904
"""3448 pixels / 182.4 MHz; assumed for a sensor about which nothing is known."""

_PLAUSIBLE_NS = range(2_000, 200_000)


def sensor_family(model: str) -> str:
    """Name the chip in libcamera's model: ``imx708_wide_noir`` is an ``imx708``."""
    return model.lower().split("_", maxsplit=1)[0]


def line_time_ns(model: str, rows: int, shortest_frame_us: float | None) -> int | None:
    """Line time of a sensor's mode, or None for an unknown sensor.

    Parameters
    ----------
    model
        As libcamera gives it.
    rows
        Rows that the mode reads out.
    shortest_frame_us
        Lower end of the advertised ``FrameDurationLimits``, where there is one.
    """
    family = sensor_family(model)
    if shortest_frame_us and family in SHORTEST_BLANKING_LINES:
        usual, exceptions = SHORTEST_BLANKING_LINES[family]
        derived = round(shortest_frame_us * 1000 / (rows + exceptions.get(rows, usual)))
        if derived in _PLAUSIBLE_NS:
            return derived
    table = LINE_TIMES_NS.get(family)
    if table is None:
        return None
    return table[min(table, key=lambda known_rows: abs(known_rows - rows))]
