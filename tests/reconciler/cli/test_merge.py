"""`hearth merge`: what every device will take, or nothing moves."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from desired_state.changes import ChangeRefused, apply, difference, read_words, sentences
from desired_state.load import DesiredState
from reconciler import approving, merging
from reconciler.clone import Clone
from reconciler.proposals import propose
from reconciler.signing import SigningKey
from tests.bench import Bench
from tests.reconciler.cli.two_people import PEOPLE, TwoPeople, use_key


@pytest.fixture
def ready(two: TwoPeople) -> str:
    """A branch that Anna proposed and Jens approved, in both clones."""
    branch = two.propose()
    two.approved(branch, "jens")
    two.git("anna", "fetch", "--quiet")
    return branch


def test_a_merge_has_the_shape_that_devices_ask_for(two: TwoPeople, ready: str) -> None:
    """M has P and A as its parents, holds the proposal's files, and is the diary's line; stock git accepts all of it."""
    base = two.main("anna")
    said = two.hearth("anna", "merge", ready, "--push", "--json").json
    made = two.main("anna")
    assert (said["commit"], said["approved_by"], said["risk"]) == (made, ["jens"], "medium")
    assert two.git("anna", "rev-parse", "main^1", "main^2^^") == f"{base}\n{base}"
    assert two.git("anna", "rev-parse", "main^{tree}") == two.git("anna", "rev-parse", f"origin/{ready}^{{tree}}")
    assert two.git("anna", "log", "-1", "--format=%s") == "John joins the household"
    assert two.git("anna", "ls-remote", "origin", "main").split()[0] == made
    assert two.accepted("anna", "main", "owners")
    assert two.accepted("anna", "main^2", "approvers")
    assert two.command("verify", two.clone("anna")).code == 0


def test_the_folder_follows_and_other_edits_stay(two: TwoPeople, ready: str) -> None:
    """Only what the change touches is written."""
    devices = two.clone("anna") / "devices.yaml"
    devices.write_text(devices.read_text() + "# a thought\n")
    assert two.hearth("anna", "merge", ready).code == 0
    assert "john" in (two.clone("anna") / "people.yaml").read_text()
    assert two.git("anna", "status", "--short") == "M devices.yaml"


def test_whoever_stands_on_the_branch_stands_on_main_afterwards(two: TwoPeople, ready: str) -> None:
    """The next change then begins on main."""
    two.git("anna", "switch", "--quiet", ready)
    assert two.hearth("anna", "merge").code == 0
    assert two.git("anna", "branch", "--show-current") == "main"
    assert two.git("anna", "status", "--short") == ""


def test_an_edit_in_the_way_stops_it_before_main_moves(two: TwoPeople, ready: str) -> None:
    """Nobody's half-finished edit is lost, and nothing is half-merged."""
    people = two.clone("anna") / "people.yaml"
    people.write_text(people.read_text() + "# a thought\n")
    before, text = two.main("anna"), people.read_text()
    said = two.hearth("anna", "merge", ready)
    assert (said.code, "people.yaml was edited" in said.err) == (2, True)
    assert (two.main("anna"), people.read_text()) == (before, text)


def test_without_enough_approvals_nothing_is_signed(two: TwoPeople) -> None:
    """The sentence says what is lacking, and the remedy is the command."""
    branch, before = two.propose(), two.main("anna")
    said = two.hearth("anna", "merge", branch)
    assert said.code == 1
    assert f"{branch} cannot be merged yet: it lacks 1 approval by an approver." in said.err
    assert f"`hearth approve {branch}`" in said.err
    assert two.main("anna") == before


def test_a_stranger_merges_nothing(two: TwoPeople, ready: str) -> None:
    """Neither an owner nor an approver."""
    use_key(two, "anna", "mia")
    said = two.hearth("anna", "merge", ready)
    assert (said.code, "neither in trust/owners nor in trust/approvers" in said.err) == (1, True)


def test_in_a_reviewed_home_the_service_s_key_merges_and_nobody_else(beginning: Callable[..., TwoPeople]) -> None:
    """Approvers push the branch; the service merges it."""
    two = beginning("reviewed", low="{people: 1}")
    branch = two.propose()
    two.approved(branch, "jens")
    said = two.hearth("anna", "merge", branch, "--fetch")
    assert said.code == 1
    assert "In a reviewed home the service merges (cloud)" in said.err
    assert f"git push origin {branch}" in said.err
    use_key(two, "anna", "cloud")
    assert two.hearth("anna", "merge", branch, "--push").code == 0
    assert two.accepted("anna", "main", "signers")


def test_where_the_host_has_another_main_nothing_moves_here(two: TwoPeople, ready: str) -> None:
    """Pushed first, moved afterwards: approvals are void there, and main here is not left ahead."""
    before = two.main("anna")
    two.git("jens", "pull", "--quiet")
    assert two.hearth("jens", "change", "block", "tiktok", "--push").code == 0
    said = two.hearth("anna", "merge", ready, "--push", "--json")
    assert (said.code, said.json["error"]["reason"]) == (2, "NotPushed")
    assert (two.main("anna"), two.git("anna", "status", "--short")) == (before, "")
    again = two.hearth("anna", "merge", ready, "--fetch", "--json")
    assert (again.code, again.json["error"]["reason"]) == (1, "MainMoved")


def test_nothing_is_merged_into_a_main_that_devices_refuse(two: TwoPeople, ready: str) -> None:
    """The way to repair comes first."""
    two.push("jens", "README.md", "Hello", signed=False)
    said = two.hearth("anna", "merge", ready, "--fetch")
    assert (said.code, "is not signed" in said.err, "To repair: reset main to" in said.err) == (1, True, True)


def test_an_unapproved_commit_on_main_is_not_pushed(two: TwoPeople) -> None:
    """The hook that `hearth init` writes asks the home's own rules; approved changes pass."""
    from reconciler.cli.init import _write_aids

    _write_aids(two.clone("anna"))
    people = two.clone("anna") / "people.yaml"
    people.write_text(people.read_text() + "  kim: {name: Kim}\n")
    two.git("anna", "commit", "--quiet", "--all", "--message", "Kim")
    two.git("anna", "push", "origin", "main", check=False)
    assert two.git("anna", "ls-remote", "origin", "main").split()[0] == two.git("anna", "rev-parse", "main^")
    two.git("anna", "branch", "kim")
    two.git("anna", "reset", "--quiet", "--hard", "HEAD^")
    two.git("anna", "push", "--quiet", "origin", "kim")
    two.approved("kim", "jens")
    assert two.hearth("anna", "merge", "kim", "--fetch").code == 0
    two.git("anna", "push", "--quiet", "origin", "main")
    assert two.git("anna", "ls-remote", "origin", "main").split()[0] == two.main("anna")


def _edit(kind: str, **words: object) -> tuple[str, dict[str, object]]:
    return kind, words


_EDITS = st.lists(
    st.sampled_from(
        [
            _edit("add-name", name="music", target="tv"),
            _edit("add-name", name="wiki", target="appliance"),
            _edit("block", block="tiktok"),
            _edit("block", block="youtube"),
            _edit("remove-person", person="mia"),
            _edit("rename-person", person="mia", name="Mia H."),
            _edit("set-upstreams", upstreams=("1.1.1.1",)),
            _edit("set-upstreams", upstreams=("9.9.9.9", "1.0.0.1")),
            _edit("add-person", person="kim", name="Kim"),
            _edit("remove-device", device="tv"),
        ]
    ),
    min_size=1,
    max_size=5,
)


def _edited(state: DesiredState, edits: list[tuple[str, dict[str, object]]]) -> DesiredState:
    for kind, words in edits:
        with suppress(ChangeRefused):
            state = apply(state, (read_words(kind, words, state.household),))
    return state


def test_whatever_is_approved_every_rule_lets_through(beginning: Callable[..., TwoPeople]) -> None:
    """A law: what `approve` signs, rule 4 accepts, and what it shows is the difference. Each example goes on from the last."""
    two = beginning(low="{people: 1}", high="{people: 1}")
    clone = Clone(two.clone("anna"))
    anna, jens = (SigningKey(two.key(who)) for who in PEOPLE)
    merged = 0

    @settings(max_examples=15, deadline=None, database=None)
    @given(edits=_EDITS)
    def law(edits: list[tuple[str, dict[str, object]]]) -> None:
        nonlocal merged
        before = clone.state(two.main("anna"))
        after = _edited(before, edits)
        if after.files == before.files:
            return
        trust = {path: text for path, text in clone.files(clone.head()).items() if path.startswith("trust/")}
        waiting = approving.look(clone, propose(clone, {**trust, **after.files}, "A change").name)
        changes = difference(before, after)
        assert waiting.draft.judgement.sentences == sentences(changes, before.household, after.household)
        made = merging.merge(clone, approving.approve(clone, waiting, jens), anna)
        assert two.main("anna") == made
        assert clone.state(made).household == after.household
        merged += 1

    law()
    assert merged > 3
    assert two.command("verify", two.clone("anna")).code == 0


def test_a_device_applies_what_two_people_made(unjoined: Bench) -> None:
    """From the policy that asks for a person, over proposal, approval and merge, to the name that answers."""
    home = unjoined
    home.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", home.folder / "jens")
    key = home.folder / "jens.pub"
    made = json.loads(home.hearth("trust", "add", "owners", "jens", "--key", key, "--json").stdout)["branch"]
    home.hearth("trust", "add", "approvers", "jens", "--key", key, "--revise", made)
    home.hearth("approve", made, "--yes")
    home.hearth("merge", made)
    policy = home.household / "trust/policy.yaml"
    policy.write_text(policy.read_text().replace("low: {people: 0}", "low: {people: 1}"))
    home.hearth("trust", "propose", "--commit", "--push")
    home.join()
    home.start_agent()
    home.wait_until_up()
    wish = home.hearth("change", "add-name", "music", "tv", "--push", "--json")
    branch = json.loads(wish.stdout)["proposal"]
    assert home.lookup("music.home.arpa") == "not found"
    home.git("config", "user.signingkey", key)
    home.hearth("approve", branch, "--yes")
    done = home.hearth("merge", branch, "--push", check=False)
    assert (done.returncode, "still answering" in done.stdout) == (0, True), done.stdout + done.stderr
    assert home.lookup("music.home.arpa") == "192.168.10.30"
    refused = home.edit("people.yaml", "Mia Holm", "Mia H.")
    assert home.hearth("reconcile", check=False).returncode == 1
    assert f"Refused, rule 4: {refused[:7]} has no approval" in home.hearth("status", check=False).stdout
