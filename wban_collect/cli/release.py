"""wban-collect release: note which sessions on this disk were verified elsewhere."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from wban_collect.cli.configuration import config_option, configured
from wban_collect.errors import ConfigError
from wban_collect.keeping.catalogue import Catalogue
from wban_dataset.recording.errors import ReceiptError, system_error
from wban_dataset.recording.receipts import Receipt, read_receipts, write_own_receipt
from wban_dataset.recording.summary_file import SessionSummary
from wban_dataset.recording.wording import counted

RELEASED, FAILED = 0, 1


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--out",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder with the sessions.  [default: storage.out of the configuration]",
)
@config_option
def release(file: Path, out: Path | None, config_path: Path | None) -> None:
    """Take the receipt FILE of 'wban-dataset verify --receipt' to the sessions on this disk.

    A session whose copy was found intact and holds all that is here may be removed when the disk
    is full, if storage.when_full says so; nothing is removed now.

    Exit codes: 0 every session that is here fits, 1 one does not or cannot be marked, 2 FILE is no
    receipt, or an empty one.
    """
    try:
        receipts = {receipt.session_id: receipt for receipt in read_receipts(file)}
    except ReceiptError as error:
        raise ConfigError(str(error)) from error
    if not receipts:
        raise ConfigError(
            f"receipt {file}: there is no row in it, expected one for each copy that was found "
            "intact. Verify the copies with 'wban-dataset verify --receipt', and use what it "
            "writes."
        )
    out = out or Path(configured(config_path).storage.out)
    here = {s.session_id: (folder, s) for folder, s in Catalogue(out).sealed().items()}
    codes = [
        _release(*here[session_id], receipt)
        for session_id, receipt in receipts.items()
        if session_id in here
    ]
    n_elsewhere = len(receipts) - len(codes)
    if n_elsewhere:
        are = "is" if n_elsewhere == 1 else "are"
        click.echo(f"{counted(n_elsewhere, 'session')} of {file} {are} not in {out}.")
    sys.exit(max(codes, default=RELEASED))


def _release(folder: Path, summary: SessionSummary, receipt: Receipt) -> int:
    try:
        misfit = receipt.misfit(summary, folder)
        if not misfit:
            write_own_receipt(folder, receipt)
    except OSError as error:
        misfit = system_error(error).rstrip(".")
    if misfit:
        click.echo(
            f"Error: {folder}: it is not released: {misfit}, expected a copy of all that is here. "
            "Copy it again, then verify the copy with --receipt.",
            err=True,
        )
        return FAILED
    click.echo(f"{folder}: released, its copy was intact on {receipt.verified_utc}")
    return RELEASED
