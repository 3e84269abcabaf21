"""The authority that a device makes: once, within its constraint, at a time that can be right; and renewed before it ends."""

from __future__ import annotations

import ipaddress
import os
import stat
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from reconciler.errors import Stalled, Transient
from reconciler.provision import authority
from reconciler.provision.x509 import ROOT_LIFE, new_server, pem
from renderers.plan import Authority

NOW = datetime(2026, 11, 21, tzinfo=UTC)
DAY = timedelta(days=1)
YEAR = timedelta(days=365)
AT_1970, AT_2099 = datetime(1970, 1, 2, tzinfo=UTC), datetime(2099, 1, 1, tzinfo=UTC)


class Device:
    """A device's folders, its household's wishes, and what making the authority at some time leaves."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.keys = folder / "keys"
        self.keys.mkdir(mode=0o700, parents=True)
        self.wants = self.wish()

    def wish(self, name="Holm Home CA", domain="home.arpa", subnets=("192.168.10.0/24",)):
        """Return what a household asks for."""
        public, key = self.folder / "authority", self.keys / "authority/intermediate.key"
        return Authority(name, domain, subnets, str(public / "root.crt"), str(public / "intermediate.crt"), str(key))

    def make(self, now=NOW, **wish):
        """Make it, for another wish if one is given."""
        if wish:
            self.wants = self.wish(**wish)
        return authority.make(self.wants, self.keys, now.timestamp())

    def check(self, now=NOW):
        """Find out whether it could be made."""
        authority.check(self.wants, self.keys, now.timestamp())

    def looks(self):
        """Every file below the device: its mode, inode and content."""
        files = (path for path in self.folder.rglob("*") if path.is_file())
        return {path: (path.stat().st_mode, path.stat().st_ino, path.read_bytes()) for path in files}


@pytest.fixture
def device(tmp_path: Path) -> Device:
    """A device without an authority."""
    return Device(tmp_path / "device")


def verify(folder: Path, certificate: bytes, stands, *, root=None) -> str:
    """Let OpenSSL judge a server's certificate; return its complaint, or nothing."""
    for name, content in {
        "leaf": certificate,
        "between": pem(stands.intermediate.certificate),
        "root": root or pem(stands.root.certificate),
    }.items():
        (folder / name).write_bytes(content)
    when = str(int(stands.now.timestamp()))
    argv = [
        "openssl",
        "verify",
        "-attime",
        when,
        "-purpose",
        "sslserver",
        "-CAfile",
        "root",
        "-untrusted",
        "between",
        "leaf",
    ]
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def key() -> ec.EllipticCurvePrivateKey:
    """Return a server's key."""
    return ec.generate_private_key(ec.SECP256R1())


def by(pair, *names) -> bytes:
    """Return what a thief of this pair's key signs: any names at all, DNS or addresses."""
    signed = new_server(pair, key().public_key(), ["stolen.home.arpa"], 30 * DAY, NOW)
    kinds = [x509.IPAddress(ipaddress.ip_address(n)) if ":" in n or n[-1].isdigit() else x509.DNSName(n) for n in names]
    builder = x509.CertificateBuilder(
        signed.issuer, x509.Name([]), signed.public_key(), signed.serial_number, signed.not_valid_before_utc,
        signed.not_valid_after_utc,
    ).add_extension(x509.SubjectAlternativeName(kinds), critical=True)  # fmt: skip
    return pem(builder.sign(pair.key, signed.signature_hash_algorithm))


def test_a_second_pass_changes_nothing(device: Device):
    """What stands is read and left alone, to the inode."""
    _, changed = device.make()
    assert changed == {device.wants.root, device.wants.certificate, device.wants.key}
    before = device.looks()
    assert device.make(NOW + 30 * DAY)[1] == set()
    assert device.looks() == before


def test_private_keys_are_for_root_alone_and_what_is_public_for_everyone(device: Device):
    """Nothing with a key in it can be read by others, and no other file holds one."""
    before = os.umask(0)
    try:
        device.make()
    finally:
        os.umask(before)
    for path, (mode, _, content) in device.looks().items():
        secret = b"PRIVATE KEY" in content
        assert secret == (device.keys in path.parents)
        assert stat.S_IMODE(mode) == (0o600 if secret else 0o644)
    for folder in (device.keys / "authority", device.keys / "authority/home.arpa"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_no_key_shows_in_words(device: Device):
    """Neither what stands nor a pair tells its key when printed."""
    stands, _ = device.make()
    assert "key" not in repr(stands).lower()
    assert "PRIVATE" not in repr(stands.root) + repr(stands.intermediate)


def test_what_it_signs_for_the_home_is_believed(device: Device):
    """A server's certificate for a name of the home, and one for an address of it, verify up to the root."""
    stands, _ = device.make()
    assert verify(device.folder, stands.sign_server(key().public_key(), ["mail.home.arpa"], 90), stands) == ""
    assert verify(device.folder, by(stands.intermediate, "192.168.10.5", "a.b.home.arpa", "home.arpa"), stands) == ""


@pytest.mark.parametrize(
    "name", ["bank.example", "home.arpa.example", "nothome.arpa", "10.0.0.1", "9.9.9.9", "2001:db8::1"]
)
def test_the_daemons_key_vouches_for_nothing_outside_the_home(device: Device, name: str):
    """Whoever steals the intermediate's key can be nobody but the home."""
    stands, _ = device.make()
    assert "permitted subtree violation" in verify(device.folder, by(stands.intermediate, name), stands)


@pytest.mark.parametrize("name", ["bank.example", "home.arpa.example", "9.9.9.9", "2001:db8::1"])
def test_even_the_roots_key_vouches_for_nothing_outside_the_home(device: Device, name: str):
    """The constraint is in the root, too: a thief of everything makes an intermediate without one, in vain."""
    stands, _ = device.make()
    free = key()
    root = stands.root.certificate
    builder = x509.CertificateBuilder(
        root.subject, x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "free")]), free.public_key(), 4711,
        NOW - DAY, NOW + YEAR,
    ).add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)  # fmt: skip
    thief = type(stands.root)(builder.sign(stands.root.key, root.signature_hash_algorithm), free)
    stolen = authority.Stands(stands.root, thief, "home.arpa", NOW, 0, 0)
    assert verify(device.folder, by(thief, "tv.home.arpa"), stolen) == ""
    assert "permitted subtree violation" in verify(device.folder, by(thief, name), stolen)


def test_the_intermediate_can_make_no_further_authority(device: Device):
    """Neither by its path length; nor may it sign what is neither a server nor a client."""
    stands, _ = device.make()
    found = stands.intermediate.certificate.extensions
    assert found.get_extension_for_class(x509.BasicConstraints).value == x509.BasicConstraints(True, 0)
    assert x509.OID_CODE_SIGNING not in found.get_extension_for_class(x509.ExtendedKeyUsage).value
    critical = {each.oid for each in found if each.critical}
    assert {x509.OID_NAME_CONSTRAINTS, x509.OID_BASIC_CONSTRAINTS, x509.OID_KEY_USAGE} == critical


def test_it_signs_no_name_that_nobody_would_believe(device: Device):
    """A name outside is refused at once rather than found out by a mail program."""
    stands, _ = device.make()
    assert not stands.may_sign(["mail.home.arpa", "mail.holm.example"])
    with pytest.raises(ValueError, match="holm"):
        stands.sign_server(key().public_key(), ["mail.holm.example"], 90)


@pytest.mark.parametrize("when", [AT_1970, AT_2099])
def test_a_wrong_clock_makes_nothing(device: Device, when: datetime):
    """Case 21: no certificate that is never valid; it is made once the clock can be right, and nothing is on disk before."""
    with pytest.raises(Transient, match="clock"):
        device.check(when)
    with pytest.raises(Transient, match="clock"):
        device.make(when)
    assert device.looks() == {}
    device.check()
    device.make()


@pytest.mark.parametrize("when", [AT_1970, AT_2099])
def test_a_wrong_clock_takes_nothing_away(device: Device, when: datetime):
    """Case 21: what stands goes on standing, and nothing is due."""
    stands, _ = device.make()
    before = device.looks()
    device.check(when)
    assert device.make(when)[1] == set()
    assert device.looks() == before
    assert not authority.due(stands.since, stands.until, when.timestamp())


def test_a_clock_that_ran_ahead_does_no_lasting_harm(device: Device):
    """Made in a wrong 2050: the root is valid today all the same, and the intermediate is made anew."""
    early, _ = device.make(datetime(2050, 1, 1, tzinfo=UTC))
    stands, changed = device.make()
    assert changed == {device.wants.certificate, device.wants.key}
    assert stands.root.certificate == early.root.certificate
    assert verify(device.folder, stands.sign_server(key().public_key(), ["tv.home.arpa"], 9), stands) == ""


def test_the_intermediate_is_renewed_long_before_its_end(device: Device):
    """Same root, another key; and what the old one signed for as long as allowed has ended before it does."""
    first, _ = device.make()
    ends = first.intermediate.certificate.not_valid_after_utc
    due = datetime.fromtimestamp(first.until, UTC)
    assert not authority.due(first.since, first.until, (due - DAY).timestamp())
    assert authority.due(first.since, first.until, due.timestamp())
    assert device.make(due - DAY)[1] == set()
    assert due + timedelta(days=825) < ends
    second, changed = device.make(due)
    assert changed == {device.wants.certificate, device.wants.key}
    assert second.root.certificate == first.root.certificate
    assert second.intermediate.key.public_key() != first.intermediate.key.public_key()


def test_at_the_end_of_the_root_nothing_is_made_again_and_again(device: Device):
    """The last intermediate ends with its root; then a person must act, and nothing is written over."""
    first, _ = device.make()
    late = first.root.certificate.not_valid_after_utc - 100 * DAY
    last, _ = device.make(late)
    assert last.intermediate.certificate.not_valid_after_utc == last.root.certificate.not_valid_after_utc
    assert device.make(late + 50 * DAY)[1] == set()
    before = device.looks()
    for refuse in (device.check, device.make):
        with pytest.raises(Stalled, match="ended on"):
            refuse(NOW + ROOT_LIFE + DAY)
    assert device.looks() == before


def test_another_subnet_needs_no_new_root(device: Device):
    """A new router changes addresses; devices go on trusting what they trust."""
    first, _ = device.make()
    second, changed = device.make(subnets=("192.168.178.0/24", "fd00:10::/64"))
    assert device.wants.root not in changed
    assert second.root.certificate == first.root.certificate
    assert verify(device.folder, by(second.intermediate, "192.168.178.5", "fd00:10::5"), second) == ""
    assert "permitted subtree violation" in verify(device.folder, by(second.intermediate, "192.168.10.5"), second)


def test_going_back_to_a_domain_brings_its_own_root_back(device: Device):
    """A change of domain that fails on trial costs nobody their trust."""
    first, _ = device.make()
    other, changed = device.make(domain="holm.internal")
    assert changed == {device.wants.root, device.wants.certificate, device.wants.key}
    assert other.root.certificate != first.root.certificate
    again, _ = device.make(domain="home.arpa")
    assert again.root.certificate == first.root.certificate
    assert again.intermediate.certificate == first.intermediate.certificate


def test_a_damaged_root_is_never_written_over(device: Device):
    """There may be a copy; only a person may give up what all devices trust."""
    device.make()
    root = device.keys / "authority/home.arpa/root.pem"
    root.write_bytes(root.read_bytes()[:-200])
    before = device.looks()
    with pytest.raises(Stalled, match="damaged"):
        device.make()
    assert device.looks() == before


@pytest.mark.parametrize("name", ["root", "intermediate"])
def test_no_damaged_byte_goes_unnoticed(device: Device, name: str):
    """A card that forgets a bit: a root that devices would no longer know is never handed out, an intermediate is made anew."""

    def made() -> str:
        try:
            stands, _ = device.make()
        except Stalled as refused:
            return refused.reason
        own = stands.root.certificate
        return (
            "sound" if own == first.root.certificate and stands.root.issued(stands.intermediate.certificate) else "odd"
        )

    first, _ = device.make()
    path = device.keys / f"authority/home.arpa/{name}.pem"
    whole = path.read_bytes()
    seen = set()
    for place in range(40, len(whole) - 40, 7):
        path.write_bytes(whole[:place] + (b"A" if whole[place] != ord("A") else b"B") + whole[place + 1 :])
        seen.add(made())
    assert seen - {"sound"} == ({"AuthorityDamaged"} if name == "root" else set())


def test_another_certificates_key_is_no_pair(device: Device):
    """An intermediate whose key is not its own is made anew."""
    first, _ = device.make()
    path = device.keys / "authority/home.arpa/intermediate.pem"
    path.write_bytes(pem(first.intermediate.certificate) + first.root.key_pem())
    second, _ = device.make()
    assert second.intermediate.certificate != first.intermediate.certificate
    assert verify(device.folder, second.sign_server(key().public_key(), ["tv.home.arpa"], 9), second) == ""


@pytest.mark.parametrize("lost", ["root", "certificate", "key"])
def test_a_published_file_that_went_is_put_back(device: Device, lost: str):
    """And only that one, with what it held."""
    device.make()
    path = Path(getattr(device.wants, lost))
    before = path.read_bytes()
    path.unlink()
    assert device.make()[1] == {str(path)}
    assert path.read_bytes() == before


def test_a_long_name_in_any_script_fits(device: Device):
    """X.509 allows a name 64 bytes; a longer one is cut between two characters."""
    stands, _ = device.make(name="Familien Ørsteds hjemmelige certifikatudsteder på Ærø " + "æ" * 100)
    for pair in (stands.root, stands.intermediate):
        (name,) = pair.certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        assert 40 < len(str(name.value).encode()) <= 64
