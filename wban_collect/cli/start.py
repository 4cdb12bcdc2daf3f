"""wban-collect start: record one session in the foreground."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from wban_collect.assembly import Simulation, real_parts, simulated_parts
from wban_collect.cli.configuration import capacity, config_option, configured
from wban_collect.cli.progress import CommitLines, ProgressDisplay
from wban_collect.cli.values import Duration, usable_activity, usable_subject
from wban_collect.config import Config
from wban_collect.plan import Request, make_plan
from wban_collect.recorder import Parts, Recorder
from wban_collect.replay import motion_only, open_replay
from wban_collect.sealing import SealOutcome, seal_session

LOSSES = 3


@click.command(
    epilog="""\b
Examples:
  wban-collect start --subject S01 --activity eating
  wban-collect start --subject S01 --activity "speak and walk" --duration 5min
  wban-collect start --subject S01 --activity eating --simulate --fast --duration 60s
  wban-collect start --replay HAPT_FOLDER --recording exp07 --fast

Exit codes: 0 recorded, 1 failed, 2 unusable value, 3 recorded with losses."""
)
@click.option("--subject", help="Who is recorded: letters, digits and hyphens, e.g. S01.")
@click.option("--activity", help="What is done, e.g. eating or 'speak and walk'.")
@click.option("--duration", type=Duration(), help="How long, e.g. 30s, 5min, 1h. [default: until Ctrl-C]")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for sessions. [default: recordings]")
@config_option
@click.option("--simulate", is_flag=True, help="Simulated chips and a simulated person.")
@click.option("--replay", type=click.Path(path_type=Path), help="Simulated chips moved by a real recording.")
@click.option("--recording", help="Which recording to replay, e.g. exp07. [default: the first]")
@click.option("--chip-errors", is_flag=True, help="With --replay: noise, offsets and clock errors too.")
@click.option("--fast", is_flag=True, help="Virtual time; with --simulate or --replay only.")
@click.option("--seed", type=int, help="Of everything simulated.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line: each fsync, then the result.")
def start(
    subject: str | None,
    activity: str | None,
    duration: int | None,
    out: Path | None,
    config_path: Path | None,
    simulate: bool,
    replay: Path | None,
    recording: str | None,
    chip_errors: bool,
    fast: bool,
    seed: int | None,
    as_json: bool,
) -> None:
    """Record one session, until Ctrl-C or for --duration, and seal it."""
    if simulate and replay:
        raise click.UsageError("--simulate and --replay exclude each other; give one of them.")
    if fast and not (simulate or replay):
        raise click.UsageError("--fast is for simulated time: give --simulate or --replay with it.")
    if fast and simulate and duration is None:
        raise click.UsageError("--fast with --simulate never ends by itself: give a --duration.")
    config = configured(config_path)
    folder = out or Path(config.storage.out)
    parts, request, config = _prepare(
        config, folder, subject, activity, duration, simulate, replay, recording, chip_errors,
        fast, config.simulation.seed if seed is None else seed,
    )  # fmt: skip
    display = CommitLines() if as_json else ProgressDisplay(capacity(config, folder))
    recorder = Recorder(
        parts,
        make_plan(request, config, parts.clock),
        on_progress=display.show,
        on_commit=display.committed,
    )
    with display, _stopped_by_signals(recorder):
        session = recorder.run()
    outcome = seal_session(session, display.sealing)
    _report(outcome, session, as_json)


def _prepare(
    config: Config,
    out: Path,
    subject: str | None,
    activity: str | None,
    duration_ns: int | None,
    simulate: bool,
    replay: Path | None,
    recording: str | None,
    chip_errors: bool,
    fast: bool,
    seed: int,
) -> tuple[Parts, Request, Config]:
    """Turn the options into parts and a request."""
    start_ns = 1_000_000_000_000 if fast else None
    if replay is not None:
        source = open_replay(replay, recording)
        config = motion_only(config, source.sampling_rate_hz)
        simulation = Simulation(
            source.world, seed, chip_errors, start_ns, time.time_ns(), label_source="import"
        )
        request = Request(
            usable_subject(subject or source.subject),
            usable_activity(activity, config.activities()) if activity else "replayed",
            out, duration_ns, simulated=True, virtual=fast, replay_source=source.name,
        )  # fmt: skip
        return simulated_parts(config, simulation), request, config
    if subject is None or activity is None:
        missing = "--subject" if subject is None else "--activity"
        raise click.UsageError(f"Missing option '{missing}'; e.g. --subject S01 --activity eating.")
    request = Request(
        usable_subject(subject),
        usable_activity(activity, config.activities()),
        out, duration_ns, simulated=simulate, virtual=fast,
    )  # fmt: skip
    if not simulate:
        return real_parts(config, Path.home() / ".local" / "share" / "wban" / "eeprom"), request, config
    from wban_collect.simulation.people import single_activity

    world = single_activity(request.activity, duration_ns, seed)
    simulation = Simulation(
        world, seed, config.simulation.chip_errors, start_ns, time.time_ns()
    )
    return simulated_parts(config, simulation), request, config


@contextmanager
def _stopped_by_signals(recorder: Recorder) -> Iterator[None]:
    """End the recording in order on Ctrl-C and SIGTERM."""
    wanted = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda *_: recorder.stop()) for number in wanted]
    try:
        yield
    finally:
        for number, handler in zip(wanted, before, strict=True):
            signal.signal(number, handler)


def _report(outcome: SealOutcome, session: Path, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"session": str(session), "exit": outcome.exit_code, **outcome.report}))
    else:
        click.echo(outcome.text)
        click.echo(f"Next: wban-dataset inspect {session}")
    sys.exit(outcome.exit_code)
