"""`hearth card`: a page for one person."""

from __future__ import annotations

from pathlib import Path

from tests.reconciler.cli.conftest import EXAMPLE, Hearth


def test_the_page_is_written_where_it_was_asked_for(hearth: Hearth, tmp_path: Path) -> None:
    """And the command says that it holds no password."""
    said = hearth("card", "mia", EXAMPLE, "--output", tmp_path / "mia.html")
    assert (said.code, "no password" in said.out) == (0, True)
    assert "smb://hearth.home.arpa/family" in (tmp_path / "mia.html").read_text()


def test_without_a_file_the_page_is_printed(hearth: Hearth) -> None:
    """For a pipe."""
    assert hearth("card", "mia", EXAMPLE).out.startswith("<!doctype html>")


def test_scripts_get_the_folders(hearth: Hearth) -> None:
    """As JSON."""
    found = hearth("card", "mia", EXAMPLE, "--json").json
    assert [one["name"] for one in found["folders"]] == ["family", "media"]


def test_an_unknown_person_is_refused_and_the_known_ones_named(hearth: Hearth) -> None:
    """Exit 2, and a sentence."""
    said = hearth("card", "john", EXAMPLE)
    assert said.code == 2
    assert "anna, jens, mia" in said.err
