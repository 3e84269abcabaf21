"""`hearth approve`: everything is shown, exactly that is signed, and only what every device will count."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from desired_state.secrets import file_words
from desired_state.trust.commit import Person, compose, with_signature
from tests.bench import TOP
from tests.desired_state.trust.authenticator import FIDO_ECDSA, FIDO_ED25519, ORIGIN, RELYING_PARTY, FidoKey, Passkey
from tests.reconciler.cli.conftest import HEARTH
from tests.reconciler.cli.two_people import TwoPeople, use_key

BRANCH = "change/john-joins-the-household"
PASSKEYS = f"passkeys:\n  synced: true\n  relying_party: {RELYING_PARTY}\n  origins: [{ORIGIN}]\n"
SIGNER = """\
#!{python}
import sys
from pathlib import Path
sys.path.insert(0, {top!r})
from tests.desired_state.trust.authenticator import FidoKey
assert sys.argv[1:5] == ["-Y", "sign", "-n", "git"], sys.argv
message = Path(sys.argv[7])
Path(sys.argv[7] + ".sig").write_bytes(FidoKey("jens", {kind!r}).sign(message.read_bytes()))
"""


def at_a_terminal(two: TwoPeople, who: str, answer: str) -> tuple[int, str]:
    """Run `hearth approve` as somebody who sits at a terminal and answers its question."""
    pid, terminal = pty.fork()
    if pid == 0:  # the child
        os.execve(HEARTH, [str(HEARTH), "approve", "--in", str(two.clone(who))], dict(two.environment))
    said, answered = b"", False
    while True:
        try:
            part = os.read(terminal, 65_536)
        except OSError:  # Linux says so at its end
            break
        said += part
        if b"[y/N]" in said and not answered:
            os.write(terminal, answer.encode() + b"\n")
            answered = True
        if not part:
            break
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), said.decode()


# --- what is shown


def test_everything_is_shown_and_nothing_signed_where_nobody_can_answer(two: TwoPeople) -> None:
    """Sentences, risk and why, whose approvals, the YAML, the daemons' files, the digest."""
    branch = two.propose("anna", "set-upstreams", "1.1.1.1", "9.9.9.9")
    said = two.hearth("jens", "approve", branch, "--fetch")
    assert (said.code, "--yes" in said.err) == (2, True)
    digest = two.hearth("jens", "diff", "main", f"origin/{branch}", "--json").json["after"]["digest"]
    for words in (
        "written by Anna <anna@holm.example>",
        "Signed by anna, who is not counted",
        "high risk",
        "Needs 2 approvals, 1 of them at a terminal, of: anna, jens. Given: none.",
        "services/dns.yaml",
        "1.1.1.1",
        "dnsmasq/dnsmasq.conf",
        "+server=1.1.1.1",
        f"Digest {digest} renderer ",
    ):
        assert words in said.out, words
    assert two.git("jens", "branch", "--list", branch) == ""


def test_what_is_shown_is_the_difference_and_nobody_s_word(two: TwoPeople) -> None:
    """The proposal's own words say another thing; what is computed is shown, and the words are labelled."""
    branch = two.propose()
    two.git("anna", "switch", "--quiet", branch)
    words = "Only a comment\n\nHearth-Request: r-17\nHearth-Requested-By: Mia\n"
    two.git("anna", "commit", "--quiet", "--amend", "--message", words)
    two.git("anna", "push", "--quiet", "--force", "origin", branch)
    said = two.hearth("anna", "approve", branch, "--json").json
    diff = two.hearth("anna", "diff", "main", branch, "--files", "--json").json
    assert said["changes"] == diff["changes"]
    assert (said["risk"], said["reasons"]) == (diff["risk"], diff["reasons"])
    assert (said["household_files"], said["daemon_files"]) == (diff["household_files"], diff["daemon_files"])
    assert said["says"] == {"author": "Anna <anna@holm.example>", "request": "r-17", "requested_by": "Mia"}
    assert "approved" in said
    assert said["approved"] is None
    shown = two.hearth("anna", "approve", branch)
    assert "It says, and nobody has checked: asked by Mia, request r-17" in shown.out
    assert "Only a comment" not in shown.out


def test_a_long_difference_is_shown_to_its_end(two: TwoPeople) -> None:
    """What was cut off would be signed unseen."""
    two.git("anna", "switch", "--quiet", "--create", "long")
    dns = (two.clone("anna") / "services/dns.yaml").read_text()
    more = "".join(f"    x{number}: {{domains: [x{number}.example], reason: Long}}\n" for number in range(600))
    two.push("anna", "services/dns.yaml", f"{dns}  blocked:\n{more}", branch="long")
    said = two.hearth("jens", "approve", "long", "--fetch")
    assert all(f"x{number}.example" in said.out for number in (0, 300, 599))
    assert "more lines" not in said.out


def test_six_words_of_a_secret_are_shown(two: TwoPeople) -> None:
    """A swapped secret looks like any other; its words do not."""
    two.git("anna", "switch", "--quiet", "--create", "secret")
    (two.clone("anna") / "secrets").mkdir()
    content = "age-encryption.org/v1\nnot really\n"
    two.push("anna", "secrets/person-anna.age", content, branch="secret")
    assert file_words(content.encode()) in two.hearth("jens", "approve", "secret", "--fetch").out


# --- what is signed


def test_an_approval_says_exactly_the_text_and_stock_git_accepts_it(two: TwoPeople) -> None:
    """Byte for byte, on the proposal, by the approver's own key."""
    branch = two.propose()
    said = two.hearth("jens", "approve", "--fetch", "--yes", "--push", "--json")
    assert said.code == 0, said.err
    made = said.json["approved"]
    raw = two.git("jens", "cat-file", "commit", made).partition("\n\n")[2]
    assert raw + "\n" == said.json["text"]
    assert f"Hearth-Base: {two.main('jens')}\n" in said.json["text"]
    assert two.git("jens", "rev-parse", f"{made}^", f"{made}^^") == "\n".join([said.json["proposal"], two.main("jens")])
    assert two.git("jens", "rev-parse", f"{made}^{{tree}}") == two.git("jens", "rev-parse", f"{made}^^{{tree}}")
    assert two.git("jens", "ls-remote", "origin", branch).split()[0] == made
    assert two.hearth("anna", "merge", "--fetch").code == 0
    assert two.accepted("anna", made, "approvers")
    assert two.accepted("anna", "main", "owners")


@pytest.mark.parametrize(("answer", "code"), [("y", 0), ("n", 1), ("", 1)])
def test_at_a_terminal_it_asks(two: TwoPeople, answer: str, code: int) -> None:
    """Only a yes signs."""
    branch = two.propose()
    two.git("jens", "fetch", "--quiet")
    ended, said = at_a_terminal(two, "jens", answer)
    assert (ended, "Approve this as jens?" in said) == (code, True), said
    assert bool(two.git("jens", "branch", "--list", branch)) == (code == 0)


def test_the_printed_text_is_signed_by_plain_git(two: TwoPeople) -> None:
    """Nothing of ours is needed to sign."""
    branch = two.propose()
    said = two.hearth("jens", "approve", "--fetch", "--print")
    assert said.code == 0
    assert "John joins the household" in said.err
    assert f"git switch {branch}" in said.err
    two.git("jens", "switch", "--quiet", branch)
    text = two.folder / "text"
    text.write_text(said.out)
    two.git("jens", "commit", "--quiet", "--allow-empty", "-S", "-F", text)
    assert two.hearth("jens", "merge").code == 0


@pytest.mark.parametrize("kind", [FIDO_ED25519, FIDO_ECDSA])
def test_a_security_key_is_asked_through_git_s_own_program(two: TwoPeople, kind: bytes) -> None:
    """`gpg.ssh.program` signs as git would let it; a person hears that they must touch. The key here is in software."""
    program, public = two.folder / "signer", two.folder / "keys/fido.pub"
    program.write_text(SIGNER.format(python=sys.executable, top=str(TOP), kind=kind))
    program.chmod(0o755)
    public.write_text(FidoKey("jens", kind).public.line + "\n")
    said = two.hearth("anna", "trust", "rotate", "jens", "--key", public, "--push", "--json")
    assert said.code == 0, said.err
    two.approved(said.json["branch"], "anna")
    assert two.hearth("jens", "merge", "--fetch", "--push").code == 0
    two.git("anna", "pull", "--quiet")
    two.git("jens", "config", "gpg.ssh.program", program)
    two.git("jens", "config", "user.signingkey", public)
    two.propose()
    said = two.hearth("jens", "approve", "--fetch", "--yes")
    assert (said.code, "Touch your key." in said.out) == (0, True), said.err
    assert two.hearth("jens", "merge").code == 0
    assert two.accepted("jens", "main^2", "approvers")
    assert two.hearth("jens", "verify", two.clone("jens")).code in {0, 2}


def test_two_people_approve_one_after_the_other_on_two_clones(beginning: Callable[..., TwoPeople]) -> None:
    """By way of a branch at the git host; each hears what is lacking."""
    two = beginning(medium="{people: 2}")
    two.git("anna", "config", "commit.gpgsign", "false")
    two.git("anna", "switch", "--quiet", "--create", "john")
    people = (two.clone("anna") / "people.yaml").read_text()
    two.push("anna", "people.yaml", people + "  john: {name: John}\n", branch="john", signed=False)
    first = two.hearth("anna", "approve", "--yes", "--push")
    assert "It lacks 1 approval by an approver who has not approved yet: `hearth approve john`." in first.out, first.err
    assert two.hearth("anna", "merge").code == 1
    second = two.hearth("jens", "approve", "--fetch", "--yes", "--push")
    assert "Nothing is lacking: `hearth merge john`." in second.out
    assert "Given: anna (at a terminal)." in second.out
    assert two.hearth("anna", "merge", "john", "--fetch", "--push").code == 0
    assert two.git("anna", "rev-parse", "--abbrev-ref", "HEAD") == "main"


# --- what is not signed


def refused(two: TwoPeople, who: str, reason: str, *words: str) -> str:
    """Return how an approval is refused: in one sentence, with a remedy, and with no branch moved."""
    before = two.git(who, "for-each-ref", "refs/heads")
    said = two.hearth(who, "approve", *words, "--yes", "--json")
    error = said.json["error"]
    assert (said.code, error["reason"]) == (1, reason), error
    assert two.git(who, "for-each-ref", "refs/heads") == before
    return f"{error['message']} {error['remedy']}"


def test_whoever_proposed_is_not_counted(two: TwoPeople) -> None:
    """Four eyes."""
    two.propose()
    assert "Ask another one" in refused(two, "anna", "YourOwn")


def test_nobody_approves_twice(beginning: Callable[..., TwoPeople]) -> None:
    """People are counted, not signatures."""
    two = beginning(medium="{people: 2}")
    two.approved(two.propose(), "jens")
    refused(two, "jens", "SamePerson", BRANCH)


def test_a_stranger_s_approval_is_not_made(two: TwoPeople) -> None:
    """It would only stand in the way."""
    two.propose()
    use_key(two, "jens", "mia")
    assert "not in trust/approvers" in refused(two, "jens", "NotYours", "--fetch")


def test_after_main_has_moved_approvals_are_void_until_it_is_rebased(two: TwoPeople) -> None:
    """The remedy is one command, and it works."""
    branch = two.propose()
    two.approved(branch, "jens")
    two.git("anna", "pull", "--quiet")
    assert two.hearth("anna", "change", "block", "tiktok", "--push").code == 0
    said = refused(two, "jens", "MainMoved", branch, "--fetch")
    assert "void" in said
    assert two.hearth("anna", "merge", branch, "--fetch").code == 1
    command = said.partition("`")[2].partition("`")[0]
    two.git("anna", *command.split()[1:])
    two.git("anna", "push", "--quiet", "--force-with-lease", "origin", branch)
    two.approved(branch, "jens")
    assert two.hearth("anna", "merge", "--fetch", "--push").code == 0
    assert two.git("anna", "log", "-1", "--format=%s") == "John joins the household"


def test_two_commits_are_not_one_proposal(two: TwoPeople) -> None:
    """An author who pushes after approval finds the approval worth nothing."""
    branch = two.propose()
    two.approved(branch, "jens")
    two.git("anna", "fetch", "--quiet")
    two.git("anna", "switch", "--quiet", "--force-create", branch, f"origin/{branch}")
    two.push("anna", "README.md", "And this", branch=branch)
    assert "git reset --soft" in refused(two, "jens", "NotOneChange", "--fetch", branch)
    assert two.hearth("anna", "merge").code == 1


def test_a_merge_inside_the_proposal_is_not_one_change(two: TwoPeople) -> None:
    """As a git host's "update branch" button makes it."""
    branch = two.propose()
    two.hearth("anna", "change", "block", "tiktok", "--push")
    two.git("anna", "switch", "--quiet", branch)
    two.git("anna", "merge", "--quiet", "--no-edit", "main")
    assert "git rebase" in refused(two, "anna", "NotOneChange")


def test_an_approval_of_something_else_on_the_branch_is_told(two: TwoPeople) -> None:
    """An approver's signed empty commit without the text approves nothing."""
    branch = two.propose()
    two.git("jens", "fetch", "--quiet")
    two.git("jens", "switch", "--quiet", branch)
    two.git("jens", "commit", "--quiet", "--allow-empty", "-S", "--message", "Looks good")
    assert branch in refused(two, "jens", "NotAnApproval")
    assert two.hearth("jens", "merge").code == 1


@pytest.mark.parametrize(
    ("path", "content", "reason"),
    [
        ("people.yaml", "people: {Mia: {}}\n", "HouseholdInvalid"),
        ("README.md", "\0hidden", "NotShown"),
        ("notes.txt", "nothing of a household's", "NotAHousehold"),
    ],
)
def test_what_no_device_would_apply_or_nobody_can_see_is_not_approved(
    two: TwoPeople, path: str, content: str, reason: str
) -> None:
    """Everything is computed and shown, or nothing is signed."""
    two.git("anna", "switch", "--quiet", "--create", "bad")
    two.push("anna", path, content, branch="bad")
    said = two.hearth("jens", "approve", "bad", "--fetch", "--yes", "--json")
    assert said.code in {1, 2}
    assert said.json["error"]["reason"] in {reason, "TreeShape"}
    assert two.git("jens", "branch", "--list", "bad") == ""


def test_another_household_s_id_is_not_approved(two: TwoPeople) -> None:
    """No device would apply it."""
    two.git("anna", "switch", "--quiet", "--create", "bad")
    text = (two.clone("anna") / "household.yaml").read_text().replace("id: ", "id: 0", 1)
    identifier = text.partition("id: ")[2].split()[0]
    text = text.replace(identifier, identifier[:8] + identifier[9:])
    two.push("anna", "household.yaml", text, branch="bad")
    refused(two, "jens", "OtherHousehold", "bad", "--fetch")


def test_a_web_button_s_merge_is_recognised_and_the_remedy_named(two: TwoPeople) -> None:
    """Nobody approves over a main that every device refuses."""
    branch = two.propose()
    two.git("jens", "fetch", "--quiet")
    button = {"GIT_COMMITTER_NAME": "GitHub", "GIT_COMMITTER_EMAIL": "noreply@github.com"}
    argv = [
        "git",
        "-C",
        two.clone("jens"),
        "commit-tree",
        f"origin/{branch}^{{tree}}",
        "-p",
        "main",
        "-p",
        f"origin/{branch}",
    ]
    argv += ["-m", "Merge pull request #1"]
    environment = {**two.environment, **button}
    made = subprocess.run(argv, env=environment, capture_output=True, text=True, check=True).stdout.strip()
    two.git("jens", "push", "--quiet", "origin", f"{made}:main")
    said = refused(two, "anna", "WebButton", "--fetch", branch)
    assert "made by GitHub's web button" in said
    assert "`hearth merge BRANCH`" in said
    assert f"To repair: reset main to {two.main('anna')[:7]}" in said
    assert two.hearth("anna", "merge", branch).code == 1


def test_a_half_that_somebody_else_pushed_meanwhile_is_not_overwritten(beginning: Callable[..., TwoPeople]) -> None:
    """Two who approve at once find out, and the second is told what to do."""
    two = beginning(medium="{people: 2}")
    two.git("anna", "config", "commit.gpgsign", "false")
    two.git("anna", "switch", "--quiet", "--create", "john")
    people = (two.clone("anna") / "people.yaml").read_text()
    two.push("anna", "people.yaml", people + "  john: {name: John}\n", branch="john", signed=False)
    two.approved("john", "jens")
    late = two.hearth("anna", "approve", "john", "--yes", "--push", "--json")
    assert (late.code, late.json["error"]["reason"]) == (2, "NotPushed")
    assert "git branch --force john origin/john" in refused(two, "anna", "BranchesApart", "--fetch", "john")
    two.git("anna", "switch", "--quiet", "main")
    two.git("anna", "branch", "--force", "john", "origin/john")
    two.approved("john", "anna")
    assert two.hearth("jens", "merge", "john", "--fetch").code == 0


def test_a_passkey_s_approval_is_not_one_at_a_terminal(beginning: Callable[..., TwoPeople]) -> None:
    """It counts, and another at a terminal is still lacking."""
    two = beginning("self-hosted", PASSKEYS, medium="{people: 1, at_terminal: 1}")
    public = two.folder / "keys/phone.pub"
    public.write_text(Passkey("jens").public.line + "\n")
    said = two.hearth("anna", "trust", "add", "approvers", "jens", "--key", public, "--push", "--json")
    two.approved(said.json["branch"], "anna")
    assert two.hearth("jens", "merge", "--fetch", "--push").code == 0
    two.git("anna", "pull", "--quiet")
    two.git("anna", "config", "commit.gpgsign", "false")
    two.git("anna", "switch", "--quiet", "--create", "john")
    people = (two.clone("anna") / "people.yaml").read_text()
    top = two.push("anna", "people.yaml", people + "  john: {name: John}\n", branch="john", signed=False)
    text = two.hearth("anna", "approve", "john", "--json").json["text"]
    who = Person("Jens", "jens@holm.example", 1_795_000_000)
    payload = compose(two.git("anna", "rev-parse", f"{top}^{{tree}}"), (top,), who, who, text.encode())
    raw = two.folder / "raw"
    raw.write_bytes(with_signature(payload, Passkey("jens").sign(payload)))
    two.git("anna", "reset", "--quiet", "--soft", two.git("anna", "hash-object", "-t", "commit", "-w", raw))
    found = two.hearth("anna", "approve", "--json").json
    assert [each["passkey"] for each in found["approvals"]] == [True]
    assert found["lacks"] == {"people": 0, "at_terminal": 1}
    said = two.hearth("anna", "merge")
    assert (said.code, "1 approval by an approver who has not approved yet, at a terminal" in said.err) == (1, True)
    assert two.hearth("anna", "approve", "--yes").code == 0
    assert two.hearth("anna", "merge").code == 0


def test_what_mends_an_unreadable_household_can_be_approved(beginning: Callable[..., TwoPeople]) -> None:
    """It has no difference that could be said, counts as high, and every file of it is shown."""
    two = beginning(high="{people: 0}")
    people = (two.clone("anna") / "people.yaml").read_text()
    two.push("anna", "people.yaml", "people: {Mia: {}}\n")
    two.git("anna", "switch", "--quiet", "--create", "mend")
    two.push("anna", "people.yaml", people, branch="mend")
    shown = two.hearth("jens", "approve", "mend", "--fetch", "--yes")
    assert shown.code == 0, shown.err
    assert "The household before it cannot be read, so its risk counts as high" in shown.out
    assert "+  mia:" in shown.out
    assert two.hearth("jens", "merge", "mend").code == 0


def test_a_git_host_that_does_not_answer_stops_nothing_but_the_fetch(two: TwoPeople) -> None:
    """Without --fetch what is here can be approved."""
    branch = two.propose()
    two.git("jens", "fetch", "--quiet")
    two.host.rename(two.folder / "gone")
    said = two.hearth("jens", "approve", branch, "--fetch", "--json")
    assert (said.code, said.json["error"]["reason"]) == (2, "NotFetched")
    assert two.hearth("jens", "approve", branch, "--yes").code == 0
    said = two.hearth("jens", "merge", branch, "--push", "--json")
    assert (said.code, said.json["error"]["reason"]) == (2, "NotPushed")
    assert two.hearth("jens", "merge", branch).code == 0


# --- which proposal


def test_without_a_name_the_only_branch_on_main_is_meant(two: TwoPeople) -> None:
    """And where there are more, they are named."""
    two.propose()
    assert two.hearth("anna", "approve", "--json").json["branch"] == BRANCH
    two.propose("anna", "add-person", "kim", "Kim")
    said = two.hearth("anna", "approve", "--json")
    assert (said.code, BRANCH in said.json["error"]["message"]) == (2, True)
    tip = two.git("anna", "rev-parse", BRANCH)
    assert two.hearth("anna", "approve", tip[:10], "--json").json["branch"] == BRANCH


def test_what_main_holds_already_is_said(two: TwoPeople) -> None:
    """A merged branch is done."""
    branch = two.propose()
    two.approved(branch, "jens")
    assert two.hearth("anna", "merge", "--fetch").code == 0
    assert "already" in refused(two, "anna", "NothingProposed", branch)
    said = two.hearth("anna", "approve", "nothing-called-so", "--json")
    assert (said.code, json.loads(said.out)["error"]["reason"]) == (2, "NoSuchRevision")


def test_a_clone_with_tricks_is_refused(two: TwoPeople, tmp_path: Path) -> None:
    """A shallow clone does not hold what would be signed over."""
    branch = two.propose()
    shallow = tmp_path / "shallow"
    two.git("jens", "clone", "--quiet", "--depth", "1", f"file://{two.host}", shallow)
    said = two.command("approve", branch, "--in", shallow, "--json")
    assert (said.code, said.json["error"]["reason"]) == (1, "RepositoryTrick")
