"""A secret in the clear, for as long as a pass needs it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Opened:
    """A secret in the clear.

    `value` is one line without its end. It is None for a person without a usable password; then `lack` says why, or nothing where
    there simply is none. `mark` is what this device recognises the plaintext by. `goes_back`: a newer one was in effect here before.
    Neither value nor mark shows in a `repr`.
    """

    name: str
    version: int
    value: bytes | None = field(repr=False)
    mark: str = field(repr=False, default="")
    lack: str = ""
    goes_back: bool = False

    def smb_account(self) -> bytes:
        """Return the password fields of the account in smbpasswd(5); without a value those of one that nobody can use."""
        from reconciler.provision.smb_account import smb_account

        return smb_account(self.value)


@dataclass(frozen=True, slots=True)
class Standing:
    """What there is to say of the secrets in effect.

    `lacking`: who has no usable password, by the secret's name, and why, if there is a reason. `old`: what is older than it was.
    """

    lacking: Mapping[str, str] = field(default_factory=dict)
    old: tuple[str, ...] = ()

    @classmethod
    def of(cls, opened: Mapping[str, Opened]) -> Standing:
        """Return what there is to say of these."""
        lacking = {each.name: each.lack for each in opened.values() if each.value is None}
        return cls(lacking, tuple(each.name for each in opened.values() if each.goes_back))

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Standing:
        """Return the standing that `as_json` gave."""
        return cls(dict(raw["lacking"]), tuple(raw["old"]))

    def as_json(self) -> dict[str, Any]:
        """Return it as plain dictionaries."""
        return asdict(self)
