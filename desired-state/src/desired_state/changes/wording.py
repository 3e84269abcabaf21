"""How people call things: persons, devices, groups, folders, sites and well-known resolvers.

Owns names and lists of names. Whole sentences are `sentences`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from desired_state.model import Household, Part

MOST_NAMED = 4

RESOLVERS: Mapping[str, str] = MappingProxyType({
    "1.1.1.1": "Cloudflare", "1.0.0.1": "Cloudflare", "2606:4700:4700::1111": "Cloudflare", "2606:4700:4700::1001": "Cloudflare",
    "1.1.1.2": "Cloudflare without malware", "1.0.0.2": "Cloudflare without malware",
    "1.1.1.3": "Cloudflare for families", "1.0.0.3": "Cloudflare for families",
    "8.8.8.8": "Google", "8.8.4.4": "Google", "2001:4860:4860::8888": "Google", "2001:4860:4860::8844": "Google",
    "9.9.9.9": "Quad9", "149.112.112.112": "Quad9", "2620:fe::fe": "Quad9", "2620:fe::9": "Quad9",
    "9.9.9.10": "Quad9 without filter", "149.112.112.10": "Quad9 without filter",
    "94.140.14.14": "AdGuard", "94.140.15.15": "AdGuard", "2a10:50c0::ad1:ff": "AdGuard", "2a10:50c0::ad2:ff": "AdGuard",
    "194.242.2.2": "Mullvad", "2a07:e340::2": "Mullvad",
    "208.67.222.222": "OpenDNS", "208.67.220.220": "OpenDNS",
})  # fmt: skip
"""Public resolvers by address, as their operators publish them."""

_SITES = MappingProxyType({
    "disney-plus": "Disney+", "linkedin": "LinkedIn", "onlyfans": "OnlyFans", "prime-video": "Prime Video",
    "tiktok": "TikTok", "whatsapp": "WhatsApp", "youtube": "YouTube", "xhamster": "xHamster", "xvideos": "XVideos",
})  # fmt: skip


def site(name: str) -> str:
    """Return a well-known site's name as it writes itself."""
    return _SITES.get(name, name.capitalize())


def listed(names: Iterable[str], last: str = "and") -> str:
    """Return `a, b and c`; of more than four only the first three are named."""
    items = list(names)
    if len(items) > MOST_NAMED:
        items = [*items[: MOST_NAMED - 1], f"{len(items) - MOST_NAMED + 1} more"]
    return f" {last} ".join([", ".join(items[:-1]), items[-1]] if len(items) > 1 else items)


def resolvers(addresses: Iterable[object]) -> str:
    """Return resolvers by their operators: `Cloudflare (1.1.1.1, 1.0.0.1) and 192.0.2.1`."""
    return listed(_operators(addresses))


def answering(addresses: Iterable[object]) -> str:
    """Return resolvers with their verb: `Quad9 (9.9.9.9) answers`, `Quad9 (9.9.9.9) and 192.0.2.1 answer`."""
    operators = _operators(addresses)
    return f"{listed(operators)} answer{'s' if len(operators) == 1 else ''}"


def _operators(addresses: Iterable[object]) -> list[str]:
    operators: dict[str, list[str]] = {}
    for address in map(str, addresses):
        operators.setdefault(RESOLVERS.get(address, address), []).append(address)
    return [name if name == found[0] else f"{name} ({', '.join(found)})" for name, found in operators.items()]


@dataclass(frozen=True, slots=True)
class Names:
    """The names of things in a household before and after a change; what is gone keeps its old name."""

    before: Household
    after: Household

    def _one(self, sort: str, key: str) -> Any:
        return getattr(self.after, sort).get(key) or getattr(self.before, sort).get(key)

    def person(self, key: str) -> str:
        """Return a person's name."""
        found = self._one("people", key)
        return found.name if found else key

    def people(self, keys: Iterable[str]) -> str:
        """Return several people's names."""
        return listed(self.person(key) for key in sorted(keys))

    def device(self, key: str) -> str:
        """Return a device's name."""
        found = self._one("devices", key)
        return found.name if found else key

    def group(self, key: str) -> str:
        """Return a group's name."""
        found = self._one("groups", key)
        return found.name if found else key

    def group_with_devices(self, key: str) -> str:
        """Return a group's name with its devices: `The kids' devices (Mia's tablet)`."""
        members = [device.name for device in self.after.devices.values() if device.group == key]
        return self.group(key) + (f" ({listed(members)})" if members else "")

    def groups(self, keys: Iterable[str]) -> str:
        """Return several groups' names."""
        return listed(self.group_with_devices(key) for key in sorted(keys))

    def share(self, key: str) -> str:
        """Return a shared folder with what lies in it: `family (Photos and papers)`."""
        shares = {
            **(self.before.files.shares if self.before.files else {}),
            **(self.after.files.shares if self.after.files else {}),
        }
        return f"{key} ({shares[key].description})" if key in shares else key

    def block(self, key: str) -> Any:
        """Return what a block said before, or says now if it is new; None if there is none."""
        for household in (self.before, self.after):
            if household.dns and key in household.dns.blocked:
                return household.dns.blocked[key]
        return None

    def target(self, target: object) -> str:
        """Return where a name leads."""
        if target == "appliance":
            return "the appliance"
        return self.device(target) if isinstance(target, str) else str(target)

    def setting(self, path: str) -> Any:
        """Return the value that stood at a path of the household before, None if nothing did."""
        value: Any = self.before
        for step in path.split("."):
            fields = type(value).model_fields if isinstance(value, Part) else {}
            name = next((name for name, info in fields.items() if (info.alias or name) == step), None)
            value = getattr(value, name) if name else None
        return value


def blocked(block: Any, last: str = "or") -> str:
    """Return what a block, or a change to it, holds back: `TikTok or example.com`."""
    return listed([*(site(name) for name in sorted(block.sites)), *sorted(block.domains)], last)
