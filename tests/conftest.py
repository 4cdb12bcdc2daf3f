"""Options and folders that all tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SHARED_DATA = ROOT.parent / "shared" / "data"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--hardware", action="store_true", help="run the tests that need real chips")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--hardware"):
        return
    skip = pytest.mark.skip(reason="needs real chips: run with --hardware")
    for item in items:
        if "hardware" in item.keywords:
            item.add_marker(skip)


def unavailable(reason: str) -> None:
    """Skip where a user cannot have what a test needs; in CI it must be there."""
    if os.environ.get("WBAN_CI"):
        pytest.fail(f"{reason}, and CI must have it")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real recordings that not every checkout has beside it."""
    if not SHARED_DATA.is_dir():
        unavailable("the folder of real recordings is not beside this checkout")
    return SHARED_DATA
