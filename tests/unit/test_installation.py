"""Putting wban on a machine below a folder, looking first, twice, and taking it off again."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.integration.command_line import collect
from wban_collect.installation import environment, plan
from wban_collect.installation.boot_config import (
    BEGIN,
    END,
    BootConfigBlock,
    contradictions,
    parse_settings,
    with_block,
    without_block,
)
from wban_collect.installation.command import Command, run
from wban_collect.installation.environment import running_source, wheel_source
from wban_collect.installation.placed import (
    MARK,
    PlacedFile,
    PlacedLink,
    Removed,
    RemovedFolder,
    backup_of,
)
from wban_collect.installation.places import FILES, Places, packaged
from wban_collect.installation.plan import installation, removal
from wban_collect.installation.step import Change, InstallationError, carry_out, planned

CONFIG_TXT = "# Pi\ndtparam=audio=on\ncamera_auto_detect=1\n"
WANTED = "[all]\ndtparam=i2c_arm=on,i2c_arm_baudrate=400000\n[pi4]\ncore_freq=500\n[all]"


@pytest.fixture
def machine(tmp_path) -> Path:
    """Give a folder that stands for a fresh Pi."""
    root = tmp_path / "machine"
    (root / "boot/firmware").mkdir(parents=True)
    (root / "boot/firmware/config.txt").write_text(CONFIG_TXT)
    return root


def content(root: Path) -> dict[str, str | bytes]:
    """Every file and link below a folder."""
    found: dict[str, str | bytes] = {}
    for path in root.rglob("*"):
        name = str(path.relative_to(root))
        if path.is_symlink():
            found[name] = str(path.readlink())
        elif path.is_file():
            found[name] = path.read_bytes()
    return found


def install(root: Path) -> None:
    list(carry_out(planned(installation(Places(root), None).steps)))


def uninstall(root: Path, *, purge: bool = False) -> None:
    list(carry_out(planned(removal(Places(root), purge=purge).steps)))


# --- the whole of it --------------------------------------------------------------------------


def test_everything_lands_where_the_system_looks_for_it(machine):
    assert collect("install", "--root", machine, "--yes").code == 0
    found = content(machine)
    for name, path in FILES.items():
        assert found[path] == packaged(name).encode()
    assert found["etc/wban/config.toml"] == packaged("example.toml").encode()
    assert found["usr/local/bin/wban-collect"] == "/opt/wban/bin/wban-collect"
    wants = "etc/systemd/system/multi-user.target.wants/wban-collect.service"
    assert found[wants] == "/etc/systemd/system/wban-collect.service"
    assert found["boot/firmware/config.txt.wban-backup"] == CONFIG_TXT.encode()
    assert b"core_freq_min=500" in found["boot/firmware/config.txt"]
    assert not (machine / "var/lib/wban/.installing").exists()


def test_a_second_run_has_nothing_to_do(machine):
    install(machine)
    before = content(machine)
    outcome = collect("install", "--root", machine, "--yes")
    assert outcome.out.splitlines()[-1] == "Nothing to do: all is as it should be."
    assert content(machine) == before


def test_a_dry_run_shows_every_line_and_changes_nothing(machine):
    before = content(machine)
    out = collect("install", "--root", machine, "--dry-run").out
    assert content(machine) == before
    rules = machine / "etc/udev/rules.d/99-wban.rules"
    assert f"would write {rules}\n" in out
    added = {line[1:] for line in out.splitlines() if line.startswith("+")}
    for name in FILES:
        assert set(packaged(name).splitlines()) <= added
    assert "+core_freq=500" in out.splitlines()
    assert " camera_auto_detect=1" in out.splitlines()  # context: a line that stays


def test_a_removal_brings_back_what_was_there_to_the_byte(machine):
    before = content(machine)
    install(machine)
    uninstall(machine)
    after = content(machine)
    assert after.pop("etc/wban/config.toml")  # kept for the next time
    assert after == before
    assert collect("uninstall", "--root", machine, "--yes").out.startswith("Nothing to do")


@pytest.mark.parametrize("text", ["", "no_newline=1", "a=1\r\nb=2\r\n", "comment=\udce9t\udce9\n"])
def test_any_config_txt_comes_back_to_the_byte(machine, text):
    path = machine / "boot/firmware/config.txt"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    before = path.read_bytes()
    install(machine)
    assert path.read_bytes().startswith(before)
    uninstall(machine)
    assert path.read_bytes() == before
    assert not backup_of(path).exists()


def test_recordings_stay_and_the_configuration_goes_only_when_asked(machine):
    install(machine)
    recording = machine / "var/lib/wban/recordings/S01/session.h5"
    key = machine / "var/lib/wban/keys/server.key"
    for path in (recording, key):
        path.parent.mkdir(parents=True)
        path.write_bytes(b"precious")
    uninstall(machine)
    assert (machine / "etc/wban/config.toml").exists()
    assert key.exists()
    uninstall(machine, purge=True)
    assert not (machine / "etc/wban").exists()
    assert not key.exists()
    assert recording.read_bytes() == b"precious"


def test_a_configuration_that_is_there_is_kept(machine):
    own = machine / "etc/wban/config.toml"
    own.parent.mkdir(parents=True)
    own.write_text("[storage]\nout = 'mine'\n")
    install(machine)
    assert own.read_text() == "[storage]\nout = 'mine'\n"
    assert not backup_of(own).exists()


def test_what_others_put_there_is_kept_as_a_copy_and_comes_back(machine):
    rules = machine / "etc/udev/rules.d/99-wban.rules"
    command = machine / "usr/local/bin/wban-collect"
    service = machine / "etc/systemd/system/wban-collect.service"
    for path in (rules, command, service):
        path.parent.mkdir(parents=True)
    rules.write_text("# somebody's own rules\n")
    command.symlink_to("/home/pi/wban-env/bin/wban-collect")
    service.symlink_to("/dev/null")  # a masked unit
    before = content(machine)
    install(machine)
    assert backup_of(rules).read_text() == "# somebody's own rules\n"
    uninstall(machine)
    (machine / "etc/wban/config.toml").unlink()
    assert content(machine) == before


def test_an_update_of_our_own_file_makes_no_copy_of_it(machine):
    install(machine)
    unit = machine / FILES["wban-collect.service"]
    unit.write_text(f"# wban of last year; {MARK}.\n[Service]\n")
    todo = planned(installation(Places(machine), None).steps)
    assert [change.summary for _step, change in todo] == [f"update {unit}"]
    list(carry_out(todo))
    assert unit.read_text() == packaged("wban-collect.service")
    assert not backup_of(unit).exists()


def test_an_older_copy_is_never_written_over(machine):
    """The second time the file is already ours in part; the first copy is the original."""
    install(machine)
    path = machine / "boot/firmware/config.txt"
    path.write_text(path.read_text().replace("core_freq=500", "core_freq=400"))
    install(machine)
    assert "core_freq=500" in path.read_text()
    assert backup_of(path).read_text() == CONFIG_TXT


def test_lines_that_a_person_added_later_stay_and_the_copy_with_them(machine):
    install(machine)
    path = machine / "boot/firmware/config.txt"
    path.write_text(path.read_text() + "dtoverlay=i2c3\n")
    uninstall(machine)
    assert path.read_text() == CONFIG_TXT + "dtoverlay=i2c3\n"
    assert backup_of(path).read_text() == CONFIG_TXT


def test_a_file_keeps_its_mode(machine):
    path = machine / "boot/firmware/config.txt"
    path.chmod(0o755)  # as on the FAT of a Pi
    install(machine)
    assert path.stat().st_mode & 0o777 == 0o755
    assert (machine / FILES["limits.conf"]).stat().st_mode & 0o777 == 0o644


def test_no_pi_no_boot_lines(machine):
    (machine / "boot/firmware/config.txt").unlink()
    outcome = collect("install", "--root", machine, "--yes")
    assert outcome.code == 0
    assert "this is no Raspberry Pi" in outcome.out
    assert not (machine / "boot/firmware/config.txt").exists()


# --- what goes wrong --------------------------------------------------------------------------


def test_a_step_that_fails_is_one_sentence_and_the_next_run_does_the_rest(machine):
    obstacle = machine / "etc/udev"
    obstacle.parent.mkdir()
    obstacle.write_text("a file where a folder belongs")
    outcome = collect("install", "--root", machine, "--yes")
    assert outcome.code == 1
    assert "could not write" in outcome.error
    assert "99-wban.rules" in outcome.error
    assert "the same command does the rest" in outcome.error
    assert (machine / "var/lib/wban/.installing").exists()
    assert not any((machine / "etc/systemd").rglob("*.service"))  # it comes after, so not yet
    obstacle.unlink()
    assert collect("install", "--root", machine, "--yes").code == 0
    assert collect("install", "--root", machine).out.endswith("all is as it should be.\n")
    assert not (machine / "var/lib/wban/.installing").exists()


def test_it_asks_and_no_is_no(machine):
    before = content(machine)
    outcome = collect("install", "--root", machine)  # nobody answers
    assert outcome.code == 1
    assert content(machine) == before


def test_an_ordinary_user_is_told_to_use_sudo(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    for command in ("install", "uninstall"):
        outcome = collect(command, "--yes")
        assert outcome.code == 1
        assert "must be run as root: put 'sudo' before" in outcome.error


def test_who_may_not_even_look_is_told_to_use_sudo():
    class Secret:
        def change(self) -> Change | None:
            raise PermissionError(13, "Permission denied", "/etc/wban/config.toml")

        def apply(self) -> None:
            raise AssertionError

    with pytest.raises(InstallationError, match=r"/etc/wban/config\.toml may not be read"):
        planned([Secret()])


def test_wheels_and_root_exclude_each_other(machine, tmp_path):
    outcome = collect("install", "--root", machine, "--wheels", tmp_path)
    assert outcome.code == 2
    assert "drop one" in outcome.error


# --- config.txt -------------------------------------------------------------------------------


def test_the_block_stays_where_it_is(tmp_path):
    text = f"a=1\n{BEGIN}\nold=1\n{END}\nb=2\n"
    assert with_block(text, WANTED, tmp_path) == f"a=1\n{BEGIN}\n{WANTED}\n{END}\nb=2\n"
    assert without_block(text, tmp_path) == "a=1\nb=2\n"


def test_a_block_without_its_end_is_left_to_a_person(machine):
    path = machine / "boot/firmware/config.txt"
    path.write_text(f"{BEGIN}\ncore_freq=500\n")
    outcome = collect("install", "--root", machine, "--yes")
    assert outcome.code == 1
    assert f"expected a line '{END}'" in outcome.error
    assert path.read_text() == f"{BEGIN}\ncore_freq=500\n"


def test_parameters_are_told_apart_and_lines_for_other_models_left_out():
    text = (
        "dtparam=i2c_arm=on,i2c_baudrate=100000  # slow\n"
        "[pi5]\ncore_freq=900\n[cm4]\ncore_freq=300\n[all]\n#core_freq=200\ndtparam=spi\n"
    )
    assert [(s.key, s.value, s.line) for s in parse_settings(text)] == [
        ("i2c_arm", "on", 1),
        ("i2c_arm_baudrate", "100000", 1),
        ("core_freq", "300", 5),
        ("spi", "on", 8),
    ]


def test_contradicting_lines_are_named_with_the_winner():
    before = "dtparam=i2c_arm_baudrate=100000\ndtparam=i2c_arm=on\n[pi3]\ncore_freq=250\n"
    text = with_block(before, WANTED, Path("config.txt")) + "core_freq=550\nhdmi_enable_4kp60=1\n"
    assert contradictions(text, "config.txt") == [
        "config.txt, line 1: i2c_arm_baudrate=100000, but wban wants 400000; "
        "wban's block stands after it and wins.",
        # 4 lines, the block's 7, and this one
        "config.txt, line 12: core_freq=550, but wban wants 500; "
        "the line stands after wban's block and wins. Remove it.",
    ]


def test_the_block_that_is_shipped_wants_speed_and_core_clock_together():
    wanted = {s.key: s.value for s in parse_settings(packaged("config.txt"))}
    assert wanted == {
        "i2c_arm": "on",
        "i2c_arm_baudrate": "400000",
        "core_freq": "500",
        "core_freq_min": "500",
    }


@pytest.mark.parametrize(
    ("text", "n_remarks"),
    [
        ("camera_auto_detect=1\n", 0),
        ("camera_auto_detect=0\ndtoverlay=imx708\n", 0),
        ("dtoverlay=ov5647,cam0\n", 0),
        ("camera_auto_detect=0\n", 1),
        ("#camera_auto_detect=1\ndtoverlay=i2c3\n", 1),
    ],
)
def test_a_boot_without_any_camera_is_noticed(tmp_path, text, n_remarks):
    path = tmp_path / "config.txt"
    path.write_text(text)
    remarks = BootConfigBlock(path, WANTED).remarks()
    assert len(remarks) == n_remarks
    assert all("camera" in remark for remark in remarks)


# --- steps ------------------------------------------------------------------------------------


def test_a_command_is_due_after_its_files_or_for_a_reason_of_its_own(tmp_path):
    file = PlacedFile(tmp_path / "file", "text")
    told = tmp_path / "told"
    after = Command(("touch", str(told)), [file])
    alone = Command(("touch", str(told)), due=lambda: not told.exists())
    never = Command(("touch", str(told)))
    todo = planned([file, after, alone, never])
    assert [step for step, _change in todo] == [file, after, alone]
    list(carry_out(todo))
    assert told.exists()
    assert planned([file, after, alone, never]) == []


def test_a_command_that_fails_says_its_last_word(tmp_path):
    complaint = "import sys; print('talk'); print('ERROR: no such group', file=sys.stderr); exit(3)"
    with pytest.raises(InstallationError, match="failed with 3: ERROR: no such group") as caught:
        run((sys.executable, "-c", complaint))
    assert "\n" not in str(caught.value)
    with pytest.raises(InstallationError, match="'no-such-command' is missing"):
        run(("no-such-command",))
    Command((sys.executable, "-c", complaint), due=lambda: True, optional=True).apply()
    assert Command(("no-such-command",), due=lambda: True, optional=True).change() is None


def test_a_file_that_cannot_be_written_is_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_text(f"# {MARK}\nold\n")
    step = PlacedFile(path, f"# {MARK}\nnew\n")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InstallationError, match="No space left on device"):
        list(carry_out(planned([step])))
    assert path.read_text() == f"# {MARK}\nold\n"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_a_removal_leaves_alone_what_is_not_ours(tmp_path):
    other = tmp_path / "other.conf"
    other.write_text("# theirs\n")
    link = tmp_path / "link"
    link.symlink_to("/elsewhere")
    assert Removed(other).change() is None
    assert Removed(link, "/opt/wban/bin/wban-collect").change() is None
    assert Removed(tmp_path / "missing").change() is None


def test_a_link_is_made_once(tmp_path):
    step = PlacedLink(tmp_path / "bin/name", "/opt/wban/bin/name")
    list(carry_out(planned([step])))
    assert str((tmp_path / "bin/name").readlink()) == "/opt/wban/bin/name"
    assert step.change() is None


# --- where wban comes from --------------------------------------------------------------------


def test_a_folder_of_wheels_must_hold_this_version(tmp_path):
    with pytest.raises(InstallationError, match="holds no wheel of wban"):
        wheel_source(tmp_path)
    (tmp_path / "wban-99.0-py3-none-any.whl").touch()
    with pytest.raises(InstallationError, match=r"holds wban-99\.0-py3-none-any\.whl, expected"):
        wheel_source(tmp_path)
    ours = tmp_path / f"wban-{environment.version('wban')}-py3-none-any.whl"
    ours.touch()
    source = wheel_source(tmp_path)
    assert source.requirement == str(ours)
    assert source.options == ("--no-index", "--find-links", str(tmp_path))


@pytest.mark.parametrize(
    ("direct_url", "requirement"),
    [
        (None, "wban==1.2"),
        ('{"url": "file:///home/pi/wban", "dir_info": {}}', "wban @ file:///home/pi/wban"),
        ('{"url": "file:///w/wban-1.2.whl", "archive_info": {}}', "wban @ file:///w/wban-1.2.whl"),
        (
            '{"url": "https://git/wban", "vcs_info": {"vcs": "git", "commit_id": "abc"}}',
            "wban @ git+https://git/wban@abc",
        ),
    ],
)
def test_without_wheels_it_comes_from_where_the_running_one_came(
    monkeypatch, direct_url, requirement
):
    class Distribution:
        def read_text(self, name: str) -> str | None:
            assert name == "direct_url.json"  # PEP 610
            return direct_url

    monkeypatch.setattr(environment, "distribution", lambda _name: Distribution())
    monkeypatch.setattr(environment, "version", lambda _name: "1.2")
    assert running_source().requirement == requirement


def test_an_environment_that_runs_this_program_is_not_pulled_from_under_it(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    (tmp_path / "pyvenv.cfg").write_text("include-system-site-packages = false\n")
    with pytest.raises(InstallationError, match="expected an environment made with --system-site"):
        environment.Environment(tmp_path, environment.Source("wban")).apply()
    assert [path.name for path in tmp_path.iterdir()] == ["pyvenv.cfg"]


def test_a_running_system_is_told_in_an_order_that_works(monkeypatch):
    """Accounts before the folders that they own, both before the service is enabled."""
    monkeypatch.setattr(plan, "systemd_runs", lambda: True)
    steps = installation(Places(), None, "pi").steps
    words = [" ".join(step.words) for step in steps if isinstance(step, Command)]
    assert words == [
        "systemd-sysusers /etc/sysusers.d/wban.conf",
        "systemd-tmpfiles --create /etc/tmpfiles.d/wban.conf",
        "usermod --append --groups wban pi",
        "modprobe i2c-dev",
        "udevadm control --reload",
        "udevadm trigger",
        "systemctl daemon-reload",
        "systemctl daemon-reexec",
        "systemctl restart systemd-journald.service",
    ]
    kinds = [type(step) for step in steps]
    last_file = max(number for number, kind in enumerate(kinds) if kind is PlacedFile)
    first_link = kinds.index(PlacedLink)
    assert last_file < kinds.index(Command) < first_link


def test_a_removal_stops_the_service_first_and_removes_its_environment_last(monkeypatch):
    monkeypatch.setattr(plan, "systemd_runs", lambda: True)
    first, *_others, last = removal(Places()).steps
    assert isinstance(first, Command)
    assert first.words == ("systemctl", "stop", "wban-collect.service")
    assert isinstance(last, RemovedFolder)
    assert last.path == Path("/opt/wban")
