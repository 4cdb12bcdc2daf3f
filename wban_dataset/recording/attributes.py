# pyright: basic, reportAttributeAccessIssue=false
# h5py has no types for its low-level calls.
"""Attributes of HDF5 objects through h5py's low-level calls, for a session has hundreds of them."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import h5py
import numpy as np
from h5py import h5a, h5s, h5t

SCALE_ATTRIBUTES = frozenset({"CLASS", "NAME", "DIMENSION_LIST", "REFERENCE_LIST"})
"""What HDF5 keeps for its dimension scales; references are addresses."""

TEXT = h5py.string_dtype()


def set_attribute(item: Any, name: str, value: Any) -> str:
    """Set an attribute that is not there yet; return its exact text.

    Parameters
    ----------
    item
        Low-level id of a group, a dataset or a file.
    """
    array = np.asarray(value, dtype=TEXT if _is_text(value) else None, order="C")
    space = h5s.create_simple(array.shape)
    h5a.create(item, name.encode(), stored_type(array.dtype), space).write(array)
    return _text(array[()])


def attributes(item: Any) -> dict[str, Any]:
    """Give all attributes by name, sorted, without those of dimension scales.

    Parameters
    ----------
    item
        Low-level id of a group, a dataset or a file.
    """
    found: list[bytes] = []
    h5a.iterate(item, found.append)
    names = sorted(name.decode() for name in found)
    return {
        name: _value(h5a.open(item, name.encode()))
        for name in names
        if name not in SCALE_ATTRIBUTES
    }


def attribute_texts(item: Any) -> dict[str, str]:
    """Exact text of each of `attributes`."""
    return {name: _text(value) for name, value in attributes(item).items()}


def stored_type(dtype: np.dtype[Any]) -> h5t.TypeID:
    """Type that values have in the file; of objects it is text."""
    return _type_of(dtype.str)


@lru_cache
def _type_of(name: str) -> h5t.TypeID:
    dtype = np.dtype(name)
    return h5t.py_create(TEXT if dtype.kind == "O" else dtype, logical=True)


def _is_text(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return bool(value) and all(isinstance(item, str) for item in value)
    return isinstance(value, str)


def _value(attribute: h5a.AttrID) -> Any:
    """Give a value as h5py does: text as str, in an array of objects where there are several."""
    shape, dtype = attribute.shape, attribute.dtype
    if shape is None:
        return h5py.Empty(dtype)
    array = np.zeros(shape, dtype=dtype)
    attribute.read(array)
    if dtype.kind == "O":
        texts = [stored.decode("utf-8", "surrogateescape") for stored in array.flat]
        return np.array(texts, dtype=object).reshape(shape) if shape else texts[0]
    return array[()]


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, np.ndarray):
        return "[" + ",".join(_text(item) for item in value.ravel().tolist()) + "]"
    if isinstance(value, np.generic):
        return _text(value.item())
    return repr(value)
