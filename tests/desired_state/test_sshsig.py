"""SSH signatures: the same bytes as ssh-keygen, and never looser."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st

from desired_state import sshsig
from desired_state.sshsig import Flags, Malformed, Page, Signature, Touch, Wrong
from desired_state.sshsig.armour import wrap
from desired_state.sshsig.curves import ORDER as P256_ORDER
from desired_state.sshsig.signature import signed_bytes
from tests.desired_state.trust import authenticator
from tests.desired_state.trust.authenticator import (
    ECDSA_TYPE,
    FIDO_ECDSA,
    FIDO_ED25519,
    IN_A_BROWSER,
    ORIGIN,
    EcdsaKey,
    FidoKey,
    Passkey,
    armour_of,
    beginning,
    mpint,
    strings,
)

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(32))
MESSAGE = b"tree 1\nparent 2\n"
GOOD = sshsig.sign(MESSAGE, "git", KEY)
ORDER = 2**252 + 27742317777372353535851937790883648493  # of Ed25519's group, RFC 8032


def armoured(*, version: int = 1, magic: bytes = b"SSHSIG", tail: bytes = b"", **fields: bytes) -> bytes:
    """Return the good signature with some of its fields replaced."""
    good = Signature.read(GOOD)
    parts = {"key": good.key.blob, "namespace": b"git", "reserved": b"", "hash": b"sha512", "blob": good.blob} | fields
    return wrap(magic + version.to_bytes(4, "big") + strings(*parts.values()) + tail)


def keygen(*arguments: object, message: bytes) -> subprocess.CompletedProcess[bytes]:
    """Run the real ssh-keygen."""
    return subprocess.run(["ssh-keygen", *map(str, arguments)], input=message, capture_output=True, check=False)


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    """Our key as OpenSSH keeps it."""
    file = tmp_path / "key"
    file.write_bytes(KEY.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    file.chmod(0o600)
    return file


@pytest.mark.parametrize("message", [b"", b"x", b"\0" * 5000, MESSAGE])
def test_we_sign_the_same_bytes_as_ssh_keygen(key_file: Path, message: bytes) -> None:
    """Ed25519 is deterministic, so the two must agree to the last byte."""
    stock = keygen("-q", "-Y", "sign", "-n", "git", "-f", key_file, message=message).stdout
    assert sshsig.sign(message, "git", KEY) == stock
    Signature.read(stock).check(message)


def test_ssh_keygen_accepts_what_we_sign(tmp_path: Path) -> None:
    """The auditor has only stock tools."""
    (tmp_path / "sig").write_bytes(GOOD)
    (tmp_path / "allowed").write_text(f'anna namespaces="git" {sshsig.public_key(KEY).line}\n')
    asked = ("-Y", "verify", "-n", "git", "-I", "anna", "-f", tmp_path / "allowed", "-s", tmp_path / "sig")
    assert keygen(*asked, message=MESSAGE).returncode == 0
    assert keygen(*asked, message=MESSAGE + b"x").returncode != 0


def test_sha256_signatures_are_read_too(tmp_path: Path, key_file: Path) -> None:
    """PROTOCOL.sshsig names both hashes."""
    stock = keygen("-q", "-Y", "sign", "-O", "hashalg=sha256", "-n", "git", "-f", key_file, message=MESSAGE).stdout
    signature = Signature.read(stock)
    assert signature.hash == b"sha256"
    signature.check(MESSAGE)


def test_fingerprint_and_line_are_those_of_ssh_keygen(key_file: Path) -> None:
    """People compare them with what their own tools print."""
    public = sshsig.public_key(KEY)
    assert public.fingerprint in keygen("-l", "-f", key_file, message=b"").stdout.decode()
    assert keygen("-y", "-f", key_file, message=b"").stdout.decode().startswith(public.line)
    assert sshsig.read_public_line(public.line + " anna@laptop\n") == public


@pytest.mark.parametrize(
    "line", ["", "ssh-ed25519", "ssh-ed25519 !!!", "ssh-rsa " + sshsig.public_key(KEY).line.split()[1]]
)
def test_what_is_no_public_key_is_said_so(line: str) -> None:
    """A private key, an empty file, a wrong type."""
    with pytest.raises(Malformed):
        sshsig.read_public_line(line)


def test_another_message_key_or_namespace_does_not_match() -> None:
    """All three are inside what was signed."""
    for armour, message in (
        (GOOD, MESSAGE + b"\n"),
        (armoured(namespace=b"file"), MESSAGE),
        (armoured(hash=b"sha256"), MESSAGE),
        (armoured(key=sshsig.public_key(OTHER).blob), MESSAGE),
    ):
        with pytest.raises(Wrong):
            Signature.read(armour).check(message)


@pytest.mark.parametrize(
    "armour",
    [
        armoured(version=0),
        armoured(version=2),
        armoured(magic=b"SSHSIX"),
        armoured(reserved=b"x"),
        armoured(namespace=b""),
        armoured(hash=b"sha1"),
        armoured(hash=b"SHA512"),
        armoured(tail=b"\0"),
        armoured(key=b""),
        armoured(key=strings(b"ssh-ed25519", b"x" * 31)),
        armoured(key=strings(b"ssh-ed25519", b"x" * 32, b"")),
        armoured(key=strings(b"ssh-ed25519-cert-v01@openssh.com", b"x" * 32)),
        armoured(key=strings(b"ssh-rsa", b"\3", b"x" * 256)),
        armoured(key=strings(b"ecdsa-sha2-nistp256", b"nistp384", b"\4" + bytes(64))),
        armoured(key=strings(b"ecdsa-sha2-nistp256", b"nistp256", b"\2" + bytes(32))),
        armoured(key=strings(b"ecdsa-sha2-nistp256", b"nistp256", b"\4" + bytes(64))),
        armoured(key=strings(b"sk-ssh-ed25519@openssh.com", b"x" * 32, b"")),
        armoured(key=strings(b"sk-ssh-ed25519@openssh.com", b"x" * 32, b"ssh:\n")),
        b"",
        GOOD[:-1],
        GOOD + b"\n",
        b"\n" + GOOD,
        GOOD.replace(b"\n", b"\r\n"),
        GOOD.replace(b"\n", b""),
        sshsig.BEGIN + sshsig.END,
        wrap(b"SSHSIG\0\0\0\1\xff\xff\xff\xff"),
        wrap(bytes(20_000)),
    ],
)
def test_every_other_form_is_refused_on_reading(armour: bytes) -> None:
    """Version, reserved field, hash, key shapes, lengths, armour: one form each."""
    with pytest.raises(Malformed):
        Signature.read(armour)


@pytest.mark.parametrize(
    "blob",
    [
        b"",
        strings(b"ssh-ed25519", b"x" * 63),
        strings(b"ssh-rsa", b"x" * 64),
        strings(b"ssh-ed25519", b"x" * 64) + b"x",
    ],
)
def test_another_signature_inside_is_refused_on_checking(blob: bytes) -> None:
    """The inner blob says its type once more, and has exactly 64 bytes."""
    with pytest.raises(Malformed):
        Signature.read(armoured(blob=blob)).check(MESSAGE)


def test_a_malleated_signature_does_not_match() -> None:
    """S plus the group's order is the same number to a careless checker: a second id for one commit."""
    raw = Signature.read(GOOD).blob[-64:]
    larger = (int.from_bytes(raw[32:], "little") + ORDER).to_bytes(32, "little")
    with pytest.raises(Wrong):
        Signature.read(armoured(blob=strings(b"ssh-ed25519", raw[:32] + larger))).check(MESSAGE)


# --- ECDSA and FIDO


EC, FIDO, FIDO_EC, PASSKEY = EcdsaKey("ec"), FidoKey("fido"), FidoKey("fido-ec", FIDO_ECDSA), Passkey("passkey")
SIGNED = signed_bytes(b"git", b"sha512", MESSAGE)
R, S = EC.curve.numbers(SIGNED)


def test_what_ssh_keygen_signs_with_an_ecdsa_key_is_accepted(tmp_path: Path) -> None:
    """Numbers of every length: their first byte is zero, or high, now and then."""
    keygen("-q", "-t", "ecdsa", "-b", "256", "-N", "", "-f", tmp_path / "ec", message=b"")
    for number in range(12):
        message = b"%d" % number
        stock = keygen("-q", "-Y", "sign", "-n", "git", "-f", tmp_path / "ec", message=message).stdout
        assert Signature.read(stock).check(message) is None
        with pytest.raises(Wrong):
            Signature.read(stock).check(message + b"x")


@pytest.mark.parametrize("key", [EC, FIDO, FIDO_EC, PASSKEY], ids=lambda key: key.name)
def test_ssh_keygen_and_we_agree_about_every_kind_of_key(tmp_path: Path, key: EcdsaKey | FidoKey) -> None:
    """The keys in software are as good as real ones, or what they show below would be nothing."""
    (tmp_path / "sig").write_bytes(key.sign(MESSAGE))
    (tmp_path / "allowed").write_text(f'anna namespaces="git" {key.public.line}\n')
    asked = ("-Y", "verify", "-n", "git", "-I", "anna", "-f", tmp_path / "allowed", "-s", tmp_path / "sig")
    assert keygen(*asked, message=MESSAGE).returncode == 0
    assert keygen(*asked, message=MESSAGE + b"x").returncode != 0
    Signature.read(key.sign(MESSAGE)).check(MESSAGE)
    with pytest.raises(Wrong):
        Signature.read(key.sign(MESSAGE)).check(MESSAGE + b"x")


def test_a_touch_comes_with_the_signatures_of_fido_keys_alone() -> None:
    """Flags and, from a browser, the page: what the home's policy will judge."""
    assert Signature.read(EC.sign(MESSAGE)).check(MESSAGE) is None
    for key in (FIDO, FIDO_EC):
        assert Signature.read(key.sign(MESSAGE, flags=0x05)).check(MESSAGE) == Touch(Flags.PRESENT | Flags.VERIFIED)
    touch = Signature.read(PASSKEY.sign(MESSAGE, tail=b"}")).check(MESSAGE)
    assert touch == Touch(Flags.PRESENT | Flags.VERIFIED, Page(ORIGIN, beginning(SIGNED, ORIGIN) + b"}"))


def test_what_a_fido_key_says_of_the_touch_is_signed_too() -> None:
    """Nobody can put a touch in afterwards, or set the counter, the origin or the end of the client data."""
    touched, untouched = (Signature.read(FIDO.sign(MESSAGE, flags=flags)).blob for flags in (1, 0))
    for blob in (untouched[:-5] + b"\1" + untouched[-4:], touched[:-1] + b"\x09"):
        with pytest.raises(Wrong):
            Signature.read(armour_of(FIDO.public, blob)).check(MESSAGE)
    page = Signature.read(PASSKEY.sign(MESSAGE, tail=b',"crossOrigin":true}')).blob
    with pytest.raises(Wrong):
        Signature.read(armour_of(PASSKEY.public, page.replace(b":true}", b":null}"))).check(MESSAGE)


def test_the_application_is_inside_what_a_fido_key_signs() -> None:
    """One authenticator's key for another relying party is another key, even with the same point."""
    elsewhere = Passkey("passkey", application="evil.example")
    blob = Signature.read(PASSKEY.sign(MESSAGE)).blob
    with pytest.raises(Wrong):
        Signature.read(armour_of(elsewhere.public, blob)).check(MESSAGE)


def _numbers(*numbers: bytes) -> bytes:
    return strings(ECDSA_TYPE, strings(*numbers))


@pytest.mark.parametrize(
    "blob",
    [
        b"",
        _numbers(),
        _numbers(mpint(R)),
        _numbers(mpint(R), mpint(S), mpint(S)),
        _numbers(mpint(R), mpint(S)) + b"\0",
        _numbers(b"\0" + mpint(R), mpint(S)),
        _numbers(mpint(R), bytes(8) + mpint(S)),
        _numbers(b"", mpint(S)),
        _numbers(mpint(R), b"\0"),
        _numbers(b"\x80" + bytes(31), mpint(S)),
        _numbers(mpint(R + P256_ORDER), mpint(S)),
        _numbers(mpint(R), mpint(S + P256_ORDER)),
        _numbers(mpint(R), mpint(P256_ORDER)),
        strings(b"ecdsa-sha2-nistp384", strings(mpint(R), mpint(S))),
        strings(FIDO_ECDSA, strings(mpint(R), mpint(S))) + bytes(5),
    ],
)
def test_ecdsa_numbers_have_one_spelling_and_their_range(blob: bytes) -> None:
    """OpenSSH reads leading zeros and ignores them: each would be one more id for the same commit."""
    with pytest.raises(Malformed):
        Signature.read(armour_of(EC.public, blob)).check(MESSAGE)


def test_s_in_either_half_is_the_same_signature() -> None:
    """Real keys write both halves, so both are read; why this second id harms nobody stands in docs/adr/0016."""
    halves = {EC.curve.numbers(b"%d" % number)[1] > P256_ORDER // 2 for number in range(16)}
    assert halves == {True, False}
    Signature.read(EC.sign(MESSAGE)).check(MESSAGE)
    Signature.read(EC.sign_otherwise(MESSAGE)).check(MESSAGE)


@pytest.mark.parametrize(
    ("key", "blob"),
    [
        (FIDO, strings(FIDO_ED25519, bytes(64)) + bytes(4)),
        (FIDO, strings(FIDO_ED25519, bytes(64)) + bytes(6)),
        (FIDO, strings(FIDO_ED25519, bytes(63)) + bytes(5)),
        (FIDO, strings(b"ssh-ed25519", bytes(64))),
        (FIDO, strings(IN_A_BROWSER, bytes(64)) + bytes(5) + strings(b"https://x", b"{}", b"")),
        (FIDO_EC, strings(ECDSA_TYPE, strings(mpint(R), mpint(S)))),
        (EC, Signature.read(PASSKEY.sign(MESSAGE)).blob),
        (PASSKEY, Signature.read(PASSKEY.sign(MESSAGE)).blob[:-1]),
        (PASSKEY, Signature.read(PASSKEY.sign(MESSAGE)).blob + b"\0"),
        (PASSKEY, Signature.read(PASSKEY.sign(MESSAGE, origin="")).blob),
        (PASSKEY, Signature.read(PASSKEY.sign(MESSAGE, origin=ORIGIN + "\0")).blob),
        (PASSKEY, Signature.read(PASSKEY.sign(MESSAGE, flags=0x45)).blob),
        (PASSKEY, Signature.read(PASSKEY.sign(MESSAGE, flags=0x85)).blob),
        (PASSKEY, Signature.read(PASSKEY.sign(MESSAGE, extensions=b"\xa0")).blob),
    ],
)
def test_fido_signatures_have_exactly_their_fields(key: EcdsaKey | FidoKey, blob: bytes) -> None:
    """A form that is not the key's, one field more or less, flags and data that do not fit together."""
    with pytest.raises(Malformed):
        Signature.read(armour_of(key.public, blob)).check(MESSAGE)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'{"type":"webauthn.get"', b'{"type":"webauthn.create"'),
        (b'{"type"', b' {"type"'),
        (b'"challenge":"U1N', b'"challenge":"u1N'),
        (b'","origin":"https', b'=","origin":"https'),
        (b'"origin":"https://approve.', b'"origin":"https://evil.'),
    ],
)
def test_client_data_begins_as_every_browser_writes_it(monkeypatch: pytest.MonkeyPatch, old: bytes, new: bytes) -> None:
    """An assertion for a log-in, for another commit, or of a registration is none for this commit."""
    monkeypatch.setattr(authenticator, "beginning", lambda *given: beginning(*given).replace(old, new))
    assert old in beginning(SIGNED, ORIGIN)
    with pytest.raises(Wrong, match="something else"):
        Signature.read(PASSKEY.sign(MESSAGE)).check(MESSAGE)


def test_an_origin_with_a_quotation_mark_is_refused() -> None:
    """It could end the origin early and go on with a story of its own."""
    with pytest.raises(Wrong, match="something else"):
        Signature.read(PASSKEY.sign(MESSAGE, origin=ORIGIN + '","x":"')).check(MESSAGE)


@pytest.mark.parametrize("key", [EC, FIDO, FIDO_EC, PASSKEY], ids=lambda key: key.name)
@given(data=st.data())
def test_no_change_of_any_signature_is_accepted(key: EcdsaKey | FidoKey, data: st.DataObject) -> None:
    """Whatever bytes replace one byte of the blob, the signature is refused."""
    blob = Signature.read(key.sign(MESSAGE)).blob
    place, put = data.draw(st.integers(0, len(blob) - 1)), data.draw(st.binary(max_size=3))
    changed = blob[:place] + put + blob[place + 1 :]
    if changed != blob:
        with pytest.raises((Malformed, Wrong)):
            Signature.read(armour_of(key.public, changed)).check(MESSAGE)


@given(st.binary(max_size=200), st.sampled_from([ECDSA_TYPE, FIDO_ED25519, FIDO_ECDSA, IN_A_BROWSER]))
def test_checking_never_fails_otherwise_than_typed(raw: bytes, kind: bytes) -> None:
    """Hostile bytes in a blob meet a typed refusal, whatever the key."""
    for key in (EC, FIDO, FIDO_EC, PASSKEY):
        with pytest.raises((Malformed, Wrong)):
            Signature.read(armour_of(key.public, strings(kind) + raw)).check(MESSAGE)


@given(st.integers(0, len(GOOD) - 1), st.binary(max_size=3))
def test_no_change_of_the_armour_is_accepted(place: int, put: bytes) -> None:
    """Whatever bytes replace one byte, either they are the same or the signature is refused."""
    changed = GOOD[:place] + put + GOOD[place + 1 :]
    if changed != GOOD:
        with pytest.raises((Malformed, Wrong)):
            Signature.read(changed).check(MESSAGE)


@given(st.binary(max_size=400))
def test_reading_never_fails_otherwise_than_malformed(raw: bytes) -> None:
    """Hostile bytes meet a typed refusal, inside and outside the armour."""
    for armour in (raw, wrap(raw), wrap(b"SSHSIG\0\0\0\1" + raw)):
        with pytest.raises(Malformed):
            Signature.read(armour)
