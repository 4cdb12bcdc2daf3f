"""How busy the configured chips keep an I2C bus: worked out before anything is recorded."""

from __future__ import annotations

from wban_collect.config import Config
from wban_collect.errors import ConfigError

BITS_PER_SAMPLE = {
    # 12 bytes of FIFO in long bursts; a look at the level every so often.
    "mpu6050": 12 * 9 + 8,
    # Three tagged words of 7 bytes: accelerometer, gyroscope, time.
    "lsm6dsox": 21 * 9 + 8,
    "lis3dh": 6 * 9 + 8,
    # A transaction of its own for each entry: address, register, address, 8 bytes.
    "adxl345": 11 * 9 + 3,
}
TRANSACTIONS_PER_SAMPLE = {"mpu6050": 0.15, "lsm6dsox": 0.15, "lis3dh": 0.15, "adxl345": 1.1}

BITS_PER_SUBPAGE = 832 * 2 * 9 + 300
"""832 words of RAM and control, and the polls of the status register."""
TRANSACTIONS_PER_SUBPAGE = 18

SOFTWARE_S = 0.15e-3
"""Of each transaction besides the wire, in Python on a Pi 4 (an estimate)."""

BUSY = 0.85
"""A bus that is busier has no time for what goes wrong."""

IDLE_CORE = 0.4
"""What is left of the bus's speed on a Pi 4 whose core clock idles."""


def bus_load(config: Config, bus: int, scl_hz: float) -> float:
    """Share of a bus's time that its chips take at a true clock of `scl_hz`; above 1: impossible.

    Source: wire times of each driver's transfers; third-party devices are not counted.
    """
    n_bits = n_transactions = 0.0
    for motion in config.motion:
        if motion.bus == bus:
            n_bits += motion.sampling_rate_hz * BITS_PER_SAMPLE[motion.driver]
            n_transactions += motion.sampling_rate_hz * TRANSACTIONS_PER_SAMPLE[motion.driver]
    for thermal in config.thermal:
        if thermal.bus == bus:
            n_bits += thermal.refresh_hz * BITS_PER_SUBPAGE
            n_transactions += thermal.refresh_hz * TRANSACTIONS_PER_SUBPAGE
    return n_bits / scl_hz + n_transactions * SOFTWARE_S


def refuse_overload(config: Config) -> None:
    """Refuse what no bus can do, before anything is recorded.

    Raises
    ------
    ConfigError
        If the chips of a bus want more than all of its time.
    """
    hz = config.simulation.bus_hz
    for number in buses(config):
        load = bus_load(config, number, hz)
        if load > 1:
            raise ConfigError(
                f"bus {number}: its chips want {load:.0%} of its time at {hz / 1e3:.0f} kHz, "
                f"expected at most {BUSY:.0%}. Lower sampling_rate_hz or refresh_hz, move a chip "
                "to another bus, or, where the bus is faster, say so with simulation.bus_hz."
            )


def buses(config: Config) -> list[int]:
    """Numbers of the I2C buses that the configuration uses."""
    return sorted({entry.bus for entry in config.chips})
