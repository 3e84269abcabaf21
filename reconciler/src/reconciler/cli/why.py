"""`hearth why NAME`: why a name answers, or does not, for a device; since when, and by whom. Works without a network."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import click

from reconciler import why as reasons
from reconciler.applied import Applied, Origin
from reconciler.cli.output import emit, say, styled
from reconciler.settings import Paths, load
from reconciler.why import Answer, Asker, Blocked

if TYPE_CHECKING:
    from desired_state.model import Household

_HARMLESS = {"blocked": "note", "canary": "note", "unknown here": "note"}


@click.command()
@click.argument("name")
@click.option("--from", "device", default="", help="For which device: its id, its MAC or its fixed address.")
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
@click.pass_obj
def why(root: str, /, name: str, device: str, *, as_json: bool) -> int:
    """Say why NAME answers or does not, who decided that, and since when. Asks nobody: it reads what is in effect here."""
    paths = Paths(Path(root))
    applied = Applied(paths, load(paths))
    home = applied.household
    who = reasons.asker(home, device)
    answer = reasons.explain(home, reasons.read_name(name, home.network.domain), who)
    found = [_block(applied, answer.name, blocked) for blocked in answer.blocks]
    if answer.kind == "local":
        found = [_since(applied, applied.since(partial(_names, name=answer.name), reasons.HOUSEHOLD_FILES))]
    lines = _lines(home, answer, who, found)
    if as_json:
        emit(_as_json(answer, who, found, lines))
        return 0
    for line in lines:
        say(line, kind=_HARMLESS.get(answer.kind, "good"))
    for origin in found:
        say(styled(f"{origin['commit'][:7]}  {origin['subject']}", "dim"), indent=2)
    return 0


def _names(household: Household, name: str) -> bool:
    return reasons.explain(household, name, reasons.asker(household, "")).kind == "local"


def _block(applied: Applied, name: str, blocked: Blocked) -> dict[str, Any]:
    """Return a block that holds, and since when it has held for just these groups."""
    groups = blocked.block.groups

    def holds(household: Household) -> bool:
        older = next((one for one in reasons.blocks(household, name) if one.id == blocked.id), None)
        return older is not None and (not older.block.groups or (bool(groups) and groups <= older.block.groups))

    origin = applied.since(holds, reasons.BLOCK_FILES)
    about = {"id": blocked.id, "domain": blocked.domain, "for": sorted(groups), "reason": blocked.block.reason}
    return about | _since(applied, origin)


def _since(applied: Applied, origin: Origin) -> dict[str, Any]:
    step = origin.step
    people = applied.household.people
    zone = ZoneInfo(applied.household.timezone)
    return {
        "since": datetime.fromtimestamp(step.seconds, zone).isoformat() if origin.whole else None,
        "commit": step.commit,
        "subject": step.subject,
        "signed_by": [people[who].name if who in people else who for who in step.principals],
    }


def _lines(home: Household, answer: Answer, who: Asker, found: list[dict[str, Any]]) -> list[str]:
    """Return the answer in sentences: one, or one for each block that holds."""
    asking = f" {home.devices[who.device].name} asks {_resolver(home, who)}." if who.device else ""
    match answer.kind:
        case "local":
            what, by = reasons.called(home, answer), _by(found[0])
            return [f"{answer.name} is {what} at {' and '.join(answer.addresses)}{by}.{asking}"]
        case "blocked":
            return [_blocked(home, answer.name, one) + asking for one in found]
        case "unknown here":
            also = "a device is found by its id once it has a fixed address, or while it holds a lease"
            return [f"Nothing in the home is called {answer.name}: {also}.{asking}"]
        case "canary":
            also = "so that browsers do not go around the blocks of this home"
            return [f"{answer.name} is left unanswered, {also}.{asking}"]
    return [f"{answer.name} is not blocked: {_upstreams(home)} for it.{asking}"]


def _blocked(home: Household, name: str, one: dict[str, Any]) -> str:
    groups = [home.groups[group].name if group in home.groups else group for group in one["for"]]
    whom = " and ".join(f"{group[:1].lower()}{group[1:]}" for group in groups) if groups else "everyone"
    below = f" (all of {one['domain']})" if one["domain"] != name else ""
    reason = f": {one['reason']}" if one["reason"] else ""
    return f"{name}{below} is blocked for {whom}{_when(one)}{reason}, signed by {' and '.join(one['signed_by'])}."


def _by(one: dict[str, Any]) -> str:
    words = (_when(one).strip(), f"signed by {' and '.join(one['signed_by'])}")
    return "".join(f", {word}" for word in words if word)


def _when(one: dict[str, Any]) -> str:
    """Return ` since 3 May 2026`, or nothing where the search did not reach that far back."""
    if not one["since"]:
        return ""
    when = datetime.fromisoformat(one["since"])
    return f" since {when.day} {when:%B} {when.year}"


def _resolver(home: Household, who: Asker) -> str:
    if who.group is None:
        return f"the home's resolver ({who.resolver})"
    group = home.groups[who.group].name
    return f"the resolver of {group[:1].lower()}{group[1:]} ({who.resolver})"


def _upstreams(home: Household) -> str:
    from desired_state.changes.wording import answering

    return answering(home.dns.upstreams) if home.dns else "whoever the device asks answers"


def _as_json(answer: Answer, who: Asker, found: list[dict[str, Any]], lines: list[str]) -> dict[str, Any]:
    local = found if answer.kind == "local" else []
    return {
        "name": answer.name,
        "from": who.device,
        "resolver": who.resolver,
        "answer": answer.kind.replace(" ", "-"),
        "addresses": list(answer.addresses),
        "introduced": local[0] if local else None,
        "blocks": [] if local else found,
        "sentences": lines,
    }
