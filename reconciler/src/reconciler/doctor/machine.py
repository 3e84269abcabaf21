"""What this machine needs before any home: programs and their versions, a clock, a disk, and a cage for the checkers."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from reconciler.cage import caged
from reconciler.clock import plausible
from reconciler.doctor.diagnosis import Diagnosis, advice, bad, ok
from reconciler.errors import HearthError
from reconciler.run import SURROUNDINGS, find_program, run

_MOST_AHEAD_SECONDS = 600.0
_FEW_BYTES, _TOO_FEW_BYTES = 500_000_000, 50_000_000
_DEBIAN = re.compile(r"2\.(?P<minor>[0-9]+)[^ ]*?deb(?P<release>1[23])u(?P<update>[0-9]+)")
_UPGRADE = "sudo apt update && sudo apt install --only-upgrade dnsmasq dnsmasq-base"


def dnsmasq() -> Diagnosis:
    """Look whether dnsmasq is installed, and in a version without known holes."""
    try:
        find_program("dnsmasq")
        query = run(["dpkg-query", "--show", "--showformat=${Version}", "dnsmasq-base"], seconds=10)
    except HearthError as error:
        if error.message.startswith("dpkg-query"):
            return advice("dnsmasq", "dnsmasq is there, but not as a Debian package, so its version is not judged.")
        return bad("dnsmasq", "dnsmasq is not installed.", "sudo apt install dnsmasq")
    return dnsmasq_version(query.text.strip()[:80] if query.code == 0 else "")


def dnsmasq_version(version: str) -> Diagnosis:
    """Judge a Debian version of dnsmasq by Debian's security advisories of 2026.

    Six holes of May 2026 are mended in deb12u2 and deb13u1, two more in deb13u2. The crash of 2.90 on SIGHUP with tags among
    the reservations is one that the rendered files never meet.
    """
    match = _DEBIAN.search(version)
    if not match:
        shown = version if version.isprintable() else ascii(version)
        what = (
            f"dnsmasq {shown} is not a version of Debian 12 or 13"
            if version
            else "Which dnsmasq this is cannot be told"
        )
        return advice(
            "dnsmasq", f"{what}: whether the holes of May 2026 are mended in it is not known.", "Compare its changelog."
        )
    release, update = int(match["release"]), int(match["update"])
    if update < {12: 2, 13: 1}[release]:
        return bad(
            "dnsmasq",
            f"dnsmasq {version} has six known holes, mended in deb{release}u{ {12: 2, 13: 1}[release] }.",
            _UPGRADE,
        )
    if release == 13 and update < 2:
        return advice("dnsmasq", f"dnsmasq {version} has two known holes, mended in deb13u2.", _UPGRADE)
    return ok("dnsmasq", f"dnsmasq {version}")


def programs(*, needs_ssh: bool) -> Diagnosis:
    """Look for the small programs around: ssh-keygen and ssh-keyscan where the source is reached by SSH, and git for people."""
    missing = [
        name for name in ("git", "ssh-keygen", "ssh-keyscan") if not shutil.which(name, path=SURROUNDINGS["PATH"])
    ]
    if not missing:
        return ok("programs", "git and ssh-keygen are there")
    packages = " ".join(sorted({"git" if name == "git" else "openssh-client" for name in missing}))
    words, remedy = f"{' and '.join(missing)} cannot be found.", f"sudo apt install {packages}"
    needed = needs_ssh and missing != ["git"]
    return (
        bad("programs", words, remedy) if needed else advice("programs", f"{words} Only people need it here.", remedy)
    )


def clock(now: float, newest: float) -> Diagnosis:
    """Judge the clock (seconds since 1970) by what cannot be: before Hearth was made, or before what this home remembers.

    `newest` is the latest time that the home has written down; 0 if none.
    """
    if not plausible(now):
        when = datetime.fromtimestamp(min(max(now, 0), 253_402_300_799), UTC)
        return bad("clock", f"The clock says {when:%d.%m.%Y}, which cannot be.", "sudo timedatectl set-ntp true")
    if now + _MOST_AHEAD_SECONDS < newest:
        behind = (newest - now) / 3600
        return bad(
            "clock", f"The clock is {behind:.1f} h behind what this home wrote down.", "sudo timedatectl set-ntp true"
        )
    return ok("clock", f"The clock says {datetime.fromtimestamp(now).astimezone():%Y-%m-%d %H:%M %Z}")


def kept_in_step() -> Diagnosis | None:
    """Look whether systemd keeps the clock in step; None where systemd does not run."""
    if not Path("/run/systemd/system").is_dir():
        return None
    try:
        said = run(["timedatectl", "show", "--property=NTP", "--property=NTPSynchronized", "--value"], seconds=10)
    except HearthError:
        return None
    if said.text.split() == ["yes", "yes"]:
        return None
    return advice("clock-sync", "The clock is not kept in step with the world's.", "sudo timedatectl set-ntp true")


def disk(folder: Path) -> Diagnosis:
    """Look at the file system that holds `folder`, or will: its room, and whether it can be written."""
    place = next(parent for parent in (folder, *folder.parents) if parent.exists())
    try:
        found = os.statvfs(place)
    except OSError as error:
        return bad(
            "disk", f"{place} cannot be looked at: {error.strerror}.", "sudo dmesg | tail shows what the disk says."
        )
    if found.f_flag & os.ST_RDONLY:
        return bad(
            "disk", f"{place} is on a file system that is read-only.", f"sudo mount -o remount,rw {_mount(place)}"
        )
    if not os.access(place, os.W_OK):
        return advice(
            "disk", f"{place} cannot be written by you; the agent runs as root.", "sudo hearth doctor looks closer."
        )
    if found.f_files and found.f_favail < 1_000:
        return bad("disk", f"{place} has room for {found.f_favail} more files only.", "Find what fills it: df --inodes")
    return room(place, found.f_bavail * found.f_frsize)


def room(place: Path, free: int) -> Diagnosis:
    """Judge the free bytes of the file system that holds `place`."""
    if free >= _FEW_BYTES:
        return ok("disk", f"{free / 1e9:.1f} GB free for {place}")
    words, remedy = (
        f"Only {free / 1e6:.0f} MB are free for {place}.",
        "sudo apt clean; sudo journalctl --vacuum-size=50M",
    )
    return bad("disk", words, remedy) if free < _TOO_FEW_BYTES else advice("disk", words, remedy)


def _mount(place: Path) -> Path:
    return next(parent for parent in (place, *place.parents) if parent.is_mount())


def cage() -> Diagnosis:
    """Try whether a daemon's checker can be caged here: without that no change is ever applied."""
    with tempfile.TemporaryDirectory(prefix="hearth-doctor-") as folder:
        place = Path(folder)
        place.chmod(0o755)  # the checkers run without privileges
        (place / "dnsmasq.conf").write_text("port=53\n")
        try:
            ended = caged(("dnsmasq", "--test", "--conf-file={root}/dnsmasq.conf"), place, seconds=10)
        except HearthError as error:
            return bad("checkers", error.message, error.remedy)
    if ended.code != 0:
        return bad("checkers", f"A daemon's checker does not work in its cage (code {ended.code}).")
    return ok("checkers", "daemons' checkers run, caged")
