"""Any text as a configuration: it is taken, or refused in a sentence."""

from __future__ import annotations

from typing import Any

import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import ROOT
from tests.fuzz.effort import effort
from wban_collect.config import load_config, parse_config, to_toml
from wban_collect.errors import ConfigError

EXAMPLE = (ROOT / "systemd" / "config.toml").read_text(encoding="utf-8")
LINES = [line.removeprefix("# ") for line in EXAMPLE.splitlines()]
WORDS = sorted({word for line in LINES for word in line.replace("=", " ").split()})

SCALARS = (
    st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(WORDS)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(WORDS) | st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
SECTIONS = ("study", "storage", "alignment", "unattended", "control", "simulation")
DEVICES = ("motion", "thermal", "infrared")
KEYS = st.sampled_from([line.split("=")[0].strip() for line in LINES if "=" in line])
TABLES = st.dictionaries(KEYS, VALUES, max_size=5)


def check(text: str) -> None:
    """Take it, or refuse it with one line that says where it was; nothing else is raised."""
    config, refusal = None, ""
    try:
        config = parse_config(text, "config.toml")
    except ConfigError as error:
        refusal = str(error)
    if config is None:
        assert refusal.startswith("config.toml: ")
    else:
        assert parse_config(to_toml(config), "again") == config


@effort(300)
@given(st.text(max_size=300))
def test_any_text(text):
    check(text)


@effort(300)
@given(st.lists(st.sampled_from(LINES), max_size=25))
def test_lines_of_the_example_in_any_order(lines):
    check("\n".join(lines))


@effort(300)
@given(st.data())
def test_the_example_with_words_replaced(data):
    words = EXAMPLE.replace("# ", "").split(" ")
    for _ in range(data.draw(st.integers(1, 5))):
        place = data.draw(st.integers(0, len(words) - 1))
        words[place] = data.draw(st.sampled_from(WORDS) | st.text(max_size=8))
    check(" ".join(words))


@effort(500)
@given(
    st.dictionaries(st.sampled_from(SECTIONS), TABLES | VALUES, max_size=3),
    st.dictionaries(st.sampled_from(DEVICES), st.lists(TABLES, max_size=2) | VALUES, max_size=3),
)
def test_any_values_under_the_keys_that_there_are(
    sections: dict[str, Any], devices: dict[str, Any]
):
    check(tomli_w.dumps({**sections, **devices}))


@effort(100)
@given(content=st.binary(max_size=300))
def test_a_file_of_any_bytes(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("any") / "config.toml"
    path.write_bytes(content)
    refusal = str(path)
    try:
        load_config(path)
    except ConfigError as error:
        refusal = str(error)
    assert str(path) in refusal
