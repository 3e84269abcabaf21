"""`hearth secret` in a family's own clone: values from standard input or a terminal, never from the command line, never shown."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pyrage
import pytest

from desired_state.secrets import count_recipients, file_words, read_envelope
from tests.bench import Bench
from tests.reconciler.cli.conftest import HEARTH, Git, Hearth, Said
from tests.reconciler.relay import Relay

CANARY = "canary-5f21-canary"
MAIL = """\
mail:
  hostname: hearth.holm.example
  relay: {host: smtp.mail.example, port: 587, username: anna@holm.example, password: "secret:relay-password", sender: anna@holm.example}
"""
Set = Callable[..., Said]
PI, OWNERS = pyrage.x25519.Identity.generate(), pyrage.x25519.Identity.generate()


@pytest.fixture(autouse=True)
def _clone(family: Path, git: Git) -> None:
    """The family's clone names two keys: the Pi's and the owners'."""
    write_recipients(git, PI, OWNERS)


def write_recipients(git: Git, *keys: pyrage.x25519.Identity) -> None:
    """Commit these keys to trust/recipients."""
    Path("trust/recipients").write_text("# the Pi, and the owners\n" + "".join(f"{key.to_public()}\n" for key in keys))
    git("commit", "--quiet", "--all", "--message", "Recipients")


@pytest.fixture
def put(hearth: Hearth, monkeypatch: pytest.MonkeyPatch) -> Set:
    """Sets a secret with a value on standard input."""

    def call(name: str, value: str | bytes = CANARY, *words: str) -> Said:
        raw = value if isinstance(value, bytes) else f"{value}\n".encode()
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(raw)))
        said = hearth("secret", "set", name, *words)
        assert CANARY not in said.out + said.err
        return said

    return call


def opened(name: str, key: pyrage.x25519.Identity = PI):
    """Return the envelope in a secret's file."""
    return read_envelope(pyrage.decrypt(Path(f"secrets/{name}.age").read_bytes(), [key]))


def test_a_secret_is_encrypted_to_every_key_of_the_home(put: Set) -> None:
    """The value as it was typed, in the household's own envelope; both keys open it."""
    assert put("relay-password").code == 0
    assert count_recipients(Path("secrets/relay-password.age").read_bytes()) == 2
    assert opened("relay-password") == opened("relay-password", OWNERS)
    assert (opened("relay-password").value, opened("relay-password").name) == (CANARY, "relay-password")


def test_the_sentence_shows_the_six_words_of_the_file(put: Set) -> None:
    """For whoever approves, to compare with whoever set it."""
    said = put("person-mia")
    assert (
        f"Mia Holm's password is set anew (its words: {file_words(Path('secrets/person-mia.age').read_bytes())})"
        in said.out
    )
    assert "low risk" in said.out
    assert "high risk" in put("relay-password").out


def test_committed_it_is_signed_with_the_sentence(put: Set, git: Git) -> None:
    """Nothing but the file is in the commit, and the value is nowhere in the repository."""
    said = put("person-mia", CANARY, "--commit")
    assert said.code == 0
    assert git("show", "--name-only", "--format=%s").startswith("Mia Holm's password is set anew")
    assert git("show", "--name-only", "--format=") == "secrets/person-mia.age"
    git("-c", "gpg.ssh.allowedSignersFile=trust/owners", "verify-commit", "HEAD")
    for path in Path().rglob("*"):
        assert not path.is_file() or CANARY.encode() not in path.read_bytes()


def test_a_dry_run_writes_nothing(put: Set, git: Git) -> None:
    """Not even the file."""
    assert put("relay-password", CANARY, "--dry-run").code == 0
    assert git("status", "--porcelain") == ""


def test_each_version_is_higher_than_the_last_without_opening_it(put: Set, git: Git) -> None:
    """Also above what a device named."""
    put("relay-password", "one-one-one", "--commit")
    first = opened("relay-password").version
    assert abs(first / 1_000 - time.time()) < 60
    put("relay-password", "two-two-two", "--commit")
    assert opened("relay-password").version > first
    put("relay-password", "three-three", "--after", "4070908800000")
    assert opened("relay-password").version == 4_070_908_800_001


def test_after_a_commit_from_the_future_a_secret_is_newer_still(put: Set, git: Git, person: dict[str, str]) -> None:
    """A clock that was wrong when the last one was set must not make the next one old."""
    person = {**person, "GIT_COMMITTER_DATE": "4000000000 +0000"}
    subprocess.run(["git", "commit", "--quiet", "--allow-empty", "-m", "Later"], env=person, check=True)
    put("relay-password")
    assert opened("relay-password").version == 4_000_000_001_000


@pytest.mark.parametrize(("value", "words"), [
    ("", "empty"), (b"\n", "empty"), ("two\nlines-of-it", "more than one line"), ("a\0bcdefgh", "more than one line"), (" spaces", "space"),
    (b"\xff\xfe-------", "UTF-8"), ("x" * 1_025, "1024 bytes"), ("x" * 100_000, "1024 bytes"),
])  # fmt: skip
def test_what_is_no_value_is_said_and_not_repeated(put: Set, value: str | bytes, words: str) -> None:
    """One sentence, exit 2, and no file."""
    said = put("relay-password", value)
    assert (said.code, words in said.err, Path("secrets").exists()) == (2, True, False)


def test_line_ends_of_any_system_are_no_part_of_a_value(put: Set) -> None:
    """`echo`, a file from Windows, and `printf` without an end."""
    for raw in (b"pass-word-1\n", b"pass-word-1\r\n", b"pass-word-1"):
        put("relay-password", raw)
        assert opened("relay-password").value == "pass-word-1"


def test_letters_are_the_same_whichever_keyboard_made_them(put: Set) -> None:
    """A Mac's decomposed letters and a PC's composed ones are one password."""
    put("person-mia", "Gru\u0308n-gruen")
    assert opened("person-mia").value == "Gr\u00fcn-gruen"


def test_a_short_password_is_refused_and_says_what_is_wrong(put: Set) -> None:
    """For people; a service's secret is what its provider made it."""
    said = put("person-mia", "short-7")
    assert (said.code, "at least 8" in said.err) == (2, True)
    assert put("relay-password", "short-7").code == 0


def test_nobody_gets_a_password_who_is_not_there(put: Set) -> None:
    """With the id that was meant."""
    said = put("person-mai")
    assert (said.code, 'did you mean "mia"' in said.err) == (2, True)
    for name in ("Relay", "../x", "", "a" * 64, "person-", "-a"):
        assert put(name).code == 2
    assert not Path("secrets").exists()


def test_without_a_key_to_encrypt_to_nothing_is_written(put: Set, git: Git) -> None:
    """And the remedy is where the Pi shows its own."""
    write_recipients(git)
    said = put("relay-password")
    assert (said.code, "hearth secret recipient" in said.err) == (2, True)
    assert not Path("secrets").exists()


def test_keys_that_are_not_committed_do_not_count(put: Set) -> None:
    """What lies in the working folder was signed by nobody."""
    Path("trust/recipients").write_text(f"{pyrage.x25519.Identity.generate().to_public()}\n")
    put("relay-password")
    assert count_recipients(Path("secrets/relay-password.age").read_bytes()) == 2


def test_at_a_terminal_the_value_is_asked_for_twice_and_not_shown(person: dict[str, str]) -> None:
    """A real terminal, a real process: nothing of what is typed comes back, and nothing is in its arguments."""
    ours, theirs = pty.openpty()
    argv = [HEARTH, "secret", "set", "person-mia"]
    running = subprocess.Popen(argv, stdin=theirs, stdout=theirs, stderr=theirs, env=person, start_new_session=True)
    os.close(theirs)
    shown = b""
    for prompt in (b"Value of person-mia", b"The same again"):
        while prompt not in shown:
            shown += os.read(ours, 1_000)
        os.write(ours, f"{CANARY}\n".encode())
    while True:
        try:
            shown += os.read(ours, 1_000)
        except OSError:  # the other side closed
            break
    assert running.wait(30) == 0, shown
    assert CANARY.encode() not in shown
    assert opened("person-mia").value == CANARY


# --- looking ----------------------------------------------------------------------------------------------------------------


def test_the_list_names_who_needs_what_and_what_is_missing(put: Set, hearth: Hearth, git: Git) -> None:
    """Six words for what is there; a version only where it can be opened."""
    Path("services").mkdir(exist_ok=True)
    Path("services/mail.yaml").write_text(MAIL)
    git("add", "services")
    put("old-thing", CANARY, "--commit")
    git("commit", "--quiet", "--all", "--message", "Mail")
    found = {each["name"]: each for each in hearth("secret", "list", "--json").json}
    assert found["relay-password"] | {"lack": ""} == {
        "name": "relay-password", "needed_by": "the mail relay", "there": False, "words": "", "version": None, "lack": "",
    }  # fmt: skip
    assert found["old-thing"]["needed_by"] == ""
    assert found["old-thing"]["words"] == file_words(Path("secrets/old-thing.age").read_bytes())
    assert "old-thing" in hearth("secret", "list").out


def test_the_check_fails_where_a_service_lacks_its_secret(put: Set, hearth: Hearth, git: Git) -> None:
    """And is content once it is there."""
    Path("services/mail.yaml").write_text(MAIL)
    git("add", "services")
    git("commit", "--quiet", "--message", "Mail")
    said = hearth("secret", "check", "--json")
    assert (said.code, said.json["problems"]) == (
        1,
        ["relay-password is needed and not there: `hearth secret set relay-password`."],
    )
    put("relay-password", CANARY, "--commit")
    assert hearth("secret", "check").code == 0


def test_the_check_tells_files_to_another_number_of_keys(put: Set, hearth: Hearth, git: Git) -> None:
    """After a device was added, until the secret is encrypted anew; `hearth check` advises the same."""
    put("relay-password", CANARY, "--commit")
    write_recipients(git, PI, OWNERS, pyrage.x25519.Identity.generate())
    said = hearth("secret", "check")
    assert (said.code, "2 of the 3 keys" in said.out) == (1, True)
    assert "2 of the 3 keys" in hearth("check", ".").out


def test_a_home_without_secrets_has_none(hearth: Hearth) -> None:
    """No service needs one, and nobody shares folders."""
    assert hearth("secret", "list", "--json").json == []
    assert hearth("secret", "check").code == 0


def test_a_device_says_what_its_key_opens(unjoined: Bench) -> None:
    """From its own verified copy: a version where it opens, and why not where it does not."""
    unjoined.pin()
    device = Relay(unjoined)
    device.push(version=7)
    try:
        assert device.run().exit_code == 0
    finally:
        device.stop()
    (found,) = unjoined.hearth_json("secret", "list")[1]
    assert (found["name"], found["version"], found["lack"]) == ("relay-password", 7, "")
    code, own = unjoined.hearth_json("secret", "recipient")
    assert (code, own["recipient"].startswith("age1")) == (0, True)
    (unjoined.paths.keys / "age").unlink()
    (found,) = unjoined.hearth_json("secret", "list")[1]
    assert (found["version"], "not encrypted to this device" in found["lack"]) == (None, True)
    code, said = unjoined.hearth_json("secret", "check")
    assert (code, "not encrypted to this device" in "".join(said["problems"])) == (1, True)


# --- encrypting anew --------------------------------------------------------------------------------------------------------


def test_rotating_encrypts_everything_to_the_keys_of_now(put: Set, hearth: Hearth, git: Git, tmp_path: Path) -> None:
    """With the owners' key: same values, higher versions, and the old Pi's key opens nothing of it."""
    put("relay-password", CANARY, "--commit")
    put("person-mia", "hunter-2222", "--commit")
    before = opened("relay-password")
    fresh = pyrage.x25519.Identity.generate()
    write_recipients(git, fresh, OWNERS)
    key = tmp_path / "recovery.key"
    key.write_text(f"# created: today\n{OWNERS}\n")
    said = hearth("secret", "rotate", "--identity", key, "--commit")
    assert (said.code, CANARY in said.out + said.err) == (0, False)
    after = opened("relay-password", fresh)
    assert (after.value, after.version > before.version) == (CANARY, True)
    assert opened("person-mia", fresh).value == "hunter-2222"
    with pytest.raises(pyrage.DecryptError):
        opened("relay-password", PI)
    assert git("show", "--name-only", "--format=").split() == ["secrets/person-mia.age", "secrets/relay-password.age"]


def test_without_the_owners_key_rotating_says_what_to_set_anew(put: Set, hearth: Hearth, git: Git) -> None:
    """A laptop opens nothing."""
    put("relay-password", CANARY, "--commit")
    said = hearth("secret", "rotate")
    assert (said.code, "hearth secret set relay-password" in said.out) == (1, True)
    assert git("status", "--porcelain") == ""


def test_rotating_changes_nothing_where_one_secret_does_not_open(
    put: Set, hearth: Hearth, git: Git, tmp_path: Path
) -> None:
    """All or none; a swapped file is not blessed with a new version."""
    key = tmp_path / "recovery.key"
    key.write_text(f"{OWNERS}\n")
    put("relay-password", CANARY)
    Path("secrets/person-mia.age").write_bytes(Path("secrets/relay-password.age").read_bytes())
    git("add", "secrets")
    git("commit", "--quiet", "--message", "Swapped")
    said = hearth("secret", "rotate", "--identity", key)
    assert (said.code, "person-mia" in said.err) == (1, True)
    assert git("status", "--porcelain") == ""
    assert hearth("secret", "rotate", "--identity", tmp_path / "none").code == 2
    key.write_text("no key\n")
    assert hearth("secret", "rotate", "--identity", key).code == 2
