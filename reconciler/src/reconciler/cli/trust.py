"""`hearth trust`: say who may change the home, and propose a change of that, which its owners then sign in turn."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from desired_state.trust.edits import RECIPIENTS, ROLES
from reconciler.cli.output import emit, say
from reconciler.clone import Clone
from reconciler.errors import Misused, Stalled

if TYPE_CHECKING:
    from desired_state.sshsig import PublicKey
    from reconciler.approving import Waiting
    from reconciler.cli.proposal import Shown
    from reconciler.signing import SigningKey
    from reconciler.trust_proposals import Edit, Start


@dataclass(frozen=True, slots=True)
class Wish:
    """Where a change of trust is proposed, and how far it is to go."""

    folder: Path
    revise: str | None
    commit: bool
    push: bool
    as_json: bool


_folder = click.option(
    "--in",
    "folder",
    type=click.Path(path_type=Path),
    default=Path(),
    help="The household's repository; where you are unless given.",
)
_json = click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
_revise = click.option(
    "--revise", metavar="BRANCH", help="Put it into a change of trust that waits; approvals that it has are void."
)
_OPTIONS = (
    _folder,
    click.option("--commit", is_flag=True, help="Sign and merge it, too: where one owner is enough."),
    click.option("--push", is_flag=True, help="Push the branch; with --commit, main."),
    _json,
)


def _with_options(command: Any) -> Any:
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@click.group()
def trust() -> None:
    """Say who may change the home, or propose a change of that.

    A change is a branch that the owners sign in turn, each with `hearth approve`, the last one with `hearth merge`.
    """


@trust.command("list")
@_folder
@_json
def list_(folder: Path, *, as_json: bool) -> int:
    """List owners, approvers and all other keys, what each class of risk asks for, and how the home began."""
    from reconciler.cli.trust_list import fields, read, show

    standing = read(Clone(folder))
    if as_json:
        emit(fields(standing))
    else:
        show(standing)
    return 0


@trust.command()
@click.argument("role", type=click.Choice(ROLES))
@click.argument("principal")
@click.option("--key", type=click.Path(path_type=Path), help="The file of the public key, or of its private half.")
@click.option("--recipient", default="", help="An age recipient, age1...; for recipients.")
@_revise
@_with_options
@click.pass_obj
def add(root: str, /, role: str, principal: str, key: Path | None, recipient: str, **wish: Any) -> int:
    """Let PRINCIPAL be one of ROLE: with an SSH key, or as a recipient of secrets."""
    from desired_state.secrets import is_recipient
    from desired_state.trust.edits import add_key, add_recipient

    if (role == RECIPIENTS) != bool(recipient) or (role != RECIPIENTS) != bool(key):
        option = "--recipient age1..." if role == RECIPIENTS else "--key FILE"
        raise Misused(
            "WhichKey", f"What stands in trust/{role} is given by {option}, and by nothing else.", f"Add {option}."
        )
    edit: Edit
    if key:
        public = _public(key)
        edit = partial(add_key, role=role, principal=principal, public=public)
    elif is_recipient(recipient):
        edit = partial(add_recipient, name=principal, recipient=recipient)
    else:
        raise Misused(
            "NotARecipient", f"{recipient[:80]!r} is no age recipient.", "On the Pi: `sudo hearth secret recipient`."
        )
    return _propose(root, Wish(**wish), edit, f"add-{principal}-{role}")


@trust.command()
@click.argument("role", type=click.Choice(ROLES))
@click.argument("who", metavar="PRINCIPAL|FINGERPRINT")
@_revise
@_with_options
@click.pass_obj
def remove(root: str, /, role: str, who: str, **wish: Any) -> int:
    """Take a person, or one key, out of ROLE."""
    from desired_state.trust import edits

    return _propose(root, Wish(**wish), partial(edits.remove, role=role, who=who), f"remove-{who}-{role}")


@trust.command()
@click.argument("principal")
@click.option("--key", type=click.Path(path_type=Path), required=True, help="The file of the new public key.")
@click.option("--old", default="", metavar="FINGERPRINT", help="The key that goes, where PRINCIPAL has several.")
@_revise
@_with_options
@click.pass_obj
def rotate(root: str, /, principal: str, key: Path, old: str, **wish: Any) -> int:
    """Put PRINCIPAL's new key wherever the old one stands."""
    from desired_state.trust import edits

    edit = partial(edits.rotate, principal=principal, new=_public(key), old=old)
    return _propose(root, Wish(**wish), edit, f"rotate-{principal}")


@trust.command("return")
@click.argument("commit_", metavar="COMMIT")
@click.option(
    "--without",
    multiple=True,
    metavar="PRINCIPAL|FINGERPRINT",
    help="Whom to take out of every role in the same step; may be given several times.",
)
@_with_options
@click.pass_obj
def return_(root: str, /, commit_: str, without: tuple[str, ...], **wish: Any) -> int:
    """Go back to COMMIT, where main stood once, and drop what came after: when stolen keys have changed the home."""
    from desired_state.trust.edits import Files, remove_everywhere
    from reconciler.trust_proposals import on_earlier

    chosen = Wish(revise=None, **wish)

    def edit(files: Files) -> Files:
        for who in without:
            files = remove_everywhere(files, who)
        return files

    start = on_earlier(Clone(chosen.folder), commit_)
    return _propose(root, chosen, edit, f"return-{start.base[:7]}", start=start)


@trust.command()
@_revise
@_with_options
@click.pass_obj
def propose(root: str, /, **wish: Any) -> int:
    """Propose what you edited in trust/ by hand, like the numbers in policy.yaml; the folder is put back as it was."""
    from desired_state.trust.edits import Files

    chosen = Wish(**wish)
    clone = Clone(chosen.folder)
    here = _edited(clone)

    def edit(files: Files) -> Files:
        return {**{path: content for path, content in files.items() if not path.startswith("trust/")}, **here}

    with _put_back(clone, here):
        return _propose(root, chosen, edit, "policy")


def _edited(clone: Clone) -> dict[str, bytes]:
    from reconciler.cli.check import read_files

    if clone.working_folder is None:
        raise Misused("Bare", f"{clone.folder} is a bare repository: it has no files to edit.", "Clone it.")
    here = {path: content for path, content in read_files(clone.working_folder).items() if path.startswith("trust/")}
    if here == {path: content for path, content in clone.files(clone.head()).items() if path.startswith("trust/")}:
        raise Misused("NothingToChange", "Nothing is edited in trust/.", "Edit a file there first.")
    return here


@contextmanager
def _put_back(clone: Clone, here: dict[str, bytes]) -> Iterator[None]:
    """Take the edits out of the working folder; where they do not become a proposal they come back."""
    stood = {path: content for path, content in clone.files(clone.head()).items() if path.startswith("trust/")}
    clone.write(here, stood)
    try:
        yield
    except BaseException:
        clone.write(stood, here)
        raise


def _public(file: Path) -> PublicKey:
    from reconciler.signing import SigningKey, read_public_key

    return read_public_key(SigningKey(file.expanduser()))


def _propose(root: str, wish: Wish, edit: Edit, name: str, *, start: Start | None = None) -> int:
    """Make the proposal, show it, and go as far as was asked: a branch, or all the way to main."""
    from reconciler import trust_proposals as making
    from reconciler.cli.proposal import prepare, show

    clone = Clone(wish.folder)
    start = start or (making.on_proposal(clone, wish.revise) if wish.revise else making.on_main(clone))
    key = _only_owner(clone, start) if wish.commit else None
    waiting = making.propose(clone, start, edit, name)
    shown = prepare(clone, waiting)
    if not wish.as_json:
        show(shown)
    return _merge(root, clone, waiting, key, wish) if key else _leave(clone, shown, wish)


def _only_owner(clone: Clone, start: Start) -> SigningKey:
    """Return the key to sign with, where one owner may change trust alone.

    Raises:
        Stalled: it takes more than one.
    """
    from reconciler.clone import read_trust
    from reconciler.signing import SigningKey

    for commit in {start.base, start.main}:
        found = read_trust(clone.files(commit))
        if found and (found.policy.mode == "reviewed" or found.policy.asked("trust").people > 1):
            several = f"In this home a change of trust takes {max(found.policy.asked('trust').people, 2)} owners."
            raise Stalled("NeedsApproval", several, "Without --commit it becomes a branch that they sign in turn.")
    return SigningKey.configured(clone.repository)


def _merge(root: str, clone: Clone, waiting: Waiting, key: SigningKey, wish: Wish) -> int:
    from reconciler import merging
    from reconciler.approving import approve
    from reconciler.cli.merge import finish, pusher

    signed = approve(clone, waiting, key)
    push = pusher(clone, signed, quiet=wish.as_json) if wish.push else None
    return finish(root, signed, merging.merge(clone, signed, key, push=push), pushed=wish.push, as_json=wish.as_json)


def _leave(clone: Clone, shown: Shown, wish: Wish) -> int:
    from reconciler import remote
    from reconciler.cli.proposal import as_json, remains

    branch = shown.waiting.branch
    if wish.push:
        remote.push_branch(clone, branch, quiet=wish.as_json)
    if wish.as_json:
        emit({**as_json(shown), "pushed": wish.push})
        return 0
    say(f"It waits on the branch {branch.name}; main is as it was.", kind="good")
    say(remains(shown.waiting), kind="note")
    if not wish.push:
        say(f"Others see it once it is pushed: git push origin {branch.name}", indent=2)
    return 0
