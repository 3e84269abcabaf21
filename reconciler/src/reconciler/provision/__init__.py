"""What only this device can put beside a generation's files, before its daemons are told: folders, accounts, filled holes, keys.

Level-triggered: `/run/hearth/provided.json` says for which generation and which commit's secrets they were last made, and how each
looked then, so that a pass in which nothing changed costs one lstat(2) a path. A secret that changes leaves the artifact as it is:
then the commit differs, and what is filled from it is compared. How each kind is made is the other modules'.
"""

from __future__ import annotations

import json
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reconciler.durable import make_folder
from reconciler.errors import Transient
from reconciler.generation import Generation
from reconciler.provision.fill import fill, secrets_in, sweep
from reconciler.run import run
from reconciler.secrets import Keyring, Opened
from reconciler.settings import Paths
from renderers.plan import Authority, Command, Fill, Folder, Plan, Provision, ServerKey

Files = Mapping[str, bytes]
_SECONDS = 30.0


@dataclass(slots=True)
class _Made:
    """What making the provisions of one plan left: the paths that must stay as they are, and those whose content is new."""

    stands: list[str] = field(default_factory=list)
    changed: set[str] = field(default_factory=set)


class Provisions:
    """The provisions of one home."""

    def __init__(self, paths: Paths, keyring: Keyring) -> None:
        self._paths = paths
        self._keyring = keyring

    def check(self, plan: Plan, files: Files) -> None:
        """Open every secret that the plan's files need, and touch nothing.

        Raises:
            Stalled: a service's secret is missing or cannot be used (SecretsMissing, SecretRefused).
        """
        if names := secrets_in(plan):
            self._keyring.open(files, names)

    def stale(self, generation: Generation, commit: str) -> bool:
        """Whether the provisions are not, or no longer, those of this generation with the secrets of `commit`."""
        if not generation.plan.provisions:
            return False
        known = _read(self._paths.provided)
        return (known.get("digest"), known.get("commit")) != (generation.digest, commit) or any(
            _stamp(path) != stamp for path, stamp in known.get("stands", {}).items()
        )

    def bring(self, generation: Generation, commit: str, files: Callable[[], Files]) -> frozenset[str]:
        """Make the provisions of `generation`; `files` gives the household's files at `commit`. Return the absolute paths with new content.

        Raises:
            Stalled: a secret cannot be used. Transient: a command failed.
            OSError: the disk is full, broken or read-only.
        """
        plan = generation.plan
        names = secrets_in(plan)
        opened = self._keyring.open(files(), names) if names else {}
        self._paths.provided.unlink(missing_ok=True)
        made = _Made()
        for provision in plan.provisions:
            self._make(provision, opened, made)
        sweep(self._paths.secrets, plan)
        if names:
            self._keyring.remember(opened)
        if plan.provisions:
            _write(self._paths.provided, generation.digest, commit, made.stands)
        return frozenset(made.changed)

    def _make(self, provision: Provision, opened: Mapping[str, Opened], made: _Made) -> None:
        match provision:
            case Command():
                _run(provision)
                made.stands += provision.makes
            case Folder(path, mode):
                make_folder(Path(path), mode)
                made.stands.append(path)
            case Fill(path):
                made.changed |= fill(provision, opened)
                made.stands.append(path)
            case Authority() | ServerKey():
                raise NotImplementedError


def _run(provision: Command) -> None:
    finished = run(provision.command, seconds=_SECONDS)
    if finished.code != 0:
        last = next((line for line in reversed(finished.text.splitlines()) if line.strip()), "it said nothing")
        raise Transient("ProvisionFailed", f"{provision.name} failed: {last}.", "`hearth doctor` looks at the machine.")


def _stamp(path: str) -> list[int] | None:
    try:
        now = Path(path).lstat()
    except OSError:
        return None
    looks = [now.st_ino, now.st_mode, now.st_uid, now.st_gid]
    return looks + ([now.st_size, now.st_mtime_ns] if stat.S_ISREG(now.st_mode) else [])


def _read(marker: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(marker.read_bytes()))
    except (OSError, ValueError):
        return {}


def _write(marker: Path, digest: str, commit: str, stands: list[str]) -> None:
    content = {"digest": digest, "commit": commit, "stands": {path: _stamp(path) for path in stands}}
    marker.write_text(json.dumps(content), "ascii")
