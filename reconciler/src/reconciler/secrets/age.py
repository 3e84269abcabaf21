"""age in process, through pyrage: keys, sealing and opening. The only module that knows the library; imported when first needed."""

from __future__ import annotations

from collections.abc import Iterable

import pyrage

from desired_state.secrets import Unsound
from reconciler.errors import Misused


class OtherKeys(Unsound):
    """The file is encrypted to other keys than the ones at hand."""


def new_identity() -> str:
    """Return a new identity, `AGE-SECRET-KEY-1...`."""
    return str(pyrage.x25519.Identity.generate())


def recipient_of(identity: str) -> str:
    """Return the recipient, `age1...`, of an identity.

    Raises:
        ValueError: it is no X25519 identity; the message does not repeat it.
    """
    return str(_identity(identity).to_public())


def seal(plaintext: bytes, recipients: Iterable[str]) -> bytes:
    """Encrypt to every one of the recipients.

    Raises:
        Misused: one of them is no X25519 recipient of age, or there is none.
    """
    keys = []
    for text in recipients:
        try:
            keys.append(pyrage.x25519.Recipient.from_str(text))
        except pyrage.RecipientError:
            raise Misused("BadRecipient", f"{text[:80]} is no recipient of age.", "It looks like age1...") from None
    if not keys:
        raise Misused("NoRecipients", "There is nobody to encrypt to.")
    return bytes(pyrage.encrypt(plaintext, keys))


def unseal(content: bytes, identities: Iterable[str]) -> bytes:
    """Return the plaintext.

    Raises:
        OtherKeys: it is encrypted to others. Unsound: it is damaged. ValueError: one is no identity.
    """
    try:
        return bytes(pyrage.decrypt(content, [_identity(each) for each in identities]))
    except pyrage.DecryptError as error:
        if str(error) == "No matching keys found":
            raise OtherKeys("is encrypted to other keys") from None
        raise Unsound("is a damaged age file") from None


def _identity(text: str) -> pyrage.x25519.Identity:
    try:
        return pyrage.x25519.Identity.from_str(text)
    except pyrage.IdentityError:
        raise ValueError("not an identity of age") from None
