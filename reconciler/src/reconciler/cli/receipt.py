"""`hearth receipt`: what this machine says of the changes that it confirmed, for the owners' notes, and by which key.

Owns how receipts come into `refs/notes/applied` of a person's clone: by stock git.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import click

from desired_state.trust.people import is_principal
from desired_state.trust.receipt import NOTE_LIMIT, NOTES, Receipt, read_receipt, receipts_in
from desired_state.trust.statement import BadStatement, time_text
from reconciler.cli.output import emit, say
from reconciler.clone import Clone
from reconciler.errors import Misused, Stalled, Transient
from reconciler.receipts import MOST_RECEIPTS, Receipts, device_line, make_device_key
from reconciler.settings import Paths, load

_REFERENCE = NOTES.removeprefix("refs/notes/")
_LIMIT = MOST_RECEIPTS * 4_096


@click.group()
def receipt() -> None:
    """What this machine confirmed, signed with its own key; the owners keep it beside the history, as git notes."""


@receipt.command("list")
@click.option("--bundle", "whole", is_flag=True, help="Print the receipts themselves, for `hearth receipt add`.")
@click.option("--json", "as_json", is_flag=True, help="Print them as JSON.")
@click.pass_obj
def list_(root: str, /, *, whole: bool, as_json: bool) -> int:
    """List the changes that this machine confirmed, oldest first."""
    paths = Paths(Path(root))
    kept = Receipts(paths, load(paths)).all()
    if whole:
        click.echo("".join(kept), nl=False)
        return 0
    known = [(_read(content.encode("ascii", "replace")), content) for content in kept]
    if as_json:
        emit([{**_fields(read), "receipt": content} for read, content in known])
        return 0
    for read, _ in known:
        say(f"{time_text(read.seconds)}  {read.commit[:7]}  sha256:{read.digest}")
    if not known:
        say("No change was confirmed here yet.")
    return 0


@receipt.command()
@click.option("--name", default="pi", show_default=True, help="What the owners call this machine.")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
@click.pass_obj
def key(root: str, /, *, name: str, as_json: bool) -> int:
    """Print the line that the owners add to trust/devices, so that this machine's receipts can be verified."""
    if not is_principal(name):
        raise Misused("BadOption", f"--name cannot be {name[:80]!r}.", "Use lower-case letters, digits and . _ @ -")
    paths = Paths(Path(root))
    load(paths)
    make_device_key(paths.device_key)
    line = device_line(paths.device_key, name)
    if as_json:
        emit({"name": name, "line": line})
    else:
        click.echo(line)
    return 0


@receipt.command()
@click.argument("bundle", type=click.File("rb"))
@click.argument("repository", type=click.Path(path_type=Path), metavar="[REPO]", default=".")
@click.option("--json", "as_json", is_flag=True, help="Print what was added as JSON.")
def add(bundle: Any, repository: Path, *, as_json: bool) -> int:
    """Add the receipts in BUNDLE (- is standard input) to the notes of REPO, except those that are there already.

    Who gave them is not asked here: `hearth verify` does.
    """
    content = bundle.read(_LIMIT + 1)
    if len(content) > _LIMIT:
        raise Misused("TooLarge", "That is more than a device keeps.", "`hearth receipt list --bundle` writes one.")
    clone = Clone(repository)
    added = [one for each in receipts_in(content, most=MOST_RECEIPTS) if (one := _add(clone, each))]
    if as_json:
        emit([_fields(one) for one in added])
        return 0
    say(f"{len(added)} added to {NOTES}.", kind="good")
    if added:
        say(f"Others see them once they are pushed: git push origin {NOTES}", kind="note")
    return 0


def _add(clone: Clone, content: bytes) -> Receipt | None:
    """Append one receipt to the note of its commit; None if it stands there already."""
    read = _read(content)
    clone.resolve(read.commit)
    if content in receipts_in(_git(clone, "show", read.commit, missing=b"")):
        return None
    _git(clone, "append", "--file", "-", read.commit, content=content)
    return read


def _read(content: bytes) -> Receipt:
    try:
        return read_receipt(content)[0]
    except BadStatement as flaw:
        raise Stalled("NotAReceipt", f"One of them {flaw}.", "`hearth receipt list --bundle` writes them.") from None


def _git(clone: Clone, *words: str, content: bytes = b"", missing: bytes | None = None) -> bytes:
    argv = ["git", "notes", f"--ref={_REFERENCE}", *words]
    try:
        done = subprocess.run(argv, cwd=clone.folder, input=content, capture_output=True, check=False)
    except FileNotFoundError:
        raise Transient("ProgramMissing", "git is not installed.", "Install it with `apt install git`.") from None
    if done.returncode != 0:
        if missing is not None:
            return missing
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise Misused("NotWritable", f"git could not write the note{': ' + said[-1] if said else ''}.")
    return done.stdout[: NOTE_LIMIT + 1]


def _fields(read: Receipt) -> dict[str, Any]:
    return {
        "household": read.household,
        "genesis": read.genesis,
        "commit": read.commit,
        "digest": f"sha256:{read.digest}",
        "renderer": read.renderer,
        "at": time_text(read.seconds),
    }
