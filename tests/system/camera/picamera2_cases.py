"""What the camera device does on the real picamera2; runs inside the rig (see in_rig.sh)."""

from __future__ import annotations

import gc
import os
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

FRAMES = Path("/tmp/frames")  # noqa: S108 - a tmpfs of the rig's own, named in virtual.yaml
GREY_LEVELS = (60, 120, 180)


def _draw_frames() -> None:
    """Make the images that the camera "virtual_frames" serves: a level, and half of it on top."""
    FRAMES.mkdir(parents=True, exist_ok=True)
    for number, level in enumerate(GREY_LEVELS):
        picture = np.full((480, 640), level, dtype=np.uint8)
        picture[:240] = level // 2
        Image.fromarray(picture).convert("RGB").save(FRAMES / f"{number}.jpg", quality=95)


_draw_frames()  # libcamera reads virtual.yaml, and with it the folder, when it is imported

import virtualcam  # noqa: E402

virtualcam.install()

from wban_collect.clock import SystemClock  # noqa: E402
from wban_collect.devices.picamera import PicameraDevice  # noqa: E402
from wban_collect.devices.picamera_stack import open_picamera2  # noqa: E402
from wban_collect.errors import DeviceNotFoundError  # noqa: E402
from wban_dataset.recording.streams import Gap, SampleBlock  # noqa: E402

PATIENCE_S = 20.0
"""Only a failing test waits this long."""


class Recorder:
    """Collects what a device delivers; `wait` returns when there is enough of it."""

    def __init__(self, model: str = "virtual_noir", **options) -> None:
        self.outputs: list[SampleBlock | Gap] = []
        self.cameras = []
        self._model = model
        self._arrived = threading.Condition()
        options.setdefault("frame_rate_hz", 60.0)
        self.device = PicameraDevice("camera", SystemClock(), open_camera=self._open, **options)

    def _open(self):
        models = [i["Model"] for i in virtualcam.VirtualPicamera2.global_camera_info()]
        camera = open_picamera2(models.index(self._model), None)
        self.cameras.append(camera)
        return camera

    def __enter__(self) -> Recorder:
        self.device.start(self._take)
        return self

    def __exit__(self, *exception: object) -> None:
        self.device.stop()

    def _take(self, output) -> None:
        with self._arrived:
            self.outputs.append(output)
            self._arrived.notify_all()

    def wait(self, n_blocks: int) -> None:
        with self._arrived:
            assert self._arrived.wait_for(lambda: len(self.blocks) >= n_blocks, PATIENCE_S), (
                f"{len(self.blocks)} blocks of {n_blocks}"
            )

    @property
    def blocks(self) -> list[SampleBlock]:
        return [o for o in self.outputs if isinstance(o, SampleBlock)]

    @property
    def gaps(self) -> list[Gap]:
        return [o for o in self.outputs if isinstance(o, Gap)]


def column(blocks, name):
    return np.array([b.columns[name][0] for b in blocks])


def test_frames_come_in_shape_in_order_and_fresh():
    with Recorder() as recorder:
        recorder.wait(60)
    blocks = recorder.blocks
    assert {b.data.shape for b in blocks} == {(1, 120, 160)}
    assert [b.first_index for b in blocks] == list(range(len(blocks)))
    sensor_ns = column(blocks, "sensor_ns")
    assert (np.diff(sensor_ns) > 0).all()
    assert np.median(np.diff(sensor_ns)) == pytest.approx(1e9 / 60, rel=0.1)
    ages_ns = np.array([b.read.read_start_ns for b in blocks]) - sensor_ns
    assert ages_ns.min() >= 0
    assert np.median(ages_ns) < 50_000_000
    # The rig's metadata have no exposure: what it could have been is in the uncertainty.
    assert column(blocks, "stamp_unc_ns").min() > 1e9 / 60 / 2 / 3.5
    assert blocks[-1].data.std() > 0
    assert recorder.device.streams[0].device == "virtual_noir"


def test_every_request_goes_back_to_the_camera():
    with Recorder() as recorder:
        recorder.wait(120)
        sensor = recorder.cameras[0].camera
        # Four requests exist; if they stayed away, all periods after the fourth would starve.
        assert sensor.ticks - sensor.starved >= 120
        assert sensor.starved <= sensor.ticks // 2


def test_known_pictures_arrive_as_they_are():
    with Recorder("virtual_frames", size=(64, 48)) as recorder:
        recorder.wait(45)
    seen = set()
    for block in recorder.blocks:
        top, bottom = block.data[0, 2:22].mean(), block.data[0, 26:46].mean()
        level = min(GREY_LEVELS, key=lambda level: abs(level - bottom))
        assert bottom == pytest.approx(level, abs=3)
        assert top == pytest.approx(level // 2, abs=3)
        seen.add(level)
    assert seen == set(GREY_LEVELS)


class Broken:
    """Raises whatever is asked of it, and notices when that has happened three times."""

    def __init__(self) -> None:
        self.n_asked = 0
        self.was_asked = threading.Event()

    def __getattr__(self, name):
        self.n_asked += 1
        if self.n_asked == 3:
            self.was_asked.set()
        raise ZeroDivisionError


def test_an_exception_while_processing_does_not_end_the_loop(monkeypatch):
    broken = Broken()
    with Recorder() as recorder:
        recorder.wait(5)
        with monkeypatch.context() as patch:
            patch.setattr(recorder.device, "_resize", broken)
            assert broken.was_asked.wait(PATIENCE_S)
        recorder.wait(len(recorder.blocks) + 10)
        assert recorder.cameras[0]._preview.thread.is_alive()
    assert recorder.device.n_failed >= 3
    assert recorder.device.n_restarts == 0
    assert [g.cause for g in recorder.gaps]
    assert {g.cause for g in recorder.gaps} == {"missed"}


def _check_until(recorder: Recorder, n_restarts: int) -> None:
    """Do the recorder's housekeeping until the device has restarted its camera."""
    clock = SystemClock()
    while recorder.device.n_restarts < n_restarts:
        clock.sleep_until_ns(recorder.device.next_due_ns())
        recorder.device.check()


def test_a_stalled_sensor_is_restarted():
    with Recorder() as recorder:
        recorder.wait(10)
        recorder.cameras[0].camera.stalled.set()
        _check_until(recorder, 1)
        recorder.wait(len(recorder.blocks) + 10)
    (gap,) = [g for g in recorder.gaps if g.cause == "stalled"]
    # 1 s of silence at 60 frames/s, and the time that opening takes.
    assert gap.n_missing >= 55
    assert recorder.blocks[-1].segment > recorder.blocks[0].segment
    assert recorder.device.n_restarts == 1
    assert not recorder.cameras[0].is_open


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_dead_event_loop_is_replaced():
    def broken(request):
        raise ZeroDivisionError

    with Recorder() as recorder:
        recorder.wait(5)
        recorder.cameras[0].post_callback = broken
        recorder.cameras[0]._preview.thread.join(PATIENCE_S)
        assert not recorder.cameras[0]._preview.thread.is_alive()
        _check_until(recorder, 1)
        recorder.wait(len(recorder.blocks) + 5)
    assert not recorder.cameras[0].is_open


def test_opening_and_closing_leaks_no_descriptor():
    def cycle() -> None:
        with Recorder() as recorder:
            recorder.wait(3)
        recorder.cameras.clear()
        gc.collect()

    cycle()  # what the libraries open once stays open
    n_before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - its own descriptor counts alike
    for _ in range(5):
        cycle()
    assert len(os.listdir("/proc/self/fd")) <= n_before  # noqa: PTH208


def test_a_camera_that_is_not_there_is_named():
    with pytest.raises(DeviceNotFoundError, match=r"cameras found: .*virtual_noir"):
        open_picamera2(7, None)
