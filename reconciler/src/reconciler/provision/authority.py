"""The home's own certificate authority: made on this device at first use, and kept in step with the household and the calendar.

    keys/authority/<domain>/root.pem, intermediate.pem      what counts: certificate and key in one file, for root alone
    keys/authority/intermediate.key                         of these, what the daemon is given
    authority/root.crt, intermediate.crt                    and what anyone may read

A root is made once for each domain, is never written over, and its key never leaves `keys/`: whoever trusts it has to be asked again
for another. The intermediate is made anew, with another key, well before its end and whenever its constraint should differ. Owns these
files; their form is `x509`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.clock import plausible
from reconciler.durable import make_folder, write_atomic
from reconciler.errors import Stalled, Transient
from renderers.plan import Authority

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

    from reconciler.provision.x509 import Pair

FOLDER = "authority"
_RENEWED_BEFORE = timedelta(days=3 * 365)
"""How long before its end the intermediate is replaced: nothing that it signed, for 825 days at most, outlives it."""


@dataclass(frozen=True, slots=True)
class Stands:
    """The authority in effect. Between `since` and `until`, in seconds since 1970, nothing about it needs to change."""

    root: Pair = field(repr=False)
    intermediate: Pair = field(repr=False)
    domain: str
    now: datetime
    since: float
    until: float

    def may_sign(self, names: Sequence[str]) -> bool:
        """Whether all of `names` lie within the constraint."""
        return all(name == self.domain or name.endswith(f".{self.domain}") for name in names)

    def sign_server(self, public_key: EllipticCurvePublicKey, names: Sequence[str], days: int) -> bytes:
        """Return a certificate for a server called `names`, and the intermediate's below it, as PEM.

        It ends after `days`, or with the intermediate.

        Raises:
            ValueError: a name is outside the home's domain, and no device would believe the certificate.
        """
        from reconciler.provision import x509

        if not self.may_sign(names):
            raise ValueError(f"{', '.join(names)}: not all of it lies in {self.domain}")
        server = x509.new_server(self.intermediate, public_key, names, timedelta(days=days), self.now)
        return x509.pem(server) + x509.pem(self.intermediate.certificate)


def check(provision: Authority, keys: Path, now: float) -> None:
    """Find out whether the authority stands or could be made, and touch nothing.

    Raises:
        Transient: it would have to be made, and the clock cannot be right (ClockWrong).
        Stalled: the root is damaged, or has ended.
    """
    root = _held_root(keys / FOLDER / provision.domain, now)
    intermediate = _held(_intermediate_of(provision, keys))
    if root is None or intermediate is None or not _fits(intermediate, root, provision, now):
        _require_time(now)


def make(provision: Authority, keys: Path, now: float) -> tuple[Stands, set[str]]:
    """Make what is missing, renew what is due, publish the rest; return what stands, and the paths whose content is new.

    Where the clock cannot be right, what stands is left as it is.

    Raises:
        Transient, Stalled: as `check`.
        OSError: a file cannot be read or written.
    """
    folder = keys / FOLDER / provision.domain
    make_folder(keys / FOLDER, 0o700)
    make_folder(folder, 0o700)
    root = _held_root(folder, now) or _make_root(provision, folder, now)
    intermediate = _held(_intermediate_of(provision, keys))
    if intermediate is None or not _fits(intermediate, root, provision, now):
        intermediate = _make_intermediate(provision, folder, root, now)
    changed = _publish(provision, root, intermediate)
    since, until = _window(root, intermediate)
    return Stands(root, intermediate, provision.domain, datetime.fromtimestamp(now, UTC), since, until), changed


def paths(provision: Authority, keys: Path) -> tuple[str, ...]:
    """Return the absolute paths of all files that must stay as `make` left them."""
    folder = keys / FOLDER / provision.domain
    kept = (str(folder / "root.pem"), str(_intermediate_of(provision, keys)))
    return (*kept, provision.root, provision.certificate, provision.key)


def _intermediate_of(provision: Authority, keys: Path) -> Path:
    return keys / FOLDER / provision.domain / "intermediate.pem"


def _held(path: Path) -> Pair | None:
    """Return the pair in a file; None where there is none, or a damaged one.

    Raises:
        OSError: the disk does not give it.
    """
    from reconciler.provision.x509 import Pair

    try:
        return Pair.from_pem(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None


def _held_root(folder: Path, now: float) -> Pair | None:
    path = folder / "root.pem"
    root = _held(path)
    if (root is None and path.exists()) or (root and not root.issued(root.certificate)):
        raise Stalled(
            "AuthorityDamaged",
            f"The key of the home's certificate authority is damaged ({path}).",
            "Put it back from a copy. Without one, remove it: a new authority is made, which every device must be told to trust.",
        )
    if root and plausible(now) and now >= root.certificate.not_valid_after_utc.timestamp():
        raise Stalled(
            "AuthorityEnded",
            f"The home's certificate authority ended on {root.certificate.not_valid_after_utc:%d.%m.%Y}.",
            f"Remove {folder}: a new one is made, which every device must be told to trust.",
        )
    return root


def _require_time(now: float) -> datetime:
    if not plausible(now):
        raise Transient(
            "ClockWrong",
            "The clock of this machine cannot be right, and certificates made now would be valid at the wrong time.",
            "They are made as soon as it has the time; `sudo timedatectl set-ntp true` lets it ask.",
        )
    return datetime.fromtimestamp(now, UTC)


def _make_root(provision: Authority, folder: Path, now: float) -> Pair:
    from reconciler.provision.x509 import new_root

    root = new_root(provision.name, provision.domain, _require_time(now))
    write_atomic(folder / "root.pem", root.as_pem())
    return root


def _make_intermediate(provision: Authority, folder: Path, root: Pair, now: float) -> Pair:
    from reconciler.provision.x509 import new_intermediate

    made = new_intermediate(root, provision.name, provision.domain, provision.subnets, _require_time(now))
    write_atomic(folder / "intermediate.pem", made.as_pem())
    return made


def _fits(intermediate: Pair, root: Pair, provision: Authority, now: float) -> bool:
    """Whether the intermediate is the root's, has the constraint that the home wants, and is not due."""
    from ipaddress import ip_network

    from reconciler.provision.x509 import constraint_of, constraints

    wanted = constraints(provision.domain, [ip_network(each) for each in provision.subnets])
    if not root.issued(intermediate.certificate) or constraint_of(intermediate.certificate) != wanted:
        return False
    since, until = _window(root, intermediate)
    return not due(since, until, now)


def due(since: float, until: float, now: float) -> bool:
    """Whether something that needs no change between `since` and `until` is to be made anew now; never by a wrong clock. Pure."""
    return plausible(now) and not since <= now < until


def _window(root: Pair, intermediate: Pair) -> tuple[float, float]:
    """Return from when until when the intermediate stays. One that ends with its root has no successor."""
    ends = intermediate.certificate.not_valid_after_utc
    until = ends if ends == root.certificate.not_valid_after_utc else ends - _RENEWED_BEFORE
    return intermediate.certificate.not_valid_before_utc.timestamp(), until.timestamp()


def _publish(provision: Authority, root: Pair, intermediate: Pair) -> set[str]:
    """Put the three files in place that the daemon and people read; return the paths of those that were other before."""
    from reconciler.provision.x509 import pem

    make_folder(Path(provision.root).parent)
    wanted = (
        (provision.key, intermediate.key_pem(), 0o600),
        (provision.certificate, pem(intermediate.certificate), 0o644),
        (provision.root, pem(root.certificate), 0o644),
    )
    return {path for path, content, mode in wanted if _put(Path(path), content, mode)}


def _put(path: Path, content: bytes, mode: int) -> bool:
    """Write a file unless it is that already; return whether it was not."""
    try:
        if path.read_bytes() == content and not path.is_symlink() and path.stat().st_mode & 0o777 == mode:
            return False
    except FileNotFoundError:
        pass
    write_atomic(path, content, mode)
    return True
