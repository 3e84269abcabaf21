"""What only this device can put beside a generation's files, before its daemons are told: folders, accounts, filled holes, keys.

Level-triggered: `/run/hearth/provided.json` says for which generation and which commit's secrets they were last made, how each
looked then, how long that is good for, and that the daemons were told. So a pass in which nothing changed costs one look at each
path, and a crash before the telling leaves no file: then whatever was made counts as new. A secret that changes leaves the artifact as it
is: then the commit differs, and what is filled from it is compared. How each kind is made is the other modules'.
"""

from __future__ import annotations

import hashlib
import json
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reconciler.clock import Clock, SystemClock
from reconciler.durable import make_folder, write_atomic
from reconciler.errors import Transient
from reconciler.generation import Generation
from reconciler.provision import authority
from reconciler.provision.authority import Stands
from reconciler.provision.fill import check_in_memory, fill, secrets_in, sweep
from reconciler.run import run
from reconciler.secrets import Keyring, Opened, Standing
from reconciler.settings import Paths
from renderers.plan import Authority, Command, Fill, Folder, Plan, Provision, ServerKey

Files = Mapping[str, bytes]
_SECONDS = 30.0


@dataclass(slots=True)
class Made:
    """What making the provisions of one generation left, until the daemons are told.

    `stands` are the paths that must stay as they look now, `changed` those whose content is new. `secrets` is what to say of them;
    None where none is needed. `windows` say from when until when, in seconds since 1970, what has an end needs no renewal.
    `authority` is the home's own, where it has one: for keys that it shall sign.
    """

    digest: str
    commit: str
    secrets: Standing | None
    stands: dict[str, list[int | str] | None] = field(default_factory=dict)
    changed: set[str] = field(default_factory=set)
    windows: list[tuple[float, float]] = field(default_factory=list)
    authority: Stands | None = None

    def add(self, *paths: str) -> None:
        """Note that these paths stand."""
        self.stands |= {path: _stamp(path) for path in paths}


class Provisions:
    """The provisions of one home. `in_memory`: what holds secrets must lie on a file system that never reaches a disk."""

    def __init__(self, paths: Paths, keyring: Keyring, *, in_memory: bool = False, clock: Clock | None = None) -> None:
        self._paths = paths
        self._keyring = keyring
        self._in_memory = in_memory
        self._clock = clock or SystemClock()

    def check(self, plan: Plan, files: Files) -> None:
        """Open every secret that the plan's files need out of a new commit's `files`, and touch nothing.

        Raises:
            Stalled: a service's secret is missing or cannot be used, or one was replaced before (SecretsMissing, SecretRefused); or
                the authority's key is damaged, or has ended.
            Transient: keys would have to be made, and the clock cannot be right (ClockWrong).
        """
        self._keyring.check(files, secrets_in(plan))
        for provision in plan.provisions:
            if isinstance(provision, Authority):
                authority.check(provision, self._paths.keys, self._clock.now().wall)

    def stale(self, generation: Generation, commit: str) -> bool:
        """Whether the provisions are not, or no longer, those of this generation with the secrets of `commit`."""
        if not generation.plan.provisions:
            return False
        known = _read(self._paths.provided)
        if (known.get("digest"), known.get("commit")) != (generation.digest, commit):
            return True
        now = self._clock.now().wall
        return any(_stamp(path) != stamp for path, stamp in known.get("stands", {}).items()) or any(
            authority.due(since, until, now) for since, until in known.get("windows", [])
        )

    def standing(self, generation: Generation) -> Standing | None:
        """Return what there is to say of the secrets in effect; None where the generation needs none, or they are not provided."""
        known = _read(self._paths.provided) if secrets_in(generation.plan) else {}
        raw = known.get("secrets") if known.get("digest") == generation.digest else None
        return Standing.from_json(raw) if raw else None

    def make(self, generation: Generation, commit: str, files: Callable[[], Files]) -> Made:
        """Make the provisions of `generation`; `files` gives the household's files at `commit`. Then tell the daemons, and `settle`.

        Raises:
            Stalled: a secret cannot be used; nothing was touched. Transient: a command failed.
            OSError: the disk is full, broken or read-only.
        """
        plan = generation.plan
        needs = secrets_in(plan)
        opened = self._keyring.open(files(), needs) if needs else {}
        self._keyring.remember(opened)
        told = bool(_read(self._paths.provided))
        self._paths.provided.unlink(missing_ok=True)
        made = Made(generation.digest, commit, Standing.of(opened) if needs else None)
        for provision in sorted(
            plan.provisions, key=lambda each: not isinstance(each, Authority)
        ):  # it signs others' keys
            self._make(provision, opened, made)
        sweep(self._paths.secrets, plan)
        if not told:
            made.changed |= made.stands.keys()
        return made

    def settle(self, made: Made) -> None:
        """Note that the daemons know of all that was made.

        Raises:
            OSError: it cannot be written.
        """
        secrets = made.secrets.as_json() if made.secrets else None
        known = {"digest": made.digest, "commit": made.commit, "stands": made.stands, "windows": made.windows}
        write_atomic(self._paths.provided, json.dumps(known | {"secrets": secrets}).encode())

    def _make(self, provision: Provision, opened: Mapping[str, Opened], made: Made) -> None:
        match provision:
            case Command():
                _run(provision)
                made.add(*provision.makes)
            case Folder(path, mode):
                make_folder(Path(path), mode)
                made.add(path)
            case Fill(path):
                if self._in_memory:
                    check_in_memory(self._paths.run)
                made.changed |= fill(provision, opened)
                made.add(path)
            case Authority():
                made.authority, changed = authority.make(provision, self._paths.keys, self._clock.now().wall)
                made.changed |= changed
                made.windows.append((made.authority.since, made.authority.until))
                made.add(*authority.paths(provision, self._paths.keys))
            case ServerKey(path=path):
                from reconciler.provision import server_key

                window, new = server_key.make(provision, made.authority, self._clock.now().wall)
                made.changed |= {path} if new else set()
                made.windows.append(window)
                made.add(path)


def _run(provision: Command) -> None:
    finished = run(provision.command, seconds=_SECONDS)
    if finished.code != 0:
        last = next((line for line in reversed(finished.text.splitlines()) if line.strip()), "it said nothing")
        raise Transient("ProvisionFailed", f"{provision.name} failed: {last}.", "`hearth doctor` looks at the machine.")
    for path in map(Path, provision.makes):
        if path.is_symlink() or not path.is_dir():
            raise Transient("ProvisionFailed", f"{path} is no folder.", "Move what stands there out of the way.")


def _stamp(path: str) -> list[int | str] | None:
    """Return how a path looks, by a file's content and not by its time: Samba writes its accounts anew after each wrong password."""
    try:
        now = Path(path).lstat()
        content = [hashlib.sha256(Path(path).read_bytes()).hexdigest()] if stat.S_ISREG(now.st_mode) else []
    except OSError:
        return None
    return [now.st_ino, now.st_mode, now.st_uid, now.st_gid, *content]


def _read(marker: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(marker.read_bytes()))
    except (OSError, ValueError, TypeError):
        return {}
