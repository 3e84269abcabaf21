"""Generations on disk: staged whole or not at all, named by their content, switched in one step, and never piling up."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler import generation as module
from reconciler.errors import Stalled
from reconciler.generation import Generations, changed_files
from renderers.artifact import Artifact, File
from renderers.plan import Plan
from tests.reconciler.artifacts import artifact

ONE, TWO = artifact("one"), artifact("two")


def content(folder: Path) -> dict[str, bytes | str]:
    """Return everything below `folder`: files' bytes, links' targets."""
    return {
        str(path.relative_to(folder)): str(path.readlink()) if path.is_symlink() else path.read_bytes()
        for path in folder.rglob("*")
        if path.is_symlink() or path.is_file()
    }


@pytest.fixture
def generations(tmp_path: Path) -> Generations:
    """Return the generations of a new device."""
    return Generations(tmp_path)


def test_a_staged_file_is_not_taken_for_one_that_is_being_written(generations: Generations):
    """Each of Postfix's programs would wait for it (1.5 s), the checker and every one that a reload starts."""
    before = time.time()
    staged = generations.stage(ONE)
    assert all((staged.path / path).stat().st_mtime < before - 1 for path in ONE.files)


def test_a_staged_generation_holds_exactly_the_artifact(generations: Generations, tmp_path: Path):
    """Every file with its bytes and permission bits, the manifest, and nothing else; folders open to the daemons."""
    before = os.umask(0o077)
    try:
        staged = generations.stage(ONE)
    finally:
        os.umask(before)
    expected = {path: file.content for path, file in ONE.files.items()} | {"manifest.json": ONE.manifest}
    assert content(staged.path) == expected
    assert staged.path == tmp_path / "generations" / ONE.digest
    for path, file in ONE.files.items():
        assert stat.S_IMODE((staged.path / path).stat().st_mode) == file.mode
    folders = [tmp_path / "generations", staged.path, *(p for p in staged.path.rglob("*") if p.is_dir())]
    assert {stat.S_IMODE(folder.stat().st_mode) for folder in folders} == {0o755}
    assert (staged.plan, staged.renderer) == (ONE.plan, ONE.renderer)


def test_staging_again_changes_nothing(generations: Generations):
    """Not one inode."""
    staged = generations.stage(ONE)
    before = [(path, path.stat().st_ino, path.stat().st_mtime_ns) for path in sorted(staged.path.rglob("*"))]
    generations.stage(ONE)
    assert before == [(path, path.stat().st_ino, path.stat().st_mtime_ns) for path in sorted(staged.path.rglob("*"))]


NAMES = st.from_regex(r"[a-z0-9][a-z0-9.-]{0,12}", fullmatch=True)
FILES = st.dictionaries(
    st.tuples(st.sampled_from(["a", "b/c", "b/d"]), NAMES).map("/".join),
    st.builds(File, st.binary(max_size=300), st.sampled_from([0o644, 0o640, 0o600])),
    max_size=6,
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(FILES)
def test_what_is_staged_is_what_was_rendered(generations: Generations, files: dict[str, File]):
    """A law over all artifacts: loaded by name, it promises the very files that were staged."""
    one = Artifact(files, Plan())
    staged = generations.stage(one)
    assert {path: (entry.mode, entry.sha256) for path, entry in staged.files.items()} == {
        path: (file.mode, file.sha256) for path, file in files.items()
    }
    assert {path: (staged.path / path).read_bytes() for path in files} == {p: f.content for p, f in files.items()}


def test_a_full_disk_leaves_no_generation_and_no_draft(tmp_path: Path):
    """A real full disk: a tmpfs of 64 KB in a mount namespace of its own. What was staged before stays whole."""
    if os.geteuid() != 0 or subprocess.run(["unshare", "-m", "true"], check=False).returncode != 0:
        pytest.skip("mounting a small tmpfs needs root and CAP_SYS_ADMIN")
    program = (
        "import pathlib, sys\n"
        "from renderers.artifact import Artifact, File\n"
        "from renderers.plan import Plan\n"
        "from reconciler.generation import Generations\n"
        "state = pathlib.Path(sys.argv[1])\n"
        "small = Generations(state).stage(Artifact({'a/b': File(b'small')}, Plan()))\n"
        "large = Artifact({f'a/{n}': File(bytes(9000)) for n in range(12)}, Plan())\n"
        "try: Generations(state).stage(large)\n"
        "except OSError as error: print(error.errno, [p.name for p in (state / 'generations').iterdir()] == [small.digest])"
    )
    script = 'mount -t tmpfs -o size=64k none "$1" && exec "$2" -c "$3" "$1"'
    argv = ["unshare", "-m", "--propagation", "private", "sh", "-c", script, "sh", tmp_path, sys.executable, program]
    done = subprocess.run(argv, check=True, timeout=60, capture_output=True, text=True)
    assert done.stdout == f"{errno.ENOSPC} True\n"


def test_two_that_stage_the_same_at_once_both_succeed(tmp_path: Path):
    """Real processes, started together, a few times over; one whole generation remains and no draft is in the way."""
    program = (
        "import pathlib, sys\n"
        "from renderers.artifact import Artifact, File\n"
        "from renderers.plan import Plan\n"
        "from reconciler.generation import Generations\n"
        "made = [Artifact({f'a/{n}': File(b'x' * m) for n in range(20)}, Plan()) for m in range(8)]\n"
        "print('up', flush=True); sys.stdin.readline()\n"
        "for one in made: Generations(pathlib.Path(sys.argv[1])).stage(one)\n"
    )
    argv = [sys.executable, "-c", program, str(tmp_path)]
    both = [subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in "ab"]
    for process in both:
        assert process.stdout
        assert process.stdout.readline() == "up\n"
    for process in both:
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in both:
        process.communicate(timeout=60)
    assert [process.returncode for process in both] == [0, 0]
    assert len(Generations(tmp_path).plans()) == 8


def test_torn_drafts_and_strangers_are_pruned_but_the_active_one_never(generations: Generations, tmp_path: Path):
    """Whatever lies in `generations/` goes, be it a torn draft, a file, a link; its target stays."""
    kept, active, old = (generations.stage(artifact(word)).digest for word in ("kept", "active", "old"))
    generations.activate(active)
    folder = tmp_path / "generations"
    (folder / ".0123456789abcdef.01234567" / "a").mkdir(parents=True)
    (folder / "a file").write_bytes(b"")
    victim = tmp_path / "victim"
    (victim / "inside").mkdir(parents=True)
    (folder / "a link").symlink_to(victim)
    generations.prune({kept})
    assert sorted(path.name for path in folder.iterdir()) == sorted([kept, active])
    assert (victim / "inside").exists()
    assert not generations.has(old)


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.joinpath("manifest.json").unlink(),
        lambda path: path.joinpath("manifest.json").write_bytes(b""),
        lambda path: path.joinpath("manifest.json").write_bytes(TWO.manifest),
        lambda path: path.joinpath("manifest.json").write_bytes(ONE.manifest[:-1]),
        shutil.rmtree,
        lambda path: (shutil.rmtree(path), path.write_bytes(b"a file")),
        lambda path: (path.rename(path.with_name("elsewhere")), path.symlink_to("elsewhere")),
    ],
    ids=["missing", "empty", "another's", "torn", "folder gone", "a file instead", "a link instead"],
)
def test_a_damaged_generation_is_refused_then_staged_anew(generations: Generations, damage):
    """It is never run as it is; staging puts a whole one in its place, even while it is active."""
    staged = generations.stage(ONE)
    generations.activate(ONE.digest)
    damage(staged.path)
    assert not generations.has(ONE.digest)
    with pytest.raises(Stalled, match="missing or damaged") as refused:
        generations.load(ONE.digest)
    assert refused.value.reason == "GenerationDamaged"
    assert generations.stage(ONE) == staged
    assert content(staged.path)["dnsmasq/hosts"] == ONE.files["dnsmasq/hosts"].content
    generations.prune(())
    assert [path.name for path in staged.path.parent.iterdir()] == [ONE.digest]


@pytest.mark.parametrize("manifest", [b"{}", b"[]", b"7", b'{"files":{},"plan":{}}', b"not JSON", b'{"files":[]}'])
def test_a_manifest_of_another_version_is_refused_in_a_sentence(generations: Generations, tmp_path: Path, manifest):
    """Its name matches its bytes, and yet we cannot read it: no traceback, and pruning still works."""
    digest = module.hashlib.sha256(manifest).hexdigest()
    folder = tmp_path / "generations" / digest
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_bytes(manifest)
    with pytest.raises(Stalled, match="another version"):
        generations.load(digest)
    assert generations.plans() == ()
    generations.prune(())
    assert not folder.exists()


@pytest.mark.parametrize("name", ["", ".", "..", "../../etc", "A" * 64, "a" * 63, "a" * 65, "a" * 64 + "\n", "/" * 64])
def test_only_a_digest_names_a_generation(generations: Generations, name: str):
    """No path leads out of the folder."""
    with pytest.raises(Stalled, match="not a digest"):
        generations.load(name)
    assert not generations.has(name)


def test_activating_is_one_rename_of_one_link(generations: Generations, tmp_path: Path):
    """`current` follows; None takes it away; asking again is harmless."""
    for word in (ONE, TWO):
        generations.stage(word)
        generations.activate(word.digest)
        assert generations.active() == word.digest
        assert (tmp_path / "current" / "dnsmasq/hosts").read_bytes() == word.files["dnsmasq/hosts"].content
    for _ in range(2):
        generations.activate(None)
        assert generations.active() is None
        assert not os.path.lexists(tmp_path / "current")


@pytest.mark.parametrize("target", ["/etc", "generations", "generations/x", "../generations/" + "a" * 64, "a" * 64])
def test_a_current_that_points_elsewhere_is_none_of_ours(generations: Generations, tmp_path: Path, target: str):
    """The next step then points it back."""
    (tmp_path / "current").symlink_to(target)
    assert generations.active() is None
    generations.stage(ONE)
    generations.activate(ONE.digest)
    assert generations.active() == ONE.digest


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_somebody_put_in_place_of_current_is_kept_aside(generations: Generations, tmp_path: Path, kind: str):
    """A restored backup may have made it a folder: it is moved, not deleted."""
    place = tmp_path / "current"
    if kind == "file":
        place.write_bytes(b"theirs")
    else:
        place.mkdir()
        (place / "theirs").write_bytes(b"")
    generations.stage(ONE)
    assert generations.active() is None
    generations.activate(ONE.digest)
    assert generations.active() == ONE.digest
    assert len(list(tmp_path.glob("current.found.*"))) == 1


def test_changed_files_are_those_whose_bytes_or_mode_differ(generations: Generations):
    """What decides who reloads; a file that only one of the two has is changed as well."""
    one, two = generations.stage(ONE), generations.stage(TWO)
    assert changed_files(one, one) == frozenset()
    assert changed_files(one, two) == {"dnsmasq/hosts", "dhcp/leases/static"} == changed_files(two, one)
    assert changed_files(None, one) == set(ONE.files) == changed_files(one, None)
    assert changed_files(None, None) == frozenset()
