"""MPU-6050, 6500, 9250 and their relatives: registers, variants and the meaning of their bytes.

Register maps RM-MPU-6000A (rev. 4.2), RM-MPU-6500A (rev. 2.1), and the list of parts that the
kernel's driver inv_mpu6050 knows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SMPLRT_DIV = 0x19
CONFIG = 0x1A
GYRO_CONFIG = 0x1B
ACCEL_CONFIG = 0x1C
ACCEL_CONFIG_2 = 0x1D
FIFO_EN = 0x23
INT_PIN_CFG = 0x37
INT_ENABLE = 0x38
INT_STATUS = 0x3A
ACCEL_XOUT_H = 0x3B
USER_CTRL = 0x6A
PWR_MGMT_1 = 0x6B
PWR_MGMT_2 = 0x6C
FIFO_COUNTH = 0x72
FIFO_R_W = 0x74
WHO_AM_I = 0x75

DEVICE_RESET = 0x80
SLEEP = 0x40
CLKSEL_PLL = 0x01
"""Gyroscope as clock reference: 1 % where the internal oscillator has 5 % and drifts."""
FIFO_OFLOW = 0x10
FIFO_ENABLE = 0x40
FIFO_RESET = 0x04
FIFO_ACCEL_GYRO = 0x78

ACCEL_COUNTS_PER_G = {2: 16384.0, 4: 8192.0, 8: 4096.0, 16: 2048.0}
GYRO_COUNTS_PER_DPS = {250: 131.0, 500: 65.5, 1000: 32.8, 2000: 16.4}
ACCEL_RANGE_CODES = {2: 0x00, 4: 0x08, 8: 0x10, 16: 0x18}
GYRO_RANGE_CODES = {250: 0x00, 500: 0x08, 1000: 0x10, 2000: 0x18}

BASE_RATE_HZ = 1000.0
FAST_BASE_RATE_HZ = 8000.0
CLOCK_TOLERANCE = 0.15
"""The PLL is good to 1 %; clones may run on their internal oscillator (-15..+10 %)."""

RESET_NS = 100_000_000
WAKE_NS = 10_000_000
GYRO_SETTLE_NS = 60_000_000
"""From waking until the gyroscope's samples are good (kernel driver; the accelerometer: 20 ms)."""


@dataclass(frozen=True, slots=True)
class Variant:
    """What one value of WHO_AM_I stands for.

    Attributes
    ----------
    fifo_bytes
        Size of the FIFO as set up here; the smaller one where clones differ, which only makes the
        deadline earlier.
    accel_filter
        The accelerometer has a filter register of its own (MPU-6500 and later).
    record_bytes
        Of one sample in the FIFO: 12, or 14 where the temperature cannot be left out.
    genuine
        False: the value is seen on clones only, and the filter register may not exist.
    fast_rates
        SMPLRT_DIV divides 8 kHz when the filters are off (first generation only).
    gyro_trim_codes
        First register of what the factory measured of the gyroscope's self-test (later parts).
    """

    model: str
    fifo_bytes: int
    accel_filter: bool
    record_bytes: int = 12
    genuine: bool = True
    fast_rates: bool = False
    gyro_trim_codes: int = 0x00

    @property
    def first_generation(self) -> bool:
        """An MPU-6050 or 6000 itself: another self-test."""
        return self.fast_rates


LARGEST_FIFO_BYTES = 4096

VARIANTS = {
    0x68: Variant("MPU-6050", 1024, accel_filter=False, fast_rates=True),
    0x70: Variant("MPU-6500", 512, accel_filter=True),
    0x71: Variant("MPU-9250", 512, accel_filter=True),
    0x72: Variant("MPU-6050 clone (0x72)", 512, accel_filter=True, genuine=False),
    0x73: Variant("MPU-9255", 512, accel_filter=True),
    0x74: Variant("MPU-6515", 512, accel_filter=True),
    0x75: Variant("MPU-6500 clone (0x75)", 512, accel_filter=True, genuine=False),
    0x78: Variant("MPU-6880", 512, accel_filter=True),
    # 4 kB with bits 7:6 of ACCEL_CONFIG_2, 512 bytes without; also many a board sold as MPU-6050.
    0x98: Variant("ICM-20689", 512, accel_filter=True, genuine=False),
    0xAF: Variant("ICM-20608", 512, accel_filter=True),
    0x11: Variant("ICM-20600", 1008, accel_filter=True, record_bytes=14, gyro_trim_codes=0x50),
    0x12: Variant("ICM-20602", 1008, accel_filter=True, record_bytes=14, gyro_trim_codes=0x50),
}


@dataclass(frozen=True, slots=True)
class SampleRate:
    """A setting of SMPLRT_DIV.

    Attributes
    ----------
    fast
        Divides 8 kHz, which needs the low-pass filters off, and only the first generation does it.
        Used where 1 kHz has no fitting divider: 400 Hz, say, where the filter's 256 Hz is not far
        above half the rate. The accelerometer's values then repeat in a pattern: it never
        measures faster than at 1 kHz.
    """

    divider: int
    fast: bool

    @property
    def hz(self) -> float:
        """Samples per second."""
        return (FAST_BASE_RATE_HZ if self.fast else BASE_RATE_HZ) / (1 + self.divider)


@dataclass(frozen=True, slots=True)
class Filter:
    """One setting of the digital low-pass filters (DLPF_CFG): -3 dB points and group delays."""

    code: int
    accel_hz: float
    gyro_hz: float
    accel_delay_ns: int
    gyro_delay_ns: int


FILTERS_6050 = (
    Filter(1, 184, 188, 2_000_000, 1_900_000),
    Filter(2, 94, 98, 3_000_000, 2_800_000),
    Filter(3, 44, 42, 4_900_000, 4_800_000),
    Filter(4, 21, 20, 8_500_000, 8_300_000),
    Filter(5, 10, 10, 13_800_000, 13_400_000),
    Filter(6, 5, 5, 19_000_000, 18_600_000),
)
"""RM-MPU-6000A, register 26."""

FILTER_OFF = Filter(0, 260, 256, 500_000, 980_000)
"""Code 0 of the same table; the accelerometer's value is not delayed but 0.5 ms old on average."""

FILTERS_6500 = (
    Filter(1, 184, 184, 5_800_000, 2_900_000),
    Filter(2, 92, 92, 7_800_000, 3_900_000),
    Filter(3, 41, 41, 11_800_000, 5_900_000),
    Filter(4, 20, 20, 19_800_000, 9_900_000),
    Filter(5, 10, 10, 35_700_000, 17_850_000),
    Filter(6, 5, 5, 66_960_000, 33_480_000),
)
"""RM-MPU-6500A, registers 26 and 29; also taken for the ICM parts, whose tables are close."""


def sample_rate(sampling_rate_hz: float) -> SampleRate:
    """Choose the divider for a rate.

    Raises
    ------
    ValueError
        If no chip of the family makes this rate; names the nearest that it does.
    """
    rates = [SampleRate(divider, fast=False) for divider in range(256)]
    fast = [SampleRate(divider, fast=True) for divider in range(7, 22)]
    nearest = min((*rates, *fast), key=lambda rate: abs(rate.hz - sampling_rate_hz))
    if abs(nearest.hz - sampling_rate_hz) > 0.005 * nearest.hz:
        raise ValueError(
            f"MPU-6050: sampling_rate_hz is {sampling_rate_hz:g}; the nearest rate that the chip "
            f"makes is {nearest.hz:.6g}. Allowed: 1000 divided by a whole number up to 256, and "
            "on a true MPU-6050 above 350 also 8000 divided by a whole number."
        )
    return nearest


def choose_filter(rate: SampleRate, *, accel_filter: bool) -> Filter:
    """Choose the widest filter whose bandwidths lie below half the rate, else the narrowest."""
    if rate.fast:
        return FILTER_OFF
    filters = FILTERS_6500 if accel_filter else FILTERS_6050
    nyquist_hz = rate.hz / 2
    below = [f for f in filters if max(f.accel_hz, f.gyro_hz) < nyquist_hz]
    return below[0] if below else filters[-1]


def settings(divider: int, dlpf: Filter, accel_range_g: int, gyro_range_dps: int) -> dict[int, int]:
    """Give the registers of every variant in the order of writing; all can be read back."""
    return {
        PWR_MGMT_2: 0,
        SMPLRT_DIV: divider,
        CONFIG: dlpf.code,
        GYRO_CONFIG: GYRO_RANGE_CODES[gyro_range_dps],
        ACCEL_CONFIG: ACCEL_RANGE_CODES[accel_range_g],
        INT_PIN_CFG: 0,
        INT_ENABLE: FIFO_OFLOW,
    }


def decode_records(raw: bytes, record_bytes: int) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    """Decode FIFO records (big-endian accel, [temp,] gyro) to counts, (n, 3) each, little-endian.

    `raw` holds whole records of 12 or 14 bytes.
    """
    words = np.frombuffer(raw, dtype=">i2").reshape(-1, record_bytes // 2)
    return words[:, :3].astype("<i2"), words[:, -3:].astype("<i2")


def all_ones(raw: bytes, record_bytes: int) -> bool:
    """Whether a record is nothing but ones, as a bus reads that nobody drives."""
    return any(
        raw[start : start + record_bytes] == b"\xff" * record_bytes
        for start in range(0, len(raw), record_bytes)
    )
