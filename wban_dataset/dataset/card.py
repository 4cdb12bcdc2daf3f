"""The dataset card: what is in a dataset, of whom, and how it may be used, for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wban_dataset.dataset import layout
from wban_dataset.dataset.configuration import StudyConfiguration
from wban_dataset.dataset.dataset_file import DatasetContent
from wban_dataset.dataset.versions import software_versions
from wban_dataset.splits.fold import Role

Row = Sequence[object]


@dataclass(frozen=True, slots=True)
class CardFacts:
    """What a card tells.

    Attributes
    ----------
    claims
        What the protocol keeps apart: ``subject``, ``session``, ``date`` or ``window``.
    leaks
        Windows that leak, by kind.
    warnings
        Sentences.
    """

    study: StudyConfiguration
    content: DatasetContent
    claims: str
    leaks: Mapping[str, int]
    warnings: Sequence[str]

    @property
    def name(self) -> str:
        """What the dataset is called."""
        return self.study.name or "Activity dataset"

    @property
    def citation(self) -> str:
        """How to cite it."""
        return self.study.citation or (
            "Nothing was stated. Name the people who recorded it, and wban "
            f"{software_versions()['wban']}, which built it."
        )

    @property
    def licences(self) -> tuple[str, ...]:
        """Licences of the sessions, sorted; () where nothing was said."""
        return tuple(sorted({s.licence for s in self.content.sessions if s.licence}))

    @property
    def summary(self) -> str:
        """One or two sentences on what is in it."""
        content = self.content
        subjects = {info.subject for info in content.sessions}
        streams = ", ".join(stream.name for stream in content.streams)
        text = (
            f"{len(content.windows)} windows of {len(content.sessions)} sessions of "
            f"{len(subjects)} people, {len(content.classes)} classes; streams: {streams}."
        )
        return f"{self.study.description} {text}" if self.study.description else text


def write_card(path: Path, facts: CardFacts) -> None:
    """Write the card.

    Raises
    ------
    OSError
        If the disk refuses.
    """
    path.write_text("\n".join(_lines(facts)) + "\n", encoding="utf-8")


def _lines(facts: CardFacts) -> Iterator[str]:
    yield from (f"# {facts.name}", "", facts.summary, "")
    if facts.leaks:
        yield from _leaky(facts)
    yield from _recording(facts)
    yield from _classes(facts)
    yield from _subjects(facts)
    yield from _folds(facts)
    if facts.warnings:
        yield from ("## Warnings", "", *(f"- {warning}" for warning in facts.warnings), "")
    yield from _use(facts)


def _leaky(facts: CardFacts) -> Iterator[str]:
    leaks = ", ".join(f"{kind}: {n} windows" for kind, n in facts.leaks.items())
    yield "> **Leaky.** What is trained on shares what is tested on (" + leaks + "). A result on"
    yield "> these folds says nothing about people, or recordings, that were never seen."
    yield ""


def _recording(facts: CardFacts) -> Iterator[str]:
    content = facts.content
    hours = sum(info.duration_ns for info in content.sessions) / 3.6e12
    simulated = sum(info.source == "simulated" for info in content.sessions)
    sources = ", ".join(sorted({info.source for info in content.sessions}))
    yield from ("## Recordings", "")
    yield f"{hours:.2f} hours; source: {sources}."
    if simulated:
        yield f"{simulated} of {len(content.sessions)} sessions are simulated: no person wore them."
    yield ""
    rows = [
        (s.name, s.kind, s.units, f"{s.sampling_rate_hz:g}", _shape(s.sample_shape),
         int(s.offset[-1]), ", ".join(sorted({d for d in s.devices if d})))
        for s in content.streams
    ]  # fmt: skip
    yield from _table(("stream", "kind", "units", "Hz", "shape", "rows", "devices"), rows)
    window_s = int(content.attributes["window_ns"]) / 1e9
    stride_s = int(content.attributes["stride_ns"]) / 1e9
    rule = content.attributes["label_rule"]
    yield f"Windows of {window_s:g} s every {stride_s:g} s; label rule: {rule}."
    yield ""


def _classes(facts: CardFacts) -> Iterator[str]:
    windows = facts.content.windows
    labelled = windows.label[windows.is_labelled]
    counts = np.bincount(labelled, minlength=len(facts.content.classes))
    total = max(int(counts.sum()), 1)
    rows: list[Row] = [
        (code, name, int(n), f"{100 * n / total:.1f}")
        for code, (name, n) in enumerate(zip(facts.content.classes, counts, strict=True))
    ]
    unlabelled = len(windows) - int(counts.sum())
    if unlabelled:
        rows.append((-1, "(unlabelled)", unlabelled, ""))
    yield from ("## Classes", "")
    yield from _table(("code", "class", "windows", "%"), rows)


def _subjects(facts: CardFacts) -> Iterator[str]:
    content, windows = facts.content, facts.content.windows
    subject = np.array([info.subject for info in content.sessions])
    of_window = subject[windows.session]
    rows: list[Row] = []
    for name in sorted(set(subject.tolist())):
        own = [info for info in content.sessions if info.subject == name]
        minutes = sum(info.duration_ns for info in own) / 6e10
        labels = windows.label[(of_window == name) & windows.is_labelled]
        counts = np.bincount(labels, minlength=len(content.classes)).tolist()
        licence = ", ".join(sorted({info.licence for info in own if info.licence}))
        consent = ", ".join(sorted({info.consent for info in own if info.consent}))
        rows.append(
            (name, len(own), f"{minutes:.1f}", *counts, licence or "not stated",
             consent or "not stated")
        )  # fmt: skip
    yield from ("## Subjects", "", "Windows of each class, by subject.", "")
    columns = ("subject", "sessions", "minutes", *content.classes, "licence", "consent")
    yield from _table(columns, rows)


def _folds(facts: CardFacts) -> Iterator[str]:
    content = facts.content
    rows: list[Row] = []
    for fold in content.folds:
        counts = np.bincount(fold.role, minlength=len(Role))
        own = {role: int(counts[role]) for role in Role}
        rows.append(
            (fold.name, own[Role.TRAIN], own[Role.VALIDATION], own[Role.TEST], own[Role.UNUSED])
        )
    independent = bool(content.attributes["independent"])
    yield from ("## Folds", "")
    yield (
        f"Protocol `{content.attributes['protocol']}`, seed {content.attributes['seed']}: "
        + (
            f"no {facts.claims} is on two sides of a fold."
            if independent
            else "nothing is claimed."
        )
    )
    yield ""
    yield from _table(("fold", "train", "validation", "test", "unused"), rows)


def _use(facts: CardFacts) -> Iterator[str]:
    licences = ", ".join(facts.licences) or "not stated; ask who recorded it before you use it"
    yield from ("## Use", "", f"Licence: {licences}.", "")
    if content_folds := facts.content.folds:
        fold = content_folds[0].name
        yield from ("```python", "from wban_dataset import load_dataset", "")
        yield 'dataset = load_dataset("this folder")'
        yield f'train = dataset.arrays("{fold}", "train", normalise="train")'
        yield f'test = dataset.arrays("{fold}", "test", normalise="train")'
        yield from ("```", "")
    yield from ("## How to cite", "")
    yield facts.citation
    yield ""
    yield f"`{layout.MANIFEST_FILE}` says what it was made from and with which options."


def _shape(shape: Sequence[int]) -> str:
    return " x ".join(str(length) for length in shape)


def _table(columns: Row, rows: Sequence[Row]) -> Iterator[str]:
    yield "| " + " | ".join(str(column) for column in columns) + " |"
    yield "| " + " | ".join("---" for _ in columns) + " |"
    for row in rows:
        # A bar would end the cell, whoever named a class or a subject so.
        cells = (str(cell).replace("|", "\\|").replace("\n", " ") for cell in row)
        yield "| " + " | ".join(cells) + " |"
    yield ""
