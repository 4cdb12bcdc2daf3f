"""The layout keeps the promises that tools rely on."""

from __future__ import annotations

import numpy as np
import pytest

from wban_dataset.recording import layout
from wban_dataset.recording.streams import StreamKind

KINDS: tuple[StreamKind, ...] = ("accel", "gyro", "thermal", "infrared")


def all_groups() -> dict[str, tuple[layout.Column, ...]]:
    specs = {kind: layout.absent_stream(kind) for kind in KINDS}
    groups = {kind: layout.stream_columns(kind) for kind in KINDS}
    groups |= {"reads": layout.READS, "provenance": layout.PROVENANCE, **layout.TABLES}
    return groups | {"aligned": layout.aligned_columns(specs)}


@pytest.mark.parametrize("group", all_groups())
def test_every_axis_has_its_scale_in_the_same_group(group):
    columns = {column.name: column for column in all_groups()[group]}
    for column in columns.values():
        assert column.axes
        for axis in column.axes:
            assert columns[axis].is_scale


@pytest.mark.parametrize("group", all_groups())
def test_nanosecond_columns_have_no_units_that_would_be_decoded_as_durations(group):
    for column in all_groups()[group]:
        if column.name.endswith("_ns"):
            assert "units" not in column.attributes


@pytest.mark.parametrize("group", all_groups())
def test_names_are_unique_within_a_group(group):
    names = [column.name for column in all_groups()[group]]
    assert len(names) == len(set(names))


def test_time_is_decoded_by_cf_tools():
    (time,) = [column for column in layout.stream_columns("accel") if column.name == "time"]
    assert time.attributes["units"] == "nanoseconds since 1970-01-01T00:00:00"
    assert time.attributes["calendar"] == "proleptic_gregorian"
    assert time.dtype == "<i8"


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("accel", "channel data time monotonic_ns time_unc_ns segment"),
        ("gyro", "channel data time monotonic_ns time_unc_ns segment"),
        (
            "thermal",
            "data subpage raw eeprom bad_pixel ambient warmed_up time monotonic_ns time_unc_ns "
            "segment row column word eeprom_word",
        ),
        (
            "infrared",
            "data exposure_ns gain illuminated time monotonic_ns time_unc_ns segment sensor_ns y x",
        ),
    ],
)
def test_streams_have_the_columns_of_the_format(kind, names):
    assert set(names.split()) <= {column.name for column in layout.stream_columns(kind)}


def test_temperatures_are_hundredths_with_a_fill_value_of_their_own_type():
    (data,) = [column for column in layout.stream_columns("thermal") if column.name == "data"]
    assert data.attributes["scale_factor"] == 0.01
    assert data.attributes["_FillValue"] == -32768
    assert isinstance(data.attributes["_FillValue"], np.int16)


@pytest.mark.parametrize(
    ("row_bytes", "rows"),
    [
        (8, 24576),  # stamps
        (6, 32768),  # three channels
        (1668, 117),  # thermal words
        (160 * 120, 10),
        (320 * 240, 2),
    ],
)
def test_chunks_are_64_to_256_kib(row_bytes, rows):
    assert layout.chunk_rows(row_bytes, 10**6) == rows
    assert 64 * 1024 <= rows * row_bytes <= 256 * 1024


def test_chunks_are_never_larger_than_the_dataset_nor_empty():
    assert layout.chunk_rows(8, 5) == 5
    assert layout.chunk_rows(10**9, 5) == 1


def test_no_stream_may_take_the_name_of_another_group():
    assert {"labels", "gaps", "aligned", "provenance", "configuration"} <= layout.RESERVED_NAMES
