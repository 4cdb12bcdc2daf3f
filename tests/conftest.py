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
    if not config.getoption("--hardware"):
        chosen = [item for item in items if "hardware" not in item.keywords]
        config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
        items[:] = chosen


def pytest_sessionfinish(session: pytest.Session) -> None:
    """In CI everything that tests want is there: a skipped test is a failure."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("WBAN_CI") and reporter is not None and reporter.stats.get("skipped"):
        reporter.write_line("WBAN_CI is set, and a test was skipped: that counts as a failure")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real recordings that not every checkout has beside it."""
    if not SHARED_DATA.is_dir():
        pytest.skip("the folder of real recordings is not beside this checkout")
    return SHARED_DATA
