"""Asking for help, or for the package, loads nothing heavy."""

from __future__ import annotations

from tests.unit.test_imports import HEAVY, loaded_by


def test_the_package_with_its_public_names_loads_nothing():
    assert not loaded_by("import wban_dataset; wban_dataset.__all__") & (HEAVY | {"numpy"})


def test_help_of_build_loads_nothing_heavy():
    assert not loaded_by("import wban_dataset.cli.build") & (HEAVY | {"rich"})


def test_public_names_load_neither_analysis_nor_dask():
    names = "Session, build, load_dataset"
    loaded = loaded_by(f"from wban_dataset import {names}")
    assert not loaded & {"dask", "distributed", "matplotlib", "pandas", "torch", "xarray", "zmq"}
