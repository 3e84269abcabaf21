"""The real dnsmasq and real devices, on a network of their own: what the rendered files promise holds."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import threading
from pathlib import Path

import pytest

from desired_state.model import Household
from reconciler import dns_wire
from reconciler.dhcp import offers
from reconciler.probe import ask
from tests.conformance.conftest import UPSTREAMS
from tests.conformance.lan import AAAA, HTTPS, PTR, PUBLIC, A, inside
from tests.conformance.running import until
from tests.renderers.homes import holm

pytestmark = pytest.mark.conformance
MAIN, KIDS = "dnsmasq.service", "hearth-resolver@kids.service"
TV, TABLET, STRANGER = "02:00:5e:10:00:04", "02:00:5e:10:00:03", "02:00:5e:10:00:99"
KIDS_ONLY = ("tiktok.com", "www.tiktok.com", "tiktok-mirror.example")


@pytest.fixture
def lease(home, state):
    """Plug in a device, let a real DHCP client (BusyBox's udhcpc) ask for an address, and return what it was given."""
    if not shutil.which("busybox"):
        pytest.skip("a DHCP client is missing: apt install busybox")
    script = state / "udhcpc"
    script.write_text('#!/bin/sh\n[ "$1" = bound ] && env >"$OUT"\nexit 0\n')
    script.chmod(0o755)

    def plug_in(name: str, mac: str, *options: str) -> dict[str, str]:
        out = Path(state / f"{name}.lease")
        namespace = home.lan.add(name, mac=mac)
        command = [
            "busybox",
            "udhcpc",
            "-f",
            "-q",
            "-n",
            "-t",
            "5",
            "-T",
            "1",
            "-i",
            "eth0",
            "-s",
            str(script),
            *options,
        ]
        environment = {**os.environ, "OUT": str(out)}
        done = subprocess.run(
            ["ip", "netns", "exec", namespace, *command], env=environment, capture_output=True, text=True, check=False
        )
        assert out.exists(), done.stderr
        return dict(line.partition("=")[::2] for line in out.read_text().splitlines())

    return plug_in


def changed(**dns) -> Household:
    """Return the example with other values in its dns part."""
    home = holm()
    return home.model_copy(update={"dns": home.dns.model_copy(update=dns)})


def test_every_probe_of_the_plan_holds(home):
    """Each instance answers a local, an upstream, a blocked name and a canary as the plan expects, and DHCP names the router."""
    results = inside(home.appliance, lambda: ask(home.daemons.artifact.plan.probes))
    assert not [result for result in results if not result.ok]
    assert "dhcp main" in {result.name for result in results}
    assert home.daemons.faults() == []


def test_a_device_gets_its_reservation_and_the_homes_resolver(home, lease):
    """The television gets the address, the name, the gateway and the resolver that the household gives it."""
    got = lease("tv", TV)
    assert (got["ip"], got["hostname"], got["router"], got["dns"]) == (
        "192.168.10.30",
        "tv",
        "192.168.10.1",
        home.resolver,
    )


def test_a_groups_device_gets_its_groups_resolver_and_no_other(home, lease):
    """The tablet in the kids' group is given that group's resolver alone: a second one would be a way around."""
    assert lease("tablet", TABLET)["dns"] == home.kids_resolver


@pytest.mark.parametrize("name", ["known", "eth0", "no-name"])
def test_a_group_named_like_a_mark_of_dnsmasqs_own_holds_its_devices_alone(home, lease, name):
    """Every known device is marked `known`, every one at eth0 `eth0`: neither falls into a group that is called so."""
    before = holm()
    kids = {"groups": {name: before.groups["kids"]}, "devices": {**before.devices}}
    kids["devices"]["mia-tablet"] = before.devices["mia-tablet"].model_copy(update={"group": name})
    block = before.dns.blocked["tiktok"].model_copy(update={"groups": frozenset({name})})
    home.daemons.become(changed(blocked={"tiktok": block}).model_copy(update=kids))
    assert lease("tv", TV)["dns"] == home.resolver
    assert lease("tablet", TABLET)["dns"] == home.kids_resolver
    assert home.client(home.resolver).addresses("tv.home.arpa") == ("192.168.10.30",)


def test_a_stranger_gets_an_address_of_the_range(home, lease):
    """A device that nobody declared is served from the range, by the home's resolver."""
    got = lease("stranger", STRANGER)
    assert 100 <= int(got["ip"].rpartition(".")[2]) <= 199
    assert (got["dns"], got["lease"]) == (home.resolver, "43200")


@pytest.mark.parametrize("name", KIDS_ONLY)
@pytest.mark.parametrize("kind", [A, AAAA, HTTPS])
def test_a_groups_block_holds_at_its_resolver_and_nowhere_else(home, name, kind):
    """Of every type and below, the name is not there for the kids; for the others it is, and nothing of it is asked abroad for the kids."""
    kids, others = home.client(home.kids_resolver), home.client(home.resolver)
    assert kids.code(name, kind) == dns_wire.NXDOMAIN
    assert home.internet.asked == []
    assert others.code(name, kind) == dns_wire.NOERROR
    assert others.addresses(name) == (PUBLIC,)


@pytest.mark.parametrize(
    "name",
    ["doubleclick.net", "ad.doubleclick.net", "use-application-dns.net", "mask.icloud.com", "_dns.resolver.arpa"],
)
def test_everyones_blocks_hold_at_every_resolver(home, name):
    """What is blocked for everyone, and the names by which encrypted DNS goes around, are unknown to all."""
    assert {home.client(server).code(name) for server in (home.resolver, home.kids_resolver)} == {dns_wire.NXDOMAIN}
    assert home.internet.asked == []


@pytest.mark.parametrize(
    ("name", "address"),
    [("hearth", "192.168.10.2"), ("tv", "192.168.10.30"), ("wiki", "192.168.10.2"), ("ca", "192.168.10.2")],
)
def test_the_homes_names_are_known_at_every_resolver(home, name, address):
    """The appliance, a device, a further name and a service's, in full and in short."""
    for server in (home.resolver, home.kids_resolver):
        client = home.client(server)
        assert client.addresses(f"{name}.home.arpa") == client.addresses(name) == (address,)
        assert client.code(f"{name}.home.arpa", AAAA) == dns_wire.NOERROR
    assert home.internet.asked == []


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("nobody.home.arpa", A),
        ("31.10.168.192.in-addr.arpa", PTR),
        ("1.1.168.192.in-addr.arpa", PTR),
        ("nobody", A),
        ("hearth.holm.example", AAAA),
    ],
)
def test_what_is_asked_about_the_home_stays_in_it(home, name, kind):
    """An unknown name of the home, of a private address, without any dot, or of a service is answered here and never asked abroad."""
    for server in (home.resolver, home.kids_resolver):
        home.client(server).code(name, kind)
    assert home.internet.asked == []


def test_the_homes_addresses_have_their_names(home):
    """The reverse of an address is the machine's own name, not one of its further ones."""
    for server in (home.resolver, home.kids_resolver):
        client = home.client(server)
        assert client.pointer("192.168.10.2") == "hearth.home.arpa"
        assert client.pointer("192.168.10.30") == "tv.home.arpa"


def test_a_leased_name_is_found_by_the_group_too(home, lease):
    """A device without a fixed address has a name as long as it has a lease, for its group's devices as well."""
    address = lease("tablet", TABLET)["ip"]
    for server in (home.resolver, home.kids_resolver):
        assert home.client(server).addresses("mia-tablet.home.arpa") == (address,)


@pytest.mark.parametrize("claimed", ["wpad", "isatap", "hearth", "tv"])
def test_a_device_cannot_take_a_name_that_matters(home, lease, claimed):
    """A stranger that calls itself the home's proxy, the appliance or another device does not become it."""
    before = home.client(home.resolver).addresses(f"{claimed}.home.arpa")
    got = lease("stranger", STRANGER, "-x", f"hostname:{claimed}")
    after = home.client(home.resolver).addresses(f"{claimed}.home.arpa")
    assert after == before
    assert got["ip"] not in after


def test_names_abroad_do_not_lead_into_the_home(home):
    """A name outside that answers with an address of the home is not believed, unless the family allowed it."""
    home.internet.answers = {"evil.example": "192.168.10.1", "nas.plex.direct": "192.168.10.30"}
    home.daemons.become(changed(rebind_allowed=frozenset({"plex.direct"})))
    for server in (home.resolver, home.kids_resolver):
        client = home.client(server)
        assert client.addresses("evil.example") == ()
        assert client.addresses("nas.plex.direct") == ("192.168.10.30",)


@pytest.mark.parametrize("deaf", UPSTREAMS)
def test_an_upstream_that_falls_silent_costs_no_name(home, deaf):
    """Whichever of the two was answering until now, the next new names are answered at once by the other."""
    client = home.client(home.resolver)
    for number in range(5):
        client.addresses(f"before{number}.example.net")
    home.internet.deaf.add(deaf)
    assert [client.ask(f"after{number}.example.net", seconds=0.5) for number in range(20)].count(None) == 0


def test_common_edits_restart_nothing_and_lose_no_query(home, lease):
    """Blocks, names and reservations change under steady questions from two devices; none goes unanswered, and each edit holds."""
    lease("tablet", TABLET)
    base, lost = holm(), 0
    for number in range(5):
        block = base.dns.blocked["ads"].model_copy(update={"domains": frozenset({f"block{number}.example"})})
        device = base.devices["tv"].model_copy(update={"address": base.devices["tv"].address + number})
        edited = changed(blocked={**base.dns.blocked, "ads": block}, names={f"name{number}": "appliance"})
        with_device = edited.model_copy(update={"devices": {**base.devices, "tv": device}})
        with Questions(home) as questions:
            assert home.daemons.become(with_device) == set()
            for server in (home.resolver, home.kids_resolver):
                client = home.client(server)
                until(lambda c=client, n=number: c.code(f"block{n}.example") == dns_wire.NXDOMAIN, "the block holds")
                assert client.addresses(f"name{number}.home.arpa") == ("192.168.10.2",)
                assert client.addresses("tv.home.arpa") == (str(device.address),)
        lost += questions.lost
        assert questions.asked > 20
    assert lost == 0
    assert home.daemons.alive(MAIN)
    assert home.daemons.alive(KIDS)
    assert home.daemons.faults() == []


def test_leases_survive_many_rereads(home, lease):
    """Debian 12's dnsmasq crashes on SIGHUP where re-read reservations carry tags; ours never do, and it lives."""
    lease("tablet", TABLET)
    lease("tv", TV)
    for _ in range(20):
        home.daemons.reload(MAIN)
    assert home.daemons.alive(MAIN)
    assert lease("stranger", STRANGER)["router"] == "192.168.10.1"


def test_a_restart_of_the_main_instance_costs_its_groups_no_local_name(home, lease):
    """While the main instance is away for a moment, the kids' devices lose no question, not even for a leased name."""
    address = lease("tablet", TABLET)["ip"]
    kids = home.client(home.kids_resolver)
    with Questions(home, servers=(home.kids_resolver,), names=("tv.home.arpa", "mia-tablet.home.arpa")) as questions:
        home.daemons.restart(MAIN)
        until(lambda: kids.addresses("mia-tablet.home.arpa") == (address,), "the lease is known again")
    assert (questions.asked > 0, questions.lost) == (True, 0)


def test_without_the_main_instance_a_group_still_finds_the_homes_machines(home):
    """Fixed names are each instance's own: with the main one gone they are answered at once, and so is the world."""
    home.daemons.stop(MAIN)
    kids = home.client(home.kids_resolver)
    for name in ("tv.home.arpa", "hearth.home.arpa", "debian.org", "tiktok.com"):
        assert kids.ask(name, seconds=0.5) is not None


def test_another_dhcp_server_is_seen_and_our_own_is_not(home):
    """From a device, our server's offer is seen; from the appliance, which asks for others, nothing is."""
    visitor = home.lan.add("visitor", mac=STRANGER)
    until(lambda: inside(visitor, lambda: offers("eth0", 0.5)), "an offer")
    (offer,) = inside(visitor, lambda: offers("eth0", 0.5))
    assert (offer.server, offer.routers, offer.resolvers) == (home.resolver, ("192.168.10.1",), (home.resolver,))
    assert inside(home.appliance, lambda: offers("eth0", 0.3)) == ()


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("dnsmasq/servers", "address=/x.example/192.0.2.1\n"),
        ("dnsmasq/servers", "conf-script=/bin/true\n"),
        ("dnsmasq/servers", None),
        ("dnsmasq/hosts", "not-an-address tv.home.arpa\n"),
        ("dnsmasq/hosts", None),
        ("dnsmasq/dhcp-hosts", "02:00:5e:10:00:zz,tv\n"),
        ("dnsmasq/dhcp-hosts", "02:00:5e:10:00:04,192.168.10.20,a\n02:00:5e:10:00:05,192.168.10.20,b\n"),
    ],
)
def test_what_dnsmasq_complains_of_is_a_fault_of_its_unit(home, state, path, content):
    """Blocks and names fail open with one line in the log: that line is found, though the process lives on."""
    live = state / "current" / path
    if content is None:
        live.unlink()
    else:
        live.write_text(content)
    home.daemons.restart(MAIN)
    until(
        lambda: "dhcp-hosts" in home.daemons.said(MAIN).splitlines()[-1] or home.daemons.faults(), "the files are read"
    )
    assert home.daemons.faults()


def test_debians_own_unit_starts_the_file_as_it_is(home, state, dnsmasq):
    """With the arguments that Debian's unit adds (systemd-helper and init-system-common, bookworm and trixie), nothing in it conflicts."""
    home.daemons.stop(MAIN)
    pid, extra = state / "leases" / "dnsmasq.pid", state / "dnsmasq.d"
    extra.mkdir()
    anchor = "--trust-anchor=.,20326,8,2,E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D"
    added = [
        "-x",
        str(pid),
        "-u",
        "dnsmasq",
        "-7",
        f"{extra},.dpkg-dist,.dpkg-old,.dpkg-new",
        "--local-service",
        anchor,
    ]
    command = [
        "ip",
        "netns",
        "exec",
        home.appliance,
        dnsmasq,
        "-k",
        "--log-facility=-",
        *added,
        "-C",
        str(state / "current/dnsmasq/dnsmasq.conf"),
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        until(lambda: pid.exists() or process.poll() is not None, "the pid file that systemd waits for is written")
        results = inside(home.appliance, lambda: ask(home.daemons.artifact.plan.probes))
        process.terminate()
        said = process.stderr.read()
    assert not [result for result in results if not result.ok], said
    (unit,) = (unit for unit in home.daemons.artifact.plan.units if unit.name == MAIN)
    assert not [line for line in said.splitlines() if any(re.search(fault, line) for fault in unit.faults)]


class Questions:
    """Devices that ask without pause while something happens, one thread for each resolver."""

    def __init__(self, home, servers=None, names=("tv.home.arpa", "debian.org")) -> None:
        self._clients = [home.client(server) for server in servers or (home.resolver, home.kids_resolver)]
        self._names, self._done = names, threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(client,)) for client in self._clients]

    def _ask(self, client) -> None:
        while not self._done.is_set():
            for name in self._names:
                client.ask(name)

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._done.set()
        for thread in self._threads:
            thread.join()

    @property
    def lost(self) -> int:
        """How many questions went unanswered for two seconds."""
        return sum(client.lost for client in self._clients)

    @property
    def asked(self) -> int:
        """How many were asked."""
        return sum(client.asked for client in self._clients)
