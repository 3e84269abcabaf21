"""`hearth card`: a printable page for one person, made from the household's folder."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from reconciler.cli.check import load_folder
from reconciler.cli.output import emit, say
from reconciler.errors import Misused


@click.command()
@click.argument("person")
@click.argument("folder", type=click.Path(path_type=Path), default=".")
@click.option(
    "--output", type=click.Path(path_type=Path, dir_okay=False), help="The file for the page; else it is printed."
)
@click.option("--json", "as_json", is_flag=True, help="Print the person's folders as JSON.")
def card(person: str, folder: Path, *, output: Path | None, as_json: bool) -> int:
    """Make PERSON's card: how to open the shared folders from a Mac, Windows, a phone. Holds no password."""
    from renderers.card import card as page_of
    from renderers.card import folders_of

    loaded = load_folder(folder)
    if loaded.state is None:
        raise Misused("HouseholdInvalid", f"The household at {folder} has an error.", f"hearth check {folder}")
    household = loaded.state.household
    if person not in household.people:
        known = ", ".join(sorted(household.people)) or "nobody yet"
        raise Misused("NoSuchPerson", f"Nobody here has the id {person[:40]!r}.", f"People: {known}.")
    if as_json:
        folders = [{"name": one.name, "may": one.may, "backups": one.backups} for one in folders_of(household, person)]
        emit({"person": person, "name": household.people[person].name, "folders": folders})
        return 0
    page = page_of(household, person)
    if output is None:
        sys.stdout.write(page)
        return 0
    output.write_text(page, "utf-8")
    say(f"The card of {household.people[person].name}: {output}", kind="good")
    say("Open it in a browser and print it. It holds no password.", indent=2)
    return 0
