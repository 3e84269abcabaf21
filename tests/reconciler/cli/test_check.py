"""`hearth check` and `hearth render`: findings and files of a household folder, or of a commit."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.reconciler.cli.conftest import EXAMPLE, Git, Hearth


@pytest.fixture
def holm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the example; we stand beside it."""
    shutil.copytree(EXAMPLE, tmp_path / "holm")
    monkeypatch.chdir(tmp_path)
    return Path("holm")


def test_a_sound_household_exits_0(holm: Path, hearth: Hearth) -> None:
    """Advice alone does not count."""
    said = hearth("check", holm)
    assert (said.code, "holm is a sound household." in said.out) == (0, True)


def test_every_error_is_named_with_its_place(holm: Path, hearth: Hearth) -> None:
    """All at once, and how many; as JSON too."""
    with (holm / "people.yaml").open("a") as file:
        file.write("  Bad Id: {name: NO}\nelse: 1\n")
    said = hearth("check", holm)
    assert said.code == 1
    assert "people.yaml:" in said.out
    assert "2 to mend" in said.out
    found = hearth("check", holm, "--json")
    assert found.code == 1
    assert {"file", "line", "column", "field", "severity", "code", "message"} == set(found.json["findings"][0])


def test_a_commit_is_checked_as_it_is_not_as_it_lies(family: Path, hearth: Hearth, git: Git) -> None:
    """--at looks at what would be pushed."""
    Path("people.yaml").write_text("broken: [\n")
    Path("stray.txt").write_text("stray")
    assert hearth("check").code == 1
    assert hearth("check", "--at", "HEAD").code == 0
    git("-c", "commit.gpgsign=false", "commit", "--quiet", "--all", "--message", "bad")
    assert hearth("check", "--at", "HEAD").code == 1
    assert hearth("check", "--at", "nothing").code == 2


def test_render_writes_all_files_and_their_digest(holm: Path, hearth: Hearth) -> None:
    """The digest on the screen is the manifest's."""
    said = hearth("render", holm, "--output", "out", "--json")
    assert said.code == 0
    manifest = json.loads(Path("out/manifest.json").read_text())
    assert sorted(manifest["files"]) == said.json["files"]
    assert all(Path("out", file).is_file() for file in said.json["files"])
    assert hearth("render", holm, "--output", "again").out.strip() == said.json["digest"]


@pytest.mark.parametrize("as_json", [[], ["--json"]])
def test_render_of_an_invalid_household_writes_nothing(holm: Path, hearth: Hearth, as_json: list[str]) -> None:
    """Exit code 1 with the findings, in the form that was asked for."""
    (holm / "devices.yaml").unlink()
    said = hearth("render", holm, "--output", "out", *as_json)
    assert (said.code, "devices.yaml" in said.out) == (1, True)
    assert not Path("out").exists()
    if as_json:
        assert said.json["findings"]


def test_render_never_mixes_with_what_is_there(holm: Path, hearth: Hearth) -> None:
    """A folder that holds something keeps it, and gets nothing."""
    Path("out").mkdir()
    Path("out/mine").write_text("mine")
    assert hearth("render", holm, "--output", "out").code == 2
    assert [path.name for path in Path("out").iterdir()] == ["mine"]


@pytest.mark.conformance
def test_the_real_daemons_accept_the_example(holm: Path, hearth: Hearth) -> None:
    """--daemons lets dnsmasq itself look."""
    said = hearth("check", holm, "--daemons")
    assert (said.code, "Its daemons accept their files." in said.out) == (0, True), said.out + said.err


def test_a_folder_without_a_household_is_named_once_and_not_file_by_file(hearth: Hearth, tmp_path: Path) -> None:
    """The usual mistake is to stand in the wrong folder."""
    (tmp_path / "letter.txt").write_text("Dear Anna")
    said = hearth("check", tmp_path)
    assert (said.code, said.out) == (2, "")
    assert f"{tmp_path} holds no household." in said.err
