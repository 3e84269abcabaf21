"""How Postfix's files are run: its unit, its own look at them, the question to it, and what only the device can add.

Owns where Postfix's files lie on an appliance and on a bench, and what a change of which one needs. Renders nothing. What is read at
which moment was tried on Postfix 3.7 (bookworm) and 3.10 (trixie); none of it needs a restart.
"""

from __future__ import annotations

from pathlib import PurePosixPath

from desired_state.model import Household, Mail
from renderers import encode
from renderers.artifact import Target
from renderers.plan import Checker, Command, Fill, Folder, Part, Probe, Provision, ServerKey, SmtpProbe, Unit

FOLDER = "postfix"
MAIN = f"{FOLDER}/main.cf"
MASTER = f"{FOLDER}/master.cf"
ALIASES = f"{FOLDER}/aliases"
TRANSPORT = f"{FOLDER}/transport"
SENDERS = f"{FOLDER}/senders"
HEADERS = f"{FOLDER}/headers"
SENDERLESS = f"{FOLDER}/senderless"
NOTICES = f"{FOLDER}/notices"
FILES = (MAIN, MASTER, ALIASES, TRANSPORT, SENDERS, HEADERS, SENDERLESS, NOTICES)

_LOG_PREFIX = r"^(?:\w+ +\d+ [\d:]+ \S+ postfix[\w/-]*\[\d+\]: )?"
FAULTS = (
    rf"{_LOG_PREFIX}(?:fatal|panic|error: open database|error: unsupported dictionary type)[: ]",
    rf"{_LOG_PREFIX}warning: \S+: bad command startup",
)
"""How Postfix says that a program or table of its own cannot be used. Anchored: what a device says is logged too, but never first."""

_HARMLESS = (r"\w+ =.*", r"\S+ +(?:inet|unix|unix-dgram) .*", r" +-o .*")
"""What it read, said back. Its warnings begin with its own name and a colon."""
_MASTER = "/usr/lib/postfix/sbin/master"
_PRETEND = (
    'test "$(id -u)" = 0 || export UID_WRAPPER=1 UID_WRAPPER_ROOT=1 LD_PRELOAD=libuid_wrapper.so:libnss_wrapper.so; '
    'exec "$0" "$@"'
)
"""Postfix insists on being root and on users of its own. An ordinary user's child processes are made to believe that they have both."""

_FOLDERS = (
    'umask 077; cd "$0"; set -- active bounce corrupt defer deferred flush hold incoming maildrop private public saved trace ../data; '
    'mkdir -p pid "$@"; test "$(id -u)" != 0 || chown postfix "$@"'
)
"""`postfix check` would make these as well (postfix-files), but not in a folder whose name holds a space."""


def queue(target: Target) -> PurePosixPath:
    """Return the folder in which a bench's Postfix keeps waiting mail, and works."""
    return target.state / FOLDER / "queue"


def data(target: Target) -> PurePosixPath:
    """Return the folder of what a bench's Postfix remembers."""
    return target.state / FOLDER / "data"


def named(target: Target, path: PurePosixPath) -> PurePosixPath:
    """Return how the files name `path`: on a bench from the queue's folder, for its own path may hold spaces."""
    if target.name == "appliance":
        return path
    here = queue(target)
    shared = next(folder for folder in (here, *here.parents) if path.is_relative_to(folder))
    return PurePosixPath(*(".." for _ in here.relative_to(shared).parts), path.relative_to(shared))


def password(target: Target) -> PurePosixPath:
    """Return the path of the file with the log-in at the provider."""
    return target.secrets / FOLDER / "relay"


def chain(target: Target) -> PurePosixPath:
    """Return the path of the key and certificate that devices are shown."""
    return target.keys / "postfix.pem"


def relay(mail: Mail, target: Target) -> str:
    """Return the provider as Postfix names it everywhere; brackets mean this very host and no MX (postconf(5), relayhost)."""
    if target.name == "bench":
        return encode.Encoded(f"[127.0.0.1]:{encode.number(target.relay_port)}")
    return encode.Encoded(f"[{encode.host_name(mail.relay.host)}]:{encode.number(mail.relay.port)}")


def units(_household: Household, target: Target) -> tuple[Unit, ...]:
    """Return the daemon: Debian's own unit, or its master process in the foreground."""
    config = str(target.current / FOLDER)
    read = (*FILES, str(password(target)), str(chain(target)))
    command = _pretending(target, _MASTER, "-s", "-c", config) if target.name == "bench" else ("postfix", "start-fg")
    return (Unit("postfix.service", command, restart=(), reload=read, faults=FAULTS),)


def checkers(_household: Household) -> tuple[Checker, ...]:
    """Return Postfix's own reading of both files, which warns of what it does not know; `postfix check` would not, and writes."""
    return tuple(
        Checker(path, ("postconf", "-c", f"{{root}}/{FOLDER}", option), _HARMLESS)
        for path, option in ((MAIN, "-n"), (MASTER, "-M"))
    )


def probes(household: Household, target: Target) -> tuple[Probe, ...]:
    """Return the one question: does it greet under its name, and offer to encrypt?"""
    assert household.mail is not None
    server = target.address(str(household.appliance.address))
    return (SmtpProbe("mail relay", server, target.mail_port, household.mail.hostname),)


def provisions(household: Household, target: Target) -> tuple[Provision, ...]:
    """Return what only the device can add: the log-in at the provider, a key of its own, and a bench's folders."""
    assert household.mail is not None
    appliance = f"{household.appliance.name}.{household.network.domain}"
    hosts = tuple(dict.fromkeys((appliance, household.mail.hostname)))
    return (
        ServerKey(FOLDER, str(chain(target)), hosts),
        Fill(str(password(target)), _login(household.mail, target)),
        *(_bench(target) if target.name == "bench" else ()),
    )


def _login(mail: Mail, target: Target) -> tuple[Part, ...]:
    """Return one line of a texthash table (postmap(1)): it ends at the line's end, and knows no quotes, no escapes and no `$`."""
    name = mail.relay.password.removeprefix("secret:")
    return (
        Part("text", f"{relay(mail, target)} {encode.login(mail.relay.username)}:"),
        Part("secret", name),
        Part("text", "\n"),
    )


def _bench(target: Target) -> tuple[Provision, ...]:
    """Return users for one who is not root, and the folders: the queue's files must belong to Postfix's own user, here the agent's."""
    own = (Part("uid"), Part("text", ":"), Part("gid"))
    users = (
        Part("text", "root:x:0:0::/:/bin/false\npostfix:x:"),
        *own,
        Part("text", "::/:/bin/false\nnobody:x:64998:64998::/:/bin/false\n"),
    )
    groups = (
        Part("text", "root:x:0:\npostfix:x:"),
        Part("gid"),
        Part("text", ":\npostdrop:x:64997:\nnogroup:x:64998:\n"),
    )
    folders = Command(
        "folders of Postfix", ("sh", "-euc", _FOLDERS, str(queue(target))), (), (str(queue(target)), str(data(target)))
    )
    return (
        Fill(str(target.secrets / FOLDER / "passwd"), users),
        Fill(str(target.secrets / FOLDER / "group"), groups),
        Folder(str(queue(target))),
        folders,
    )


def _pretending(target: Target, *command: str) -> tuple[str, ...]:
    users = [f"NSS_WRAPPER_{kind.upper()}={target.secrets / FOLDER / kind}" for kind in ("passwd", "group")]
    return ("env", f"--chdir={queue(target)}", *users, "sh", "-c", _PRETEND, *command)
