"""`hearth devices`: who is on the network, unknown ones first, each with the line that names it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reconciler.applied import Applied
from reconciler.cli.output import emit, say, table
from reconciler.errors import Transient
from reconciler.leases import Neighbour, Seen, absent, read_leases, read_neighbours, ready_lines, who_is_there
from reconciler.settings import Paths, Settings, load

if TYPE_CHECKING:
    from desired_state.model import Household

_NEIGHBOURS = Path("/proc/net/arp")
_LIMIT = 1_000_000


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print everyone as JSON.")
@click.pass_obj
def devices(root: str, /, *, as_json: bool) -> int:
    """Show who is on the network: whom the household does not name comes first, with a line that names it."""
    paths = Paths(Path(root))
    settings = load(paths)
    home = Applied(paths, settings).household
    found = who_is_there(_look(paths, settings, home), home)
    lines = ready_lines(found, home)
    if as_json:
        emit({"devices": [_as_json(one, home, lines) for one in found], "not_seen": list(absent(found, home))})
    else:
        _show(found, home, lines)
    return 0


def _look(paths: Paths, settings: Settings, home: Household) -> list[Seen]:
    """Return everyone in the leases file and, on an appliance, among the kernel's neighbours. A bench has no network."""
    leases = paths.root / paths.target(settings).leases.relative_to("/")
    seen = list(read_leases(_text(leases)))
    if settings.bench is None:
        seen += read_neighbours(_text(_NEIGHBOURS), home.appliance.interface)
    return seen


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_LIMIT).decode("utf-8", "replace")
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise Transient(
            "LeasesUnreadable", f"{path} cannot be read: {error.strerror}.", "Run this as root (sudo)."
        ) from None


def _as_json(one: Neighbour, home: Household, lines: dict[str, str]) -> dict[str, Any]:
    device = home.devices[one.device] if one.device else None
    return {
        "mac": one.seen.mac,
        "addresses": list(one.seen.addresses),
        "calls_itself": one.seen.calls_itself,
        "private_address": one.seen.made_up,
        "device": one.device,
        "name": device.name if device else None,
        "group": device.group if device else None,
        "add": lines.get(one.seen.mac),
    }


def _show(found: tuple[Neighbour, ...], home: Household, lines: dict[str, str]) -> None:
    unknown = [one for one in found if one.device is None]
    for one in unknown:
        calls = f" It calls itself {one.seen.calls_itself!r}." if one.seen.calls_itself else ""
        say(f"{', '.join(one.seen.addresses)}  {one.seen.mac}  is not in the household.{calls}", kind="note")
        if one.seen.made_up:
            say(
                "This MAC is one that the device made up: turn off its private Wi-Fi address for this network first.",
                indent=2,
            )
        say(lines[one.seen.mac], indent=2)
    if unknown:
        say()
    known = [(one, home.devices[one.device]) for one in found if one.device]
    table(
        [("✓", device.name, *one.seen.addresses[:1], one.seen.mac, _group(home, device.group)) for one, device in known]
    )
    if missing := absent(found, home):
        say(f"Not seen now: {', '.join(home.devices[name].name for name in missing)}.", kind="dot")
    if not found and not missing:
        say("Nobody is on the network yet, as far as this machine has seen.")


def _group(home: Household, group: str | None) -> str:
    return home.groups[group].name if group in home.groups and group else ""
