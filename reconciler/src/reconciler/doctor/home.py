"""What a joined home needs: its source, its keys, a running agent, files as they were rendered, and units that start at boot."""

from __future__ import annotations

import json
import stat
from pathlib import Path

from reconciler.conditions import Condition, Status
from reconciler.doctor.diagnosis import Diagnosis, advice, bad, ok
from reconciler.drift import DriftWatch
from reconciler.errors import HearthError
from reconciler.generation import Generation
from reconciler.lock import holder
from reconciler.run import run
from reconciler.settings import Paths, Settings
from reconciler.source import Credentials, Source
from reconciler.source.url import SourceUrl, Transport, parse_url
from renderers.plan import Plan

_BOOTED = Path("/run/systemd/system")
_AGENT = "hearth-agent.service"


def source(paths: Paths, settings: Settings) -> Diagnosis:
    """Ask the source where main stands; what keeps it from answering is said in its own words."""
    try:
        tip = Source(settings.source, Credentials.in_folder(paths.keys), paths.repository, paths.incoming).peek()
    except HearthError as error:
        return bad("source", error.message, error.remedy)
    except OSError as error:
        return advice("source", f"The source cannot be asked: {error.strerror}.", "sudo hearth doctor looks closer.")
    return ok("source", f"{parse_url(settings.source).place} answers; main is {tip[:7]}")


def keys(paths: Paths, url: SourceUrl) -> Diagnosis:
    """Look whether what opens the source is there, and closed to everybody else."""
    try:
        paths.keys.stat()
        opened = [path for path in (paths.keys, *sorted(paths.keys.iterdir())) if _open_to_others(path)]
    except PermissionError:
        return advice("keys", "Only root can look at this machine's keys.", "sudo hearth doctor looks closer.")
    except OSError as error:
        return bad("keys", f"{paths.keys} cannot be read: {error.strerror}.", "sudo hearth join makes it anew.")
    if opened:
        where = opened[0]
        mode = "700" if where.is_dir() else "600"
        return bad("keys", f"{where} can be read by others than root.", f"sudo chmod {mode} {where}")
    if url.transport is Transport.SSH and not paths.deploy_key.exists():
        return bad("keys", "There is no deploy key for the SSH source.", "sudo hearth join GIT-URL makes one.")
    if url.transport is Transport.SSH and not paths.known_hosts.exists():
        return bad("keys", f"The SSH key of {url.host} was never noted.", "sudo hearth join GIT-URL notes it.")
    if paths.token.exists() and not url.keeps_secrets:
        return bad("keys", f"The token would go to {url.host} unencrypted.", "Use an https:// address.")
    return ok("keys", "This machine's keys are its own")


def _open_to_others(path: Path) -> bool:
    """Whether anybody but the owner may read a secret. Public keys and known hosts are none, but their folder is."""
    public = path.suffix == ".pub" or path.name in {"known_hosts", ".ssh"} or path.is_symlink()
    return not public and bool(stat.S_IMODE(path.stat().st_mode) & 0o077)


def agent(paths: Paths, settings: Settings) -> Diagnosis:
    """Look whether the agent runs."""
    if (pid := holder(paths.agent)) is not None:
        return ok("agent", f"The agent runs (process {pid})")
    return bad("agent", "The agent does not run, so nothing new takes effect.", paths.start_agent(settings))


def ready(paths: Paths) -> Diagnosis | None:
    """Repeat what the last pass found in the way; None where all was well, or none has looked since the machine started."""
    try:
        known = json.loads(paths.status.read_text("utf-8"))
        found = next(Condition.from_json(one) for one in known["conditions"] if one["type"] == "Ready")
    except (OSError, ValueError, KeyError, TypeError, StopIteration):
        return None
    if found.reason == "Suspended":
        return advice("ready", found.message, "sudo hearth resume ends the pause.")
    return bad("ready", found.message, "`hearth status` says more.") if found.status is Status.FALSE else None


def drift(paths: Paths, generation: Generation) -> Diagnosis:
    """Compare the disk with the active generation."""
    found = DriftWatch(paths.root, paths.state).find(generation)
    if not found:
        return ok("files", "Every file is as it was rendered")
    more = f" and {len(found) - 3} more" if len(found) > 3 else ""
    words = f"Not as Hearth wrote it: {', '.join(map(str, found[:3]))}{more}."
    return advice("files", words, "sudo hearth reconcile puts it back, as the next pass does.")


def boot(plan: Plan) -> Diagnosis | None:
    """Look whether the daemons and the agent start at boot; None where systemd does not run."""
    if not _BOOTED.is_dir():
        return None
    names = [_AGENT, *(unit.name for unit in plan.units)]
    try:
        said = run(["systemctl", "is-enabled", *names], seconds=10).text.split("\n")
    except HearthError as error:
        return advice("boot", error.message, error.remedy)
    off = [
        name
        for name, state in zip(names, said, strict=False)
        if state.strip() not in {"enabled", "enabled-runtime", "static"}
    ]
    if off:
        return bad(
            "boot", f"{' and '.join(off)} would not start after a reboot.", f"sudo systemctl enable {' '.join(off)}"
        )
    return ok("boot", "The agent and the daemons start at boot")
