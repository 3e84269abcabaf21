"""`hearth approve`: show a proposal whole, ask, and sign an approval of exactly what was shown."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconciler.cli.output import emit, say
from reconciler.clone import Clone
from reconciler.errors import Misused, Stalled

if TYPE_CHECKING:
    from reconciler.approving import Waiting
    from reconciler.cli.proposal import Shown


@click.command()
@click.argument("proposal", metavar="[BRANCH]", required=False)
@click.option(
    "--in",
    "folder",
    type=click.Path(path_type=Path),
    default=Path(),
    help="The household's repository; where you are unless given.",
)
@click.option("--fetch", is_flag=True, help="Ask the git host first what is new.")
@click.option("--yes", is_flag=True, help="Do not ask: for scripts. Everything is shown all the same.")
@click.option(
    "--print", "printed", is_flag=True, help="Sign nothing; print the text for `git commit --allow-empty -S -F -`."
)
@click.option("--push", is_flag=True, help="Push the branch with the approval.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON; signs only with --yes.")
def approve(
    proposal: str | None, folder: Path, *, fetch: bool, yes: bool, printed: bool, push: bool, as_json: bool
) -> int:
    """Approve a proposal with your own key: shows what it would do, asks, and signs that.

    BRANCH is a branch or a commit; unless given, the one that you stand on, or the only one that waits.
    """
    from reconciler import remote
    from reconciler.approving import look
    from reconciler.cli.proposal import prepare

    clone = Clone(folder)
    if fetch:
        remote.fetch(clone, quiet=as_json or printed)
    shown = prepare(clone, look(clone, proposal))
    if printed:
        return _print(shown, as_json=as_json)
    signed = _sign(clone, shown, yes=yes, as_json=as_json)
    if signed and push:
        remote.push_branch(clone, signed.branch, quiet=as_json)
    return _tell(shown, signed, pushed=push, as_json=as_json)


def _print(shown: Shown, *, as_json: bool) -> int:
    """Print the text alone on standard output, and everything else beside it."""
    from reconciler.cli.proposal import as_json as fields

    waiting = shown.waiting
    if as_json:
        emit({**fields(shown), "on": waiting.branch.tip})
        return 0
    sys.stdout.write(waiting.text.decode("ascii"))
    sys.stdout.flush()
    sentences = "; ".join(row["sentence"] for row in shown.rows)
    click.echo(f"This approves: {sentences}. `hearth approve` shows all of it.", err=True)
    click.echo(
        f"Sign it on {waiting.branch.tip}: `git switch {waiting.branch.name}`, then pipe it to `git commit --allow-empty -S -F -`.",
        err=True,
    )
    return 0


def _sign(clone: Clone, shown: Shown, *, yes: bool, as_json: bool) -> Waiting | None:
    """Show, ask, and sign; return the proposal with the approval on it, None if it was not to be signed."""
    from reconciler.approving import approve as sign
    from reconciler.approving import check_may_approve
    from reconciler.cli.proposal import show
    from reconciler.signing import SigningKey, read_public_key

    if not as_json:
        show(shown)
    elif not yes:
        return None
    key = SigningKey.configured(clone.repository)
    public = read_public_key(key)
    who = check_may_approve(shown.waiting, public).principal
    if not yes:
        _ask(f"Approve this as {who}?")
    if public.type.startswith("sk-") and not as_json:
        say("Touch your key.", kind="note")
    return sign(clone, shown.waiting, key)


def _ask(question: str) -> None:
    if not sys.stdin.isatty():
        raise Misused("NotConfirmed", "Nobody can be asked here, so nothing was signed.", "--yes answers for scripts.")
    say()
    try:
        agreed = click.confirm(question, default=False)
    except click.Abort:
        agreed = False
    if not agreed:
        raise Stalled("NotConfirmed", "Nothing was signed.")


def _tell(shown: Shown, signed: Waiting | None, *, pushed: bool, as_json: bool) -> int:
    from dataclasses import replace

    from reconciler.cli.proposal import as_json as fields
    from reconciler.cli.proposal import remains

    if as_json:
        now = replace(shown, waiting=signed) if signed else shown
        emit({**fields(now), "approved": signed.branch.tip if signed else None, "pushed": bool(signed and pushed)})
        return 0
    assert signed is not None
    who = signed.approvals[-1].principal
    say(f"{signed.branch.name} is approved by {who} ({signed.branch.tip[:7]}).", kind="good")
    say(remains(signed), kind="note")
    if not pushed:
        say(f"Others see it once it is pushed: git push origin {signed.branch.name}", indent=2)
    return 0
