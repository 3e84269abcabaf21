"""Valid, rich households for properties: as values, as files, and loaded.

`households()` draws a household that every rule accepts, `files_of` writes one as its YAML files, `desired_states()` draws
one with its files. Sizes are kept small, variety large: every optional field is sometimes there and sometimes not.
"""

from __future__ import annotations

import ipaddress
import unicodedata
from collections.abc import Mapping
from typing import Any

import yaml
from hypothesis import strategies as st

from desired_state.load import DesiredState, load
from desired_state.model import FILES, Household
from desired_state.scalars import RESERVED_IDS, RESERVED_SHARES, SYSTEM_USERS, unprintable
from desired_state.sites import SITES

SUBNETS = ("192.168.10.0/24", "10.0.0.0/24", "172.20.4.0/23", "192.168.178.0/24", "10.77.0.0/16")
HOME_DOMAINS = ("home.arpa", "holm.home.arpa", "holm.internal")
UPSTREAMS = ("9.9.9.9", "149.112.112.112", "1.1.1.1", "8.8.8.8", "2620:fe::fe", "2606:4700:4700::1111")
DOMAINS = (
    "doubleclick.net",
    "ads.example",
    "tracker.example.com",
    "games.example",
    "xn--bcher-kva.example",
    "a.b.c.example.org",
)
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_TAKEN = RESERVED_IDS | SYSTEM_USERS | RESERVED_SHARES

ids = st.builds(
    lambda first, middle, last: first + middle + last,
    st.sampled_from(_LETTERS),
    st.text(f"{_LETTERS}0123456789-", max_size=6),
    st.sampled_from([*_LETTERS, *"0123456789", ""]),
).filter(lambda text: not text.endswith("-") and text not in _TAKEN)
"""Ids that are neither reserved nor ill-formed."""


def _is_text(text: str) -> bool:
    return bool(text) and text == text.strip() and unicodedata.normalize("NFC", text) == text and not unprintable(text)


_AWKWARD = [
    "Anna Holm",
    "O'Neill: the 2nd",
    "#1 printer",
    "NO",
    "0777",
    "null",
    "søskende",
    "日本語",
    "- no list",
    "{a}",
    "12:30:45",
]
texts = st.sampled_from([*_AWKWARD, 'a"b\\c']) | st.text(
    st.characters(categories=["L", "Nd", "P", "S"], include_characters=" "), min_size=1, max_size=24
).filter(_is_text)
"""Display texts, with everything in them that YAML could misread."""

macs = st.binary(min_size=5, max_size=5).map(lambda tail: "02:" + ":".join(f"{byte:02x}" for byte in tail))
durations = st.sampled_from(["2m", "12h", "24h", "7d", "2w"])
emails = st.sampled_from(["anna@holm.example", "jens.holm+mail@post.example", "M_1@a.example.com"])


def _some(draw: st.DrawFn, values: list[str], *, least: int = 0, most: int = 3) -> list[str]:
    """Draw a few different ones of `values`, in any order."""
    if not values:
        return []
    return draw(st.lists(st.sampled_from(values), unique=True, min_size=min(least, len(values)), max_size=most))


def _maybe(draw: st.DrawFn, value: st.SearchStrategy[Any]) -> dict[str, Any] | Any:
    return draw(st.none() | value)


def _without_none(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if value is not None}


class _Plot:
    """Hands out ids and addresses of one home, none of them twice."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.subnet = ipaddress.IPv4Network(draw(st.sampled_from(SUBNETS)))
        self.ipv6 = _maybe(draw, st.just("fd00:10::/64"))
        self.domain = draw(st.sampled_from(HOME_DOMAINS))
        self._hosts = iter(draw(st.lists(st.integers(1, 99), unique=True, min_size=16, max_size=16)))
        self._names = iter(draw(st.lists(ids, unique=True, min_size=24, max_size=24)))
        self._macs = iter(draw(st.lists(macs, unique=True, min_size=6, max_size=6)))

    def name(self) -> str:
        return next(self._names)

    def names(self, count: int) -> list[str]:
        return [next(self._names) for _ in range(count)]

    def mac(self) -> str:
        return next(self._macs)

    def address(self) -> str:
        return str(self.subnet[next(self._hosts)])

    def address6(self) -> str:
        return f"fd00:10::{next(self._hosts):x}"


@st.composite
def raw_households(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a valid household as the plain texts, lists and dictionaries of its files, all files in one."""
    plot = _Plot(draw)
    raw = _home(draw, plot)
    raw["people"] = _people(draw, plot)
    raw["groups"], raw["devices"] = _groups_and_devices(draw, plot, list(raw["people"]))
    raw["dns"] = _maybe(draw, st.just(_dns(draw, plot, raw)))
    raw["files"] = _maybe(draw, st.just(_files(draw, plot, list(raw["people"]))))
    raw["mail"] = _maybe(draw, st.just(_mail(draw, plot, raw)))
    raw["certificates"] = _maybe(draw, st.just(_certificates(draw, plot)))
    return _without_none(raw)


def households() -> st.SearchStrategy[Household]:
    """Draw a household that breaks no rule."""
    return raw_households().map(lambda raw: Household.model_validate(raw, by_alias=True, by_name=False))


def desired_states() -> st.SearchStrategy[DesiredState]:
    """Draw a household together with its files; sometimes with a README and secrets."""
    extras = st.fixed_dictionaries(
        {},
        optional={"README.md": st.just(b"# Ours\n"), "secrets/relay-password.age": st.binary(max_size=40)},
    )
    return st.builds(lambda household, extra: loaded({**files_of(household), **extra}), households(), extras)


def loaded(files: Mapping[str, bytes]) -> DesiredState:
    """Return what the files say; fails the test, with the findings, if they are refused."""
    outcome = load(files)
    assert outcome.state is not None, "\n".join(map(str, outcome.findings))
    return outcome.state


def files_of(household: Household) -> dict[str, bytes]:
    """Return the YAML files that say exactly this household."""
    raw = household.model_dump(mode="json", by_alias=True, exclude_none=True)
    return {
        name: written(content)
        for name, part in FILES.items()
        if (content := {key: raw[key] for key in _keys(part) if key in raw})
    }


def written(content: Mapping[str, Any]) -> bytes:
    """Return a mapping as YAML, every text quoted where YAML would read something else."""
    return yaml.dump(dict(content), Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=10_000).encode()


class _Dumper(yaml.SafeDumper):
    """Writes no anchors, which the strict reader refuses."""

    def ignore_aliases(self, _data: Any) -> bool:
        return True


def _keys(part: Any) -> list[str]:
    return [field.alias or name for name, field in part.model_fields.items()]


def _home(draw: st.DrawFn, plot: _Plot) -> dict[str, Any]:
    network = {"subnet": str(plot.subnet), "router": plot.address(), "domain": plot.domain, "ipv6": plot.ipv6}
    appliance = {
        "name": draw(st.just("hearth") | st.just(plot.name())),
        "interface": draw(st.sampled_from(["eth0", "enp3s0", "wlan0"])),
        "address": plot.address(),
        "ipv6": plot.address6() if plot.ipv6 and draw(st.booleans()) else None,
    }
    return {
        "apiVersion": "hearth/v1",
        "id": str(draw(st.uuids())),
        "name": draw(texts),
        "timezone": draw(st.sampled_from(["Europe/Copenhagen", "UTC", "America/Argentina/Ushuaia"])),
        "network": _without_none(network),
        "appliance": _without_none(appliance),
    }


def _people(draw: st.DrawFn, plot: _Plot) -> dict[str, Any]:
    names = plot.names(draw(st.integers(0, 4)))
    return {name: _without_none({"name": draw(texts), "email": _maybe(draw, emails)}) for name in names}


def _groups_and_devices(draw: st.DrawFn, plot: _Plot, people: list[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    groups = {
        name: _without_none({"name": draw(texts), "resolver": plot.address() if draw(st.booleans()) else None})
        for name in plot.names(draw(st.integers(0, 2)))
    }
    devices = {
        name: _without_none(
            {
                "name": draw(texts),
                "mac": plot.mac(),
                "address": plot.address() if draw(st.booleans()) else None,
                "ipv6": plot.address6() if plot.ipv6 and draw(st.booleans()) else None,
                "owner": _maybe(draw, st.sampled_from(people)) if people else None,
                "group": _maybe(draw, st.sampled_from(list(groups))) if groups else None,
            }
        )
        for name in plot.names(draw(st.integers(0, 4)))
    }
    return groups, devices


def _dns(draw: st.DrawFn, plot: _Plot, raw: Mapping[str, Any]) -> dict[str, Any]:
    findable = [name for name, device in raw["devices"].items() if "address" in device or "ipv6" in device]
    targets = st.sampled_from(["appliance", "203.0.113.7", "2001:db8::7", *findable])
    start, end = sorted(draw(st.lists(st.integers(100, 200), unique=True, min_size=2, max_size=2)))
    dhcp = {"from": str(plot.subnet[start]), "to": str(plot.subnet[end]), "lease": draw(durations)}
    resolvers = [name for name, group in raw["groups"].items() if "resolver" in group]
    return _without_none(
        {
            "upstreams": _some(draw, list(UPSTREAMS), least=1),
            "names": {name: draw(targets) for name in plot.names(draw(st.integers(0, 2)))},
            "blocked": {name: _block(draw, resolvers) for name in draw(st.lists(ids, unique=True, max_size=3))},
            "dhcp": _maybe(draw, st.just(dhcp)),
            "rebind_allowed": _some(draw, list(DOMAINS), most=2),
        }
    )


def _block(draw: st.DrawFn, resolvers: list[str]) -> dict[str, Any]:
    domains = _some(draw, list(DOMAINS))
    return _without_none(
        {
            "domains": domains,
            "sites": _some(draw, list(SITES), least=0 if domains else 1, most=2),
            "reason": _maybe(draw, texts),
            "for": _some(draw, resolvers, most=2),
        }
    )


def _files(draw: st.DrawFn, plot: _Plot, people: list[str]) -> dict[str, Any]:
    shares = {}
    for name in draw(st.lists(ids, unique=True, max_size=3)):
        backup = draw(st.booleans())
        readers = _some(draw, [*people, "everyone"])
        shares[name] = _without_none(
            {
                "description": draw(texts),
                "time_machine": backup,
                "limit": _maybe(draw, st.sampled_from(["500G", "2T"])) if backup else None,
                "access": {reader: draw(st.sampled_from(["read", "write"])) for reader in readers},
            }
        )
    return {"workgroup": draw(st.sampled_from(["HOLM", "WORKGROUP", "NO"])), "shares": shares}


def _mail(draw: st.DrawFn, plot: _Plot, raw: Mapping[str, Any]) -> dict[str, Any]:
    reachable = [name for name, person in raw["people"].items() if "email" in person]
    aliases = draw(st.lists(ids | st.just("root"), unique=True, max_size=2)) if reachable else []
    return _without_none(
        {
            "hostname": "hearth.holm.example",
            "relay": {
                "host": "smtp.mail.example",
                "port": draw(st.sampled_from([587, 465])),
                "username": draw(emails),
                "password": "secret:relay-password",
                "sender": draw(emails),
            },
            "accept_from": _maybe(draw, st.just([str(plot.subnet)]) | st.just(["10.99.0.0/16", str(plot.subnet)])),
            "aliases": {alias: _some(draw, reachable, least=1) for alias in aliases},
        }
    )


def _certificates(draw: st.DrawFn, plot: _Plot) -> dict[str, Any]:
    return {
        "name": draw(texts),
        "names": [f"{name}.{plot.domain}" for name in plot.names(draw(st.integers(1, 2)))],
        "acme": draw(st.booleans()),
        "lifetime": draw(st.sampled_from([{}, {"default": "12h"}, {"default": "1d", "maximum": "90d"}])),
    }
