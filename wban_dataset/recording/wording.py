"""Words for a terminal: numbers with their nouns, and texts that others wrote."""

from __future__ import annotations

import unicodedata

CONTROLS = ("Cc", "Zl", "Zp", "Cs")
"""Unicode's categories of what is no text: controls, breaks of lines, halves of characters."""


def counted(n: int, noun: str, plural: str = "") -> str:
    """Give a number with its noun: ``1 span``, ``2 spans``; `plural` where it takes no s."""
    return f"{n} {noun if n == 1 else plural or f'{noun}s'}"


def printable(text: str) -> str:
    """Write what a terminal would obey rather than show by its code."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )


def check_printable(text: str, what: str) -> None:
    """Refuse what a terminal would obey rather than show; all that can be written is let in.

    Raises
    ------
    ValueError
        If a line break, an escape or another control character is in it.
    """
    for character in text:
        if unicodedata.category(character) in CONTROLS:
            raise ValueError(
                f"{what} {text!r}: there is the control character {character!r} in it, expected "
                "plain text on one line. Leave it out"
            )
