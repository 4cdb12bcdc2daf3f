"""Edges of interrupt lines, stamped by the kernel.

The kernel stamps an edge in its hard interrupt, with CLOCK_MONOTONIC since Linux 5.7. Two Python
libraries lead there, of one name and with nothing in common: ``gpiod`` 2 (PyPI) and libgpiod 1.6
(``python3-libgpiod`` of Debian 12). `GpiodEdges` takes either.
"""

from __future__ import annotations

import importlib
from typing import Any, Protocol

from wban_collect.errors import DeviceError

CONSUMER = "wban-collect"


class EdgeSource(Protocol):
    """An interrupt line whose edges the kernel stamps with CLOCK_MONOTONIC."""

    def edges_ns(self) -> list[int]:
        """Stamps of all edges since the last call, oldest first; never waits."""
        ...

    def close(self) -> None:
        """Give the line back."""
        ...


class GpiodEdges:
    """Rising edges of one line of a GPIO chip.

    Tested against fakes of both libraries' interfaces; not yet on hardware.

    Parameters
    ----------
    chip_path
        Device of the GPIO chip, e.g. ``/dev/gpiochip0``.
    line
        Offset of the line; on a Pi the number of the GPIO.
    gpiod
        The library; None imports whichever is installed.

    Raises
    ------
    DeviceError
        If the library is missing, or the line cannot be had.
    """

    def __init__(self, chip_path: str, line: int, *, gpiod: Any = None) -> None:
        self._place = f"GPIO line {line} of {chip_path}"
        library = gpiod if gpiod is not None else self._import()
        request = _RequestV2 if hasattr(library, "request_lines") else _RequestV1
        try:
            self._request: EdgeSource | None = request(library, chip_path, line)
        except OSError as error:
            raise DeviceError(
                f"{self._place}: {error.strerror or error}. Check interrupt_line and gpio_chip in "
                "the configuration, that no one else uses the line ('gpioinfo'), and that the "
                "user is in the group gpio."
            ) from error

    def edges_ns(self) -> list[int]:
        """Stamps of all edges since the last call, oldest first; never waits."""
        if self._request is None:
            return []
        try:
            return self._request.edges_ns()
        except OSError as error:
            raise DeviceError(
                f"{self._place}: reading edges failed, {error.strerror or error}. Without "
                "interrupt_line in the configuration the FIFO is polled instead."
            ) from error

    def close(self) -> None:
        """Give the line back; may be called twice."""
        if self._request is not None:
            self._request.close()
            self._request = None

    def _import(self) -> Any:
        try:
            return importlib.import_module("gpiod")
        except ImportError as error:
            raise DeviceError(
                f"{self._place}: the gpiod library is not installed. Run 'pip install wban[pi]' "
                "or 'apt install python3-libgpiod', or take interrupt_line out of the "
                "configuration (the FIFO is then polled)."
            ) from error


class _RequestV2:
    """A line held through gpiod 2."""

    def __init__(self, gpiod: Any, chip_path: str, line: int) -> None:
        settings = gpiod.LineSettings(
            direction=gpiod.line.Direction.INPUT,
            edge_detection=gpiod.line.Edge.RISING,
            event_clock=gpiod.line.Clock.MONOTONIC,
        )
        self._request = gpiod.request_lines(chip_path, consumer=CONSUMER, config={line: settings})

    def edges_ns(self) -> list[int]:
        stamps: list[int] = []
        # 0 means "do not wait"; None would wait for ever.
        while self._request.wait_edge_events(0):
            stamps += [int(event.timestamp_ns) for event in self._request.read_edge_events()]
        return stamps

    def close(self) -> None:
        self._request.release()


class _RequestV1:
    """A line held through libgpiod 1.6."""

    def __init__(self, gpiod: Any, chip_path: str, line: int) -> None:
        self._chip = gpiod.Chip(chip_path)
        try:
            self._line = self._chip.get_line(line)
            self._line.request(consumer=CONSUMER, type=gpiod.LINE_REQ_EV_RISING_EDGE)
        except OSError:
            self._chip.close()
            raise

    def edges_ns(self) -> list[int]:
        stamps: list[int] = []
        while self._line.event_wait(sec=0, nsec=0):
            event = self._line.event_read()
            stamps.append(int(event.sec) * 1_000_000_000 + int(event.nsec))
        return stamps

    def close(self) -> None:
        self._line.release()
        self._chip.close()
