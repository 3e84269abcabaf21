"""Files with holes, filled on tmpfs with what only this device knows.

Owns the writing, the owner and the comparison; what a secret is and how it is opened is `secrets`.
"""

from __future__ import annotations

import os
import pwd
import secrets
from collections.abc import Mapping
from pathlib import Path

from reconciler.durable import make_folder
from reconciler.errors import Transient
from reconciler.secrets import Needs, Opened
from renderers.plan import Fill, Part, Plan

_MODE = 0o600


def secrets_in(plan: Plan) -> Needs:
    """Return the names of all secrets that the plan's files need, sorted; one that a service needs is not a person's."""
    parts = [part for provision in plan.provisions if isinstance(provision, Fill) for part in provision.parts]
    services = {part.value for part in parts if part.kind == "secret"}
    people = {part.value for part in parts if part.kind == "smb-account"} - services
    return Needs(tuple(sorted(services)), tuple(sorted(people)))


def fill(provision: Fill, opened: Mapping[str, Opened]) -> set[str]:
    """Write the file unless it holds that already; return its path if its content is new.

    Raises:
        OSError: it cannot be written. Transient: its owner is no user of this machine.
    """
    path = Path(provision.path)
    content = b"".join(_filled(part, opened) for part in provision.parts)
    make_folder(path.parent, 0o711)
    try:
        same = not path.is_symlink() and path.read_bytes() == content
    except OSError:
        same = False
    _write(path, content, provision.owner)
    return set() if same else {provision.path}


def check_in_memory(folder: Path) -> None:
    """Check that `folder` lies in memory, where no disk keeps what is written (tmpfs(5)).

    Raises:
        Transient: it lies on a disk.
    """
    import psutil

    within = [disk for disk in psutil.disk_partitions(all=True) if folder.is_relative_to(disk.mountpoint)]
    holds = max(reversed(within), key=lambda disk: len(disk.mountpoint), default=None)
    if holds is None or holds.fstype not in {"tmpfs", "ramfs"}:
        raise Transient(
            "SecretsOnDisk",
            f"{folder} does not lie in memory, so no secret is written there.",
            "systemd mounts /run as tmpfs: `findmnt /run` shows what is there instead.",
        )


def sweep(folder: Path, plan: Plan) -> None:
    """Remove every file in the secrets' `folder` that the plan does not fill."""
    wanted = {provision.path for provision in plan.provisions if isinstance(provision, Fill)}
    for path in folder.rglob("*") if folder.is_dir() else ():
        if not path.is_dir() and str(path) not in wanted:
            path.unlink(missing_ok=True)


def _filled(part: Part, opened: Mapping[str, Opened]) -> bytes:
    match part.kind:
        case "text":
            return part.value.encode()
        case "uid":
            return str(_ids(part.value)[0] if part.value else os.getuid()).encode()
        case "gid":
            return str(os.getgid()).encode()
        case "secret":
            value = opened[part.value].value
            assert value is not None  # only a person's may lack
            return value
        case "smb-account":
            return opened[part.value].smb_account()


def _write(path: Path, content: bytes, owner: str) -> None:
    """Replace the file in one rename(2), never readable by others; on tmpfs there is nothing to fsync."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, _MODE)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            if os.geteuid() == 0 and owner != "root":
                os.fchown(file.fileno(), *_ids(owner))
        draft.rename(path)
    finally:
        draft.unlink(missing_ok=True)


def _ids(owner: str) -> tuple[int, int]:
    try:
        entry = pwd.getpwnam(owner)
    except KeyError:
        raise Transient(
            "ProvisionFailed", f"This machine has no user {owner}.", "`hearth doctor` looks at the machine."
        ) from None
    return entry.pw_uid, entry.pw_gid
