"""ADXL345: registers, settings and the meaning of its bytes (data sheet rev. G)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

DEVID = 0x00
OFSX = 0x1E
OFSY = 0x1F
OFSZ = 0x20
BW_RATE = 0x2C
POWER_CTL = 0x2D
INT_ENABLE = 0x2E
INT_MAP = 0x2F
INT_SOURCE = 0x30
DATA_FORMAT = 0x31
DATAX0 = 0x32
FIFO_CTL = 0x38
FIFO_STATUS = 0x39

DEVICE_ID = 0xE5
MEASURE = 0x08
STANDBY = 0x00
FULL_RES = 0x08
WATERMARK = 0x02
OVERRUN = 0x01
FIFO_STREAM = 0x80
FIFO_BYPASS = 0x00
ENTRIES_MASK = 0x3F

FIFO_SIZE = 32
ENTRY_BYTES = 6
COUNTS_PER_G = 256
"""Full resolution: 3.9 mg per count in every range (table 1, sensitivity)."""

RANGE_CODES = {2: 0, 4: 1, 8: 2, 16: 3}

LOWEST_RATE_HZ = 0.09765625
RATE_CODES = {LOWEST_RATE_HZ * 2**code: code for code in range(14)}
"""Output data rate to BW_RATE code (table 7). The two highest, 1600 and 3200 Hz, are left out: the
data sheet gives 800 Hz as the most that a 400 kHz bus carries without extra noise."""

CLOCK_TOLERANCE = 0.1
"""The data sheet bounds the rate nowhere; boards are a few percent off."""

TURN_ON_NS = 1_100_000
"""From Measure to the first sample, besides one period (table 1, turn-on time)."""


SELF_TEST = 0x80
SELF_TEST_RATE_HZ = 100.0
SELF_TEST_RANGE_G = 16
SELF_TEST_SETTLING_NS = 61_100_000
"""Turn-on, and more than the four samples that the data sheet gives the output to settle."""

SELF_TEST_READINGS = 10
SELF_TEST_PAUSE_NS = 11_000_000
"""A tenth of a second with and without the force, as the data sheet has it."""

MG_PER_COUNT = 1000.0 / COUNTS_PER_G
_LIMITS_2V5_LSB = ((50, 540), (-540, -50), (75, 875))
_SCALE_3V3 = (1.77, 1.77, 1.47)
SELF_TEST_LIMITS_MG = tuple(
    (lowest * scale * MG_PER_COUNT, highest * scale * MG_PER_COUNT)
    for (lowest, highest), scale in zip(_LIMITS_2V5_LSB, _SCALE_3V3, strict=True)
)
"""Change per axis on a Pi's 3.3 V: the limits at 2.5 V (table 15), scaled by table 14. The force
grows with the square of the supply."""


class Entry(NamedTuple):
    """One FIFO entry and what came with it in the same transaction."""

    counts: bytes
    fifo_ctl: int
    level: int
    overrun: bool


def rate_code(sampling_rate_hz: float) -> int:
    """Code of BW_RATE for a rate.

    Raises
    ------
    ValueError
        If the chip does not make this rate; names the nearest that it does.
    """
    nearest_hz = min(RATE_CODES, key=lambda rate_hz: abs(rate_hz - sampling_rate_hz))
    if abs(nearest_hz - sampling_rate_hz) > 0.005 * nearest_hz:
        raise ValueError(
            f"ADXL345: sampling_rate_hz is {sampling_rate_hz:g}; the nearest rate that the chip "
            f"makes is {nearest_hz:g}. Allowed: 800, 400, 200, 100, 50 and so on by halves down to "
            "0.098."
        )
    return RATE_CODES[nearest_hz]


def group_delay_ns(sampling_rate_hz: float) -> int:
    """How much later than the motion a sample is latched, ns.

    Half a period. The data sheet tells only the bandwidth, half the rate; an average over one
    period has about this bandwidth (-3 dB at 0.44 of the rate) and this delay.
    """
    return round(0.5e9 / sampling_rate_hz)


def settings(
    rate: int, range_g: int, watermark: int, *, interrupt: bool
) -> tuple[dict[int, int], dict[int, int]]:
    """Give the registers in the order of writing: to set in standby, and the one that starts it.

    FIFO_CTL goes through bypass, which empties the FIFO. Offsets are cleared, since the part keeps
    them over a reboot of the host.
    """
    in_standby = {
        OFSX: 0,
        OFSY: 0,
        OFSZ: 0,
        BW_RATE: rate,
        DATA_FORMAT: FULL_RES | RANGE_CODES[range_g],
        FIFO_CTL: FIFO_STREAM | watermark,
        INT_MAP: 0,
        INT_ENABLE: WATERMARK if interrupt else 0,
    }
    return in_standby, {POWER_CTL: MEASURE}


def self_test_settings(*, excited: bool) -> dict[int, int]:
    """Give the registers of the self-test, to be set in standby; the FIFO is bypassed."""
    data_format = FULL_RES | RANGE_CODES[SELF_TEST_RANGE_G]
    return {
        OFSX: 0,
        OFSY: 0,
        OFSZ: 0,
        BW_RATE: RATE_CODES[SELF_TEST_RATE_HZ],
        DATA_FORMAT: data_format | (SELF_TEST if excited else 0),
        FIFO_CTL: FIFO_BYPASS,
        INT_ENABLE: 0,
    }


def parse_entry(raw: bytes) -> Entry:
    """Take the registers 0x32..0x39 apart (8 bytes), or 0x30..0x39 (10 bytes) with INT_SOURCE."""
    overrun = len(raw) == 10 and bool(raw[0] & OVERRUN)
    counts, fifo_ctl, fifo_status = raw[-8:-2], raw[-2], raw[-1]
    return Entry(counts, fifo_ctl, fifo_status & ENTRIES_MASK, overrun)


def decode_entries(raw: bytes) -> NDArray[np.int16]:
    """Decode FIFO entries (x, y, z, little-endian, 6 bytes each) to counts, shape (n, 3)."""
    return np.frombuffer(raw, dtype="<i2").reshape(-1, 3)
