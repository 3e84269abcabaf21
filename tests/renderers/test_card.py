"""A person's card: what it says, and that nothing a family writes becomes markup."""

from __future__ import annotations

import pytest

from renderers.card import card, folders_of
from tests.renderers.homes import holm, household


def test_a_person_sees_the_folders_that_are_theirs_and_those_of_everyone() -> None:
    """Mia may read the family's and everyone's, and no backups."""
    assert [(one.name, one.may) for one in folders_of(holm(), "mia")] == [("family", "read"), ("media", "read")]


def test_the_higher_of_own_and_everyones_access_counts() -> None:
    """Jens may write where everyone reads."""
    assert ("media", "read, save and delete") in [(one.name, one.may) for one in folders_of(holm(), "jens")]


def test_backups_stand_last_and_are_called_so() -> None:
    """Only for those who may write there: a Mac cannot back up to a folder that it may only read."""
    assert [one.name for one in folders_of(holm(), "anna") if one.backups] == ["backups"]
    assert folders_of(holm(), "anna")[-1].name == "backups"
    assert "Time Machine" in card(holm(), "anna")
    assert "Time Machine" not in card(holm(), "jens")


def test_the_card_names_user_server_and_folders_and_no_password() -> None:
    """Everything that somebody must type stands on it."""
    page = card(holm(), "mia")
    for text in (r"\\hearth.home.arpa\family", "smb://hearth.home.arpa/family", "<code>mia</code>", "The Holm family"):
        assert text in page
    assert "secret:" not in page


def test_markup_in_a_name_is_shown_and_not_obeyed() -> None:
    """A display name may hold any printable character."""
    page = card(household(people={"eve": {"name": "<script>alert(1)</script>"}}), "eve")
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_somebody_without_folders_is_told_so() -> None:
    """A page of instructions that lead nowhere would be worse than none."""
    assert "No shared folder" in card(household(people={"eve": {"name": "Eve"}}), "eve")


def test_nobody_has_no_card() -> None:
    """The command says so; a page for nobody is not made."""
    with pytest.raises(KeyError):
        card(holm(), "nobody")
