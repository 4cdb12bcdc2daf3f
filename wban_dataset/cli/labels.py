"""wban-dataset labels: who did what when, to other tools and back, compared and proposed."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from wban_dataset.cli.sections import SectionedGroup
from wban_dataset.cli.session import opened, session_argument
from wban_dataset.recording.wording import counted, printable

if TYPE_CHECKING:
    from wban_dataset.labels.agreement import Agreement, BorderAgreement
    from wban_dataset.recording.streams import Label

MOST_LINES = 20
"""Of changes that are listed one by one."""

FORMAT_NAMES = ("elan", "label-studio", "events")


@click.group(cls=SectionedGroup, epilog="The rules by which labels count:  docs/labels.md")
def labels() -> None:
    """Show, exchange, compare and propose labels."""


@labels.command(epilog="Example:  wban-dataset labels show recordings/S01_eating")
@session_argument
@click.option("--proposals", is_flag=True, help="Those of proposals.csv instead.")
@click.option("--json", "as_json", is_flag=True, help="A line of JSON for each label.")
def show(session: Path, proposals: bool, as_json: bool) -> None:
    """List the labels of SESSION that count, from its first sample on.

    Labels in labels.csv stand over those that were recorded.
    """
    from wban_dataset.labels.proposals import read_proposals
    from wban_dataset.labels.session_labels import labels_of, span_ns

    with opened(session) as found:
        listed = read_proposals(found) if proposals else [x for x in labels_of(found) if x.label]
        origin_ns = span_ns(found)[0]
    if as_json:
        for label in listed:
            click.echo(json.dumps(asdict(label), ensure_ascii=False))
        return
    for number, label in enumerate(listed, start=1):
        click.echo(f"{number:4}  {_line(label, origin_ns)}")
    click.echo(f"{len(listed)} {'proposals' if proposals else 'labels'}")


@labels.command(epilog="Example:  wban-dataset labels export S01_eating --to elan -o S01.eaf")
@session_argument
@click.option("--to", "name", type=click.Choice(FORMAT_NAMES), required=True, help="The format.")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="The file: .eaf for elan, .json for label-studio, .tsv for events.",
)
def export(session: Path, name: str, output: Path) -> None:
    """Write the labels of SESSION as a file of another tool, and say what it cannot hold.

    Times in the file count from the session's first sample.
    """
    from wban_dataset.labels.exchange import FORMATS, document_of
    from wban_dataset.recording.whole_file import write_whole

    form = FORMATS[name]
    if output.suffix.lower() != form.suffix:
        raise click.BadParameter(
            f"{output.name!r} ends in {output.suffix!r}; expected {form.suffix} for {name}.",
            param_hint="--output",
        )
    description = form.description() if form.description else None
    beside = output.with_suffix(".json")
    if description is not None:
        _check_replaceable(beside, description)
    with opened(session) as found:
        document = document_of(found)
        content = form.write(document)
    write_whole(output, content)
    n_labels = sum(len(own) for own in document.annotations.values())
    by = counted(len(document.annotations), "annotator")
    click.echo(f"{output}: {counted(n_labels, 'label')} by {by}")
    if description is not None:
        write_whole(beside, description)
        click.echo(f"{beside}: what its columns are")
    for lost in form.cannot_hold:
        click.echo(f"note: {lost}")


@labels.command("import", epilog="Example:  wban-dataset labels import S01_eating S01.eaf")
@session_argument
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--annotator", help="Who made all labels of FILE; default: whom it names.")
@click.option("--classes", help="Names that labels may have, by comma; default: any.")
@click.option("--json", "as_json", is_flag=True, help="The changes as JSON.")
def import_file(
    session: Path, file: Path, annotator: str | None, classes: str | None, as_json: bool
) -> None:
    """Take the labels of FILE into the labels.csv of SESSION, and say what that changes.

    FILE is known by its ending: .eaf (ELAN), .json (Label Studio), .tsv (BIDS events). What the
    annotators in it said before is replaced; session.h5 is not touched.
    """
    from wban_dataset.labels.exchange import import_labels
    from wban_dataset.labels.session_labels import span_ns

    with opened(session) as found:
        names = _names(classes)
        changes = import_labels(found, file, annotator=annotator, classes=names)
        origin_ns = span_ns(found)[0]
    if as_json:
        click.echo(json.dumps(asdict(changes), ensure_ascii=False))
        return
    for sign, changed in (("-", changes.removed), ("+", changes.added)):
        _list(sign, changed, origin_ns)
    click.echo(
        f"{counted(changes.unchanged, 'label')} as before, {len(changes.removed)} removed, "
        f"{len(changes.added)} added"
    )
    for note in changes.notes:
        click.echo(f"left aside: {note}")


@labels.command(epilog="Example:  wban-dataset labels agree S01_eating --between anna --and ben")
@session_argument
@click.option("--between", "first", required=True, help="One annotator ('unnamed' for no name).")
@click.option("--and", "second", required=True, help="The other.")
@click.option("--json", "as_json", is_flag=True, help="The same as JSON.")
def agree(session: Path, first: str, second: str, as_json: bool) -> None:
    """Say how far two annotators of SESSION agree: Cohen's kappa over time, and their borders."""
    from wban_dataset.labels.agreement import agreement
    from wban_dataset.labels.session_labels import annotations_of, labels_by
    from wban_dataset.labels.timeline import timeline

    with opened(session) as found:
        said = annotations_of(found)
        pair = [labels_by(found, said, name) for name in (first, second)]
        where = f"session {found.path}"
    classes = sorted({label.label for own in pair for label in own})
    one, other = (timeline(own, classes, where=where) for own in pair)
    result = agreement(one, other)
    if as_json:
        click.echo(json.dumps(_without_nan(asdict(result)), ensure_ascii=False))
    else:
        _show_agreement(result, first, second)


@labels.command(epilog="Example:  wban-dataset labels propose S01_eating")
@session_argument
@click.option("--stream", help="The accelerometer to look at; default: the first.")
@click.option(
    "--penalty",
    type=click.FloatRange(min=0, min_open=True),
    default=2.0,
    show_default=True,
    help="More gives fewer borders.",
)
def propose(session: Path, stream: str | None, penalty: float) -> None:
    """Look for changes in the signal of SESSION and propose labels between them.

    They are written as proposals.csv, replacing earlier ones, and count for nothing until
    'wban-dataset labels accept'. Those without a label wait for one: fill it in in the file.
    """
    from wban_dataset.labels import proposals
    from wban_dataset.labels.sidecar import write_labels

    with opened(session) as found:
        proposed = proposals.propose(found, proposals.accelerometer(found, stream), penalty)
        path = proposals.proposals_path(found)
        write_labels(path, proposed)
    n_unnamed = sum(not label.label for label in proposed)
    click.echo(f"{path}: {counted(len(proposed), 'proposal')}, {n_unnamed} of them without a label")
    click.echo(f"see them:    wban-dataset labels show --proposals {shlex.quote(str(session))}")
    click.echo(
        f"accept them: wban-dataset labels accept {shlex.quote(str(session))} --annotator NAME"
    )


@labels.command(
    epilog="Example:  wban-dataset labels accept S01_eating --annotator anna --only 2,5-7"
)
@session_argument
@click.option("--annotator", required=True, help="Who accepts them.")
@click.option("--only", help="Numbers of proposals, e.g. 2,5-7; default: all with a label.")
def accept(session: Path, annotator: str, only: str | None) -> None:
    """Take proposals into the labels.csv of SESSION as labels of the person who accepts them."""
    from wban_dataset.labels import proposals
    from wban_dataset.labels.session_labels import span_ns

    numbers = None if only is None else _numbers(only)
    with opened(session) as found:
        result = proposals.accept(found, annotator, numbers)
        origin_ns = span_ns(found)[0]
    _list("+", result.accepted, origin_ns)
    click.echo(f"{len(result.accepted)} accepted, {counted(result.left, 'proposal')} left")
    if result.unnamed:
        click.echo(f"{result.unnamed} of them have no label yet: fill it in in proposals.csv")


def _check_replaceable(description: Path, content: bytes) -> None:
    """Check that a file that stands beside the one asked for is not somebody else's."""
    if description.exists() and description.read_bytes() != content:
        raise click.BadParameter(
            f"{description} is there already and is no description of events; expected a name "
            "whose .json is free.",
            param_hint="--output",
        )


def _line(label: Label, origin_ns: int) -> str:
    from wban_dataset.labels.timeline import stated_uncertainty_ns

    start_s, stop_s = (label.start_ns - origin_ns) / 1e9, (label.stop_ns - origin_ns) / 1e9
    details = [label.annotator, label.source]
    if stated_uncertainty_ns(label):
        details.append(f"borders to {stated_uncertainty_ns(label) / 1e9:.3g} s")
    if label.confidence != 1.0:
        details.append(f"confidence {label.confidence:g}")
    name = label.label or "(no label)"
    told = printable(f"{name}  ({', '.join(filter(None, details))})")
    return f"{start_s:11.3f} to {stop_s:11.3f} s  {told}"


def _list(sign: str, changed: Sequence[Label], origin_ns: int) -> None:
    for label in changed[:MOST_LINES]:
        click.echo(f"{sign} {_line(label, origin_ns)}")
    if len(changed) > MOST_LINES:
        click.echo(f"{sign} and {len(changed) - MOST_LINES} more")


def _names(classes: str | None) -> list[str] | None:
    return None if classes is None else [name.strip() for name in classes.split(",")]


def _numbers(text: str) -> set[int]:
    """Read ``2,5-7``."""
    numbers: set[int] = set()
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        if not first.isdecimal() or (last and not last.isdecimal()) or len(part) > 20:
            raise click.BadParameter(
                f"{text!r} is no list of numbers; expected e.g. 2,5-7.", param_hint="--only"
            )
        numbers.update(range(int(first), min(int(last or first), 10**6) + 1))
    return numbers


def _show_agreement(result: Agreement, first: str, second: str) -> None:
    click.echo(
        f"both labelled {result.both_ns / 1e9:.1f} s, only {first} {result.only_a_ns / 1e9:.1f} s, "
        f"only {second} {result.only_b_ns / 1e9:.1f} s"
    )
    if not result.both_ns:
        click.echo("there is no time that both labelled")
        return
    click.echo(f"agree in {result.observed:.1%} of it; kappa {_kappa(result.kappa)}")
    click.echo(f"borders: {_borders(result.borders, first, second)}")
    for name, own in result.by_class.items():
        click.echo(
            f"{name}: kappa {_kappa(own.kappa)}; onsets: {_borders(own.onsets, first, second)}"
        )


def _kappa(kappa: float) -> str:
    return "not defined (nothing else to confuse it with)" if math.isnan(kappa) else f"{kappa:.3f}"


def _borders(borders: BorderAgreement, first: str, second: str) -> str:
    alone = f"{borders.n_only_a} only by {first}, {borders.n_only_b} only by {second}"
    if not borders.n_matched:
        return f"none by both, {alone}"
    return (
        f"{borders.n_matched} by both, {borders.median_ns / 1e9:.3f} s apart at the median "
        f"({borders.p90_ns / 1e9:.3f} s p90), {alone}"
    )


def _without_nan(value: Any) -> Any:
    """JSON has no NaN: what is not known is null."""
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in cast("dict[str, Any]", value).items()}
    return None if isinstance(value, float) and math.isnan(value) else value
