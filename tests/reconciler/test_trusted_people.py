"""A device whose people approve, change trust and lead the home back: stock git makes the commits, the agent judges them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from desired_state.changes import risk
from desired_state.history import Repository
from desired_state.trust import ApprovedArtifact, draft
from renderers.artifact import RENDERER_VERSION
from tests.bench import Bench
from tests.reconciler.passes import Device

DNS = "services/dns.yaml"
POLICY = "trust/policy.yaml"


class Family:
    """What Anna does in her clone."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench

    def approved(self, path: str, old: str, new: str, *, digest: str = "f" * 64, renderer: str = "0.0.1") -> str:
        """Propose an edit, approve it and merge it, all with stock git; push, and return the merge."""
        base = self.bench.git("rev-parse", "HEAD")
        file = self.bench.household / path
        assert old in file.read_text()
        file.write_text(file.read_text().replace(old, new))
        self.bench.git("checkout", "--quiet", "-b", "proposal")
        self.bench.git("-c", "commit.gpgsign=false", "commit", "--quiet", "--all", "--message", "Proposed")
        seen = draft(Repository.open(self.bench.household), base, self.bench.git("rev-parse", "HEAD"))
        text = self.bench.folder / "text"
        text.write_bytes(seen.text(ApprovedArtifact(digest, renderer)))
        self.bench.git("commit", "--quiet", "--allow-empty", "-S", "--cleanup=verbatim", "-F", text)
        self.bench.git("checkout", "--quiet", "-B", "main", base)
        self.bench.git("merge", "--quiet", "--no-ff", "-S", "--message", "A change", "proposal")
        self.bench.git("branch", "--quiet", "-D", "proposal")
        self.bench.git("push", "--quiet", "--no-verify", "--force", "origin", "main")
        return self.bench.git("rev-parse", "HEAD")

    def new_policy(self, *edits: tuple[str, str]) -> str:
        """Change the policy as its owner."""
        old = new = (self.bench.household / POLICY).read_text()
        for before, after in edits:
            assert before in new
            new = new.replace(before, after)
        return self.approved(POLICY, old, new)

    def of_the_future(self) -> str:
        """Choose an edition of the risk rules that this agent does not have, and ask one person for high changes."""
        asks = ("high: {people: 0}", "high: {people: 1}")
        return self.new_policy(("version: 1 ", "version: 2 "), ("risk_rules: 1 ", "risk_rules: 2 "), asks)

    def back_to(self, commit: str) -> None:
        """Stand on an older commit."""
        self.bench.git("reset", "--quiet", "--hard", commit)


@pytest.fixture
def device(unjoined: Bench) -> Iterator[Device]:
    """A device that has applied the family's household."""
    unjoined.pin()
    made = Device(unjoined)
    assert made.run().exit_code == 0
    yield made
    made.stop()


@pytest.fixture
def family(device: Device) -> Family:
    """Anna."""
    return Family(device.bench)


def upgrade(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make of the agent one that knows the next edition."""
    monkeypatch.setattr(risk, "EDITIONS", {**risk.EDITIONS, 2: risk.EDITIONS[1]})
    device.home.version = "9.9"


def verified(device: Device) -> tuple[str, str]:
    """The condition of what was verified."""
    found = next(one for one in device.run().conditions if one.type == "SourceVerified")
    return found.reason, found.message


def test_an_approved_merge_is_applied(device: Device, family: Family):
    """What stock git made of the text that Hearth prints."""
    tip = family.approved(DNS, "wiki: appliance", "wiki: appliance, news: appliance")
    assert device.run().exit_code == 0
    assert device.journal.confirmed.revision == tip
    assert device.bench.lookup("news.home.arpa") == "192.168.10.2"


def test_an_approval_of_other_files_than_are_rendered_here_is_not_applied(device: Device, family: Family):
    """Same version of the renderer, another digest: the floor moves, the home stays as it is."""
    before = device.journal.confirmed
    tip = family.approved(DNS, "wiki: appliance", "wiki: appliance, news: appliance", renderer=RENDERER_VERSION)
    outcome = device.run()
    assert (outcome.exit_code, outcome.ready.reason) == (1, "ArtifactMismatch")
    assert (device.journal.floor, device.journal.confirmed) == (tip, before)
    family.approved(DNS, "news: appliance", "paper: appliance")
    assert device.run().exit_code == 0


def test_what_an_old_agent_cannot_judge_waits_for_a_newer_one(
    device: Device, family: Family, monkeypatch: pytest.MonkeyPatch
):
    """Hostile case 42: the floor moves, nothing is applied, a later change of trust is seen, and the upgrade looks at it all again."""
    policy = family.of_the_future()
    assert device.run().exit_code == 0
    applied = device.journal.confirmed
    assert applied.revision == policy
    device.bench.edit(DNS, "wiki: appliance", "wiki: appliance, news: appliance")
    outcome = device.run()
    assert (outcome.exit_code, outcome.ready.reason) == (1, "UpgradeNeeded")
    assert device.journal.unjudged_since == policy
    later = family.new_policy(("version: 2 ", "version: 3 "))
    assert device.run().ready.reason == "UpgradeNeeded"
    assert (device.journal.floor, device.journal.confirmed) == (later, applied)
    upgrade(device, monkeypatch)
    assert device.run().exit_code == 0
    assert (device.journal.confirmed.revision, device.journal.unjudged_since) == (later, None)


def test_a_newer_agent_refuses_what_the_old_one_let_by(device: Device, family: Family, monkeypatch: pytest.MonkeyPatch):
    """A high change that nobody approved moved the floor, and is never applied."""
    family.of_the_future()
    assert device.run().exit_code == 0
    applied = device.journal.confirmed
    evil = device.bench.edit(DNS, "[9.9.9.9, 149.112.112.112]", "[203.0.113.9]")
    assert device.run().ready.reason == "UpgradeNeeded"
    upgrade(device, monkeypatch)
    assert device.run().ready.reason == "NoApproval"
    assert (device.journal.floor, device.journal.confirmed) == (evil, applied)


def test_a_lost_journal_forgets_no_unjudged_change(device: Device, family: Family):
    """What could not be judged is asked of every commit again."""
    family.of_the_future()
    assert device.run().exit_code == 0
    tip = device.bench.edit(DNS, "wiki: appliance", "wiki: appliance, news: appliance")
    device.run()
    Path(device.bench.paths.journal).unlink()
    assert device.run().ready.reason == "UpgradeNeeded"
    assert device.journal.floor == tip


def test_owners_lead_the_device_back_and_it_says_so(device: Device, family: Family):
    """The floor leaves the line that it had verified; the alarm stays until somebody takes note."""
    good = device.journal.floor
    evil = device.bench.edit(DNS, "wiki: appliance", "wiki: appliance, evil: appliance")
    assert device.run().exit_code == 0
    assert device.bench.lookup("evil.home.arpa") == "192.168.10.2"
    family.back_to(good)
    back = family.new_policy(("version: 1 ", "version: 2 "), ("epoch: 0 ", "epoch: 1 "))
    reason, message = verified(device)
    assert reason == "LedBack"
    assert f"led the home back with {back[:7]} and dropped 1 change, the newest {evil[:7]}" in message
    assert (device.journal.floor, device.bench.lookup("evil.home.arpa")) == (back, "not found")
    device.bench.edit(DNS, "wiki: appliance", "wiki: appliance, news: appliance")
    assert verified(device)[0] == "LedBack"
    device.bench.hearth("retry")
    assert verified(device)[0] == "Verified"
