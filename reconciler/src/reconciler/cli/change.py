"""`hearth change VERB ...` and `hearth undo REV`: edit a household in its own terms, and sign the edit.

The verbs and their arguments come from the types of the statements; nothing here knows any of them by name.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from desired_state.changes import (
    OFFERED,
    STATEMENTS,
    Argument,
    ChangeRefused,
    apply,
    arguments,
    difference,
    judge,
    mark,
    read_words,
    sentence,
)

from reconciler.cli.device import follow
from reconciler.cli.output import emit, say
from reconciler.clone import Clone
from reconciler.errors import Misused, Stalled, Transient

if TYPE_CHECKING:
    from desired_state.changes import Change, Verdict
    from desired_state.load import DesiredState

_MARKS = {"+": "plus", "-": "minus", "~": "tilde"}


@dataclass(frozen=True, slots=True)
class Wish:
    """What to do with a change once it is worked out."""

    folder: Path
    commit: bool
    push: bool
    dry_run: bool
    as_json: bool


_OPTIONS = (
    click.option(
        "--in",
        "folder",
        type=click.Path(path_type=Path),
        default=Path(),
        help="The household's repository; where you are unless given.",
    ),
    click.option("--commit", is_flag=True, help="Sign a commit with your own key; the sentence is its message."),
    click.option("--push", is_flag=True, help="Commit, and push it."),
    click.option("--dry-run", is_flag=True, help="Say what would change, and change nothing."),
    click.option("--json", "as_json", is_flag=True, help="Print the changes as JSON."),
)


def _with_options(command: Any) -> Any:
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


class Verbs(click.Group):
    """One subcommand for each kind of change, made when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the verbs, in the order in which the statements stand."""
        return [kind for kind in STATEMENTS if kind in OFFERED]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the subcommand of one verb."""
        return _verb(cmd_name) if cmd_name in self.list_commands(ctx) else None


@click.group(cls=Verbs, subcommand_metavar="VERB [ARGUMENTS]")
def change() -> None:
    """Change a household: edits its files (comments and order stay), and says what that means.

    Add --commit to sign it with your own key, --push to send it on its way.
    """


@click.command()
@click.argument("revision")
@_with_options
@click.pass_obj
def undo(root: str, /, revision: str, **wish: Any) -> int:
    """Propose the opposite of the change that REVISION made, on top of what holds now."""
    chosen = Wish(**wish)
    clone = Clone(chosen.folder)
    commit = clone.resolve(revision)
    parent = clone.parent(commit)
    if parent is None:
        raise Misused("NothingBefore", f"{commit[:7]} began the household.", "There is nothing to go back to.")
    back = difference(clone.state(commit), clone.state(parent))
    if not back:
        raise Misused("NothingToUndo", f"{commit[:7]} changed nothing that the home does.")
    before = clone.state(clone.resolve("HEAD"))
    contents = clone.files(parent)
    subject = f'Undo "{clone.subject(commit)}"'
    return _carry_out(root, clone, before, tuple(back), chosen, subject=subject, contents=contents)


def _verb(kind: str) -> click.Command:
    """Return the subcommand of a statement, made from its arguments."""
    statement = STATEMENTS[kind]
    found = arguments(statement)

    @click.pass_obj
    def run(root: str, /, **given: Any) -> int:
        chosen = Wish(**{name: given.pop(name) for name in Wish.__slots__})
        words = {argument.name: value for argument in found if (value := given[_parameter(argument)]) not in {None, ()}}
        clone = Clone(chosen.folder)
        before = clone.state(clone.resolve("HEAD"))
        try:
            made = read_words(kind, words, before.household)
        except ChangeRefused as refused:
            raise Stalled("ChangeRefused", f"{refused.message[:1].upper()}{refused.message[1:]}.") from None
        return _carry_out(root, clone, before, (made,), chosen)

    command: click.Command = click.command(kind, help=_help(statement.__doc__, found))(_with_options(run))
    command.params = [*(_click_parameter(argument) for argument in found), *command.params]
    return command


def _help(doc: str | None, found: Sequence[Argument]) -> str:
    rows = "\n".join(f"{argument.name.upper()}: {argument.help}" for argument in found if argument.positional)
    return f"{doc}\n\n\b\n{rows}" if rows else str(doc)


def _parameter(argument: Argument) -> str:
    return "a_" + argument.name.replace("-", "_")


def _click_parameter(argument: Argument) -> click.Parameter:
    """Turn an argument into click's; values are read by the statement's own types later, so that errors speak its language."""
    name = _parameter(argument)
    if argument.positional:
        return click.Argument(
            [name], required=argument.required, nargs=-1 if argument.several else 1, metavar=argument.name.upper()
        )
    words = f"{argument.help} Write none for no value." if argument.nullable else argument.help
    return click.Option(
        [name, f"--{argument.name.replace('_', '-')}"],
        required=argument.required,
        multiple=argument.several,
        help=words,
        metavar="NAME=LEVEL" if argument.pairs else "VALUE",
    )


def _carry_out(
    root: str,
    clone: Clone,
    before: DesiredState,
    changes: tuple[Change, ...],
    wish: Wish,
    *,
    subject: str = "",
    contents: Mapping[str, bytes] | None = None,
) -> int:
    """Apply the changes, say them, and go as far as was asked: files, commit, push, in effect."""
    try:
        after = apply(before, changes, contents or {})
    except ChangeRefused as refused:
        raise Stalled(
            "ChangeRefused", f"{refused.message[:1].upper()}{refused.message[1:]}.", "Nothing was changed."
        ) from None
    verdict = judge(before, after)
    if not verdict.changes:
        raise Misused("NothingToChange", "That holds already.", "Nothing was changed.")
    rows = _rows(before, after, verdict.changes)
    if not wish.as_json:
        _tell(rows, verdict)
    commit = None
    if not wish.dry_run:
        commit = _keep(clone, before, after, wish, message=_message(rows, subject))
    effect = _push(root, clone, str(commit), wish) if commit and wish.push else None
    if wish.as_json:
        emit(
            {
                "changes": rows,
                "risk": str(verdict.risk),
                "reasons": list(verdict.reasons),
                "commit": commit,
                "in_effect": effect,
            }
        )
    return 0 if effect is None or effect["ended"] == "in effect" else 1


def _rows(before: DesiredState, after: DesiredState, changes: Iterable[Change]) -> list[dict[str, str]]:
    return [
        {
            "kind": one.kind,
            "mark": mark(one, before.household),
            "sentence": sentence(one, before.household, after.household),
        }
        for one in changes
    ]


def _tell(rows: Iterable[Mapping[str, str]], verdict: Verdict) -> None:
    for row in rows:
        say(row["sentence"], kind=_MARKS[row["mark"]])
    why = f": {'; '.join(verdict.reasons)}" if verdict.reasons else ""
    say(f"  {str(verdict.risk).capitalize()} risk{why}.")


def _message(rows: Sequence[Mapping[str, str]], subject: str) -> str:
    first, *more = [row["sentence"] for row in rows]
    lines = [first, *more] if subject else more
    return "\n\n".join([subject or first, *(["\n".join(lines)] if lines else [])])


def _keep(clone: Clone, before: DesiredState, after: DesiredState, wish: Wish, *, message: str) -> str | None:
    """Write the files, and sign a commit where that was asked for. A commit that fails leaves the files as they were."""
    clone.write(before.files, after.files)
    if not (wish.commit or wish.push):
        return None
    whole = {path: content for path, content in clone.files(clone.resolve("HEAD")).items() if path.startswith("trust/")}
    try:
        made = clone.commit({**whole, **after.files}, message)
    except BaseException:
        clone.write(after.files, before.files)
        raise
    if not wish.as_json:
        say(f"Signed as {made[:7]}.", kind="good")
    return made


def _push(root: str, clone: Clone, commit: str, wish: Wish) -> dict[str, Any]:
    """Push with stock git, and follow the change where this machine can see the device."""
    began = time.monotonic()
    finished = subprocess.run(["git", "push", "--quiet"], cwd=clone.folder, capture_output=wish.as_json, check=False)
    if finished.returncode != 0:
        raise Transient("NotPushed", f"{commit[:7]} is committed but not pushed.", "`git push` shows why.")
    ended = follow(root, commit, as_json=wish.as_json)
    effect = {"ended": ended, "seconds": round(time.monotonic() - began, 2)}
    if not wish.as_json:
        if ended == "in effect":
            say(f"In effect after {effect['seconds']:.1f} s.", kind="good")
        elif ended == "pushed":
            say("Pushed. The Pi takes it up within its interval (5 minutes unless set otherwise).", kind="good")
    return effect
