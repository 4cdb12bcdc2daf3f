"""What live data cost the recorder's threads and the machine: offering, packing, a stuck reader.

Two minutes of the default load, recorded in virtual time, are handed to `Publisher.offer` once for
each case, all in one run; the cases take turns, so that the machine's moods meet all of them.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import zmq
from report import PI4_SLOWDOWN, json_path_argument, report, row

from wban_collect.assembly import Simulation, simulated_parts
from wban_collect.clock import SystemClock
from wban_collect.config import DEFAULT_LOAD
from wban_collect.live import publisher as publisher_module
from wban_collect.live.outlet import WAITING_MESSAGES
from wban_collect.live.publisher import QUEUE_ITEMS, Publisher
from wban_collect.plan import Request, make_plan
from wban_collect.recorder import Recorder
from wban_collect.simulation.people import one_activity
from wban_dataset.recording.records import JournalItem, read_items
from wban_dataset.recording.streams import SampleBlock, StreamSpec

DURATION_S = 120
ROUNDS = 7
START_NS = 10**12


def recorded(out: Path) -> list[JournalItem]:
    """Everything that a recording of the default load delivers."""
    simulation = Simulation(one_activity("walking", 4), 4, start_ns=START_NS)
    parts = simulated_parts(DEFAULT_LOAD, simulation)
    request = Request("S01", "walking", out, DURATION_S * 10**9, simulated=True, virtual=True)
    folder = Recorder(parts, make_plan(request, DEFAULT_LOAD, parts.clock)).run()
    return list(read_items(folder / "journal"))


def offering_us(offer: Callable[[JournalItem], None], blocks: Sequence[SampleBlock]) -> float:
    """CPU time of this thread for each block."""
    before_ns = time.thread_time_ns()
    for block in blocks:
        offer(block)
    return (time.thread_time_ns() - before_ns) / 1000 / len(blocks)


def nobody(_item: JournalItem) -> None:
    """Stands for the publisher that is not there."""


def stuck_reader(publisher: Publisher, opened: ExitStack) -> zmq.Socket[bytes]:
    """Let somebody subscribe to everything who never reads; he goes when he is let go of."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    opened.callback(context.destroy, linger=0)
    stuck = context.socket(zmq.SUB)
    stuck.rcvhwm = 1
    stuck.subscribe(b"")
    stuck.connect(publisher.addresses[0])
    while not publisher.is_watched:
        publisher.step()
    return stuck


def opened_publisher(folder: Path, name: str, items: Sequence[JournalItem]) -> Publisher:
    publisher = Publisher(folder / name, clock=SystemClock())
    publisher.open()
    for item in items:
        if isinstance(item, StreamSpec):
            publisher.offer(item)
    return publisher


def publishing_us(publisher: Publisher, blocks: Sequence[SampleBlock]) -> float:
    """CPU time of the publisher's own thread for each block, in handfuls as they come."""
    spent_ns = 0
    for start in range(0, len(blocks), QUEUE_ITEMS // 4):
        for block in blocks[start : start + QUEUE_ITEMS // 4]:
            publisher.offer(block)
        before_ns = time.thread_time_ns()
        publisher.step()
        spent_ns += time.thread_time_ns() - before_ns
    return spent_ns / 1000 / len(blocks)


def rss_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096 / 1e6


def measure(folder: Path) -> list[dict[str, Any]]:
    publisher_module.PERIOD_MS = 0  # the pauses between two handfuls cost nothing
    items = recorded(folder)
    blocks = [item for item in items if isinstance(item, SampleBlock)]
    per_s = len(blocks) / DURATION_S
    with ExitStack() as opened:
        idle = opened_publisher(folder, "idle.sock", items)
        opened.callback(idle.close)
        stuck = opened_publisher(folder, "stuck.sock", items)
        opened.callback(stuck.close)
        reader = stuck_reader(stuck, opened)
        cases: dict[str, list[float]] = {"without": [], "unwatched": [], "stuck": []}
        packing: list[float] = []
        publishing_us(stuck, blocks)  # what is allocated once
        before_mb = rss_mb()
        for _ in range(ROUNDS):
            cases["without"].append(offering_us(nobody, blocks))
            cases["unwatched"].append(offering_us(idle.offer, blocks))
            cases["stuck"].append(offering_us(stuck.offer, blocks))  # the queues are full
            packing.append(publishing_us(stuck, blocks))
        grown_mb = rss_mb() - before_mb
        n_sent = stuck.n_sent
        if not stuck.is_watched or reader.closed:
            raise RuntimeError("the reader has gone: nothing was measured")
    us = {name: statistics.median(values) for name, values in cases.items()}
    return [
        row(
            "no publisher, per block",
            measured=f"{us['without']:.2f} us",
            on_pi4=f"about {us['without'] * PI4_SLOWDOWN:.1f} us",
            offer_us=us["without"],
        ),
        row(
            "offer() while nobody watches, per block",
            asked="<= 1 us",
            measured=f"{us['unwatched']:.2f} us",
            reached=us["unwatched"] <= 1,
            on_pi4=f"about {us['unwatched'] * PI4_SLOWDOWN:.1f} us",
            offer_us=us["unwatched"],
        ),
        row(
            "offer() to a reader that does not read, queues full, per block",
            asked="<= 5 us",
            measured=f"{us['stuck']:.2f} us: {us['stuck'] * per_s / 1e4:.4f}% of a core at "
            f"{per_s:.0f} blocks/s",
            reached=us["stuck"] <= 5,
            on_pi4=f"about {us['stuck'] * PI4_SLOWDOWN:.1f} us, "
            f"{us['stuck'] * PI4_SLOWDOWN * per_s / 1e4:.3f}% of a core",
            offer_us=us["stuck"],
            blocks_per_s=per_s,
        ),
        row(
            "the publisher's thread, all streams watched, thermal pictures computed, per block",
            measured=f"{statistics.median(packing):.0f} us: "
            f"{statistics.median(packing) * per_s / 1e4:.2f}% of a core",
            on_pi4=f"about {statistics.median(packing) * PI4_SLOWDOWN * per_s / 1e4:.1f}% of one "
            "of four cores, behind the recorder's threads",
            publish_us=statistics.median(packing),
        ),
        row(
            f"memory after {n_sent} messages to it",
            asked="<= 10 MB more",
            measured=f"{grown_mb:.1f} MB more; libzmq keeps {WAITING_MESSAGES}",
            reached=grown_mb <= 10,
            on_pi4="the same",
            grown_mb=grown_mb,
            n_sent=n_sent,
        ),
    ]


def main() -> int:
    json_path = json_path_argument(__doc__)
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(Path(folder))
    return 0 if report("publisher", rows, json_path) else 1


if __name__ == "__main__":
    raise SystemExit(main())
