"""Names in the folder of a dataset and in ``dataset.h5``; see docs/dataset-file.md."""

from __future__ import annotations

from wban_dataset.recording.streams import StreamKind

FORMAT = "wban-dataset"
FORMAT_VERSION = 1

DATASET_FILE = "dataset.h5"
TRANSITIONS_FILE = "transitions.h5"
SPLITS_FILE = "splits.json"
MANIFEST_FILE = "manifest.json"
CARD_FILE = "README.md"
CROISSANT_FILE = "croissant.json"
FILES = (*(DATASET_FILE, TRANSITIONS_FILE, SPLITS_FILE, MANIFEST_FILE, CARD_FILE, CROISSANT_FILE),)
"""All that a dataset's folder may hold."""

TIMEBASE_MONOTONIC = "monotonic"
TIMEBASE_NONE = "none"

SESSION_TEXTS = (
    *("session_id", "subject", "activity", "start_utc", "source"),
    *("content_sha256", "licence", "consent"),
)
"""Columns of ``/sessions`` that are text; the other one is ``duration_ns``."""

PICTURE_KINDS: tuple[StreamKind, ...] = ("thermal", "infrared")

TEMPERATURE_SCALE_C = 0.01
TEMPERATURE_FILL = -32768
