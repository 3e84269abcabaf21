"""`hearth undo`: the opposite of one past commit, as a normal change on top of what holds now."""

from __future__ import annotations

from pathlib import Path

from tests.reconciler.cli.conftest import Git, Hearth

BLOCK = ("change", "block", "tiktok", "--for", "kids", "--commit")


def test_undo_brings_back_what_held_and_names_what_it_undoes(family: Path, hearth: Hearth, git: Git) -> None:
    """The opposite is judged and signed like any other change."""
    before = Path("services/dns.yaml").read_bytes()
    hearth(*BLOCK)
    said = hearth("undo", "HEAD", "--commit")
    assert said.out.startswith("- The kids' devices (Mia's tablet) can look up TikTok again      medium risk")
    assert git("log", "-1", "--format=%s").startswith('Undo "The kids')
    assert "can look up TikTok again" in git("log", "-1", "--format=%b")
    assert Path("services/dns.yaml").read_bytes() == before
    assert hearth("verify").code == 0


def test_undo_keeps_what_came_later(family: Path, hearth: Hearth) -> None:
    """Only that commit's change is turned round."""
    hearth(*BLOCK)
    hearth("change", "add-name", "wiki", "appliance", "--commit")
    assert hearth("undo", "HEAD~1", "--commit").code == 0
    text = Path("services/dns.yaml").read_text()
    assert "wiki" in text
    assert "tiktok" not in text


def test_undo_that_no_longer_fits_is_refused(family: Path, hearth: Hearth, git: Git) -> None:
    """What was undone already, or built upon, gets one sentence."""
    hearth(*BLOCK)
    hearth("undo", "HEAD", "--commit")
    head = git("rev-parse", "HEAD")
    said = hearth("undo", "HEAD~1", "--commit")
    assert (said.code, git("rev-parse", "HEAD")) == (1, head)


def test_the_beginning_cannot_be_undone(family: Path, hearth: Hearth) -> None:
    """There is nothing before it."""
    said = hearth("undo", "HEAD~1")
    assert (said.code, "began the household" in said.err) == (2, True)


def test_a_change_of_comments_is_undone_with_its_bytes(family: Path, hearth: Hearth, git: Git) -> None:
    """A text is no statement about the home, and yet it comes back."""
    people = Path("people.yaml")
    before = people.read_bytes()
    people.write_bytes(before + b"# a note\n")
    git("commit", "--quiet", "--all", "--message", "A note")
    assert hearth("undo", "HEAD", "--commit").code == 0
    assert people.read_bytes() == before


def test_a_change_of_trust_is_not_undone_this_way(family: Path, hearth: Hearth, git: Git) -> None:
    """It asks for the owners, not for `hearth undo`."""
    owners = Path("trust/owners")
    owners.write_text(owners.read_text() + "# a note\n")
    git("commit", "--quiet", "--all", "--message", "A note")
    said = hearth("undo", "HEAD", "--commit")
    assert (said.code, "takes its owners" in said.err) == (2, True)
