"""The machine's own state: the firmware's bits, from a file or from the mailbox."""

from __future__ import annotations

import struct

import pytest

from wban_collect.health import UNKNOWN, read_health, read_throttled, throttled_words


class ScriptedMailbox:
    """Answers like the firmware's property mailbox; notes what it was asked."""

    def __init__(self, bits: int, code: int = 0x80000000) -> None:
        self.bits = bits
        self.code = code
        self.asked: list[tuple[int, tuple[int, ...]]] = []

    def ioctl(self, descriptor: int, request: int, message: bytearray) -> int:
        assert descriptor > 2
        self.asked.append((request, struct.unpack("<7I", message)))
        struct.pack_into("<I", message, 4, self.code)
        struct.pack_into("<II", message, 16, 0x80000004, self.bits)
        return 0


@pytest.fixture
def sysfs(tmp_path):
    """Give a place for the file that a Pi's kernel has."""
    return tmp_path / "get_throttled"


@pytest.fixture
def vcio(tmp_path):
    """Give a file that stands for the mailbox's device."""
    device = tmp_path / "vcio"
    device.touch()
    return device


def test_the_kernels_file_is_hexadecimal(sysfs, vcio):
    sysfs.write_text("50005\n")
    mailbox = ScriptedMailbox(0)
    assert read_throttled(sysfs, vcio, mailbox.ioctl) == 0x50005
    assert not mailbox.asked


def test_without_that_file_the_firmware_is_asked(sysfs, vcio):
    mailbox = ScriptedMailbox(0x50000)
    assert read_throttled(sysfs, vcio, mailbox.ioctl) == 0x50000
    # _IOWR(100, 0, char *): direction 3, a pointer's size, type 100, number 0.
    request = 0xC0000000 | struct.calcsize("P") << 16 | 0x6400
    # Seven words of 4 bytes; no bit is asked to be cleared.
    assert mailbox.asked == [(request, (28, 0, 0x00030046, 4, 0, 0, 0))]


def test_a_firmware_that_does_not_know_the_question_says_nothing(sysfs, vcio):
    assert read_throttled(sysfs, vcio, ScriptedMailbox(0x50000, code=0x80000001).ioctl) == UNKNOWN


def test_a_mailbox_that_fails_says_nothing(sysfs, vcio):
    def failing(*_arguments: object) -> int:
        raise OSError(25, "Inappropriate ioctl for device")

    assert read_throttled(sysfs, vcio, failing) == UNKNOWN


def test_no_pi_no_answer(sysfs, tmp_path):
    assert read_throttled(sysfs, tmp_path / "no-vcio", ScriptedMailbox(0).ioctl) == UNKNOWN


def test_an_ordinary_file_is_no_mailbox(sysfs, vcio):
    assert read_throttled(sysfs, vcio) == UNKNOWN


@pytest.mark.parametrize(
    ("bits", "words"),
    [
        (0, []),
        (UNKNOWN, []),
        (0x1, ["under-voltage"]),
        (0x50005, ["under-voltage", "throttled"]),  # now, so "since boot" is not said again
        (0x50000, ["under-voltage since boot", "throttled since boot"]),
        (0x80004, ["throttled", "soft temperature limit since boot"]),
        (0x100, []),  # a bit that means nothing yet
    ],
)
def test_bits_are_said_in_words(bits, words):
    assert throttled_words(bits) == words


def test_health_has_the_slowest_percent_of_the_fsyncs(tmp_path):
    sample = read_health(7, tmp_path, [10] * 98 + [500, 9000])
    assert sample.monotonic_ns == 7
    assert sample.fsync_p99_ns == 9000  # of 100 durations the one that 99 are not above
    assert sample.free_bytes > 0
    assert sample.load1 >= 0
