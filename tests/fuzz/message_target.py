"""What must hold of any bytes that arrive at the control socket."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from wban_collect.config import DEFAULT_LOAD
from wban_collect.control.messages import (
    LabelRequest,
    Reply,
    Request,
    StartRequest,
    decode_reply,
    decode_request,
    encode,
)
from wban_collect.control.server import ControlServer
from wban_collect.errors import ConfigError
from wban_dataset.recording.activities import known_activity, subject_id

REFUSED = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What is no UTF-8, or nested too deeply, msgspec refuses with Python's own errors."""

VALUES = ("", "S01", "eating", "x" * 65, "\0", 0, -1, 1 << 62, 1.5, None, True, [], {}, b"\xff")
KEYS = ("type", "subject", "activity", "duration_ns", "text", "limit", "error", "exit_code")


class Ear:
    """A control server without sockets, whose handler looks at requests as the daemon's does."""

    def __init__(self) -> None:
        folder = Path(tempfile.gettempdir()) / "wban-fuzz"
        self._server = ControlServer(folder / "control.sock", self._handle, keys=folder / "keys")
        self._requests: list[Request] = []
        self._replies: list[Reply] = []

    def check(self, data: bytes) -> None:
        """Let the server hear a message: it answers in one line, whatever it is."""
        self._requests.clear()
        self._replies.clear()
        self._server._hear(self, data)  # type: ignore[arg-type]
        (reply,) = self._replies
        assert "\n" not in reply.error, "an answer of several lines"
        assert "defect" not in reply.error, reply.error
        assert decode_reply(encode(reply)) == reply, "an answer that cannot be understood"
        try:
            request = decode_request(data)
        except REFUSED:
            assert not self._requests, "the handler was given what cannot be decoded"
            assert reply.exit_code == 2
        else:
            assert self._requests == [request], "the handler was given another request"
            assert decode_request(encode(request)) == request

    def answer(self, reply: Reply) -> None:
        """Stand for the one who asked."""
        self._replies.append(reply)

    def _handle(self, request: Request) -> Reply:
        self._requests.append(request)
        try:
            if isinstance(request, StartRequest):
                subject_id(request.subject)
            if isinstance(request, (StartRequest, LabelRequest)):
                known_activity(request.activity, DEFAULT_LOAD.activities())
        except ValueError as error:
            raise ConfigError(f"{error}.") from error
        return Reply()


def mutated(data: bytes, longest: int, seed: int, mutate: Callable[[bytes, int], bytes]) -> bytes:
    """Mutate a message: its bytes, or, three times of four, what stands in it."""
    chance = random.Random(seed)
    try:
        content = msgspec.msgpack.decode(data)
    except REFUSED:
        content = None
    if not isinstance(content, dict) or chance.randrange(4) == 0:
        return mutate(data, longest)
    return msgspec.msgpack.encode(_changed(content, chance, mutate))[:longest]


def _changed(
    content: dict[Any, Any], chance: random.Random, mutate: Callable[[bytes, int], bytes]
) -> dict[Any, Any]:
    """Change, add or remove one entry."""
    key = chance.choice([*content, *KEYS])
    old = content.get(key)
    changed = {name: value for name, value in content.items() if name != key}
    if isinstance(old, str) and chance.randrange(2):
        changed[key] = mutate(old.encode(), 80).decode("utf-8", "replace")
    elif chance.randrange(3):
        changed[key] = chance.choice(VALUES)
    return changed
