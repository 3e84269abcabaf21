"""`hearth init`: a household with a signed beginning, on any machine and for any name, whole or not at all."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from desired_state.load import load, read_folder
from desired_state.schema import editor_schemas
from tests.reconciler.cli.conftest import HEARTH, Git, Hearth, Said

Begin = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def begin(tmp_path: Path, person: dict[str, str]) -> Begin:
    """Calls `hearth init --self-hosted` as its console script, with nothing set up: no git settings, no keys."""
    (tmp_path / "person").mkdir()

    def call(*words: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [HEARTH, "init", "--self-hosted", *words],
            env={**person, "HOME": str(tmp_path / "person")},
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    return call


def a_key(folder: Path, kind: str, *, secret: str = "") -> Path:
    """Make a key of that kind with stock ssh-keygen."""
    file = folder / f"key-{kind}"
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", secret, "-f", str(file)], check=True)
    return file


def test_with_nothing_set_up_it_makes_a_key_and_a_sound_home(tmp_path: Path, begin: Begin, hearth: Hearth) -> None:
    """No name, no key, no settings: a valid household all the same."""
    done = begin("home")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "person/.ssh/hearth_ed25519").stat().st_mode & 0o777 == 0o600
    assert "so one was made" in done.stdout
    verified = hearth("verify", tmp_path / "home")
    assert verified.code == 0
    words = re.search(r"when a Pi joins:  ([a-z ]+)\n", done.stdout)
    assert words
    assert words[1] in verified.out
    assert not load(read_folder(tmp_path / "home")).findings


def test_a_second_household_uses_the_same_key(tmp_path: Path, begin: Begin) -> None:
    """A person has one key for all their homes."""
    begin("one")
    assert "so one was made" not in begin("two").stdout
    assert (tmp_path / "one/trust/owners").read_bytes() == (tmp_path / "two/trust/owners").read_bytes()


@pytest.mark.parametrize(
    ("name", "id_"),
    [
        ("Ånna Holm", "anna"),
        ("李 小龙", "owner"),
        ("Мия", "owner"),
        ("Root", "owner"),
        ("Hearth", "owner"),
        ("O'Neill: #1", "o"),
        ("Jose\u0301", "jose"),
        ("x" * 60, "x" * 31),
    ],
)
def test_a_name_of_any_script_is_kept_and_has_an_id(tmp_path: Path, begin: Begin, name: str, id_: str) -> None:
    """People are called as they are called; the id is plain, and never one that a system user has."""
    done = begin("home", "--person", name, "--name", f"{name}'s home, {{really}}")
    assert done.returncode == 0, done.stderr
    state = load(read_folder(tmp_path / "home")).state
    assert state
    assert list(state.household.people) == [id_]


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["--subnet", "192.168.1.5/24"], "192.168.1.0/24"),
        (["--subnet", "8.8.8.0/24"], "network.subnet"),
        (["--subnet", "fd00::/64"], "not the network of a home"),
        (["--subnet", "10.0.0.0/30"], "not the network of a home"),
        (["--subnet", "x"], "not the network of a home"),
        (["--router", "10.1.1.1"], "network.router"),
        (["--address", "192.168.1.1"], "appliance.address"),
        (["--interface", "eth0, address: 192.168.1.9"], "appliance.interface"),
        (["--timezone", "Mars/Base"], "timezone"),
        (["--domain", "google.com"], "network.domain"),
        (["--name", ""], "name"),
        (["--name", "two\nlines"], "name"),
        (["--key", "nowhere"], "no public SSH key"),
    ],
)
def test_a_wrong_value_is_named_and_nothing_is_made(tmp_path: Path, begin: Begin, words: list[str], part: str) -> None:
    """One sentence with the field, and no folder."""
    done = begin("home", *words)
    assert (done.returncode, part in done.stderr, "Traceback" in done.stderr) == (2, True, False), done.stderr
    assert not (tmp_path / "home").exists()


def test_a_key_of_another_type_is_named(tmp_path: Path, begin: Begin) -> None:
    """Devices do not take RSA; that is said before anything is made."""
    done = begin("home", "--key", a_key(tmp_path, "rsa"))
    assert (done.returncode, "of the type ssh-rsa" in done.stderr) == (2, True)
    assert not (tmp_path / "home").exists()


def test_an_ecdsa_key_may_begin_a_home(tmp_path: Path, begin: Begin, hearth: Hearth) -> None:
    """As may a security key; that one needs a finger, so here a key of the same curve stands for it."""
    done = begin("home", "--key", a_key(tmp_path, "ecdsa"))
    assert done.returncode == 0, done.stderr
    assert "ecdsa-sha2-nistp256" in (tmp_path / "home/trust/owners").read_text()


def test_a_key_that_nobody_unlocks_leaves_an_empty_folder_empty(tmp_path: Path, begin: Begin) -> None:
    """The folder was there, so it stays, as it was."""
    (tmp_path / "home").mkdir()
    done = begin("home", "--key", a_key(tmp_path, "ed25519", secret="a passphrase"))
    assert done.returncode == 2
    assert list((tmp_path / "home").iterdir()) == []


def test_the_public_half_alone_is_enough_to_name_a_key(tmp_path: Path, begin: Begin) -> None:
    """As git's user.signingkey takes either half."""
    key = a_key(tmp_path, "ed25519")
    assert begin("home", "--key", f"{key}.pub").returncode == 0


def test_a_missing_public_half_gets_the_command_that_makes_it(tmp_path: Path, begin: Begin) -> None:
    """Copied keys often lack it."""
    key = a_key(tmp_path, "ed25519")
    Path(f"{key}.pub").unlink()
    assert f"ssh-keygen -y -f {key}" in begin("home", "--key", key).stderr


@pytest.mark.parametrize("place", ["full", "file", "file/below", "/proc/home"])
def test_a_place_that_is_taken_is_left_alone(tmp_path: Path, begin: Begin, place: str) -> None:
    """Nothing of what is there changes."""
    (tmp_path / "full").mkdir()
    (tmp_path / "full/mine").write_text("mine")
    (tmp_path / "file").write_text("mine")
    assert begin(place).returncode == 2
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == ["file", "mine"]


def test_editors_find_the_schema_that_each_file_names(tmp_path: Path, begin: Begin) -> None:
    """yaml-language-server takes the path relative to the file that names it."""
    begin("home")
    named = {
        path: re.match(r"# yaml-language-server: \$schema=(\S+)\n", path.read_text())
        for path in (tmp_path / "home").rglob("*.yaml")
        if path.parent.name != "trust"
    }
    assert len(named) == 4
    for path, match in named.items():
        assert match
        assert (path.parent / match[1]).read_text() == editor_schemas()[f"{path.stem}.json"]


def test_a_household_with_an_error_is_not_pushed_to_main(
    tmp_path: Path, begin: Begin, git: Git, person: dict[str, str]
) -> None:
    """The hook checks what is pushed, not what lies about; drafts pass; without hearth it steps aside."""
    begin("home")
    home, host = tmp_path / "home", tmp_path / "host.git"
    git("init", "--quiet", "--bare", "--initial-branch=main", host)
    git("-C", home, "remote", "add", "origin", host)
    (home / "notes.txt").write_text("not a household's file, and not pushed")
    git("-C", home, "push", "--quiet", "origin", "main")
    with (home / "people.yaml").open("a") as file:
        file.write("x: y\n")
    git("-C", home, "-c", "commit.gpgsign=false", "commit", "--quiet", "--all", "--message", "bad")
    push = ["git", "-C", str(home), "push", "--quiet", "origin"]
    refused = subprocess.run([*push, "main"], env=person, capture_output=True, text=True, check=False)
    assert (refused.returncode != 0, "people.yaml" in refused.stderr) == (True, True)
    git("-C", home, "push", "--quiet", "origin", "main:draft")
    git("-C", home, "push", "--quiet", "origin", ":draft")
    without = subprocess.run(
        [*push, "main"], env={**person, "PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=False
    )
    assert (without.returncode, "goes unchecked" in without.stderr) == (0, True)


def test_the_json_names_what_was_made(tmp_path: Path, begin: Begin, hearth: Hearth) -> None:
    """Scripts join a device with these words."""
    import json

    made = json.loads(begin("home", "--json").stdout)
    assert set(made) == {"folder", "household", "genesis_words", "new_key"}
    assert hearth("verify", tmp_path / "home", "--genesis", made["genesis_words"]).code == 0


def public(folder: Path, name: str, kind: str = "ed25519") -> Path:
    """Make somebody's key with stock ssh-keygen; return the file of its public half."""
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", name, "-f", str(folder / name)], check=True)
    return folder / f"{name}.pub"


def begin_reviewed(hearth: Hearth, folder: Path, *words: str | Path) -> Said:
    """Begin a home that a service merges for."""
    anna = ("--person", "Anna Holm", "--key", folder / "anna")
    return hearth("init", folder / "home", *anna, "--signer", folder / "firm.pub", *words)


@pytest.fixture
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Anna's, Jens' and the firm's keys, on a computer without any settings."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("anna", "jens", "firm"):
        public(tmp_path, name)
    return tmp_path


def test_a_home_that_a_firm_hosts_is_begun_and_owned_by_the_family(keys: Path, hearth: Hearth, git: Git) -> None:
    """The family's own key signs the beginning; the firm's can merge, and neither approve nor change trust."""
    said = begin_reviewed(hearth, keys, "--owner", f"jens={keys / 'jens.pub'}")
    assert said.code == 0, said.err
    assert "Changes of class trust need all 2 owners" in said.out
    assert hearth("verify", keys / "home").code == 0
    trust = keys / "home/trust"
    firm = (keys / "firm.pub").read_text().split()[1]
    assert [file.name for file in trust.iterdir() if firm in file.read_text()] == ["signers"]
    assert git("-C", keys / "home", "log", "--format=%GS %G?") == "anna G"
    listed = hearth("trust", "list", "--in", keys / "home", "--json").json
    assert (listed["mode"], [one["principal"] for one in listed["owners"]]) == ("reviewed", ["anna", "jens"])


def test_a_home_whose_owners_could_change_nothing_is_not_begun(keys: Path, hearth: Hearth) -> None:
    """A change of trust takes two owners where a service merges; so there are two from the beginning."""
    for words in ((), ("--owner", f"anna={keys / 'jens.pub'}")):
        said = begin_reviewed(hearth, keys, *words)
        assert (said.code, "owner" in said.err) == (2, True)
        assert not (keys / "home").exists()


@pytest.mark.parametrize("owner", ["jens", "=x", "jens=", "Jens=x", "jens=/nowhere", "service={folder}/jens.pub"])
def test_what_is_no_owner_is_one_sentence(keys: Path, hearth: Hearth, owner: str) -> None:
    """Nor may the service approve what it merges."""
    said = begin_reviewed(hearth, keys, "--owner", owner.format(folder=keys))
    assert said.code == 2, said.err
    assert not (keys / "home").exists()


def test_the_services_key_is_of_the_one_kind_that_may_merge(keys: Path, hearth: Hearth) -> None:
    """Ed25519, which has one signature for one text (rule 7)."""
    (keys / "firm").unlink()
    public(keys, "firm", "ecdsa")
    said = begin_reviewed(hearth, keys, "--owner", f"jens={keys / 'jens.pub'}")
    assert (said.code, "ed25519" in said.err) == (2, True)


def test_who_merges_must_be_said_once(keys: Path, hearth: Hearth) -> None:
    """Neither way is the usual one."""
    assert hearth("init", keys / "home").code == 2
    assert begin_reviewed(hearth, keys, "--self-hosted").code == 2
    assert hearth("init", keys / "home", "--self-hosted", "--owner", f"jens={keys / 'jens.pub'}").code == 2
    assert not (keys / "home").exists()
