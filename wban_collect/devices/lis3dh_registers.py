"""LIS3DH: registers, settings and the meaning of its bytes (data sheet DocID17530 rev. 2)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

WHO_AM_I = 0x0F
CTRL_REG1 = 0x20
CTRL_REG2 = 0x21
CTRL_REG3 = 0x22
CTRL_REG4 = 0x23
CTRL_REG5 = 0x24
CTRL_REG6 = 0x25
OUT_X_L = 0x28
FIFO_CTRL_REG = 0x2E
FIFO_SRC_REG = 0x2F

AUTO_INCREMENT = 0x80
"""Added to a register's address for more than one byte; without it the same one is repeated."""

DEVICE_ID = 0x33
POWER_DOWN = 0x00
ALL_AXES = 0x07
I1_WTM = 0x04
BLOCK_DATA_UPDATE = 0x80
HIGH_RESOLUTION = 0x08
SELF_TEST_0 = 0x02
FIFO_EN = 0x40
FIFO_BYPASS = 0x00
FIFO_STREAM = 0x80
OVRN_FIFO = 0x40
EMPTY = 0x20
FSS_MASK = 0x1F

FIFO_SIZE = 32
SAMPLE_BYTES = 6

RANGE_CODES = {2: 0x00, 4: 0x10, 8: 0x20, 16: 0x30}
MG_PER_COUNT = {2: 1.0, 4: 2.0, 8: 4.0, 16: 12.0}
"""Of the upper 12 of the 16 bits, in every mode (mechanical characteristics, sensitivity)."""

UNUSED_BITS = 0x000F
"""Always 0 in a left-justified word of 12 bits. The FIFO keeps 10, so that two more are 0."""

FIFO_STEP_COUNTS = 4
"""Smallest change that the FIFO keeps: it holds the 10 most significant bits, in every mode."""

RATE_CODES = {1.0: 1, 10.0: 2, 25.0: 3, 50.0: 4, 100.0: 5, 200.0: 6, 400.0: 7}
"""Output data rate to the upper bits of CTRL_REG1. The faster ones have no high resolution."""

CLOCK_TOLERANCE = 0.12
"""The data sheet bounds the rate nowhere; boards are up to 10 percent off."""

SETTLING_PERIODS = 7
"""From power-down to good samples in high resolution (table of turn-on times); normal: 1.6 ms."""

NORMAL_TURN_ON_NS = 1_600_000

SELF_TEST_LIMITS_MG = (17 * 4.0, 360 * 4.0)
"""Magnitude of the change, either direction: 17 to 360 digits of 4 mg (self-test output change)."""

SELF_TEST_RATE_HZ = 50.0
SELF_TEST_SETTLING_NS = 90_000_000
SELF_TEST_PAUSE_NS = 24_000_000
SELF_TEST_READINGS = 5
"""The maker's procedure (AN3308): 50 Hz, 90 ms to settle, five samples, with and without."""


class FifoState(NamedTuple):
    """What FIFO_CTRL_REG and FIFO_SRC_REG say.

    Attributes
    ----------
    level
        Samples in the FIFO.
    overrun
        It is full: the oldest sample has been, or is about to be, overwritten.
    possible
        The flags agree with one another.
    """

    fifo_ctrl: int
    level: int
    overrun: bool
    possible: bool


class Filtering(NamedTuple):
    """What the mode makes of the signal."""

    bandwidth_hz: float
    group_delay_ns: int
    settling_ns: int


def rate_code(sampling_rate_hz: float) -> int:
    """Code of CTRL_REG1 for a rate.

    Raises
    ------
    ValueError
        If the chip does not make this rate; names the nearest that it does.
    """
    nearest_hz = min(RATE_CODES, key=lambda rate_hz: abs(rate_hz - sampling_rate_hz))
    if abs(nearest_hz - sampling_rate_hz) > 0.005 * nearest_hz:
        raise ValueError(
            f"LIS3DH: sampling_rate_hz is {sampling_rate_hz:g}; the nearest rate that the chip "
            f"makes is {nearest_hz:g}. Allowed are 1, 10, 25, 50, 100, 200 and 400."
        )
    return RATE_CODES[nearest_hz]


def filtering(sampling_rate_hz: float, *, high_resolution: bool) -> Filtering:
    """Bandwidth, delay and settling time of a mode.

    The data sheet gives the bandwidth (a ninth of the rate in high resolution, else half) and the
    settling time, not the delay. A filter that settles within 7 periods and delays all frequencies
    alike delays by half of them; an average over one period, by half of that.
    """
    period_ns = 1e9 / sampling_rate_hz
    if high_resolution:
        settling_ns = round(SETTLING_PERIODS * period_ns)
        return Filtering(sampling_rate_hz / 9, settling_ns // 2, settling_ns)
    settling_ns = NORMAL_TURN_ON_NS + round(period_ns)
    return Filtering(sampling_rate_hz / 2, round(period_ns / 2), settling_ns)


def settings(range_g: int, *, high_resolution: bool, interrupt: bool) -> dict[int, int]:
    """Give the registers to be set in power-down, in the order of writing.

    FIFO_EN comes before FIFO_CTRL_REG leaves bypass: with a mode set and FIFO_EN clear the output
    registers freeze.
    """
    resolution = HIGH_RESOLUTION if high_resolution else 0
    return {
        CTRL_REG2: 0,
        CTRL_REG3: I1_WTM if interrupt else 0,
        CTRL_REG4: BLOCK_DATA_UPDATE | RANGE_CODES[range_g] | resolution,
        CTRL_REG5: FIFO_EN,
        CTRL_REG6: 0,
        FIFO_CTRL_REG: FIFO_BYPASS,
    }


def self_test_settings(*, excited: bool) -> dict[int, int]:
    """Give the registers of the self-test: normal mode, 2 g, no FIFO, with or without its force."""
    return {
        CTRL_REG2: 0,
        CTRL_REG3: 0,
        CTRL_REG4: BLOCK_DATA_UPDATE | (SELF_TEST_0 if excited else 0),
        CTRL_REG5: 0,
        CTRL_REG6: 0,
        FIFO_CTRL_REG: FIFO_BYPASS,
    }


def stream_mode(watermark: int) -> int:
    """FIFO_CTRL_REG: keep the newest samples, and raise the watermark with the given number.

    The flag rises with the sample that finds as many as the threshold in the FIFO: with one more.
    """
    return FIFO_STREAM | (watermark - 1)


def parse_fifo_state(raw: bytes) -> FifoState:
    """Take FIFO_CTRL_REG and FIFO_SRC_REG apart.

    Five bits count to 31; a 32nd sample shows as the overrun flag.
    """
    fifo_ctrl, source = raw
    stored = source & FSS_MASK
    overrun = bool(source & OVRN_FIFO)
    empty = bool(source & EMPTY)
    possible = not (empty and overrun) and (overrun or empty == (stored == 0))
    return FifoState(fifo_ctrl, FIFO_SIZE if overrun else stored, overrun, possible)


def decode_samples(raw: bytes) -> NDArray[np.int16]:
    """Decode samples (x, y, z, little-endian, left-justified) to counts of 12 bits, (n, 3)."""
    words = np.frombuffer(raw, dtype="<i2").reshape(-1, 3)
    return (words >> 4).astype("<i2", copy=False)


def garbled(raw: bytes) -> bool:
    """Whether a word has bits that the chip never sets: bytes that moved, or an undriven bus."""
    return bool(np.any(np.frombuffer(raw, dtype="<u2") & UNUSED_BITS))
