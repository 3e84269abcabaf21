"""A freshly flashed appliance boots, waits for a home, and its units hold what they promise."""

from __future__ import annotations

import re

import pytest

from .harness import STAGE, Appliance, until

pytestmark = pytest.mark.appliance

_UNITS = ("hearth-agent.service", "hearth-resolver@kids.service")


def test_it_boots_with_no_failed_unit(appliance: Appliance) -> None:
    """All that should run runs."""
    assert appliance.run(["systemctl", "is-system-running"], check=False).strip() == "running", appliance.run(
        ["systemctl", "--failed"]
    )


def test_hearth_is_on_the_path(appliance: Appliance) -> None:
    """Whoever logs in can type `hearth`."""
    assert re.fullmatch(r"hearth \d+\.\d+\.\d+\n", appliance.run(["hearth", "--version"]))


def test_its_python_has_everything_and_debians_journal(appliance: Appliance) -> None:
    """The environment is complete for the appliance's own Python, and takes nothing but systemd from Debian's."""
    imports = "sys, desired_state, renderers, reconciler, pygit2, systemd.daemon, systemd.journal"
    program = f"import {imports}; print(sys.version_info[:2], sys.prefix)"
    told = appliance.run(["/opt/hearth/current/bin/python", "-c", program])
    assert told.startswith("(3, 13) /opt/hearth/")
    assert "No module named" in appliance.run(["/opt/hearth/current/bin/python", "-c", "import dbus, apt"], check=False)


def test_before_it_has_joined_it_answers_nobody(appliance: Appliance) -> None:
    """Debian's default would make it an open resolver of somebody else's settings; without a generation there is no dnsmasq."""
    assert appliance.host.dig("example.com", server=appliance.address) == ["TIMEOUT"]
    for unit in ("dnsmasq.service", "hearth-agent.service"):
        state = appliance.run(["systemctl", "show", "--property=ActiveState,ConditionResult", unit])
        assert state.split() == ["ActiveState=inactive", "ConditionResult=no"], unit


@pytest.mark.parametrize("unit", _UNITS)
def test_its_units_are_sound(appliance: Appliance, unit: str) -> None:
    """The service manager knows every key of our units, and finds every program."""
    assert appliance.run(["systemd-analyze", "verify", "--man=no", unit]) == ""


@pytest.mark.parametrize(("unit", "most"), [(unit, 2.7) for unit in _UNITS])
def test_its_units_have_few_rights(appliance: Appliance, unit: str, most: float) -> None:
    """The service manager's own measure of exposure (0 none, 10 all) stays low, though both are root's."""
    told = appliance.run(
        ["systemd-analyze", "security", "--no-pager", f"--threshold={int(most * 10)}", unit], check=False
    )
    measured = re.search(r"Overall exposure level for \S+: ([0-9.]+)", told)
    assert measured, told
    assert float(measured[1]) <= most, told


def test_keys_are_for_root_alone(appliance: Appliance) -> None:
    """Daemons read generations; nobody but root reads keys and secrets."""
    modes = appliance.run(["stat", "--format=%a %U", "/var/lib/hearth/generations", "/var/lib/hearth/keys"])
    assert modes.splitlines() == ["755 root", "700 root"]


def test_the_cable_can_be_cut(appliance: Appliance) -> None:
    """The harness: a pulled cable is a lost carrier, and comes back."""
    carrier = ["cat", "/sys/class/net/eth0/carrier"]
    appliance.cut_cable()
    until(lambda: appliance.run(carrier) == "0\n", seconds=5, what="no carrier")
    appliance.plug_cable()
    until(lambda: appliance.run(carrier) == "1\n", seconds=5, what="a carrier")
    knock = ["timeout", "5", "bash", "-c", f": >/dev/tcp/{appliance.address}/9"]
    assert "Connection refused" in appliance.host.run(knock, check=False)


@pytest.mark.parametrize("how", ["reboot", "power_cut"])
def test_what_was_written_is_there_after_the_next_boot(appliance: Appliance, how: str) -> None:
    """The harness: the disk outlives the boot, /run does not."""
    appliance.run(["sh", "-c", "echo kept >/var/lib/kept; echo gone >/run/gone"])
    getattr(appliance, how)()
    assert appliance.run(["cat", "/var/lib/kept"]) == "kept\n"
    assert "No such file" in appliance.run(["cat", "/run/gone"], check=False)


def test_no_clock_of_the_host_can_be_set_from_inside(appliance: Appliance) -> None:
    """The harness: commands inside hold no more rights than the appliance itself."""
    assert "cannot set date" in appliance.run(["date", "-s", "1 January 1970"], check=False)


def test_the_stage_has_the_layout_that_pi_gen_reads() -> None:
    """pi-gen takes a folder for a stage by these files, and runs only executable NN-run.sh (its README, "Stage specification")."""
    assert (STAGE / "prerun.sh").stat().st_mode & 0o111
    assert (STAGE / "EXPORT_IMAGE").exists()
    for script in STAGE.glob("*/[0-9][0-9]-run.sh"):
        assert script.stat().st_mode & 0o111, script
