"""Where a command writes a folder of its own."""

from __future__ import annotations

from pathlib import Path

import click

output_folder_option = click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="A new folder; made whole or not at all.",
)
