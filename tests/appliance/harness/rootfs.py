"""The appliance's root file system as two read-only layers, built through pi-gen-stage or taken from the cache.

The lower layer is Debian with the daemons, named by what the stage says of them; the upper one is Hearth as it stands in this
checkout, named by its wheels and its installer. So a change of code costs seconds. Does not boot anything.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[3]
STAGE = CHECKOUT / "pi-gen-stage"
PYTHON_OF = {"trixie": "3.13", "bookworm": "3.11"}
_KEPT = 6


def cache() -> Path:
    """Return the folder for what is costly to build (XDG Base Directory Specification)."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hearth" / "appliance"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def appliance_layers() -> tuple[Path, ...]:
    """Return the layers of an appliance (trixie), upper one first; the first time this takes a minute."""
    with _only_one():
        daemons = _daemons_layer("trixie")
        hearth = _hearth_layer(daemons)
        _forget_old_ones(keep={daemons, hearth})
    return hearth, daemons


def debian_layers(release: str) -> tuple[Path, ...]:
    """Return the one layer of a Debian with the daemons and without Hearth, `trixie` or `bookworm`."""
    with _only_one():
        daemons = _daemons_layer(release)
        _forget_old_ones(keep={daemons})
    return (daemons,)


def wheels(folder: Path, *, for_python: str | None = None) -> str:
    """Build this checkout's wheels into `folder`, for a Python like 3.13 with all they need; return the SHA-256 of their list."""
    _step([CHECKOUT / "script/wheels", folder, *(["--with-dependencies", for_python] if for_python else [])])
    return _fingerprint([folder / "requirements.txt"])


def carry_in(folder: Path, release: str) -> None:
    """Put into `folder` what a person carries to a machine without a network: the installer, the wheels for it, step-ca."""
    (folder / "script").mkdir(parents=True)
    shutil.copy(CHECKOUT / "script/install", folder / "script/")
    shutil.copytree(STAGE, folder / "pi-gen-stage")
    with tempfile.TemporaryDirectory() as made:
        wheels(Path(made), for_python=PYTHON_OF[release])
        shutil.copytree(made, folder / "wheels")
        shutil.copy(step_ca(Path(made) / "step-ca"), folder / "step-ca")


def step_ca(program: Path) -> Path:
    """Put step-ca at `program`, for any Debian; the first time on a machine it is built, in a minute or two."""
    _step([CHECKOUT / "script/build-step-ca", program])
    return program


def _daemons_layer(release: str) -> Path:
    recipe = [
        STAGE / "build-rootfs",
        STAGE / "prerun.sh",
        *sorted((STAGE / "00-daemons").rglob("*")),
        _here("build-layer"),
    ]
    layer = cache() / f"{release}-{_fingerprint(recipe)}.squashfs"
    if not layer.exists():
        _step([_here("build-layer"), "-", layer, "00-daemons"], RELEASE=release)
    return layer


def _hearth_layer(daemons: Path) -> Path:
    recipe = [CHECKOUT / "script/install", *sorted((STAGE / "01-hearth").rglob("*"))]
    with tempfile.TemporaryDirectory() as folder:
        made, program = wheels(Path(folder)), step_ca(Path(folder) / "step-ca")
        recipe.append(program)
        layer = cache() / f"hearth-{_digest([daemons.name, made, _fingerprint(recipe)])}.squashfs"
        if not layer.exists():
            wheels(Path(folder), for_python=PYTHON_OF["trixie"])
            carried = {"HEARTH_WHEELS": folder, "HEARTH_STEP_CA": str(program)}
            _step([_here("build-layer"), daemons, layer, "01-hearth"], **carried)
    return layer


def _here(name: str) -> Path:
    return Path(__file__).with_name(name)


def _step(argv: list[Path | str], **environment: str) -> None:
    # pip's own settings are the host's: its folders and certificates mean nothing inside the appliance.
    inherited = (
        os.environ
        if argv[0] != _here("build-layer")
        else {k: v for k, v in os.environ.items() if not k.startswith("PIP_")}
    )
    done = subprocess.run(
        argv, env={**inherited, **environment}, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{Path(argv[0]).name} failed:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}")


def _fingerprint(paths: list[Path]) -> str:
    return _digest(
        [
            f"{path.name} {path.stat().st_mode:o} {hashlib.sha256(path.read_bytes()).hexdigest()}"
            for path in paths
            if path.is_file()
        ]
    )


def _digest(lines: list[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


@contextmanager
def _only_one() -> Iterator[None]:
    with (cache() / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _forget_old_ones(*, keep: set[Path]) -> None:
    for layer in keep:
        os.utime(layer)
    for kind in ("hearth", *PYTHON_OF):
        newest_first = sorted(cache().glob(f"{kind}-*.squashfs"), key=lambda path: path.stat().st_mtime, reverse=True)
        for layer in newest_first[_KEPT:]:
            layer.unlink()
    for leftover in cache().glob("*.squashfs.*"):
        subprocess.run(["rm", "-rf", "--one-file-system", leftover], check=True)
