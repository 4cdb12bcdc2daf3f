"""Any bytes at the control socket: an answer in one line, and nothing else happens."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.corpus import message_seeds
from tests.fuzz.damage import damaged, damages
from tests.fuzz.effort import effort
from tests.fuzz.message_target import KEYS, VALUES, Ear

TYPES = ("start", "stop", "label", "mark", "status", "sessions", "Start", "", "eat")


@pytest.fixture(scope="module")
def ear() -> Ear:
    return Ear()


@effort(1000)
@given(content=st.binary(max_size=300))
def test_any_bytes(ear, content):
    ear.check(content)


@effort(1000)
@given(data=st.data())
def test_requests_that_were_damaged_on_their_way(ear, data):
    message = data.draw(st.sampled_from(message_seeds()))
    ear.check(damaged(message, data.draw(damages(message))))


@effort(1000)
@given(
    st.dictionaries(
        st.sampled_from(KEYS) | st.text(max_size=8),
        st.sampled_from(VALUES) | st.integers(-(2**63), 2**64 - 1) | st.text(max_size=80),
        max_size=6,
    ),
    st.sampled_from(TYPES),
)
def test_any_values_under_the_names_that_there_are(ear, fields: dict[str, Any], tag: str):
    ear.check(msgspec.msgpack.encode({"type": tag, **fields}))


def test_nesting_without_an_end(ear):
    ear.check(b"\x81\xa4type" * 10_000)
    ear.check(b"\x91" * 60_000)
