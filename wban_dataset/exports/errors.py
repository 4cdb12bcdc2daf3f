"""What can be wrong with an export."""

from __future__ import annotations

from wban_dataset.errors import DatasetError


class ExportError(DatasetError):
    """An export that cannot be made; nothing of it was left."""
