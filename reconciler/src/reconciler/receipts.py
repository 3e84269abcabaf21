"""Receipts: what this device says of each change that proved itself here, signed with its own key.

Owns the spool (bounded; one small file for each confirmed change, written once) and the device's key. The text is
`desired_state.trust.receipt`'s. A receipt follows from the journal alone, so one that a power cut lost is made again, the same.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable
from pathlib import Path

from reconciler.durable import make_folder, write_atomic
from reconciler.errors import Misused
from reconciler.generation import Generations
from reconciler.journal import Attempt, Confirmed, Ending, Journal
from reconciler.settings import Paths, Settings

MOST_RECEIPTS = 200
_LIMIT = 4_096
_NAME = re.compile(r"(?P<number>[0-9]{8})-(?P<confirmed>-?[0-9]{1,15}-[0-9a-f]{40})")


class Receipts:
    """The receipts of one home, oldest first."""

    def __init__(self, paths: Paths, settings: Settings) -> None:
        self._folder, self._key = paths.receipts, paths.device_key
        self._household, self._genesis = settings.household, settings.genesis
        self._last: tuple[Confirmed, str] | None = None

    def give(self, journal: Journal, generations: Generations) -> str | None:
        """Return the receipt of what is confirmed, signed and kept if it is new.

        None where nothing is, where the journal does not know how it came to be (it was lost once), or its generation is gone.

        Raises:
            Misused: the device's key cannot be read. OSError: the disk is full, broken or read-only.
        """
        confirmed = journal.confirmed
        if confirmed is None or not _proved_itself(confirmed, journal.attempts):
            return None
        if self._last is None or self._last[0] != confirmed:
            content = self._kept(confirmed)
            if content is None:
                if not generations.has(confirmed.digest):
                    return None
                content = self._sign(confirmed, generations.load(confirmed.digest).renderer)
                self._keep(confirmed, content)
            self._last = confirmed, content
        return self._last[1]

    def all(self) -> tuple[str, ...]:
        """Return every receipt that is kept.

        Raises:
            OSError: the disk does not give them.
        """
        return tuple(_read(self._folder / name) for name in self._names())

    def _names(self) -> list[str]:
        if not self._folder.is_dir():
            return []
        return sorted(path.name for path in self._folder.iterdir() if _NAME.fullmatch(path.name))

    def _kept(self, confirmed: Confirmed) -> str | None:
        found = (name for name in reversed(self._names()) if name.partition("-")[2] == _identity(confirmed))
        name = next(found, None)
        return _read(self._folder / name) if name else None

    def _keep(self, confirmed: Confirmed, content: str) -> None:
        make_folder(self._folder)
        names = self._names()
        for name in names[: max(0, len(names) - MOST_RECEIPTS + 1)]:
            (self._folder / name).unlink(missing_ok=True)
        number = int(names[-1][:8]) + 1 if names else 1
        write_atomic(self._folder / f"{number:08d}-{_identity(confirmed)}", content.encode("ascii"), 0o644)

    def _sign(self, confirmed: Confirmed, renderer: str) -> str:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_ssh_private_key

        from desired_state.sshsig import sign
        from desired_state.trust.receipt import RECEIPT, Receipt

        make_device_key(self._key)
        try:
            key = load_ssh_private_key(self._key.read_bytes(), password=None)
        except (ValueError, TypeError):
            key = None
        if not isinstance(key, Ed25519PrivateKey):
            raise Misused(
                "DeviceKeyUnreadable",
                f"{self._key} is not this device's key.",
                "Move it and its .pub away: a new one is made, whose line (`hearth receipt key`) the owners add to trust/devices.",
            )
        receipt = Receipt(
            self._household, self._genesis, confirmed.revision, confirmed.digest, renderer, int(confirmed.at)
        )
        return (receipt.text + sign(receipt.text, RECEIPT.namespace, key)).decode("ascii")


def make_device_key(key: Path) -> None:
    """Make this device's own key where it has none.

    Raises:
        Misused: it cannot be written.
    """
    if not key.exists():
        from reconciler.signing import new_key

        new_key(key, f"hearth device {socket.gethostname()}")


def device_line(key: Path, name: str) -> str:
    """Return the line by which the owners let `name` be this device, in trust/devices.

    Raises:
        Misused: there is no such key.
    """
    from desired_state.trust.people import key_line
    from desired_state.trust.receipt import RECEIPT
    from reconciler.signing import SigningKey, read_public_key

    return key_line(name, RECEIPT.namespace, read_public_key(SigningKey(key)))


def _proved_itself(confirmed: Confirmed, attempts: Iterable[Attempt]) -> bool:
    return any(
        (one.ending, one.digest, one.revision, one.ended)
        == (Ending.CONFIRMED, confirmed.digest, confirmed.revision, confirmed.at)
        for one in attempts
    )


def _identity(confirmed: Confirmed) -> str:
    return f"{int(confirmed.at)}-{confirmed.revision}"


def _read(file: Path) -> str:
    with file.open("rb") as content:
        return content.read(_LIMIT).decode("ascii", "replace")
