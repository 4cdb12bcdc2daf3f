# pyright: basic, reportArgumentType=false, reportCallIssue=false
# pandas is untyped where the C parser is reached.
"""Numbers and words in rows of text.

The rows are parsed by pandas' C parser; only where that finds something wrong are they looked at
one by one, to tell which.
"""

from __future__ import annotations

import importlib
import io
import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wban_dataset.errors import DatasetError

WHITESPACE = r"\s+"
AUTOMATIC = "auto"
FIRST_BYTES = 1 << 16
SHOWN_CHARACTERS = 40


def pandas() -> Any:
    """Give the module pandas.

    Raises
    ------
    DatasetError
        If it is not installed.
    """
    try:
        return importlib.import_module("pandas")
    except ModuleNotFoundError as error:
        raise DatasetError(
            "reading text needs pandas, which is not installed, expected the extra 'analysis'. "
            "Install it with: pip install 'wban[analysis]'."
        ) from error


def numbers(
    text: bytes, name: str, *, n_columns: int | None = None, delimiter: str = WHITESPACE
) -> NDArray[np.float64]:
    """Parse rows of numbers and nothing else, (rows, columns).

    Parameters
    ----------
    name
        Of the file, for messages.
    n_columns
        How many each row must have; by default as many as the first.

    Raises
    ------
    DatasetError
        If a row has other columns, or what is no finite number.
    """
    pd = pandas()
    try:
        frame = pd.read_csv(
            io.BytesIO(text), sep=delimiter, header=None, dtype=np.float64, na_filter=False
        )
        values: NDArray[np.float64] = frame.to_numpy()
    except (ValueError, UnicodeDecodeError) as error:
        raise _first_complaint(text, name, n_columns, delimiter, error) from error
    if (n_columns or values.shape[1]) != values.shape[1] or not np.isfinite(values).all():
        raise _first_complaint(text, name, n_columns, delimiter, None)
    return values


def _first_complaint(
    text: bytes, name: str, n_columns: int | None, delimiter: str, error: Exception | None
) -> DatasetError:
    """Find the row that is not as it should be."""
    for row, fields in _rows(text, delimiter):
        n_columns = n_columns or len(fields)
        if len(fields) != n_columns:
            return DatasetError(
                f"{name}, row {row}: it has {len(fields)} columns, expected {n_columns}. "
                "Mend the row."
            )
        bad = next((field for field in fields if not is_finite(field)), None)
        if bad is not None:
            return DatasetError(
                f"{name}, row {row}: it says {bad[:SHOWN_CHARACTERS]!r}, expected a finite number. "
                "Mend or remove the row."
            )
    return DatasetError(
        f"{name}: {error or 'it has no rows'}, expected rows of numbers. Fetch the file again."
    )


def is_finite(field: str) -> bool:
    """Whether a text is a finite number."""
    try:
        return math.isfinite(float(field))
    except ValueError:
        return False


def _rows(text: bytes, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Rows that are not empty, with their number in the file from 1."""
    lines = text.decode("utf-8", "replace").splitlines()
    for number, line in enumerate(lines, start=1):
        if line.strip():
            fields = line.split() if delimiter == WHITESPACE else line.split(delimiter)
            yield number, fields


class TextTable:
    """Columns of a text in rows, by name or by number from 1.

    Parameters
    ----------
    name
        Of the file, for messages.
    delimiter
        One character, `WHITESPACE`, or `AUTOMATIC`: what the first row has most of.
    header
        Whether the first row names the columns.
    skip_rows
        Rows before that, which are not read.

    Raises
    ------
    DatasetError
        If it has no rows, or they cannot be told apart.
    """

    def __init__(
        self,
        text: bytes,
        name: str,
        *,
        delimiter: str = AUTOMATIC,
        header: bool = True,
        skip_rows: int = 0,
    ) -> None:
        self.name = name
        self._text = text
        self._delimiter = (
            delimiter if delimiter != AUTOMATIC else _likely_delimiter(text, skip_rows)
        )
        self._n_before = skip_rows + header
        try:
            self._frame = pandas().read_csv(
                io.BytesIO(text),
                sep=self._delimiter,
                header=0 if header else None,
                skiprows=skip_rows,
                skipinitialspace=True,
                encoding="utf-8-sig",
                encoding_errors="replace",
                low_memory=False,  # otherwise a column's type may change from piece to piece
            )
        except ValueError as error:
            raise self._unreadable(error) from error
        if self._frame.empty:
            raise DatasetError(
                f"{name}: it has no rows, expected at least two of them. Leave the file out."
            )
        self._has_header = header
        self.columns: tuple[str, ...] = tuple(str(column).strip() for column in self._frame.columns)

    def __len__(self) -> int:
        """Count the rows."""
        return len(self._frame)

    def numbers(self, column: str | int) -> NDArray[np.float64]:
        """Give a column of numbers, NaN where nothing stands, (rows,).

        Raises
        ------
        DatasetError
            If there is no such column, or a row of it is no number.
        """
        return self.plain_numbers(column).astype(np.float64)

    def plain_numbers(self, column: str | int) -> NDArray[Any]:
        """Give a column of numbers, int64 where all are whole: beyond 2^53 these stay exact."""
        values: NDArray[Any] = self._frame.iloc[:, self._place(column)].to_numpy()
        if values.dtype.kind not in "iuf":
            raise self._no_number(column, values)
        return values

    def words(self, column: str | int) -> list[str]:
        """Give a column as text; "" where nothing stands.

        Raises
        ------
        DatasetError
            If there is no such column.
        """
        series = self._frame.iloc[:, self._place(column)]
        missing = series.isna().to_numpy()
        values = series.to_numpy()
        # Whole numbers of a column in which one is missing come as floats.
        return [
            "" if gone else f"{value:g}" if isinstance(value, float) else str(value).strip()
            for value, gone in zip(values.tolist(), missing, strict=True)
        ]

    def row(self, index: int) -> int:
        """Say which row of the file a row of the table is, counted from 1, empty ones as well."""
        lines = self._text.decode("utf-8", "replace").splitlines()
        filled = (number for number, line in enumerate(lines, start=1) if line.strip())
        return next(itertools.islice(filled, self._n_before + index, None), index + 1)

    def _place(self, column: str | int) -> int:
        wanted = str(column).strip()
        if self._has_header and wanted in self.columns:
            return self.columns.index(wanted)
        if wanted.isdecimal() and 1 <= int(wanted) <= len(self.columns):
            return int(wanted) - 1
        found = ", ".join(self.columns) if self._has_header else f"{len(self.columns)} columns"
        raise DatasetError(
            f"{self.name}: there is no column {wanted!r} (found: {found[:200]}), expected a name "
            "from its first row or a number from 1. Correct the format."
        )

    def _no_number(self, column: str | int, values: NDArray[Any]) -> DatasetError:
        bad = next(
            (i for i, value in enumerate(values) if not _is_number_or_nothing(value)), len(values)
        )
        shown = str(values[bad])[:SHOWN_CHARACTERS] if bad < len(values) else "nothing"
        return DatasetError(
            f"{self.name}, row {self.row(bad)}: column {column} says {shown!r}, expected a number. "
            "Mend or remove the row."
        )

    def _unreadable(self, error: ValueError) -> DatasetError:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else "no rows"
        return DatasetError(
            f"{self.name}: it cannot be read as a table ({reason}), expected rows of as many "
            "columns each. Mend it, or give its delimiter and the rows to skip."
        )


def _is_number_or_nothing(value: Any) -> bool:
    if isinstance(value, str):
        try:
            float(value)
        except ValueError:
            return False
    return not isinstance(value, bool)


def _likely_delimiter(text: bytes, skip_rows: int) -> str:
    """Guess the delimiter by the first row that is read."""
    lines = (line for line in text[:FIRST_BYTES].decode("utf-8", "replace").splitlines())
    first = next(itertools.islice((line for line in lines if line.strip()), skip_rows, None), "")
    n_found, delimiter = max((first.count(character), character) for character in ",;\t")
    return delimiter if n_found else WHITESPACE
