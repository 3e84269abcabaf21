"""The drills of docs/recovery.md: what a family does when a key is stolen or lost, by the real commands and on real devices."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests import reviewed as homes
from tests.bench import Bench, until
from tests.reviewed import Reviewed

_NEWER = """\
import importlib.metadata
from types import MappingProxyType
from desired_state.changes import edition_1, risk
risk.EDITIONS = MappingProxyType({1: edition_1.findings, 2: edition_1.findings})
_version = importlib.metadata.version
importlib.metadata.version = lambda name: "99.0" if name == "hearth-reconciler" else _version(name)
"""
"""A Hearth of the future, which knows edition 2 of the risk rules."""


def commit(home: Reviewed, tree: str, *parents: str, key: str, text: str = "Stolen") -> str:
    """Let whoever has a key write a commit by stock git."""
    home.git("jens", "fetch", "--quiet", "origin")
    above = [word for parent in parents for word in ("-p", parent)]
    signing = f"user.signingkey={home.public(key)}"
    return home.git("jens", "-c", signing, "commit-tree", "-S", *above, "-m", text, f"{tree}^{{tree}}")


def publish(home: Reviewed, oid: str) -> None:
    """Put a commit on the git host's main, as whoever runs it can."""
    home.git("jens", "fetch", "--quiet", "origin")
    home.git("jens", "push", "--quiet", "--force", "--no-verify", "origin", f"{oid}:refs/heads/main")


def refuses(device: Bench, oid: str, reason: str = "") -> None:
    """Let a device look, and see that it refuses the commit and stays where it was."""
    before = device.journal
    device.hearth("reconcile", "--wait", check=False)
    after = device.journal
    assert after.refused is not None
    assert after.refused.revision == oid
    assert not reason or after.refused.reason == reason
    assert (after.floor, after.confirmed) == (before.floor, before.confirmed)


def waiting(home: Reviewed, name: str) -> tuple[str, str]:
    """Let a change be approved and not merged; return its branch and the approval."""
    branch = home.propose("add-name", name, "appliance")
    home.approve(branch, "jens")
    return branch, home.git("jens", "rev-parse", branch)


@pytest.mark.timeout(180)
def test_signer_key_stolen_or_lost(reviewed: Reviewed) -> None:
    """Alone it moves nothing. Two owners put another in its place; from then on what it signs is worth nothing."""
    home = reviewed
    good = home.name("wiki")
    home.follow(good)
    eve = commit(home, f"{good}~1", good, key="service")
    publish(home, eve)
    refuses(home.bench, eve)
    publish(home, good)
    rotated = home.change_trust("rotate", "service", "--key", home.public("new"))
    home.follow(rotated)
    branch, approval = waiting(home, "pictures")
    late = commit(home, approval, rotated, approval, key="service")
    publish(home, late)
    refuses(home.bench, late)
    publish(home, rotated)
    home.sign_with("service", "new")
    home.follow(home.merge(branch))


@pytest.mark.timeout(180)
def test_an_approver_leaves(reviewed: Reviewed) -> None:
    """What they approved and nobody merged is void, and nothing that they sign later counts."""
    home = reviewed
    home.change_trust("add", "approvers", "mia", "--key", home.public("mia"))
    home.sign_with("jens", "mia")
    branch = home.propose("add-name", "wiki", "appliance")
    home.approve(branch, "jens")
    early = home.git("jens", "rev-parse", branch)
    home.sign_with("jens", "jens")
    left = home.change_trust("remove", "approvers", "mia")
    home.follow(left)
    assert "Its author puts it on the main of now" in home.hearth("service", "merge", branch, "--fetch", check=False)
    on_old = commit(home, early, left, early, key="service")
    publish(home, on_old)
    refuses(home.bench, on_old)
    publish(home, left)
    home.sign_with("jens", "mia")
    again = home.propose("add-name", "pictures", "appliance")
    home.catch_up("jens")
    assert "not in trust/approvers" in home.hearth("jens", "approve", again, "--fetch", "--yes", check=False)
    home.sign_with("jens", "jens")
    home.approve(again, "jens")
    home.follow(home.merge(again))


@pytest.mark.timeout(180)
def test_owner_key_lost(reviewed: Reviewed) -> None:
    """The spare key, which was added in good time, signs the lost one away."""
    home = reviewed
    home.change_trust("add", "owners", "jens", "--key", home.public("new"))
    home.key("jens").unlink()
    home.sign_with("jens", "new")
    lost = home.fingerprint("jens")
    changed = home.change_trust("rotate", "jens", "--key", home.public("mia"), "--old", lost)
    home.follow(changed)
    for role in ("owners", "approvers"):
        listed = home.git("anna", "show", f"origin/main:trust/{role}")
        assert home.public("jens").read_text().split()[1] not in listed
    home.sign_with("jens", "mia")
    home.follow(home.name("wiki"))


def stolen_home(home: Reviewed) -> tuple[str, str]:
    """Let whoever has Mia's key and the service's change the home; return the last good commit and theirs."""
    good = home.change_trust("add", "approvers", "mia", "--key", home.public("mia"))
    home.follow(good)
    home.sign_with("jens", "mia")
    branch = home.propose("add-name", "eve", "appliance", who="jens")
    home.sign_with("jens", "jens")
    home.sign_with("anna", "mia")
    home.catch_up("anna")
    home.git("anna", "switch", "--quiet", branch)
    home.git("anna", "commit", "--quiet", "--amend", "--no-edit", "--no-gpg-sign")
    home.git("anna", "push", "--quiet", "--force", "--no-verify", "origin", branch)
    home.approve(branch, "anna")
    home.sign_with("anna", "anna")
    return good, home.merge(branch)


def led_back(home: Reviewed, good: str) -> str:
    """Let the owners return to the last good commit, without the stolen keys, and with another signer; return the commit."""
    branch = home.propose_trust("return", good, "--without", "mia")
    words = ("trust", "rotate", "service", "--key", home.public("new"), "--revise", branch, "--push", "--json")
    home.hearth("anna", *words)
    return home.agree(branch)


@pytest.mark.timeout(300)
def test_signer_and_approver_both_stolen(reviewed: Reviewed) -> None:
    """The owners return: the thief's line is dropped, a device that ran it alarms, one that slept and a new one arrive as well."""
    home = reviewed
    sleeper = home.another_device("sleeper")
    homes.start(sleeper)
    slept = sleeper.journal.floor
    sleeper.stop_agent()
    good, stolen = stolen_home(home)
    home.follow(stolen)
    assert home.bench.lookup("eve.home.arpa") == "192.168.10.2"
    back = led_back(home, good)
    home.follow(back)
    assert home.bench.lookup("eve.home.arpa") == "not found"
    status = home.bench.hearth_json("status")[1]
    verified = next(each for each in status["conditions"] if each["type"] == "SourceVerified")
    assert (verified["reason"], stolen[:7] in verified["message"]) == ("LedBack", True), verified
    assert sleeper.journal.floor == slept
    sleeper.start_agent()
    until(lambda: sleeper.journal.floor == back, what="the sleeper's floor")
    fresh = home.another_device("fresh")
    try:
        homes.start(fresh)
        assert fresh.journal.floor == back
        publish(home, stolen)
        for device in (home.bench, sleeper, fresh):
            refuses(device, stolen)
        publish(home, back)
        home.sign_with("service", "new")
        after = home.name("wiki")
        for device in (home.bench, sleeper, fresh):
            home.follow(after, device)
    finally:
        fresh.close()
        sleeper.close()


@pytest.mark.timeout(180)
def test_a_device_that_slept_through_two_rotations(reviewed: Reviewed) -> None:
    """It walks every commit by the keys that stood before it, and comes to the same end."""
    home = reviewed
    home.bench.stop_agent()
    for key in ("new", "mia"):
        home.change_trust("rotate", "service", "--key", home.public(key))
        home.sign_with("service", key)
        last = home.name(f"with-{key}")
    home.bench.start_agent()
    until(lambda: home.bench.journal.floor == last, what="the floor")
    home.follow(last)
    old = commit(home, f"{last}~1", last, key="service")
    publish(home, old)
    refuses(home.bench, old)


@pytest.mark.timeout(240)
def test_a_device_whose_agent_is_too_old_to_judge(reviewed: Reviewed, tmp_path: Path) -> None:
    """It moves its floor and applies nothing, sees a key revoked all the same, and goes on after an upgrade."""
    home = reviewed
    policy = home.clone("anna") / "trust/policy.yaml"
    text = policy.read_text().replace("risk_rules: 1", "risk_rules: 2")
    policy.write_text(text.replace("high: {people: 1, at_terminal: 1}", "high: {people: 2, at_terminal: 1}"))
    proposed = json.loads(home.hearth("anna", "trust", "propose", "--push", "--json"))
    raised = home.agree(proposed["branch"])
    home.follow(raised)
    (tmp_path / "newer").mkdir()
    (tmp_path / "newer/sitecustomize.py").write_text(_NEWER)
    home.bench.environment["PYTHONPATH"] = str(tmp_path / "newer")
    home.name("wiki")
    revoked = home.change_trust("rotate", "service", "--key", home.public("new"))
    home.bench.hearth("reconcile", "--wait", check=False)
    now = home.bench.journal
    assert (now.floor, now.confirmed and now.confirmed.revision) == (revoked, raised)
    assert now.stalled is not None
    assert now.stalled.reason == "UpgradeNeeded"
    assert home.bench.lookup("wiki.home.arpa") == "not found"
    old = commit(home, raised, revoked, key="service")
    publish(home, old)
    refuses(home.bench, old)
    publish(home, revoked)
    home.bench.stop_agent()
    home.bench.start_agent()  # by now of the newer Hearth
    until(lambda: home.bench.lookup("wiki.home.arpa") == "192.168.10.2", what="the change")
    home.follow(revoked)


@pytest.mark.timeout(180)
def test_a_service_that_withholds_a_revocation(reviewed: Reviewed) -> None:
    """The owners carry it to the device on a stick; what the service merges with the revoked key is then refused there."""
    home = reviewed
    before = home.main()
    _, approval = waiting(home, "wiki")
    revoked = home.change_trust("rotate", "service", "--key", home.public("new"))
    home.catch_up("anna")
    stick = home.folder / "home.bundle"
    home.git("anna", "bundle", "create", "--quiet", stick, "main")
    publish(home, before)  # the host shows what was, and goes on merging
    own = commit(home, approval, before, approval, key="service")
    home.bench.hearth("reconcile", "--from", stick, "--wait", check=False)
    assert home.bench.journal.floor == revoked
    publish(home, own)
    refuses(home.bench, own, "Forked")
    status = home.bench.hearth_json("status")[1]
    verified = next(each for each in status["conditions"] if each["type"] == "SourceVerified")
    assert verified["status"] == "False"
