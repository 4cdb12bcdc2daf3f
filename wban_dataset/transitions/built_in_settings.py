"""Settings of refinement for a study without known transitions to fit its own to.

Fitted on the 358 postural transitions of HAPT, 30 people with a phone at the waist, by
benchmarks/refinement_settings.py, whose output this file is.
"""

from __future__ import annotations

from wban_dataset.transitions.refinement import PairSettings, RefinementSettings

WITH_GYRO = PairSettings(
    weights=(
        -0.0701,
        0.9607,
        1.2120,
        -0.0271,
        -3.2042,
        -0.3530,
        1.2450,
        -0.7479,
        0.6027,
        3.1318,
        -0.9848,
        1.5748,
        -0.6376,
        0.1949,
        5.0246,
        5.5498,
    ),
    log_duration_mean=1.2784,
    log_duration_sd=0.2973,
    onset_from_boundary_s=-1.7865,
    offset_from_boundary_s=1.9681,
    onset_bias_s=-0.0400,
    offset_bias_s=0.0600,
    onset_uncertainty_s=0.3000,
    offset_uncertainty_s=0.4600,
)

ACCELEROMETER_ALONE = PairSettings(
    weights=(
        0.8564,
        1.1467,
        -0.0719,
        -3.2756,
        1.1358,
        -0.7497,
        0.4210,
        3.4748,
        1.2627,
        -0.6049,
        -0.5781,
        4.4401,
        5.7704,
    ),
    log_duration_mean=1.2784,
    log_duration_sd=0.2973,
    onset_from_boundary_s=-1.7865,
    offset_from_boundary_s=1.9681,
    onset_bias_s=-0.0400,
    offset_bias_s=0.0800,
    onset_uncertainty_s=0.3000,
    offset_uncertainty_s=0.4600,
)


def built_in(*, with_gyro: bool) -> RefinementSettings:
    """Give the settings for an accelerometer with or without a gyroscope beside it."""
    return RefinementSettings(WITH_GYRO if with_gyro else ACCELEROMETER_ALONE, {})
