"""The home's secrets as this device opens them, and what it remembers of them over roll-backs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from reconciler.errors import Stalled


@dataclass(frozen=True, slots=True)
class Opened:
    """A secret in the clear. `value` is one line without its end; it never shows in a `repr`."""

    name: str
    version: int
    value: bytes = field(repr=False)

    def smb_account(self) -> bytes:
        """Return the password fields of the account in smbpasswd(5)."""
        raise Stalled("SecretsMissing", "This version of Hearth cannot open secrets yet.")


class Keyring:
    """Opens the secrets of one home with this device's own key."""

    def open(self, files: Mapping[str, bytes], names: Sequence[str]) -> Mapping[str, Opened]:
        """Return the secrets `names` out of the household's files.

        Raises:
            Stalled: one is missing or cannot be used.
        """
        del files, names
        raise Stalled("SecretsMissing", "This version of Hearth cannot open secrets yet.")

    def remember(self, opened: Mapping[str, Opened]) -> None:
        """Keep the versions that are now in effect."""
