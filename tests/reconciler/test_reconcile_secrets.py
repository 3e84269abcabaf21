"""Secrets on the main road: a real home with one more daemon, which reads a filled file; only what it fills is a test's."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pyrage
import pytest

from desired_state.secrets import Envelope
from reconciler.conditions import Condition, Status
from reconciler.journal import Adopt, RollBack
from reconciler.reconcile import Outcome
from reconciler.secrets import device_key
from reconciler.secrets.age import seal
from renderers.plan import Fill, Part, Unit
from tests.bench import Bench, until
from tests.reconciler.relay import CANARY, Relay

GOOD = ("services/dns.yaml", "[doubleclick.net]", "[doubleclick.net, ads.example.net]")
CUT_OFF = ("services/dns.yaml", "[9.9.9.9, 149.112.112.112]", "[192.0.2.53]")


class PowerCut(BaseException):
    """The agent is no more."""


@pytest.fixture
def device(unjoined: Bench) -> Iterator[Relay]:
    """A device that has joined, and has applied nothing yet."""
    unjoined.pin()
    made = Relay(unjoined)
    yield made
    made.stop()


@pytest.fixture
def up(device: Relay) -> Relay:
    """The home with its relay, up."""
    device.push()
    assert device.run().exit_code == 0
    until(lambda: device.knows(CANARY))
    return device


def secrets_ready(outcome: Outcome) -> Condition:
    """Return the condition that is about secrets."""
    return next(one for one in outcome.conditions if one.type == "SecretsReady")


def test_a_service_gets_its_secret_and_a_person_without_one_stops_nobody(up: Relay) -> None:
    """Filled for root alone; the home is ready, and who cannot log in is said."""
    assert up.relay_file.read_text() == f"anna:{CANARY}\n"
    assert up.relay_file.stat().st_mode & 0o777 == 0o600
    assert ":[DU" in up.accounts_file.read_text()
    outcome = up.run()
    assert (outcome.ready.status, outcome.steps) == (Status.TRUE, ())
    said = secrets_ready(outcome)
    assert (said.status, said.reason) == (Status.FALSE, "PasswordMissing")
    assert "john" in said.message
    assert "hearth secret set person-john" in said.message


def test_a_missing_service_secret_applies_nothing_at_all(device: Relay) -> None:
    """Nothing is filled, no daemon runs, no link is made; what helps is said in one sentence."""
    outcome = device.run()
    assert (outcome.exit_code, outcome.ready.reason) == (1, "SecretsMissing")
    assert "hearth secret set relay-password" in outcome.ready.message
    assert secrets_ready(outcome).reason == "SecretsMissing"
    assert device.home.generations.active() is None
    assert not device.bench.paths.secrets.exists()
    assert device.readings() == []


def test_a_swapped_secret_leaves_everything_as_it_was(up: Relay) -> None:
    """Another secret's file under this name, in a commit that changes DNS as well: neither comes into effect (case 41)."""
    before = up.journal.confirmed
    up.push("other-secret", "other-value", 9)
    shutil.copy(up.bench.household / "secrets/other-secret.age", up.bench.household / "secrets/relay-password.age")
    up.push_all()
    up.bench.edit(*GOOD)
    outcome = up.run()
    assert (outcome.exit_code, outcome.ready.reason) == (1, "SecretRefused")
    assert (up.journal.confirmed, up.knows(CANARY), len(up.readings())) == (before, True, 1)
    assert up.relay_file.read_text() == f"anna:{CANARY}\n"


def test_a_commit_with_nothing_but_a_secret_reloads_what_reads_it_and_nothing_else(up: Relay) -> None:
    """The digest stays, the commit is adopted, the daemon reads the new value once; DNS is not touched."""
    digest, dns = up.home.generations.active(), _incarnations(up)
    commit = up.push(value="new-value", version=6)
    outcome = up.run()
    assert [type(step) for step in outcome.steps] == [Adopt]
    until(lambda: up.knows("new-value"))
    assert (up.home.generations.active(), up.journal.confirmed.revision) == (digest, commit)
    assert _incarnations(up) == dns
    assert (up.run().steps, len(up.readings())) == ((), 2)


def _incarnations(device: Relay) -> dict[str, str]:
    plan = device.home.generations.load(device.home.generations.active() or "").plan
    return {name: state.incarnation for name, state in device.units.states(plan).items() if name != "relay.service"}


def test_the_same_value_encrypted_anew_reloads_nothing(up: Relay) -> None:
    """After a device was added every file is another one; what is filled from them is not."""
    up.push(version=6)
    up.run()
    up.run()
    assert len(up.readings()) == 1


def test_a_persons_password_reloads_nothing_that_does_not_read_it(up: Relay) -> None:
    """And from then on they are no longer missed."""
    up.push("person-john", "hunter-2222", 7)
    outcome = up.run()
    assert ":[U " in up.accounts_file.read_text()
    assert (secrets_ready(outcome).status, secrets_ready(outcome).reason) == (Status.TRUE, "InEffect")
    assert len(up.readings()) == 1


def test_an_old_secret_brought_back_by_a_commit_is_refused(up: Relay) -> None:
    """`git revert` of a replaced password: somebody may know the old one."""
    old = (up.bench.household / "secrets/relay-password.age").read_bytes()
    up.push(value="new-value", version=6)
    up.run()
    until(lambda: up.knows("new-value"))
    (up.bench.household / "secrets/relay-password.age").write_bytes(old)
    up.push_all()
    outcome = up.run()
    assert (outcome.exit_code, outcome.ready.reason) == (1, "SecretRefused")
    assert up.knows("new-value")


def test_a_roll_back_takes_the_old_secret_and_says_so(up: Relay) -> None:
    """A change that fails on trial brought a new secret along: with the old files the old secret comes back, openly."""
    up.push("relay-password", "new-value", 6, CUT_OFF)
    outcome = up.run()
    assert RollBack in {type(step) for step in outcome.steps}
    until(lambda: up.knows(CANARY))
    said = secrets_ready(up.run())
    assert "newer ones were: relay-password" in said.message
    assert ("secrets", True) not in up.gates  # said once, by the pass that went back
    later = up.bench.edit(*reversed_edit(CUT_OFF))
    up.run()
    assert up.journal.confirmed.revision == later
    until(lambda: up.knows("new-value"))
    assert "newer ones" not in secrets_ready(up.run()).message


def reversed_edit(edit: tuple[str, str, str]) -> tuple[str, str, str]:
    """Return the edit that undoes this one."""
    path, old, new = edit
    return path, new, old


@pytest.mark.parametrize("moment", ["refresh", "settle"])
def test_a_crash_between_writing_and_telling_tells_again(
    up: Relay, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """The file holds the new value already, so nothing differs: the daemon must be told all the same."""
    where = up.home.serving if moment == "refresh" else up.home.provisions
    up.push(value="new-value", version=6)

    def cut(*_: object) -> None:
        raise PowerCut

    with monkeypatch.context() as patched:
        patched.setattr(type(where), moment, cut)
        with pytest.raises(PowerCut):
            up.run()
    assert up.relay_file.read_text() == "anna:new-value\n"
    up.run()
    until(lambda: up.knows("new-value"))
    told = len(up.readings())
    up.run()
    assert len(up.readings()) == told


def test_without_room_for_a_secret_the_old_one_stays_whole_until_there_is(
    up: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ENOSPC in memory: said, tried again by the next pass, and never half a file."""
    up.push(value="new-value", version=6)

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(sys.modules["reconciler.provision.fill"], "_write", full)
        outcome = up.run()
    assert (outcome.exit_code, outcome.ready.reason) == (2, "StorageFailed")
    assert up.relay_file.read_text() == f"anna:{CANARY}\n"
    assert list(up.relay_file.parent.iterdir()) == [up.relay_file]
    assert up.run().exit_code == 0
    until(lambda: up.knows("new-value"))


def test_what_was_deleted_or_emptied_in_memory_is_filled_again(up: Relay) -> None:
    """By whoever: the next pass puts it back and tells the daemon."""
    up.relay_file.unlink()
    up.run()
    until(lambda: len(up.readings()) == 2 and up.knows(CANARY))
    up.relay_file.write_text("")
    up.run()
    until(lambda: len(up.readings()) == 3 and up.knows(CANARY))


def test_after_a_reboot_everything_is_filled_from_what_was_verified(up: Relay) -> None:
    """/run is empty, and the git host is gone."""
    up.stop()
    shutil.rmtree(up.bench.paths.run)
    shutil.rmtree(up.bench.remote)
    up.start()
    up.run()
    until(lambda: up.knows(CANARY))
    assert up.relay_file.read_text() == f"anna:{CANARY}\n"


def test_a_secret_that_no_service_needs_any_more_leaves_memory(up: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the file that was filled from it."""
    monkeypatch.setattr(Relay, "fills", property(lambda self: (Fill(str(self.accounts_file), (Part("text", "x"),)),)))
    monkeypatch.setattr(Relay, "unit", _OTHER)
    up.bench.edit(*GOOD)
    assert up.run().exit_code == 0
    assert not up.relay_file.exists()


_OTHER = Unit("other.service", (sys.executable, "-c", "import signal; signal.pause()"), restart=())


def test_no_value_is_anywhere_but_in_memory(up: Relay, capfd: pytest.CaptureFixture[str]) -> None:
    """I6: after a change, a refusal and a roll-back, in no file of the bench and in nothing that was said; case 38."""
    up.push("person-john", CANARY + "-john", 7)
    up.run()
    up.push("relay-password", CANARY + "-new", 8, CUT_OFF)
    up.run()
    up.push("relay-password", CANARY + "-old", 2)
    up.run()
    said = "".join(capfd.readouterr())
    assert CANARY not in said
    looked = 0
    for path in up.bench.folder.rglob("*"):
        if path.is_file() and not path.is_relative_to(up.bench.paths.secrets):
            looked += 1
            assert CANARY.encode() not in path.read_bytes(), path
    assert looked > 50
    assert CANARY in up.relay_file.read_text()
    arguments = b"".join(path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if os.access(path, os.R_OK))
    assert CANARY.encode() not in arguments


def test_a_key_that_opens_nothing_here_says_which_key_is_missing(device: Relay) -> None:
    """The home's secret is to another device: the line for trust/recipients is in the message."""
    folder = device.bench.household / "secrets"
    folder.mkdir()
    other = str(pyrage.x25519.Identity.generate().to_public())
    envelope = Envelope(device.home.settings.household, "relay-password", 1, CANARY).encode()
    (folder / "relay-password.age").write_bytes(seal(envelope, [other]))
    device.push_all()
    outcome = device.run()
    assert outcome.ready.reason == "SecretRefused"
    assert device_key.recipient(device.bench.paths.keys) in outcome.ready.message
