"""A person who changes posture: gravity turns from one direction to another, nothing else moves."""

from __future__ import annotations

import numpy as np

RATE_HZ = 50.0
PERIOD_NS = 20_000_000
SECOND_NS = 1_000_000_000
GRAVITY = 9.80665


def recording(changes, duration_s, seed=0, turn_degrees=80.0):
    """Stamps (n,), acceleration (n, 3) in m/s2 and turning (n, 3) in rad/s.

    Between onset and offset, s, of each change the body turns by `turn_degrees` about its y axis,
    to and fro, as half a cosine.
    """
    generator = np.random.default_rng(seed)
    time_s = np.arange(round(duration_s * RATE_HZ)) / RATE_HZ
    angle = np.zeros(len(time_s))
    direction = 1.0
    for onset_s, offset_s in changes:
        share = np.clip((time_s - onset_s) / (offset_s - onset_s), 0, 1)
        angle += direction * np.radians(turn_degrees) * (1 - np.cos(np.pi * share)) / 2
        direction = -direction
    accel = GRAVITY * np.column_stack((np.sin(angle), np.zeros(len(angle)), np.cos(angle)))
    gyro = np.column_stack(
        (np.zeros(len(angle)), np.gradient(angle, 1 / RATE_HZ), np.zeros(len(angle)))
    )
    accel += generator.normal(0, 0.05, accel.shape)
    gyro += generator.normal(0, 0.01, gyro.shape)
    return (time_s * 1e9).round().astype(np.int64), accel, gyro
