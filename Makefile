# Two commands:  make demo  (record, seal, draw; no hardware)   make test  (everything that can run here)
PYTHON ?= python3
VENV := .venv
PIP := $(VENV)/bin/python -m pip --disable-pip-version-check
CAMERA_RIG ?= .rig/camera
VM_RIG ?= .rig/vm

.PHONY: help demo test lint format camera-rig vm-rig system-test benchmarks reliability clean

help:
	@echo "make demo        record, seal and draw a simulated and a replayed session (demo/)"
	@echo "make test        lint, types, contracts and every test that can run on this machine"
	@echo "make benchmarks  the figures of docs/benchmarks.md, as tables and JSON"
	@echo "make reliability the figures of docs/reliability.md but the power cuts (an hour)"
	@echo "make camera-rig  the real picamera2 on a virtual camera, for a system test (root, 600 MB)"
	@echo "make system-test the service and power cuts in an emulated Debian (root, 1.2 GB, 15 minutes)"
	@echo "make format      format the code"
	@echo "make clean       remove what these commands made"

demo: $(VENV)/.ready-demo
	$(VENV)/bin/python docs/demo.py demo

test: $(VENV)/.ready-test
	$(VENV)/bin/python tests/run_all.py

lint: $(VENV)/.ready-test
	$(VENV)/bin/python tests/run_all.py lint types contracts

format: $(VENV)/.ready-test
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

benchmarks: $(VENV)/.ready-test
	for script in thermal journal stamps shared_bus reference_load sealing kills study daemon status publisher page; do \
		$(VENV)/bin/python benchmarks/$$script.py || exit 1; done

reliability: $(VENV)/.ready-test
	$(VENV)/bin/python benchmarks/faults.py
	$(VENV)/bin/python benchmarks/kills.py --runs 1000
	$(VENV)/bin/python benchmarks/fuzz.py
	$(VENV)/bin/python benchmarks/soak.py
	$(VENV)/bin/python benchmarks/soak.py --load reference --virtual-hours 1 --session-minutes 5
	$(VENV)/bin/python benchmarks/soak.py --real-minutes 30 --session-minutes 2
	$(VENV)/bin/python benchmarks/reliability_page.py

camera-rig: $(CAMERA_RIG)/.ready

$(CAMERA_RIG)/.ready: | $(VENV)/bin/python
	PYTHON=$(VENV)/bin/python tests/system/camera/make_rig.sh $(CAMERA_RIG)
	touch $@

# Made anew by itself when what it is made from has changed.
vm-rig: | $(VENV)/bin/python
	PYTHON=$(VENV)/bin/python tests/system/vm/make_rig.sh $(VM_RIG)

system-test: $(VENV)/.ready-test vm-rig
	WBAN_VM_RIG=$(abspath $(VM_RIG)) $(VENV)/bin/python tests/run_all.py machine

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.ready-demo: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) install -q -c constraints.txt -e '.[analysis]'
	touch $@

# Adafruit's library without its dependencies: Blinka is for a Pi and needs a compiler elsewhere.
$(VENV)/.ready-test: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) install -q -c constraints.txt -e '.[dev]'
	$(PIP) install -q -c constraints.txt --no-deps adafruit-circuitpython-mlx90640 \
		adafruit-circuitpython-busdevice adafruit-circuitpython-register
	touch $@

clean:
	rm -rf $(VENV) demo .rig benchmarks/results
