"""`hearth doctor`: what is missing or in the way, and the remedy, one line each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

import click

from reconciler.cli.output import emit, say
from reconciler.doctor import Diagnosis, Grade, examine
from reconciler.settings import Paths

_MARKS = {Grade.OK: "good", Grade.ADVICE: "note", Grade.BAD: "bad"}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print every diagnosis as JSON.")
@click.pass_obj
def doctor(root: str, /, *, as_json: bool) -> int:
    """Name what is missing or in the way here, and the remedy. Looks, and changes nothing; works before joining too."""
    found = show(examine(Paths(Path(root))), quiet=as_json)
    worst = sum(one.grade is Grade.BAD for one in found)
    if as_json:
        emit({"well": not worst, "diagnoses": [{**asdict(one), "grade": str(one.grade)} for one in found]})
        return 1 if worst else 0
    say()
    say(f"{worst} to mend." if worst else "Nothing is in the way.", kind="bad" if worst else "good")
    return 1 if worst else 0


def show(found: Iterable[Diagnosis], *, quiet: bool = False) -> tuple[Diagnosis, ...]:
    """Say each diagnosis as soon as it is known, with its remedy below; return them all."""
    all_of_them = []
    for one in found:
        all_of_them.append(one)
        if not quiet:
            say(one.message, kind=_MARKS[one.grade])
            if one.remedy:
                say(one.remedy, indent=2)
    return tuple(all_of_them)
