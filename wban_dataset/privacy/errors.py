"""What can be wrong where people's privacy is at stake."""

from __future__ import annotations

from wban_dataset.errors import DatasetError


class PrivacyError(DatasetError):
    """A key, or a place to look into, that cannot be used."""
