"""People and folders as the real systemd-sysusers(8) and systemd-tmpfiles(8) make them, below a root of their own."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from renderers import APPLIANCE, accounts
from tests.renderers.homes import holm

pytestmark = pytest.mark.conformance

DAY = 86_400


@pytest.fixture
def root(tmp_path) -> Path:
    """A system with nobody but root."""
    for program in ("systemd-sysusers", "systemd-tmpfiles"):
        if not shutil.which(program):
            pytest.skip(f"{program} is missing: apt install systemd")
    if os.geteuid() != 0:
        pytest.skip("users and their folders are made by root alone: sudo script/test")
    for folder in ("etc/sysusers.d", "etc/tmpfiles.d", "srv"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "etc/passwd").write_text("root:x:0:0::/root:/bin/bash\n")
    (tmp_path / "etc/group").write_text("root:x:0:\n")
    tmp_path.chmod(0o755)
    return tmp_path


def make(root, home):
    """Put the rendered files in place and run the plan's own commands below `root`; return what they said."""
    files = accounts.render(home, APPLIANCE)
    for link in accounts.LINKS:
        (root / link.path.lstrip("/")).write_bytes(files[link.file])
    done = [_run(root, *provision.command) for provision in accounts.provisions(home, APPLIANCE)]
    assert all(each.returncode == 0 for each in done), done
    return "".join(each.stderr for each in done)


def _run(root, program, *arguments):
    return subprocess.run([program, f"--root={root}", *arguments], capture_output=True, text=True, check=False)


def users(root):
    """Return the lines of passwd(5) by name."""
    lines = [line.split(":") for line in (root / "etc/passwd").read_text().splitlines()]
    return {line[0]: line[1:] for line in lines}


def clean(root):
    """Do what the system's daily timer does."""
    assert _run(root, "systemd-tmpfiles", "--clean", "hearth-home.conf").returncode == 0


def test_people_can_log_in_nowhere_and_the_second_time_nothing_happens(root):
    """No shell, a locked password, a number of their own below 1000; made again, not a byte differs."""
    make(root, holm())
    made = users(root)
    people = {name: made[name] for name in ("anna", "jens", "mia")}
    assert {entry[-1] for entry in people.values()} == {"/usr/sbin/nologin"}
    assert len({entry[1] for entry in people.values()}) == 3
    assert all(0 < int(entry[1]) < 1000 for entry in people.values())
    shadow = (root / "etc/shadow").read_text()
    assert all(f"{name}:!*:" in shadow for name in people)
    make(root, holm())
    assert (users(root), (root / "etc/shadow").read_text()) == (made, shadow)


def test_the_number_of_someone_who_left_is_never_given_away(root):
    """Mia leaves, John comes: her files do not become his."""
    make(root, holm())
    before = users(root)
    people = {**holm().people, "john": holm().people["mia"]}
    del people["mia"]
    make(root, holm().model_copy(update={"people": people}))
    after = users(root)
    assert after["mia"] == before["mia"]
    assert after["john"][1] not in {entry[1] for entry in before.values()}


def test_a_folder_is_open_to_the_home_and_to_nobody_else(root):
    """Whoever breaks into another daemon of the appliance reads none of the family's files."""
    make(root, holm())
    for share in ("backups", "family", "media", "family/.recycle"):
        assert (root / "srv/hearth" / share).stat().st_mode & 0o7777 == 0o770
    assert not (root / "srv/hearth/backups/.recycle").exists()


def test_what_was_deleted_goes_after_thirty_days_and_nothing_else_does(root):
    """Age counts from the day of deletion; old files that nobody deleted, and backups, stay for ever."""
    make(root, holm())
    shares = root / "srv/hearth"
    for path in ("family/old", "family/.recycle/old", "family/.recycle/post/old", "backups/old", "gone/old"):
        (shares / path).parent.mkdir(exist_ok=True)
        (shares / path).write_text("x")
    clean(root)
    assert (shares / "family/.recycle/old").exists()
    later = ["faketime", "-f", "+31d"] if shutil.which("faketime") else None
    if later is None:
        pytest.skip("faketime is missing: apt install faketime")
    command = [*later, "systemd-tmpfiles", f"--root={root}", "--clean", "hearth-home.conf"]
    assert subprocess.run(command, check=False).returncode == 0
    assert not (shares / "family/.recycle/old").exists()
    assert not (shares / "family/.recycle/post/old").exists()
    assert all((shares / path).exists() for path in ("family/old", "backups/old", "gone/old", "family/.recycle"))


@pytest.mark.parametrize("place", ["family", "family/.recycle"])
def test_a_link_in_place_of_a_folder_gives_nothing_away(root, place):
    """Case 33: what a person put there leads to a folder of the system's. It keeps its owner, its mode and its files."""
    make(root, holm())
    outside = root / "precious"
    outside.mkdir(mode=0o700)
    (outside / "old").write_text("x")
    shares, anna = root / "srv/hearth", int(users(root)["anna"][1])
    os.chown(shares, anna, anna)
    shutil.rmtree(shares / place)
    (shares / place).symlink_to("/precious")
    os.lchown(shares / place, anna, anna)
    for provision in accounts.provisions(holm(), APPLIANCE):
        _run(root, *provision.command)
    _run(root, "systemd-tmpfiles", "--clean", "hearth-home.conf")
    now = outside.stat()
    assert (now.st_uid, now.st_gid, now.st_mode & 0o7777) == (0, 0, 0o700)
    assert [entry.name for entry in outside.iterdir()] == ["old"]
