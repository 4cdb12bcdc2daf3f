"""A sealed file whose damage makes the HDF5 library turn round for ever gets a sentence."""

from __future__ import annotations

import pytest

from tests.integration.command_line import dataset
from tests.integration.simulated_recording import record_unsealed
from wban_dataset.recording.layout import FILE_NAME
from wban_dataset.recording.sealing import seal

HEAP = b"GCOL"
"""Begins a global heap (HDF5 file format, III.E): where texts and references are kept."""


@pytest.fixture(scope="module")
def damaged(tmp_path_factory):
    folder = record_unsealed(tmp_path_factory.mktemp("sealed"), "session", 1.0)
    seal(folder)
    file = folder / FILE_NAME
    content = bytearray(file.read_bytes())
    first_object = content.index(HEAP) + 16
    content[first_object : first_object + 64] = bytes(64)
    file.write_bytes(content)
    return folder


@pytest.mark.parametrize("command", ["verify", "inspect"])
def test_a_file_that_cannot_be_read_to_its_end_is_refused(damaged, command):
    done = dataset(command, damaged)
    assert done.code == 1
    assert "does not come to an end" in done.error
    assert str(damaged) in done.error
