"""The forms of a signature blob: bare, by a FIDO key, and by a FIDO key in a browser (OpenSSH PROTOCOL.u2f).

Owns what stock OpenSSH checks, no more: what a touch must have been like is the household's affair (`trust.touch`).
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntFlag

from desired_state.sshsig.curves import Wrong
from desired_state.sshsig.keys import PublicKey
from desired_state.sshsig.wire import Malformed, Reader, short_text


class Flags(IntFlag):
    """What an authenticator says of the moment (Web Authentication, section 6.1)."""

    PRESENT = 0x01
    VERIFIED = 0x04
    BACKUP_ELIGIBLE = 0x08
    BACKED_UP = 0x10
    ATTESTED = 0x40
    EXTENDED = 0x80


@dataclass(frozen=True, slots=True)
class Page:
    """Where a browser asked for the touch: the page's origin, and the clientDataJSON that names it."""

    origin: str
    client_data: bytes


@dataclass(frozen=True, slots=True)
class Touch:
    """What came with a FIDO key's signature; `page` is None if no browser was between. Its counter is ignored."""

    flags: Flags
    page: Page | None = None


def check_blob(key: PublicKey, blob: bytes, signed: bytes) -> Touch | None:
    """Check a signature blob by `key` over `signed`; return the touch if it is a FIDO key's.

    Raises:
        Malformed: it is not exactly one signature in a form of this key. Wrong: it does not match.
    """
    reader = Reader(blob)
    form = _FORMS.get((key.type, reader.string()))
    if form is None:
        raise Malformed("is not of its key's type")
    return form(key, reader, signed)


def _bare(key: PublicKey, reader: Reader, signed: bytes) -> None:
    raw = reader.string()
    reader.end()
    key.check(raw, signed)


def _touched(key: PublicKey, reader: Reader, signed: bytes) -> Touch:
    raw, flags, counter = reader.string(), reader.take(1), reader.take(4)
    reader.end()
    key.check(raw, _hash_of_application(key) + flags + counter + _sha256(signed))
    return Touch(Flags(flags[0]))


def _in_a_browser(key: PublicKey, reader: Reader, signed: bytes) -> Touch:
    raw, flags, counter = reader.string(), Flags(reader.take(1)[0]), reader.take(4)
    page, extensions = Page(short_text(reader.string(), "origin"), reader.string()), reader.string()
    reader.end()
    if Flags.ATTESTED in flags or (Flags.EXTENDED in flags) != bool(extensions):
        raise Malformed("carries other data than its flags say")
    if '"' in page.origin or not page.client_data.startswith(_beginning(signed, page.origin)):
        raise Wrong("was made for something else")
    key.check(raw, _hash_of_application(key) + bytes([flags]) + counter + extensions + _sha256(page.client_data))
    return Touch(flags, page)


def _beginning(challenge: bytes, origin: str) -> bytes:
    """Return how every browser begins its clientDataJSON (Web Authentication, section 5.8.1.1)."""
    encoded = base64.urlsafe_b64encode(challenge).rstrip(b"=")
    return b'{"type":"webauthn.get","challenge":"' + encoded + b'","origin":"' + origin.encode("ascii") + b'"'


def _hash_of_application(key: PublicKey) -> bytes:
    assert key.application is not None
    return _sha256(key.application.encode("ascii"))


def _sha256(message: bytes) -> bytes:
    return hashlib.sha256(message).digest()


_FORMS: dict[tuple[str, bytes], Callable[[PublicKey, Reader, bytes], Touch | None]] = {
    ("ssh-ed25519", b"ssh-ed25519"): _bare,
    ("ecdsa-sha2-nistp256", b"ecdsa-sha2-nistp256"): _bare,
    ("sk-ssh-ed25519@openssh.com", b"sk-ssh-ed25519@openssh.com"): _touched,
    ("sk-ecdsa-sha2-nistp256@openssh.com", b"sk-ecdsa-sha2-nistp256@openssh.com"): _touched,
    ("sk-ecdsa-sha2-nistp256@openssh.com", b"webauthn-sk-ecdsa-sha2-nistp256@openssh.com"): _in_a_browser,
}
