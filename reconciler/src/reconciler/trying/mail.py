"""A message through the home's own relay: handed in as a device does it, and followed in Postfix's queue until it is gone, or waits.

Owns the message and the judgement. Postfix's queue and its logs of what it could not deliver are read as qmgr(8) and bounce(8) leave
them there; nothing in it is changed. Bounded in time.
"""

from __future__ import annotations

import re
import secrets
import smtplib
import ssl
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import formatdate
from pathlib import Path
from typing import Literal

from desired_state.model import Household
from desired_state.scalars import EMAIL_PATTERN
from reconciler.errors import Misused
from reconciler.probe import ask
from reconciler.trying.bounces import Bounces
from reconciler.trying.outcome import Outcome
from renderers.plan import SmtpProbe

SECONDS = 30.0
_EACH_SECONDS = 10.0
_LOOK_SECONDS = 0.05
_QUEUED = re.compile(rb"\bqueued as ([0-9A-Za-z]{6,20})\b")
_REASON = re.compile(r"^reason=(.*)$", re.MULTILINE)
_LARGEST = 65_536
Fate = Literal["taken", "refused", "waits", "under way"]
_SAID = {
    "taken": "the provider took it",
    "refused": "it could not be delivered, and a notice goes to the home's sender",
    "waits": "it waits, and Postfix tries again by itself",
    "under way": f"after {SECONDS:g} s Postfix is still trying",
}


@dataclass(frozen=True, slots=True)
class Letter:
    """A message to send: to whom, and how to know it again."""

    to: str
    message_id: str
    content: bytes


def recipient(household: Household, said: str | None) -> str:
    """Return the address that a person means; nothing said is the first of those who get root's mail. Pure.

    Raises:
        Misused: nobody is called that, or they have no address, or it is none.
    """
    if said and "@" in said:
        if re.fullmatch(EMAIL_PATTERN, said):
            return said
        raise Misused("BadAddress", f"{said[:80]!a} is no e-mail address.", "Write it like anna@example.com.")
    roots = household.mail.aliases.get("root", frozenset()) if household.mail else frozenset()
    for person in [said] if said else sorted(roots):
        if person not in household.people:
            known = ", ".join(sorted(household.people))
            raise Misused("NoSuchPerson", f"Nobody here has the id {person[:40]!a}.", f"People: {known}.")
        if email := household.people[person].email:
            return email
    whom = household.people[said].name if said else "root"
    raise Misused("NoAddress", f"There is no e-mail address for {whom}.", "Say where to: --to ADDRESS")


def letter(household: Household, to: str) -> Letter:
    """Return a short message that says what it is (RFC 5322; RFC 3834 keeps it from being answered by machines)."""
    domain = household.network.domain
    message = EmailMessage()
    message["From"], message["To"] = f"Hearth <root@{domain}>", to
    message["Subject"] = "A test of the home's mail"
    message["Date"], message["Message-ID"] = formatdate(), f"<hearth-test-{secrets.token_hex(8)}@{domain}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content("`hearth test mail` on the home's appliance sent this. Nothing needs to be done.\n")
    return Letter(to, str(message["Message-ID"]), message.as_bytes(policy=message.policy.clone(linesep="\r\n")))


class RefusedError(Exception):
    """The relay does not take the message; the words are its own."""


def hand_in(probe: SmtpProbe, shown: Path, written: Letter) -> str:
    """Hand the message to the relay, encrypted, and return the name that Postfix's queue gives it.

    `shown` is the file with the certificate that the relay must show: this very one, whoever signed it.

    Raises:
        RefusedError: the relay refuses it, shows another certificate, or cannot be reached.
    """
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # compared below, byte for byte
    try:
        own = ssl.PEM_cert_to_DER_cert(_first_certificate(shown))
        source = ("127.0.0.1", 0)  # mail from the appliance itself is always taken
        with smtplib.SMTP(probe.server, probe.port, "[127.0.0.1]", _EACH_SECONDS, source) as relay:
            relay.starttls(context=context)
            if not isinstance(relay.sock, ssl.SSLSocket) or relay.sock.getpeercert(binary_form=True) != own:
                raise RefusedError("it shows another certificate than its own")
            return _handed(relay, written)
    except smtplib.SMTPResponseException as error:
        raise RefusedError(f"{error.smtp_code} {_text(error.smtp_error)}") from None
    except (smtplib.SMTPException, OSError, ValueError) as error:
        raise RefusedError(str(getattr(error, "strerror", "") or error)) from None


def _handed(relay: smtplib.SMTP, written: Letter) -> str:
    domain = written.message_id.strip("<>").partition("@")[2]
    _accepted(*relay.mail(f"root@{domain}"))
    _accepted(*relay.rcpt(written.to))
    said = _accepted(*relay.data(written.content))
    if not (found := _QUEUED.search(said)):
        raise RefusedError(f"it says no name of its queue: {_text(said)}")
    return found[1].decode()


def _accepted(code: int, said: bytes) -> bytes:
    if code != 250:
        raise RefusedError(f"{code} {_text(said)}")
    return said


class Queue:
    """Postfix's queue in a folder, only looked at."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def watch(self) -> Bounces:
        """Begin to watch for what is given up.

        Raises:
            OSError: the queue cannot be looked into.
        """
        return Bounces(self._folder / "bounce")

    def follow(self, name: str, bounces: Bounces, seconds: float = SECONDS) -> tuple[Fate, str]:
        """Return what becomes of a message within `seconds`, and why, in the provider's words where there are any."""
        deadline = time.monotonic() + seconds
        missed = 0
        while time.monotonic() < deadline:
            log = bounces.look(name, _LOOK_SECONDS)
            if self._in("deferred", name):
                return "waits", _reason(self._log("defer", name))
            missed = 0 if self._in("active", name) or self._in("incoming", name) else missed + 1
            if missed > 1:  # once, it may be on its way from one folder to the next
                return ("taken", "") if log is None else ("refused", _reason(log))
        return "under way", ""

    def _in(self, part: str, name: str) -> bool:
        return next((self._folder / part).rglob(name), None) is not None

    def _log(self, part: str, name: str) -> str:
        for path in (self._folder / part).rglob(name):
            with suppress(OSError), path.open("rb") as file:
                return file.read(_LARGEST).decode(errors="replace")
        return ""


def try_all(probe: SmtpProbe, queue: Queue, shown: Path, written: Letter) -> Iterator[Outcome]:
    """Yield what came of handing a message in, and of its way to the provider.

    Raises:
        OSError: the queue cannot be looked into.
    """
    answer = ask([probe])[0]
    yield Outcome("server", answer.ok, "The relay", answer.message)
    if not answer.ok:
        return
    with queue.watch() as bounces:
        try:
            name = hand_in(probe, shown, written)
        except RefusedError as refused:
            yield Outcome("handed-in", False, "A message to " + written.to, f"the relay does not take it: {refused}")
            return
        said = f"handed in encrypted, as {name}; followed for {SECONDS:g} s at most"
        yield Outcome("handed-in", True, "A message to " + written.to, said)
        fate, why = queue.follow(name, bounces)
    said = f"{_SAID[fate]}: {why}" if why else _SAID[fate]
    yield Outcome("delivered", fate == "taken", "On to the provider", said)


def _reason(log: str) -> str:
    """Return why a message was not delivered, from a log of bounce(8): the last of what it says."""
    found = _REASON.findall(log)
    return found[-1][:400] if found else ""


def _first_certificate(file: Path) -> str:
    text = file.read_text("ascii")
    begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    return begin + text.partition(begin)[2].partition(end)[0] + end


def _text(said: bytes | str) -> str:
    return (said.decode(errors="replace") if isinstance(said, bytes) else said)[:300]
