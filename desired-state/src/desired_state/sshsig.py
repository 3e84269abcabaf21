"""OpenSSH's detached signatures: read, check and make them, in process.

Owns the wire form (OpenSSH PROTOCOL.sshsig), the armour and the public keys inside. Does not own who may sign
(`trust`). Only one spelling of each value is read: what `ssh-keygen -Y sign` writes, byte for byte. Ed25519 signatures
can be checked and made; ECDSA and FIDO keys are read, so that trust files may name them, and are `Unsupported` when
they have signed.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

BEGIN = b"-----BEGIN SSH SIGNATURE-----\n"
END = b"-----END SSH SIGNATURE-----\n"
COLUMNS = 70
ARMOUR_LIMIT = 16_384
_MAGIC = b"SSHSIG"
_HASHES: dict[bytes, Callable[[bytes], bytes]] = {
    b"sha256": lambda message: hashlib.sha256(message).digest(),
    b"sha512": lambda message: hashlib.sha512(message).digest(),
}


class Malformed(ValueError):
    """Bytes that are not exactly what OpenSSH writes. Carries a clause that says what is wrong."""


class Unsupported(ValueError):
    """A well-formed signature of a kind that this version cannot check."""


class Wrong(ValueError):
    """A signature that does not belong to this key and message."""


@dataclass(slots=True)
class _Reader:
    """Takes the values of RFC 4251, section 5, from the front of a byte string."""

    rest: bytes

    def take(self, count: int) -> bytes:
        if count > len(self.rest):
            raise Malformed("ends early")
        taken, self.rest = self.rest[:count], self.rest[count:]
        return taken

    def number(self) -> int:
        return int.from_bytes(self.take(4), "big")

    def string(self) -> bytes:
        return self.take(self.number())

    def end(self) -> None:
        if self.rest:
            raise Malformed("has bytes after its end")


def _string(value: bytes) -> bytes:
    return len(value).to_bytes(4, "big") + value


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public key as OpenSSH writes it: its type, its whole blob, and for FIDO keys the application it is bound to."""

    type: str
    blob: bytes
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
            Malformed: another type, or not exactly the fields of its type.
        """
        reader = _Reader(blob)
        kind = reader.string()
        if kind not in _KEY_SHAPES:
            raise Malformed(
                "is of a type that is not accepted: use ssh-ed25519, ecdsa-sha2-nistp256 or the sk- form of one of them"
            )
        for accepts in _KEY_SHAPES[kind]:
            if not accepts(reader.string()):
                raise Malformed("is damaged")
        application = reader.string() if kind.startswith(b"sk-") else None
        reader.end()
        return cls(kind.decode(), blob, None if application is None else _application(application))

    @classmethod
    def ed25519(cls, raw: bytes) -> PublicKey:
        """Return the key of 32 raw bytes (RFC 8709)."""
        return cls.read(_string(b"ssh-ed25519") + _string(raw))


def _application(raw: bytes) -> str:
    if not 1 <= len(raw) <= 253 or not raw.isascii() or not raw.decode("ascii").isprintable():
        raise Malformed("is damaged: its application is not a short text")
    return raw.decode("ascii")


def _is_point(raw: bytes) -> bool:
    return len(raw) == 65 and raw[:1] == b"\x04"


_CURVE: tuple[Callable[[bytes], bool], ...] = (lambda raw: raw == b"nistp256", _is_point)
_EDWARDS: tuple[Callable[[bytes], bool], ...] = (lambda raw: len(raw) == 32,)
_KEY_SHAPES = {
    b"ssh-ed25519": _EDWARDS,
    b"ecdsa-sha2-nistp256": _CURVE,
    b"sk-ssh-ed25519@openssh.com": _EDWARDS,
    b"sk-ecdsa-sha2-nistp256@openssh.com": _CURVE,
}


@dataclass(frozen=True, slots=True)
class Signature:
    """What an armoured signature says: by which key, for which namespace, over which hash."""

    key: PublicKey
    namespace: bytes
    hash: bytes
    blob: bytes

    @classmethod
    def read(cls, armour: bytes) -> Signature:
        """Read an armoured signature in exactly the form of `ssh-keygen -Y sign` (70 columns, canonical base64).

        Raises:
            Malformed: any other form, another version, a reserved field in use, another hash than sha256 or sha512.
        """
        reader = _Reader(_unwrap(armour))
        if reader.take(len(_MAGIC)) != _MAGIC or reader.number() != 1:
            raise Malformed("is not an SSH signature of version 1")
        key, namespace, reserved = PublicKey.read(reader.string()), reader.string(), reader.string()
        name, blob = reader.string(), reader.string()
        reader.end()
        if reserved or not namespace:
            raise Malformed("uses the reserved field or has no namespace")
        if name not in _HASHES:
            raise Malformed("is over another hash than sha256 or sha512")
        return cls(key, namespace, name, blob)

    def check(self, message: bytes) -> None:
        """Check that `key` signed `message` in `namespace`.

        Raises:
            Malformed: the signature's own bytes are not exactly one signature of the key's type.
            Unsupported: a key type that this version cannot check.
            Wrong: the signature does not belong to this message.
        """
        if self.key.type != "ssh-ed25519":
            raise Unsupported(f"signatures by {self.key.type} keys are not supported yet")
        reader = _Reader(self.blob)
        kind, raw = reader.string(), reader.string()
        reader.end()
        if kind != b"ssh-ed25519" or len(raw) != 64:
            raise Malformed("is not one Ed25519 signature")
        try:
            _verifier(self.key.blob).verify(raw, _signed_bytes(self.namespace, self.hash, message))
        except InvalidSignature:
            raise Wrong("does not match what was signed") from None


def sign(message: bytes, namespace: str, key: Ed25519PrivateKey) -> bytes:
    """Return an armoured signature over `message`, byte for byte what `ssh-keygen -Y sign` gives with the same key."""
    space = namespace.encode("ascii")
    blob = _string(b"ssh-ed25519") + _string(key.sign(_signed_bytes(space, b"sha512", message)))
    fields = (public_key(key).blob, space, b"", b"sha512", blob)
    return _wrap(_MAGIC + (1).to_bytes(4, "big") + b"".join(map(_string, fields)))


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


@lru_cache(maxsize=64)
def _verifier(blob: bytes) -> Ed25519PublicKey:
    return Ed25519PublicKey.from_public_bytes(blob[-32:])


def _signed_bytes(namespace: bytes, name: bytes, message: bytes) -> bytes:
    return _MAGIC + b"".join(map(_string, (namespace, b"", name, _HASHES[name](message))))


def _wrap(blob: bytes) -> bytes:
    text = base64.b64encode(blob)
    lines = (text[start : start + COLUMNS] + b"\n" for start in range(0, len(text), COLUMNS))
    return BEGIN + b"".join(lines) + END


def _unwrap(armour: bytes) -> bytes:
    if len(armour) > ARMOUR_LIMIT:
        raise Malformed("is too long")
    if not (armour.startswith(BEGIN) and armour.endswith(END)):
        raise Malformed("is not an SSH signature")
    try:
        blob = base64.b64decode(armour[len(BEGIN) : -len(END)].replace(b"\n", b""), validate=True)
    except binascii.Error:
        raise Malformed("is not written as ssh-keygen writes it") from None
    if _wrap(blob) != armour:
        raise Malformed("is not written as ssh-keygen writes it")
    return blob
