"""`hearth trust`: owners change who may do what, in turn, and find out before they sign what would not work any more."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from desired_state.trust.wording import key_words
from tests.bench import Bench
from tests.reconciler.cli.conftest import Git, Hearth
from tests.reconciler.cli.two_people import PEOPLE, TwoPeople, use_key

RECIPIENT = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"


def proposed(two: TwoPeople, *words: str | Path) -> str:
    """Let Anna propose a change of trust, and push it; return its branch."""
    said = two.hearth("anna", "trust", *words, "--push", "--json")
    assert said.code == 0, said.err + said.out
    return str(said.json["branch"])


def carried(two: TwoPeople, *words: str | Path) -> str:
    """Let Anna propose and approve a change of trust, and Jens merge it; return the new main, which both have."""
    branch = proposed(two, *words)
    two.approved(branch, "anna")
    said = two.hearth("jens", "merge", branch, "--fetch", "--push")
    assert said.code == 0, said.err
    two.git("anna", "pull", "--quiet")
    return two.main("anna")


def public(two: TwoPeople, who: str) -> Path:
    """The file of somebody's public key."""
    return two.key(who).with_suffix(".pub")


def trust_file(two: TwoPeople, name: str, commit: str = "main") -> str:
    """What stands in one of the trust files as Anna knows main."""
    return two.git("anna", "show", f"{commit}:trust/{name}")


# --- list


def test_the_list_names_keys_people_and_what_a_change_takes(two: TwoPeople) -> None:
    """For owners, to compare with what a joining device shows."""
    said = two.hearth("anna", "trust", "list")
    begins = two.command("verify", two.clone("anna"), "--json").json
    assert said.code == 0
    for words in (
        f"It begins with:  {begins['genesis_words']}",
        "Trust version 1, epoch 0, last changed ",
        two.public("anna").fingerprint,
        two.public("jens").fingerprint,
        "medium risk  1 approval\n",
        "high risk    2 approvals, 1 of them at a terminal",
        "of trust     2 owners",
        "! Changes of class trust need all 2 owners.",
    ):
        assert words in said.out, words
    found = two.hearth("anna", "trust", "list", "--json").json
    assert [key["principal"] for key in found["owners"]] == list(PEOPLE)
    assert (found["version"], found["approvals"]["high"]) == (1, {"people": 2, "at_terminal": 1})


def test_the_date_of_the_last_trust_change_is_that_of_its_merge(two: TwoPeople) -> None:
    """It tells a cut-off history from a whole one."""
    made = carried(two, "add", "approvers", "mia", "--key", public(two, "mia"))
    two.hearth("anna", "change", "block", "tiktok", "--commit")
    found = two.hearth("anna", "trust", "list", "--json").json
    assert (found["version"], found["changed_by"]) == (2, made)


# --- changes


def test_two_owners_change_trust_in_turn(two: TwoPeople) -> None:
    """A branch, an approval, a merge: two people, each with a clone; comments stay, the version rises by one."""
    branch = proposed(two, "add", "approvers", "mia", "--key", public(two, "mia"))
    assert branch == "trust/add-mia-approvers"
    shown = two.hearth("anna", "approve", branch, "--yes", "--push")
    assert f"~ mia becomes an approver: {two.public('mia').fingerprint}" in shown.out
    assert "whoever merges it counts" in shown.out
    assert "Hearth-Risk: trust/1" in two.git("anna", "log", "-1", "--format=%B", branch)
    assert two.hearth("anna", "merge", branch).code == 1
    assert two.hearth("jens", "merge", "--fetch", "--push").code == 0
    two.git("anna", "pull", "--quiet")
    assert trust_file(two, "approvers").splitlines()[0] == "# who may"
    assert trust_file(two, "approvers").splitlines()[-1].startswith("mia ")
    assert "version: 2                # every change" in trust_file(two, "policy.yaml")
    assert two.git("anna", "log", "-1", "--format=%s").startswith("mia becomes an approver: SHA256:")
    assert two.accepted("anna", "main", "owners")
    assert two.accepted("anna", "main^2", "owners")


def test_an_approver_who_is_no_owner_signs_no_change_of_trust(two: TwoPeople) -> None:
    """Owners alone decide who owns."""
    carried(two, "add", "approvers", "mia", "--key", public(two, "mia"))
    branch = proposed(two, "remove", "approvers", "mia")
    use_key(two, "jens", "mia")
    said = two.hearth("jens", "approve", branch, "--fetch", "--yes")
    assert (said.code, "not in trust/owners" in said.err) == (1, True)
    two.approved(branch, "anna")
    said = two.hearth("jens", "merge", branch, "--fetch")
    assert (said.code, "Owners merge a change of trust" in said.err) == (1, True)


def test_in_a_reviewed_home_another_owner_merges(beginning: Callable[..., TwoPeople]) -> None:
    """Nor does the service's key merge a change of trust."""
    two = beginning("reviewed", low="{people: 1}", trust="{people: 1}")
    branch = proposed(two, "add", "approvers", "mia", "--key", public(two, "mia"))
    two.approved(branch, "anna")
    said = two.hearth("anna", "merge", branch)
    assert (said.code, "another owner merges" in said.err) == (1, True)
    use_key(two, "anna", "cloud")
    assert two.hearth("anna", "merge", branch).code == 1
    assert two.hearth("jens", "merge", branch, "--fetch").code == 0


def test_several_edits_are_one_change_and_void_what_was_approved(two: TwoPeople) -> None:
    """`--revise` puts a second edit into a proposal that waits; the version still rises by one."""
    branch = proposed(two, "add", "approvers", "mia", "--key", public(two, "mia"))
    two.approved(branch, "anna")
    assert proposed(two, "add", "owners", "mia", "--key", public(two, "mia"), "--revise", branch) == branch
    found = two.hearth("jens", "approve", branch, "--fetch", "--json").json
    assert found["approvals"] == []
    assert len(found["changes"]) == 2
    two.approved(branch, "jens")
    assert two.hearth("anna", "merge", branch, "--fetch").code == 0
    assert "version: 2 " in trust_file(two, "policy.yaml")


def test_a_new_key_takes_the_old_one_s_place_everywhere(two: TwoPeople) -> None:
    """One person, one step, both roles."""
    carried(two, "rotate", "anna", "--key", public(two, "mia"))
    for role in ("owners", "approvers"):
        assert two.public("mia").line in trust_file(two, role)
        assert two.public("anna").line not in trust_file(two, role)
    said = two.hearth("anna", "approve", two.propose("jens"), "--fetch", "--yes")
    assert (said.code, "not in trust/approvers" in said.err) == (1, True)
    use_key(two, "anna", "mia")
    assert two.hearth("anna", "approve", "--yes").code == 0


def test_of_two_keys_the_one_that_goes_is_named(two: TwoPeople) -> None:
    """Nothing is guessed."""
    carried(two, "add", "owners", "anna", "--key", public(two, "mia"))
    said = two.hearth("anna", "trust", "rotate", "anna", "--key", public(two, "cloud"))
    assert (said.code, f"--old {two.public('anna').fingerprint}" in said.err) == (1, True)
    words = ("rotate", "anna", "--key", public(two, "cloud"), "--old", two.public("mia").fingerprint)
    carried(two, *words)
    assert two.public("anna").line in trust_file(two, "owners")
    assert two.public("mia").line not in trust_file(two, "owners")


def test_a_key_is_removed_by_its_fingerprint(two: TwoPeople) -> None:
    """Where the person stays."""
    carried(two, "add", "approvers", "jens", "--key", public(two, "mia"))
    carried(two, "remove", "approvers", two.public("jens").fingerprint)
    assert [line.split()[0] for line in trust_file(two, "approvers").splitlines()[1:]] == ["anna", "jens"]
    assert two.public("jens").line not in trust_file(two, "approvers")


def test_devices_and_recipients_show_the_words_that_the_device_shows(two: TwoPeople) -> None:
    """Owners compare them before they sign."""
    branch = proposed(two, "add", "recipients", "hearth", "--recipient", RECIPIENT)
    proposed(two, "add", "devices", "hearth", "--key", public(two, "mia"), "--revise", branch)
    shown = two.hearth("anna", "approve", branch, "--yes", "--push").out
    assert key_words(RECIPIENT) in shown
    assert key_words(two.public("mia").line) in shown
    assert two.hearth("jens", "merge", "--fetch", "--push").code == 0
    two.git("anna", "pull", "--quiet")
    assert trust_file(two, "recipients") == f"# hearth\n{RECIPIENT}"
    assert 'hearth namespaces="hearth-applied" ssh-ed25519' in trust_file(two, "devices")
    assert key_words(RECIPIENT) in two.hearth("anna", "trust", "list").out
    carried(two, "remove", "recipients", "hearth")
    assert trust_file(two, "recipients") == ""


def test_numbers_in_the_policy_are_edited_by_hand(two: TwoPeople) -> None:
    """What was edited becomes the proposal, and the folder is as it was."""
    policy = two.clone("anna") / "trust/policy.yaml"
    before = policy.read_text()
    policy.write_text(before.replace("low: {people: 0}", "low: {people: 1}"))
    assert policy.read_text() != before
    carried(two, "propose")
    assert "low: {people: 1}" in trust_file(two, "policy.yaml")
    assert two.git("anna", "status", "--short") == ""
    assert (
        two.git("anna", "log", "-1", "--format=%s") == "A change of low risk needs 1 approval, and needed no approval"
    )


# --- what would not work


@pytest.mark.parametrize(
    ("words", "reason", "hint"),
    [
        (("remove", "owners", "jens"), "CannotBeMet", "leaves 1 owners, and changes of class trust need 2"),
        (("remove", "approvers", "jens"), "CannotBeMet", "changes of class high need 2"),
        (("remove", "owners", "mia"), "CannotEdit", "There is no 'mia' in trust/owners"),
        (("add", "owners", "Ann Marie", "--key", "jens"), "CannotEdit", "Write lower-case letters"),
        (("add", "owners", "anna", "--key", "anna"), "CannotEdit", "stands in trust/owners already"),
        (("add", "owners", "mia", "--key", "jens"), "CannotEdit", "stands in trust/owners already"),
        (("add", "heads", "mia", "--key", "anna"), "TrustUnreadable", "gives one key to"),
        (("rotate", "mia", "--key", "cloud"), "CannotEdit", "mia has no key here"),
        (("return", "HEAD"), "NotOnMain", "never stood on"),
    ],
)
def test_what_no_device_would_take_is_said_before_anybody_signs(
    two: TwoPeople, words: tuple[str, ...], reason: str, hint: str
) -> None:
    """One sentence and a remedy; no branch is left behind."""
    named = [
        public(two, word) if before == "--key" else word for before, word in zip(("", *words), words, strict=False)
    ]
    said = two.hearth("anna", "trust", *named, "--json")
    error = said.json["error"]
    assert (said.code, error["reason"]) == (1, reason), error
    assert hint in f"{error['message']} {error['remedy']}"
    assert two.git("anna", "branch", "--list", "trust/*") == ""


@pytest.mark.parametrize(
    "words",
    [
        ("add", "owners", "mia"),
        ("add", "recipients", "hearth", "--key", "x"),
        ("add", "recipients", "hearth", "--recipient", "age1nothing"),
        ("add", "kings", "mia"),
        ("propose",),
    ],
)
def test_a_wrong_call_is_answered_with_the_right_one(two: TwoPeople, words: tuple[str, ...]) -> None:
    """Usage errors exit 2."""
    said = two.hearth("anna", "trust", *words, "--json")
    assert said.code == 2
    assert said.json["error"]["remedy"]


def test_trust_and_the_household_do_not_change_together(two: TwoPeople) -> None:
    """Who signs would not be clear."""
    two.git("anna", "switch", "--quiet", "--create", "both")
    (two.clone("anna") / "README.md").write_text("Hello")
    two.git("anna", "add", "README.md")
    owners = (two.clone("anna") / "trust/owners").read_text()
    two.push("anna", "trust/owners", owners + "# a note\n", branch="both")
    said = two.hearth("jens", "approve", "both", "--fetch", "--yes", "--json")
    assert (said.code, said.json["error"]["reason"]) == (1, "MixedChange")


def test_where_one_owner_is_enough_one_command_does_it(family: Path, hearth: Hearth, git: Git) -> None:
    """Branch, approval and merge at once; and the last owner cannot go."""
    spare = family.parent / "spare"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(spare)], check=True)
    said = hearth("trust", "add", "owners", "anna", "--key", f"{spare}.pub", "--commit", "--json")
    assert said.code == 0, said.err
    assert said.json["approved_by"] == ["anna"]
    assert git("rev-parse", "main") == said.json["commit"]
    assert (git("status", "--short"), hearth("verify").code) == ("", 0)
    assert hearth("trust", "remove", "owners", "anna", "--commit", "--json").json["error"]["reason"] == "CannotBeMet"
    git("config", "user.signingkey", str(spare))
    first = hearth("trust", "list", "--json").json["owners"][0]["key"]
    assert hearth("trust", "remove", "owners", first, "--commit").code == 0


def test_where_it_takes_two_owners_one_command_does_not(two: TwoPeople) -> None:
    """It says so, and makes nothing."""
    said = two.hearth("anna", "trust", "add", "owners", "mia", "--key", public(two, "mia"), "--commit")
    assert (said.code, "takes 2 owners" in said.err) == (1, True)
    assert two.git("anna", "branch", "--list", "trust/*") == ""


# --- return


def test_owners_return_to_before_the_theft(two: TwoPeople) -> None:
    """Jens' approving key and Anna's were stolen: what the thief made is shown as dropped, and his keys count no more."""
    good = two.main("anna")
    two.approved(two.propose("anna", "add-person", "thief", "Thief"), "jens")
    assert two.hearth("anna", "merge", "--fetch", "--push").code == 0
    stolen = two.main("anna")
    branch = proposed(two, "return", good)
    shown = two.hearth("anna", "approve", branch, "--yes", "--push").out
    assert f"It leaves main ({stolen[:7]}) for {good[:7]}, and drops what came after:" in shown
    assert "- Thief joins the household" in shown
    said = two.hearth("jens", "merge", branch, "--fetch", "--push")
    assert said.code == 0, said.err
    assert two.git("jens", "rev-parse", "main^1", "origin/main^1") == f"{good}\n{good}"
    assert "thief" not in (two.clone("jens") / "people.yaml").read_text()
    assert two.command("verify", two.clone("jens"), "--from", stolen).code == 0
    assert two.hearth("anna", "approve", "--fetch", "--json").json["error"]["reason"] == "MainsApart"
    two.git("anna", "reset", "--quiet", "--hard", "origin/main")
    assert two.hearth("anna", "trust", "list", "--json").json["epoch"] == 1


def test_a_return_takes_stolen_keys_out_in_the_same_step(beginning: Callable[..., TwoPeople]) -> None:
    """Otherwise the thief would go on at once."""
    two = beginning(trust="{people: 1}", high="{people: 1}")
    good = two.main("anna")
    two.approved(two.propose(), "jens")
    two.hearth("anna", "merge", "--fetch", "--push")
    said = two.hearth("anna", "trust", "return", good, "--without", "jens", "--commit", "--push", "--json")
    assert said.code == 0, said.err + said.out
    assert [trust_file(two, role).count("jens") for role in ("owners", "approvers")] == [0, 0]
    assert two.git("anna", "ls-remote", "origin", "main").split()[0] == two.main("anna")


def test_other_changes_of_trust_are_made_anew_when_main_moves(two: TwoPeople) -> None:
    """They rest on the version before."""
    branch = proposed(two, "add", "approvers", "mia", "--key", public(two, "mia"))
    assert two.hearth("anna", "change", "block", "tiktok", "--push").code == 0
    said = two.hearth("anna", "approve", branch, "--yes", "--json")
    assert (said.code, said.json["error"]["reason"]) == (1, "MainMoved")
    assert "hearth trust" in said.json["error"]["remedy"]


def test_a_device_follows_its_owners_forward_and_back(unjoined: Bench) -> None:
    """A change of trust and a return reach the daemons' home; a key that went counts no more."""
    home = unjoined
    home.join()
    home.start_agent()
    home.wait_until_up()
    home.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", home.folder / "jens")
    key = home.folder / "jens.pub"
    for role in ("owners", "approvers"):
        made = json.loads(
            home.hearth("trust", "add", role, "jens", "--key", key, "--commit", "--push", "--json").stdout
        )
        assert made["in_effect"]["ended"] == "in effect"
    good = made["commit"]
    home.git("config", "user.signingkey", key)
    home.hearth("change", "add-name", "music", "tv", "--push")
    assert home.lookup("music.home.arpa") == "192.168.10.30"
    home.git("config", "user.signingkey", home.folder / "anna.pub")
    made = json.loads(home.hearth("trust", "return", good, "--without", "jens", "--commit", "--push", "--json").stdout)
    assert made["in_effect"]["ended"] == "in effect"
    assert home.lookup("music.home.arpa") == "not found"
    home.git("config", "user.signingkey", key)
    home.edit("people.yaml", "Mia Holm", "Mia H.")
    assert home.hearth("reconcile", check=False).returncode == 1
    assert "Refused, rule 2" in home.hearth("status", check=False).stdout
