"""The armour around a signature, in the one form of `ssh-keygen -Y sign` (OpenSSH PROTOCOL.sshsig)."""

from __future__ import annotations

import base64
import binascii

from desired_state.sshsig.wire import Malformed

BEGIN = b"-----BEGIN SSH SIGNATURE-----\n"
END = b"-----END SSH SIGNATURE-----\n"
COLUMNS = 70
ARMOUR_LIMIT = 16_384


def wrap(blob: bytes) -> bytes:
    """Return the armoured form."""
    text = base64.b64encode(blob)
    lines = (text[start : start + COLUMNS] + b"\n" for start in range(0, len(text), COLUMNS))
    return BEGIN + b"".join(lines) + END


def unwrap(armour: bytes) -> bytes:
    """Return what is inside.

    Raises:
        Malformed: `wrap` would not write it so, or it is longer than `ARMOUR_LIMIT` bytes.
    """
    if len(armour) > ARMOUR_LIMIT:
        raise Malformed("is too long")
    if not (armour.startswith(BEGIN) and armour.endswith(END)):
        raise Malformed("is not an SSH signature")
    try:
        blob = base64.b64decode(armour[len(BEGIN) : -len(END)].replace(b"\n", b""), validate=True)
    except binascii.Error:
        raise Malformed("is not written as ssh-keygen writes it") from None
    if wrap(blob) != armour:
        raise Malformed("is not written as ssh-keygen writes it")
    return blob
