"""The people of a home as users of the machine that serves their files, and the folders of its shares.

On an appliance they are declared to systemd-sysusers(8) and systemd-tmpfiles(8); on a bench nss_wrapper(1) makes Samba believe in
them, and the machine's own users are not touched. Who may enter a folder is Samba's affair: `samba`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

from desired_state.model import Household
from renderers import encode
from renderers.artifact import Target
from renderers.plan import Command, Fill, Folder, Link, Part, Provision

GROUP = "_hearth"
"""To whom everything in the shares belongs. No person's id holds an underscore."""
SYSUSERS = "accounts/sysusers.conf"
TMPFILES = "accounts/tmpfiles.conf"
_NAME = "hearth-home.conf"
"""Not `hearth.conf`, which is the installation's own file in another folder: one in /etc would stand in its place."""
LINKS = (Link(f"/etc/sysusers.d/{_NAME}", SYSUSERS), Link(f"/etc/tmpfiles.d/{_NAME}", TMPFILES))

_FIRST, _NUMBERS = 20_000, 30_000
"""The numbers that people have on a bench: below 65,536, which is all that a container may have."""


def render(household: Household, target: Target) -> Mapping[str, bytes]:
    """Return what declares people and folders to an appliance; a bench has nothing to declare."""
    if target.name == "bench" or household.files is None:
        return {}
    people = [encode.identifier(person) for person in sorted(household.people)]
    shares = [
        {"path": encode.path(folder(target, name)), "recycles": not share.time_machine}
        for name, share in sorted(household.files.shares.items())
    ]
    users = encode.fill("accounts/sysusers.conf.j2", {"people": people})
    folders = {"folder": encode.path(target.shares), "shares": shares}
    return {SYSUSERS: users, TMPFILES: encode.fill("accounts/tmpfiles.conf.j2", folders)}


def folder(target: Target, share: str) -> PurePosixPath:
    """Return where the files of a share lie."""
    return target.shares / encode.identifier(share)


def provisions(household: Household, target: Target) -> tuple[Provision, ...]:
    """Return what makes people and folders: idempotent, and never the removal of either."""
    if household.files is None:
        return ()
    folders = tuple(str(folder(target, share)) for share in sorted(household.files.shares))
    if target.name == "bench":
        return (*(Folder(path, 0o770) for path in folders), *_wrapped(household, target))
    return (
        Command("people", ("systemd-sysusers", _NAME), inputs=(SYSUSERS,)),
        Command("shared folders", ("systemd-tmpfiles", "--create", _NAME), inputs=(TMPFILES,), makes=folders),
    )


def user_number(household: Household, target: Target, person: str) -> Part:
    """Return a person's user number as part of a filled file: on an appliance whatever systemd-sysusers gave."""
    return Part("text", str(_numbers(household)[person])) if target.name == "bench" else Part("uid", person)


def environment(target: Target) -> tuple[tuple[str, str], ...]:
    """Return what makes a child process on a bench believe in the home's people; nss_wrapper(1)."""
    users, groups = _wrapper_files(target)
    return (
        ("LD_PRELOAD", "libnss_wrapper.so"),
        ("NSS_WRAPPER_PASSWD", str(users)),
        ("NSS_WRAPPER_GROUP", str(groups)),
    )


def _wrapper_files(target: Target) -> tuple[PurePosixPath, PurePosixPath]:
    """Return fixed places: nss_wrapper notices a renamed file, and not a link that leads elsewhere."""
    return target.secrets / "samba" / "passwd", target.secrets / "samba" / "group"


def _wrapped(household: Household, target: Target) -> Iterator[Fill]:
    """Yield passwd(5) and group(5) of a bench: the agent, the guest whom Samba cannot do without, the people, and their group."""
    users, groups = _wrapper_files(target)
    own, own_group = Part("uid"), Part("gid")
    people = sorted(_numbers(household).items())
    entries = "".join(f"{person}:x:{number}:{number}::/:/bin/false\n" for person, number in people)
    names = "".join(f"{person}:x:{number}:\n" for person, number in people)
    yield Fill(
        str(users),
        (
            Part("text", "root:x:"),
            own,
            Part("text", ":"),
            own_group,
            Part("text", f"::/:/bin/false\n{_GUEST}{entries}"),
        ),
    )
    yield Fill(
        str(groups),
        (
            Part("text", "root:x:"),
            own_group,
            Part("text", f":\n{GROUP}:x:"),
            own_group,
            Part("text", f":\nnogroup:x:65534:\n{names}"),
        ),
    )


_GUEST = "nobody:x:65534:65534::/:/bin/false\n"


def _numbers(household: Household) -> Mapping[str, int]:
    """Return the people's numbers on a bench: from the id, so that most stay when someone comes or goes."""
    taken: dict[int, str] = {}
    for person in sorted(household.people):
        number = int.from_bytes(hashlib.sha256(person.encode()).digest()[:8], "big") % _NUMBERS
        while number in taken:
            number = (number + 1) % _NUMBERS
        taken[number] = person
    return {person: _FIRST + number for number, person in taken.items()}
