"""What a recorded session is, and everything that is done with it.

>>> from wban_dataset import Session, build, load_dataset  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wban_dataset.dataset.building import build as build
    from wban_dataset.dataset.opened import load_dataset as load_dataset
    from wban_dataset.recording.session import Session as Session

__all__ = ["Session", "build", "load_dataset"]

_HOMES = {
    "Session": "wban_dataset.recording.session",
    "build": "wban_dataset.dataset.building",
    "load_dataset": "wban_dataset.dataset.opened",
}


def __getattr__(name: str) -> Any:
    """Load a public name when it is first asked for; importing the package loads nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
