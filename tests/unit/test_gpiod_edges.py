"""`GpiodEdges` over fakes of the two libraries called gpiod."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from wban_collect.errors import DeviceError
from wban_collect.gpio import GpiodEdges


class FakeGpiodV2(ModuleType):
    """The part of gpiod 2 that is used: a request with events in two buffers."""

    def __init__(self) -> None:
        super().__init__("gpiod")
        self.line = SimpleNamespace(
            Direction=SimpleNamespace(INPUT="input"),
            Edge=SimpleNamespace(RISING="rising"),
            Clock=SimpleNamespace(MONOTONIC="monotonic"),
        )
        self.buffers = [[1_000, 2_000], [3_000]]
        self.requested: dict[str, Any] = {}
        self.released = False

    def LineSettings(self, **settings: str) -> dict[str, str]:  # noqa: N802 - gpiod's name
        return settings

    def request_lines(self, path: str, consumer: str, config: dict[int, Any]) -> FakeGpiodV2:
        self.requested = {"path": path, "consumer": consumer, "config": config}
        return self

    def wait_edge_events(self, timeout: float | None) -> bool:
        assert timeout == 0, "must not wait"
        return bool(self.buffers)

    def read_edge_events(self) -> list[SimpleNamespace]:
        return [SimpleNamespace(timestamp_ns=stamp) for stamp in self.buffers.pop(0)]

    def release(self) -> None:
        self.released = True


class FakeGpiodV1(ModuleType):
    """The part of libgpiod 1.6 that is used."""

    LINE_REQ_EV_RISING_EDGE = 4

    def __init__(self, failure: OSError | None = None) -> None:
        super().__init__("gpiod")
        self.events = [SimpleNamespace(sec=5, nsec=7), SimpleNamespace(sec=6, nsec=0)]
        self.failure = failure
        self.requested: dict[str, Any] = {}
        self.calls: list[str] = []

    def Chip(self, path: str) -> FakeGpiodV1:  # noqa: N802 - gpiod's name
        self.requested["path"] = path
        return self

    def get_line(self, line: int) -> FakeGpiodV1:
        self.requested["line"] = line
        return self

    def request(self, **settings: Any) -> None:
        if self.failure is not None:
            raise self.failure
        self.requested |= settings

    def event_wait(self, sec: int, nsec: int) -> bool:
        assert (sec, nsec) == (0, 0), "must not wait"
        return bool(self.events)

    def event_read(self) -> SimpleNamespace:
        return self.events.pop(0)

    def release(self) -> None:
        self.calls.append("release")

    def close(self) -> None:
        self.calls.append("close")


def test_edges_of_gpiod_2_come_in_order_with_monotonic_stamps() -> None:
    library = FakeGpiodV2()
    edges = GpiodEdges("/dev/gpiochip0", 17, gpiod=library)
    assert library.requested["path"] == "/dev/gpiochip0"
    settings = library.requested["config"][17]
    assert settings == {
        "direction": "input",
        "edge_detection": "rising",
        "event_clock": "monotonic",
    }
    assert edges.edges_ns() == [1_000, 2_000, 3_000]
    assert edges.edges_ns() == []
    edges.close()
    edges.close()
    assert library.released
    assert edges.edges_ns() == []


def test_edges_of_libgpiod_1_come_in_order_in_nanoseconds() -> None:
    library = FakeGpiodV1()
    edges = GpiodEdges("/dev/gpiochip0", 17, gpiod=library)
    assert library.requested["path"] == "/dev/gpiochip0"
    assert library.requested["line"] == 17
    assert library.requested["type"] == FakeGpiodV1.LINE_REQ_EV_RISING_EDGE
    assert edges.edges_ns() == [5_000_000_007, 6_000_000_000]
    assert edges.edges_ns() == []
    edges.close()
    assert library.calls == ["release", "close"]


def test_a_line_in_use_is_refused_with_its_name_and_the_chip_is_closed() -> None:
    library = FakeGpiodV1(OSError(16, "Device or resource busy"))
    with pytest.raises(DeviceError, match=r"line 17 of /dev/gpiochip0: Device or resource busy"):
        GpiodEdges("/dev/gpiochip0", 17, gpiod=library)
    assert library.calls == ["close"]


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gpiod", None)
    with pytest.raises(DeviceError, match="python3-libgpiod"):
        GpiodEdges("/dev/gpiochip0", 17)


def test_the_installed_library_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gpiod", FakeGpiodV2())
    assert GpiodEdges("/dev/gpiochip0", 4).edges_ns() == [1_000, 2_000, 3_000]
