"""The command wban-dataset hygiene, on a sealed session."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner

from tests.integration import session_journal as made
from wban_dataset.cli.hygiene import hygiene
from wban_dataset.hygiene.calibration import apply_calibration
from wban_dataset.hygiene.findings import HygieneError, recorded_calibrations
from wban_dataset.recording.sealing import seal
from wban_dataset.recording.session import Session
from wban_dataset.recording.streams import SampleBlock

POSTURES = [(1, 0, 0), (0, 1, 0), (0, 0, 1), (-1, 0, 0), (0, -1, 0), (0, 0, -1)]
COUNTS_PER_G = 9.80665 / 0.04
OFFSET_COUNTS = (8, -5, 3)
SECONDS_EACH = 30


def run(*words):
    outcome = CliRunner().invoke(hygiene, [str(word) for word in words])
    if outcome.exception and not isinstance(outcome.exception, SystemExit):
        raise outcome.exception
    assert outcome.exit_code == 0, outcome.output
    return outcome.output


def turned_over(i):
    """Half a minute on each side, by a chip with an offset; the first sample is clipped."""
    block = made.accel_block(i)
    gravity = np.array(POSTURES[i // (10 * SECONDS_EACH)]) * COUNTS_PER_G
    counts = np.tile(gravity + OFFSET_COUNTS, (10, 1)).round().astype(np.int16)
    if i == 0:
        counts[0] = 4095
    return SampleBlock(block.stream, block.first_index, 0, counts, block.read)


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    n_seconds = SECONDS_EACH * len(POSTURES)
    items = [made.HEADER, made.accel_spec(), made.anchor(0)]
    items += [turned_over(i) for i in range(10 * n_seconds)]
    end_ns = made.START_NS + n_seconds * made.SECOND_NS
    items.append(made.SessionEnd(end_ns, "asked to stop", {"accel": 0}))
    folder = made.write_journal(tmp_path_factory.mktemp("hygiene") / "s", items)
    seal(folder)
    return folder


def test_it_says_what_is_wrong_and_changes_nothing(session):
    before = {path.name: path.read_bytes() for path in session.iterdir()}
    told = run(session)
    assert "mg from 1 g, " in told
    assert "whether it was worn is not known" in told
    assert "1 of 18000 samples clipped (0.01%), in 1 span; the range ends at 163.8" in told
    assert {path.name: path.read_bytes() for path in session.iterdir()} == before


def test_what_was_recorded_is_applied_where_it_is_asked_for(session):
    assert "written: " in run(session.parent, "--write")
    with Session.open(session) as found:
        calibration = recorded_calibrations(found)["accel"]
        assert calibration.error_before_g > 0.01
        assert calibration.error_after_g < 0.005
        np.testing.assert_allclose(
            np.array(calibration.offset) * COUNTS_PER_G, -np.array(OFFSET_COUNTS), atol=1
        )
        values = apply_calibration(found.stream("accel").read()[1:], calibration)
        lengths = np.linalg.norm(values, axis=1)
        np.testing.assert_allclose(lengths, 9.80665, rtol=0.01)
    record = json.loads((session / "hygiene.json").read_text("utf-8"))
    assert record["format"] == "wban-hygiene"
    assert record["streams"]["accel"]["clipping"]["n_clipped"] == 1
    assert record["streams"]["accel"]["wear"] == {"judged_hours": 0, "non_wear": []}
    (line,) = run(session, "--json").splitlines()
    assert json.loads(line) == record
    written = (session / "hygiene.json").read_bytes()
    run(session, "--write")
    assert (session / "hygiene.json").read_bytes() == written


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"{", "it cannot be read"),
        (b"[]", "it cannot be read"),
        (b'{"streams": {"accel": {"gravity": {"calibration": {"scale": [1]}}}}}', "cannot be read"),
        (b'{"format": "x", "format_version": 1, "session_id": "s", "streams": {}}', "it is x 1 of"),
    ],
)
def test_a_record_that_cannot_be_used_is_refused(session, content, why):
    (session / "hygiene.json").write_bytes(content)
    with Session.open(session) as found, pytest.raises(HygieneError, match=why):
        recorded_calibrations(found)


def test_without_a_record_nothing_is_calibrated(session):
    (session / "hygiene.json").unlink(missing_ok=True)
    with Session.open(session) as found:
        assert recorded_calibrations(found) == {}
