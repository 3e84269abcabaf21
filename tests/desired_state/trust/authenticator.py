"""Keys of every accepted type, in software: what ssh-keygen, a FIDO key and a browser make, and what a broken one would.

Deterministic: one name gives one key, and one message one signature, in every run. Stock `ssh-keygen -Y verify` accepts
what is made without extra arguments (tests/desired_state/test_sshsig.py).
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from functools import cached_property

from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePrivateKey, derive_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from desired_state.sshsig import Flags, PublicKey
from desired_state.sshsig.armour import wrap
from desired_state.sshsig.curves import ORDER
from desired_state.sshsig.signature import signed_bytes

RELYING_PARTY = "approve.hearth.example"
ORIGIN = "https://approve.hearth.example"
TOUCHED = Flags.PRESENT
VERIFIED = Flags.PRESENT | Flags.VERIFIED
ECDSA_TYPE = b"ecdsa-sha2-nistp256"
FIDO_ED25519 = b"sk-ssh-ed25519@openssh.com"
FIDO_ECDSA = b"sk-ecdsa-sha2-nistp256@openssh.com"
IN_A_BROWSER = b"webauthn-sk-ecdsa-sha2-nistp256@openssh.com"


def strings(*parts: bytes) -> bytes:
    """Return SSH strings (RFC 4251)."""
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def mpint(number: int) -> bytes:
    """Return a positive mpint's bytes, without its length (RFC 4251)."""
    return number.to_bytes(number.bit_length() // 8 + 1, "big")


def armour_of(key: PublicKey, blob: bytes, namespace: str = "git", *, name: bytes = b"sha512") -> bytes:
    """Return the armoured signature around a blob."""
    return wrap(b"SSHSIG" + (1).to_bytes(4, "big") + strings(key.blob, namespace.encode(), b"", name, blob))


class _P256:
    """The curve of ECDSA keys."""

    def __init__(self, seed: bytes) -> None:
        self.key: EllipticCurvePrivateKey = derive_private_key(
            int.from_bytes(hashlib.sha256(seed).digest(), "big") % (ORDER - 1) + 1, SECP256R1()
        )
        point = self.key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        self.public = strings(b"nistp256", point)

    def numbers(self, message: bytes) -> tuple[int, int]:
        """Return r and s, as RFC 6979 chooses them: s lies in either half."""
        return decode_dss_signature(self.key.sign(message, ECDSA(SHA256(), deterministic_signing=True)))

    def sign(self, message: bytes) -> bytes:
        return strings(*map(mpint, self.numbers(message)))


class _Edwards:
    """The curve of Ed25519 keys."""

    def __init__(self, seed: bytes) -> None:
        self.key = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(seed).digest())
        self.public = strings(self.key.public_key().public_bytes_raw())

    def sign(self, message: bytes) -> bytes:
        return self.key.sign(message)


@dataclass(frozen=True)
class EcdsaKey:
    """An ecdsa-sha2-nistp256 key, as `ssh-keygen -t ecdsa` makes it."""

    name: str

    @cached_property
    def curve(self) -> _P256:
        """The private half."""
        return _P256(self.name.encode())

    @cached_property
    def public(self) -> PublicKey:
        """The public half."""
        return PublicKey.read(strings(ECDSA_TYPE) + self.curve.public)

    def sign(self, message: bytes, namespace: str = "git") -> bytes:
        """Return an armoured signature."""
        blob = strings(ECDSA_TYPE, self.curve.sign(signed_bytes(namespace.encode(), b"sha512", message)))
        return armour_of(self.public, blob, namespace)

    def sign_otherwise(self, message: bytes) -> bytes:
        """Return the same signature with s in the other half of its range, which anybody could make of it."""
        r, s = self.curve.numbers(signed_bytes(b"git", b"sha512", message))
        return armour_of(self.public, strings(ECDSA_TYPE, strings(mpint(r), mpint(ORDER - s))))


@dataclass(frozen=True)
class FidoKey:
    """A security key at a terminal, of type `FIDO_ED25519` or `FIDO_ECDSA`; `application` is what it is bound to."""

    name: str
    type: bytes = FIDO_ED25519
    application: str = "ssh:"

    @cached_property
    def curve(self) -> _P256 | _Edwards:
        """The private half."""
        return (_Edwards if self.type == FIDO_ED25519 else _P256)(self.name.encode())

    @cached_property
    def public(self) -> PublicKey:
        """The public half."""
        return PublicKey.read(strings(self.type) + self.curve.public + strings(self.application.encode()))

    def sign(self, message: bytes, namespace: str = "git", *, flags: int = TOUCHED, counter: int = 7) -> bytes:
        """Return an armoured signature (OpenSSH PROTOCOL.u2f, "SSH U2F Signatures")."""
        signed = signed_bytes(namespace.encode(), b"sha512", message)
        data = bytes([flags]) + counter.to_bytes(4, "big")
        raw = self.curve.sign(self.hash + data + hashlib.sha256(signed).digest())
        return armour_of(self.public, strings(self.type, raw) + data, namespace)

    @property
    def hash(self) -> bytes:
        """The application's hash, with which an authenticator begins what it signs."""
        return hashlib.sha256(self.application.encode()).digest()


@dataclass(frozen=True)
class Passkey(FidoKey):
    """A passkey in a browser. Each argument of `sign` but the first two is something that OpenSSH does not look at."""

    type: bytes = FIDO_ECDSA
    application: str = RELYING_PARTY

    def sign(
        self,
        message: bytes,
        namespace: str = "git",
        *,
        flags: int = VERIFIED,
        counter: int = 0,
        origin: str = ORIGIN,
        tail: bytes = b',"crossOrigin":false}',
        extensions: bytes = b"",
    ) -> bytes:
        """Return an armoured WebAuthn assertion; `tail` is the end of clientDataJSON, after the origin."""
        signed = signed_bytes(namespace.encode(), b"sha512", message)
        client_data = beginning(signed, origin) + tail
        data = bytes([flags]) + counter.to_bytes(4, "big")
        raw = self.curve.sign(self.hash + data + extensions + hashlib.sha256(client_data).digest())
        blob = strings(IN_A_BROWSER, raw) + data + strings(origin.encode(), client_data, extensions)
        return armour_of(self.public, blob, namespace)

    def sign_at_terminal(self, message: bytes, *, flags: int = VERIFIED) -> bytes:
        """Return what the authenticator would sign for a program that is no browser."""
        return FidoKey.sign(self, message, flags=flags)


def beginning(challenge: bytes, origin: str) -> bytes:
    """Return how browsers begin clientDataJSON (Web Authentication, section 5.8.1.1)."""
    encoded = base64.urlsafe_b64encode(challenge).rstrip(b"=").decode()
    return f'{{"type":"webauthn.get","challenge":"{encoded}","origin":"{origin}"'.encode()
