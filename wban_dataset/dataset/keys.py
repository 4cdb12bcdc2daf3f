"""What a session's part of a dataset depends on, as a digest that names it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import astuple
from typing import Any

from wban_dataset.dataset.configuration import StudyConfiguration
from wban_dataset.dataset.layout import FORMAT_VERSION
from wban_dataset.dataset.survey import HYGIENE_SIDECAR, SurveyedSession
from wban_dataset.recording.container import wban_version

_ROW_OPTIONS = ("calibrate", "rate", "thermal_size", "infrared_size")
_WINDOW_OPTIONS = (
    *("window", "overlap", "stride", "label_rule", "min_coverage", "reference", "unlabelled"),
)


def rows_key(session: SurveyedSession, study: StudyConfiguration) -> str:
    """Name the rows of a session's streams: the same name, the same rows."""
    sidecar = session.sidecars_sha256.get(HYGIENE_SIDECAR, "") if study.calibrate else ""
    return _digest(session, study, _ROW_OPTIONS, [sidecar])


def shard_key(session: SurveyedSession, study: StudyConfiguration) -> str:
    """Name all that a session gives to a dataset."""
    labels = [astuple(label) for label in session.labels]
    sidecars = sorted(session.sidecars_sha256.items())
    return _digest(
        session,
        study,
        (*_ROW_OPTIONS, *_WINDOW_OPTIONS),
        [labels, sidecars],
    )


def _digest(
    session: SurveyedSession, study: StudyConfiguration, options: tuple[str, ...], more: list[Any]
) -> str:
    content = {
        "wban": wban_version(),
        "format": FORMAT_VERSION,
        "content": session.info.content_sha256,
        "options": {name: getattr(study, name) for name in options},
        "more": more,
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
