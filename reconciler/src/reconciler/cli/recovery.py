"""`hearth recovery`: keep what cannot be made a second time as one file to the owners' recovery key, and put it back on a fresh Pi."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from desired_state.secrets import RECIPIENTS, Unsound, is_recipient, recovery_recipients
from reconciler.cli.output import emit, say
from reconciler.errors import Misused, Stalled
from reconciler.lock import held
from reconciler.settings import Paths, load

if TYPE_CHECKING:
    from reconciler.recovery import Kept

_json = click.option("--json", "as_json", is_flag=True, help="Print what was done as JSON.")
_file = click.argument("file", type=click.Path(path_type=Path, dir_okay=False))


@click.group()
def recovery() -> None:
    """Save what cannot be made a second time, and put it back.

    That is the certificate authority that the family's devices trust, and what Samba knows of itself. All else is in the repository.
    """


@recovery.command("key")
@_file
@_json
def key(file: Path, *, as_json: bool) -> int:
    """Make the owners' recovery key in a new FILE, and show how the home gets to know it."""
    from reconciler.secrets.age import new_identity, recipient_of

    identity = new_identity()
    try:
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w") as stream:
            stream.write(f"{identity}\n")
    except OSError as error:
        raise Misused("NotWritable", f"{file} cannot be made: {error.strerror}.", "Name a new file.") from None
    own = recipient_of(identity)
    if as_json:
        emit({"file": str(file), "recipient": own})
        return 0
    say(f"{file} opens every secret of the home: keep it off every computer, and a copy elsewhere.", kind="good")
    say("The owners add its other half to the home, where it stands below the line `# recovery`:")
    say(f"hearth trust add recipients recovery --recipient {own}", indent=2)
    return 0


@recovery.command("save")
@_file
@click.option(
    "--to", "recipients", multiple=True, metavar="AGE1...", help="A recovery key; those of the home unless given."
)
@_json
@click.pass_obj
def save(root: str, /, file: Path, recipients: tuple[str, ...], *, as_json: bool) -> int:
    """Save this device's certificate authority and Samba's database to FILE, encrypted to the owners' recovery key."""
    from reconciler.recovery import gather, write_sealed
    from reconciler.secrets.age import seal

    paths = Paths(Path(root))
    settings = load(paths)
    if strange := [text for text in recipients if not is_recipient(text)]:
        raise Misused("BadRecipient", f"{strange[0][:80]!r} is no recipient of age.", "It looks like age1...")
    keys = recipients or _of_the_home(paths)
    with held(paths.lock):
        kept = gather(paths, settings.household)
    write_sealed(file, seal(kept.pack(), keys))
    if as_json:
        emit({"file": str(file), "household": kept.household, "saved": sorted(kept.files), "recipients": list(keys)})
        return 0
    say(f"{file} holds {', '.join(sorted(kept.files))}.", kind="good")
    say(f"It opens with the key of {', '.join(keys)}. Keep the two apart, and away from the Pi.")
    return 0


@recovery.command("restore")
@_file
@click.option(
    "--identity",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="The file of the owners' recovery key (AGE-SECRET-KEY-1...).",
)
@click.option("--replace", is_flag=True, help="Replace what this device has of its own; it is kept beside.")
@_json
@click.pass_obj
def restore(root: str, /, file: Path, identity: Path, *, replace: bool, as_json: bool) -> int:
    """Put back on this device what FILE holds."""
    from reconciler.recovery import in_the_way, put

    paths = Paths(Path(root))
    kept = _open(file, identity)
    _check_home(paths, kept)
    paths.prepare()
    with held(paths.lock):
        living = in_the_way(paths, kept)
        if living and not replace:
            raise Misused(
                "AlreadyThere",
                f"This device has another {', '.join(living)}, which something may trust already.",
                "Nothing was changed. To replace it all the same: --replace.",
            )
        written = put(paths, kept)
    if as_json:
        emit({"household": kept.household, "restored": written})
        return 0
    say(f"Put back: {', '.join(written)}." if written else "All of it is there already.", kind="good")
    say("The agent's next pass takes it up: `sudo hearth reconcile`. Restart Samba if it runs.")
    return 0


def _of_the_home(paths: Paths) -> tuple[str, ...]:
    """Return the recovery keys in the home's own, verified trust files."""
    from reconciler.home import Home
    from reconciler.units import NoUnits

    home = Home(paths, load(paths), NoUnits())
    floor = home.journal.value.floor
    found = recovery_recipients(home.revision(floor).trust_content[RECIPIENTS]) if floor else ()
    if not found:
        raise Misused(
            "NoRecoveryKey",
            f"{RECIPIENTS} has no key below a line that begins with `# recovery`.",
            "`hearth recovery key FILE` makes one; or name yours with --to.",
        )
    return found


def _open(file: Path, identity: Path) -> Kept:
    """Return what a file holds.

    Raises:
        Misused: one of the files cannot be read. Stalled: it is not what `save` made, or is to another key.
    """
    from reconciler.recovery import LIMIT, unpack
    from reconciler.secrets import age
    from reconciler.secrets.device_key import read_identity

    try:
        secret = read_identity(identity)
        with file.open("rb") as stream:
            sealed = stream.read(LIMIT + 1)
    except OSError as error:
        raise Misused("NotReadable", f"{error.filename} cannot be read: {error.strerror}.") from None
    if len(sealed) > LIMIT:
        raise _refused(file, "is larger than any that `hearth recovery save` makes")
    try:
        return unpack(age.unseal(sealed, [secret]))
    except Unsound as flaw:
        raise _refused(file, str(flaw)) from None


def _refused(file: Path, clause: str) -> Stalled:
    return Stalled("RecoveryRefused", f"{file} {clause}.", "Nothing was changed.")


def _check_home(paths: Paths, kept: Kept) -> None:
    if not paths.settings.exists() or load(paths).household == kept.household:
        return
    raise Stalled(
        "OtherHousehold",
        f"It was saved in another home ({kept.household}).",
        "Nothing was changed. A home's authority belongs to that home.",
    )
