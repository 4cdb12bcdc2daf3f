"""A study of simulated people is as hard as one of real people.

The world is sampled straight, with the noise of a common chip, and classified by a random forest
over plain features. Between people the score must be imperfect; over shuffled overlapping windows,
where the same person's neighbouring windows are on both sides, it must be clearly better.
"""

from __future__ import annotations

import numpy as np
import pytest

from wban_collect.simulation.people import study_participant

ensemble = pytest.importorskip("sklearn.ensemble", reason="needs scikit-learn (extra 'analysis')")
model_selection = pytest.importorskip("sklearn.model_selection")
metrics = pytest.importorskip("sklearn.metrics")

FIVE = ("eating", "sleeping", "staying", "standing", "sitting")
MOVING = ("eating", "speak_and_walk", "staying", "speaking", "walking")
ALL = tuple(dict.fromkeys(FIVE + MOVING))

RATE_HZ = 50
SIZE, STRIDE = 128, 64  # 2.56 s, half overlapping, as HAPT
N_SUBJECTS, MINUTES = 10, 10
ACCEL_NOISE, GYRO_NOISE = 0.04, 0.003  # m/s^2 and rad/s per sample: an MPU-6050 at 50 Hz
OFFSET, BIAS = 0.15, 0.01  # of a chip that nobody calibrated


def study(activities: tuple[str, ...], seed: int):
    """X (n, features), y and groups of windows of one simulated study."""
    parts = [person(activities, seed, number) for number in range(1, N_SUBJECTS + 1)]
    X = np.concatenate([features for features, _ in parts])
    y = np.concatenate([labels for _, labels in parts])
    return X, y, np.repeat(np.arange(N_SUBJECTS), [len(labels) for _, labels in parts])


def person(activities: tuple[str, ...], seed: int, number: int):
    wearer = study_participant(activities, 60.0 * MINUTES, seed, number)
    wearer.begin(0)
    times_ns = np.arange(MINUTES * 60 * RATE_HZ, dtype=np.int64) * (10**9 // RATE_HZ)
    rng = np.random.default_rng((seed, number))
    n = len(times_ns)
    accel = wearer.acceleration(times_ns) + rng.normal(0, ACCEL_NOISE, (n, 3))
    gyro = wearer.angular_rate(times_ns) + rng.normal(0, GYRO_NOISE, (n, 3))
    signals = np.hstack((accel + rng.normal(0, OFFSET, 3), gyro + rng.normal(0, BIAS, 3)))
    starts = np.arange(0, n - SIZE + 1, STRIDE)
    spans = wearer.spans()
    stops_ns = np.array([span.stop_ns for span in spans])
    middle_ns = times_ns[starts + SIZE // 2]
    labels = np.array([span.activity for span in spans])[
        np.searchsorted(stops_ns, middle_ns, side="right")
    ]
    return features_of(signals, starts), labels


def features_of(signals, starts):
    """Mean, deviation, range and quartiles per axis and magnitude; where the energy lies."""
    magnitudes = np.stack(
        (np.linalg.norm(signals[:, :3], axis=1), np.linalg.norm(signals[:, 3:], axis=1)), axis=1
    )
    channels = np.hstack((signals, magnitudes))
    windows = np.stack([channels[s : s + SIZE] for s in starts])
    mean = windows.mean(axis=1)
    power = np.abs(np.fft.rfft(windows - mean[:, None], axis=1)) ** 2
    bands = [power[:, low:high].sum(axis=1) for low, high in ((1, 4), (4, 9), (9, 20), (20, 64))]
    quartiles = np.percentile(windows, (25, 75), axis=1)
    return np.hstack(
        [mean, windows.std(axis=1), windows.min(axis=1), windows.max(axis=1), *quartiles]
        + [np.log(band + 1e-9) for band in bands]
        + [power.argmax(axis=1)]
    )


def macro_f1(X, y, folds, groups=None) -> float:
    forest = ensemble.RandomForestClassifier(100, max_samples=0.5, n_jobs=2, random_state=0)
    predicted = model_selection.cross_val_predict(forest, X, y, groups=groups, cv=folds)
    return float(metrics.f1_score(y, predicted, average="macro"))


@pytest.mark.parametrize("activities", [FIVE, ALL], ids=["abstract", "union"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_strangers_are_hard_to_classify_and_shuffled_windows_flatter(activities, seed):
    X, y, groups = study(activities, seed)
    apart = slice(None, None, 4)  # windows far apart say as much in a quarter of the time
    between = macro_f1(X[apart], y[apart], model_selection.LeaveOneGroupOut(), groups[apart])
    few = groups < N_SUBJECTS // 2
    shuffled = macro_f1(X[few], y[few], model_selection.KFold(2, shuffle=True, random_state=0))
    assert 0.70 <= between <= 0.92, f"leave-one-subject-out macro-F1 {between:.3f}"
    assert shuffled >= between + 0.05, f"shuffled {shuffled:.3f}, between people {between:.3f}"


def test_postures_differ_and_neighbouring_activities_overlap():
    """Lean of the trunk by the mean of x: back is positive. Nine windows of ten count."""
    X, y, _ = study(FIVE, 4)
    lean = {name: np.percentile(X[y == name][:, 0], (10, 50, 90)) for name in FIVE}
    assert lean["eating"][0] < lean["sitting"][0] < lean["eating"][2] < lean["sitting"][2]
    assert lean["standing"][0] < lean["staying"][0] < lean["standing"][2] < lean["staying"][2]
    assert lean["standing"][1] < lean["eating"][1] < lean["sitting"][1] < lean["sleeping"][1]
