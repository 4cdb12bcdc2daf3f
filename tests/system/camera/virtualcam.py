"""Run the real picamera2 on libcamera's "virtual" pipeline: no camera, no kernel device.

::

    import virtualcam; virtualcam.install()    # before the code under test opens Picamera2
    python3 -m virtualcam MODULE [ARGS...]     # a whole program, MODULE as __main__

Made up here, since the virtual pipeline lacks it: it has no raw stream; it wants one buffer with
two planes; it serves frames as fast as they are asked for, so a request is let through once in a
frame's duration; and it makes NV12, which is reported as YUV420 where that was asked for (the
brightness plane is the same).

Left as it is, unlike on a Pi: one stream of the sizes in virtual.yaml, no padding of rows, four
buffers, metadata with ``SensorTimestamp`` (CLOCK_MONOTONIC) alone, and no control but
``FrameDurationLimits``.

For faults: ``camera.camera.stalled.set()`` stops the sensor; ``ticks`` counts its frame periods and
``starved`` those for which no request was queued, where a Pi would have dropped the frame.
"""

from __future__ import annotations

import queue
import sys
import threading
import time
import types


class _AnyName(type):
    def __getattr__(cls, name):
        return name


def _stub(name, **attributes):
    """Stand in for what picamera2 imports and never uses here."""
    try:
        __import__(name)
    except ImportError:
        module = types.ModuleType(name)
        module.__dict__.update(attributes)
        sys.modules[name] = module


_stub("pykms", PixelFormat=_AnyName("PixelFormat", (), {}))  # preview on a screen
_stub("pidng", __path__=[])  # DNG files
_stub("pidng.camdefs", Picamera2Camera=None)
_stub("pidng.core", PICAM2DNG=None)

import libcamera  # noqa: E402
import picamera2  # noqa: E402
from picamera2.allocators import dmaallocator  # noqa: E402


class _TwoPlaneFrameBuffer:
    Plane = libcamera.FrameBuffer.Plane

    def __new__(cls, planes):
        (luma,) = planes  # this very object: the allocator finds its tables by its descriptor
        chroma = libcamera.FrameBuffer.Plane()
        chroma.fd = luma.fd
        chroma.offset = luma.length * 2 // 3
        chroma.length = luma.length - chroma.offset
        luma.length = chroma.offset
        return libcamera.FrameBuffer([luma, chroma])


class _PacedCamera:
    """A libcamera camera that is given one queued request in each frame period."""

    def __init__(self, camera, frame_rate_hz):
        self._camera = camera
        self._period_s = 1.0 / frame_rate_hz
        self._requests = queue.Queue()
        self._thread = None
        self._stop = threading.Event()
        self.stalled = threading.Event()
        self.ticks = self.starved = 0

    def __getattr__(self, name):
        return getattr(self._camera, name)

    def __eq__(self, other):
        return self._camera == other

    __hash__ = None

    def start(self, controls=None):
        for control, value in (controls or {}).items():
            if control.name == "FrameDurationLimits":
                self._period_s = value[0] / 1e6
        self._camera.start(controls or {})
        self._stop.clear()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self):
        self._stop.set()
        if self._thread:
            self._thread.join()
            self._thread = None
        self._camera.stop()
        self._requests = queue.Queue()

    def queue_request(self, request):
        self._requests.put(request)

    def _run(self):
        due_s = time.monotonic()
        while not self._stop.wait(max(0.0, due_s - time.monotonic())):
            due_s += self._period_s
            if self.stalled.is_set():
                continue
            self.ticks += 1
            try:
                self._camera.queue_request(self._requests.get_nowait())
            except queue.Empty:
                self.starved += 1


class VirtualPicamera2(picamera2.Picamera2):
    """picamera2's own class, with the differences that the module names."""

    frame_rate_hz = 30.0

    def _grab_camera(self, idx):
        return _PacedCamera(super()._grab_camera(idx), self.frame_rate_hz)

    def _get_raw_modes(self):
        role = libcamera.StreamRole.Viewfinder
        mode = self.camera.generate_configuration([role]).at(0)
        return [{"format": str(mode.pixel_format), "size": (mode.size.width, mode.size.height)}]

    def _update_stream_config(self, stream_config, libcamera_stream_config):
        asked = stream_config["format"]
        super()._update_stream_config(stream_config, libcamera_stream_config)
        if (asked, stream_config["format"]) == ("YUV420", "NV12"):
            stream_config["format"] = asked


def install():
    """Put the virtual camera in picamera2's place."""
    dmaallocator.libcamera = types.SimpleNamespace(FrameBuffer=_TwoPlaneFrameBuffer)
    picamera2.Picamera2 = VirtualPicamera2


if __name__ == "__main__":
    import runpy

    install()
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
