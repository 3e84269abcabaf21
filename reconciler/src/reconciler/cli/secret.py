"""`hearth secret`: set a secret in a household's clone, say what is there, and encrypt anew. Values come from a prompt or standard input.

On a device `list` and `check` look at the device's own copy, and also say what its key opens. Nothing here ever shows a value.
"""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from desired_state.load import load
from desired_state.problem import did_you_mean
from desired_state.secrets import (
    PASSWORD_LETTERS,
    PERSON,
    VALUE_LIMIT,
    Envelope,
    Unsound,
    check_value,
)
from reconciler.cli.change import Wish, carry_out, with_options
from reconciler.cli.output import emit, say, table
from reconciler.clone import Clone
from reconciler.errors import Misused, Stalled
from reconciler.secrets.household import Look, next_version, recipients_in
from reconciler.settings import Paths
from reconciler.settings import load as load_settings

if TYPE_CHECKING:
    from desired_state.load import DesiredState
    from desired_state.model import Household

_json = click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
_in = click.option(
    "--in",
    "folder",
    type=click.Path(path_type=Path),
    help="The household's repository; on a device its own copy unless given, elsewhere where you are.",
)


@click.group()
def secret() -> None:
    """Set a household's secrets, and say what is there.

    A secret is an age file, secrets/NAME.age, to the keys in trust/recipients. A person's password is called person-ID.
    """


@secret.command("set")
@click.argument("name")
@click.option(
    "--after", type=click.IntRange(0), default=0, help="Be newer than this version, where a device names one."
)
@with_options
@click.pass_obj
def set_(root: str, /, name: str, after: int, **wish: Any) -> int:
    """Set the secret NAME to a value from a prompt, or from standard input; never from the command line."""
    chosen = Wish(**wish)
    clone = Clone(chosen.folder)
    head = clone.head()
    household = clone.state(head).household
    _check_name(name, household)
    recipients = recipients_in(clone.files(head))
    envelope = Envelope(household.id, name, next_version(clone, head, after), _value(name))
    return _keep(root, clone, {name: envelope}, recipients, chosen)


@secret.command("rotate")
@click.option(
    "--identity",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file of the owners' recovery key (AGE-SECRET-KEY-1...), which opens what is there.",
)
@with_options
@click.pass_obj
def rotate(root: str, /, identity: Path | None, **wish: Any) -> int:
    """Encrypt every secret anew, to the keys that trust/recipients names now; say which to set anew without --identity."""
    chosen = Wish(**wish)
    clone = Clone(chosen.folder)
    head = clone.head()
    look = Look(clone.state(head).household, clone.files(head))
    if identity is None:
        return _ask_anew(look, as_json=chosen.as_json)
    version = next_version(clone, head, 0)
    return _keep(root, clone, look.renewed(_identity(identity), version), recipients_in(look.files), chosen)


@secret.command("list")
@_in
@_json
@click.pass_obj
def list_(root: str, /, folder: Path | None, *, as_json: bool) -> int:
    """List the secrets: who needs each, whether it is there, and the six words of its file."""
    found = [each.as_json() for each in _look(root, folder).entries()]
    if as_json:
        emit(found)
        return 0
    table([_row(each) for each in found])
    if not found:
        say("There is no secret, and none is needed.")
    return 0


def _row(each: Mapping[str, Any]) -> tuple[str, ...]:
    opens = f"version {each['version']}" if each["version"] else each["lack"]
    return (each["name"], f"needed by {each['needed_by'] or 'nobody'}", each["words"] or "not there", opens)


@secret.command("check")
@_in
@_json
@click.pass_obj
def check(root: str, /, folder: Path | None, *, as_json: bool) -> int:
    """Check that what is needed is there, to as many keys as it should be; on a device also that it opens."""
    look = _look(root, folder)
    problems, notes = look.problems(), look.notes()
    if as_json:
        emit({"problems": problems, "notes": notes})
        return 1 if problems else 0
    for clause in problems:
        say(clause, kind="bad")
    for clause in notes:
        say(clause, kind="note")
    if not problems:
        say("Every secret that a service needs is there.", kind="good")
    return 1 if problems else 0


@secret.command("recipient")
@_json
@click.pass_obj
def recipient(root: str, /, *, as_json: bool) -> int:
    """Show this device's own key for trust/recipients; it is no secret."""
    from reconciler.secrets import device_key

    paths = Paths(Path(root))
    load_settings(paths)
    own = device_key.recipient(paths.keys)
    if as_json:
        emit({"recipient": own})
    else:
        print(own)
    return 0


def _look(root: str, folder: Path | None) -> Look:
    """Return a look at the device's own copy, or at a clone's HEAD."""
    paths = Paths(Path(root))
    if folder is None and paths.settings.exists():
        return _device_look(paths)
    clone = Clone(folder or Path())
    head = clone.head()
    return Look(clone.state(head).household, clone.files(head))


def _device_look(paths: Paths) -> Look:
    from reconciler.home import Home
    from reconciler.secrets import Keyring
    from reconciler.units import NoUnits

    settings = load_settings(paths)
    home = Home(paths, settings, NoUnits())
    if (floor := home.journal.value.floor) is None:
        raise Misused("NothingVerified", "This device has verified nothing yet.", "`hearth reconcile` looks now.")
    revision = home.revision(floor)
    state = load(dict(revision.files)).state
    if state is None:
        raise Stalled("HouseholdInvalid", "The household has an error.", "`hearth check` names it.")
    files = {**revision.files, **revision.trust_content}
    return Look(state.household, files, Keyring(paths.keys, settings.household))


def _check_name(name: str, household: Household) -> None:
    """Refuse a name that no file can have, and a password for nobody."""
    from desired_state.folder import secret_of

    if secret_of(f"secrets/{name}.age") is None:
        raise Misused(
            "BadName", f"{name[:80]!r} is no name of a secret.", "Write 1 to 63 lower-case letters, digits and hyphens."
        )
    person = name.removeprefix(PERSON)
    if person != name and person not in household.people:
        near = did_you_mean(person, household.people)
        raise Misused("NoSuchPerson", f"Nobody in people.yaml has the id {person}{near or '.'}", "Nothing was changed.")


def _value(name: str) -> str:
    """Return the value that a person types, twice, or that comes on standard input; one line end after it is not part of it.

    Raises:
        Misused: it is no value, or a password that is too easy.
    """
    if sys.stdin.isatty():
        typed = click.prompt(f"Value of {name}", hide_input=True, confirmation_prompt="The same again")
    else:
        typed = _decoded(sys.stdin.buffer.read(VALUE_LIMIT * 2)).removesuffix("\n").removesuffix("\r")
    value = unicodedata.normalize("NFC", typed)
    try:
        check_value(value)
    except Unsound as flaw:
        raise Misused("BadValue", f"{name} {flaw}.", "Nothing was changed.") from None
    if name.startswith(PERSON) and len(value) < PASSWORD_LETTERS:
        raise Misused(
            "WeakPassword", f"A password has at least {PASSWORD_LETTERS} letters, digits or signs.", "Choose another."
        )
    return value


def _decoded(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise Misused("BadValue", "The value is no text in UTF-8.", "Nothing was changed.") from None


def _keep(root: str, clone: Clone, envelopes: Mapping[str, Envelope], recipients: tuple[str, ...], wish: Wish) -> int:
    """Encrypt these, and carry the change out as `hearth change` does."""
    from reconciler.secrets.age import seal

    sealed = {f"secrets/{name}.age": seal(each.encode(), recipients) for name, each in envelopes.items()}

    def with_secrets(now: DesiredState) -> DesiredState:
        after = load({**now.files, **sealed}).state
        assert after is not None  # a secret's file keeps no household from loading
        return after

    return carry_out(root, clone, with_secrets, wish)


def _identity(file: Path) -> str:
    from reconciler.secrets.device_key import read_identity

    try:
        return read_identity(file)
    except FileNotFoundError:
        raise Misused("NoIdentity", f"There is no file {file}.", "Name the file of the owners' recovery key.") from None


def _ask_anew(look: Look, *, as_json: bool) -> int:
    """Say what only people can set anew, where nothing at hand opens it."""
    names = [each.name for each in look.entries() if each.content is not None]
    if as_json:
        emit({"set_anew": names})
    elif names:
        say(
            "Nothing here can open what is there. With the owners' recovery key: --identity FILE. Or set each anew:",
            kind="note",
        )
        for name in names:
            say(f"hearth secret set {name}", indent=2)
    else:
        say("There is no secret.")
    return 1 if names else 0
