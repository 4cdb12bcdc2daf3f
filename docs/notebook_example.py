"""The worked example of docs/datasets.md, cell by cell."""

# %% [markdown]
# # From a study to a fair score
#
# Four simulated people, a dataset that leaves one of them out at a time, and a classifier that has
# never seen the person it is tested on. As a notebook: `jupytext --to ipynb notebook_example.py`.
# Needs `pip install "wban[analysis]"`.

# %% A study: the real recorder above simulated chips
import subprocess
import sys
from pathlib import Path

import numpy as np

from wban_dataset import Session, build, load_dataset

FOLDER = Path(sys.argv[1] if len(sys.argv) > 1 else "example")
MINUTES = "0.5"


def main() -> None:
    """Run the example; worker processes need it to be behind the last line of this file."""
    study = FOLDER / "study"
    words = ["simulate-study", "--subjects", "4", "--minutes", MINUTES, "--out", str(study)]
    subprocess.run(["wban-collect", *words], check=True)  # noqa: S607 - the one beside this Python

    # %% One session: streams in physical units, labels, time
    first = sorted(study.glob("*_S01_*"))[0]
    with Session.open(first) as session:
        accel = session.stream("accel")
        print(session.subject, session.streams, accel.n, "samples of", accel.units)
        print(session.labels[0])

    # %% All sessions as a dataset; the same sessions and options give the same bytes
    report = build(study, FOLDER / "dataset", window="2s", overlap=0.5, protocol="loso", workers=2)
    print(report.n_windows, "windows,", report.n_folds, "folds, leaky:", report.leaky)

    # %% Windows as a table (pandas), as labelled arrays (xarray), as plain arrays
    with load_dataset(report.out) as dataset:
        print(dataset.to_pandas().groupby(["subject", "label"]).size().unstack())
        print(dataset.to_xarray("S01", "test", streams=["accel", "thermal"]))

        # %% Train on some people, test on another; nothing is fitted to whom is tested
        scores = [score_of(dataset, fold.name) for fold in dataset.folds]
    print(f"macro-F1 on people never seen: {np.mean(scores):.2f} +- {np.std(scores):.2f}")


def score_of(dataset, fold: str) -> float:
    """Train and test a random forest on simple features of one fold."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.metrics import f1_score

    train = dataset.arrays(fold, "train", streams=["accel", "gyro"], normalise="train")
    test = dataset.arrays(fold, "test", streams=["accel", "gyro"], normalise="train")
    model = RandomForestClassifier(50, random_state=0).fit(features(train), train.label)
    return float(f1_score(test.label, model.predict(features(test)), average="macro"))


def features(windows) -> np.ndarray:
    """Mean and standard deviation of each channel, (w, features)."""
    parts = [[x.mean(axis=1), x.std(axis=1)] for x in windows.data.values()]
    return np.concatenate([values for pair in parts for values in pair], axis=1)


# %%
if __name__ == "__main__":
    main()
