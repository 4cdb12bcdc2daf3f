"""The emulated machine: boots a disk, runs commands, loses its power."""

from __future__ import annotations

import base64
import json
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, NamedTuple, Self

REPOSITORY = Path(__file__).resolve().parents[3]
CHIP_SERVER = [sys.executable, "-m", "tests.system.vm.chip_server"]

DIES_WITH_US = ("setpriv", "--pdeathsig", "KILL")
"""Before a command: a machine must not go on, and on, when the test that started it was killed."""

MEMORY_MB = 768
N_PROCESSORS = 2
PROCESSOR = "Nehalem"
"""numpy's wheels need x86-64-v2; a plainer model boots faster than "max"."""

KERNEL_ARGUMENTS = (
    "root=/dev/vda rw console=ttyS0 mitigations=off nokaslr panic=-1 quiet systemd.show_status=0"
)


class Done(NamedTuple):
    """What a command in the machine said, and its exit status."""

    status: int
    output: str


class Glance(NamedTuple):
    """The guest's CLOCK_MONOTONIC (to 10 ms), when the answer came, and a number of files."""

    host_s: float
    guest_s: float
    n_files: int

    def guest_ns(self, host_s: float) -> int:
        """Tell the guest's time at an instant of the host's clock, shortly before or after."""
        return round((self.guest_s + host_s - self.host_s) * 1e9)

    def host_instant_s(self, guest_ns: int) -> float:
        """Tell the host's time at an instant of the guest's clock."""
        return self.host_s + guest_ns / 1e9 - self.guest_s


class MachineError(Exception):
    """The machine did not do what it should have done by now."""


class Chips:
    """The process that simulates the chips on the machine's bus."""

    def __init__(self, path: Path) -> None:
        self._process = subprocess.Popen(
            [*DIES_WITH_US, *CHIP_SERVER, str(path)],
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._answer("listening")

    def unplug(self, address: int) -> None:
        """Pull the chip at this address off the bus."""
        self._tell(f"unplug {address:#x}")

    def plug(self, address: int) -> None:
        """Put it back; it has lost its settings."""
        self._tell(f"plug {address:#x}")

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        self._answer("done")

    def _answer(self, expected: str) -> None:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line or expected not in json.loads(line):
            raise MachineError(f"the chip server ended, or answered {line!r}")


class Machine:
    """One run of the emulated machine, from power on to power off.

    The guest sees `share` as /host; what it writes there survives a cut.

    Parameters
    ----------
    rig
        Folder that make_rig.sh made.
    disk
        Image that is booted, and changed.
    volatile
        The disk has a cache of its own, which loses at a cut what the guest did not flush.
    log
        Gets the console, with the seconds since power on.
    """

    def __init__(
        self,
        rig: Path,
        disk: Path,
        share: Path,
        *,
        volatile: bool = False,
        log: IO[str] | None = None,
    ) -> None:
        self._rig, self._disk, self._share = rig, disk, share
        self._volatile, self._log = volatile, log
        self._console, self._ended = "", False
        self._changed = threading.Condition()
        self._stack = ExitStack()
        self._children: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        sockets = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="wban-vm-")))
        try:
            self._switch_on(sockets)
        except BaseException:
            self.cut()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.cut()

    @property
    def console(self) -> str:
        """All that the console has shown."""
        with self._changed:
            return self._console

    def age_s(self) -> float:
        """Seconds since power on."""
        return time.monotonic() - self._on_s

    def wait_for(self, pattern: str, timeout_s: float) -> re.Match[str]:
        """Give the first match on the console; an error if it does not come in time."""
        deadline_s = time.monotonic() + timeout_s
        with self._changed:
            while not (match := re.search(pattern, self._console)):
                left_s = deadline_s - time.monotonic()
                if left_s <= 0 or self._ended:
                    raise MachineError(
                        f"no {pattern!r} on the console within {timeout_s:g} s; it ends "
                        f"{self._console[-800:]!r}"
                    )
                self._changed.wait(left_s)
        return match

    def run(self, command: str, timeout_s: float = 120.0) -> Done:
        """Run a shell command as root in the machine."""
        line = base64.b64encode(command.encode()).decode()
        text, status = self._ask(line, timeout_s, command).split()
        output = "" if text == "-" else base64.b64decode(text).decode(errors="replace")
        return Done(int(status), output)

    def check(self, command: str, timeout_s: float = 120.0) -> str:
        """Give the output of a command that must succeed."""
        done = self.run(command, timeout_s)
        if done.status:
            raise MachineError(f"{command!r} ended with {done.status}: {done.output}")
        return done.output

    def glance(self, pattern: str = "") -> Glance:
        """Tell the guest's time and how many files of this pattern it has, starting no process."""
        answer = self._ask(f"? {pattern}", 60.0, "the time")
        host_s = time.monotonic()
        guest_s, n_files = answer.split()
        return Glance(host_s, float(guest_s), int(n_files))

    def cut(self) -> None:
        """Take the power away: SIGKILL to the emulator, and to its disk's server and cache."""
        for child in self._children:
            child.kill()
        for child in self._children:
            child.wait()
        self._children.clear()
        self._stack.close()

    def power_off(self, timeout_s: float = 90.0) -> None:
        """Shut down in order."""
        self.run("systemctl poweroff --no-block")
        try:
            self._emulator.wait(timeout_s)
        except subprocess.TimeoutExpired as error:
            raise MachineError(
                f"not off within {timeout_s:g} s: {self.console[-800:]!r}"
            ) from error

    def _switch_on(self, sockets: Path) -> None:
        self._on_s = time.monotonic()
        self.chips = Chips(sockets / "i2c")
        self._stack.callback(self.chips.close)
        source = f"nbd:unix:{self._serve_disk(sockets)}" if self._volatile else str(self._disk)
        self._emulator = subprocess.Popen(
            self._command(source, sockets),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self._children.append(self._emulator)
        reader = threading.Thread(target=self._read_console, daemon=True)
        reader.start()
        self._stack.callback(reader.join)
        self._port = self._connected(sockets / "commands")

    def _command(self, disk: str, sockets: Path) -> list[str]:
        # cache=writeback: what the guest handed to its disk survives a kill (the host's kernel has
        # it), what sat in the guest's memory does not.
        return [
            *DIES_WITH_US,
            *("qemu-system-x86_64", "-accel", "tcg,thread=multi,tb-size=512", "-cpu", PROCESSOR),
            *("-M", "q35", "-smp", str(N_PROCESSORS), "-m", str(MEMORY_MB)),
            *("-nodefaults", "-display", "none", "-no-reboot", "-nic", "none", "-serial", "stdio"),
            *("-device", "virtio-rng-pci"),
            *("-drive", f"if=virtio,format=raw,cache=writeback,discard=unmap,file={disk}"),
            *("-virtfs", f"local,path={self._share},mount_tag=host,security_model=none"),
            *("-device", "virtio-serial-pci"),
            *("-chardev", f"socket,id=i2c,path={sockets / 'i2c'}"),
            *("-device", "virtserialport,chardev=i2c,name=rig.i2c"),
            *("-chardev", f"socket,id=commands,path={sockets / 'commands'},server=on,wait=off"),
            *("-device", "virtserialport,chardev=commands,name=rig.commands"),
            *("-kernel", str(self._rig / "vmlinux"), "-initrd", str(self._rig / "initrd.img")),
            *("-append", KERNEL_ARGUMENTS),
        ]

    def _serve_disk(self, sockets: Path) -> Path:
        path = sockets / "disk"
        server = subprocess.Popen(
            [
                *DIES_WITH_US,
                *("nbdkit", "--foreground", "--unix", str(path), "--filter=cache"),
                *("file", str(self._disk), "cache=writeback"),
            ]
        )
        self._children.append(server)
        _wait_until_there(path, server)
        return path

    def _connected(self, path: Path) -> socket.socket:
        _wait_until_there(path, self._emulator)
        port = self._stack.enter_context(socket.socket(socket.AF_UNIX))
        port.connect(str(path))
        return port

    def _ask(self, line: str, timeout_s: float, what: str) -> str:
        """Send a line over the port of commands; give the line that comes back."""
        self._port.settimeout(timeout_s)
        try:
            self._port.sendall(line.encode() + b"\n")
            answer = bytearray()
            while not answer.endswith(b"\n"):
                piece = self._port.recv(1 << 16)
                if not piece:
                    raise MachineError(f"the machine is off, asked for {what!r}")
                answer += piece
        except TimeoutError as error:
            raise MachineError(f"no answer to {what!r} within {timeout_s:g} s") from error
        return answer.decode().strip()

    def _read_console(self) -> None:
        assert self._emulator.stdout is not None
        with self._emulator.stdout as console:
            for raw in iter(console.readline, b""):
                line = raw.decode(errors="replace").replace("\r", "")
                if self._log is not None:
                    self._log.write(f"[{self.age_s():7.2f}] {line}")
                    self._log.flush()
                with self._changed:
                    self._console += line
                    self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()


def _wait_until_there(path: Path, server: subprocess.Popen[bytes]) -> None:
    deadline_s = time.monotonic() + 20
    while not path.exists():
        if server.poll() is not None or time.monotonic() > deadline_s:
            raise MachineError(f"{server.args!r} did not start")
        time.sleep(0.02)
