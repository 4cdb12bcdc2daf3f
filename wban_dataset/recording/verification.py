# pyright: basic, reportIndexIssue=false, reportAttributeAccessIssue=false
# pyright: reportArgumentType=false, reportOperatorIssue=false
# h5py's types are incomplete: whatever stands in a file is a Group | Dataset | Datatype.
"""Whether a session is as it was sealed, and as the format says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from wban_dataset.recording import layout, timebase
from wban_dataset.recording import reconstruction as made
from wban_dataset.recording.container import CHUNK_CACHE_BYTES
from wban_dataset.recording.content import (
    Content,
    content_digest,
    dataset_paths,
    stored_attribute_texts,
    stored_content,
    stored_digest,
)
from wban_dataset.recording.errors import SealingError, SessionError
from wban_dataset.recording.sealed import READ_ERRORS, SealedStore
from wban_dataset.recording.store import Store
from wban_dataset.recording.unsealed import JournalStore
from wban_dataset.recording.wording import counted


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What a check found.

    Attributes
    ----------
    problems
        One sentence each; none where all is well.
    n_datasets, n_bytes
        How much was read.
    """

    path: Path
    problems: tuple[str, ...]
    n_datasets: int
    n_bytes: int

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


def verify(store: Store) -> VerifyReport:
    """Check a session: checksums and counts, structure, stamps, and that evidence gives them again.

    An unsealed session has no checksums but those of its journal; what that lost is a problem here,
    but for the torn end of one that was cut off or is being recorded: its lost tail bounds that.
    """
    problems: list[str] = []
    n_datasets, n_bytes = 0, 0
    try:
        if isinstance(store, SealedStore):
            n_bytes = store.path.stat().st_size
            problems += _structure_problems(store.file)
            n_datasets, digest_problems = _digest_problems(store.file)
            problems += digest_problems
        elif isinstance(store, JournalStore):
            problems += _journal_problems(store)
            n_bytes = store.index.n_bytes
        for name in store.stream_names():
            problems += _stream_problems(store, name)
    except (SessionError, *READ_ERRORS) as error:
        problems.append(f"it cannot be read any further: {error}")
    return VerifyReport(store.path, tuple(problems), n_datasets, n_bytes)


def compare(path: Path, content: Content) -> None:
    """Read a new file back and compare all that stands in it with what the journal gave.

    Raises
    ------
    SealingError
        If a dataset is missing, unexpected, or has other rows, or attributes differ.
    """
    try:
        with h5py.File(path, "r", rdcc_nbytes=CHUNK_CACHE_BYTES) as file:
            found = stored_content(file)
    except READ_ERRORS as error:
        raise _differs(path, f"it cannot be read back ({error})") from error
    differing = sorted(set(found.datasets) ^ set(content.datasets))
    if differing:
        raise _differs(path, f"dataset {differing[0]} is missing or unexpected")
    for name, stored in found.datasets.items():
        if stored.n_rows != content.datasets[name].n_rows:
            raise _differs(path, f"dataset {name} has {counted(stored.n_rows, 'row')}")
        if stored.hexdigest() != content.datasets[name].hexdigest():
            raise _differs(path, f"dataset {name} has other values")
    if found.sha256 != content.sha256:
        raise _differs(path, "it has other attributes")


def _differs(path: Path, what: str) -> SealingError:
    return SealingError(
        f"{path}: {what} than the journal says, so the disk or the memory is at fault. "
        "The journal is untouched: check the disk and seal again."
    )


def _digest_problems(file: h5py.File) -> tuple[int, list[str]]:
    """Every dataset against the digest that was stored when it was sealed."""
    problems: list[str] = []
    try:
        provenance = file[layout.PROVENANCE_GROUP]
        names = list(provenance["dataset"].asstr()[:])
        stated = dict(zip(names, provenance["sha256"].asstr()[:], strict=True))
        n_rows = dict(zip(names, provenance["n_rows"][:].tolist(), strict=True))
    except READ_ERRORS as error:
        return 0, [f"{layout.PROVENANCE_GROUP} cannot be read: {error}"]
    own = [name for name in dataset_paths(file) if not name.startswith("provenance/")]
    for name in sorted(set(own) ^ set(stated)):
        problems.append(f"dataset {name} is {'missing' if name in stated else 'unexpected'}")
    for name in sorted(set(own) & set(stated)):
        try:
            found = stored_digest(file[name].id)
        except READ_ERRORS as error:
            problems.append(f"dataset {name} cannot be read: {error}")
            continue
        if found.n_rows != n_rows[name]:
            has = counted(found.n_rows, "row")
            problems.append(f"dataset {name} has {has}, expected {n_rows[name]}")
        elif found.hexdigest() != stated[name]:
            problems.append(f"dataset {name} has other values than when it was sealed")
    for name in dataset_paths(file):
        if name not in own:
            stated[name] = stored_digest(file[name].id).hexdigest()
    found_sha256 = content_digest(stated, stored_attribute_texts(file))
    if found_sha256 != provenance.attrs.get(layout.CONTENT_DIGEST):
        problems.append("attributes are not as they were when it was sealed")
    return len(own), problems


def _structure_problems(file: h5py.File) -> Iterator[str]:
    """Find groups and columns that the format asks for, and axes without a scale."""
    for group, columns in _expected_groups(file).items():
        if group not in file:
            yield f"group {group} is missing"
            continue
        for column in columns:
            if column.name not in file[group]:
                yield f"dataset {group}/{column.name} is missing"
    for path in dataset_paths(file):
        dataset = file[path]
        if not dataset.is_scale:
            for axis in range(dataset.ndim):
                if not len(dataset.dims[axis]):
                    yield f"dataset {path} has no dimension scale on axis {axis}"


def _expected_groups(file: h5py.File) -> dict[str, tuple[layout.Column, ...]]:
    expected = {**layout.TABLES, layout.PROVENANCE_GROUP: layout.PROVENANCE, layout.ALIGNED: ()}
    expected.update(
        {name: () for name in layout.DEFAULT_GROUPS.values() if not _has_kind(file, name)}
    )
    for name, group in file.items():
        if "kind" in group.attrs:
            expected[name] = layout.stream_columns(group.attrs["kind"])
            expected[f"{name}/{layout.READS_GROUP}"] = layout.READS
    return expected


def _has_kind(file: h5py.File, kind: str) -> bool:
    return any(group.attrs.get("kind") == kind for group in file.values())


def _stream_problems(store: Store, name: str) -> Iterator[str]:
    """Check counts of rows, order of stamps, and the stamps made again from their evidence."""
    stamps = np.asarray(store.column(name, "monotonic_ns"))
    reads = store.reads(name)
    n_read = int(reads["n"].sum())
    if n_read != len(stamps):
        yield f"stream {name}: its reads hold {counted(n_read, 'sample')}, expected {len(stamps)}"
        return
    if np.any(np.diff(stamps) <= 0):
        yield f"stream {name}: its stamps do not increase"
    again = timebase.stamped(store_stamp_inputs(store, name))
    if not np.array_equal(again.monotonic_ns, stamps):
        yield f"stream {name}: its stamps are not those that its evidence gives"


def store_stamp_inputs(store: Store, name: str) -> timebase.StampInputs:
    """Gather what the stamps of a stream were made from, out of its stored columns."""
    attributes: dict[str, Any] = store.stream_attributes(name)
    reads = store.reads(name)
    segments = made.unwrapped_segments(np.asarray(store.column(name, "segment")))
    columns = layout.block_columns(attributes["kind"], attributes["evidence"])
    return made.assembled_stamp_inputs(
        attributes,
        reads,
        segments[reads["first_index"]],
        {column.name: np.asarray(store.column(name, column.name)) for column in columns},
        store.sample_shape(name)[0],
    )


def _journal_problems(store: JournalStore) -> Iterator[str]:
    yield from store.index.warnings
    for stretch in store.index.damages:
        damage = stretch.damage
        if damage.is_tail and store.index.end is None:
            continue
        n_records = damage.n_missing_records
        missing = "an unknown number of records" if n_records < 0 else counted(n_records, "record")
        yield (
            f"journal segment {damage.segment} is damaged at {damage.start_offset}: "
            f"{counted(damage.n_bytes, 'byte')}, {missing} missing"
        )
