"""`hearth head`: a self-hoster states which change is the newest, and stock git and ssh-keygen understand it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.reconciler.cli.conftest import Git, Hearth

REFERENCE = "refs/hearth/head"


@pytest.fixture
def key(family: Path, person: dict[str, str], git: Git) -> Path:
    """A head key, which the family's home knows from its beginning."""
    file = family.parent / "clock"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", file], check=True)
    public = " ".join(file.with_suffix(".pub").read_text().split()[:2])
    (family / "trust/heads").write_text(f'clock namespaces="hearth-head" {public}\n')
    git("checkout", "--quiet", "--orphan", "anew")
    git("commit", "--quiet", "--all", "--message", "Begin with a head key")
    git("branch", "--force", "main")
    git("checkout", "--quiet", "main")
    return file


def test_what_is_signed_is_checked_and_tells_main(hearth: Hearth, family: Path, key: Path, git: Git):
    """The policy's seven days, unless it is told less."""
    signed = hearth("head", "sign", "--key", key, "--json")
    assert signed.code == 0, signed.err
    assert signed.json["head"] == git("rev-parse", "main")
    checked = hearth("head", "check", "--json")
    assert (checked.code, checked.json["standing"]) == (0, "tip")
    assert hearth("head", "sign", family, "--key", key, "--valid", "2h").code == 0
    assert "names main" in hearth("head", "check", family).out


def test_stock_tools_verify_it_by_the_homes_own_file(hearth: Hearth, family: Path, key: Path, git: Git):
    """The very commands of docs/audit.md are run elsewhere; here, that nothing of ours is needed."""
    hearth("head", "sign", "--key", key)
    text, begin, rest = git("cat-file", "blob", REFERENCE).partition("-----BEGIN SSH SIGNATURE-----")
    (family.parent / "signature").write_text(begin + rest + "\n")
    words = ["ssh-keygen", "-Y", "verify", "-f", family / "trust/heads", "-I", "clock", "-n", "hearth-head"]
    done = subprocess.run(
        [*words, "-s", family.parent / "signature"], input=text.encode(), capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_it_is_pushed_where_devices_look(hearth: Hearth, family: Path, key: Path, git: Git, tmp_path: Path):
    """A second one takes the place of the first; no clone of main brings it along."""
    git("init", "--quiet", "--bare", tmp_path / "host.git")
    git("remote", "add", "origin", tmp_path / "host.git")
    for _ in range(2):
        assert hearth("head", "sign", "--key", key, "--push", "--json").json["pushed"]
        assert git("ls-remote", "origin", REFERENCE).split()[0] == git("rev-parse", REFERENCE)
    git("push", "--quiet", "origin", "main")
    git("clone", "--quiet", "--single-branch", "--branch", "main", tmp_path / "host.git", tmp_path / "clone")
    assert hearth("head", "check", tmp_path / "clone").code == 2


def test_a_key_that_devices_would_not_believe_is_refused_with_the_line_to_add(hearth: Hearth, family: Path, key: Path):
    """The owner's own, here: it approves changes, and states nothing."""
    done = hearth("head", "sign")
    assert done.code == 1
    assert 'NAME namespaces="hearth-head" ssh-ed25519 AAAA' in done.err


def test_no_longer_than_the_policy_and_only_a_time(hearth: Hearth, family: Path, key: Path, git: Git):
    """Nothing is stored then."""
    assert hearth("head", "sign", "--key", key, "--valid", "8d").code == 1
    for nonsense in ("7", "-1d", "week", "0h", "1000000d"):
        assert hearth("head", "sign", "--key", key, "--valid", nonsense).code == 2
    assert git("for-each-ref", REFERENCE) == ""


def test_a_statement_that_main_has_left_behind_is_told(hearth: Hearth, family: Path, key: Path, git: Git):
    """Exit code 1: a device that knows main passes over it."""
    hearth("head", "sign", "--key", key)
    git("commit", "--quiet", "--allow-empty", "--message", "Forward")
    checked = hearth("head", "check", "--json")
    assert (checked.code, checked.json["standing"]) == (1, "earlier")
    git("checkout", "--quiet", "-B", "main", "HEAD~1")
    assert hearth("head", "check").code == 0


@pytest.mark.parametrize("content", ["nonsense", "x" * 5000])
def test_what_is_no_statement_is_a_sentence(hearth: Hearth, family: Path, key: Path, git: Git, content: str):
    """Also where a commit stands there, or nothing."""
    assert "git fetch origin" in hearth("head", "check").err
    (family.parent / "content").write_text(content)
    git("update-ref", REFERENCE, git("hash-object", "-w", family.parent / "content"))
    assert hearth("head", "check").code == 1
    git("update-ref", REFERENCE, "HEAD")
    assert hearth("head", "check").code == 1
