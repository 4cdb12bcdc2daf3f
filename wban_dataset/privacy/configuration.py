"""The configuration that a session was recorded with, without names of people and places."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from typing import Any, cast

import tomli_w

KEPT_TEXTS = frozenset(
    {"driver", "name", "placement", "pattern", "rule", "sensor", "tuning_file", "activities"}
)
"""Keys whose texts say how was recorded; other texts may say who, where and for whom."""

LEFT_OUT = ("control", "unattended", "simulation")
"""Tables that say who may speak to the recorder, and whom it records."""


def impersonal(configuration: str) -> str:
    """Give the configuration with its numbers, and the texts that are known to name nobody.

    What cannot be understood is left out altogether.
    """
    try:
        found = tomllib.loads(configuration)
    except tomllib.TOMLDecodeError:
        return ""
    return tomli_w.dumps(_table({k: v for k, v in found.items() if k not in LEFT_OUT}))


def _table(table: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: _value(value) for key, value in table.items() if key in KEPT_TEXTS or _nameless(value)
    }


def _value(value: Any) -> Any:
    if isinstance(value, dict):
        return _table(cast("dict[str, Any]", value))
    if isinstance(value, list):
        return [_value(item) for item in cast("list[Any]", value)]
    return value


def _nameless(value: Any) -> bool:
    """Whether a value is, or leads to, numbers only; tables are looked into one key at a time."""
    if isinstance(value, list):
        return all(_nameless(item) for item in cast("list[Any]", value))
    return isinstance(value, bool | int | float | dict)
