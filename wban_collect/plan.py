"""From a request to what is written down before the first sample."""

from __future__ import annotations

import platform
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path

from wban_collect.clock import Clock
from wban_collect.clock_sources import boot_id, boottime_offset_ns, synchronisation
from wban_collect.config import Config, to_toml
from wban_collect.recorder import Plan
from wban_collect.session_folder import folder_name, new_session_id
from wban_dataset.recording.layout import RUN_STARTED
from wban_dataset.recording.streams import SessionHeader

VIRTUAL_COMMIT_INTERVAL_NS = 10_000_000_000
"""Ten virtual seconds pass in less than a real one; fsyncs take real time."""


@dataclass(frozen=True)
class Request:
    """What a person asked to be recorded.

    `session_id`, `boot_id` and `folder` are made up here where they are empty; a simulated study
    gives its own, so that it can be made again to the byte. `session_ns` and `without_missing` are
    those of `recorder.Plan`.
    """

    subject: str
    activity: str
    out: Path
    duration_ns: int | None = None
    session_ns: int | None = None
    without_missing: bool = False
    simulated: bool = False
    virtual: bool = False
    replay_source: str = ""
    session_id: str = ""
    boot_id: str = ""
    host: str = ""
    folder: str = ""


def make_plan(request: Request, config: Config, clock: Clock) -> Plan:
    """Fix identity, name and storage of the session that is about to be recorded."""
    monotonic_ns, realtime_ns = clock.monotonic_ns(), clock.realtime_ns()
    this_boot = request.boot_id or boot_id()
    storage = config.storage
    commit_interval_ns = (
        VIRTUAL_COMMIT_INTERVAL_NS if request.virtual else int(storage.commit_interval_s * 1e9)
    )
    header = SessionHeader(
        session_id=request.session_id or new_session_id(realtime_ns),
        boot_id=this_boot,
        subject=request.subject,
        activity=request.activity,
        host=request.host or platform.node(),
        wban_version=version("wban"),
        started_monotonic_ns=monotonic_ns,
        configuration=to_toml(config),
        annotator=config.study.annotator,
        simulated=request.simulated,
        replay_source=request.replay_source,
        boottime_offset_ns=0 if request.virtual else boottime_offset_ns(),
        aligned_rate_hz=config.alignment.rate_hz,
        gzip_level=storage.gzip_level,
        attributes={"commit_interval_ns": commit_interval_ns},
    )
    return Plan(
        header=header,
        out=request.out,
        folder_name=request.folder or _name(request, header, clock),
        next_session=partial(_next_session, request, clock),
        duration_ns=request.duration_ns,
        session_ns=request.session_ns,
        without_missing=request.without_missing,
        commit_interval_ns=commit_interval_ns,
        segment_bytes=storage.segment_mb << 20,
        segment_ns=int(storage.segment_s * 1e9),
        queue_bytes=storage.queue_mb << 20,
        keep_free_bytes=storage.keep_free_mb * 1_000_000,
    )


def _next_session(
    request: Request, clock: Clock, before: SessionHeader, label: str, now_ns: int
) -> tuple[SessionHeader, str]:
    """Header and folder's name of the session that goes on where `before` ends."""
    run_started_ns = before.attributes.get(RUN_STARTED, before.started_monotonic_ns)
    header = replace(
        before,
        session_id=new_session_id(clock.realtime_ns()),
        activity=label,
        started_monotonic_ns=now_ns,
        continues=before.session_id,
        attributes={**before.attributes, RUN_STARTED: run_started_ns},
    )
    return header, request.folder or _name(request, header, clock)


def _name(request: Request, header: SessionHeader, clock: Clock) -> str:
    return folder_name(
        header.subject,
        header.activity,
        realtime_ns=clock.realtime_ns(),
        synchronised=request.virtual or synchronisation()[0],
        boot_id=header.boot_id,
        monotonic_ns=header.started_monotonic_ns,
    )
