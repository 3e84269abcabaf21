"""The home's certificate authority: what stands, and a real certificate by ACME, whose key is thrown away at once.

Owns the judgements. The asking is `acme_order`'s. Where a certificate cannot be asked for on this machine, it says why, and that is no
fault.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from reconciler.probe import ask
from reconciler.trying.outcome import Outcome
from renderers.artifact import Target
from renderers.plan import Authority, AuthorityProbe, DnsProbe, Plan

_SECONDS = 5.0
_SOON_DAYS = 30
_LARGEST = 65_536
_RESOLVER = "--resolver="


@dataclass(frozen=True, slots=True)
class Standing:
    """The authority as it stands: its certificates, and what its own server shows."""

    root: x509.Certificate
    intermediate: x509.Certificate
    server: x509.Certificate


def standing(probe: AuthorityProbe, authority: Authority) -> Standing:
    """Read both certificates and ask the server for its own.

    Raises:
        OSError: a file cannot be read, the server cannot be reached, or another answers. ValueError: a file is no certificate.
    """
    root, intermediate = (_read(Path(path)) for path in (authority.root, authority.certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cafile=authority.root)
    with (
        socket.create_connection((probe.server, probe.port), _SECONDS) as stream,
        context.wrap_socket(stream, server_hostname=probe.host) as secure,
    ):
        return Standing(root, intermediate, x509.load_der_x509_certificate(secure.getpeercert(binary_form=True) or b""))


def judge(found: Standing, host: str, now: datetime) -> Iterator[Outcome]:
    """Yield what there is to say of each certificate. Pure."""
    wrong = chain_fault(found.server, found, host, now)
    yield Outcome(
        "server", not wrong, "Its own certificate", wrong or f"for {host}, {_until(found.server)}, by the home's root"
    )
    above = {"intermediate": ("Its intermediate", found.intermediate), "root": ("Its root", found.root)}
    for name, (what, certificate) in above.items():
        left = (certificate.not_valid_after_utc - now).days
        words = f"{_until(certificate)}, {_constraint(certificate)}"
        yield Outcome(name, left >= _SOON_DAYS, what, words)


def chain_fault(leaf: x509.Certificate, found: Standing, name: str, now: datetime) -> str:
    """Return why a device that trusts the home's root would not believe that `leaf` is `name`; nothing if it would. Pure."""
    try:
        found.root.verify_directly_issued_by(found.root)
        found.intermediate.verify_directly_issued_by(found.root)
        policy = PolicyBuilder().store(Store([found.root])).time(now)
        policy.build_server_verifier(x509.DNSName(name)).verify(leaf, [found.intermediate])
    except (VerificationError, InvalidSignature, ValueError, TypeError) as error:
        return f"not believed by devices that trust the home's root: {error}"
    return ""


def reason_against(plan: Plan, probe: AuthorityProbe, target: Target, name: str) -> str:
    """Return why no certificate for `name`, which stands at the appliance's address, can be asked for here; or nothing.

    On a bench the authority looks names up in the bench's internet, which may not know the home's.
    """
    if not probe.provisioners:
        return "the household has `acme: false`"
    told = [word for unit in plan.units for word in unit.command if word.startswith(_RESOLVER)]
    if target.name == "appliance" or not told:
        return ""
    server, _, port = told[0].removeprefix(_RESOLVER).rpartition(":")
    found = ask([DnsProbe("acme", server, int(port), name, "address", probe.server)])[0]
    return "" if found.ok else f"the authority of this bench looks names up elsewhere ({found.message})"


def try_all(plan: Plan, target: Target, name: str) -> Iterator[Outcome]:
    """Yield everything about the authority of a running plan; `name` is the appliance's own."""
    probe = next(each for each in plan.probes if isinstance(each, AuthorityProbe))
    authority = next(each for each in plan.provisions if isinstance(each, Authority))
    health = ask([probe])[0]
    yield Outcome("health", health.ok, "The authority", health.message)
    try:
        found = standing(probe, authority)
    except (OSError, ValueError) as error:
        yield Outcome("server", False, "Its own certificate", str(getattr(error, "strerror", "") or error))
        return
    yield from judge(found, probe.host, datetime.now(UTC))
    if against := reason_against(plan, probe, target, name):
        yield Outcome("acme", None, f"A certificate for {name}", f"not asked for: {against}")
        return
    yield _issue(probe, found, name)


def _issue(probe: AuthorityProbe, found: Standing, name: str) -> Outcome:
    from reconciler.trying import acme_order

    what = f"A certificate for {name}"
    try:
        leaf = x509.load_pem_x509_certificate(acme_order.obtain(probe, name).encode())
    except acme_order.PortTakenError as taken:
        return Outcome("acme", None, what, f"not asked for: {taken}")
    except (acme_order.NotIssuedError, ValueError) as error:
        return Outcome("acme", False, what, f"not given out: {error}")
    wrong = chain_fault(leaf, found, name, datetime.now(UTC))
    return Outcome("acme", not wrong, what, wrong or f"given out by ACME, {_until(leaf)}; its key is thrown away")


def _read(path: Path) -> x509.Certificate:
    with path.open("rb") as file:
        return x509.load_pem_x509_certificate(file.read(_LARGEST))


def _until(certificate: x509.Certificate) -> str:
    return f"valid until {certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"


def _constraint(certificate: x509.Certificate) -> str:
    """Return whom an authority may vouch for (RFC 5280, 4.2.1.10)."""
    try:
        permitted = certificate.extensions.get_extension_for_class(x509.NameConstraints).value.permitted_subtrees or []
    except x509.ExtensionNotFound:
        return "for any name"
    names = [str(each.value) for each in permitted if isinstance(each, x509.DNSName)]
    networks = [str(ipaddress.ip_network(each.value)) for each in permitted if isinstance(each, x509.IPAddress)]
    return f"only for {', '.join(names + networks)}"
