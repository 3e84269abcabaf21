"""Rule 8: what a household's tree may hold. Each test writes the real git objects and asks for the refusal."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest

from desired_state.history import Repository
from desired_state.trust import Refused, Unusable, beginning, tree_sha256
from desired_state.trust.objects import Kind
from desired_state.trust.tree import FILES_LIMIT, SECRET_LIMIT, read_folder, read_tree
from tests.desired_state.trust.homes import PLAIN, Home

EMPTY = hashlib.sha1(b"blob 0\0").digest()


class Watched:
    """The real repository, with a list of what was read from it."""

    def __init__(self, repository: Repository) -> None:
        self.repository = repository
        self.reads: list[str] = []

    def size(self, oid: str, kind: Kind) -> int:
        """Ask for a size; that reads no content."""
        return self.repository.size(oid, kind)

    def read(self, oid: str, kind: Kind, limit: int) -> bytes:
        """Read, and remember what."""
        content = self.repository.read(oid, kind, limit)
        self.reads.append(oid)
        return content


def refusal(home: Home, tree: str) -> Refused:
    """Put the tree on top of the home and return the refusal, which must be by rule 8."""
    tip = home.commit_tree(tree, parents=(home.genesis,))
    with pytest.raises(Refused) as refused:
        home.verify(tip)
    assert (refused.value.rule, refused.value.commit) == (8, tip)
    return refused.value


def with_entries(home: Home, *extra: bytes) -> str:
    """Return the home's own root tree with raw entries put in where git would sort them."""
    raw = home.repository.read(home.repository.write_tree({**home.trust, **PLAIN}), "tree", 10**6)
    entries, place = list(extra), 0
    while place < len(raw):
        end = raw.index(b"\0", place) + 21
        entries.append(raw[place:end])
        place = end
    return home.repository.write("tree", b"".join(sorted(entries, key=_order)))


def _order(entry: bytes) -> bytes:
    mode, name = entry[: entry.index(b"\0")].split(b" ", 1)
    return name + (b"/" if mode == b"40000" else b"")


@pytest.mark.parametrize(
    ("mode", "what"),
    [
        (b"120000", "a symbolic link"),
        (b"160000", "a submodule"),
        (b"100755", "an executable file"),
        (b"100664", "a file of an unknown kind"),
        (b"0100644", "a file of an unknown kind"),
    ],
)
def test_links_submodules_and_executables_are_refused(home: Home, mode: bytes, what: str) -> None:
    """Hostile case 27: a household is plain files."""
    assert what in refusal(home, with_entries(home, mode + b" extra.yaml\0" + EMPTY)).message


@pytest.mark.parametrize(
    "name",
    [
        b"..", b".", b".git", b".gitattributes", b".gitmodules", b"a/b.yaml", b"Household.yaml", b"household.yml", b"run.sh",
        b"readme.md", b"-rf.yaml", b"a b.yaml", b"x" * 80 + b".yaml", b"caf\xc3\xa9.yaml", b"a\\b.yaml", b"a\n.yaml", b"",
    ],
)  # fmt: skip
def test_names_that_a_household_does_not_have_are_refused(home: Home, name: bytes) -> None:
    """Hostile case 27: no way out of the folder, no case twin, nothing that blinds an auditor's diff."""
    refusal(home, with_entries(home, b"100644 " + name + b"\0" + EMPTY))


def test_a_name_twice_is_refused(home: Home) -> None:
    """Hostile case 27: two files of one name, and a file beside a folder of one name."""
    refusal(home, with_entries(home, b"100644 people.yaml\0" + EMPTY))
    inner = home.repository.write("tree", b"100644 a.yaml\0" + EMPTY)
    refusal(home, with_entries(home, b"40000 people.yaml\0" + bytes.fromhex(inner)))


def test_entries_in_another_order_than_gits_are_refused(home: Home) -> None:
    """Two orders would be two ids for one tree."""
    raw = b"100644 b.yaml\0" + EMPTY + b"100644 a.yaml\0" + EMPTY
    refusal(home, home.repository.write("tree", raw))


def test_a_tree_bomb_is_refused_after_a_few_reads(home: Home) -> None:
    """Hostile case 26: ten levels of ten equal folders would be ten thousand million files."""
    inner = home.repository.write("tree", b"100644 a.yaml\0" + EMPTY)
    home.repository.write("blob", b"")
    for _ in range(10):
        entries = b"".join(b"40000 f%d\0" % number + bytes.fromhex(inner) for number in range(10))
        inner = home.repository.write("tree", entries)
    watched = Watched(home.repository)
    read_tree(watched, inner)
    assert len(watched.reads) <= 11
    refusal(home, with_entries(home, b"40000 services\0" + bytes.fromhex(inner)))


def test_a_wide_tree_bomb_is_refused_after_a_few_reads(home: Home) -> None:
    """Hostile case 26: a thousand folders of a thousand files are two objects, and come before any signature is looked at."""
    blob = home.repository.write("blob", b"")
    files = b"".join(b"100644 %03d.yaml\0" % number + bytes.fromhex(blob) for number in range(999))
    inner = home.repository.write("tree", files)
    for content in (inner, home.repository.write("tree", files.replace(b"100644 ", b"40000 ").replace(b".yaml", b""))):
        folders = b"".join(b"40000 f%03d\0" % number + bytes.fromhex(content) for number in range(900))
        watched = Watched(home.repository)
        with pytest.raises(Refused, match="too large"):
            read_tree(watched, home.repository.write("tree", folders))
        assert len(watched.reads) <= 3


def test_an_oversized_blob_is_refused_before_it_is_read(home: Home) -> None:
    """Hostile case 26: its header alone tells."""
    blob = home.repository.write("blob", b"x" * (2 * 2**20))
    tree = with_entries(home, b"100644 README.md\0" + bytes.fromhex(blob))
    tip = home.commit_tree(tree, parents=(home.genesis,))
    watched = Watched(home.repository)
    from desired_state.trust import verify

    with pytest.raises(Refused, match="larger than 1024 KiB"):
        verify(watched, tip, home.anchor())
    assert blob not in watched.reads
    secret = home.repository.write_tree({**home.trust, **PLAIN, "secrets/a.age": b"x" * (SECRET_LIMIT + 1)})
    assert "larger than 64 KiB" in refusal(home, secret).message


def test_too_many_files_are_refused(home: Home) -> None:
    """A count is a bound like a size."""
    files = {f"services/s{number}.yaml": b"" for number in range(FILES_LIMIT + 1)}
    refusal(home, home.repository.write_tree({**home.trust, **PLAIN, **files}))
    half = {f"{folder}/s{number}.yaml": b"" for number in range(600) for folder in ("a", "b")}
    assert "too large" in refusal(home, home.repository.write_tree({**home.trust, **PLAIN, **half})).message


@pytest.mark.parametrize(
    "path", ["trust/more", "trust/x.yaml", "secrets/x.yaml", "secrets/a/b.age", "a/b/c.yaml", "x.age"]
)
def test_files_in_the_wrong_folder_are_refused(home: Home, path: str) -> None:
    """`trust/` holds exactly seven files, `secrets/` only .age, and nothing lies deeper."""
    refusal(home, home.repository.write_tree({**home.trust, **PLAIN, path: b""}))


@pytest.mark.parametrize("missing", ["policy.yaml", "signers", "recipients"])
def test_a_missing_trust_file_is_refused(home: Home, missing: str) -> None:
    """Seven files, each time."""
    home.trust.pop(f"trust/{missing}")
    assert f"has no trust/{missing}" in refusal(home, home.repository.write_tree({**home.trust, **PLAIN})).message


def test_an_object_that_is_not_there_is_refused(home: Home) -> None:
    """A tree may name what it does not bring."""
    refusal(home, with_entries(home, b"100644 x.yaml\0" + b"\7" * 20))
    refusal(home, with_entries(home, b"40000 x\0" + b"\7" * 20))
    refusal(home, "7" * 40)


@pytest.mark.parametrize("raw", [b"100644", b"100644 a.yaml", b"100644 a.yaml\0abc", b"\0" * 40, b" a\0" + b"x" * 20])
def test_a_damaged_tree_is_refused(home: Home, raw: bytes) -> None:
    """A tree is read to its last byte."""
    with pytest.raises((Unusable, Refused)):
        read_folder(home.repository, home.repository.write("tree", raw))


def test_unchanged_folders_are_not_read_again(home: Home) -> None:
    """Ten thousand commits stay quick because most of a home stays as it was."""
    before = read_tree(home.repository, home.repository.write_tree({**home.trust, **PLAIN}))
    watched = Watched(home.repository)
    after = read_tree(watched, home.repository.write_tree({**home.trust, **PLAIN, "README.md": b"x"}), before)
    assert watched.reads == [after.root.oid]
    assert after.folders["trust"] is before.folders["trust"]


def test_tree_sha256_is_what_an_auditor_computes_with_stock_tools(home: Home, tmp_path: Path) -> None:
    """Nothing rests on SHA-1 alone, and nobody needs our program to check it."""
    files = {**home.trust, **PLAIN, "services/dns.yaml": b"dns: {}\n", "secrets/a.age": b"\0\1"}
    commit = home.commit(files, parents=())
    script = (
        f"cd {home.folder} && git ls-tree -r --name-only {commit} | LC_ALL=C sort | while IFS= read -r path; do "
        f'printf \'100644 %s  %s\\n\' "$(git cat-file blob {commit}:"$path" | sha256sum | cut -c1-64)" "$path"; done | sha256sum'
    )
    shell = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout[:64]
    assert tree_sha256(files) == shell


def test_a_beginning_is_not_read_before_its_shape_is_known(home: Home) -> None:
    """Whoever joins has verified nothing yet: an oversized blob in the first commit costs nothing either."""
    blob = home.repository.write("blob", b"x" * (2 * 2**20))
    genesis = home.commit_tree(with_entries(home, b"100644 README.md\0" + bytes.fromhex(blob)), parents=())
    watched = Watched(home.repository)
    with pytest.raises(Refused, match="larger than 1024 KiB"):
        beginning(watched, genesis)
    assert blob not in watched.reads
    good = beginning(home.repository, home.change(home.genesis))
    assert (good.genesis, len(good.words)) == (home.genesis, 8)
