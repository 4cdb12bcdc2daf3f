"""wban-dataset pseudonymise and forget: who was recorded."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wban_dataset.cli.exports import progress_shown
from wban_dataset.cli.output_option import output_folder_option
from wban_dataset.recording.wording import counted

if TYPE_CHECKING:
    from wban_dataset.privacy.traces import Found

DONE, FAILED, FOUND = 0, 1, 3

REMARKS = {
    "SESSION": "session",
    "CACHE": "what an interrupted build has left, of whom is not told",
    "DATASET": "dataset with the subject in it; build it again from the sessions that stay",
    "EXPORT": "export",
    "ROW": "row of a table",
}


@click.command(
    epilog="""\b
For example:
  wban-dataset pseudonymise recordings --key ~/study-key.json -o shareable"""
)
@click.argument("sessions", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option(
    "--key",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="Who is who. Made if it is not there; the same key gives the same names. Keep it apart.",
)
@output_folder_option
@click.option(
    "--dates",
    type=click.Choice(["shift", "remove", "keep"]),
    default="shift",
    show_default=True,
    help="Move all of a person's dates by one number of days, or leave dates out.",
)
def pseudonymise(sessions: tuple[Path, ...], key: Path, output: Path, dates: Any) -> None:
    """Write sealed SESSIONS under new names, ids and dates.

    Subjects become P001, P002 and so on. Samples and labels stay as they are; host, annotators'
    names, remarks, serial numbers and whatever names somebody in the configuration go.
    docs/privacy.md says what a recording tells all the same: pictures show people. Leave them out
    with 'wban-dataset export --without'.
    """
    from wban_dataset.privacy.pseudonyms import pseudonymise as run

    with progress_shown("writing") as shown:
        done = run(sessions, output, key, dates=dates, progress=shown)
    people = counted(done.n_subjects, "person", "people")
    click.echo(f"{output}: {counted(done.n_sessions, 'session')} of {people}")
    click.echo(f"{key} tells who is who: keep it where the sessions are not")


@click.command(epilog="For example:  wban-dataset forget S01 recordings datasets exports")
@click.argument("subject")
@click.argument(
    "places",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
)
@click.option("--yes", is_flag=True, help="Remove what was found. It cannot be brought back.")
@click.option(
    "--key",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Look under the new name that this key gives too, and remove it from the key.",
)
@click.option("--json", "as_json", is_flag=True, help="The same as JSON.")
def forget(
    subject: str, places: tuple[Path, ...], yes: bool, key: Path | None, as_json: bool
) -> None:
    """List what there is of SUBJECT in PLACES, or remove it.

    Nothing is removed without --yes; with it sessions go first. Found are sessions, sealed or not,
    datasets with the subject in them, what interrupted builds left, exports, rows of subjects.csv
    and participants.tsv, and receipts. Links are not followed.

    Exit codes: 0 nothing is left, 1 something could not be looked into or removed, 3 listed only.
    """
    from wban_dataset.privacy.forgetting import remove, remove_from_key
    from wban_dataset.privacy.key import read_key
    from wban_dataset.privacy.traces import find_traces

    names = [subject]
    if key is not None:
        known = read_key(key).subjects
        names += [known[subject].name] if subject in known else []
    found = find_traces(names, places)
    problems = list(found.unread)
    if yes:
        problems += remove(found.traces)
        if key is not None and not problems:
            remove_from_key(key, subject, found.session_ids)
    if as_json:
        click.echo(json.dumps(_as_dict(subject, found, problems, removed=yes)))
    else:
        _show(subject, found, yes)
    for problem in problems:
        click.echo(f"Error: {problem}", err=True)
    sys.exit(FAILED if problems else FOUND if found.traces and not yes else DONE)


def _show(subject: str, found: Found, removed: bool) -> None:
    if not found.traces:
        click.echo(f"nothing of {subject} was found")
        return
    for trace in found.traces:
        click.echo(f"{trace.path}: {REMARKS[trace.kind.name]}")
    counts = Counter(trace.kind.name.lower() for trace in found.traces)
    summary = ", ".join(f"{n} {kind}{'s' if n > 1 else ''}" for kind, n in counts.items())
    if removed:
        click.echo(f"removed: {summary}")
    else:
        click.echo(f"found: {summary}; nothing was removed. To remove them, add --yes")


def _as_dict(subject: str, found: Found, problems: list[str], *, removed: bool) -> dict[str, Any]:
    return {
        "subject": subject,
        "removed": removed,
        "found": [{"kind": t.kind.name.lower(), "path": str(t.path)} for t in found.traces],
        "rebuild": [str(t.path) for t in found.traces if t.kind.name == "DATASET"],
        "problems": problems,
    }
