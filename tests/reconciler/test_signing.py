"""Signing as the person's own git does it: the same key, the same bytes, the same commit id."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from desired_state.history import Repository
from desired_state.sshsig import Signature
from reconciler.errors import Misused, Transient
from reconciler.signing import SigningKey, configured_person, make_commit, new_key, read_public_key

FILES = {"household.yaml": b"id: x\n"}


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """A working folder whose owner has set up git to sign with a new SSH key."""
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    public = new_key(tmp_path / "keys" / "id", "anna")
    assert (tmp_path / "keys" / "id.pub").read_text() == f"{public.line} anna\n"
    repository = Repository.create(tmp_path / "home")
    settings = {
        "gpg.format": "ssh",
        "user.signingkey": f"{tmp_path}/keys/id",
        "user.name": "Anna Holm",
        "user.email": "a@b",
    }
    for name, value in settings.items():
        git(tmp_path / "home", "config", name, value)
    return repository


def git(folder: Path, *arguments: str | Path, **env: str) -> str:
    """Run stock git."""
    env = {"PATH": os.environ["PATH"], "HOME": str(folder), "GIT_CONFIG_NOSYSTEM": "1", **env}
    return subprocess.run(
        ["git", "-C", folder, *arguments], env=env, capture_output=True, text=True, check=True
    ).stdout.strip()


def commit(repository: Repository, key: SigningKey | None = None) -> str:
    """Make a signed commit."""
    person = configured_person(repository, seconds=1_750_000_000, zone="+0200")
    tree = repository.write_tree(FILES)
    return make_commit(
        repository, tree, (), message="Begin", person=person, key=key or SigningKey.configured(repository)
    )


def test_a_commit_has_the_id_that_stock_git_gives_it(repository: Repository) -> None:
    """Ed25519 signs the same bytes alike, so one different byte anywhere would show."""
    made = commit(repository)
    assert repository.working_folder is not None
    dates = {"GIT_AUTHOR_DATE": "1750000000 +0200", "GIT_COMMITTER_DATE": "1750000000 +0200"}
    stock = git(repository.working_folder, "commit-tree", "-S", "-m", "Begin", repository.write_tree(FILES), **dates)
    assert made == stock


def test_stock_git_verifies_it(repository: Repository, tmp_path: Path) -> None:
    """The auditor's side."""
    key = SigningKey.configured(repository)
    (tmp_path / "allowed").write_text(f'anna namespaces="git" {read_public_key(key).line}\n')
    assert repository.working_folder is not None
    options = ("-c", f"gpg.ssh.allowedSignersFile={tmp_path}/allowed")
    git(repository.working_folder, *options, "verify-commit", commit(repository))


def test_a_key_that_the_agent_holds_signs_by_its_public_line(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `user.signingkey = key::ssh-ed25519 ...` does; the private key need not be a file."""
    file = tmp_path / "keys" / "id"
    line = read_public_key(SigningKey(file)).line
    socket = tmp_path / "agent"
    with subprocess.Popen(["ssh-agent", "-D", "-a", socket], stdout=subprocess.PIPE) as agent:
        assert agent.stdout is not None
        agent.stdout.readline()  # it listens
        monkeypatch.setenv("SSH_AUTH_SOCK", str(socket))
        subprocess.run(["ssh-add", "-q", file], check=True)
        file.unlink()
        assert repository.working_folder is not None
        git(repository.working_folder, "config", "user.signingkey", f"key::{line}")
        key = SigningKey.configured(repository)
        assert read_public_key(key).line == line
        assert repository.read(commit(repository, key), "commit", 10_000)
        agent.terminate()


def test_git_s_own_command_names_the_key_where_no_setting_does(repository: Repository, tmp_path: Path) -> None:
    """gpg.ssh.defaultKeyCommand, as git asks it; what it prints is a literal key, which the agent must hold."""
    assert repository.working_folder is not None
    line = read_public_key(SigningKey.configured(repository)).line
    git(repository.working_folder, "config", "--unset", "user.signingkey")
    with pytest.raises(Misused, match="does not know"):
        SigningKey.configured(repository)
    (tmp_path / "command").write_text(f"#!/bin/sh\necho 'key::{line}'\n")
    (tmp_path / "command").chmod(0o755)
    git(repository.working_folder, "config", "gpg.ssh.defaultKeyCommand", f"{tmp_path}/command -L")
    assert SigningKey.configured(repository).line == line
    git(repository.working_folder, "config", "gpg.ssh.defaultKeyCommand", "false")
    with pytest.raises(Misused, match="does not know"):
        SigningKey.configured(repository)


def test_a_program_that_signs_for_git_signs_here(repository: Repository, tmp_path: Path) -> None:
    """gpg.ssh.program gets the arguments that git gives it, and its failure is told in its words."""
    assert repository.working_folder is not None
    program = tmp_path / "signer"
    program.write_text('#!/bin/sh\n[ "$1$2$3$4$5" = "-Ysign-ngit-f" ] && exec ssh-keygen "$@"\n')
    program.chmod(0o755)
    git(repository.working_folder, "config", "gpg.ssh.program", program)
    assert commit(repository)
    program.write_text("#!/bin/sh\necho 'The vault is locked' >&2\nexit 1\n")
    with pytest.raises(Misused, match="The vault is locked"):
        commit(repository)
    program.unlink()
    with pytest.raises(Transient, match="is not installed"):
        commit(repository)


def test_a_relative_key_is_found_from_the_working_folder(repository: Repository) -> None:
    """As git finds it."""
    assert repository.working_folder is not None
    git(repository.working_folder, "config", "user.signingkey", "../keys/id.pub")
    assert commit(repository)


def test_a_new_key_is_readable_by_its_owner_alone_and_never_overwritten(tmp_path: Path) -> None:
    """A second `hearth init` must not destroy the key of the first."""
    new_key(tmp_path / "id", "anna")
    assert (tmp_path / "id").stat().st_mode & 0o777 == 0o600
    before = (tmp_path / "id").read_bytes()
    with pytest.raises(Misused, match="id cannot be written"):
        new_key(tmp_path / "id", "anna")
    assert (tmp_path / "id").read_bytes() == before
    signature = Signature.read(SigningKey(tmp_path / "id").sign(b"x"))
    assert signature.key == read_public_key(SigningKey(tmp_path / "id.pub"))


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("gpg.format", "openpgp", "NoSigningKey"),
        ("user.signingkey", "", "NoSigningKey"),
        ("user.signingkey", "/nowhere/id", "NotSigned"),
        ("user.name", "", "NoName"),
    ],
)
def test_what_is_missing_is_named_with_the_command_that_mends_it(
    repository: Repository, name: str, value: str, reason: str
) -> None:
    """A first evening's mistakes."""
    assert repository.working_folder is not None
    git(repository.working_folder, "config", name, value)
    with pytest.raises(Misused) as misused:
        commit(repository)
    assert misused.value.reason == reason
    assert misused.value.remedy


def test_a_key_of_another_type_is_refused_before_anything_is_written(repository: Repository, tmp_path: Path) -> None:
    """No commit is made that the home would then refuse."""
    subprocess.run(["ssh-keygen", "-q", "-t", "rsa", "-N", "", "-f", tmp_path / "rsa"], check=True)
    with pytest.raises(Misused, match="not accepted"):
        commit(repository, SigningKey(tmp_path / "rsa"))
    with pytest.raises(Misused, match="no public SSH key"):
        read_public_key(SigningKey(tmp_path / "none"))
