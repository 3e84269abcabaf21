"""The certificate authority on the main road: made before its daemon starts, rolled back with the rest, renewed by a pass."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from reconciler.errors import Transient
from reconciler.journal import Confirm, Ending, RollBack, Try
from reconciler.probe import ask
from reconciler.provision.x509 import Pair
from reconciler.run import find_program
from reconciler.settings import load, save
from renderers import Artifact
from renderers.artifact import File
from renderers.plan import AuthorityProbe
from renderers.step_ca import CONF
from tests.bench import MAIN, Bench
from tests.reconciler.passes import Device

CERTIFICATES = "certificates:\n  name: Holm Home CA\n  names: [ca.home.arpa]\n"


@pytest.fixture
def device(unjoined: Bench) -> Iterator[Device]:
    """A device that has joined a home with certificates, and has applied nothing yet."""
    try:
        find_program("step-ca")
    except Transient:
        pytest.skip("step-ca is missing: script/setup test builds it, or script/build-step-ca .venv/bin/step-ca")
    unjoined.push("services/certificates.yaml", CERTIFICATES, message="Certificates for the home")
    unjoined.pin()
    settings = load(unjoined.paths)
    assert settings.bench is not None
    with socket.socket() as stream:
        stream.bind((MAIN, 0))
        bench = settings.bench.model_copy(update={"authority_port": stream.getsockname()[1]})
    save(unjoined.paths, settings.model_copy(update={"bench": bench}))
    made = Device(unjoined)
    yield made
    made.stop()


@pytest.fixture
def up(device: Device) -> Device:
    """A device whose certificate authority runs."""
    assert device.run().exit_code == 0
    return device


def well(device: Device) -> bool:
    """Whether the authority answers as the confirmed generation wants."""
    confirmed = device.journal.confirmed
    assert confirmed is not None
    probes = device.home.generations.load(confirmed.digest).plan.probes
    return ask([probe for probe in probes if isinstance(probe, AuthorityProbe)])[0].ok


def held(device: Device, name: str) -> Pair:
    """Return a certificate with its key, as the device keeps them."""
    return Pair.from_pem((device.bench.paths.keys / f"authority/home.arpa/{name}.pem").read_bytes())


def process(device: Device) -> str:
    """Return which process step-ca is."""
    confirmed = device.journal.confirmed
    assert confirmed is not None
    plan = device.home.generations.load(confirmed.digest).plan
    return device.units.states(plan)["hearth-ca.service"].incarnation


def spoiled(device: Device, spoil: Callable[[dict], None]) -> None:
    """Let this version render a wrong ca.json from now on."""
    right = device.home.render

    def wrong(revision) -> Artifact:
        artifact = right(revision)
        content = json.loads(artifact.files[CONF].content)
        spoil(content)
        return replace(artifact, files={**artifact.files, CONF: File(json.dumps(content).encode())})

    device.home.render = wrong  # type: ignore[method-assign]


def change(device: Device) -> None:
    """Push a change of the authority."""
    device.bench.push("services/certificates.yaml", CERTIFICATES + "  lifetime: {default: 12h, maximum: 240h}\n")


def test_a_home_gets_its_authority_in_one_pass_and_then_peace(device: Device):
    """It is made, its daemon answers, the change is confirmed; the next pass starts nothing and makes nothing."""
    outcome = device.run()
    assert [type(step) for step in outcome.steps][-1] is Confirm
    assert well(device)
    before, pid = held(device, "intermediate").certificate, process(device)
    assert device.run().steps == ()
    assert (held(device, "intermediate").certificate, process(device)) == (before, pid)


@pytest.mark.parametrize("spoil", [
    lambda content: content.update(address="nowhere"),
    lambda content: content["authority"]["provisioners"][0].update(type="ACMEv9"),
    lambda content: content["authority"].update(provisioners=[]),
], ids=["refused at start", "dropped in silence", "none at all"])  # fmt: skip
def test_a_wrong_ca_json_is_rolled_back_by_itself(up: Device, spoil):
    """Whether step-ca refuses it or passes over it in silence: what was right before serves again."""
    confirmed, root = up.journal.confirmed, held(up, "root").certificate
    change(up)
    spoiled(up, spoil)
    outcome = up.run()
    assert any(isinstance(step, RollBack) for step in outcome.steps)
    assert up.journal.confirmed == confirmed
    assert up.journal.attempts[-1].ending is Ending.FAILED
    assert well(up)
    assert held(up, "root").certificate == root


def test_a_clock_that_cannot_be_right_delays_and_condemns_nothing(device: Device):
    """Nothing goes on trial, nothing is held against the change; with the time it is applied."""
    device.clock.ahead = datetime(1970, 1, 2, tzinfo=UTC).timestamp() - datetime.now(UTC).timestamp()
    outcome = device.run()
    assert not any(isinstance(step, Try) for step in outcome.steps)
    assert "ClockWrong" in {each.reason for each in outcome.obstacles}
    assert device.journal.stalled is None
    assert not list((device.bench.paths.keys / "authority").rglob("*.pem"))
    device.clock.ahead = 0.0
    assert device.run().exit_code == 0
    assert well(device)


def test_an_intermediate_near_its_end_is_renewed_by_a_pass_of_its_own_accord(up: Device):
    """The calendar alone makes it due: same root, another key, and step-ca is started with it."""
    first, root, pid = held(up, "intermediate"), held(up, "root").certificate, process(up)
    up.clock.ahead = timedelta(days=2 * 365).total_seconds()
    up.run()
    assert held(up, "intermediate").certificate == first.certificate
    assert process(up) == pid
    up.clock.ahead = timedelta(days=4 * 365).total_seconds()
    up.run()
    second = held(up, "intermediate")
    assert second.key.public_key() != first.key.public_key()
    assert held(up, "root").certificate == root
    assert Path(up.bench.paths.keys / "authority/intermediate.key").read_bytes() == second.key_pem()
    assert process(up) != pid


def test_a_key_that_went_missing_is_put_back(up: Device):
    """From what is kept for good; the daemon is started with it."""
    key = up.bench.paths.keys / "authority/intermediate.key"
    before = key.read_bytes()
    key.unlink()
    up.run()
    assert key.read_bytes() == before
    assert well(up)
