from __future__ import annotations

import h5py
import numpy as np
import pytest

from wban_dataset.recording.attributes import attribute_texts, attributes, set_attribute
from wban_dataset.recording.content import Content, stored_content
from wban_dataset.recording.errors import SealingError
from wban_dataset.recording.verification import compare

VALUES = {
    "text": "Zoë",
    "empty": "",
    "texts": ["time", "Zoë"],
    "yes": True,
    "whole": -7,
    "large": 2**63,
    "real": 0.1,
    "single": np.float32(0.1),
    "fill": np.int16(-32768),
    "flag": np.bool_(False),
    "bytes": b"as they are",
    "numbers": [1, 2.5],
    "nothing": [],
    "matrix": np.arange(6.0).reshape(2, 3),
    "flags": np.array([True, False]),
    "point": np.array(4.5),
}


@pytest.fixture
def file():
    with h5py.File("attributes", "w", driver="core", backing_store=False) as opened:
        yield opened


@pytest.mark.parametrize("name", VALUES)
def test_the_text_of_what_is_set_is_the_text_of_what_is_stored(file, name):
    text = set_attribute(file.id, name, VALUES[name])
    assert attribute_texts(file.id) == {name: text}


def test_other_tools_read_what_was_set(file):
    for name, value in VALUES.items():
        set_attribute(file.id, name, value)
    found = {name: file.attrs[name] for name in VALUES}
    assert found["text"] == "Zoë"
    assert found["texts"].tolist() == ["time", "Zoë"]
    assert found["yes"] is np.True_
    assert found["large"] == 2**63
    assert found["fill"].dtype == np.int16
    np.testing.assert_array_equal(found["matrix"], VALUES["matrix"])
    np.testing.assert_array_equal(attributes(file.id)["matrix"], VALUES["matrix"])


def test_an_attribute_that_changed_on_its_way_to_the_disk_is_found(tmp_path):
    path = tmp_path / "session.h5"
    with h5py.File(path, "w") as file:
        group = file.create_group("accel")
        group["data"] = [1, 2]
        group.attrs["units"] = "m s-2"
        written = stored_content(file)
    compare(path, written)
    with pytest.raises(SealingError, match="other attributes"):
        compare(path, Content(written.datasets, "0" * 64))
    with h5py.File(path, "r+") as file:
        file["accel"].attrs["units"] = "g"
    with pytest.raises(SealingError, match="other attributes"):
        compare(path, written)
