"""A person's card: one printable page that says how to reach the home's folders from each kind of computer and phone.

Pure, like everything here. Holds no password: it says where one comes from.
"""

from __future__ import annotations

from dataclasses import dataclass

from desired_state.model import Household, Share
from renderers.pages import page

_WORDS = {"read": "read", "write": "read, save and delete"}


@dataclass(frozen=True, slots=True)
class Folder:
    """A shared folder as one person has it."""

    name: str
    description: str
    may: str
    backups: bool


def folders_of(household: Household, person: str) -> tuple[Folder, ...]:
    """Return the shared folders that `person` may open, by name; those for a Mac's backups last."""
    shares = sorted(household.files.shares.items()) if household.files else []
    found = (
        Folder(name, share.description, _WORDS[level], share.time_machine and level == "write")
        for name, share in shares
        if (level := _level(share, person))
    )
    return tuple(sorted(found, key=lambda folder: folder.backups))


def card(household: Household, person: str) -> str:
    """Return the card of `person`, who must be in the household, as an HTML page that needs nothing else.

    Raises:
        KeyError: nobody has that id.
    """
    return page(
        "card.html.j2",
        person=household.people[person],
        user=person,
        household=household,
        folders=folders_of(household, person),
        server=f"{household.appliance.name}.{household.network.domain}",
    )


def _level(share: Share, person: str) -> str | None:
    """Return the highest of what the person and everyone may."""
    levels = {share.access.get(person), share.access.get("everyone")}
    return next((level for level in ("write", "read") if level in levels), None)
