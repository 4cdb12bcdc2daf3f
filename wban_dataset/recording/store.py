"""What `Session` reads from: a sealed file or a journal, behind one face."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

Values = NDArray[Any] | list[str]
Table = dict[str, Values]


class Store(Protocol):
    """A recording as groups of columns, named as in `layout`."""

    @property
    def path(self) -> Path:
        """The file, or the folder with the journal."""
        ...

    @property
    def is_sealed(self) -> bool:
        """Whether it is a sealed file."""
        ...

    def root(self) -> dict[str, Any]:
        """Give the session's attributes."""
        ...

    def configuration(self) -> str:
        """Give the configuration that was recorded with, as TOML."""
        ...

    def stream_names(self) -> tuple[str, ...]:
        """Give the names of the streams that were recorded."""
        ...

    def stream_attributes(self, stream: str) -> dict[str, Any]:
        """Give the attributes of a stream's group."""
        ...

    def n_rows(self, stream: str) -> int:
        """Give the number of a stream's samples."""
        ...

    def sample_shape(self, stream: str) -> tuple[int, ...]:
        """Give the shape of one sample of ``data``."""
        ...

    def scaling(self, stream: str) -> tuple[str, float, float]:
        """Give units, scale factor and offset of ``data``."""
        ...

    def column(self, stream: str, name: str) -> Values:
        """Give a whole column that is not bulk."""
        ...

    def reads(self, stream: str) -> dict[str, NDArray[Any]]:
        """Give the evidence of a stream's stamps."""
        ...

    def rows(self, stream: str, name: str, start: int, stop: int) -> NDArray[Any]:
        """Give rows [start, stop) of a column along time."""
        ...

    def table(self, name: str) -> Table:
        """Give one of `layout.TABLES`."""
        ...

    def close(self) -> None:
        """Let go of the file."""
        ...
