"""Drift: everything that somebody did to the files is found, told and undone; without drift nothing is read."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler import drift as module
from reconciler.drift import Drift, DriftWatch, Kind
from reconciler.generation import Generation, Generations
from renderers.plan import Link
from tests.reconciler.artifacts import artifact

LINK = Link("/etc/dnsmasq.conf", "dnsmasq/dnsmasq.conf")
ONE = artifact("one", links=(LINK,))


class Home:
    """A device with one active generation, its link in /etc, and a watch."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.state = root / "var/lib/hearth"
        self.state.mkdir(parents=True)
        self.place = root / "etc/dnsmasq.conf"
        self.generation: Generation = Generations(self.state).stage(ONE)
        Generations(self.state).activate(ONE.digest)
        self.watch = DriftWatch(root, self.state)
        self.heal()

    def find(self) -> tuple[Drift, ...]:
        """Return what the watch finds now."""
        return self.watch.find(self.generation)

    def heal(self) -> None:
        """Put back whatever it finds."""
        self.watch.heal(self.generation, ONE, self.find())


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Return a home without drift."""
    home = Home(tmp_path)
    assert home.find() == ()
    return home


def replace_by_folder(path: Path) -> None:
    """Put a folder with a file in it where a file was."""
    path.unlink()
    (path / "deep").mkdir(parents=True)
    (path / "deep" / "file").write_bytes(b"")


def swap_folder_for_link(path: Path) -> None:
    """Put an equal copy elsewhere and a link to it here: every file still reads the same."""
    elsewhere = path.parents[4] / "elsewhere"
    shutil.move(path, elsewhere)
    path.symlink_to(elsewhere)


HOSTS, FOLDER = "dnsmasq/hosts", "dnsmasq"
MEDDLING: dict[str, tuple[str, Callable[[Path], object], set[Drift]]] = {
    "other bytes": (HOSTS, lambda p: p.write_bytes(b"evil"), {Drift(HOSTS, Kind.CHANGED)}),
    "one byte of the same length": (
        HOSTS,
        lambda p: p.write_bytes(p.read_bytes()[:-1] + b"x"),
        {Drift(HOSTS, Kind.CHANGED)},
    ),
    "emptied": (HOSTS, lambda p: p.write_bytes(b""), {Drift(HOSTS, Kind.CHANGED)}),
    "permissions": (HOSTS, lambda p: p.chmod(0o600), {Drift(HOSTS, Kind.CHANGED)}),
    "set-user-id": (HOSTS, lambda p: p.chmod(0o4644), {Drift(HOSTS, Kind.CHANGED)}),
    "removed": (HOSTS, Path.unlink, {Drift(HOSTS, Kind.MISSING)}),
    "a link to the same bytes": (
        HOSTS,
        lambda p: (p.rename(p.parents[3] / "moved"), p.symlink_to(p.parents[3] / "moved")),
        {Drift(HOSTS, Kind.CHANGED)},
    ),
    "a folder instead": (
        HOSTS,
        replace_by_folder,
        {Drift(HOSTS, Kind.CHANGED), Drift(f"{HOSTS}/deep/file", Kind.UNKNOWN)},
    ),
    "a pipe instead": (HOSTS, lambda p: (p.unlink(), os.mkfifo(p)), {Drift(HOSTS, Kind.CHANGED)}),
    "the folder gone": (
        FOLDER,
        shutil.rmtree,
        {Drift(HOSTS, Kind.MISSING), Drift("dnsmasq/dnsmasq.conf", Kind.MISSING)},
    ),
    "the folder swapped for a link to equal files": (
        FOLDER,
        swap_folder_for_link,
        {Drift(FOLDER, Kind.UNKNOWN), Drift(HOSTS, Kind.MISSING), Drift("dnsmasq/dnsmasq.conf", Kind.MISSING)},
    ),
    "the folder swapped for a file": (
        FOLDER,
        lambda p: (shutil.rmtree(p), p.write_bytes(b"")),
        {Drift(FOLDER, Kind.UNKNOWN), Drift(HOSTS, Kind.MISSING), Drift("dnsmasq/dnsmasq.conf", Kind.MISSING)},
    ),
    "the folder closed to the daemons": (FOLDER, lambda p: p.chmod(0o700), {Drift(FOLDER, Kind.MODE)}),
    "an unknown file": ("dnsmasq/extra.conf", lambda p: p.write_bytes(b"conf-script=x"), None),
    "an unknown hidden file": (".extra", lambda p: p.write_bytes(b""), None),
    "an unknown link": ("extra", lambda p: p.symlink_to("/etc/passwd"), None),
    "an unknown dangling link": ("extra", lambda p: p.symlink_to("nowhere"), None),
    "an unknown link to a folder": ("extra", lambda p: p.symlink_to("/etc"), None),
    "an unknown pipe": ("extra", os.mkfifo, None),
    "an unknown file, deep": (
        "x/y/z",
        lambda p: (p.parent.mkdir(parents=True), p.write_bytes(b"")),
        None,
    ),
    "a torn draft of a healing that was cut": (f"{FOLDER}/.hosts.01234567", lambda p: p.write_bytes(b"19"), None),
}


@pytest.mark.parametrize("case", MEDDLING.values(), ids=MEDDLING.keys())
def test_meddling_is_found_told_and_undone(home: Home, case):
    """Found exactly, also by a watch that was started just now; healed in one go; what a link pointed at is untouched."""
    path, meddle, expected = case
    meddle(home.generation.path / path)
    expected = {Drift(path, Kind.UNKNOWN)} if expected is None else expected
    assert set(home.find()) == expected
    assert set(DriftWatch(home.root, home.state).find(home.generation)) == expected
    home.heal()
    assert home.find() == () == DriftWatch(home.root, home.state).find(home.generation)
    for name, file in ONE.files.items():
        assert (home.generation.path / name).read_bytes() == file.content
        assert stat.S_IMODE((home.generation.path / name).lstat().st_mode) == file.mode
    assert Path("/etc/passwd").exists()


def test_without_drift_no_file_is_read_again(home: Home, monkeypatch: pytest.MonkeyPatch):
    """The no-op pass pays for a look at each file, not for its bytes."""

    def fail(path: Path) -> str:
        pytest.fail(f"{path} was read")

    monkeypatch.setattr(module, "_sha256", fail)
    assert home.find() == ()


def test_what_is_remembered_is_of_one_generation_alone(home: Home):
    """A long-lived agent that has seen many generations holds no more than it needs."""
    generations = Generations(home.state)
    for number in range(20):
        home.watch.find(generations.stage(artifact(str(number))))
    assert len(home.watch._good) <= len(ONE.files)


def test_bytes_changed_behind_a_restored_time_are_seen(home: Home):
    """A tool that sets the modification time back cannot set the change time back."""
    path = home.generation.path / HOSTS
    before = path.stat()
    path.write_bytes(bytes(before.st_size))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert home.find() == (Drift(HOSTS, Kind.CHANGED),)


def test_a_package_upgrade_that_replaces_the_link_is_healed_and_its_file_kept_once(home: Home):
    """The first file is kept with its permissions, for the day Hearth is taken off; later ones do not overwrite it."""
    kept = home.state / "replaced/etc/dnsmasq.conf"
    for content in (b"the distribution's", b"a later one"):
        home.place.unlink()
        home.place.write_bytes(content)
        home.place.chmod(0o640)
        assert home.find() == (Drift("/etc/dnsmasq.conf", Kind.LINK),)
        home.watch.heal(home.generation, None, home.find())
        assert home.find() == ()
        assert kept.read_bytes() == b"the distribution's"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o640
    assert stat.S_IMODE((home.state / "replaced").stat().st_mode) == 0o700
    assert home.place.read_bytes() == ONE.files["dnsmasq/dnsmasq.conf"].content


def test_a_link_of_the_owner_is_kept_as_a_link(home: Home):
    """/etc/resolv.conf is often one; what it points at is not copied."""
    home.place.unlink()
    home.place.symlink_to("/srv/mine.conf")
    home.heal()
    assert (home.state / "replaced/etc/dnsmasq.conf").readlink() == Path("/srv/mine.conf")
    assert home.find() == ()


def test_a_missing_link_needs_no_file_to_be_kept(home: Home):
    """Nor does a link of ours that points at another of our files."""
    home.place.unlink()
    home.heal()
    home.place.unlink()
    home.place.symlink_to(home.state / "current/dnsmasq/hosts")
    home.heal()
    assert home.find() == ()
    assert not (home.state / "replaced/etc/dnsmasq.conf").exists()


@pytest.mark.parametrize("kind", ["folder", "huge file"])
def test_what_is_no_configuration_file_is_moved_aside(home: Home, kind: str):
    """Neither read into memory nor deleted."""
    home.place.unlink()
    if kind == "folder":
        (home.place / "theirs").mkdir(parents=True)
    else:
        home.place.touch()
        os.truncate(home.place, 10_000_000_000)
    home.heal()
    assert home.find() == ()
    assert len(list(home.place.parent.glob("dnsmasq.conf.found.*"))) == 1


def test_a_pipe_in_place_of_a_link_does_not_hang_the_agent(home: Home):
    """Reading it would wait for ever."""
    home.place.unlink()
    os.mkfifo(home.place)
    home.heal()
    assert home.find() == ()


def test_the_folder_of_a_link_is_made_where_it_is_missing(home: Home):
    """A daemon that is not installed yet has no folder in /etc."""
    shutil.rmtree(home.place.parent)
    home.heal()
    assert home.find() == ()


@pytest.mark.parametrize("name", ["line\nbreak", "\x1b[31mred", "bidi\u202e", os.fsdecode(b"\xff\xfe")])
def test_a_name_that_could_fool_a_terminal_is_told_harmlessly(home: Home, name: str):
    """It is found and healed by its real name, and printed escaped."""
    (home.generation.path / name).write_bytes(b"")
    (found,) = home.find()
    assert found == Drift(name, Kind.UNKNOWN)
    assert str(found).isprintable()
    str(found).encode("utf-8")
    home.heal()
    assert home.find() == ()
