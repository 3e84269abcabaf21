"""Who is on the network: dnsmasq's leases and the kernel's neighbours, beside the devices that the household names. Pure.

What devices say of themselves is anybody's text: it is bounded, made plain, and never becomes an id or a word of a command unread.
"""

from __future__ import annotations

import ipaddress
import re
import shlex
import unicodedata
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from desired_state.scalars import ID_PATTERN, MAC_PATTERN, RESERVED_IDS, SYSTEM_USERS

if TYPE_CHECKING:
    from desired_state.model import Household

_MOST = 4_096
_COMPLETE = 0x2  # ATF_COM, arp(7)
_LONGEST_ID, _LONGEST_NAME = 31, 63
_LOCAL_BIT = 0x02  # IEEE 802: given by software, not by the maker


@dataclass(frozen=True, slots=True, order=True)
class Seen:
    """A network card that was seen: its addresses, and what it calls itself (plain, or empty)."""

    mac: str
    addresses: tuple[str, ...]
    calls_itself: str = ""

    @property
    def made_up(self) -> bool:
        """Whether the device made this address up itself ("private Wi-Fi address"), and may make up another."""
        return bool(int(self.mac[:2], 16) & _LOCAL_BIT)


@dataclass(frozen=True, slots=True)
class Neighbour:
    """One who is on the network; `device` is its id in the household, None where the household does not name it."""

    seen: Seen
    device: str | None


def read_leases(text: str) -> Iterator[Seen]:
    """Yield what dnsmasq's leases file says (dnsmasq(8), --dhcp-leasefile): expiry, MAC, address, name, client id. IPv4 alone."""
    for line in text.splitlines()[:_MOST]:
        words = line.split(" ")
        if words[0] == "duid":  # from here on DHCPv6, by client ids
            return
        if len(words) >= 4 and (mac := _mac(words[1])) and (address := _address(words[2])):
            yield Seen(mac, (address,), "" if words[3] == "*" else _plain(words[3]))


def read_neighbours(text: str, interface: str | None) -> Iterator[Seen]:
    """Yield what the kernel knows (/proc/net/arp, arp(7)) of one interface, or of all."""
    for line in text.splitlines()[1 : _MOST + 1]:
        words = line.split()
        if len(words) != 6 or (interface and words[5] != interface) or not re.fullmatch(r"0x[0-9a-f]{1,4}", words[2]):
            continue
        if int(words[2], 16) & _COMPLETE and (mac := _mac(words[3])) and (address := _address(words[0])):
            yield Seen(mac, (address,))


def who_is_there(seen: Iterable[Seen], household: Household) -> tuple[Neighbour, ...]:
    """Return everyone who was seen, unknown ones first, then by name and address. The router and the appliance are not listed."""
    known = {device.mac: name for name, device in household.devices.items()}
    own = {str(household.network.router), str(household.appliance.address)}
    cards: dict[str, Seen] = {}
    for one in seen:
        old = cards.get(one.mac, Seen(one.mac, ()))
        addresses = tuple(dict.fromkeys((*old.addresses, *one.addresses)))
        cards[one.mac] = replace(old, addresses=addresses, calls_itself=old.calls_itself or one.calls_itself)
    found = [
        Neighbour(card, known.get(card.mac))
        for card in cards.values()
        if not own.intersection(card.addresses) and any(_within(address, household) for address in card.addresses)
    ]
    return tuple(sorted(found, key=lambda one: (one.device is not None, one.device or "", one.seen)))


def _within(address: str, household: Household) -> bool:
    """Whether an address is the home's: a router also answers for addresses beyond it, arp(7)."""
    return ipaddress.IPv4Address(address) in household.network.subnet


def absent(found: Iterable[Neighbour], household: Household) -> tuple[str, ...]:
    """Return the ids of the household's devices that were not seen."""
    return tuple(sorted(household.devices.keys() - {one.device for one in found}))


def ready_lines(found: Iterable[Neighbour], household: Household) -> dict[str, str]:
    """Return for each unknown MAC the command that names it, with an id that the household still has free."""
    taken = {
        *household.people,
        *household.groups,
        *household.devices,
        household.appliance.name,
        *RESERVED_IDS,
        *SYSTEM_USERS,
    }
    lines = {}
    for one in found:
        if one.device is None:
            chosen = suggest_id(one.seen, taken)
            taken.add(chosen)
            words = ("hearth", "change", "add-device", chosen, one.seen.mac, "--name", suggest_name(one.seen, chosen))
            lines[one.seen.mac] = shlex.join(words)
    return lines


def suggest_id(seen: Seen, taken: Collection[str]) -> str:
    """Return a free id made from what the device calls itself, or from the end of its MAC."""
    words = unicodedata.normalize("NFKD", seen.calls_itself).encode("ascii", "ignore").decode().lower()
    base = re.sub(r"[^a-z0-9]+", "-", words).strip("-")[:_LONGEST_ID].strip("-")
    if not re.fullmatch(ID_PATTERN, base) or len(base) < 2:
        base = f"device-{seen.mac.replace(':', '')[-6:]}"
    if base not in taken:
        return base
    numbered = (f"{base[: _LONGEST_ID - 4].rstrip('-')}-{number}" for number in range(2, _MOST))
    return next(name for name in numbered if name not in taken)


def suggest_name(seen: Seen, chosen: str) -> str:
    """Return a display name: letters, digits and single spaces alone, so that it needs no trust anywhere."""
    words = re.sub(r"[^A-Za-z0-9]+", " ", seen.calls_itself).strip()[:_LONGEST_NAME].strip()
    return words or chosen.replace("-", " ").capitalize()


def _mac(text: str) -> str | None:
    mac = text.lower().rpartition("-")[2]  # dnsmasq puts the kind of hardware in front where it is not Ethernet
    good = re.fullmatch(MAC_PATTERN, mac) and mac != "00:00:00:00:00:00" and not int(mac[:2], 16) & 1
    return mac if good else None


def _address(text: str) -> str | None:
    try:
        return str(ipaddress.IPv4Address(text))
    except ValueError:
        return None


def _plain(text: str) -> str:
    return "".join(letter for letter in text[:_LONGEST_NAME] if letter.isprintable())
