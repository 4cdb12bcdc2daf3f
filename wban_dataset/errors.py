"""What can be wrong with what a user asks of the toolkit."""

from __future__ import annotations


class DatasetError(Exception):
    """A source, label, study, dataset or option that cannot be used.

    Its text is one sentence: the thing (file and row), what was found, what was expected, the next
    step. What is wrong inside a recorded session is a `RecordingError`.
    """


class LeakError(DatasetError):
    """A split shares between its parts what it claims not to share."""
