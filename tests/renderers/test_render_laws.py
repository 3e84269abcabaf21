"""Laws of rendering, over every home that the format allows."""

from __future__ import annotations

import subprocess
import sys
from ipaddress import ip_address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from desired_state.model import Household
from renderers import APPLIANCE, SERVICES, render
from renderers.dnsmasq import DNSMASQ
from renderers.dnsmasq_reread import statements
from renderers.encode import RenderingError
from renderers.plan import Plan
from renderers.resolution import CANARIES, blocked_for_everyone, blocked_for_group, local_names
from tests.desired_state.households import households
from tests.renderers.homes import BENCH, alone, full, holm, household

targets = st.sampled_from([APPLIANCE, BENCH])


@given(households(), targets)
def test_equal_homes_render_to_equal_artifacts(home, target):
    """Rendering depends on the household and the target alone, not on the order of anything."""
    again = Household.model_validate_json(home.model_dump_json(by_alias=True), by_alias=True, by_name=False)
    shuffled = again.model_copy(
        update={"devices": dict(reversed(again.devices.items())), "groups": dict(reversed(again.groups.items()))}
    )
    assert render(home, target).manifest == render(shuffled, target).manifest


def test_the_digest_does_not_depend_on_the_process():
    """Another process with other hash seeds, another place and another time zone names the artifact equally."""
    program = "from tests.renderers.homes import full; from renderers import render; print(render(full()).digest)"
    surroundings = {"PYTHONHASHSEED": "4711", "TZ": "Asia/Tokyo", "PYTHONPATH": str(Path.cwd()), "LC_ALL": "C"}
    other = subprocess.run(
        [sys.executable, "-c", program], env=surroundings, capture_output=True, text=True, check=True
    )
    assert other.stdout.strip() == render(full()).digest


@given(households(), targets)
def test_read_again_the_files_say_what_the_home_says(home, target):
    """Blocks, names, reservations and groups, read from the files, are those of the household: none lost, none added."""
    if home.dns is None:
        return
    files = {path: statements(path, file.content) for path, file in alone(DNSMASQ, home, target).files.items()}
    everyone = blocked_for_everyone(home)
    assert _blocked(files["dnsmasq/servers"]) == everyone | (CANARIES if everyone else frozenset())
    for name, group in home.groups.items():
        path = f"dnsmasq/groups/{name}.servers"
        assert (path in files) == (group.resolver is not None)
        blocked = everyone | blocked_for_group(home, name)
        assert _blocked(files.get(path, ())) == (blocked | CANARIES if blocked and group.resolver else frozenset())
    assert _hosts(files["dnsmasq/hosts"], home.network.domain) == {
        address: set(names) for address, names in local_names(home).items()
    }
    if home.dns.dhcp and target is APPLIANCE:
        lines = files["dnsmasq/dhcp-hosts"]
        assert {line.split(",")[0]: line.split(",")[-1] for line in lines} == {
            device.mac: name for name, device in home.devices.items()
        }


@pytest.mark.parametrize("target", [APPLIANCE, BENCH])
def test_a_home_of_any_size_renders(target):
    """Samba, dnsmasq's hosts and step-ca take a line or a list of any length, so a large home is no defect of ours."""
    many = {f"{number:03}": f"of-a-large-family-{number:03}" for number in range(300)}
    home = household(
        people={person: {"name": "One", "email": f"{person}@example.com"} for person in many.values()},
        dns={"upstreams": ["9.9.9.9"], "names": dict.fromkeys(many, "appliance")},
        files={"shares": {f"s{name}": {"description": "Things", "time_machine": True, "access": {"everyone": "write"}} for name in many}},
        certificates={"name": "CA", "names": [f"ca{name}.home.arpa" for name in many]},
        mail={
            "hostname": "mail.home.arpa",
            "relay": {
                "host": "smtp.example.com", "username": "u", "password": "secret:relay", "sender": "home@example.com",
            },
            "aliases": {"all": list(many.values())},
        },
    )  # fmt: skip
    written = render(home, target).files
    assert written["samba/smb.conf"].content.count(b"of-a-large-family-299") == 600
    assert b" ca299.home.arpa" in written["dnsmasq/hosts"].content


def _blocked(lines):
    return {line.removeprefix("server=/").removesuffix("/") for line in lines}


def _hosts(lines, domain):
    """Return the full names of each address, and insist that the short ones are short forms of them."""
    table = {}
    for line in lines:
        address, *names = line.split(" ")
        table[ip_address(address)] = {name for name in names if "." in name}
        assert all(f"{name}.{domain}" in names for name in names if "." not in name)
    return table


@given(households(), targets)
def test_the_plan_knows_every_file_and_names_no_other(home, target):
    """Each file's change has a consequence, each path in the plan exists, names are unique, and the plan survives its manifest."""
    artifact = render(home, target)
    told = {path for unit in artifact.plan.units for path in (*unit.restart, *unit.reload)}
    run = {path for each in artifact.plan.provisions if each.kind == "command" for path in each.inputs}
    assert {path for path in told if not path.startswith("/")} | run == set(artifact.files)
    assert all(not set(unit.restart) & set(unit.reload) for unit in artifact.plan.units)
    for named in (artifact.plan.units, artifact.plan.checkers, artifact.plan.probes):
        assert len({each.name for each in named}) == len(named)
    assert Plan.from_json(artifact.plan.as_json()) == artifact.plan


@given(households())
def test_a_probe_from_abroad_is_never_a_name_that_the_home_blocks_or_owns(home):
    """Otherwise a good block would look like a dead upstream, and be rolled back."""
    for probe in render(home).plan.probes:
        if probe.kind == "dns" and probe.expect == "answered":
            near = {
                home.network.domain,
                *blocked_for_everyone(home),
                *(d for g in home.groups for d in blocked_for_group(home, g)),
            }
            assert not any(probe.question == zone or probe.question.endswith(f".{zone}") for zone in near)


INJECTION = "a\nconf-script=/tmp/hearth-canary"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda home: {"network": home.network.model_copy(update={"domain": INJECTION})},
        lambda home: {"network": home.network.model_copy(update={"router": INJECTION})},
        lambda home: {"appliance": home.appliance.model_copy(update={"name": INJECTION})},
        lambda home: {"appliance": home.appliance.model_copy(update={"interface": INJECTION})},
        lambda home: {"devices": {INJECTION: home.devices["tv"]}},
        lambda home: {"devices": {"tv": home.devices["tv"].model_copy(update={"mac": INJECTION})}},
        lambda home: {"groups": {INJECTION: home.groups["kids"]}},
        lambda home: {"dns": home.dns.model_copy(update={"names": {INJECTION: "appliance"}})},
        lambda home: {"dns": home.dns.model_copy(update={"rebind_allowed": frozenset({INJECTION})})},
        lambda home: {
            "dns": home.dns.model_copy(update={"dhcp": home.dns.dhcp.model_copy(update={"lease": INJECTION})})
        },
        lambda home: {
            "dns": home.dns.model_copy(update={"dhcp": home.dns.dhcp.model_copy(update={"first": INJECTION})})
        },
        lambda home: {
            "dns": home.dns.model_copy(
                update={
                    "blocked": {"x": home.dns.blocked["ads"].model_copy(update={"domains": frozenset({INJECTION})})}
                }
            )
        },
        lambda home: {"certificates": home.certificates.model_copy(update={"names": frozenset({INJECTION})})},
        lambda home: {"mail": home.mail.model_copy(update={"hostname": INJECTION})},
    ],
)
def test_an_injection_that_got_past_the_loader_renders_nothing(spoil):
    """Case 31, with the first line of defence gone: a directive in any value that reaches a file stops the rendering."""
    home = holm()
    with pytest.raises(RenderingError):
        render(home.model_copy(update=spoil(home)))


def test_display_texts_never_reach_a_file():
    """Names and reasons, in any script, are for people: no daemon's file carries them."""
    home = holm()
    written = b"".join(file.content for file in render(home).files.values()).decode()
    texts = [
        home.name,
        *(device.name for device in home.devices.values()),
        *(block.reason for block in home.dns.blocked.values() if block.reason),
    ]
    assert not [text for text in texts if text in written]


def test_every_service_has_a_name_of_its_own():
    """Services are told apart by name."""
    assert len({service.name for service in SERVICES}) == len(SERVICES)
