"""Public keys as OpenSSH writes them, of the four types that may sign for a home."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from desired_state.sshsig import curves
from desired_state.sshsig.wire import Malformed, Reader, short_text, string


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public key: its type, its whole blob, its point, and for FIDO keys the application it is bound to."""

    type: str
    blob: bytes
    point: bytes
    application: str | None = None

    @property
    def fingerprint(self) -> str:
        """The fingerprint as `ssh-keygen -l` prints it, `SHA256:` and 43 characters."""
        return "SHA256:" + base64.b64encode(hashlib.sha256(self.blob).digest()).rstrip(b"=").decode()

    @property
    def line(self) -> str:
        """Type and base64, as in a .pub file without its comment."""
        return f"{self.type} {base64.b64encode(self.blob).decode()}"

    @classmethod
    def read(cls, blob: bytes) -> PublicKey:
        """Read a key blob (RFC 4253, section 6.6; RFC 5656; RFC 8709; OpenSSH PROTOCOL.u2f).

        Raises:
            Malformed: another type, not exactly the fields of its type, or no point of its curve.
        """
        return _read(blob)

    @classmethod
    def ed25519(cls, raw: bytes) -> PublicKey:
        """Return the key of 32 raw bytes (RFC 8709)."""
        return cls.read(string(b"ssh-ed25519") + string(raw))

    def check(self, raw: bytes, message: bytes) -> None:
        """Check a bare signature over exactly these bytes.

        Raises:
            Malformed: it is no signature on this curve. Wrong: it does not match.
        """
        check = curves.check_ed25519 if "ed25519" in self.type else curves.check_p256
        check(self.point, raw, message)


@lru_cache(maxsize=256)
def _read(blob: bytes) -> PublicKey:
    reader = Reader(blob)
    kind = reader.string()
    if kind not in _POINTS:
        raise Malformed(
            "is of a type that is not accepted: use ssh-ed25519, ecdsa-sha2-nistp256 or the sk- form of one of them"
        )
    point = _POINTS[kind](reader)
    application = short_text(reader.string(), "application") if kind.startswith(b"sk-") else None
    reader.end()
    return PublicKey(kind.decode(), blob, point, application)


def _edwards(reader: Reader) -> bytes:
    point = reader.string()
    curves.ed25519(point)
    return point


def _nist(reader: Reader) -> bytes:
    if reader.string() != b"nistp256":
        raise Malformed("is damaged")
    point = reader.string()
    curves.p256(point)
    return point


_POINTS: dict[bytes, Callable[[Reader], bytes]] = {
    b"ssh-ed25519": _edwards,
    b"ecdsa-sha2-nistp256": _nist,
    b"sk-ssh-ed25519@openssh.com": _edwards,
    b"sk-ecdsa-sha2-nistp256@openssh.com": _nist,
}


def read_public_line(text: str) -> PublicKey:
    """Read the first line of a .pub file: type, base64 and, if any, a comment.

    Raises:
        Malformed: it is not the line of a key of an accepted type.
    """
    words = text.split("\n", 1)[0].split()
    try:
        key = PublicKey.read(base64.b64decode(words[1], validate=True))
    except (IndexError, binascii.Error):
        raise Malformed("is no public key") from None
    if key.type != words[0]:
        raise Malformed("is no public key")
    return key


def public_key(key: Ed25519PrivateKey) -> PublicKey:
    """Return the public half in OpenSSH's form."""
    return PublicKey.ed25519(key.public_key().public_bytes_raw())
