"""Take the emulated machine's power away at random moments; look for every acknowledged record.

Each cycle boots the disk that the last cut left, lets the service record, and kills the emulator at
a random moment: in the middle of a session, around the change to the next one, while one is sealed
or just has been, or before the recorder has begun. Then every session on the disk is compared with
what the recorder had acknowledged outside the machine. After every ten cuts, and after the last,
the machine recovers and is shut down, and every session must be sealed and verify.

    python -m tests.system.vm.powercuts --cycles 8 [--volatile] [--seed 1] [--json FILE]

With --volatile the disk has a cache of its own, which loses what was not flushed.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from tests.system.vm.acknowledged import AcknowledgedSession, read_acknowledged
from tests.system.vm.aftermath import Aftermath, Inspector, recordings_on
from tests.system.vm.machine import Machine, MachineError
from tests.system.vm.rig import (
    ACKNOWLEDGED,
    BOOT_S,
    HERE,
    RECORDINGS,
    RIG,
    copy_disk,
    installed_disk,
    shared_folder,
)
from wban_collect.config import load_config
from wban_collect.schedule import parse_session_length
from wban_dataset.recording.layout import JOURNAL_NAME, PARTIAL_NAME

SECOND_NS = 1_000_000_000
CONFIG = load_config(HERE / "config.toml")
SESSION_NS = parse_session_length(CONFIG.unattended.session_length)
COMMIT_INTERVAL_NS = round(CONFIG.storage.commit_interval_s * SECOND_NS)
UNDELIVERED_NS = {
    "accel": 300_000_000,
    "gyro": 300_000_000,
    "thermal": 3 * SECOND_NS // 2,
}
"""What a chip may still hold: the FIFO's watermark and one reading; three subpages at 2/s (one
under way, one ready, one being read)."""

EMULATION_NS = SECOND_NS
"""An emulated processor that shares its cores with others may do anything so much later."""

AIMS = (
    *("recording", "rotating", "sealing", "recording"),
    *("rotating", "sealing", "sealing", "starting"),
)
"""What the cuts are meant to hit, in every eight; what they hit is found out afterwards."""

CUTS_PER_RECOVERY = 10
"""A cut leaves a session to seal, and the next comes before that is done: they would pile up."""

SEALING_NOW = f"{RECORDINGS}/*/{PARTIAL_NAME}"
UNSEALED = f"{RECORDINGS}/*/{JOURNAL_NAME}"
FIRST_ROW_S, SEALING_BEGINS_S, SEALED_S = 180.0, 120.0, 900.0
"""Patience, on a machine that does other things as well."""


@dataclass(frozen=True)
class Moment:
    """When the power went (the guest's monotonic ns), and what could be seen just before."""

    guest_ns: int
    n_sealing: int


@dataclass
class Cut:
    """One cut and what it left.

    Attributes
    ----------
    boot_s, first_row_s
        From power on to the agent, and to the first acknowledged row; 0 without one.
    ran_s
        From power on to the cut.
    n_checked
        Acknowledged rows of all sessions so far, all of which were looked for.
    lost
        Acknowledged rows that are not there, by session.
    tail_s
        From the newest sample on the disk to the cut, by stream.
    fsync_s
        The longest fsync of this run; or the one that was under way, where that is longer.
    beyond_s
        By how much a tail was longer than one second, that fsync and what the chip still held.
    """

    number: int
    volatile: bool
    aim: str
    phases: list[str] = field(default_factory=list[str])
    boot_s: float = 0.0
    first_row_s: float = 0.0
    ran_s: float = 0.0
    n_sessions: int = 0
    n_sealed: int = 0
    n_recovered: int = 0
    n_checked: int = 0
    lost: dict[str, dict[str, int]] = field(default_factory=dict[str, dict[str, int]])
    tail_s: dict[str, float] = field(default_factory=dict[str, float])
    fsync_s: float = 0.0
    beyond_s: float = 0.0
    problems: list[str] = field(default_factory=list[str])
    took_s: float = 0.0


class PowerCuts:
    """Cycles of booting, recording and cutting on one disk."""

    def __init__(self, disk: Path, share: Path, *, seed: int, log: IO[str]) -> None:
        self._disk, self._share, self._log = disk, share, log
        self._chance = random.Random(seed)
        self._inspector = Inspector()
        self._acknowledged: dict[str, AcknowledgedSession] = {}

    def cycle(self, number: int, *, volatile: bool) -> Cut:
        """Boot, cut, look."""
        cut = Cut(number, volatile, AIMS[(number - 1) % len(AIMS)])
        begun_s = time.monotonic()
        self._log.write(f"--- cut {number}, aimed at {cut.aim}\n")
        (self._share / ACKNOWLEDGED).unlink(missing_ok=True)
        with Machine(RIG, self._disk, self._share, volatile=volatile, log=self._log) as machine:
            machine.wait_for("RIG-BOOTED", BOOT_S)
            cut.boot_s = round(machine.age_s(), 1)
            self._wait(machine, cut)
            moment = self._cut(machine)
            cut.ran_s = round(machine.age_s(), 1)
        run = self._said()
        self._acknowledged |= {session.session_id: session for session in run}
        cut.phases = _phases(run, moment)
        self._look(cut, run, moment)
        cut.took_s = round(time.monotonic() - begun_s, 1)
        return cut

    def recover(self, number: int) -> Cut:
        """Boot once more without a cut, wait until all is sealed, shut down, look at everything."""
        recovery = Cut(number, volatile=False, aim="recovery")
        begun_s = time.monotonic()
        self._log.write("--- recovery\n")
        (self._share / ACKNOWLEDGED).unlink(missing_ok=True)
        with Machine(RIG, self._disk, self._share, log=self._log) as machine:
            machine.wait_for("RIG-BOOTED", BOOT_S)
            self._wait_until(machine, FIRST_ROW_S, lambda: bool(self._said()), "the first row")
            machine.check("wban-collect stop")
            self._wait_until(
                machine, SEALED_S, lambda: not machine.glance(UNSEALED).n_files, "the last sealing"
            )
            machine.power_off()
        self._acknowledged |= {session.session_id: session for session in self._said()}
        found = self._look(recovery, [], None)
        recovery.problems += [
            f"{session.folder} was not sealed"
            for session in found.sessions.values()
            if not session.is_sealed
        ]
        recovery.took_s = round(time.monotonic() - begun_s, 1)
        return recovery

    # --- choosing the moment ---------------------------------------------------------------------

    def _wait(self, machine: Machine, cut: Cut) -> None:
        """Wait for the moment that the cut is aimed at."""
        if cut.aim == "starting":
            time.sleep(self._chance.uniform(0.0, 8.0))
            return
        self._wait_until(machine, FIRST_ROW_S, lambda: bool(self._said()), "the first row")
        cut.first_row_s = round(machine.age_s(), 1)
        if cut.aim == "recording":
            time.sleep(self._chance.uniform(0.0, 12.0))
        elif cut.aim == "rotating":
            offset_ns = round(self._chance.uniform(-1.0, 1.0) * SECOND_NS)
            change_ns = self._said()[-1].first_ns - COMMIT_INTERVAL_NS + SESSION_NS
            due_s = machine.glance().host_instant_s(change_ns + offset_ns)
            time.sleep(max(0.0, due_s - time.monotonic()))
        elif cut.aim == "sealing":
            self._wait_until(
                machine,
                SEALING_BEGINS_S,
                lambda: machine.glance(SEALING_NOW).n_files > 0,
                "sealing",
            )
            time.sleep(self._chance.uniform(0.0, 2.0))

    def _cut(self, machine: Machine) -> Moment:
        glance = machine.glance(SEALING_NOW)
        now_s = time.monotonic()
        machine.cut()
        return Moment(glance.guest_ns(now_s), glance.n_files)

    def _wait_until(
        self, machine: Machine, timeout_s: float, happened: Callable[[], bool], what: str
    ) -> None:
        deadline_s = time.monotonic() + timeout_s
        while not happened():
            if time.monotonic() > deadline_s:
                log = machine.run("journalctl -u wban-collect -b -n 30 --no-pager -o cat").output
                raise MachineError(f"{what} was not seen within {timeout_s:g} s; the log: {log}")
            time.sleep(0.1)

    def _said(self) -> list[AcknowledgedSession]:
        return read_acknowledged(self._share / ACKNOWLEDGED)

    # --- looking at what is left -----------------------------------------------------------------

    def _look(
        self, cut: Cut, run: Sequence[AcknowledgedSession], moment: Moment | None
    ) -> Aftermath:
        with recordings_on(self._disk) as recordings:
            found = self._inspector.look(recordings)
        cut.n_sessions = len(found.sessions)
        cut.n_sealed = sum(session.is_sealed for session in found.sessions.values())
        cut.n_recovered = sum(session.recovered for session in found.sessions.values())
        for session in self._acknowledged.values():
            cut.n_checked += session.n_rows
            self._compare(cut, session, found)
        for session in found.sessions.values():
            cut.problems += [f"{session.folder}: {problem}" for problem in session.problems]
        if run and moment is not None:
            self._measure_tail(cut, run, moment, found)
        return found

    def _compare(self, cut: Cut, said: AcknowledgedSession, found: Aftermath) -> None:
        session = found.sessions.get(said.session_id)
        there = session.rows if session is not None else {}
        missing = {
            stream: n - there.get(stream, 0)
            for stream, n in said.rows.items()
            if n > there.get(stream, 0)
        }
        if missing:
            cut.lost[said.folder] = missing
        if session is None:
            cut.problems.append(f"{said.folder} is gone: {found.unreadable.get(said.folder, '')}")

    def _measure_tail(
        self, cut: Cut, run: Sequence[AcknowledgedSession], moment: Moment, found: Aftermath
    ) -> None:
        """Measure what was recorded and not yet safe; it has a limit."""
        under_way_ns = moment.guest_ns - run[-1].newest_ns - COMMIT_INTERVAL_NS
        fsync_ns = max(under_way_ns, *(session.longest_fsync_ns for session in run))
        cut.fsync_s = round(fsync_ns / 1e9, 3)
        there = [s for s in (found.sessions.get(said.session_id) for said in run) if s is not None]
        later = {session.session_id for session in there}
        there += [s for s in found.sessions.values() if s.continues in later]
        for stream, undelivered_ns in UNDELIVERED_NS.items():
            newest = [session.newest_ns[stream] for session in there if stream in session.newest_ns]
            if not newest:
                continue
            tail_ns = moment.guest_ns - max(newest)
            cut.tail_s[stream] = round(tail_ns / 1e9, 3)
            beyond_ns = tail_ns - (SECOND_NS + fsync_ns + undelivered_ns)
            cut.beyond_s = round(max(cut.beyond_s, beyond_ns / 1e9), 3)
            if beyond_ns > EMULATION_NS:
                cut.problems.append(
                    f"{stream}: the last {tail_ns / 1e9:.2f} s before the cut are missing, "
                    f"{beyond_ns / 1e9:.2f} s more than may be"
                )


def _phases(run: Sequence[AcknowledgedSession], moment: Moment) -> list[str]:
    """Name all that was going on when the power went."""
    phases = ["recording"] if run else ["starting"]
    if moment.n_sealing:
        phases.append("sealing")
    age_ns = moment.guest_ns - run[-1].first_ns if run else 0
    changed = len(run) > 1 and age_ns < SECOND_NS
    changing = age_ns > SESSION_NS - COMMIT_INTERVAL_NS - SECOND_NS
    if changed or changing:
        phases.append("rotating")
    return phases


def summary(cuts: Sequence[Cut], recoveries: Sequence[Cut]) -> dict[str, Any]:
    """Put the figures of all cuts together."""
    phases = Counter(phase for cut in cuts for phase in cut.phases)
    streams, every = sorted(UNDELIVERED_NS), (*cuts, *recoveries)
    return {
        "cuts": len(cuts),
        "volatile": sum(cut.volatile for cut in cuts),
        "phases": dict(sorted(phases.items())),
        "recording_alone": sum(cut.phases == ["recording"] for cut in cuts),
        "sessions": recoveries[-1].n_sessions,
        "recovered": recoveries[-1].n_recovered,
        "acknowledged_rows": recoveries[-1].n_checked,
        "acknowledged_rows_lost": sum(
            n for cut in every for lost in cut.lost.values() for n in lost.values()
        ),
        "longest_tail_s": {
            stream: max((cut.tail_s.get(stream, 0.0) for cut in cuts), default=0.0)
            for stream in streams
        },
        "tails_beyond": sum(cut.beyond_s > 0 for cut in cuts),
        "longest_beyond_s": max((cut.beyond_s for cut in cuts), default=0.0),
        "longest_fsync_s": max((cut.fsync_s for cut in cuts), default=0.0),
        "problems": [
            f"{cut.aim} {cut.number}: {problem}" for cut in every for problem in cut.problems
        ],
        "longest_cycle_s": max((cut.took_s for cut in cuts), default=0.0),
        "took_s": round(sum(cut.took_s for cut in every), 1),
    }


def cut_power(
    n_cuts: int, *, seed: int, is_volatile: Callable[[int], bool], log: IO[str], out: IO[str]
) -> dict[str, Any]:
    """Cut so often on one disk, recover, and tell all; a line for each cut goes to `out`."""
    installed = installed_disk(log)
    with shared_folder() as share, tempfile.TemporaryDirectory(dir=RIG) as folder:
        disk = Path(folder) / "disk.img"
        copy_disk(installed, disk)
        powercuts = PowerCuts(disk, share, seed=seed, log=log)
        cuts: list[Cut] = []
        recoveries: list[Cut] = []
        for number in range(1, n_cuts + 1):
            cuts.append(powercuts.cycle(number, volatile=is_volatile(number)))
            _tell(cuts[-1], out)
            if number % CUTS_PER_RECOVERY == 0 or number == n_cuts:
                recoveries.append(powercuts.recover(number))
                _tell(recoveries[-1], out)
    return {
        "summary": summary(cuts, recoveries),
        "cuts": [asdict(cut) for cut in cuts],
        "recoveries": [asdict(recovery) for recovery in recoveries],
    }


def _tell(cut: Cut, out: IO[str]) -> None:
    out.write(json.dumps(asdict(cut)) + "\n")
    out.flush()


def main() -> int:
    """Run from the command line; the exit code says whether anything was lost or wrong."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cycles", type=int, default=8)
    parser.add_argument("--volatile", action="store_true", help="the disk's cache is lost as well")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="where to write all figures")
    parser.add_argument("--console", type=Path, default=Path("/dev/null"), help="the machine's")
    given = parser.parse_args()
    with given.console.open("w") as log:
        result = cut_power(
            given.cycles,
            seed=given.seed,
            is_volatile=lambda _number: given.volatile,
            log=log,
            out=sys.stdout,
        )
    found = result["summary"]
    print(json.dumps(found, indent=1))
    if given.json:
        given.json.write_text(json.dumps(result, indent=1) + "\n")
    return 1 if found["acknowledged_rows_lost"] or found["problems"] else 0


if __name__ == "__main__":
    sys.exit(main())
