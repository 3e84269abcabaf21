"""`hearth change VERB ...` and `hearth undo REV`: edit a household in its own terms, and sign the edit.

The verbs and their arguments come from the types of the statements; nothing here knows any of them by name.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from desired_state.changes import (
    OFFERED,
    STATEMENTS,
    Argument,
    ChangeRefused,
    UnknownEdition,
    apply,
    arguments,
    difference,
    judge,
    read_words,
)
from desired_state.load import load
from desired_state.trust.wording import asked_words
from reconciler import remote
from reconciler.cli.effect import follow_pushed
from reconciler.cli.output import emit, say, styled
from reconciler.cli.showing import risk_words, rows, show_rows
from reconciler.clone import Clone, read_trust
from reconciler.errors import Misused, Stalled
from reconciler.proposals import MAIN, Branch, propose

if TYPE_CHECKING:
    from desired_state.changes import Change, Verdict
    from desired_state.load import DesiredState
    from desired_state.trust import TrustFiles
    from desired_state.trust.policy import Asked
    from reconciler.cli.showing import Row

_SUBJECT_LIMIT = 100


@dataclass(frozen=True, slots=True)
class Wish:
    """What to do with a change once it is worked out."""

    folder: Path
    commit: bool
    push: bool
    dry_run: bool
    as_json: bool

    @property
    def signs(self) -> bool:
        """Whether a commit is to be signed."""
        return (self.commit or self.push) and not self.dry_run


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


def with_options(command: Any) -> Any:
    """Give a command the options of a `Wish`."""
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

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """Find the verb; an unknown one gets the nearest."""
        if args and args[0] not in self.list_commands(ctx):
            near = difflib.get_close_matches(args[0][:40], self.list_commands(ctx), n=1)
            hint = f"Did you mean `hearth change {near[0]}`?" if near else "`hearth change` lists what there is."
            raise Misused("UnknownVerb", f"There is no `hearth change {args[0][:40]}`.", hint)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the verbs, each with the first line of its statement."""
        with formatter.section("Verbs"):
            formatter.write_dl([(kind, _first_line(kind)) for kind in self.list_commands(ctx)])


@click.group(cls=Verbs, invoke_without_command=True, subcommand_metavar="VERB [ARGUMENTS]")
@click.pass_context
def change(context: click.Context) -> None:
    """Change a household: edits its files (comments and order stay), and says what that means.

    Add --commit to sign it with your own key, --push to send it on its way.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


@click.command()
@click.argument("revision")
@with_options
@click.pass_obj
def undo(root: str, /, revision: str, **wish: Any) -> int:
    """Propose the opposite of the change that REVISION made, on top of what holds now."""
    chosen = Wish(**wish)
    clone = Clone(chosen.folder)
    commit = clone.resolve(revision)
    written = clone.read(commit)
    if written.parent is None:
        raise Misused("NothingBefore", f"{commit[:7]} began the household.", "There is nothing to go back to.")
    after, before = clone.state(commit), clone.state(written.parent)
    back = difference(after, before)
    if not back:
        trust = clone.files(commit) != clone.files(written.parent)
        why = (
            "changed who may change the home: that takes its owners" if trust else "changed nothing that the home does"
        )
        raise Misused("NothingToUndo", f"{commit[:7]} {why}.")
    subject = f'Undo "{written.subject}"'
    return carry_out(root, clone, lambda now: _turned_back(now, after, before, back), chosen, subject=subject)


def _turned_back(
    now: DesiredState, after: DesiredState, before: DesiredState, back: tuple[Change, ...]
) -> DesiredState:
    """Return the household of now without a change: its files byte for byte where nobody touched them since."""
    touched = {path for path in {*after.files, *before.files} if after.files.get(path) != before.files.get(path)}
    if all(now.files.get(path) == after.files.get(path) for path in touched):
        kept = {path: content for path, content in now.files.items() if path not in touched}
        restored = load({**kept, **{path: before.files[path] for path in touched & before.files.keys()}})
        if restored.state:
            return restored.state
    return apply(now, back, before.files)


def _verb(kind: str) -> click.Command:
    """Return the subcommand of a statement, made from its arguments."""
    statement = STATEMENTS[kind]
    found = arguments(statement)

    @click.pass_obj
    def run(root: str, /, **given: Any) -> int:
        chosen = Wish(**{name: given.pop(name) for name in Wish.__slots__})
        words = {argument.name: value for argument in found if (value := given[_parameter(argument)]) not in {None, ()}}
        clone = Clone(chosen.folder)
        return carry_out(root, clone, lambda now: apply(now, (read_words(kind, words, now.household),)), chosen)

    command: click.Command = click.command(kind, help=_help(statement.__doc__, found))(with_options(run))
    command.params = [*(_click_parameter(argument) for argument in found), *command.params]
    return command


def _help(doc: str | None, found: Sequence[Argument]) -> str:
    rows = "\n".join(f"{argument.name.upper()}: {argument.help}" for argument in found if argument.positional)
    return f"{doc}\n\n\b\n{rows}" if rows else str(doc)


def _first_line(kind: str) -> str:
    return (STATEMENTS[kind].__doc__ or "").strip().partition("\n")[0]


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


def carry_out(
    root: str, clone: Clone, make: Callable[[DesiredState], DesiredState], wish: Wish, *, subject: str = ""
) -> int:
    """Make HEAD's household into another, say what that means, and go as far as was asked: files, commit, push, in effect."""
    head = clone.head()
    before, whole = clone.state(head), clone.files(head)
    trust = read_trust(whole)
    try:
        after = make(before)
    except ChangeRefused as refused:
        raise Stalled("ChangeRefused", _sentence(refused.message), _after_refusal(clone, before)) from None
    verdict = _judge(clone, head, before, after, trust)
    if not verdict.changes:
        raise Misused("NothingToChange", "That holds already, so nothing was changed.")
    shown = rows(verdict.changes, before.household, after.household)
    signer = _signer(clone, trust, before) if wish.signs else None
    asked = _asked(trust, verdict) if wish.signs else None
    kept = {path: content for path, content in whole.items() if path.startswith("trust/")}
    message = _message([row["sentence"] for row in shown], subject)
    proposed = None
    with _told(shown, verdict, signer, wish):
        if asked and clone.repository.branch() == MAIN:
            proposed = propose(clone, {**kept, **after.files}, message)
            commit: str | None = proposed.tip
        else:
            commit = _keep(clone, before.files, after.files, wish, kept=kept, message=message)
    if proposed and asked and not wish.as_json:
        _tell_proposal(proposed, asked, wish)
    effect = _push(root, clone, commit, proposed, wish) if commit and wish.push else None
    if wish.as_json:
        emit(_as_json(shown, verdict, signer, commit, effect) | {"proposal": proposed.name if proposed else None})
    return 1 if effect and effect["ended"] in {"refused", "taken back"} else 0


def _after_refusal(clone: Clone, before: DesiredState) -> str:
    """Return what to know of a refusal: people think of the files that they see, and a change builds on the last commit."""
    edited = clone.edited(before.files)
    built = f" A change builds on the last commit, and {edited[0]} is edited and not committed." if edited else ""
    return f"Nothing was changed.{built}"


def _sentence(clause: str) -> str:
    """Return a clause as a sentence; what begins with a field's name begins with it as it is written."""
    first = clause.partition(" ")[0]
    whole = clause[:1].upper() + clause[1:] if first.isalpha() else clause
    return whole if whole.endswith(("?", ".")) else f"{whole}."


def _judge(clone: Clone, head: str, before: DesiredState, after: DesiredState, trust: TrustFiles | None) -> Verdict:
    """Judge by the edition that the home's policy names."""
    edition = trust.policy.risk_rules if trust else 1
    past = clone.past_people(head) if after.household.people.keys() - before.household.people.keys() else frozenset()
    try:
        return judge(before, after, edition, past_people=past, source=clone.source_host())
    except UnknownEdition as unknown:
        raise Misused("UnknownEdition", _sentence(str(unknown))) from None


def _signer(clone: Clone, trust: TrustFiles | None, state: DesiredState) -> str | None:
    """Return the name of whoever the home knows the configured key by; None if it knows nobody."""
    from reconciler.signing import SigningKey, read_public_key

    public = read_public_key(SigningKey.configured(clone.repository))
    keys = (*trust.owners, *trust.approvers) if trust else ()
    principal = next((key.principal for key in keys if key.public.blob == public.blob), None)
    person = state.household.people.get(principal) if principal else None
    return person.name if person else principal


def _asked(trust: TrustFiles | None, verdict: Verdict) -> Asked | None:
    """Return whose approvals the home's policy asks for, None where a plain commit is enough."""
    asked = trust.policy.asked(str(verdict.risk)) if trust else None
    return asked if asked and asked.people else None


@contextmanager
def _told(shown: Sequence[Row], verdict: Verdict, signer: str | None, wish: Wish) -> Iterator[None]:
    """Say what would change, let it be signed, and say who has: a person sees it before they touch their key."""
    if wish.as_json:
        yield
        return
    show_rows(shown, risk_words(str(verdict.risk), verdict.reasons), end="" if wish.signs else "\n")
    try:
        yield
    except BaseException:
        if wish.signs:
            say()
        raise
    if wish.signs:
        say(styled(f", signed by {signer or 'a key that this home does not know'}", "dim"))
    if wish.signs and not signer:
        say("A Pi will refuse this commit: your key is not in trust/owners or trust/approvers.", kind="note")
    if not (wish.signs or wish.dry_run):
        say("The files are changed, and nothing is committed yet: `git diff` shows them.", indent=2)


def _as_json(
    shown: Sequence[Row], verdict: Verdict, signer: str | None, commit: str | None, effect: Mapping[str, Any] | None
) -> dict[str, Any]:
    return {
        "changes": list(shown),
        "risk": str(verdict.risk),
        "reasons": list(verdict.reasons),
        "commit": commit,
        "signed_by": signer,
        "in_effect": effect,
    }


def _message(sentences: Sequence[str], subject: str) -> str:
    """Return a commit's message: the first sentence, cut at a word if it is very long, and below it all that it does not say."""
    first = subject or sentences[0]
    cut = first if len(first) <= _SUBJECT_LIMIT else f"{first[:_SUBJECT_LIMIT].rpartition(' ')[0] or first[:60]} ..."
    body = sentences if subject or cut != first else sentences[1:]
    return "\n\n".join([cut, *(["\n".join(body)] if body else [])])


def _keep(
    clone: Clone,
    before: Mapping[str, bytes],
    after: Mapping[str, bytes],
    wish: Wish,
    *,
    kept: Mapping[str, bytes],
    message: str,
) -> str | None:
    """Write the files, and sign a commit, as far as was asked for. A commit that fails leaves the files as they were."""
    if wish.dry_run:
        return None
    touched = clone.write(before, after)
    if not wish.signs:
        return None
    try:
        return clone.commit({**kept, **after}, message, touched)
    except BaseException:
        clone.write(after, before)
        raise


def _push(root: str, clone: Clone, commit: str, proposed: Branch | None, wish: Wish) -> dict[str, Any]:
    """Push with stock git, and follow a change of main where this machine can see the device."""
    if proposed:
        remote.push_branch(clone, proposed, quiet=wish.as_json)
    else:
        remedy = (
            f"{commit[:7]} is committed here; `git push` tries again. If somebody was faster:"
            " `git reset --keep HEAD^ && git pull --ff-only`, and the same command again."
        )
        remote.push(clone, "HEAD", quiet=wish.as_json, remedy=remedy)
    on_main = proposed is None and clone.repository.branch() == MAIN
    return follow_pushed(root, commit, follows=on_main, as_json=wish.as_json)


def _tell_proposal(branch: Branch, asked: Asked, wish: Wish) -> None:
    say(f"It waits on the branch {branch.name}; main is as it was.", kind="good")
    say(f"It needs {asked_words(asked)}, by others than you: hearth approve {branch.name}", kind="note")
    if not wish.push:
        say(f"They see it once it is pushed: git push origin {branch.name}", indent=2)
