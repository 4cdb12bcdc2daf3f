"""Chunks that were compressed here are what HDF5 itself reads, and checks."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from wban_dataset.recording.container import ContainerWriter
from wban_dataset.recording.layout import Column
from wban_dataset.recording.picture_chunks import PictureDeflater, fletcher32

COLUMNS = (
    *(Column(axis, "<i4", (axis,)) for axis in ("time", "y", "x")),
    Column("data", "|u1", ("time", "y", "x")),
)


def noise(n: int, height: int, width: int, sigma: float) -> np.ndarray:
    rng = np.random.default_rng(7)
    return np.clip(rng.normal(120, sigma, (n, height, width)), 0, 255).astype(np.uint8)


def write(path, pictures, level):
    n_pictures, height, width = pictures.shape
    shapes = {"time": (n_pictures,), "y": (height,), "x": (width,), "data": pictures.shape}
    with ContainerWriter(path, level) as file:
        file.create_group("infrared", COLUMNS, shapes, {})
        rows = file.rows("infrared/data")
        for picture in pictures:
            rows.append(picture[None])
        rows.finish()


@pytest.mark.parametrize(
    "pictures",
    [
        noise(7, 240, 320, 5.0),  # noise: Huffman codes alone; the last chunk is not full
        np.zeros((6, 240, 320), np.uint8),  # repeats: deflate, and a checksum of few words
        noise(300, 31, 17, 3.0),
        noise(3, 700, 900, 80.0),  # one picture is larger than a chunk should be
    ],
    ids=["noise", "flat", "odd", "large"],
)
def test_h5py_reads_what_was_compressed_here(tmp_path, pictures):
    write(tmp_path / "fast.h5", pictures, 1)
    write(tmp_path / "plain.h5", pictures, 2)
    for name in ("fast.h5", "plain.h5"):
        with h5py.File(tmp_path / name) as file:
            np.testing.assert_array_equal(file["infrared/data"][:], pictures)


def test_a_flipped_bit_in_such_a_chunk_is_refused_by_hdf5(tmp_path):
    write(tmp_path / "fast.h5", noise(4, 240, 320, 5.0), 1)
    with h5py.File(tmp_path / "fast.h5") as file:
        chunk = file["infrared/data"].id.get_chunk_info(1)
    content = bytearray((tmp_path / "fast.h5").read_bytes())
    content[chunk.byte_offset + 1000] ^= 1
    (tmp_path / "fast.h5").write_bytes(bytes(content))
    with h5py.File(tmp_path / "fast.h5") as file, pytest.raises(OSError, match="filter"):
        file["infrared/data"][:]


def test_repeats_are_still_made_use_of():
    flat = np.zeros((2, 240, 320), np.uint8)
    assert len(PictureDeflater().stored(flat)) < 1000


def test_checksum_is_computed_as_the_filter_does():
    # words 0x0102 and 0x0304: low = 0x0406, high = 0x0102 + 0x0406
    assert fletcher32(bytes([1, 2, 3, 4])) == 0x0508_0406
    # an odd last byte is the high half of a word: 0x0102 and 0x0300
    assert fletcher32(bytes([1, 2, 3])) == 0x0504_0402
    assert fletcher32(bytes(8)) == 0
    # sums that are multiples of 65535 stay 65535: end-around carry never gives 0
    assert fletcher32(bytes([0xFF, 0xFF])) == 0xFFFF_FFFF
