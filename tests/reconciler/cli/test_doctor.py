"""`hearth doctor`: each missing prerequisite by name, with its remedy; judged purely, and looked at for real."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from reconciler.dhcp import Kind, Reply
from reconciler.doctor import Grade, machine, network
from reconciler.doctor.network import Interface, Listener
from renderers.plan import DhcpProbe, DnsProbe, HomeNetwork, Plan
from tests.bench import HEARTH, Bench, until
from tests.conformance.lan import Lan, inside, missing

HOME = HomeNetwork("eth0", "192.168.10.2/24", "192.168.10.1")
DHCP = DhcpProbe("dhcp main", "192.168.10.2", "eth0", "192.168.10.1")
DNS = DnsProbe("dns main local", "192.168.10.2", 53, "hearth.home.arpa", "address", "192.168.10.2")
PLAN = Plan(probes=(DNS, DHCP), network=HOME)


def names(said) -> dict[str, str]:
    """The grades by name."""
    return {one["name"]: one["grade"] for one in said["diagnoses"]}


def test_a_home_that_is_well_gets_a_clean_bill(standing: Bench):
    """Every check passes on a bench that is up, and the exit code says so."""
    code, said = standing.hearth_json("doctor")
    assert code == 0
    assert said["well"]
    assert {"dnsmasq", "checkers", "clock", "disk", "source", "keys", "agent", "files"} <= names(said).keys()
    assert names(said)["agent"] == "ok"


def test_what_the_last_pass_found_is_in_the_way_too(bench: Bench):
    """Nobody should read that nothing is in the way while a pause holds changes back, or a commit is refused."""
    bench.hearth("suspend", "--for", "1h", "--reason", "Visitors")
    code, paused = bench.hearth_json("doctor")
    found = next(one for one in paused["diagnoses"] if one["name"] == "ready")
    assert (code, found["grade"], found["remedy"]) == (0, "advice", "sudo hearth resume ends the pause.")
    bench.hearth("resume")
    bench.edit("people.yaml", "Mia Holm", "Mia", signed=False)
    bench.hearth("reconcile", check=False)
    code, refused = bench.hearth_json("doctor")
    found = next(one for one in refused["diagnoses"] if one["name"] == "ready")
    assert (code, found["grade"]) == (1, "bad")
    assert "is not signed" in found["message"]


def test_before_joining_it_looks_at_the_machine_and_writes_nothing(tmp_path):
    """Somebody who has only installed wants to know whether this machine is fit."""
    done = subprocess.run(
        [HEARTH, "--root", tmp_path / "root", "doctor", "--json"], capture_output=True, text=True, check=False
    )
    found = names(json.loads(done.stdout))
    assert found["joined"] == "advice"
    assert {"dnsmasq", "checkers", "clock", "disk"} <= found.keys()
    assert not (tmp_path / "root").exists()


def test_a_stopped_agent_an_unreachable_source_and_an_open_key_are_each_named(joined: Bench):
    """Three things are wrong at once, and each is one line with its remedy."""
    joined.start_agent()
    joined.wait_until_up()
    joined.stop_agent()
    joined.remote.rename(joined.folder / "gone.git")
    (joined.paths.keys / "device").chmod(0o644)
    served = joined.paths.state / "current/dnsmasq/hosts"
    served.write_text("192.168.10.2 evil\n")
    code, said = joined.hearth_json("doctor")
    found = {one["name"]: one for one in said["diagnoses"]}
    assert code == 1
    assert {name for name, one in found.items() if one["grade"] == "bad"} == {"agent", "source", "keys"}
    assert found["files"]["grade"] == "advice"
    assert f"chmod 600 {joined.paths.keys / 'device'}" in found["keys"]["remedy"]
    assert "git-host.git" in found["source"]["message"]


def test_settings_that_are_no_toml_are_a_diagnosis_not_an_end(joined: Bench):
    """The doctor goes on with what it can look at."""
    joined.paths.settings.write_text("= nonsense \x00")
    code, said = joined.hearth_json("doctor")
    assert code == 1
    assert names(said)["joined"] == "bad"
    assert names(said)["checkers"] == "ok"


def test_a_journal_that_cannot_be_read_is_named(joined: Bench):
    """It is never replaced silently: that would lower the trust floor."""
    joined.paths.journal.write_text("{}")
    code, said = joined.hearth_json("doctor")
    assert (code, names(said)["journal"]) == (1, "bad")


@pytest.mark.parametrize(
    ("version", "grade"),
    [
        ("2.90-4~deb12u2", Grade.OK),
        ("2.90-4~deb12u3", Grade.OK),
        ("2.90-4~deb12u1", Grade.BAD),
        ("2.91-1+deb13u2", Grade.OK),
        ("2.91-1+deb13u1", Grade.ADVICE),
        ("2.91-1+deb13u0", Grade.BAD),
        ("2.91-1+rpt1+deb13u2", Grade.OK),
        ("2.92-1", Grade.ADVICE),
        ("", Grade.ADVICE),
        ("\x1b[2J", Grade.ADVICE),
    ],
)
def test_versions_of_dnsmasq_are_judged_by_debians_advisories(version, grade):
    """Known holes are bad, what is not known is only advice."""
    found = machine.dnsmasq_version(version)
    assert found.grade is grade
    assert found.message.isprintable()


@pytest.mark.parametrize(
    ("now", "newest", "grade"),
    [
        (0.0, 0.0, Grade.BAD),
        (1_795_000_000.0, 0.0, Grade.OK),
        (1_795_000_000.0, 1_795_000_300.0, Grade.OK),
        (1_795_000_000.0, 1_795_090_000.0, Grade.BAD),
        (4_070_908_800.0, 0.0, Grade.BAD),
        (1e30, 0.0, Grade.BAD),
    ],
)
def test_a_clock_that_cannot_be_right_is_bad(now, newest, grade):
    """1970, 2099, and a clock behind what this home wrote down itself."""
    assert machine.clock(now, newest).grade is grade


@pytest.mark.parametrize(("free", "grade"), [(10**10, Grade.OK), (10**8, Grade.ADVICE), (10**7, Grade.BAD)])
def test_a_full_disk_is_seen_before_it_stops_a_change(free, grade):
    """500 MB are advice, 50 MB are bad."""
    assert machine.room(Path("/var/lib/hearth"), free).grade is grade


def test_who_holds_port_53_is_named_with_the_command_that_frees_it():
    """systemd-resolved, another service, and one that only root can see."""
    taken = network.port([Listener("0.0.0.0", "systemd-resolve", "systemd-resolved.service")], {"192.168.10.2"}, (), 53)
    assert taken.grade is Grade.BAD
    assert "DNSStubListener=no" in taken.remedy
    other = network.port([Listener("192.168.10.2", "named", "named.service")], {"192.168.10.2"}, (), 53)
    assert other.remedy == "sudo systemctl disable --now named.service"
    hidden = network.port([Listener("::")], {"192.168.10.2"}, (), 53)
    assert "ss -tulpn" in hidden.remedy


def test_resolveds_stub_at_its_own_address_and_our_own_units_are_in_nobodys_way():
    """Ours binds the home's addresses alone, so 127.0.0.53 is free for others."""
    fine = [
        Listener("127.0.0.53", "systemd-resolve", "systemd-resolved.service"),
        Listener("192.168.10.2", "dnsmasq", "dnsmasq.service"),
    ]
    assert network.port(fine, {"192.168.10.2", "127.0.0.1"}, {"dnsmasq.service"}, 53).grade is Grade.OK


@pytest.mark.parametrize(
    ("manager", "words"),
    [
        (
            "networkmanager",
            "nmcli connection modify 'Wired connection 1' ipv4.method manual ipv4.addresses 192.168.10.2/24 ipv4.gateway 192.168.10.1",
        ),
        ("networkd", "Address=192.168.10.2/24\\nGateway=192.168.10.1"),
        ("dhcpcd", "static ip_address=192.168.10.2/24"),
        ("ifupdown", "iface eth0 inet static"),
    ],
)
def test_a_missing_fixed_address_comes_with_the_exact_command(manager, words):
    """In the words of whoever manages the network here."""
    found = network.address(HOME, {"eth0": Interface(("10.0.0.5/24",))}, manager, "Wired connection 1")
    assert found.grade is Grade.BAD
    assert words in found.remedy


def test_a_leased_address_and_a_missing_interface_are_told_apart():
    """The right address by luck is advice; no such interface names those there are."""
    leased = Interface(("192.168.10.2/24",), frozenset({"192.168.10.2/24"}))
    assert network.address(HOME, {"eth0": leased}, "networkd", "").grade is Grade.ADVICE
    assert network.address(HOME, {"eth0": Interface(("192.168.10.2/24",))}, "networkd", "").grade is Grade.OK
    gone = network.address(HOME, {"lo": Interface(()), "end0": Interface(())}, "networkd", "")
    assert "this machine has end0" in gone.message


def test_a_connections_name_is_quoted_for_the_shell():
    """NetworkManager's names are anybody's text."""
    command = network.set_address(HOME, "networkmanager", "x'; reboot #")
    assert "modify 'x'\"'\"'; reboot #' ipv4" in command


def test_a_second_dhcp_server_is_named_where_the_home_hands_out_addresses_itself():
    """And where it does not, the router's word on the resolver is what matters."""
    router = Reply("192.168.10.1", Kind.OFFER, "192.168.10.50", ("192.168.10.1",), ("192.168.10.1",))
    two = network.servers([router], HOME, hands_out=True)
    assert two.grade is Grade.BAD
    assert "Turn off DHCP in the router at 192.168.10.1" in two.remedy
    astray = network.servers([router], HOME, hands_out=False)
    assert astray.grade is Grade.ADVICE
    assert "to 192.168.10.2" in astray.remedy
    good = Reply("192.168.10.1", Kind.OFFER, "192.168.10.50", ("192.168.10.1",), ("192.168.10.2",))
    assert network.servers([good], HOME, hands_out=False).grade is Grade.OK
    assert network.servers([], HOME, hands_out=True).grade is Grade.OK


def test_a_real_second_server_answers_one_discover():
    """A router with DHCP on, in a network of its own."""
    if why := missing():
        pytest.skip(why)
    lan = Lan("192.168.10.0/24", "192.168.10.1", ())
    appliance = lan.add("pi", addresses=("192.168.10.2",))
    argv = [
        "ip",
        "netns",
        "exec",
        lan.street,
        "dnsmasq",
        "--keep-in-foreground",
        "--conf-file=/dev/null",
        "--pid-file=",
    ]
    argv += ["--user=root", "--port=0", "--interface=lan", "--leasefile-ro", "--log-facility=-"]
    router = subprocess.Popen([*argv, "--dhcp-range=192.168.10.50,192.168.10.60,1h"], stderr=subprocess.DEVNULL)
    try:
        until(
            lambda: inside(appliance, lambda: network.look_for_servers(HOME, PLAN)).grade is Grade.BAD,
            20,
            what="an offer",
        )
    finally:
        router.send_signal(signal.SIGTERM)
        router.wait()
        lan.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="port 53 in a namespace of its own needs root: run the tests with sudo")
def test_a_real_taken_port_53_is_found_and_its_holder_named(tmp_path):
    """In a network namespace with nothing but another resolver in it."""
    if why := missing():
        pytest.skip(why)
    lan = Lan("192.168.10.0/24", "192.168.10.1", ())
    where = lan.add("pi", addresses=("192.168.10.2",))
    argv = [
        "ip",
        "netns",
        "exec",
        where,
        "dnsmasq",
        "--keep-in-foreground",
        "--conf-file=/dev/null",
        "--no-resolv",
        "--pid-file=",
        "--user=root",
    ]
    other = subprocess.Popen(argv, stderr=subprocess.DEVNULL)

    def diagnosis() -> dict[str, str]:
        doctor = ["ip", "netns", "exec", where, str(HEARTH), "--root", str(tmp_path), "doctor", "--json"]
        said = json.loads(subprocess.run(doctor, capture_output=True, text=True, check=False).stdout)
        return next(one for one in said["diagnoses"] if one["name"] == "port")

    try:
        until(lambda: diagnosis()["grade"] == "bad", 20, what="the port taken")
        assert diagnosis()["message"].startswith("dnsmasq holds port 53 at every address")
    finally:
        other.send_signal(signal.SIGTERM)
        other.wait()
        lan.close()


def test_an_output_of_ip_is_read_with_what_is_only_leased():
    """`dynamic` is how ip marks a lease."""
    text = '[{"ifname":"eth0","addr_info":[{"family":"inet","local":"10.0.0.2","prefixlen":24,"dynamic":true}]},{}]'
    assert network.read_interfaces(text) == {"eth0": Interface(("10.0.0.2/24",), frozenset({"10.0.0.2/24"}))}


def test_a_folder_on_a_read_only_file_system_is_bad(tmp_path):
    """A card that has gone read-only is how SD cards die."""
    if os.geteuid() != 0 or not shutil.which("unshare"):
        pytest.skip("mounting needs root and unshare: run the tests with sudo")
    program = f"mount -t tmpfs -o ro none {tmp_path} && exec {HEARTH} --root {tmp_path} doctor --json"
    done = subprocess.run(["unshare", "--mount", "sh", "-c", program], capture_output=True, text=True, check=False)
    if not done.stdout:
        pytest.skip(f"this machine mounts nothing: {done.stderr.strip()}")
    found = {one["name"]: one for one in json.loads(done.stdout)["diagnoses"]}
    assert found["disk"]["grade"] == "bad"
    assert "remount,rw" in found["disk"]["remedy"]
