from __future__ import annotations

import logging

import numpy as np
import pytest

from wban_collect.clock import SystemClock, VirtualClock
from wban_collect.devices import picamera_stack
from wban_collect.devices.picamera import PicameraDevice
from wban_collect.errors import CameraStackError, DeviceError, DeviceNotFoundError
from wban_collect.simulation.camera import CameraFaults, SimulatedPicamera2
from wban_dataset.recording.streams import Gap, SampleBlock

MS = 1_000_000
SECOND = 1_000_000_000
START_NS = 1000 * SECOND
LINE_NS = 9_452
FRAME_LINES = 21_159  # 200 ms in lines of 9452 ns
FRAME_NS = FRAME_LINES * LINE_NS


class FlatWorld:
    """Shows one grey level; `level` may depend on the instant."""

    end_ns = None

    def __init__(self, level=lambda time_ns: 90) -> None:
        self.level = level

    def infrared(self, time_ns, height, width):
        return np.full((height, width), self.level(time_ns), dtype=np.uint8)


class Rig:
    """A device on a simulated camera in virtual time, and what it delivered."""

    def __init__(self, *, world=None, faults=None, camera=None, **options) -> None:
        self.clock = VirtualClock(START_NS)
        self.camera = SimulatedPicamera2(
            world or FlatWorld(),
            self.clock,
            seed=5,
            line_time_ns=LINE_NS,
            faults=faults,
            keep_truth=True,
            **(camera or {}),
        )
        options = {"capture_size": (64, 48), "size": (16, 12), **options}
        options.setdefault("boottime_offset_ns", lambda: 0)
        self.device = PicameraDevice("camera", self.clock, open_camera=self.camera.open, **options)
        self.outputs: list[SampleBlock | Gap] = []

    def run(self, duration_s: float) -> None:
        """Let camera and housekeeping do what is due."""
        end_ns = self.clock.monotonic_ns() + round(duration_s * SECOND)
        while min(self.device.next_due_ns(), self.camera.next_due_ns()) <= end_ns:
            if self.device.next_due_ns() <= self.camera.next_due_ns():
                self.clock.sleep_until_ns(self.device.next_due_ns())
                self.device.check()
            else:
                self.camera.step()
        self.clock.sleep_until_ns(end_ns)

    def record(self, duration_s: float) -> Rig:
        self.device.start(self.outputs.append)
        self.run(duration_s)
        self.device.stop()
        return self

    @property
    def blocks(self) -> list[SampleBlock]:
        return [o for o in self.outputs if isinstance(o, SampleBlock)]

    @property
    def gaps(self) -> list[Gap]:
        return [o for o in self.outputs if isinstance(o, Gap)]

    def stamps_ns(self):
        """Middle row, middle of exposure, from the blocks' own columns."""
        attributes = self.device.streams[0].attributes
        middle_ns = attributes["sensor_rows"] * attributes["line_time_ns"] // 2
        return np.array(
            [
                b.columns["sensor_ns"][0] - b.columns["exposure_ns"][0] // 2 + middle_ns
                for b in self.blocks
            ]
        )


def test_frames_become_blocks_of_the_declared_shape():
    rig = Rig(gain=2.0, exposure_us=8000).record(3.0)
    spec = rig.device.streams[0]
    assert (spec.kind, spec.evidence, spec.dtype, spec.sample_shape) == (
        "infrared",
        "sensor",
        "|u1",
        (12, 16),
    )
    assert spec.device == "imx219"
    assert [b.first_index for b in rig.blocks] == list(range(len(rig.blocks)))
    assert {b.segment for b in rig.blocks} == {0}
    for block in rig.blocks:
        assert block.data.shape == (1, 12, 16)
        assert block.data.dtype == np.uint8
        assert (block.data == 90).all()
        assert {name: c.dtype.str for name, c in block.columns.items()} == {
            "exposure_ns": "<i8",
            "gain": "<f4",
            "illuminated": "|u1",
            "sensor_ns": "<i8",
            "frame_duration_ns": "<i8",
            "stamp_unc_ns": "<i4",
        }
        assert block.columns["gain"][0] == 2.0
        assert block.columns["illuminated"][0] == 1
        assert block.read.edge_ns == block.columns["sensor_ns"][0] < block.read.read_start_ns
    # First frame 0.2 s after start, then one every 200 ms, each about 13 ms on its way.
    assert len(rig.blocks) == 14
    assert not rig.gaps


@pytest.mark.parametrize("clock_error", [-0.03, 0.0, 0.03])
def test_stamps_are_true_within_a_tenth_of_a_millisecond(clock_error):
    rig = Rig(frame_rate_hz=15.0, camera={"clock_error": clock_error}).record(20.0)
    truth_ns = np.array([middle for _, middle in rig.camera.frame_truth])
    error_ns = rig.stamps_ns() - truth_ns[: len(rig.stamps_ns())]
    assert np.sqrt((error_ns**2).mean()) < 100_000
    assert (np.diff(rig.stamps_ns()) > 0).all()


def test_a_dark_picture_is_not_illuminated():
    rig = Rig(world=FlatWorld(lambda time_ns: 5)).record(1.0)
    assert {int(b.columns["illuminated"][0]) for b in rig.blocks} == {0}


def test_dropped_frames_are_counted_exactly_and_begin_a_segment():
    faults = CameraFaults(drop_frames=frozenset({5, 6, 7, 20}))
    rig = Rig(faults=faults).record(6.0)
    assert [(g.cause, g.n_missing, g.exact) for g in rig.gaps] == [
        ("missed", 3, True),
        ("missed", 1, True),
    ]
    assert [b.segment for b in rig.blocks] == [0] * 5 + [1] * 12 + [2] * (len(rig.blocks) - 17)
    assert [b.first_index for b in rig.blocks] == list(range(len(rig.blocks)))
    stamps_ns = rig.stamps_ns()
    # From one period after the last frame to the next frame.
    assert rig.gaps[0].start_ns == pytest.approx(stamps_ns[4] + FRAME_NS, abs=10_000)
    assert rig.gaps[0].stop_ns == pytest.approx(stamps_ns[5], abs=10_000)
    assert rig.device.n_dropped == 4


def test_random_drops_leave_no_frame_unaccounted_for():
    rig = Rig(frame_rate_hz=15.0, faults=CameraFaults(drop_fraction=0.1)).record(60.0)
    n_missing = sum(g.n_missing for g in rig.gaps)
    span = rig.stamps_ns()[-1] - rig.stamps_ns()[0]
    n_periods = round(span / (1e9 / 15))
    assert n_missing > 50
    assert len(rig.blocks) + n_missing == n_periods + 1


def test_every_n_seconds_thins_out_without_a_loss():
    rig = Rig(rule="every 2 s", faults=CameraFaults(drop_frames=frozenset({4}))).record(9.0)
    assert np.diff(rig.stamps_ns()) / 1e9 == pytest.approx([2.0] * 4, abs=0.11)
    assert not rig.gaps
    assert rig.device.n_dropped == 1
    assert rig.device.streams[0].sampling_rate_hz == 0.5
    assert rig.device.streams[0].attributes["rule"] == "every 2 s"


def test_frames_that_the_rule_does_not_want_are_not_even_copied(monkeypatch):
    rig = Rig(rule="every 2 s")
    n_rendered = []
    render = rig.camera._render
    monkeypatch.setattr(rig.camera, "_render", lambda t: n_rendered.append(t) or render(t))
    rig.record(5.0)
    assert len(n_rendered) == len(rig.blocks) == 3


def test_on_change_keeps_the_first_picture_and_changes():
    class Blinking(FlatWorld):
        def infrared(self, time_ns, height, width):
            picture = super().infrared(time_ns, height, width)
            if time_ns >= START_NS + 2 * SECOND:
                picture[: height // 3] = 200
            return picture

    rig = Rig(rule="on change", world=Blinking(), size=(32, 24)).record(4.0)
    assert len(rig.blocks) == 2
    assert rig.stamps_ns()[1] == pytest.approx(START_NS + 2 * SECOND, abs=FRAME_NS)
    assert not rig.gaps


@pytest.mark.parametrize(
    ("missing", "exposure_ns", "least_unc_ns"),
    [("ExposureTime", 8 * MS, 100_000), ("FrameDuration", None, 100_000)],
)
def test_missing_metadata_take_the_configured_value_and_are_less_certain(
    missing, exposure_ns, least_unc_ns
):
    rig = Rig(exposure_us=8000, faults=CameraFaults(missing_metadata=frozenset({missing})))
    rig.record(2.0)
    columns = rig.blocks[0].columns
    if exposure_ns is not None:
        assert columns["exposure_ns"][0] == exposure_ns
    assert columns["frame_duration_ns"][0] == pytest.approx(200 * MS, rel=1e-4)
    assert columns["stamp_unc_ns"][0] >= least_unc_ns
    assert not rig.gaps


def test_frames_without_any_stamp_are_kept_with_a_large_uncertainty():
    faults = CameraFaults(missing_metadata=frozenset({"SensorTimestamp"}))
    rig = Rig(faults=faults).record(5.0)
    truth_ns = np.array([middle for _, middle in rig.camera.frame_truth])
    assert len(rig.blocks) == len(truth_ns)
    uncertainty_ns = rig.blocks[0].columns["stamp_unc_ns"][0]
    assert uncertainty_ns >= 20 * MS
    assert np.abs(rig.stamps_ns() - truth_ns).max() < 2 * uncertainty_ns
    assert rig.blocks[0].read.edge_ns == 0
    assert not rig.gaps


def test_boottime_stamps_of_a_machine_that_slept_come_out_as_monotonic():
    offset_ns = 7200 * SECOND
    rig = Rig(camera={"stamp_offset_ns": offset_ns}, boottime_offset_ns=lambda: offset_ns)
    rig.record(2.0)
    truth_ns = np.array([middle for _, middle in rig.camera.frame_truth])
    assert np.abs(rig.stamps_ns() - truth_ns).max() < MS
    assert rig.device.streams[0].attributes["boottime_offset_ns"] == offset_ns


def test_shutter_comes_from_the_mode_that_the_camera_runs_in():
    rig = Rig(sensor_size=(640, 480)).record(1.0)
    attributes = rig.device.streams[0].attributes
    assert attributes["sensor_rows"] == 480
    # (480 + 32) * 9452 ns = 4839.4 us, advertised as 4839
    assert attributes["line_time_ns"] == 9451
    assert (attributes["capture_width"], attributes["capture_height"]) == (64, 48)


def test_an_unknown_sensor_costs_certainty():
    rig = Rig(camera={"model": "virtual_noir"}, exposure_us=8000).record(1.0)
    # Half of the way to the middle row, 24 rows of imx219's table.
    assert rig.blocks[0].columns["stamp_unc_ns"][0] >= 48 * 9_452 // 4


def test_a_stalled_camera_is_restarted_and_the_silence_is_a_gap():
    rig = Rig(faults=CameraFaults(stall_at_frames=frozenset({10}))).record(10.0)
    (gap,) = rig.gaps
    assert gap.cause == "stalled"
    assert not gap.exact
    assert rig.device.n_restarts == 1
    assert rig.camera.n_opened == 2
    stamps_ns = rig.stamps_ns()
    # The last frame's delivery + 1 s of silence + 0.2 s until the new run's first frame.
    silence_ns = stamps_ns[10] - stamps_ns[9]
    assert silence_ns == pytest.approx(1.2 * SECOND, abs=0.03 * SECOND)
    assert gap.n_missing == round(silence_ns / FRAME_NS) - 1
    assert [b.segment for b in rig.blocks] == [0] * 10 + [1] * (len(rig.blocks) - 10)
    assert [b.first_index for b in rig.blocks] == list(range(len(rig.blocks)))


def test_a_camera_that_stays_away_is_tried_less_and_less_and_comes_back():
    rig = Rig()
    rig.device.start(rig.outputs.append)
    rig.run(2.0)
    rig.camera.vanish()
    rig.run(60.0)
    # 1 s of silence, then attempts 1, 2, 4, 8, 16, 30 s apart
    assert rig.device.n_restarts == 6
    rig.camera.restore()
    rig.run(40.0)
    rig.device.stop()
    (gap,) = rig.gaps
    assert gap.cause == "device missing"
    assert gap.n_missing == pytest.approx((gap.stop_ns - gap.start_ns) / FRAME_NS, abs=1)
    assert rig.blocks[-1].segment == 1


def test_a_camera_that_never_comes_back_leaves_its_gap_at_the_end():
    rig = Rig()
    rig.device.start(rig.outputs.append)
    rig.run(2.0)
    rig.camera.vanish()
    rig.run(10.0)
    rig.device.stop()
    (gap,) = rig.gaps
    assert gap is rig.outputs[-1]
    assert gap.cause == "device missing"
    assert gap.stop_ns == rig.clock.monotonic_ns()
    assert gap.n_missing == pytest.approx(10.0 / 0.2, abs=2)


def test_a_camera_silent_from_the_start_is_restarted_too():
    rig = Rig(faults=CameraFaults(stall_at_frames=frozenset({0}))).record(6.0)
    (gap,) = rig.gaps
    assert gap.start_ns == START_NS
    assert gap.cause == "stalled"
    # 3 s of grace, then the new run's first frame after 0.2 s: 3.2 s / 200 ms
    assert gap.n_missing in (15, 16)
    assert rig.blocks


def test_a_raising_frame_is_counted_and_the_camera_goes_on(monkeypatch, caplog):
    rig = Rig()
    n_calls = []

    def infrared(time_ns, height, width):
        n_calls.append(time_ns)
        if len(n_calls) == 5:
            raise RuntimeError("failed to find buffer")
        return np.zeros((height, width), dtype=np.uint8)

    monkeypatch.setattr(rig.camera._world, "infrared", infrared)
    monkeypatch.setattr(rig.camera, "_brightness", lambda time_ns: 90.0)
    with caplog.at_level(logging.CRITICAL):
        rig.record(3.0)
    assert rig.device.n_failed == 1
    assert len(rig.blocks) == 13
    assert [(g.cause, g.n_missing, g.exact) for g in rig.gaps] == [("missed", 1, True)]
    assert rig.device.n_restarts == 0


def test_frames_that_never_could_be_processed_are_counted_at_the_end(monkeypatch, caplog):
    rig = Rig()
    monkeypatch.setattr(rig.camera, "_render", lambda time_ns: np.zeros((2, 2), dtype=np.uint8))
    with caplog.at_level(logging.CRITICAL):
        rig.record(2.0)
    # Frames at 0.2, 0.4 ... 1.8 s; none is good.
    assert [(g.cause, g.n_missing) for g in rig.gaps] == [("missed", 9)]
    assert not rig.blocks


def test_a_dead_event_loop_is_restarted_although_its_stop_would_hang(caplog):
    rig = Rig()
    rig.device.start(rig.outputs.append)
    rig.run(1.0)

    def broken(request):
        raise ZeroDivisionError

    rig.camera.post_callback = broken
    with caplog.at_level(logging.CRITICAL):
        rig.run(4.0)
    rig.device.stop()
    assert rig.device.n_restarts == 1
    assert [g.cause for g in rig.gaps] == ["stalled"]
    assert rig.blocks[-1].segment == 1


def test_requests_come_back_so_that_buffers_never_run_out():
    rig = Rig(frame_rate_hz=30.0).record(20.0)
    assert rig.camera.n_delivered == len(rig.blocks) == rig.camera.n_sensor_frames
    assert rig.camera._n_held == 0


def test_held_requests_make_the_camera_drop_frames():
    rig = Rig()
    rig.device.start(rig.outputs.append)
    take = rig.camera.post_callback
    held = []

    def hold(request):
        request.acquire()
        held.append(request)
        take(request)

    rig.camera.post_callback = hold
    rig.run(1.9)
    assert len(held) == 6
    for request in held:
        request.release()
    rig.camera.post_callback = take
    rig.run(1.0)
    rig.device.stop()
    (gap,) = rig.gaps
    assert (gap.cause, gap.exact) == ("missed", True)


def test_frames_of_a_camera_given_up_are_ignored():
    rig = Rig()
    rig.device.start(rig.outputs.append)
    rig.run(1.0)
    late = rig.camera.post_callback
    rig.device.stop()
    n_outputs = len(rig.outputs)
    rig.camera.open().post_callback = late
    rig.camera.configure(
        rig.camera.create_video_configuration(main={"size": (64, 48), "format": "YUV420"})
    )
    rig.camera.start()
    rig.run(1.0)
    assert len(rig.outputs) == n_outputs


def test_only_advertised_controls_are_set(monkeypatch):
    rig = Rig(exposure_us=8000)
    controls = {"FrameDurationLimits": (4000, 600_000, None)}
    monkeypatch.setattr(SimulatedPicamera2, "camera_controls", property(lambda self: controls))
    rig.record(1.0)
    assert rig.camera.camera_configuration()["controls"] == {
        "FrameDurationLimits": (200_000, 200_000)
    }
    assert rig.blocks


def test_an_impossible_rate_says_what_is_possible():
    rig = Rig(frame_rate_hz=0.5)
    with pytest.raises(DeviceError, match=r"0\.5 frames/s.*Change frame_rate_hz"):
        rig.device.start(rig.outputs.append)
    assert not rig.camera.started
    rig.camera.open()  # it was closed again


def test_a_camera_that_cannot_be_configured_is_closed_and_named():
    rig = Rig(capture_size=(65, 48))
    with pytest.raises(DeviceError, match="Camera camera"):
        rig.device.start(rig.outputs.append)
    rig.camera.open()


@pytest.mark.parametrize(
    "options", [{"size": (128, 48)}, {"frame_rate_hz": 0}, {"rule": "never"}, {"size": (0, 0)}]
)
def test_unusable_options_are_refused(options):
    with pytest.raises(ValueError, match=r"stored as|frame rate|frame rule"):
        Rig(**options)


def test_stop_returns_although_closing_hangs(monkeypatch):
    monkeypatch.setattr(picamera_stack.close_camera, "__defaults__", (0.05,))
    rig = Rig()
    rig.device.start(rig.outputs.append)
    released = rig.camera._halted
    released.clear()
    monkeypatch.setattr(rig.camera, "close", released.wait)
    rig.device.stop()
    released.set()


def test_a_missing_camera_stack_names_the_package(monkeypatch):
    def missing(name):
        raise ModuleNotFoundError("No module named 'libcamera'")

    monkeypatch.setattr(picamera_stack.importlib, "import_module", missing)
    device = PicameraDevice("camera", SystemClock())
    with pytest.raises(CameraStackError, match="apt install python3-picamera2") as caught:
        device.start(lambda output: None)
    assert "--system-site-packages" in str(caught.value)


def test_a_missing_camera_is_told_apart_from_a_missing_stack(monkeypatch):
    class Stack:
        @staticmethod
        def global_camera_info():
            return []

    monkeypatch.setattr(picamera_stack, "_load_picamera2", lambda: Stack)
    with pytest.raises(DeviceNotFoundError, match="cameras found: none"):
        PicameraDevice("camera", SystemClock()).start(lambda output: None)


def test_the_threaded_camera_delivers_by_itself():
    import threading

    camera = SimulatedPicamera2(
        FlatWorld(), SystemClock(), 1, startup_ns=0, processing_ns=0, threaded=True
    )
    device = PicameraDevice(
        "camera",
        SystemClock(),
        capture_size=(64, 48),
        size=(16, 12),
        frame_rate_hz=100.0,
        open_camera=camera.open,
    )
    enough = threading.Event()
    outputs = []

    def deliver(output):
        outputs.append(output)
        if len(outputs) == 5:
            enough.set()

    device.start(deliver)
    enough.wait()
    device.stop()
    assert not camera.started
    assert all(
        o.read.edge_ns <= o.read.read_start_ns for o in outputs if isinstance(o, SampleBlock)
    )
