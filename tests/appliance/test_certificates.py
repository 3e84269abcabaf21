"""hearth-ca.service runs a real authority by itself, as nobody, with one key and no other file of root's."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from reconciler.generation import Generations
from reconciler.provision import authority
from renderers import APPLIANCE
from renderers.step_ca import STEP_CA, UNIT
from tests.renderers.homes import alone, holm

from .harness import Appliance, Failed, until

pytestmark = pytest.mark.appliance


@pytest.fixture(scope="module")
def serving(appliance: Appliance) -> Appliance:
    """An appliance with the example household's authority, made and started."""
    made = alone(STEP_CA, holm(), APPLIANCE)
    generations = Generations(appliance.root / "var/lib/hearth")
    generations.activate(generations.stage(made).digest)
    (provision,) = made.plan.provisions
    inside = {name: f"{appliance.root}{getattr(provision, name)}" for name in ("root", "certificate", "key")}
    authority.make(replace(provision, **inside), appliance.root / "var/lib/hearth/keys", time.time())
    appliance.run(["systemctl", "enable", "--now", UNIT])
    until(lambda: answers(appliance), seconds=10, what="step-ca")
    return appliance


def asked(appliance: Appliance, path: str) -> str:
    """Return what step-ca answers to a device that trusts the published root alone."""
    program = f"""
import socket, ssl
context = ssl.create_default_context(cafile="/var/lib/hearth/authority/root.crt")
with context.wrap_socket(socket.create_connection(("{Appliance.address}", 9000), 5), server_hostname="ca.home.arpa") as stream:
    stream.sendall(b"GET {path} HTTP/1.0\\r\\nHost: ca.home.arpa\\r\\n\\r\\n")
    print(b"".join(iter(lambda: stream.recv(4096), b"")).decode())
"""
    return appliance.run(["python3", "-c", program])


def answers(appliance: Appliance) -> bool:
    """Whether step-ca is up and well."""
    try:
        return '"status":"ok"' in asked(appliance, "/health")
    except Failed:
        return False


def test_it_serves_by_the_roots_word_and_has_its_provisioner(serving: Appliance) -> None:
    """A device that trusts the published root believes it under its name."""
    assert '"name":"acme"' in asked(serving, "/provisioners").replace(" ", "")


def test_it_is_nobody_and_sees_one_key(serving: Appliance) -> None:
    """Its user exists only meanwhile, it has no capability, and of keys/ it can read nothing; the credential is its own."""
    pid = serving.run(["systemctl", "show", "--property=MainPID", "--value", UNIT]).strip()
    status = dict(
        line.split(":", 1) for line in serving.run(["cat", f"/proc/{pid}/status"]).splitlines() if ":" in line
    )
    assert int(status["Uid"].split()[0]) >= 61184  # systemd's range for dynamic users, systemd.exec(5)
    assert {status[name].strip() for name in ("CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert "Config file: /var/lib/hearth/current/step-ca/ca.json" in serving.run(
        ["journalctl", "-u", UNIT, "-o", "cat"]
    )
    seen = serving.run(
        ["stat", "-c", "%a %u", "/var/lib/hearth/keys", "/var/lib/hearth/keys/authority/intermediate.key"]
    )
    assert seen.splitlines() == ["700 0", "600 0"]


def test_accounts_and_orders_survive_a_restart(serving: Appliance) -> None:
    """The database is the service's own, and the same one after."""
    before = serving.run(["stat", "-L", "-c", "%i", "/var/lib/hearth-ca/db"])
    serving.run(["systemctl", "restart", UNIT])
    until(lambda: answers(serving), seconds=10, what="step-ca again")
    assert serving.run(["stat", "-L", "-c", "%i", "/var/lib/hearth-ca/db"]) == before


def test_the_unit_is_sound_and_well_shut(serving: Appliance) -> None:
    """The service manager has nothing to say against it, and calls it little exposed."""
    assert serving.run(["systemd-analyze", "verify", UNIT]).strip() == ""
    words = serving.run(["systemd-analyze", "security", "--no-pager", UNIT]).splitlines()[-1]
    assert float(words.split("exposure level for")[1].split(":")[1].split()[0]) < 2.0


def test_a_device_without_a_key_is_not_served_and_nothing_fails(serving: Appliance) -> None:
    """Before the authority is made, and where a home has none, the unit does not start and does not complain."""
    key = serving.root / "var/lib/hearth/keys/authority/intermediate.key"
    key.rename(key.with_suffix(".away"))
    try:
        serving.run(["systemctl", "restart", UNIT])
        assert serving.run(["systemctl", "show", "--property=ActiveState", "--value", UNIT]).strip() == "inactive"
    finally:
        key.with_suffix(".away").rename(key)
    serving.run(["systemctl", "restart", UNIT])
    until(lambda: answers(serving), seconds=10, what="step-ca again")
