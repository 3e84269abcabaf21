"""The secrets of a household as a person looks at them: who needs each, whether it is there, and what is wrong with it."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from desired_state.folder import secret_of
from desired_state.model import Household
from desired_state.secrets import (
    PERSON,
    RECIPIENTS,
    Envelope,
    Unsound,
    count_recipients,
    file_words,
    flaws,
    is_recipient,
    person_secrets,
    read_envelope,
    service_secrets,
)
from desired_state.trust import Refused
from desired_state.trust.commit import COMMIT_LIMIT
from desired_state.trust.people import read_recipients
from reconciler.errors import Misused, Stalled
from reconciler.secrets.keyring import Keyring, Needs

if TYPE_CHECKING:
    from reconciler.clone import Clone
    from reconciler.secrets.opened import Opened

_COMMITTER = re.compile(rb"\ncommitter [^\n]*> ([0-9]{1,15}) [+-][0-9]{4}\n")


@dataclass(frozen=True, slots=True)
class Entry:
    """One secret. `needed_by` is empty where nothing in the household refers to it; `opened` is what a device's key makes of it."""

    name: str
    needed_by: str
    content: bytes | None
    opened: Opened | None = None

    def as_json(self) -> dict[str, Any]:
        """Return what may be said of it."""
        return {
            "name": self.name,
            "needed_by": self.needed_by,
            "there": self.content is not None,
            "words": file_words(self.content) if self.content is not None else "",
            "version": self.opened.version or None if self.opened else None,
            "lack": self.opened.lack if self.opened else "",
        }


class Look:
    """One look at a household and all its files; with a `keyring`, also with a device's key."""

    def __init__(self, household: Household, files: Mapping[str, bytes], keyring: Keyring | None = None) -> None:
        self.household = household
        self.files = files
        self._keyring = keyring

    def entries(self) -> list[Entry]:
        """Return every secret that is there or needed, sorted by name."""
        needed = dict(self._needed())
        names = sorted({*needed, *filter(None, map(secret_of, self.files))})
        opened = self._keyring.open(self.files, Needs(people=tuple(names))) if self._keyring else {}
        return [Entry(name, needed.get(name, ""), self._file(name), opened.get(name)) for name in names]

    def problems(self) -> list[str]:
        """Return, in sentences, what keeps a service from running or a key from opening."""
        entries = {each.name: each for each in self.entries()}
        services = set(service_secrets(self.household))
        found = [f"{path} {clause}." for path, clause in flaws(self.files)]
        found += [
            f"{name} is needed and not there: `hearth secret set {name}`."
            for name in sorted(services)
            if entries[name].content is None
        ]
        return found + [
            f"{each.opened.lack}."
            for each in entries.values()
            if each.content is not None and each.opened and each.opened.lack
        ]

    def notes(self) -> list[str]:
        """Return, in sentences, what is well but worth knowing."""
        return [
            f"{self.household.people[each.name.removeprefix(PERSON)].name} has no password: `hearth secret set {each.name}`."
            if each.content is None
            else f"Nothing needs secrets/{each.name}.age."
            for each in self.entries()
            if (each.content is None) != (not each.needed_by) and each.name not in service_secrets(self.household)
        ]

    def renewed(self, identity: str, version: int) -> dict[str, Envelope]:
        """Return every secret that is there with a higher version, opened by `identity`: all, or none.

        Raises:
            Stalled: one cannot be opened, or is not what its name says.
        """
        envelopes = {}
        for name in filter(None, map(secret_of, sorted(self.files))):
            try:
                found = self._opened(name, identity)
            except Unsound as flaw:
                raise Stalled(
                    "SecretRefused",
                    f"secrets/{name}.age {flaw}, so nothing was changed.",
                    f"Set it anew: `hearth secret set {name}`.",
                ) from None
            envelopes[name] = Envelope(found.household, name, max(version, found.version + 1), found.value)
        return envelopes

    def _opened(self, name: str, identity: str) -> Envelope:
        from reconciler.secrets import age

        content = self.files[f"secrets/{name}.age"]
        count_recipients(content)
        found = read_envelope(age.unseal(content, [identity]))
        if (found.household, found.name) != (self.household.id, name):
            raise Unsound("is another secret's, or another household's")
        return found

    def _needed(self) -> Iterator[tuple[str, str]]:
        for name in person_secrets(self.household):
            yield name, self.household.people[name.removeprefix(PERSON)].name
        for name in service_secrets(self.household):
            yield name, "the mail relay"

    def _file(self, name: str) -> bytes | None:
        return self.files.get(f"secrets/{name}.age")


def recipients_in(files: Mapping[str, bytes]) -> tuple[str, ...]:
    """Return the keys that a household's secrets are encrypted to.

    Raises:
        Misused: there is none, or a line is no such key.
    """
    try:
        found = read_recipients(RECIPIENTS, files.get(RECIPIENTS, b""))
    except Refused as refused:
        raise Misused("BadRecipient", f"The household {refused.message}.", refused.remedy) from None
    if not found:
        raise Misused(
            "NoRecipients",
            f"{RECIPIENTS} names no key, so nobody could read the secret.",
            "`sudo hearth secret recipient` on the Pi shows its line; docs/secrets.md has the order of steps.",
        )
    if strange := [line for line in found if not is_recipient(line)]:
        raise Misused("BadRecipient", f"{RECIPIENTS} has {strange[0][:80]}, which is no X25519 key of age.")
    return found


def next_version(clone: Clone, head: str, after: int) -> int:
    """Return a version for a secret that is set now: the time in milliseconds, and higher than `after`.

    Nobody needs to open the last one to be newer, and two clones need not know of each other. Where the newest commit is from the
    future, one of the two clocks is wrong: then it is higher than whatever was set before that commit.
    """
    raw = clone.repository.read(head, "commit", COMMIT_LIMIT)
    committed = _COMMITTER.search(raw)
    now, newest = time.time_ns() // 1_000_000, int(committed[1]) * 1_000 if committed else 0
    return max(now if newest <= now else newest + 1_000, after + 1)
