"""The password fields of a line of smbpasswd(5): how Samba knows a person's password."""

from __future__ import annotations

_NO_HASH = b"X" * 32
_LAST_CHANGE = b"LCT-00000001"
"""When the password was set, in seconds since 1970: always the same, or a file would change without a new password. At 0 Samba
lets nobody in before it is changed (seen: NT_STATUS_PASSWORD_MUST_CHANGE)."""


def smb_account(password: bytes | None) -> bytes:
    """Return the fields from the LAN Manager hash, which is none, to the time of the last change.

    Without a password they are those of an account that nobody can use. The NT hash is MD4 over the password in UTF-16LE (MS-NLMP, 3.3.1).
    """
    if password is None:
        return _NO_HASH + b":" + _NO_HASH + b":[DU         ]:" + _LAST_CHANGE
    from Cryptodome.Hash import MD4

    digest = MD4.new(password.decode().encode("utf-16-le")).hexdigest().upper()  # noqa: S303 - what Samba asks for
    return _NO_HASH + b":" + digest.encode() + b":[U          ]:" + _LAST_CHANGE
