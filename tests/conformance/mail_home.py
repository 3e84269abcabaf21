"""The example household's mail relay on a bench: the real Postfix, run through the agent's own ports, and a provider of its own."""

from __future__ import annotations

import os
import shutil
import smtplib
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath

from desired_state.model import Household
from desired_state.secrets import Envelope
from reconciler.check import check
from reconciler.child_units import _YOUNG_SECONDS, ChildUnits
from reconciler.generation import Generation, Generations, changed_files
from reconciler.probe import ProbeResult, ask
from reconciler.provision import Provisions
from reconciler.secrets import Keyring, device_key
from reconciler.secrets.age import seal
from reconciler.settings import Paths
from reconciler.units import Action, UnitStep, steps
from renderers import Target
from renderers.plan import Plan
from renderers.postfix import POSTFIX
from tests.bench import free_port, until
from tests.conformance.smart_host import LOGIN, Authority
from tests.renderers.homes import alone, holm

ADDRESS, STRANGER = "127.168.10.2", "127.203.0.113"
"""Where devices find the relay, and from where nobody may send."""
UNIT = "postfix.service"
_WAITING = ("incoming", "active", "deferred", "maildrop", "hold", "corrupt")
_TRY_ALL_NOW = b"FAD"
"""What postqueue(1) -f says to the queue manager: forget dead places, look at all, at the deferred too (global/mail_proto.h)."""


def missing() -> str:
    """Return why no Postfix can run here, or nothing."""
    if not Path("/usr/lib/postfix/sbin/master").exists():
        return "Postfix is missing: apt install postfix libsasl2-modules"
    wrappers = [Path("/usr/lib").rglob(f"lib{kind}_wrapper.so") for kind in ("uid", "nss")]
    if os.geteuid() != 0 and not all(next(found, None) for found in wrappers):
        return "without root Postfix needs two wrappers: apt install libuid-wrapper libnss-wrapper"
    return ""


def mail(**changes) -> Household:
    """Return the example with other values in its mail part; `relay` changes values of that part."""
    home = holm()
    relay = home.mail.relay.model_copy(update=changes.pop("relay", {}))
    return home.model_copy(update={"mail": home.mail.model_copy(update={"relay": relay, **changes})})


def try_all_now(queue: Path) -> None:
    """Have the Postfix of this queue try everything that waits, instead of minutes later."""
    folder = os.open(queue / "public", os.O_PATH)  # a socket's own path may be too long, unix(7)
    try:
        with socket.socket(socket.AF_UNIX) as manager:
            manager.connect(f"/proc/self/fd/{folder}/qmgr")
            manager.sendall(_TRY_ALL_NOW)
    finally:
        os.close(folder)


class MailHome:
    """A bench that runs Postfix alone."""

    def __init__(self, folder: Path) -> None:
        self.paths = Paths(folder)
        self.paths.prepare()
        self.authority = Authority(folder / "provider")
        state, run = PurePosixPath(self.paths.state), PurePosixPath(self.paths.run)
        trusted = PurePosixPath(self.authority.root)
        self.target = Target("bench", state, run, mail_port=free_port(), relay_port=free_port(), trusted=trusted)
        device_key.read_or_make(self.paths.keys)
        self.units = ChildUnits(self.paths.run)
        self.generations = Generations(self.paths.state)
        self.provisions = Provisions(self.paths, Keyring(self.paths.keys, holm().id))
        self.generation: Generation | None = None
        self._version = 0

    @property
    def plan(self) -> Plan:
        """What runs."""
        assert self.generation is not None
        return self.generation.plan

    @property
    def queue(self) -> Path:
        """Postfix's queue."""
        return self.paths.state / "postfix/queue"

    def become(self, home: Household, password: str = LOGIN[1]) -> tuple[UnitStep, ...]:
        """Put a household in place as the agent does, and return what was done to the daemon."""
        before, generation = self.generation, self.generations.stage(alone(POSTFIX, home, self.target))
        check(generation.plan.checkers, generation.path)
        self.generations.activate(generation.digest)
        self._version += 1
        made = self.provisions.make(generation, f"{self._version:040}", lambda: self._secrets(password))
        changed = changed_files(before, generation) | made.changed
        todo = steps(before.plan if before else None, generation.plan, changed)
        self.generation = generation
        self.units.perform(todo, generation.plan)
        self.provisions.settle(made)
        self.wait()
        return todo

    def wait(self) -> None:
        """Wait until the relay answers as rendered."""
        with suppress(AssertionError):
            until(lambda: self.ask().ok)
        assert self.ask().ok, f"{self.ask().message}\n{self.said()[-4000:]}"

    def _secrets(self, password: str) -> Mapping[str, bytes]:
        envelope = Envelope(holm().id, "relay-password", self._version, password)
        return {"secrets/relay-password.age": seal(envelope.encode(), [device_key.recipient(self.paths.keys)])}

    def ask(self) -> ProbeResult:
        """Ask as every pass does."""
        return ask(self.plan.probes)[0]

    def restart(self) -> None:
        """End Postfix and start it again."""
        self.units.perform([UnitStep(Action.RESTART, UNIT)], self.plan)
        self.wait()

    def listen_to_reloads(self) -> None:
        """Wait until the agent reloads it: a younger daemon is restarted instead, whatever it is."""
        until(lambda: self.units._children[UNIT].age >= _YOUNG_SECONDS, what="it is not young any more")

    def incarnation(self) -> str:
        """Return which process it is."""
        return self.units.states(self.plan)[UNIT].incarnation

    def said(self) -> str:
        """Return all that Postfix has logged."""
        return "\n".join(line.text for line in tuple(self.units._lines))

    def waiting(self, *folders: str) -> int:
        """Return how many messages are in the queue, or in some of its folders."""
        return sum(path.is_file() for folder in folders or _WAITING for path in (self.queue / folder).rglob("*"))

    def retry(self, condition: Callable[[], bool]) -> None:
        """Have Postfix try everything that waits now, instead of minutes later, until the condition holds."""
        deadline = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < deadline, self.said()[-4000:]
            self._try_again()
            with suppress(AssertionError):
                until(condition, 0.5)

    def _try_again(self) -> None:
        folder = os.open(self.queue / "public", os.O_PATH)  # a socket's own path may be too long, unix(7)
        try:
            with socket.socket(socket.AF_UNIX) as manager:
                manager.connect(f"/proc/self/fd/{folder}/qmgr")
                manager.sendall(_TRY_ALL_NOW)
        finally:
            os.close(folder)

    @contextmanager
    def device(self, *, encrypt: bool = False) -> Iterator[smtplib.SMTP]:
        """Connect as a device of the home; with STARTTLS if it shall `encrypt`."""
        with smtplib.SMTP(ADDRESS, self.target.mail_port, timeout=20) as connection:
            connection.ehlo("scanner")
            if encrypt:
                context = ssl.create_default_context(cafile=str(self.paths.keys / "postfix.pem"))
                context.check_hostname = False  # asked by address here
                connection.starttls(context=context)
            yield connection

    def send(
        self, recipient: str, *, sender: str = "scanner@home.arpa", headers: str = "", encrypt: bool = False
    ) -> None:
        """Hand in one message."""
        text = f"{headers or f'From: Scanner <{sender}>'}\r\nTo: {recipient}\r\nSubject: A page\r\n\r\nAs scanned.\r\n"
        with self.device(encrypt=encrypt) as connection:
            connection.sendmail(sender, [recipient], text)

    def close(self) -> None:
        """End everything."""
        self.units.close()
        shutil.rmtree(self.queue, ignore_errors=True)
