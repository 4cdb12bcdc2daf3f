"""What is wrong in a configuration, as one sentence: the key, what was found, what is allowed."""

from __future__ import annotations

import difflib
import re
from typing import Any, Literal, get_args, get_origin

import msgspec

_AT = re.compile(r" - at `\$(?P<path>[^`]*)`\Z")
_UNKNOWN = re.compile(r"unknown field `(?P<key>[^`]*)`")
_WORDS = {
    "bool | int | float | str": "a text, a number, or true or false",
    "array": "a list",
    "object": "a table",
    "str": "a text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
}
_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d*|\.\.\.)\]")


def explain(message: str, root: type[msgspec.Struct], table: dict[str, Any]) -> str:
    """Turn msgspec's complaint about `table` as a `root` into one sentence for a person."""
    at = _AT.search(message)
    path = at["path"].removesuffix("[...]") if at else ""
    complaint = message[: at.start()] if at else message
    expected = _type_at(root, path)
    found = _value_at(table, path)
    unknown = _UNKNOWN.search(complaint)
    if unknown:
        where = f"{path.lstrip('.')}.{unknown['key']}".lstrip(".")
        return f"unknown key {where}: {_allowed_keys(expected, unknown['key'])}."
    where = path.lstrip(".")
    allowed = _allowed_values(expected)
    if allowed:
        return f"{where} is {found!r}, expected one of {allowed}."
    return f"{where} is {found!r}: {_in_words(complaint)}."


def _in_words(complaint: str) -> str:
    """Use TOML's words for msgspec's types."""
    for word, name in _WORDS.items():
        complaint = complaint.replace(f"`{word}`", name)
    complaint = complaint.replace(
        "xpected a list", "xpected a list (tables: double brackets, [[...]])"
    )
    return complaint[0].lower() + complaint[1:]


def _allowed_keys(struct: Any, wrong: str) -> str:
    if not (isinstance(struct, type) and issubclass(struct, msgspec.Struct)):
        return "it is not allowed here"
    names = [field.encode_name for field in msgspec.structs.fields(struct)]
    nearest = difflib.get_close_matches(wrong, names, n=1)
    hint = f"did you mean {nearest[0]}? " if nearest else ""
    return f"{hint}allowed here are {', '.join(names)}"


def _allowed_values(expected: Any) -> str:
    members = [expected, *get_args(expected)]
    for member in members:
        if get_origin(member) is Literal:
            return ", ".join(str(value) for value in get_args(member))
    return ""


def _type_at(root: Any, path: str) -> Any:
    """Type that the configuration expects at a path such as ``.thermal[0].address``."""
    current = root
    for key, _index in _STEP.findall(path):
        if key and isinstance(current, type) and issubclass(current, msgspec.Struct):
            types = {f.encode_name: f.type for f in msgspec.structs.fields(current)}
            current = types.get(key)
        else:
            arguments = get_args(current)
            current = arguments[0] if arguments else None
    return current


def _value_at(table: Any, path: str) -> Any:
    current = table
    for key, index in _STEP.findall(path):
        try:
            current = current[key] if key else current[int(index or 0)]
        except (KeyError, IndexError, TypeError, ValueError):
            return None
    return current
