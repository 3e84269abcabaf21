"""What only the device can add: files filled in memory for their owner alone, and a note that the daemons know of them."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.errors import Transient
from reconciler.generation import Generation, Generations
from reconciler.provision import Provisions
from reconciler.provision.fill import check_in_memory, fill, secrets_in, sweep
from reconciler.secrets import Keyring, Needs
from reconciler.settings import Paths
from renderers import Artifact
from renderers.plan import Command, Fill, Folder, Part, Plan, Provision

COMMIT, LATER = "c" * 40, "d" * 40


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    """A device's folders."""
    made = Paths(tmp_path / "pi")
    made.prepare()
    return made


@pytest.fixture
def provisions(paths: Paths) -> Provisions:
    """A device's provisions, in a home without secrets."""
    return Provisions(paths, Keyring(paths.keys, "00000000-0000-0000-0000-000000000000"))


def staged(paths: Paths, *made: Provision) -> Generation:
    """Return a generation that has these."""
    return Generations(paths.state).stage(Artifact({}, Plan(provisions=made), target="bench"))


def test_a_filled_file_is_for_its_owner_alone(paths: Paths) -> None:
    """Its folder may be walked through and not listed; the text around the holes is as it was rendered."""
    path = paths.secrets / "postfix/password"
    assert fill(Fill(str(path), (Part("text", "a:"), Part("uid"), Part("text", ":"), Part("gid"))), {}) == {str(path)}
    assert path.read_text() == f"a:{os.getuid()}:{os.getgid()}"
    assert (stat.S_IMODE(path.stat().st_mode), stat.S_IMODE(path.parent.stat().st_mode)) == (0o600, 0o711)
    assert list(path.parent.iterdir()) == [path]


def test_equal_content_is_nothing_new(paths: Paths) -> None:
    """But what stands in its place, a link or another file, is replaced and not followed."""
    path, elsewhere = paths.secrets / "x", paths.root / "elsewhere"
    wanted = Fill(str(path), (Part("text", "x"),))
    assert (fill(wanted, {}), fill(wanted, {})) == ({str(path)}, set())
    elsewhere.write_text("x")
    path.unlink()
    path.symlink_to(elsewhere)
    assert fill(wanted, {}) == {str(path)}
    assert not path.is_symlink()
    assert elsewhere.read_text() == "x"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away: run the tests as root")
def test_a_file_belongs_to_the_daemon_that_reads_it(paths: Paths) -> None:
    """And a machine without that user says so, and leaves no draft."""
    path = paths.secrets / "x"
    fill(Fill(str(path), (Part("text", "x"),), owner="nobody"), {})
    assert path.owner() == "nobody"
    with pytest.raises(Transient, match="no user hearth-nobody"):
        fill(Fill(str(path), (Part("text", "y"),), owner="hearth-nobody"), {})
    assert (list(path.parent.iterdir()), path.read_text()) == ([path], "x")


def test_what_no_plan_fills_any_more_is_swept_away(paths: Paths) -> None:
    """Drafts that a crash left included."""
    kept = Fill(str(paths.secrets / "a/kept"), (Part("text", "x"),))
    fill(kept, {})
    (paths.secrets / "a/.kept.0a1b2c3d").write_text("half")
    (paths.secrets / "a/old").write_text("old")
    sweep(paths.secrets, Plan(provisions=(kept,)))
    assert [path.name for path in (paths.secrets / "a").iterdir()] == ["kept"]


def test_names_of_secrets_are_told_apart_by_who_needs_them() -> None:
    """One that a service reads is a service's, whoever it is named after."""
    parts = (
        Part("secret", "relay"),
        Part("smb-account", "person-a"),
        Part("smb-account", "person-b"),
        Part("secret", "person-b"),
    )
    assert secrets_in(Plan(provisions=(Fill("/x", parts),))) == Needs(("person-b", "relay"), ("person-a",))
    assert not secrets_in(Plan(provisions=(Folder("/x"),)))


@pytest.fixture
def memory() -> Iterator[Path]:
    """A folder that lies in memory."""
    if not Path("/dev/shm").is_dir():
        pytest.skip("there is no /dev/shm: mount -t tmpfs tmpfs /dev/shm")
    folder = Path(tempfile.mkdtemp(dir="/dev/shm"))
    yield folder
    shutil.rmtree(folder)


def test_on_an_appliance_secrets_are_written_to_memory_alone(memory: Path, tmp_path: Path) -> None:
    """A /run that lies on the card keeps what is deleted; nothing is written there."""
    check_in_memory(memory)
    on_disk = next(place for place in (tmp_path, Path("/usr"), Path("/")) if not _in_memory(place))
    with pytest.raises(Transient) as refused:
        check_in_memory(on_disk)
    assert refused.value.reason == "SecretsOnDisk"


def _in_memory(place: Path) -> bool:
    try:
        check_in_memory(place)
    except Transient:
        return False
    return True


def test_nothing_is_filled_where_memory_is_wanted_and_there_is_none(paths: Paths) -> None:
    """The file is not there, not even empty."""
    if _in_memory(paths.run):
        pytest.skip("the tests' folder lies in memory: set TMPDIR to one on a disk")
    provisions = Provisions(paths, Keyring(paths.keys, "x"), in_memory=True)
    generation = staged(paths, Fill(str(paths.secrets / "x"), (Part("text", "x"),)))
    with pytest.raises(Transient):
        provisions.make(generation, COMMIT, dict)
    assert not paths.secrets.exists()


def test_what_was_made_and_told_is_not_made_again(paths: Paths, provisions: Provisions) -> None:
    """Until a path changes, the commit is another one, or /run was emptied."""
    generation = staged(
        paths,
        Folder(str(paths.root / "srv")),
        Fill(str(paths.secrets / "x"), (Part("text", "x"),)),
        Command("true", ("true",), ()),
    )
    assert provisions.stale(generation, COMMIT)
    made = provisions.make(generation, COMMIT, dict)
    assert provisions.stale(generation, COMMIT)  # nobody was told yet
    provisions.settle(made)
    assert not provisions.stale(generation, COMMIT)
    assert provisions.stale(generation, LATER)
    (paths.secrets / "x").write_text(
        "x"
    )  # as Samba does with its accounts after a wrong password: anyone could keep us busy
    assert not provisions.stale(generation, COMMIT)
    (paths.secrets / "x").write_text("y")
    assert provisions.stale(generation, COMMIT)
    provisions.settle(provisions.make(generation, COMMIT, dict))
    (paths.secrets / "x").chmod(0o644)
    assert provisions.stale(generation, COMMIT)
    provisions.settle(provisions.make(generation, COMMIT, dict))
    assert not provisions.stale(generation, COMMIT)
    paths.provided.unlink()
    assert provisions.stale(generation, COMMIT)


def test_a_plan_that_leaves_no_path_behind_is_made_once(paths: Paths, provisions: Provisions) -> None:
    """A command without a trace runs for each generation, not in each pass."""
    generation = staged(paths, Command("true", ("true",), ()))
    provisions.settle(provisions.make(generation, COMMIT, dict))
    assert not provisions.stale(generation, COMMIT)


def test_in_doubt_everything_counts_as_new(paths: Paths, provisions: Provisions) -> None:
    """Made and not told, or told and not noted, or noted in half a file: whoever reads it is told."""
    path = str(paths.secrets / "x")
    generation = staged(paths, Fill(path, (Part("text", "x"),)))
    provisions.make(generation, COMMIT, dict)
    made = provisions.make(generation, COMMIT, dict)
    assert made.changed == {path}
    provisions.settle(made)
    assert provisions.make(generation, COMMIT, dict).changed == set()
    for damaged in ('{"digest": ', "[1]", "5"):
        paths.provided.write_text(damaged)
        assert provisions.stale(generation, COMMIT)
        assert provisions.make(generation, COMMIT, dict).changed == {path}


def test_a_command_that_ends_well_and_made_no_folder_has_failed(paths: Paths, provisions: Provisions) -> None:
    """systemd-tmpfiles(8) passes over a file that stands where a folder belongs."""
    (paths.run / "family").write_text("a file")
    generation = staged(paths, Command("shared folders", ("true",), (), (str(paths.run / "family"),)))
    with pytest.raises(Transient, match="family is no folder"):
        provisions.make(generation, COMMIT, dict)


def test_a_command_that_fails_is_said_with_its_last_words(paths: Paths, provisions: Provisions) -> None:
    """`Transient`: something around us is in the way."""
    generation = staged(paths, Command("accounts", ("sh", "-c", "echo no room; exit 1"), ()))
    with pytest.raises(Transient, match="accounts failed: no room"):
        provisions.make(generation, COMMIT, dict)
