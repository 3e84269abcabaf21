"""Opening the secrets of one home with this device's own key: all of them, before anything live is touched.

A service's secret that cannot be used stops the change; a person's leaves them without a log-in, and all else goes on. Whatever
is older than what was in effect stops a new commit, for a person too: somebody replays it. Going back to a commit that was in
effect already takes its secrets as they were.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from desired_state.secrets import Unsound, count_recipients, read_envelope
from reconciler.errors import Stalled
from reconciler.secrets.opened import Opened


@dataclass(frozen=True, slots=True)
class Needs:
    """The names of the secrets that a plan is filled from: those of services, and people's passwords."""

    services: tuple[str, ...] = ()
    people: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.services or self.people)


class Keyring:
    """The secrets of the household `household`, opened with the key in the folder `keys`."""

    def __init__(self, keys: Path, household: str) -> None:
        self._keys = keys
        self._household = household

    def check(self, files: Mapping[str, bytes], needs: Needs) -> None:
        """Check that a new commit's `files` hold everything that is needed, and nothing that was replaced before.

        Raises:
            Stalled: SecretsMissing or SecretRefused. Misused, OSError: the device's own key or memory cannot be read.
        """
        old = [each for each in self.open(files, needs).values() if each.goes_back]
        if old:
            raise _refused(
                old[0].name, f"has version {old[0].version}, and a newer one was in effect here already", more=len(old)
            )

    def open(self, files: Mapping[str, bytes], needs: Needs) -> Mapping[str, Opened]:
        """Return every secret that is needed; one that was replaced since says so.

        Raises:
            Stalled: a service's is missing (SecretsMissing) or cannot be used (SecretRefused).
            Misused, OSError: the device's own key or memory cannot be read.
        """
        if not needs:
            return {}
        opening = _Opening(self._keys, self._household, files)
        people = {name: opening.persons(name) for name in needs.people}
        return people | opening.services(needs.services)

    def remember(self, opened: Mapping[str, Opened]) -> None:
        """Keep the versions that are in effect from now on. None ever sinks.

        Raises:
            Misused, OSError: it cannot be read or written.
        """
        if not opened:
            return
        from reconciler.secrets import memory

        known = memory.read_or_begin(self._keys, self._household)
        effective = {
            each.name: memory.Applied(each.version, each.mark) for each in opened.values() if each.value is not None
        }
        if (after := known.after(effective)) is not known:
            memory.write(self._keys, after)


class _Opening:
    """One look at a household's files with this device's key."""

    def __init__(self, keys: Path, household: str, files: Mapping[str, bytes]) -> None:
        from reconciler.secrets import device_key, memory

        self._identity = device_key.read_or_make(keys)
        self._memory = memory.read_or_begin(keys, household)
        self._household = household
        self._files = files

    def services(self, names: Sequence[str]) -> dict[str, Opened]:
        if missing := [name for name in names if self._file(name) is None]:
            raise _missing(missing[0], more=len(missing))
        opened = {}
        for name in names:
            try:
                opened[name] = self._open(name)
            except Unsound as flaw:
                raise _refused(name, str(flaw)) from None
        return opened

    def persons(self, name: str) -> Opened:
        if self._file(name) is None:
            return Opened(name, 0, None)
        try:
            return self._open(name)
        except Unsound as flaw:
            return Opened(name, 0, None, lack=f"secrets/{name}.age {flaw}")

    def _file(self, name: str) -> bytes | None:
        return self._files.get(f"secrets/{name}.age")

    def _open(self, name: str) -> Opened:
        from reconciler.secrets import age

        content = self._file(name) or b""
        count_recipients(content)
        try:
            plaintext = age.unseal(content, [self._identity])
        except age.OtherKeys:
            own = age.recipient_of(self._identity)
            raise Unsound(
                f"is not encrypted to this device; its key has to stand in trust/recipients first: {own}"
            ) from None
        envelope = read_envelope(plaintext)
        if envelope.household != self._household:
            raise Unsound("is another household's")
        if envelope.name != name:
            raise Unsound(f"holds another secret, {envelope.name}")
        mark = self._memory.mark(plaintext)
        back = self._memory.goes_back(name, envelope.version, mark)
        return Opened(name, envelope.version, envelope.value.encode(), mark, goes_back=back)


def _missing(name: str, *, more: int) -> Stalled:
    also = f" ({more - 1} more)" if more > 1 else ""
    words = f"The secret {name} is needed, and there is no secrets/{name}.age{also}."
    return Stalled("SecretsMissing", words, f"{_command(name)} sets it.")


def _refused(name: str, clause: str, *, more: int = 1) -> Stalled:
    also = f" ({more - 1} more)" if more > 1 else ""
    return Stalled("SecretRefused", f"secrets/{name}.age {clause}{also}.", f"{_command(name)} sets it anew.")


def _command(name: str) -> str:
    return f"`hearth secret set {name} --commit --push` in the household's clone"
