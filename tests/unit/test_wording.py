"""Numbers with their nouns, and texts that cannot command a terminal."""

from __future__ import annotations

import pytest

from wban_dataset.recording.wording import check_printable, counted, printable


def test_one_thing_is_no_plural():
    assert [counted(n, "span") for n in (0, 1, 2)] == ["0 spans", "1 span", "2 spans"]
    assert [counted(n, "class", "classes") for n in (1, 2)] == ["1 class", "2 classes"]


def test_what_commands_a_terminal_is_written_by_its_code():
    assert printable("a\x1b[31mb\n\x9b\u202e\ud800") == r"a\x1b[31mb\n\x9b\u202e\ud800"
    assert printable("Spülen, 25 °C, 走る") == "Spülen, 25 °C, 走る"


@pytest.mark.parametrize("text", ["a\x1b[31mb", "a\nb", "\x9b", "a\u2028b", "\x00", "\ud800"])
def test_what_is_no_text_on_one_line_is_refused(text):
    with pytest.raises(ValueError, match=r"^remark .* control character .* plain text"):
        check_printable(text, "remark")


@pytest.mark.parametrize("text", ["", "cup fell down", "Zoë", "走る", "👩\u200d🔬", "25\xa0°C"])
def test_whatever_can_be_written_is_let_in(text):
    check_printable(text, "remark")
