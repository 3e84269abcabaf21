"""What a change of a household costs its daemons, and what they are asked."""

from __future__ import annotations

import re

import pytest

from renderers import APPLIANCE, Target, render
from renderers.dnsmasq import DNSMASQ
from renderers.dnsmasq_plan import FAULTS
from renderers.plan import HomeNetwork, Link
from tests.renderers.homes import BENCH, alone, full, holm, household, plain

MAIN, KIDS = "dnsmasq.service", "hearth-resolver@kids.service"


def told(before, after):
    """Return the units that a change restarts and those that it reloads."""
    old, new = render(before), render(after)
    changed = {path for path in {*old.files, *new.files} if old.files.get(path) != new.files.get(path)}
    restarted = {unit.name for unit in new.plan.units if changed.intersection(unit.restart)}
    return restarted, {unit.name for unit in new.plan.units if changed.intersection(unit.reload)} - restarted


def with_dns(**fields):
    """Return the example with other values in its dns part."""
    home = holm()
    return home.model_copy(update={"dns": home.dns.model_copy(update=fields)})


def with_device(device, /, **fields):
    """Return the example with another value in one device."""
    home = holm()
    return home.model_copy(update={"devices": {**home.devices, device: home.devices[device].model_copy(update=fields)}})


def blocking(**blocks):
    """Return the example with other domains in some of its blocks."""
    home = holm()
    edited = {
        name: home.dns.blocked[name].model_copy(update={"domains": frozenset(domains)})
        for name, domains in blocks.items()
    }
    return with_dns(blocked={**home.dns.blocked, **edited})


@pytest.mark.parametrize(
    ("after", "restarted", "reloaded"),
    [
        (holm(), set(), set()),
        (blocking(ads=["new.example"]), set(), {MAIN, KIDS}),
        (blocking(tiktok=["new.example"]), set(), {KIDS}),
        (with_dns(names={"nas": "tv"}), set(), {MAIN, KIDS}),
        (with_device("tv", address=holm().devices["tv"].address + 1), set(), {MAIN, KIDS}),
        (with_device("anna-laptop", mac="02:00:5e:10:00:77"), set(), {MAIN}),
        (with_device("anna-laptop", group="kids"), {MAIN}, set()),
        (with_device("anna-laptop", name="Another"), set(), set()),
        (with_dns(upstreams=plain().dns.upstreams), {MAIN, KIDS}, set()),
        (with_dns(dhcp=None), {MAIN}, set()),
    ],
    ids=[
        "nothing",
        "block",
        "group's block",
        "name",
        "address",
        "card",
        "membership",
        "display text",
        "upstream",
        "no DHCP",
    ],
)
def test_only_what_needs_a_restart_restarts(after, restarted, reloaded):
    """Blocks, names and reservations are read again without losing a question; the rest restarts only whom it concerns."""
    assert told(holm(), after) == (restarted, reloaded)


def test_a_home_without_dns_runs_nothing():
    """No part in the household, no daemon, no file, no link into /etc."""
    artifact = render(household())
    assert (artifact.plan.units, artifact.plan.probes, artifact.plan.links, dict(artifact.files)) == ((), (), (), {})


def test_an_appliance_has_debians_place_and_its_network_compared():
    """The stock daemon finds its file by a link; the address is the operating system's to set and ours to compare."""
    plan = render(holm()).plan
    assert alone(DNSMASQ, holm(), APPLIANCE).plan.links == (Link("/etc/dnsmasq.conf", "dnsmasq/dnsmasq.conf"),)
    assert plan.network == HomeNetwork("eth0", "192.168.10.2/24", "192.168.10.1")


def test_a_bench_touches_nothing_of_the_machine():
    """No link, no network, no DHCP, no address outside of loopback, no standard port."""
    artifact = render(full(), BENCH)
    assert (artifact.plan.links, artifact.plan.network) == ((), None)
    assert {(probe.kind, probe.server.partition(".")[0], probe.port) for probe in artifact.plan.probes} == {
        ("dns", "127", 5353),
        ("authority", "127", 9000),
    }
    written = b"".join(file.content for file in artifact.files.values()).decode()
    listens = re.findall(r"^(?:listen-address|server)=(?:/[^/]*/)?([0-9a-f.:]+)", written, re.MULTILINE)
    assert {address.partition(".")[0] for address in listens} == {"127"}
    assert "dhcp-range" not in written


@pytest.mark.parametrize(
    ("real", "bench"), [("192.168.10.2", "127.168.10.2"), ("9.9.9.9", "127.9.9.9"), ("2620:fe::fe", "127.0.0.254")]
)
def test_a_bench_has_a_place_on_loopback_for_every_address(real, bench):
    """On the appliance an address is itself."""
    assert Target("bench").address(real) == bench
    assert APPLIANCE.address(real) == real


def test_each_instance_is_asked_for_a_local_an_upstream_and_a_blocked_name():
    """A group's resolver is asked for everyone's block and its own, so that a lost one shows."""
    probes = {probe.name: (probe.question, probe.expect) for probe in render(holm()).plan.probes if probe.kind == "dns"}
    assert probes == {
        "dns main local": ("hearth.home.arpa", "address"),
        "dns main upstream": ("debian.org", "answered"),
        "dns main blocked": ("doubleclick.net", "nxdomain"),
        "dns main canary": ("use-application-dns.net", "nxdomain"),
        "dns group kids local": ("hearth.home.arpa", "address"),
        "dns group kids upstream": ("debian.org", "answered"),
        "dns group kids blocked": ("doubleclick.net", "nxdomain"),
        "dns group kids blocked for group": ("muscdn.com", "nxdomain"),
        "dns group kids canary": ("use-application-dns.net", "nxdomain"),
    }


def test_a_home_without_blocks_is_not_asked_for_one():
    """Nothing blocked, no canary: other programs keep their own ways."""
    assert [probe.name for probe in render(plain()).plan.probes] == ["dns main local", "dns main upstream"]


@pytest.mark.parametrize(
    "line",
    [
        "dnsmasq[12]: bad option at line 1 of /var/lib/hearth/current/dnsmasq/servers",
        "bad name at /var/lib/hearth/current/dnsmasq/hosts line 3",
        "dnsmasq: cannot read /var/lib/hearth/current/dnsmasq/servers: Permission denied",
        "dnsmasq[1]: failed to load names from /x: No such file or directory",
        "dnsmasq-dhcp[1]: duplicate dhcp-host IP address 192.168.10.20 at line 2 of /x",
        "ignoring nameserver 192.168.10.2 - local interface",
    ],
)
def test_a_complaint_of_dnsmasqs_is_a_fault(line):
    """With the prefix of a child process or as the journal holds it."""
    assert any(re.search(fault, line) for fault in FAULTS)


@pytest.mark.parametrize(
    "line",
    [
        "dnsmasq-dhcp[1]: DHCPACK(eth0) 192.168.10.119 02:00:5e:10:00:03 bad",
        "dnsmasq-dhcp[1]: not giving name illegal.home.arpa to the DHCP lease of 192.168.10.5 because the name exists in /x",
        "dnsmasq[1]: using only locally-known addresses for bad.example",
        "dnsmasq[1]: possible DNS-rebind attack detected: duplicate.example",
        "dnsmasq[1]: read /srv/bad name/hosts - 11 names",
    ],
)
def test_what_a_device_calls_itself_is_no_fault(line):
    """A guest's telephone named `bad` must not roll a home back."""
    assert not any(re.search(fault, line) for fault in FAULTS)
