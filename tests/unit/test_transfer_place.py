"""Where sessions are fetched from, and what is refused as a place."""

from __future__ import annotations

import pytest

from wban_dataset.transfer.errors import TransferError
from wban_dataset.transfer.place import Place, parse_place


@pytest.mark.parametrize(
    ("text", "host", "folder"),
    [
        ("pi@raspberrypi.local:/var/lib/wban", "pi@raspberrypi.local", "/var/lib/wban"),
        ("lab-pi:recordings", "lab-pi", "recordings"),
        ("pi:a:b", "pi", "a:b"),
        ("[::1]:/rec", "[::1]", "/rec"),
        ("pi@[fe80::1%eth0]:/rec", "pi@[fe80::1%eth0]", "/rec"),
        ("/mnt/card", "", "/mnt/card"),
        ("./a:b", "", "./a:b"),
        ("card", "", "card"),
    ],
)
def test_places_are_understood(text, host, folder):
    assert parse_place(text) == Place(host, folder)
    assert str(parse_place(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-oProxyCommand=reboot:dir",
        "-e:dir",
        "pi@-oProxyCommand=x:dir",
        "host name:dir",
        "host;reboot:dir",
        "$(reboot):dir",
        "host:",
        "host:-rf",
        "host::module",
        "rsync://host/module",
        "host:a\nb",
        ":dir",
    ],
)
def test_what_ssh_or_rsync_could_mistake_is_refused(text):
    with pytest.raises(TransferError, match="expected HOST:DIR"):
        parse_place(text)


def test_paths_are_neither_options_nor_hosts():
    assert Place("", "a:b").below(".") == "./a:b/"
    assert Place("", "-x").below(".") == "./-x/"
    assert parse_place("-e sh /tmp/x:y").below(".") == "./-e sh /tmp/x:y/"
    assert Place("", "/card").below("one") == "/card/one/"
    assert Place("pi", "rec/").below("one") == "pi:rec/one/"
    assert Place("pi@[::1]", "/rec").ssh_host == "pi@::1"
