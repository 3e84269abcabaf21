"""What can be shown of systemd's units without systemd; tests/appliance shows the rest on a booted system."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.errors import Transient
from reconciler.systemd_units import SystemdUnits, group
from reconciler.units import Action, UnitState, UnitStep
from renderers.plan import Plan, Unit

PLAN = Plan(units=(Unit("dnsmasq.service", ("dnsmasq",), ()), Unit("hearth-resolver@kids.service", ("dnsmasq",), ())))
without_systemd = pytest.mark.skipif(
    Path("/run/systemd/system").exists(), reason="shows a machine that systemd did not boot"
)


def test_instances_of_a_template_lie_in_its_slice():
    """systemd.unit(5): a dash in a slice's name is a level, so systemd escapes it."""
    assert group("dnsmasq.service") == "dnsmasq.service"
    assert group("hearth-resolver@kids.service") == "system-hearth\\x2dresolver.slice/hearth-resolver@kids.service"


def test_looking_at_running_units_starts_no_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A pass with nothing to do stays free of processes: the control groups say who runs."""
    for number, unit in enumerate(PLAN.units, start=100):
        (tmp_path / group(unit.name)).mkdir(parents=True)
        (tmp_path / group(unit.name) / "cgroup.procs").write_text(f"{number}\n7\n")
    monkeypatch.setattr("reconciler.systemd_units.run", lambda *_, **__: pytest.fail("a process was started"))
    assert SystemdUnits(tmp_path).states(PLAN) == {
        "dnsmasq.service": UnitState(running=True, incarnation="100"),
        "hearth-resolver@kids.service": UnitState(running=True, incarnation="101"),
    }


@without_systemd
def test_a_machine_without_systemd_is_unreachable_and_not_refused(tmp_path: Path):
    """The household is not to blame."""
    units = SystemdUnits(tmp_path)
    for reach in (
        lambda: units.perform([UnitStep(Action.RESTART, "dnsmasq.service")], PLAN),
        lambda: units.states(PLAN),
    ):
        with pytest.raises(Transient) as caught:
            reach()
        assert caught.value.reason == "UnitsUnreachable"


def test_missing_programs_are_unreachable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """One reason for one obstacle, with the remedy kept."""
    monkeypatch.setattr("reconciler.run.SURROUNDINGS", {"PATH": "/nowhere"})
    with pytest.raises(Transient, match="journalctl is not installed") as caught:
        SystemdUnits(tmp_path).cursor()
    assert (caught.value.reason, caught.value.remedy) == ("UnitsUnreachable", "Install it with `apt install systemd`.")
