"""What can be wrong while sessions are moved.

::

    TransferError         nothing more can be moved: host, program, disk
    └── FetchError        one session could not be moved; the next may be
"""

from __future__ import annotations

from wban_dataset.errors import DatasetError


class TransferError(DatasetError):
    """Sessions cannot be moved from or to a place."""


class FetchError(TransferError):
    """One session cannot be moved, or its copy is not what it should be."""
