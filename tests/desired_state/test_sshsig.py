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
from desired_state.sshsig import Malformed, PublicKey, Signature, Unsupported, Wrong

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(32))
MESSAGE = b"tree 1\nparent 2\n"
GOOD = sshsig.sign(MESSAGE, "git", KEY)
ORDER = 2**252 + 27742317777372353535851937790883648493  # of Ed25519's group, RFC 8032


def strings(*parts: bytes) -> bytes:
    """Return SSH strings, RFC 4251."""
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def armoured(*, version: int = 1, magic: bytes = b"SSHSIG", tail: bytes = b"", **fields: bytes) -> bytes:
    """Return the good signature with some of its fields replaced."""
    good = Signature.read(GOOD)
    parts = {"key": good.key.blob, "namespace": b"git", "reserved": b"", "hash": b"sha512", "blob": good.blob} | fields
    return sshsig._wrap(magic + version.to_bytes(4, "big") + strings(*parts.values()) + tail)


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
        armoured(key=strings(b"sk-ssh-ed25519@openssh.com", b"x" * 32, b"")),
        armoured(key=strings(b"sk-ssh-ed25519@openssh.com", b"x" * 32, b"ssh:\n")),
        b"",
        GOOD[:-1],
        GOOD + b"\n",
        b"\n" + GOOD,
        GOOD.replace(b"\n", b"\r\n"),
        GOOD.replace(b"\n", b""),
        sshsig.BEGIN + sshsig.END,
        sshsig._wrap(b"SSHSIG\0\0\0\1\xff\xff\xff\xff"),
        sshsig._wrap(bytes(20_000)),
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


def test_other_key_types_are_read_and_not_believed(tmp_path: Path) -> None:
    """Trust files may name them; their signatures wait for their own rules."""
    keygen("-q", "-t", "ecdsa", "-b", "256", "-N", "", "-f", tmp_path / "ec", message=b"")
    stock = keygen("-q", "-Y", "sign", "-n", "git", "-f", tmp_path / "ec", message=MESSAGE).stdout
    with pytest.raises(Unsupported, match="not supported yet"):
        Signature.read(stock).check(MESSAGE)
    fido = PublicKey.read(strings(b"sk-ssh-ed25519@openssh.com", b"x" * 32, b"ssh:"))
    assert (fido.type, fido.application) == ("sk-ssh-ed25519@openssh.com", "ssh:")


@given(st.integers(0, len(GOOD) - 1), st.binary(max_size=3))
def test_no_change_of_the_armour_is_accepted(place: int, put: bytes) -> None:
    """Whatever bytes replace one byte, either they are the same or the signature is refused."""
    changed = GOOD[:place] + put + GOOD[place + 1 :]
    if changed != GOOD:
        with pytest.raises((Malformed, Wrong, Unsupported)):
            Signature.read(changed).check(MESSAGE)


@given(st.binary(max_size=400))
def test_reading_never_fails_otherwise_than_malformed(raw: bytes) -> None:
    """Hostile bytes meet a typed refusal, inside and outside the armour."""
    for armour in (raw, sshsig._wrap(raw), sshsig._wrap(b"SSHSIG\0\0\0\1" + raw)):
        with pytest.raises(Malformed):
            Signature.read(armour)
