"""Opening secrets with a device's own key: what is let in, what is not, and what is remembered. Real age files throughout."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path

import pyrage
import pytest

from desired_state.secrets import Envelope
from reconciler.errors import Misused, Stalled
from reconciler.secrets import Keyring, Needs, Opened, Standing, device_key
from reconciler.secrets.age import recipient_of, seal
from reconciler.secrets.memory import Applied, Memory

HOUSEHOLD = "5b0c8a52-2f6e-4c51-9b1e-8d8f3a7f0c11"
OTHER = "00000000-2f6e-4c51-9b1e-8d8f3a7f0c11"
RELAY, JOHN = "relay-password", "person-john"
NEEDS = Needs((RELAY,), (JOHN,))
CANARY = "canary-5f21"
Files = dict[str, bytes]


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """A device's folder of keys."""
    folder = tmp_path / "keys"
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture
def keyring(keys: Path) -> Keyring:
    """The device's keyring."""
    return Keyring(keys, HOUSEHOLD)


@pytest.fixture
def secret(keys: Path) -> Callable[..., Files]:
    """Makes the file of a secret to this device, with a recovery key beside it, as `hearth secret set` does."""
    spare = str(pyrage.x25519.Identity.generate().to_public())

    def make(
        name: str = RELAY, version: int = 5, value: str = CANARY, *, under: str = "", household: str = HOUSEHOLD
    ) -> Files:
        envelope = Envelope(household, name, version, value)
        return {f"secrets/{under or name}.age": seal(envelope.encode(), [device_key.recipient(keys), spare])}

    return make


def refusal(keyring: Keyring, files: Files, needs: Needs = NEEDS) -> Stalled:
    """Return how a new commit with these files is refused."""
    with pytest.raises(Stalled) as refused:
        keyring.check(files, needs)
    assert CANARY not in f"{refused.value!r}{refused.value}{refused.value.remedy}"
    return refused.value


def in_effect(keyring: Keyring, files: Files, needs: Needs = NEEDS) -> None:
    """Go through what a pass does with a new commit: check it, open it, remember it."""
    keyring.check(files, needs)
    keyring.remember(keyring.open(files, needs))


def test_secrets_to_this_device_are_opened(keyring: Keyring, secret: Callable[..., Files]) -> None:
    """A service's and a person's; their values show in no repr."""
    opened = keyring.open({**secret(), **secret(JOHN, 9, "hunter-2222")}, NEEDS)
    assert {name: each.value for name, each in opened.items()} == {RELAY: CANARY.encode(), JOHN: b"hunter-2222"}
    assert opened[RELAY].version == 5
    assert not any(word in repr(opened) for word in (CANARY, "hunter", opened[RELAY].mark))


def test_a_plan_without_secrets_opens_nothing(keyring: Keyring, keys: Path) -> None:
    """Not even a key is made."""
    assert keyring.open({}, Needs()) == {}
    keyring.remember({})
    assert list(keys.iterdir()) == []


# --- a service's secret that cannot be used: nothing is applied (hostile case 38) ----------------------------------------------


def test_a_missing_service_secret_is_named_with_the_command_that_sets_it(keyring: Keyring) -> None:
    """`Stalled`, SecretsMissing."""
    refused = refusal(keyring, {})
    assert (refused.reason, refused.message) == (
        "SecretsMissing",
        "The secret relay-password is needed, and there is no secrets/relay-password.age.",
    )
    assert "hearth secret set relay-password" in refused.remedy


def test_a_secret_to_other_keys_says_which_key_is_missing(keyring: Keyring, keys: Path) -> None:
    """The device's own line for trust/recipients is in the message."""
    stranger = pyrage.x25519.Identity.generate().to_public()
    envelope = Envelope(HOUSEHOLD, RELAY, 1, CANARY).encode()
    refused = refusal(keyring, {f"secrets/{RELAY}.age": seal(envelope, [str(stranger)])})
    assert refused.reason == "SecretRefused"
    assert device_key.recipient(keys) in refused.message


def test_another_secrets_file_under_this_name_is_refused(keyring: Keyring, secret: Callable[..., Files]) -> None:
    """Swapping two files gives the relay somebody's password."""
    refused = refusal(keyring, secret("ca-password", under=RELAY))
    assert (refused.reason, refused.message) == (
        "SecretRefused",
        "secrets/relay-password.age holds another secret, ca-password.",
    )


def test_another_households_secret_is_refused(keyring: Keyring, secret: Callable[..., Files]) -> None:
    """One firm's two homes may have the same recovery key."""
    assert "another household" in refusal(keyring, secret(household=OTHER)).message


def test_a_damaged_file_is_refused(keyring: Keyring, secret: Callable[..., Files]) -> None:
    """Every byte matters: in the header, the nonce, the value and the tag."""
    ((path, content),) = secret().items()
    for place in (25, 60, len(content) - 60, len(content) - 20, len(content) - 1):
        spoilt = bytearray(content)
        spoilt[place] ^= 1
        assert refusal(keyring, {path: bytes(spoilt)}).reason == "SecretRefused"
    for size in (0, 10, 100, len(content) - 1):
        assert refusal(keyring, {path: content[:size]}).reason == "SecretRefused"


def test_a_huge_file_is_refused_before_it_is_opened(keyring: Keyring, keys: Path) -> None:
    """64 KiB is all that a secret's file may have."""
    huge = seal(b"x" * 70_000, [device_key.recipient(keys)])
    assert "64 KiB" in refusal(keyring, {f"secrets/{RELAY}.age": huge}).message


def test_a_plaintext_that_is_no_envelope_is_refused_and_not_shown(keyring: Keyring, keys: Path) -> None:
    """`age -r` by hand over a bare password."""
    bare = seal(f"{CANARY}\n".encode(), [device_key.recipient(keys)])
    assert "no envelope" in refusal(keyring, {f"secrets/{RELAY}.age": bare}).message


def test_a_passphrase_is_never_tried(keyring: Keyring) -> None:
    """A passphrase would cost a Pi a second and its memory, and there is nobody to type."""
    sealed = bytes(pyrage.passphrase.encrypt(b"x", CANARY))
    assert "X25519" in refusal(keyring, {f"secrets/{RELAY}.age": sealed}).message


def test_several_missing_secrets_are_counted(keyring: Keyring) -> None:
    """The first is named."""
    assert "(1 more)" in refusal(keyring, {}, Needs(("a", "b"))).message


# --- a person's: they have no log-in, and all else goes on -----------------------------------------------------------------------


def test_a_person_without_a_password_cannot_log_in_and_stops_nobody(
    keyring: Keyring, secret: Callable[..., Files]
) -> None:
    """Opened without a value."""
    keyring.check(secret(), NEEDS)
    opened = keyring.open(secret(), NEEDS)
    assert (opened[JOHN].value, opened[JOHN].lack) == (None, "")
    assert opened[JOHN].smb_account().startswith(b"X" * 32 + b":" + b"X" * 32 + b":[DU")
    assert Standing.of(opened) == Standing({JOHN: ""})


def test_a_persons_secret_that_cannot_be_opened_is_as_good_as_none(
    keyring: Keyring, secret: Callable[..., Files]
) -> None:
    """Another person's file under their name lets nobody in with the other's password."""
    for bad in (secret("person-mia", under=JOHN), secret(JOHN, household=OTHER), {f"secrets/{JOHN}.age": b"x"}):
        files = {**secret(), **bad}
        keyring.check(files, NEEDS)
        opened = keyring.open(files, NEEDS)[JOHN]
        assert opened.value is None
        assert opened.lack.startswith("secrets/person-john.age ")


def test_a_secret_that_a_service_needs_too_is_a_services(keyring: Keyring) -> None:
    """A relay password named like a person's stops the change all the same."""
    assert refusal(keyring, {}, Needs((JOHN,), ())).reason == "SecretsMissing"


# --- versions ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [RELAY, JOHN])
def test_an_older_secret_is_refused_in_a_new_commit(keyring: Keyring, secret: Callable[..., Files], name: str) -> None:
    """Somebody brings a password back that was replaced because it had leaked; a person's too."""
    needs = Needs((RELAY,), ()) if name == RELAY else Needs((), (JOHN,))
    in_effect(keyring, secret(name, 6), needs)
    refused = refusal(keyring, secret(name, 5), needs)
    assert refused.reason == "SecretRefused"
    assert "version 5" in refused.message
    keyring.check(secret(name, 7), needs)


def test_one_version_with_two_values_is_refused(keyring: Keyring, secret: Callable[..., Files]) -> None:
    """Encrypted anew it is the same secret; with another value it is not."""
    needs = Needs((RELAY,))
    in_effect(keyring, secret(), needs)
    keyring.check(secret(), needs)
    assert refusal(keyring, secret(value="other"), needs).reason == "SecretRefused"


def test_going_back_takes_the_old_secret_says_so_and_forgets_nothing(
    keyring: Keyring, secret: Callable[..., Files]
) -> None:
    """A roll-back goes to a commit that was in effect; the remembered version stays."""
    old, new, needs = secret(version=5), secret(version=6), Needs((RELAY,))
    in_effect(keyring, old, needs)
    in_effect(keyring, new, needs)
    opened = keyring.open(old, needs)
    assert (opened[RELAY].version, opened[RELAY].goes_back) == (5, True)
    assert Standing.of(opened).old == (RELAY,)
    keyring.remember(opened)
    assert refusal(keyring, old, needs).reason == "SecretRefused"
    assert not keyring.open(new, needs)[RELAY].goes_back


def test_versions_are_remembered_by_the_next_process(
    keyring: Keyring, keys: Path, secret: Callable[..., Files]
) -> None:
    """The memory lies on disk, readable by root alone, and holds no value."""
    needs = Needs((RELAY,))
    in_effect(keyring, secret(version=6), needs)
    assert refusal(Keyring(keys, HOUSEHOLD), secret(version=5), needs).reason == "SecretRefused"
    for file in keys.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert CANARY not in file.read_text()
    Keyring(keys, OTHER).check(secret(version=5, household=OTHER), needs)


def test_equal_values_of_two_devices_have_different_marks() -> None:
    """Whoever reads one device's memory cannot tell whose passwords are equal, nor try a list of them."""
    one, other = Memory(HOUSEHOLD, "1" * 64), Memory(HOUSEHOLD, "2" * 64)
    assert one.mark(b"x") == one.mark(b"x") != other.mark(b"x")


def test_a_memory_that_cannot_be_read_is_never_taken_for_an_empty_one(
    keyring: Keyring, keys: Path, secret: Callable[..., Files]
) -> None:
    """That would let every old secret in again."""
    needs = Needs((RELAY,))
    in_effect(keyring, secret(), needs)
    whole = json.loads((keys / "secrets.json").read_text())
    for spoilt in ("", "{}", json.dumps({**whole, "more": 1}), json.dumps({**whole, "key": "x"}), "[" * 100_000):
        (keys / "secrets.json").write_text(spoilt)
        with pytest.raises(Misused, match="Move it away") as refused:
            keyring.open(secret(), needs)
        assert refused.value.reason == "KeyringUnreadable"


def test_no_version_sinks_in_memory() -> None:
    """Remembering an older one, or the same, changes nothing."""
    memory = Memory(HOUSEHOLD, "0" * 64, {"a": Applied(5, "1" * 64)})
    for same in ({"a": Applied(4, "2" * 64)}, {"a": Applied(5, "2" * 64)}, {}):
        assert memory.after(same) is memory
    assert memory.after({"a": Applied(6, "2" * 64)}).applied["a"].version == 6


# --- the device's own key ---------------------------------------------------------------------------------------------------


def test_the_key_is_made_once_and_is_roots_alone(keys: Path) -> None:
    """0600; the second look gives the same recipient."""
    first = device_key.recipient(keys)
    assert first == device_key.recipient(keys)
    assert [path.name for path in keys.iterdir()] == ["age"]
    assert stat.S_IMODE((keys / "age").stat().st_mode) == 0o600


def test_of_two_keys_made_at_once_one_wins(keys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was shown to a person as the device's recipient must be the one that stays."""
    others = Path(keys / "age")
    identity = str(pyrage.x25519.Identity.generate())

    def slow() -> str:
        others.write_text(f"{identity}\n")
        return str(pyrage.x25519.Identity.generate())

    monkeypatch.setattr("reconciler.secrets.age.new_identity", slow)
    assert device_key.recipient(keys) == recipient_of(identity)
    assert [path.name for path in keys.iterdir()] == ["age"]


def test_a_key_that_is_none_is_said_and_not_repeated(keys: Path) -> None:
    """A file with two keys, or with half of one."""
    for content in ("", "AGE-SECRET-KEY-1CANARY\n", f"{pyrage.x25519.Identity.generate()}\n" * 2, "\xff"):
        (keys / "age").write_text(content)
        with pytest.raises(Misused) as refused:
            device_key.recipient(keys)
        assert refused.value.reason == "IdentityUnreadable"
        assert "SECRET-KEY-1CANARY" not in str(refused.value)


def test_an_account_as_samba_knows_it() -> None:
    """The NT hash of `password` is known to everybody (MS-NLMP, 4.2.2.1.2)."""
    opened = Opened(JOHN, 1, b"Password")
    nt = b"A4F49C406510BDCAB6824EE7C30FD852"
    assert opened.smb_account() == b"X" * 32 + b":" + nt + b":[U          ]:LCT-00000001"
