"""On a booted system: systemd's cage holds a checker, and systemd's units do what a plan asks."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from .harness import Appliance

pytestmark = pytest.mark.appliance

_PYTHON = "/opt/hearth/current/bin/python"
_CAGED = """
import json, sys
from pathlib import Path
from reconciler.cage import caged
from reconciler.errors import Transient
try:
    ended = caged(tuple(sys.argv[3:]), Path(sys.argv[1]), seconds=float(sys.argv[2]))
    print(json.dumps([ended.code, ended.text]))
except Transient as error:
    print(json.dumps([error.reason, error.message]))
"""
_UNITS = """
import json, sys
from dataclasses import asdict
from renderers.plan import Plan, Unit
from reconciler.errors import HearthError
from reconciler.systemd_units import SystemdUnits
from reconciler.units import Action, UnitStep
units, names = SystemdUnits(), ("dnsmasq.service", "hearth-resolver@kids.service")
plan = Plan(units=tuple(Unit(name, ("dnsmasq",), (), faults=("^bad ",)) for name in names))
since, refusal = units.cursor(), None
try:
    units.perform([UnitStep(Action(sys.argv[1]), name) for name in sys.argv[2:]], plan)
except HearthError as error:
    refusal = f"{type(error).__name__}: {error.message}"
states = {name: asdict(state) for name, state in units.states(plan).items()}
print(json.dumps([states, refusal, [fault.line for fault in units.faults(plan, since)]]))
"""
_MAIN, _KIDS = "dnsmasq.service", "hearth-resolver@kids.service"
_GOOD = "no-resolv\nlisten-address=192.168.10.2\nbind-dynamic\n"


@pytest.fixture(scope="module")
def generation(appliance: Appliance) -> Iterator[Appliance]:
    """The appliance with a generation put there by hand: the main resolver and the kids'."""
    put(appliance, "dnsmasq/dnsmasq.conf", _GOOD)
    put(
        appliance,
        "dnsmasq/groups/kids.conf",
        "listen-address=192.168.10.3\nno-resolv\nbind-interfaces\nexcept-interface=lo\npid-file=\n",
    )
    put(appliance, "dnsmasq/groups/kids.env", "INTERFACE=eth0\nADDRESS=192.168.10.3/24\n")
    appliance.run(["ln", "-sfn", "generations/by-hand", "/var/lib/hearth/current"])
    appliance.run(["ln", "-sfn", "/var/lib/hearth/current/dnsmasq/dnsmasq.conf", "/etc/dnsmasq.conf"])
    return appliance


def put(appliance: Appliance, path: str, text: str) -> None:
    """Write a file of the generation."""
    place = f"/var/lib/hearth/generations/by-hand/{path}"
    appliance.run(["sh", "-euc", 'mkdir -p "$(dirname "$1")" && cat >"$1"', "sh", place], text=text)


def caged(appliance: Appliance, *command: str, seconds: float = 5) -> tuple[int | str, str]:
    """Run a checker in the cage; return its code and words, or the reason and words of the failure."""
    folder = "/var/lib/hearth/generations/by-hand"
    code, words = json.loads(appliance.run([_PYTHON, "-c", _CAGED, folder, seconds, *command]))
    return code, words


def tell(appliance: Appliance, action: str, *units: str) -> tuple[dict[str, dict[str, object]], str | None, list[str]]:
    """Take steps; return the states after it, the refusal and the faults."""
    states, refusal, faults = json.loads(appliance.run([_PYTHON, "-c", _UNITS, action, *units]))
    return states, refusal, faults


def test_systemds_cage_lets_dnsmasq_judge(generation: Appliance) -> None:
    """Accepted and refused, in its own words."""
    put(generation, "bogus.conf", "no-such-option\n")
    assert caged(generation, "dnsmasq", "--test", "-C", "{root}/dnsmasq/dnsmasq.conf") == (
        0,
        "dnsmasq: syntax check OK.",
    )
    code, words = caged(generation, "dnsmasq", "--test", "-C", "{root}/bogus.conf")
    assert code == 1
    assert "bad option at line 1 of ./bogus.conf" in words


def test_systemds_cage_keeps_a_script_from_running(generation: Appliance) -> None:
    """Case 31: the canary is never created, though outside the cage it would be."""
    script = "#!/bin/sh\n: >/run/canary; : >/dev/shm/canary\n"
    generation.run(["sh", "-euc", "cat >/usr/local/bin/script && chmod 755 /usr/local/bin/script"], text=script)
    put(generation, "hostile.conf", "conf-script=/usr/local/bin/script\n")
    assert caged(generation, "dnsmasq", "--test", "-C", "{root}/hostile.conf")[0] == 3
    canaries = ["sh", "-c", "ls /run/canary /dev/shm/canary | wc -l"]
    assert generation.run(canaries).split()[-1] == "0"
    generation.run(["dnsmasq", "--test", "-C", "/var/lib/hearth/generations/by-hand/hostile.conf"], check=False)
    assert generation.run(canaries).split()[-1] == "2"


def test_a_hanging_or_killed_checker_could_not_check(generation: Appliance) -> None:
    """Case 35: systemd-run exits 1 for both, as dnsmasq does for a refusal; the two are told apart."""
    assert caged(generation, "sleep", "100", seconds=1)[0] == "CheckerUnavailable"
    assert caged(generation, "sh", "-c", "ulimit -t 0; while :; do :; done")[0] == "CheckerUnavailable"


def test_started_units_serve_and_come_back_after_a_reboot_without_the_agent(generation: Appliance) -> None:
    """Offline from boot: nothing but systemd is needed to serve what was confirmed."""
    states, refusal, faults = tell(generation, "start", _MAIN, _KIDS)
    assert (refusal, faults) == (None, [])
    assert all(state["running"] for state in states.values())
    assert generation.run(["systemctl", "is-enabled", _MAIN, _KIDS]).split() == ["enabled", "enabled"]
    generation.reboot()
    assert generation.run(["systemctl", "is-active", _MAIN, _KIDS]).split() == ["active", "active"]


def test_a_reload_keeps_the_process_and_a_restart_does_not(generation: Appliance) -> None:
    """And the other unit is left alone."""
    before, *_ = tell(generation, "start", _MAIN, _KIDS)
    reloaded, *_ = tell(generation, "reload", _MAIN)
    restarted, *_ = tell(generation, "restart", _MAIN)
    assert reloaded == before
    assert restarted[_MAIN] != before[_MAIN]
    assert restarted[_KIDS] == before[_KIDS]


def test_a_unit_that_refuses_says_why_and_keeps_no_other_back(generation: Appliance) -> None:
    """Its own words arrive; afterwards a good file brings it back at once."""
    put(generation, "dnsmasq/dnsmasq.conf", "no-such-option\n")
    states, refusal, faults = tell(generation, "restart", _MAIN, _KIDS)
    assert refusal
    assert "bad option at line 1 of /etc/dnsmasq.conf" in refusal
    assert faults[0] == "bad option at line 1 of /etc/dnsmasq.conf"
    assert (states[_MAIN]["running"], states[_KIDS]["running"]) == (False, True)
    put(generation, "dnsmasq/dnsmasq.conf", _GOOD)
    states, refusal, _ = tell(generation, "restart", _MAIN)
    assert (refusal, states[_MAIN]["running"]) == (None, True)


def test_a_dropped_unit_stays_away_after_a_reboot(generation: Appliance) -> None:
    """A group without a resolver leaves none behind, nor its address."""
    tell(generation, "start", _KIDS)
    states, refusal, _ = tell(generation, "stop", _KIDS)
    assert (refusal, states[_KIDS]["running"]) == (None, False)
    assert "192.168.10.3" not in generation.run(["ip", "-brief", "address"])
    generation.reboot()
    assert generation.run(["systemctl", "is-active", _KIDS], check=False).strip() == "inactive"
