"""Bundles, made by stock git: whole ones, ones that build upon what is here, and everything that is none."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from reconciler.errors import HearthError, Stalled
from reconciler.source import Credentials, Source
from reconciler.source.source import Limits


def git(folder: Path, *words: str | Path) -> str:
    """Run stock git and return what it prints."""
    person = ("-c", "user.name=Anna", "-c", "user.email=anna@holm.example")
    argv = ["git", "-C", str(folder), *person, *map(str, words)]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def family(tmp_path: Path) -> Path:
    """A repository with three commits."""
    folder = tmp_path / "family"
    subprocess.run(["git", "init", "--quiet", "--initial-branch=main", folder], check=True)
    for number in range(3):
        (folder / "file").write_text("x" * 2_000 + str(number))
        git(folder, "add", "file")
        git(folder, "commit", "--quiet", "--message", str(number))
    return folder


def bundle(family: Path, *what: str) -> Path:
    """Let stock git make a bundle."""
    path = family.parent / "home.bundle"
    git(family, "bundle", "create", "--quiet", path, *what)
    return path


def source(path: Path, *, limits: Limits | None = None) -> Source:
    """Return a source that is this file."""
    device = path.parent / "device"
    device.mkdir(exist_ok=True)
    keys = Credentials.in_folder(device / "keys")
    return Source(str(path), keys, device / "repo.git", device / "incoming", limits)


def taken(of: Source) -> str:
    """Fetch and promote its main, as what was verified is."""
    tip = of.peek()
    of.fetch(tip)
    of.promote(tip)
    return tip


def test_a_bundle_of_main_is_a_source(family: Path):
    """What stock git wrote arrives whole."""
    of = source(bundle(family, "main"))
    assert taken(of) == of.held() == git(family, "rev-parse", "main")
    assert git(of.store, "fsck", "--full", "--strict") == ""
    assert git(of.store, "show", "main:file").endswith("2")


def test_a_bundle_of_what_is_new_builds_upon_what_is_here(family: Path):
    """Deltas against objects that only the device has are completed."""
    first = git(family, "rev-parse", "main~1")
    git(family, "branch", "old", first)
    whole = bundle(family, "main")
    git(family, "update-ref", "refs/heads/main", first)
    assert taken(source(bundle(family, "main"))) == first
    whole.unlink()
    git(family, "reset", "--quiet", "--hard", first)
    (family / "file").write_text("x" * 2_000 + "other")
    git(family, "commit", "--quiet", "--all", "--message", "new")
    assert taken(source(bundle(family, "old..main"))) == git(family, "rev-parse", "main")


def test_a_bundle_that_builds_upon_what_is_not_here_says_so(family: Path):
    """Nothing of it is kept."""
    of = source(bundle(family, "main~1..main"))
    with pytest.raises(Stalled, match="builds upon changes"):
        taken(of)
    assert not of.incoming.exists()
    assert of.held() is None


@pytest.mark.parametrize("keep", [5, 40, 100, 0.5, 0.99])
def test_a_bundle_that_ends_too_early_is_damaged(family: Path, keep: float):
    """A stick that was pulled out."""
    path = bundle(family, "main")
    content = path.read_bytes()
    path.write_bytes(content[: keep if isinstance(keep, int) else int(len(content) * keep)])
    of = source(path)
    with pytest.raises(Stalled):
        taken(of)
    assert of.held() is None


def test_no_byte_of_the_pack_can_be_changed(family: Path):
    """The indexer compares every object and the whole pack."""
    path = bundle(family, "main")
    content = path.read_bytes()
    begins = content.index(b"PACK")
    for place in range(begins, len(content), 7):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        of = source(path)
        with pytest.raises(HearthError):
            taken(of)
        assert of.held() is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PACK",
        b"# v3 git bundle\n@filter=blob:none\n\n",
        b"# v2 git bundle\n" + b"0" * 5_000,
        b"# v2 git bundle\n" + (b"-" + b"0" * 40 + b" x\n") * 20_000,
        b"# v2 git bundle\n../../../etc/passwd refs/heads/main\n\n",
    ],
)
def test_what_is_no_bundle_is_a_sentence(tmp_path: Path, content: bytes):
    """An empty file, a header without an end, a partial clone's."""
    path = tmp_path / "home.bundle"
    path.write_bytes(content)
    with pytest.raises(Stalled) as refused:
        source(path).peek()
    assert "\n" not in str(refused.value)


def test_a_larger_bundle_than_any_household_is_not_read(family: Path):
    """Before its pack is opened."""
    of = source(bundle(family, "main"), limits=Limits(received=100))
    with pytest.raises(Stalled, match="larger than any household"):
        taken(of)


def test_nobodys_hook_or_setting_runs(family: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Git is asked for its indexer alone, without this machine's configuration."""
    settings = tmp_path / "gitconfig"
    settings.write_text("[core]\n\tfsmonitor = touch fired\n[alias]\n\tindex-pack = !touch fired\n[bad\n")
    path = bundle(family, "main")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))
    of = source(path)
    tip = of.peek()
    of.fetch(tip)
    assert not list(tmp_path.rglob("fired"))
