"""The certificates of a home's own authority: a root, an intermediate below it, and what that one signs.

Owns their form (RFC 5280). Pure but for keys and serial numbers, which the operating system's randomness gives. Which of them stands
on this device, where, and for how long is `authority`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from desired_state.addresses import PRIVATE, PRIVATE6

ROOT_BEGINS = datetime(2026, 1, 1, tzinfo=UTC)
"""From when every root is valid, whatever the clock says when it is made: one made by a clock that runs ahead is not void after."""
ROOT_LIFE = timedelta(days=20 * 365)
INTERMEDIATE_LIFE = timedelta(days=6 * 365)
_BACKDATED = timedelta(hours=1)
"""Devices' clocks differ."""
_LONGEST_NAME = 64  # bytes; ub-common-name, RFC 5280 appendix A.1
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and the private key that belongs to it."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey = field(repr=False)

    @classmethod
    def from_pem(cls, content: bytes) -> Pair:
        """Return the pair that `as_pem` wrote.

        Raises:
            ValueError: it is none, or the key is another certificate's.
        """
        try:
            certificate = x509.load_pem_x509_certificate(content)
            key = load_pem_private_key(content, None)
            own = certificate.public_key()
        except (UnsupportedAlgorithm, TypeError):  # what a damaged file may look like
            raise ValueError("not a certificate and a key of ours") from None
        if not isinstance(key, ec.EllipticCurvePrivateKey) or own != key.public_key():
            raise ValueError("the key does not belong to the certificate")
        return cls(certificate, key)

    def as_pem(self) -> bytes:
        """Return both in one text (RFC 7468), so that no crash can part them; the key is not encrypted."""
        return pem(self.certificate) + self.key_pem()

    def key_pem(self) -> bytes:
        """Return the private key alone (PKCS #8, not encrypted)."""
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def issued(self, certificate: x509.Certificate) -> bool:
        """Whether this pair's key signed `certificate`."""
        try:
            certificate.verify_directly_issued_by(self.certificate)
        except (ValueError, TypeError, InvalidSignature):
            return False
        return True


def pem(certificate: x509.Certificate) -> bytes:
    """Return a certificate as PEM."""
    return certificate.public_bytes(Encoding.PEM)


def new_root(name: str, domain: str, now: datetime) -> Pair:
    """Make the authority's root: it may vouch for names in `domain` and for private addresses, through one intermediate."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _subject(name, domain)
    own = key.public_key()
    builder = _unsigned(subject, subject, own, (ROOT_BEGINS, now + ROOT_LIFE), own)
    constraint = constraints(domain, [*PRIVATE, PRIVATE6])
    return Pair(_as_authority(builder, 1, constraint).sign(key, SHA256()), key)


def new_intermediate(root: Pair, name: str, domain: str, subnets: Sequence[str], now: datetime) -> Pair:
    """Make the intermediate, which signs what devices ask for: for servers and clients in `domain` and `subnets` alone."""
    key = ec.generate_private_key(ec.SECP256R1())
    ends = min(now + INTERMEDIATE_LIFE, root.certificate.not_valid_after_utc)
    begins = max(now - _BACKDATED, root.certificate.not_valid_before_utc)
    subject = _subject(f"{_cut(name, _LONGEST_NAME - 13)} Intermediate", domain)
    issuer = root.certificate
    builder = _unsigned(subject, issuer.subject, key.public_key(), (begins, ends), _public(issuer))
    builder = builder.add_extension(_purposes(ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH), False)
    constraint = constraints(domain, [ipaddress.ip_network(each) for each in subnets])
    return Pair(_as_authority(builder, 0, constraint).sign(root.key, SHA256()), key)


def new_server(
    issuer: Pair, public_key: ec.EllipticCurvePublicKey, names: Sequence[str], life: timedelta, now: datetime
) -> x509.Certificate:
    """Make the certificate of a server called `names`, valid for `life` or as long as its issuer."""
    above = issuer.certificate
    ends = min(now + life, above.not_valid_after_utc)
    begins = max(now - _BACKDATED, above.not_valid_before_utc)
    subject = x509.Name([])  # then the names are critical, RFC 5280 section 4.2.1.6
    usage = _key_usage(digital_signature=True)
    return (
        _unsigned(subject, above.subject, public_key, (begins, ends), _public(above))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=True)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(_purposes(ExtendedKeyUsageOID.SERVER_AUTH), critical=False)
        .sign(issuer.key, SHA256())
    )


def constraints(domain: str, networks: Iterable[_Network]) -> x509.NameConstraints:
    """Return the constraint to names and mail addresses of `domain`, and to addresses in `networks` (RFC 5280, 4.2.1.10)."""
    names = [x509.DNSName(domain), x509.RFC822Name(domain)]
    return x509.NameConstraints([*names, *(x509.IPAddress(network) for network in networks)], None)


def constraint_of(certificate: x509.Certificate) -> x509.NameConstraints | None:
    """Return the constraint in a certificate, or None."""
    try:
        return certificate.extensions.get_extension_for_class(x509.NameConstraints).value
    except x509.ExtensionNotFound:
        return None


def _subject(name: str, domain: str) -> x509.Name:
    attributes = ((NameOID.ORGANIZATION_NAME, _cut(domain)), (NameOID.COMMON_NAME, _cut(name)))
    return x509.Name([x509.NameAttribute(kind, value) for kind, value in attributes])


def _cut(text: str, longest: int = _LONGEST_NAME) -> str:
    return text.encode()[:longest].decode(errors="ignore").strip()


def _unsigned(
    subject: x509.Name,
    issuer: x509.Name,
    public_key: ec.EllipticCurvePublicKey,
    valid: tuple[datetime, datetime],
    issuers_key: ec.EllipticCurvePublicKey,
) -> x509.CertificateBuilder:
    """Return what every certificate has. Serial numbers are of 159 random bits (RFC 5280, 4.1.2.2)."""
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(valid[0])
        .not_valid_after(valid[1])
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuers_key), critical=False)
    )


def _as_authority(
    builder: x509.CertificateBuilder, below: int, constraint: x509.NameConstraints
) -> x509.CertificateBuilder:
    """Let it sign certificates, with `below` further authorities on the way, within `constraint`."""
    return (
        builder.add_extension(x509.BasicConstraints(ca=True, path_length=below), critical=True)
        .add_extension(_key_usage(key_cert_sign=True, crl_sign=True), critical=True)
        .add_extension(constraint, critical=True)
    )


def _public(certificate: x509.Certificate) -> ec.EllipticCurvePublicKey:
    key = certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    return key


def _purposes(*purposes: x509.ObjectIdentifier) -> x509.ExtendedKeyUsage:
    return x509.ExtendedKeyUsage(purposes)


def _key_usage(**wanted: bool) -> x509.KeyUsage:
    usages = (
        "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "key_cert_sign",
        "crl_sign", "encipher_only", "decipher_only",
    )  # fmt: skip
    return x509.KeyUsage(**{usage: wanted.get(usage, False) for usage in usages})
