"""Why a name answers, or does not, for a device: what the household says of it. Pure.

Owns the order in which a resolver of the home looks: the home's own names, the blocks, then the world. Asks nobody.
"""

from __future__ import annotations

import difflib
import ipaddress
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from desired_state.scalars import LABEL_PATTERN
from desired_state.sites import blocked_domains
from reconciler.errors import Misused
from renderers.resolution import CANARIES, local_names, names_outside, within

if TYPE_CHECKING:
    from desired_state.model import Block, Household

_NAME = re.compile(rf"(?:(?:_?{LABEL_PATTERN})\.)*(?:_?{LABEL_PATTERN})")
_LONGEST = 253
Kind = Literal["local", "unknown here", "blocked", "canary", "upstream"]

HOUSEHOLD_FILES = (
    "household.yaml",
    "devices.yaml",
    "services/dns.yaml",
    "services/mail.yaml",
    "services/certificates.yaml",
)
"""What the home's own names depend on."""
BLOCK_FILES = ("services/dns.yaml",)


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks: a device of the household, its group where that has a resolver, and the resolver that it uses."""

    device: str | None
    group: str | None
    resolver: str


@dataclass(frozen=True, slots=True)
class Blocked:
    """A block that holds for a name: its id, the domain that it names, and for whom."""

    id: str
    domain: str
    block: Block


@dataclass(frozen=True, slots=True)
class Answer:
    """What becomes of a question. `blocks` are all that hold; without a device, those of every group."""

    kind: Kind
    name: str
    addresses: tuple[str, ...] = ()
    blocks: tuple[Blocked, ...] = ()


def read_name(text: str, domain: str) -> str:
    """Return the full name that a person means: lower case, no final dot; a single word lies in the home's domain.

    Raises:
        Misused: it is no domain name (RFC 1035, 2.3.4).
    """
    name = text.strip().removesuffix(".").lower()
    if "://" in name:
        name = name.partition("://")[2].partition("/")[0].partition(":")[0]
    try:
        name = name if name.isascii() else name.encode("idna").decode("ascii")
    except UnicodeError:
        name = ""
    if len(name) > _LONGEST or not _NAME.fullmatch(name):
        raise Misused("BadName", f"{text[:80]!a} is no domain name.", "Write it like tiktok.com.")
    return name if "." in name else f"{name}.{domain}"


def asker(household: Household, said: str) -> Asker:
    """Return who `said` is: a device's id, its MAC or its fixed address; nothing said is any device without a group.

    Raises:
        Misused: no device of the household is called that.
    """
    everyone = str(household.appliance.address)
    if not said:
        return Asker(None, None, everyone)
    wanted = said.strip().lower()
    for name, device in household.devices.items():
        if wanted in {name, device.mac, str(device.address), str(device.ipv6)}:
            group = household.groups.get(device.group or "")
            resolver = group.resolver if group else None
            return Asker(name, device.group if resolver else None, str(resolver or everyone))
    near = difflib.get_close_matches(wanted, household.devices, n=1)
    also = f"Did you mean {near[0]}?" if near else f"There are {', '.join(sorted(household.devices)[:12]) or 'none'}."
    raise Misused("NoSuchDevice", f"The home has no device {said[:40]!a}.", also)


def explain(household: Household, name: str, who: Asker) -> Answer:
    """Return what becomes of the question for `name` by `who`."""
    own = tuple(str(address) for address, names in local_names(household).items() if name in names)
    if own:
        return Answer("local", name, own)
    holding = tuple(blocked for blocked in blocks(household, name) if _concerns(blocked.block, who))
    if holding:
        return Answer("blocked", name, blocks=holding)
    if any(within(name, zone) for zone in (household.network.domain, *names_outside(household))):
        return Answer("unknown here", name)
    if any(within(name, canary) for canary in CANARIES) and _blocks_anything(household, who):
        return Answer("canary", name)
    return Answer("upstream", name)


def blocks(household: Household, name: str) -> tuple[Blocked, ...]:
    """Return every block that names `name` or what it lies below, by id; the nearest domain of each."""
    found = []
    for key, block in sorted(household.dns.blocked.items() if household.dns else ()):
        domains = [domain for domain in blocked_domains(block) if within(name, domain)]
        if domains:
            found.append(Blocked(key, max(domains, key=len), block))
    return tuple(found)


def called(household: Household, answer: Answer) -> str:
    """Return what a local name stands for, in words."""
    short = answer.name.removesuffix(f".{household.network.domain}")
    further = household.dns.names if household.dns else {}
    if short == household.appliance.name:
        return "the appliance itself"
    if short in household.devices:
        return household.devices[short].name
    target = further.get(short)
    if isinstance(target, ipaddress.IPv4Address | ipaddress.IPv6Address):
        return "a name that the household gives to an address"
    if target and target in household.devices:
        return f"another name of {household.devices[target].name}"
    return "another name of the appliance" if target else "one of the appliance's services"


def _concerns(block: Block, who: Asker) -> bool:
    return not block.groups or who.device is None or who.group in block.groups


def _blocks_anything(household: Household, who: Asker) -> bool:
    return any(_concerns(block, who) for block in (household.dns.blocked.values() if household.dns else ()))
