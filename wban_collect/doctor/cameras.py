"""The cameras: their software, whether frames come, and whether anything is to be seen in them."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from wban_collect.device import DeviceOutput
from wban_collect.doctor.finding import Finding, failure, ok, sentences, warning
from wban_collect.errors import WbanError
from wban_collect.parts import CameraPart
from wban_dataset.recording.streams import SampleBlock

N_PICTURES = 5
"""Automatic exposure has settled by the last of them."""

PATIENCE_S = 15.0

BLACK = 12
"""Grey level; where not one pixel in a hundred is brighter, nothing is to be seen."""
WHITE = 250
SATURATED_SHARE = 0.25


def examine_camera(part: CameraPart) -> Iterator[Finding]:
    """Let a camera take a few pictures and look at the last."""
    device, area = part.device, part.device.name
    pictures: list[NDArray[np.uint8]] = []
    enough = threading.Event()

    def take(output: DeviceOutput) -> None:
        if isinstance(output, SampleBlock):
            pictures.extend(output.data)
            if len(pictures) >= N_PICTURES:
                enough.set()

    try:
        device.start(take)
        enough.wait(PATIENCE_S)
    except WbanError as error:
        yield sentences(area, error)
        return
    finally:
        device.stop()
    if not pictures:
        yield failure(
            area,
            f"it starts and brings no picture within {PATIENCE_S:.0f} s",
            "check the ribbon at both ends, then 'rpicam-hello --list-cameras'",
        )
        return
    height, width = pictures[-1].shape
    yield ok(area, f"delivers pictures of {width}x{height}")
    yield judge_picture(area, pictures[-1])


def judge_picture(area: str, picture: NDArray[np.uint8]) -> Finding:
    """Say whether a picture is black or saturated; picture (height, width)."""
    bright = float(np.percentile(picture, 99))
    saturated = float((picture >= WHITE).mean())
    text = f"grey levels {picture.min()} to {picture.max()}, mean {picture.mean():.0f}"
    if bright <= BLACK:
        return warning(
            area,
            f"its pictures are black ({text})",
            "take off the lens cap, switch the infrared lamp on, and check that the camera is a "
            "NoIR one (tuning_file in the configuration)",
        )
    if saturated > SATURATED_SHARE:
        return warning(
            area,
            f"{saturated:.0%} of its pixels are saturated ({text})",
            "move the lamp away, or fix exposure_us and gain in the configuration",
        )
    return ok(area, f"something is to be seen ({text})")
