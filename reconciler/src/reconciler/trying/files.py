"""The shared folders as each person sees them: really log in with smbclient(1), look, write a small file and remove it.

What a person may do comes from the household alone, and everything else must be refused. A password goes to smbclient in a file that
exists in memory only and has no name (memfd_create(2)); never in its arguments or its environment.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from desired_state.model import Household
from reconciler.probe import ask
from reconciler.run import Finished, find_program, run
from reconciler.secrets import Opened
from reconciler.trying.outcome import Outcome
from renderers.plan import SmbProbe
from renderers.samba_plan import entered, who

_SECONDS = 20.0
_CLIENT = ("--configfile=/dev/null", "--option=client min protocol=SMB2_10", "--option=gensec:gse_krb5=no")
_STRANGER = "_stranger"
"""No person's id holds an underscore."""
_CONTENT = b"`hearth test files` on the home's appliance wrote this, and removes it at once.\n"
_COMPLAINT = re.compile(r"^(?:[a-z][a-z ]*: )?(?P<status>NT_STATUS_\w+)(?: (?P<about>.*))?$", re.ASCII | re.MULTILINE)
"""How smbclient says what did not go well. The names of files that it lists are indented."""
_DENIED = "NT_STATUS_ACCESS_DENIED"
_NOT_LET_IN = {"NT_STATUS_LOGON_FAILURE", "NT_STATUS_ACCOUNT_DISABLED", _DENIED}
_GONE = {"NT_STATUS_NO_SUCH_FILE", "NT_STATUS_OBJECT_NAME_NOT_FOUND", "NT_STATUS_OBJECT_PATH_NOT_FOUND"}
_WORDS = {
    "NT_STATUS_LOGON_FAILURE": "the file server does not take the password",
    "NT_STATUS_ACCOUNT_DISABLED": "the account is switched off",
    "NT_STATUS_BAD_NETWORK_NAME": "there is no such folder",
    "NT_STATUS_DISK_FULL": "the disk is full",
    _DENIED: "refused",
}


@dataclass(frozen=True, slots=True)
class Rights:
    """What the household lets a person do: folders to write in, to read only, and those that stay closed to them."""

    writes: tuple[str, ...]
    reads: tuple[str, ...]
    closed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Complaint:
    """An NT status (MS-ERREF, 2.3.1), and what it is about, as smbclient says it."""

    status: str
    about: str = ""

    def __str__(self) -> str:
        words = _WORDS.get(self.status, self.status)
        return f"{words} ({self.about})" if self.about else words


def rights(household: Household, person: str) -> Rights:
    """Return what a person may do. Pure."""
    levels = {name: who(household, share) for name, share in entered(household).items()}
    writes = tuple(name for name, (_, writers) in levels.items() if person in writers)
    reads = tuple(name for name, (readers, _) in levels.items() if person in readers and name not in writes)
    return Rights(writes, reads, tuple(name for name in levels if name not in {*writes, *reads}))


def complaints(finished: Finished) -> list[Complaint]:
    """Return what smbclient complained of; that it failed without a word counts as well. Pure."""
    found = [Complaint(match["status"], (match["about"] or "").strip()) for match in _COMPLAINT.finditer(finished.text)]
    if finished.code and not found:
        last = finished.text.strip().rpartition("\n")[2]
        return [Complaint(last[:200] or f"smbclient ended with {finished.code}")]
    return found


def written(found: list[Complaint], name: str) -> list[Complaint]:
    """Return what went wrong with a file that was written and removed: it must be gone, and from the recycle folder too. Pure."""
    gone = {
        each.about
        for each in found
        if each.status in _GONE and each.about in {f"listing \\{name}", f"listing \\.recycle\\{name}"}
    }
    left = [Complaint(f"{name} is still there")] if len(gone) < 2 else []
    return [each for each in found if each.about not in gone] + left


def refused(found: list[Complaint]) -> list[Complaint]:
    """Return what is wrong with something that must be refused. Pure."""
    statuses = {each.status for each in found}
    if statuses & _NOT_LET_IN:
        return []
    return found or [Complaint("not refused")]


class Client:
    """smbclient(1) towards one file server.

    Raises:
        Transient: it is not installed.
    """

    def __init__(self, probe: SmbProbe) -> None:
        find_program("smbclient")
        self._probe = probe

    def use(self, share: str, person: str, password: bytes, commands: str) -> list[Complaint]:
        """Log in and do something in a folder; return what was complained of.

        Raises:
            Transient: it takes longer than 20 seconds.
        """
        where = (f"//{self._probe.server}/{share}", f"--port={self._probe.port}")
        login = f"username = {person}\npassword = ".encode() + password + b"\n"
        with _in_memory(login) as path:
            argv = ("smbclient", *where, *_CLIENT, f"--authentication-file={path}", f"--command={commands}")
            return complaints(run(argv, seconds=_SECONDS))

    def write(self, share: str, person: str, password: bytes) -> list[Complaint]:
        """Write a small file and remove it, also from where removed files wait (vfs_recycle(8)); return what went wrong."""
        name = f"hearth-test-{secrets.token_hex(4)}.txt"
        places = (name, f".recycle\\{name}")
        after = "; ".join([*(f"del {place}" for place in places), *(f"ls {place}" for place in places)])
        with _in_memory(_CONTENT) as path:
            found = self.use(share, person, password, f"ls; put {path} {name}; {after}")
        return written(found, name)

    def only_read(self, share: str, person: str, password: bytes) -> list[Complaint]:
        """Look into a folder, and try to write there, which must be refused; return what went wrong."""
        name = f"hearth-test-{secrets.token_hex(4)}.txt"
        looked = self.use(share, person, password, "ls")
        with _in_memory(_CONTENT) as path:
            wrote = self.use(share, person, password, f"put {path} {name}; del {name}")
        return looked or refused(wrote)

    def stay_out(self, share: str, person: str, password: bytes) -> list[Complaint]:
        """Try to open a folder, which must be refused; return what is wrong."""
        return refused(self.use(share, person, password, "ls"))


def try_person(client: Client, household: Household, person: str, opened: Opened) -> Outcome:
    """Do all that a person may, and try what they may not."""
    name, mine = household.people[person].name, rights(household, person)
    told = f"person {person}"
    if opened.value is None:
        wrong = _first(client.stay_out(share, person, b"") for share in (*mine.writes, *mine.reads)[:1])
        return Outcome(told, None if not wrong else False, name, wrong or _no_password(opened))
    tries = {
        "opened, written to": (mine.writes, client.write),
        "opened": (mine.reads, client.only_read),
        "refused, as it should be": (mine.closed, client.stay_out),
    }
    good, bad = [], []
    for words, (shares, attempt) in tries.items():
        faults = {share: attempt(share, person, opened.value) for share in shares}
        bad += [f"{share}: {fault[0]}" for share, fault in faults.items() if fault]
        if whole := ", ".join(share for share, fault in faults.items() if not fault):
            good.append(f"{whole}: {words}")
    return Outcome(told, not bad, name, "; ".join(bad + good) or "may open no folder")


def try_stranger(client: Client, household: Household) -> Outcome:
    """Try to come in as somebody who does not live here."""
    wrong = _first(client.stay_out(share, _STRANGER, b"let me in") for share in entered(household))
    return Outcome("stranger", not wrong, "A stranger", wrong or "refused, as it should be")


def try_all(probe: SmbProbe, household: Household, opened: Mapping[str, Opened]) -> Iterator[Outcome]:
    """Yield what came of it for each person of the household, and for a stranger. `opened` are the people's passwords.

    Raises:
        Transient: smbclient is missing, or the file server does not answer in time.
    """
    answer = ask([probe])[0]
    yield Outcome("server", answer.ok, "The file server", answer.message)
    if not answer.ok:
        return
    client = Client(probe)
    for person in sorted(household.people):
        yield try_person(client, household, person, opened[f"person-{person}"])
    yield try_stranger(client, household)


def _no_password(opened: Opened) -> str:
    return f"no password that could be used ({opened.lack})" if opened.lack else "no password, so no folder opens"


def _first(found: Iterator[list[Complaint]]) -> str:
    return next((str(each[0]) for each in found if each), "")


@contextmanager
def _in_memory(content: bytes) -> Iterator[str]:
    """Yield the path of a file that lies in memory, can be opened by this user alone, and is gone afterwards."""
    descriptor = os.memfd_create("hearth", os.MFD_CLOEXEC)
    try:
        os.fchmod(descriptor, 0o600)
        os.write(descriptor, content)
        yield f"/proc/{os.getpid()}/fd/{descriptor}"
    finally:
        os.close(descriptor)
