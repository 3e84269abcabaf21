"""How Samba's files are run: units, checkers and provisions, and who may enter which share.

Owns what a change of which file needs: smbd reads its shares again on SIGHUP and keeps what is open; its names, its addresses and what
it announces are read once. Renders nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

from desired_state.model import Household, Share
from renderers import accounts
from renderers.artifact import Target
from renderers.plan import Checker, Fill, Folder, Part, Provision, Unit

CONF = "samba/smb.conf"
START = "samba/start"
AVAHI = "samba/avahi-daemon.conf"
ACCOUNTS = "samba/smbpasswd"
"""Below the folder of secrets. Samba looks there at every log-in, so a new password needs no word to it."""

_FAULTS = (
    r"^(?:Ignoring unknown parameter |Unknown parameter encountered|WARNING: Ignoring invalid value |Error loading services)",
    r"^(?:open_sockets_smbd: |PANIC )",
)
"""How smbd's own complaints begin. Anchored: names of machines and files stand in its log, too."""

_HARMLESS = (
    r"^Load smb config files from \./samba/smb\.conf$",
    r"^Loaded services file OK\.$",
    r"^Weak crypto is allowed by GnuTLS \(e\.g\. NTLM as a compatibility fallback\)$",
    r"^WARNING: (?:lock|pid) directory /\S.* does not exist$",  # smbd makes them when it starts
    r"^standalone server$",
)
_MACHINES_OWN = ("--option=state directory=/", "--option=cache directory=/")
"""Folders that testparm wants to see, which say nothing of the file and which its cage may hide."""


def folder(target: Target) -> PurePosixPath:
    """Return the one folder in which smbd keeps its own on a bench. Its sockets lie there: their paths have 107 bytes at most, unix(7)."""
    return target.run / "smb"


def who(household: Household, share: Share) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return who may read a share, and who may write too: of the person's own level and everyone's, the higher one counts."""
    levels = {person: {share.access.get(person), share.access.get("everyone")} for person in sorted(household.people)}
    readers = tuple(person for person, level in levels.items() if level != {None})
    return readers, tuple(person for person in readers if "write" in levels[person])


def entered(household: Household) -> dict[str, Share]:
    """Return the shares that somebody may enter, in order. One that is open to nobody is not served: no list of nobody can be written."""
    shares = sorted(household.files.shares.items()) if household.files else ()
    return {name: share for name, share in shares if who(household, share)[0]}


def units(household: Household, target: Target) -> tuple[Unit, ...]:
    """Return smbd; on an appliance also who tells Macs and Windows of it."""
    bench = target.name == "bench"
    smbd = Unit(
        "smbd.service",
        ("smbd", "--foreground", "--no-process-group", "--debug-stdout", f"--configfile={target.current / CONF}"),
        restart=(START,),
        reload=(CONF,),
        faults=_FAULTS,
        environment=accounts.environment(target) if bench else (),
        grants=tuple(_grants(household)),
    )
    if bench:
        return (smbd,)
    avahi = Unit("avahi-daemon.service", ("avahi-daemon", "--file", str(target.current / AVAHI)), restart=(AVAHI,))
    return (smbd, avahi, Unit("wsdd2.service", ("wsdd2", "-4", "-w"), restart=(START,)))


def _grants(household: Household) -> Iterator[str]:
    for name, share in entered(household).items():
        readers, writers = who(household, share)
        yield from (f"{name} {person} read" for person in readers)
        yield from (f"{name} {person} write" for person in writers)


def checkers(_household: Household) -> tuple[Checker, ...]:
    """Return testparm(1). It exits 0 on parameters that it does not know; its words are what counts."""
    command = ("testparm", "--suppress-prompt", *_MACHINES_OWN, "--parameter-name=server role", f"{{root}}/{CONF}")
    return (Checker(CONF, command, _HARMLESS),)


def provisions(household: Household, target: Target) -> tuple[Provision, ...]:
    """Return people, folders, and the people's passwords as Samba wants them, on tmpfs."""
    own = (Folder(str(folder(target))),) if target.name == "bench" else ()
    return (*own, *accounts.provisions(household, target), _passwords(household, target))


def _passwords(household: Household, target: Target) -> Fill:
    """Return smbpasswd(5): a line for everyone in the household, so for nobody who has left it."""
    parts: list[Part] = []
    for person in sorted(household.people):
        number = accounts.user_number(household, target, person)
        account = Part("smb-account", f"person-{person}")
        parts += [Part("text", f"{person}:"), number, Part("text", ":"), account, Part("text", ":\n")]
    return Fill(str(target.secrets / ACCOUNTS), tuple(parts))
