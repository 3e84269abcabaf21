"""docs/audit.md on a home with approvals: stock git finds it sound, and stops at each forgery that `hearth verify` refuses too."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import reviewed
from tests.bench import HEARTH
from tests.reviewed import Reviewed
from tests.test_docs import WORDLIST, blocks


def audit(home: Reviewed, place: Path) -> tuple[int, str]:
    """Run the very commands of the page on the git host's repository; return how they ended, and what they said."""
    place.mkdir()
    given = {"REPO": f"file://{home.bench.remote}", "WORDLIST": str(WORDLIST)}
    script = "".join(f"export {name}={value}\n" for name, value in given.items()) + "\n".join(blocks("docs/audit.md"))
    done = home.bench.run("bash", "-euo", "pipefail", "-c", script, cwd=place, check=False)
    assert (done.returncode == 0) != ("STOP: " in done.stderr), done.stdout + done.stderr
    return done.returncode, done.stdout + done.stderr


def believed(home: Reviewed, place: Path) -> tuple[bool, bool]:
    """Whether stock git by the page's commands, and `hearth verify`, find the git host's main sound."""
    ours = home.bench.run(HEARTH, "verify", home.bench.remote, check=False)
    assert ours.returncode in {0, 1}, ours.stderr
    return audit(home, place)[0] == 0, ours.returncode == 0


@pytest.fixture(scope="module")
def lived(firms_family: Reviewed, tmp_path_factory: pytest.TempPathFactory) -> Reviewed:
    """A home with a change of one approval, a change of two by a stranger's proposal, a new approver, and one more change."""
    home = reviewed.copy(firms_family, tmp_path_factory.mktemp("lived") / "home")
    home.name("wiki")
    home.sign_with("anna", "mia")  # the proposal counts as nobody's, so both owners may approve it
    branch = home.propose("add-name", "pictures", "appliance")
    home.sign_with("anna", "anna")
    home.approve(branch, "jens")
    home.approve(branch, "anna")
    home.merge(branch)
    home.change_trust("add", "approvers", "mia", "--key", home.public("mia"))
    home.name("music")
    home.catch_up("anna")
    return home


@pytest.fixture
def home(lived: Reviewed, tmp_path: Path) -> Reviewed:
    """A copy of it, to be forged."""
    return reviewed.copy(lived, tmp_path / "home")


def test_stock_git_finds_a_reviewed_home_sound(lived: Reviewed, tmp_path: Path) -> None:
    """Who approved and merged each change, what was asked and counted, the change of trust, the eight words."""
    code, said = audit(lived, tmp_path / "audit")
    assert code == 0, said
    assert lived.bench.words in said
    assert said.count('approved: Good "git" signature for jens with ED25519 key SHA256:') == 4
    assert said.count('approved: Good "git" signature for anna ') == 1
    assert said.count('merged:   Good "git" signature for service ') == 3
    assert said.count('merged:   Good "git" signature for anna ') == 1
    assert "trust, 2 asked, 2 counted; 2 is the version of trust, 0 its epoch" in said
    assert "low, 1 asked, 2 counted" in said


def test_stock_git_follows_a_return(home: Reviewed, tmp_path: Path) -> None:
    """It is a change of trust with a higher epoch, on an older commit."""
    home.change_trust("return", home.git("anna", "rev-parse", "main~2"))
    code, said = audit(home, tmp_path / "audit")
    assert code == 0, said
    assert "1 its epoch" in said


@dataclass(frozen=True)
class Forger:
    """Somebody who may push to the git host, and writes commits by stock git with keys of their choice. `tip` is the last merge."""

    home: Reviewed

    def git(self, *words: str) -> str:
        """Run stock git in Anna's clone."""
        return self.home.git("anna", *words)

    def parts(self) -> tuple[str, str, str]:
        """Return the last merge's parent, its proposal and its approval."""
        return self.git("rev-parse", "main^1"), self.git("rev-parse", "main^2^"), self.git("rev-parse", "main^2")

    def commit(self, tree: str, *parents: str, key: str, text: str = "A change") -> str:
        """Write a commit signed with a key."""
        above = [word for parent in parents for word in ("-p", parent)]
        signing = f"user.signingkey={self.home.public(key)}"
        return self.git("-c", signing, "commit-tree", "-S", *above, "-m", text.removesuffix("\n"), f"{tree}^{{tree}}")

    def text(self, approval: str = "main^2") -> str:
        """Return the message of an approval."""
        return self.git("log", "-1", "--format=%B", approval).strip() + "\n"

    def files(self, **changed: str) -> str:
        """Return a commit, of nobody, whose files are the last merge's with some changed."""
        self.git("switch", "--quiet", "--detach", "main")
        for name, content in changed.items():
            path = self.home.clone("anna") / {"readme": "README.md", "policy": "trust/policy.yaml"}.get(
                name, f"trust/{name}"
            )
            path.write_text(content)
        self.git("add", "--all")
        return self.git("commit-tree", "-m", "files", self.git("write-tree"))

    def publish(self, commit: str) -> None:
        """Put a commit on the git host's main."""
        self.git("push", "--quiet", "--force", "--no-verify", "origin", f"{commit}:refs/heads/main")


def merged_by_a_stranger(by: Forger) -> str:
    """The approvals are right, the merge is by a key that stands nowhere."""
    before, _, approval = by.parts()
    return by.commit("main", before, approval, key="eve")


def merged_by_an_approver(by: Forger) -> str:
    """In a reviewed home only the service merges."""
    before, _, approval = by.parts()
    return by.commit("main", before, approval, key="jens")


def nobody_approved(by: Forger) -> str:
    """The service's key alone moves nothing."""
    before, proposal, _ = by.parts()
    return by.commit("main", before, proposal, key="service")


def approved_by_a_stranger(by: Forger) -> str:
    """Whoever runs the service cannot make up an approver."""
    before, proposal, _ = by.parts()
    approval = by.commit("main", proposal, key="eve", text=by.text())
    return by.commit("main", before, approval, key="service")


def approved_by_its_own_author(by: Forger) -> str:
    """Whoever signed the proposal is not counted."""
    before, _, _ = by.parts()
    proposal = by.commit("main", before, key="jens")
    approval = by.commit("main", proposal, key="jens", text=by.text())
    return by.commit("main", before, approval, key="service")


def approved_twice_by_one_person(by: Forger) -> str:
    """One person is one person."""
    before, _, approval = by.parts()
    again = by.commit("main", approval, key="jens", text=by.text())
    return by.commit("main", before, again, key="service")


def other_files_merged(by: Forger) -> str:
    """What was approved is not what is merged."""
    before, _, approval = by.parts()
    return by.commit(by.files(readme="Other files\n"), before, approval, key="service")


def an_approval_of_other_files(by: Forger) -> str:
    """The text names another tree."""
    before, _, _ = by.parts()
    tree = by.files(readme="Other files\n")
    proposal = by.commit(tree, before, key="mia")
    approval = by.commit(tree, proposal, key="jens", text=by.text())
    return by.commit(tree, before, approval, key="service")


def an_approval_used_again(by: Forger) -> str:
    """An older approval on the main of now."""
    proposal = by.commit("main^1^2", "main", key="mia")
    approval = by.commit("main^1^2", proposal, key="jens", text=by.text("main~2^2"))
    return by.commit("main^1^2", "main", approval, key="service")


def a_signature_for_another_purpose(by: Forger) -> str:
    """An approver's signed, empty commit that is no approval."""
    before, proposal, _ = by.parts()
    approval = by.commit("main", proposal, key="jens", text="I was here")
    return by.commit("main", before, approval, key="service")


def a_plain_commit_by_an_owner(by: Forger) -> str:
    """In a reviewed home nobody moves it alone."""
    return by.commit(by.files(readme="Mine\n"), "main", key="anna")


def trust_changed_by_approvers(by: Forger) -> str:
    """Mia approves; she owns nothing."""
    policy = by.git("show", "main:trust/policy.yaml").replace("version: 2", "version: 3")
    owners = by.git("show", "main:trust/owners") + "\n" + by.git("show", "main:trust/approvers").splitlines()[-1] + "\n"
    tree = by.files(owners=owners, policy=policy + "\n")
    proposal = by.commit(tree, "main", key="eve")
    approval = by.commit(tree, proposal, key="mia", text=by.text().replace("low/1", "trust/1"))
    return by.commit(tree, "main", approval, key="service")


def the_approved_text_with_a_line_more(by: Forger) -> str:
    """Compared byte for byte."""
    before, proposal, _ = by.parts()
    approval = by.commit("main", proposal, key="jens", text=by.text() + "\nSigned-off-by: Jens <jens@holm.example>")
    return by.commit("main", before, approval, key="service")


FORGERIES = (
    merged_by_a_stranger,
    merged_by_an_approver,
    nobody_approved,
    approved_by_a_stranger,
    approved_by_its_own_author,
    approved_twice_by_one_person,
    other_files_merged,
    an_approval_of_other_files,
    an_approval_used_again,
    a_signature_for_another_purpose,
    a_plain_commit_by_an_owner,
    trust_changed_by_approvers,
    the_approved_text_with_a_line_more,
)


def test_a_merge_made_again_by_stock_git_is_as_good(home: Reviewed, tmp_path: Path) -> None:
    """The forger's tools can write what holds; so what they write otherwise is refused for its content."""
    by = Forger(home)
    before, proposal, _ = by.parts()
    approval = by.commit("main", proposal, key="jens", text=by.text())
    by.publish(by.commit("main", before, approval, key="service"))
    assert believed(home, tmp_path / "audit") == (True, True)


@pytest.mark.parametrize("forged", FORGERIES, ids=lambda each: each.__name__)
def test_stock_git_stops_at_a_forgery(home: Reviewed, tmp_path: Path, forged: Callable[[Forger], str]) -> None:
    """And so does the device's own code."""
    by = Forger(home)
    by.publish(forged(by))
    assert believed(home, tmp_path / "audit") == (False, False)
