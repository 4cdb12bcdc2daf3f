"""wban-collect start: let the daemon record, or record one session in the foreground."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import click

from wban_collect.assembly import (
    EEPROM_FOLDER,
    Simulation,
    real_parts,
    required_devices,
    simulated_parts,
)
from wban_collect.audience import Audience
from wban_collect.cli.configuration import capacity, config_option, configured, recordable
from wban_collect.cli.connection import Connection, connection_options
from wban_collect.cli.control import ask_to_start
from wban_collect.cli.progress import CommitLines, ProgressDisplay
from wban_collect.cli.values import Duration, usable, usable_activity, usable_subject
from wban_collect.clock import VIRTUAL_START_NS
from wban_collect.config import Config
from wban_collect.control.endpoints import is_served
from wban_collect.control.messages import StartRequest
from wban_collect.errors import WbanError
from wban_collect.keeping.sealing import SEALED_WITH_LOSSES, SealOutcome, seal_session
from wban_collect.parts import Parts
from wban_collect.plan import Request, make_plan
from wban_collect.recorder import HOPELESS, Recorder
from wban_dataset.recording.activities import slug
from wban_dataset.recording.streams import ORDERLY_ENDS


@dataclass(frozen=True)
class Options:
    """What stood on the command line."""

    subject: str | None
    activity: str | None
    duration: int | None
    out: Path | None
    config_path: Path | None
    simulate: bool
    replay: Path | None
    recording: str | None
    chip_errors: bool
    fast: bool
    seed: int | None
    as_json: bool
    foreground: bool

    @property
    def is_foreground(self) -> bool:
        """Whether something was asked for that a daemon cannot do."""
        own = self.out or self.config_path or self.simulate or self.replay or self.fast
        return self.foreground or bool(own)

    def check(self) -> None:
        """Refuse combinations that make no sense."""
        if self.simulate and self.replay:
            raise click.UsageError("--simulate and --replay exclude each other; give one of them.")
        if self.fast and not (self.simulate or self.replay):
            raise click.UsageError("--fast is for simulated time; add --simulate or --replay.")
        if self.fast and self.simulate and self.duration is None:
            raise click.UsageError("--fast --simulate never ends by itself; add --duration 60s.")
        if (self.recording or self.chip_errors) and not self.replay:
            raise click.UsageError("--recording and --chip-errors belong to --replay; add it.")


@click.command(
    epilog="""\b
Examples:
  wban-collect start --subject S01 --activity eating
  wban-collect start --subject S01 --activity "speak and walk" --duration 5min
  wban-collect start --subject S01 --activity eating --simulate --fast --duration 60s
  wban-collect start --replay HAPT_FOLDER --recording exp07 --fast

Exit codes: 0 recorded (or a daemon records), 1 failed, 2 unusable value, 3 recorded with losses."""
)
@click.option("--subject", help="Who is recorded: letters, digits and hyphens, e.g. S01.")
@click.option("--activity", help="What is done, e.g. eating or 'speak and walk'.")
@click.option(
    "--duration", type=Duration(), help="How long: 30s, 5min, 1h.  [default: until Ctrl-C]"
)
@click.option(
    "--out", type=click.Path(path_type=Path), help="Folder for sessions.  [default: recordings]"
)
@config_option
@click.option("--simulate", is_flag=True, help="Simulated chips on a simulated person.")
@click.option(
    "--replay",
    type=click.Path(path_type=Path),
    help="Simulated chips moved by a real recording: a folder like HAPT's, or a sealed session.",
)
@click.option("--recording", help="With --replay: which one, e.g. exp07.  [default: the first]")
@click.option("--chip-errors", is_flag=True, help="With --replay: noise, offset and clock errors.")
@click.option("--fast", is_flag=True, help="Virtual time, with --simulate or --replay.")
@click.option("--seed", type=click.IntRange(min=0), help="Of everything simulated.")
@click.option("--foreground", is_flag=True, help="Record here, even though a daemon runs.")
@click.option("--json", "as_json", is_flag=True, help="JSON lines: each fsync, then the result.")
@connection_options
def start(connection: Connection, **options: Any) -> None:
    """Record one session until Ctrl-C, or for --duration, and seal it.

    Where a daemon runs, it records, until 'wban-collect stop': this returns once every required
    stream delivers. --simulate, --replay, --fast, --config and --out record in the foreground.
    """
    wanted = Options(**options)
    wanted.check()
    if _daemon_records(wanted, connection):
        ask_to_start(connection, _start_request(wanted), as_json=wanted.as_json)
        return
    # A replay leaves out all chips but one.
    config = (configured if wanted.replay else recordable)(wanted.config_path)
    out = wanted.out or Path(config.storage.out)
    parts, request = _prepare(wanted, config, out)
    display = CommitLines() if wanted.as_json else ProgressDisplay(capacity(config, out))
    audience = Audience(progress=display.show, commit=display.committed)
    recorder = Recorder(parts, make_plan(request, config, parts.clock), audience)
    with _stopped_by_signals(recorder):
        with display:
            session = _run(recorder, config)
        # Still deaf to a second Ctrl-C: it is meant for the recording, not for its sealing.
        outcome = seal_session(session, display.sealing)
    _report(outcome, recorder.stop_reason, as_json=wanted.as_json)


def _run(recorder: Recorder, config: Config) -> Path:
    """Record; what is said of the first device that fails may hold for others as well."""
    try:
        return recorder.run()
    except HOPELESS as error:
        required = sorted(required_devices(config))
        if len(required) < 2:
            raise
        raise WbanError(
            f"{error} That is the first that failed of the required devices "
            f"({', '.join(required)}); 'wban-collect doctor' looks at all of them."
        ) from error


def _daemon_records(options: Options, connection: Connection) -> bool:
    if options.is_foreground:
        if connection.is_chosen:
            raise click.UsageError(
                "--socket and --host are for a daemon, the other options record in the foreground; "
                "leave out one of them."
            )
        return False
    return connection.is_named or is_served(connection.address)


def _start_request(options: Options) -> StartRequest:
    """Ask for what was named; the daemon's configuration has the rest, or the daemon refuses."""
    subject, activity = options.subject, options.activity
    return StartRequest(
        "" if subject is None else usable_subject(subject),
        "" if activity is None else usable(lambda: slug(activity), "--activity"),
        options.duration,
    )


def _who_does_what(options: Options) -> tuple[str, str]:
    if options.subject is None or options.activity is None:
        missing = "--subject" if options.subject is None else "--activity"
        raise click.UsageError(f"{missing} is missing; e.g. --subject S01 --activity eating.")
    return options.subject, options.activity


def _prepare(options: Options, config: Config, out: Path) -> tuple[Parts, Request]:
    """Choose the hardware, or what stands for it, and say what is to be recorded."""
    if options.replay is not None:
        return _replayed(options, options.replay, config, out)
    subject, activity = _who_does_what(options)
    request = Request(
        usable_subject(subject),
        usable_activity(activity, config.activities()),
        out,
        options.duration,
        simulated=options.simulate,
        virtual=options.fast,
    )
    if options.simulate:
        return _simulated(options, request, config), request
    return real_parts(config, Path.home() / EEPROM_FOLDER), request


def _simulated(options: Options, request: Request, config: Config) -> Parts:
    from wban_collect.simulation.people import one_activity

    seed = _seed(options, config)
    simulation = Simulation(
        one_activity(request.activity, seed),
        seed,
        config.simulation.chip_errors,
        VIRTUAL_START_NS if options.fast else None,
        time.time_ns(),
    )
    return simulated_parts(config, simulation)


def _replayed(options: Options, path: Path, config: Config, out: Path) -> tuple[Parts, Request]:
    from wban_collect.replay import motion_only, open_replay

    source = open_replay(path, options.recording)
    request = Request(
        usable_subject(options.subject or source.subject),
        usable_activity(options.activity, config.activities()) if options.activity else "replayed",
        out,
        options.duration,
        simulated=True,
        virtual=options.fast,
        replay_source=source.name,
    )
    simulation = Simulation(
        source.world,
        _seed(options, config),
        options.chip_errors,
        VIRTUAL_START_NS if options.fast else None,
        time.time_ns(),
        label_source="import",
    )
    return simulated_parts(motion_only(config, source.sampling_rate_hz), simulation), request


def _seed(options: Options, config: Config) -> int:
    return config.simulation.seed if options.seed is None else options.seed


@contextmanager
def _stopped_by_signals(recorder: Recorder) -> Generator[None]:
    """End the recording in order on Ctrl-C, SIGTERM and a closed terminal."""
    wanted = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def stop(_number: int, _frame: FrameType | None) -> None:
        recorder.stop()

    before = [signal.signal(number, stop) for number in wanted]
    try:
        yield
    finally:
        for number, handler in zip(wanted, before, strict=True):
            signal.signal(number, handler)


def _report(outcome: SealOutcome, ended: str, *, as_json: bool) -> None:
    early = ended not in ORDERLY_ENDS
    exit_code = SEALED_WITH_LOSSES if early else outcome.exit_code
    if as_json:
        result = {"session": str(outcome.folder), "exit": exit_code, "ended": ended}
        click.echo(json.dumps(result | outcome.report))
    else:
        click.echo(outcome.text)
        if early:
            click.echo(f"  ended before its time: {ended}")
        click.echo(f"Next: wban-dataset inspect {outcome.folder}")
    sys.exit(exit_code)
