"""What a home answers itself and what it refuses: facts about a household, before any file."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from renderers.resolution import (
    blocked_for_everyone,
    blocked_for_group,
    local_names,
    names_outside,
    telling,
    unblocked_abroad,
    within,
)
from tests.renderers.homes import full, holm, household


def test_an_address_is_called_by_its_machines_own_name_first():
    """The first name is the reverse name: the appliance's own, then further ones, then the services'."""
    assert local_names(holm())[ip_address("192.168.10.2")] == (
        "hearth.home.arpa",
        "wiki.home.arpa",
        "ca.home.arpa",
        "hearth.holm.example",
    )


def test_a_name_of_a_device_has_all_of_its_addresses():
    """A further name of a device with IPv4 and IPv6 answers with both."""
    found = {str(address) for address, names in local_names(full()).items() if "photos.casa.internal" in names}
    assert found == {"10.20.1.5", "fd00:10:20::5"}


def test_a_device_without_an_address_has_no_fixed_name():
    """Its name comes and goes with its lease."""
    assert not [names for names in local_names(holm()).values() if "mia-tablet.home.arpa" in names]


def test_services_names_outside_the_homes_domain_are_the_homes_too():
    """A public-looking name of the mail relay is answered at home; names below the domain need no mention."""
    assert names_outside(holm()) == {"hearth.holm.example"}
    assert names_outside(full()) == {"ca.ana.example"}


def test_a_groups_blocks_are_apart_from_everyones():
    """Sites are expanded, and each block counts for those it names alone."""
    home = holm()
    assert blocked_for_everyone(home) == {"doubleclick.net"}
    assert {"tiktok.com", "tiktok-mirror.example"} <= blocked_for_group(home, "kids")
    assert not blocked_for_group(home, "nobody-else")


@pytest.mark.parametrize(
    ("name", "inside"), [("a.example", True), ("x.a.example", True), ("ba.example", False), ("example", False)]
)
def test_a_domain_covers_itself_and_what_lies_below(name, inside):
    """A common ending alone is not below."""
    assert within(name, "a.example") is inside


def test_a_home_that_blocks_a_known_name_is_asked_for_another():
    """The name for the upstream probe is the first that is not blocked; with all blocked there is none."""
    home = household(dns={"upstreams": ["9.9.9.9"]})
    assert unblocked_abroad(home, frozenset()) == "debian.org"
    assert unblocked_abroad(home, frozenset({"debian.org", "wikipedia.org"})) == "example.com"
    everything = {"debian.org", "wikipedia.org", "example.com", "iana.org", "python.org", "kernel.org", "w3.org"}
    assert unblocked_abroad(home, frozenset(everything)) is None


def test_the_blocked_name_to_ask_for_exists_elsewhere_if_any_does():
    """A name that does not exist anyway would look blocked even with every block gone."""
    assert telling(frozenset({"a.example", "b.test", "longer-name.com"})) == "longer-name.com"
    assert telling(frozenset({"b.test", "a.example"})) == "b.test"
    assert telling(frozenset()) is None
