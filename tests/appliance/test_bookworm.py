"""All four services on a Debian of the release before, put there by the installer: other Samba, other Postfix, other units."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conformance.smart_host import Provider

from . import services
from .family import Device, Family, GitHost, join
from .harness import Appliance, Home, carry_in, debian_layers, until
from .looking import condition, in_effect, look_now
from .services import UNITS, send, smb, television

pytestmark = pytest.mark.appliance

_CARRIED = "/srv/hearth"


@pytest.fixture(scope="module")
def machine(home: Home, git_host: GitHost, family: Family) -> Iterator[Appliance]:
    """A bookworm on which Hearth was installed, and which has joined the family's home."""
    with Appliance(home, debian_layers("bookworm")) as debian:
        carry_in(debian.root / _CARRIED.lstrip("/"), "bookworm")
        for unit in UNITS:  # as they are on a machine that has none of these packages yet
            (debian.root / f"etc/systemd/system/multi-user.target.wants/{unit}").unlink(missing_ok=True)
        debian.boot()
        argv = [f"{_CARRIED}/script/install", "--wheels", f"{_CARRIED}/wheels", "--step-ca", f"{_CARRIED}/step-ca"]
        debian.run(argv, seconds=240)
        join(debian, git_host, family)
        until(lambda: in_effect(debian, family.tip), seconds=60, what="the home in effect")
        yield debian


@pytest.fixture(scope="module")
def provider(home: Home, machine: Appliance, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    """The family's mail provider."""
    with services.mail_provider(home, machine, tmp_path_factory.mktemp("provider")) as host:
        yield host


@pytest.fixture(scope="module")
def tv(home: Home) -> Iterator[Device]:
    """The television."""
    with television(home) as device:
        yield device


def test_all_four_serve_there_too(machine: Appliance, family: Family, provider: Provider, tv: Device) -> None:
    """A file is saved, a message leaves, and the agent is satisfied with every answer, step-ca's included."""
    services.take_up_all(machine, family)
    assert "NT_STATUS" not in smb(tv.network, "family", "anna", "put /etc/hostname letter; ls")
    send(tv.network, "A scan", "someone@example.net")
    until(lambda: provider.arrived, seconds=20, what="the message")
    assert condition(machine, "Ready") == "True UpToDate"
    assert machine.run(["systemctl", "--failed", "--quiet"]) == ""


def test_its_units_are_sound(machine: Appliance) -> None:
    """The service manager of that release knows every key of our units and drop-ins."""
    ours = ["hearth-agent.service", "hearth-secrets.service", "hearth-resolver@kids.service"]
    assert machine.run(["systemd-analyze", "verify", "--man=no", *ours, *UNITS]) == ""


def test_a_daemon_that_is_gone_is_missed_and_comes_back(machine: Appliance) -> None:
    """Of Postfix, too, whose unit in that release would say that it runs whatever became of the daemon."""
    for unit in "postfix.service", "smbd.service":
        machine.run(["systemctl", "stop", unit])
    look_now(machine)
    until(
        lambda: (
            machine.run(["systemctl", "is-active", "postfix.service", "smbd.service"], check=False).split()
            == ["active"] * 2
        ),
        seconds=30,
        what="both are back",
    )
    assert "master" in machine.run(["ps", "-eo", "comm"])


def test_all_of_it_comes_back_from_boot(machine: Appliance, tv: Device) -> None:
    """Secrets are filled before the daemons start."""
    machine.reboot()
    assert machine.run(["systemctl", "is-active", *UNITS], check=False).split() == ["active"] * len(UNITS)
    assert "letter" in smb(tv.network, "family", "anna", "ls")
    assert machine.run(["systemctl", "is-system-running"]) == "running\n"
