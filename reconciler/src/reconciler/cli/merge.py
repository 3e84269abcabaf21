"""`hearth merge`: bring an approved proposal to main, for homes without a service that does it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconciler.cli.output import emit, say
from reconciler.clone import Clone

if TYPE_CHECKING:
    from reconciler.approving import Waiting
    from reconciler.merging import Push


@click.command()
@click.argument("branch", required=False)
@click.option(
    "--in",
    "folder",
    type=click.Path(path_type=Path),
    default=Path(),
    help="The household's repository; where you are unless given.",
)
@click.option("--fetch", is_flag=True, help="Ask the git host first what is new.")
@click.option("--push", is_flag=True, help="Push main; where the git host does not take it, nothing has happened.")
@click.option("--json", "as_json", is_flag=True, help="Print what was merged as JSON.")
@click.pass_obj
def merge(root: str, /, branch: str | None, folder: Path, *, fetch: bool, push: bool, as_json: bool) -> int:
    """Merge an approved BRANCH into main, signed by you, and judged as a Pi would before main moves.

    In a self-hosted home any owner or approver may; in a reviewed one the service's key; a change of trust is merged by an owner.
    """
    from reconciler import merging, remote
    from reconciler.approving import look
    from reconciler.signing import SigningKey

    clone = Clone(folder)
    if fetch:
        remote.fetch(clone, quiet=as_json)
    waiting = look(clone, branch)
    key = SigningKey.configured(clone.repository)
    made = merging.merge(clone, waiting, key, push=pusher(clone, waiting, quiet=as_json) if push else None)
    return finish(root, waiting, made, pushed=push, as_json=as_json)


def pusher(clone: Clone, waiting: Waiting, *, quiet: bool) -> Push:
    """Return what sends a new main to the git host. A return leaves the line of main, so there main is moved by force."""
    from reconciler import remote
    from reconciler.proposals import MAIN

    lease = (f"--force-with-lease={MAIN}:{waiting.main}",) if waiting.returns else ()
    remedy = "main did not move here, either. If it moved there: `git fetch`, and `hearth approve` says what to do."

    def push(made: str) -> None:
        remote.push(clone, *lease, f"{made}:{MAIN}", quiet=quiet, remedy=remedy)

    return push


def finish(root: str, waiting: Waiting, made: str, *, pushed: bool, as_json: bool) -> int:
    """Say what was merged, and follow it where this machine can see the device. Return the exit code."""
    from reconciler.cli.effect import follow_pushed

    if not as_json:
        _tell(waiting, made, pushed=pushed)
    effect = follow_pushed(root, made, as_json=as_json) if pushed else None
    if as_json:
        emit({**_fields(waiting, made), "in_effect": effect})
    return 1 if effect and effect["ended"] in {"refused", "taken back"} else 0


def _fields(waiting: Waiting, made: str) -> dict[str, object]:
    return {
        "branch": waiting.branch.name,
        "commit": made,
        "base": waiting.draft.base,
        "changes": list(waiting.draft.judgement.sentences),
        "risk": waiting.draft.judgement.risk,
        "approved_by": [each.principal for each in waiting.approvals],
    }


def _tell(waiting: Waiting, made: str, *, pushed: bool) -> None:
    from reconciler.cli.proposal import row_of
    from reconciler.cli.showing import risk_words, show_rows

    who = ", ".join(each.principal for each in waiting.approvals)
    show_rows(
        [row_of(each) for each in waiting.draft.judgement.sentences], risk_words(waiting.draft.judgement.risk, ())
    )
    say(f"main is at {made[:7]}: approved by {who}, and every rule holds.", kind="good")
    if not pushed:
        force = "--force-with-lease " if waiting.returns else ""
        say(f"A Pi sees it once it is pushed: git push {force}origin main", kind="note")
