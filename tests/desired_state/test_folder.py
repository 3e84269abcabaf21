"""Reading a household from a folder without being led out of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from desired_state.folder import MAX_FILE_BYTES, MAX_FILES, HouseholdUnreadable, belongs, read_folder, secret_of
from desired_state.load import load
from tests.desired_state.holm import HOLM, holm_with


def household(folder: Path) -> Path:
    """Write the example below `folder` and return where it lies."""
    for name, raw in holm_with().items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(raw)
    return folder


def test_a_folder_gives_the_files_that_lie_in_it(tmp_path: Path):
    """Every file is there by its relative path; the repository's own folder is not."""
    (household(tmp_path) / ".git").mkdir()
    (tmp_path / ".git" / "config").write_text("x")
    assert dict(read_folder(tmp_path)) == dict(read_folder(HOLM))


@pytest.mark.parametrize("name", ["people.yaml", "services", "services/dns.yaml", "stray"])
def test_a_symbolic_link_is_refused_wherever_it_leads(tmp_path: Path, name: str):
    """A link could show the agent a file of the host."""
    home, target = (
        household(tmp_path / "home" if (tmp_path / "home").mkdir() is None else tmp_path),
        tmp_path / "elsewhere",
    )
    (home / name).rename(target) if (home / name).exists() else target.write_text("x")
    (home / name).symlink_to(target)
    with pytest.raises(HouseholdUnreadable, match="symbolic link"):
        read_folder(home)


def test_a_pipe_does_not_hang_the_reader(tmp_path: Path):
    """A named pipe in the place of a file is refused, not waited for."""
    (household(tmp_path) / "people.yaml").unlink()
    os.mkfifo(tmp_path / "people.yaml")
    with pytest.raises(HouseholdUnreadable, match="not a plain file"):
        read_folder(tmp_path)


def test_a_folder_in_the_place_of_a_file_is_a_finding(tmp_path: Path):
    """It is listed by its name with a slash, and no household holds such a thing."""
    (household(tmp_path) / "README.md").unlink()
    (tmp_path / "README.md").mkdir()
    assert [finding.file for finding in load(read_folder(tmp_path)).errors] == ["README.md/"]


def test_an_oversized_file_is_refused_after_a_bounded_read(tmp_path: Path):
    """A sparse file of a gigabyte costs a megabyte."""
    with (household(tmp_path) / "README.md").open("wb") as stream:
        stream.truncate(1 << 30)
    with pytest.raises(HouseholdUnreadable, match=f"{MAX_FILE_BYTES // 1024} KiB"):
        read_folder(tmp_path)


def test_what_does_not_belong_is_listed_but_not_read(tmp_path: Path):
    """An unknown file is named by load, whatever its size."""
    with (household(tmp_path) / "film.mkv").open("wb") as stream:
        stream.truncate(1 << 30)
    assert read_folder(tmp_path)["film.mkv"] == b""
    assert [finding.file for finding in load(read_folder(tmp_path)).errors] == ["film.mkv"]


def test_a_crowded_folder_is_refused(tmp_path: Path):
    """Pointing at a home directory by mistake ends with one sentence."""
    for number in range(MAX_FILES + 1):
        (tmp_path / f"{number}").touch()
    with pytest.raises(HouseholdUnreadable, match="it is no household"):
        read_folder(tmp_path)


def test_no_folder_is_said_in_one_sentence(tmp_path: Path):
    """A missing path and a plain file are told apart from an empty household."""
    for path in (tmp_path / "nowhere", HOLM / "people.yaml"):
        with pytest.raises(HouseholdUnreadable, match="is not a folder"):
            read_folder(path)
    assert {finding.code for finding in load(read_folder(tmp_path)).errors} == {"missing-file"}


def test_a_name_that_is_no_text_is_refused_in_words(tmp_path: Path):
    """A file name that is not UTF-8 is one more unknown file, shown safely."""
    (tmp_path / os.fsdecode(b"\xff\x1b[31m")).touch()
    finding = load(read_folder(tmp_path)).errors[-1]
    assert finding.code == "unknown-file"
    str(finding).encode()


@pytest.mark.parametrize(
    ("path", "secret"),
    [
        ("secrets/relay-password.age", "relay-password"),
        ("secrets/person-" + "a" * 31 + ".age", "person-" + "a" * 31),
        ("secrets/A.age", None),
        ("secrets/a.age\n", None),
        ("secrets/sub/a.age", None),
        ("secrets/.age", None),
    ],
)
def test_a_secret_is_known_by_its_path(path: str, secret: str | None):
    """Only secrets/NAME.age holds a secret."""
    assert secret_of(path) == secret
    assert belongs(path) == (secret is not None)
