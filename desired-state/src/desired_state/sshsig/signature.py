"""A detached signature as a whole: for which purpose, by which key, over which bytes (OpenSSH PROTOCOL.sshsig)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from desired_state.sshsig.armour import unwrap, wrap
from desired_state.sshsig.forms import Touch, check_blob
from desired_state.sshsig.keys import PublicKey, public_key
from desired_state.sshsig.wire import Malformed, Reader, string

_MAGIC = b"SSHSIG"
_HASHES: dict[bytes, Callable[[bytes], bytes]] = {
    b"sha256": lambda message: hashlib.sha256(message).digest(),
    b"sha512": lambda message: hashlib.sha512(message).digest(),
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
        reader = Reader(unwrap(armour))
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

    def check(self, message: bytes) -> Touch | None:
        """Check that `key` signed `message` in `namespace`; return what a FIDO key said of the touch, None for others.

        Stock OpenSSH agrees with each yes. Whether the touch is good enough is not asked here (`trust.touch`).

        Raises:
            Malformed: the signature's own bytes are not exactly one signature of the key's type.
            Wrong: the signature does not belong to this message.
        """
        return check_blob(self.key, self.blob, signed_bytes(self.namespace, self.hash, message))


def sign(message: bytes, namespace: str, key: Ed25519PrivateKey) -> bytes:
    """Return an armoured signature over `message`, byte for byte what `ssh-keygen -Y sign` gives with the same key."""
    space = namespace.encode("ascii")
    blob = string(b"ssh-ed25519") + string(key.sign(signed_bytes(space, b"sha512", message)))
    fields = (public_key(key).blob, space, b"", b"sha512", blob)
    return wrap(_MAGIC + (1).to_bytes(4, "big") + b"".join(map(string, fields)))


def signed_bytes(namespace: bytes, name: bytes, message: bytes) -> bytes:
    """Return what a key really signs: magic, namespace, reserved field, hash name and the message's hash."""
    return _MAGIC + b"".join(map(string, (namespace, b"", name, _HASHES[name](message))))
