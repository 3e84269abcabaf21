"""A daemon's key and certificate: made once, kept as long as they are good, renewed before anyone notices, readable by root alone."""

from __future__ import annotations

import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from reconciler.provision import authority
from reconciler.provision.server_key import make
from renderers.plan import Authority, ServerKey

NOW = datetime(2026, 11, 21, tzinfo=UTC).timestamp()
DAY = 86_400.0
HOSTS = ("hearth.home.arpa", "hearth.holm.example")


@pytest.fixture
def key(tmp_path: Path) -> ServerKey:
    """The mail relay's key, in the device's folder of keys."""
    return ServerKey("postfix", str(tmp_path / "keys/postfix.pem"), HOSTS)


@pytest.fixture
def signer(tmp_path: Path) -> authority.Stands:
    """The authority of a home whose domain is home.arpa."""
    folder = tmp_path / "authority"
    files = (str(folder / name) for name in ("root.crt", "intermediate.crt", "intermediate.key"))
    return authority.make(Authority("Holm", "home.arpa", ("192.168.10.0/24",), *files), tmp_path / "keys", NOW)[0]


def content(key: ServerKey) -> bytes:
    """Return the whole file."""
    return Path(key.path).read_bytes()


def names(key: ServerKey) -> list[str]:
    """Return the names in the certificate."""
    certificate = x509.load_pem_x509_certificate(content(key))
    found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return found.get_values_for_type(x509.DNSName)


def test_the_first_use_makes_a_key_that_root_alone_may_read(key: ServerKey):
    """The key comes first, as Postfix wants it, and the certificate behind it is its own, for every name."""
    window, new = make(key, None, NOW)
    assert new
    assert window[0] <= NOW < NOW + 300 * DAY < window[1]
    assert stat.S_IMODE(Path(key.path).stat().st_mode) == 0o600
    assert stat.S_IMODE(Path(key.path).parent.stat().st_mode) == 0o700
    assert content(key).startswith(b"-----BEGIN PRIVATE KEY-----")
    certificate = x509.load_pem_x509_certificate(content(key))
    assert certificate.public_key() == load_pem_private_key(content(key), None).public_key()
    assert names(key) == list(HOSTS)


def test_it_stays_until_it_is_due(key: ServerKey):
    """A year's certificate is renewed in its last two months, with another key, and not before."""
    (_, until), _ = make(key, None, NOW)
    before = content(key)
    assert make(key, None, until - 1) == ((make(key, None, NOW)[0]), False)
    assert content(key) == before
    assert make(key, None, until)[1]
    assert content(key) != before


@pytest.mark.parametrize("wrong", [0.0, 4e9])
def test_a_clock_that_cannot_be_right_renews_nothing(key: ServerKey, wrong: float):
    """A Pi wakes in 1970: what stands is left, and what is missing is made, and made again once the time is known."""
    assert make(key, None, wrong)[1]
    held = content(key)
    assert not make(key, None, wrong)[1]
    assert content(key) == held
    later = datetime(2030, 1, 1, tzinfo=UTC).timestamp()
    assert make(key, None, later)[1]
    assert not make(key, None, wrong)[1]


@pytest.mark.parametrize("damage", [b"", b"x", b"-----BEGIN PRIVATE KEY-----\n", None])
def test_a_damaged_or_readable_file_is_made_anew(key: ServerKey, damage: bytes | None):
    """Nobody trusts this key, so losing it costs nothing; one that others could read is no secret any more."""
    make(key, None, NOW)
    before = content(key)
    if damage is None:
        Path(key.path).chmod(0o644)
    else:
        Path(key.path).write_bytes(damage)
    assert make(key, None, NOW)[1]
    assert content(key) != before
    assert stat.S_IMODE(Path(key.path).stat().st_mode) == 0o600


def test_another_name_makes_another_certificate(key: ServerKey):
    """The household renamed the appliance."""
    make(key, None, NOW)
    renamed = ServerKey(key.name, key.path, ("box.home.arpa",))
    assert make(renamed, None, NOW)[1]
    assert names(renamed) == ["box.home.arpa"]


def test_the_homes_authority_signs_what_it_may_vouch_for(key: ServerKey, signer: authority.Stands):
    """As soon as there is one: the name inside the home's domain, with the intermediate behind it. The name outside is left out."""
    make(key, None, NOW)
    assert make(key, signer, NOW)[1]
    assert names(key) == ["hearth.home.arpa"]
    server, intermediate = x509.load_pem_x509_certificates(content(key))
    server.verify_directly_issued_by(intermediate)
    assert not make(key, signer, NOW)[1]


def test_where_the_authority_may_sign_no_name_the_key_signs_itself(key: ServerKey, signer: authority.Stands):
    """A home that is called only by a name outside its domain still encrypts."""
    outside = ServerKey(key.name, key.path, ("mail.holm.example",))
    assert make(outside, signer, NOW)[1]
    assert names(outside) == ["mail.holm.example"]
    assert not make(outside, signer, NOW)[1]
    assert not make(outside, None, NOW)[1]


def test_a_link_in_the_keys_place_is_not_followed(key: ServerKey, tmp_path: Path):
    """Somebody else's file is neither taken for the key nor written over."""
    other = tmp_path / "other"
    other.write_bytes(b"theirs")
    Path(key.path).parent.mkdir()
    Path(key.path).symlink_to(other)
    assert make(key, None, NOW)[1]
    assert other.read_bytes() == b"theirs"
    assert not Path(key.path).is_symlink()
