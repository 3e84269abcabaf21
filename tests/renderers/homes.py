"""A few homes for the renderers' tests, from the plainest to one with everything in it."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from desired_state.load import load, read_folder
from desired_state.model import Household
from renderers import Artifact, Target
from renderers.plan import Plan
from renderers.service import Service
from tests.desired_state.holm import HOLM

BENCH = Target("bench", PurePosixPath("/home/anna/my home/state"), PurePosixPath("/home/anna/my home/run"), 5353, 5454)


def household(**parts: Any) -> Household:
    """Return a household of the format's own words: the least there can be, and `parts`."""
    least = {
        "apiVersion": "hearth/v1",
        "id": "5b0c8a52-2f6e-4c51-9b1e-8d8f3a7f0c11",
        "name": "Home",
        "timezone": "UTC",
        "network": {"subnet": "192.168.10.0/24", "router": "192.168.10.1"},
        "appliance": {"address": "192.168.10.2"},
    }
    return Household.model_validate({**least, **parts}, by_alias=True, by_name=False)


def holm() -> Household:
    """Return the example household."""
    state = load(read_folder(HOLM)).state
    assert state is not None
    return state.household


def alone(service: Service, home: Household, target: Target) -> Artifact:
    """Return one service of a home as an artifact, as if there were no other; its names still resolve."""
    plan = Plan(
        service.provisions(home, target),
        service.units(home, target),
        service.checkers(home),
        service.probes(home, target),
        service.links if target.name == "appliance" else (),
    )
    return Artifact(service.render(home, target), plan, target=target.name)


def plain() -> Household:
    """Return a home that has names and nothing else."""
    return household(dns={"upstreams": ["9.9.9.9"]})


def full() -> Household:
    """Return a home with two groups, IPv6, a wide network, and names outside of its own domain."""
    return household(
        network={"subnet": "10.20.0.0/22", "router": "10.20.0.1", "domain": "casa.internal", "ipv6": "fd00:10:20::/64"},
        appliance={"name": "box", "interface": "enp3s0", "address": "10.20.0.2", "ipv6": "fd00:10:20::2"},
        people={"ana": {"name": "Ana"}},
        groups={
            "kids": {"name": "Kids", "resolver": "10.20.0.3"},
            "guests": {"name": "Guests", "resolver": "10.20.0.4"},
            "things": {"name": "Things"},
        },
        devices={
            "nas": {"name": "NAS", "mac": "02:00:00:00:00:01", "address": "10.20.1.5", "ipv6": "fd00:10:20::5"},
            "tablet": {"name": "Tablet", "mac": "02:00:00:00:00:02", "group": "kids"},
            "console": {"name": "Console", "mac": "02:00:00:00:00:03", "group": "kids", "address": "10.20.1.6"},
            "lamp": {"name": "Lamp", "mac": "02:00:00:00:00:04", "group": "things"},
        },
        dns={
            "upstreams": ["2620:fe::fe", "9.9.9.9"],
            "names": {"photos": "nas", "www": "appliance", "vpn": "203.0.113.7", "a.lab": "2001:db8::7"},
            "blocked": {
                "games": {"domains": ["games.example"], "sites": ["fortnite"], "for": ["kids"]},
                "ads": {"domains": ["doubleclick.net", "ads.example"]},
            },
            "dhcp": {"from": "10.20.2.0", "to": "10.20.3.200", "lease": "99999w"},
            "rebind_allowed": ["office.example", "plex.direct"],
        },
        certificates={"name": "CA", "names": ["ca.casa.internal", "ca.ana.example"]},
    )
