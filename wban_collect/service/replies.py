"""What a request is answered with, at once or later."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

from wban_collect.control.messages import Reply
from wban_collect.errors import ConfigError


def given(asked: str, configured: str, name: str) -> str:
    """Take what was asked for, or what the configuration says.

    Raises
    ------
    ConfigError
        If neither says anything.
    """
    if not (asked or configured):
        raise ConfigError(
            f"{name}: none was given, expected --{name} or {name} under [unattended] in the "
            "configuration."
        )
    return asked or configured


def answered(folder: Future[Path], *, without_result: bool = False) -> Future[Reply]:
    """Make the reply of a future folder; `without_result`: that there is none is no failure."""
    reply: Future[Reply] = Future()

    def answer(done: Future[Path]) -> None:
        error = done.exception()
        if error is None:
            reply.set_result(Reply(folder=str(done.result())))
        elif without_result:
            reply.set_result(Reply())
        else:
            reply.set_exception(error)

    folder.add_done_callback(answer)
    return reply


def later(work: Callable[[], Reply]) -> Future[Reply]:
    """Do what reads the disk in a thread of its own."""
    future: Future[Reply] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except Exception as error:  # noqa: BLE001 - whoever waits for the answer is told
            future.set_exception(error)

    threading.Thread(target=run, name="answer", daemon=True).start()
    return future
