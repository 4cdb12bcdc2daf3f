"""The chips on the emulated machine's I2C bus: simulated, in real time, outside the machine.

``python -m tests.system.vm.chip_server SOCKET`` answers the transfers that cuse_i2c.c sends there
until the machine hangs up. Each line on stdin is done, then answered with one on stdout:
"unplug 0x33" pulls a chip off the bus, "plug 0x33" puts it back with its power-on settings.
"""

from __future__ import annotations

import json
import socket
import struct
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from wban_collect.clock import SystemClock
from wban_collect.errors import BusError
from wban_collect.simulation.bus import Message, SimulatedI2CBus
from wban_collect.simulation.chip import PluggableChip
from wban_collect.simulation.mlx90640 import SimulatedMlx90640
from wban_collect.simulation.mpu6050 import SimulatedMpu6050
from wban_collect.simulation.people import one_activity

I2C_M_RD = 1
WARM_NS = 300_000_000_000
"""A thermal camera that has been on for five minutes, as if only the computer had been cut off."""

LENGTH = struct.Struct("<I")
COUNT = struct.Struct("<H")
HEAD = struct.Struct("<HHH")
CODE = struct.Struct("<i")


class ChipServer:
    """Simulated chips on one bus, for one machine, that can be unplugged meanwhile.

    Parameters
    ----------
    seed
        Of the wearer, and of the chips' errors.
    """

    def __init__(self, seed: int) -> None:
        clock = SystemClock()
        self._clock = clock
        wearer = one_activity("sitting", seed)
        warm_ns = clock.monotonic_ns() - WARM_NS
        chips: list[PluggableChip] = [
            SimulatedMpu6050(wearer, seed, clock_error=0.006, drift_ppm=30.0),
            SimulatedMlx90640(wearer, seed + 1, clock_error=-0.011, power_on_ns=warm_ns),
        ]
        self._chips = {chip.address: chip for chip in chips}
        self._bus = SimulatedI2CBus(clock, chips, overhead_ns=0, seed=seed)
        self._lock = threading.Lock()

    def serve(self, connection: socket.socket) -> None:
        """Answer transfers until the machine is gone."""
        with suppress(ConnectionError):
            while True:
                (length,) = LENGTH.unpack(_receive(connection, LENGTH.size))
                code, data = self._transfer(_messages(_receive(connection, length)))
                reply = CODE.pack(code) + data
                connection.sendall(LENGTH.pack(len(reply)) + reply)

    def plug(self, address: int, *, plugged: bool) -> None:
        """Pull a chip off the bus, or put it back."""
        with self._lock:
            chip = self._chips[address]
            chip.unplugged = not plugged
            if plugged:
                chip.power_cycle(self._clock.monotonic_ns())

    def _transfer(self, messages: Sequence[Message]) -> tuple[int, bytes]:
        with self._lock:
            try:
                return 0, self._bus.transfer(messages)
            except BusError as error:
                return error.errno, b""


def _messages(request: bytes) -> list[Message]:
    """Take a request apart; its form stands in cuse_i2c.c."""
    (n_messages,) = COUNT.unpack_from(request)
    heads = [HEAD.unpack_from(request, COUNT.size + HEAD.size * i) for i in range(n_messages)]
    place = COUNT.size + HEAD.size * n_messages
    messages: list[Message] = []
    for address, flags, length in heads:
        if flags & I2C_M_RD:
            messages.append((address, length))
        else:
            messages.append((address, request[place : place + length]))
            place += length
    return messages


def _receive(connection: socket.socket, n_bytes: int) -> bytes:
    received = bytearray()
    while len(received) < n_bytes:
        piece = connection.recv(n_bytes - len(received))
        if not piece:
            raise ConnectionResetError
        received += piece
    return bytes(received)


def _obey(server: ChipServer) -> None:
    """Do what stdin says; each line is answered once it is done."""
    for line in sys.stdin:
        word, address = line.split()
        server.plug(int(address, 16), plugged=word == "plug")
        print(json.dumps({"done": line.strip()}), flush=True)


def main(path: Path) -> None:
    """Serve the one machine that connects."""
    server = ChipServer(seed=1)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(1)
        print(json.dumps({"listening": str(path)}), flush=True)
        threading.Thread(target=_obey, args=(server,), daemon=True).start()
        connection, _ = listener.accept()
        with connection:
            server.serve(connection)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
