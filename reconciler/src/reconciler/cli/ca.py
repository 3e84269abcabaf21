"""`hearth ca`: hand the home's root certificate to the family's devices, and say what each of them then trusts.

Reads what anyone may read on this machine, and no key.
"""

from __future__ import annotations

import plistlib
import sys
import uuid
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import click

from reconciler.cli.output import emit, say
from reconciler.durable import write_atomic
from reconciler.errors import HearthError, Misused
from reconciler.generation import Generations
from reconciler.settings import Paths
from renderers.plan import AuthorityProbe

_LARGEST = 65_536
_PROFILES = uuid.UUID("5d5b1d5e-7a3c-4e0f-9a51-2f1c6a0b7e44")
"""The name space of our profiles: a root has one identifier, so that installing it again replaces it (RFC 9562, version 5)."""


@dataclass(frozen=True, slots=True)
class Root:
    """The home's root certificate in the forms in which devices take it."""

    name: str
    domain: str
    der: bytes
    pem: bytes
    sha256: str
    ends: datetime


@click.group()
def ca() -> None:
    """Hand the home's root certificate to the family's devices."""


@ca.command()
@click.option("--apple", "form", flag_value="apple", help="A profile for iPhone, iPad and Mac.")
@click.option("--pem", "form", flag_value="pem", help="For Linux, Firefox and most programs; if nothing else is said.")
@click.option("--der", "form", flag_value="der", help="For Windows and Android.")
@click.option("--page", "form", flag_value="page", help="A page to print: how to trust it, and what that means.")
@click.option("--output", metavar="FILE", help="Where to write it; - is standard output.")
@click.option("--json", "as_json", is_flag=True, help="Print what was written, and the fingerprint, as JSON.")
@click.pass_obj
def export(root: str, /, *, form: str | None, output: str | None, as_json: bool) -> int:
    """Write the home's root certificate for a kind of device, and say its fingerprint, to be compared there."""
    paths = Paths(Path(root))
    found = read_root(paths.state / "authority" / "root.crt")
    content, usual = _written(form, found, _addresses(paths))
    if output == "-":
        sys.stdout.buffer.write(content)
        return 0
    target = Path(output or usual)
    write_atomic(target, content, 0o644)
    if as_json:
        emit({"file": str(target), "name": found.name, "sha256": found.sha256, "ends": f"{found.ends:%Y-%m-%d}"})
        return 0
    say(f"{target}: the root certificate of {found.name}, for names in {found.domain}", kind="good")
    say(f"Fingerprint (SHA-256)  {_spaced(found.sha256)}", indent=2)
    if form == "apple":
        say("The profile is not signed, and the device says so: compare the fingerprint.", indent=2)
    return 0


def read_root(path: Path) -> Root:
    """Read the root certificate that the device has published.

    Raises:
        Misused: there is none, or it cannot be read.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import Encoding
    from cryptography.x509.oid import NameOID

    try:
        with path.open("rb") as file:
            certificate = x509.load_pem_x509_certificate(file.read(_LARGEST))
    except FileNotFoundError:
        raise Misused(
            "NoAuthority",
            "This machine has no certificate authority.",
            "It makes one when the household has services/certificates.yaml: hearth change add-certificates",
        ) from None
    except ValueError:
        raise Misused("AuthorityDamaged", f"{path} is no certificate.", "The next pass puts it back.") from None
    names = {
        each: certificate.subject.get_attributes_for_oid(each)
        for each in (NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME)
    }
    name, domain = (str(found[0].value) if found else "" for found in names.values())
    der, pem = certificate.public_bytes(Encoding.DER), certificate.public_bytes(Encoding.PEM)
    return Root(name, domain, der, pem, certificate.fingerprint(SHA256()).hex(), certificate.not_valid_after_utc)


def _written(form: str | None, root: Root, addresses: tuple[str, ...]) -> tuple[bytes, str]:
    """Return the file's content, and what to call it."""
    match form:
        case "apple":
            return apple_profile(root), "home-ca.mobileconfig"
        case "page":
            from renderers.authority_page import authority_page

            ends = f"{root.ends:%d.%m.%Y}"
            words = authority_page(
                root.name, root.domain, fingerprint=_spaced(root.sha256), ends=ends, addresses=addresses
            )
            return words.encode(), "home-ca.html"
        case "der":
            return root.der, "home-ca.der"
        case _:
            return root.pem, "home-ca.pem"


def apple_profile(root: Root) -> bytes:
    """Return a configuration profile that holds the root certificate (Apple, Configuration Profile Reference). Not signed. Pure."""
    outer, inner = (str(uuid.uuid5(_PROFILES, f"{root.sha256} {part}")) for part in ("profile", "certificate"))
    certificate = {
        "PayloadType": "com.apple.security.root",
        "PayloadVersion": 1,
        "PayloadIdentifier": f"hearth.certificate.{inner}",
        "PayloadUUID": inner.upper(),
        "PayloadDisplayName": root.name,
        "PayloadContent": root.der,
    }
    profile = {
        "PayloadType": "Configuration",
        "PayloadVersion": 1,
        "PayloadIdentifier": f"hearth.profile.{outer}",
        "PayloadUUID": outer.upper(),
        "PayloadDisplayName": root.name,
        "PayloadDescription": f"Trust for servers named in {root.domain}. SHA-256: {_spaced(root.sha256)}",
        "PayloadContent": [certificate],
    }
    return plistlib.dumps(profile)


def _addresses(paths: Paths) -> tuple[str, ...]:
    """Return the addresses at which devices get certificates by ACME, in the generation that is in effect; none where unknown."""
    generations = Generations(paths.state)
    try:
        active = generations.active()
        probes = generations.load(active).plan.probes if active else ()
    except (HearthError, OSError):
        return ()
    return tuple(
        f"https://{probe.host}:{probe.port}/acme/{each.partition(' ')[2]}/directory"
        for probe in probes
        if isinstance(probe, AuthorityProbe)
        for each in probe.provisioners
    )


def _spaced(sha256: str) -> str:
    """Return a fingerprint as devices show it: pairs of capital digits."""
    return " ".join(sha256[at : at + 2] for at in range(0, len(sha256), 2)).upper()
