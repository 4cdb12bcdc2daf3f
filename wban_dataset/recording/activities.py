"""Activities: their names, and the two lists of the paper."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

PAPER_ABSTRACT = ("eating", "sleeping", "staying", "standing", "sitting")
"""The five activities of the paper's abstract and of its class distribution (section 2.1)."""

PAPER_DATASET = ("eating", "speak_and_walk", "staying", "speaking", "walking")
"""The five activities of the paper's description of the recordings (section 2.1)."""

PRESETS: dict[str, tuple[str, ...]] = {
    "paper-abstract": PAPER_ABSTRACT,
    "paper-dataset": PAPER_DATASET,
    "paper": tuple(dict.fromkeys(PAPER_ABSTRACT + PAPER_DATASET)),
}

_SLUG = re.compile(r"[a-z0-9]+(_[a-z0-9]+)*\Z")
_SUBJECT = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,31}\Z")


def slug(activity: str) -> str:
    """Write an activity as a slug: ``Speak and walk`` becomes ``speak_and_walk``.

    Raises
    ------
    ValueError
        If nothing usable is left, or it has more than 64 characters.
    """
    name = "_".join(activity.strip().lower().replace("-", " ").replace("_", " ").split())
    if not _SLUG.match(name) or len(name) > 64:
        raise ValueError(
            f"activity {activity[:80]!r} is not a usable name: "
            "expected letters a-z, digits and spaces, at most 64 characters, e.g. 'speak and walk'"
        )
    return name


def known_activity(activity: str, known: Iterable[str]) -> str:
    """Return the slug of `activity` if it is one of `known`.

    Raises
    ------
    ValueError
        If it is not; the text names the nearest known one.
    """
    name = slug(activity)
    names = list(known)
    if name in names:
        return name
    nearest = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean {nearest[0]!r}? " if nearest else ""
    raise ValueError(
        f"unknown activity {name!r}: {hint}known are {', '.join(names)}; "
        "add your own under [study] activities in the configuration"
    )


def subject_id(subject: str) -> str:
    """Return `subject` if it is a usable subject id.

    Raises
    ------
    ValueError
        If it is not 1 to 32 letters, digits and hyphens beginning with a letter or digit.
    """
    if _SUBJECT.match(subject):
        return subject
    shown = subject if len(subject) <= 40 else f"{subject[:37]}... ({len(subject)} characters)"
    raise ValueError(
        f"subject {shown!r} is not a usable id: expected 1 to 32 letters, digits or hyphens, "
        "the first a letter or digit, e.g. 'S01'"
    )
