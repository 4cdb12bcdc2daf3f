"""How busy the chips keep a bus, against times that were measured or worked out elsewhere."""

from __future__ import annotations

import pytest

from tests.integration.command_line import collect
from wban_collect.bus_budget import bus_load
from wban_collect.config import Config, MotionConfig, ThermalConfig


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (Config(thermal=[ThermalConfig(refresh_hz=8.0)]), 0.30),  # 38.1 ms each
        (Config(thermal=[ThermalConfig(refresh_hz=16.0)]), 0.61),
        (Config(motion=[MotionConfig(driver="adxl345", sampling_rate_hz=400.0)]), 0.10),
        (Config(motion=[MotionConfig(driver="mpu6050", sampling_rate_hz=200.0)]), 0.055),
    ],
)
def test_wire_times_are_those_of_the_data_sheets(config, expected):
    software = bus_load(config, 1, 1e12)
    assert bus_load(config, 1, 400_000) - software == pytest.approx(expected, rel=0.2)


def test_only_chips_of_the_bus_count():
    config = Config(thermal=[ThermalConfig(bus=3)])
    assert bus_load(config, 1, 400_000) == 0.0
    assert bus_load(config, 3, 400_000) > 0.3


def test_what_no_bus_can_do_is_refused_before_recording(tmp_path):
    file = tmp_path / "c.toml"
    file.write_text("[[thermal]]\nrefresh_hz = 64.0\n")
    outcome = collect("config", "check", "--config", file)
    assert outcome.code == 2
    assert "of its time at 400 kHz" in outcome.error
