"""Fit the built-in settings of refinement on all of HAPT, and print them for their file.

::

    python benchmarks/refinement_settings.py > wban_dataset/transitions/built_in_settings.py
"""

from __future__ import annotations

from dataclasses import asdict

from hapt_archive import read_recordings
from transitions import changes, training_example

from wban_dataset.transitions.motion import Motion
from wban_dataset.transitions.refinement import fit

HEAD = '''"""Settings of refinement for a study without known transitions to fit its own to.

Fitted on the 358 postural transitions of HAPT, 30 people with a phone at the waist, by
benchmarks/refinement_settings.py, whose output this file is.
"""

from __future__ import annotations

from wban_dataset.transitions.refinement import PairSettings, RefinementSettings
'''

TAIL = '''

def built_in(*, with_gyro: bool) -> RefinementSettings:
    """Give the settings for an accelerometer with or without a gyroscope beside it."""
    return RefinementSettings(WITH_GYRO if with_gyro else ACCELEROMETER_ALONE, {})
'''


def main() -> None:
    recordings = read_recordings()
    known = changes(recordings)
    both = {r.number: Motion.of(r.stamps_ns, r.accel, r.stamps_ns, r.gyro) for r in recordings}
    accel = {r.number: Motion.of(r.stamps_ns, r.accel) for r in recordings}
    print(HEAD, end="")
    for name, motions in (("WITH_GYRO", both), ("ACCELEROMETER_ALONE", accel)):
        pooled = fit([training_example(change, motions) for change in known]).pooled
        values = asdict(pooled)
        weights = ", ".join(f"{weight:.4f}" for weight in values.pop("weights"))
        print(f"\n{name} = PairSettings(\n    weights=({weights}),")
        for key, value in values.items():
            print(f"    {key}={value:.4f},")
        print(")")
    print(TAIL, end="")


if __name__ == "__main__":
    main()
