"""Changes that come another way than from the source: a bundle on a stick, or another repository, under the same rules.

For the day when the source withholds something. Owns what may be asked there, and with which credentials. The configured
source stays as it is; while it is behind, each pass says so.
"""

from __future__ import annotations

from pathlib import Path

from reconciler.errors import Misused, Stalled
from reconciler.floor import advance, signers
from reconciler.home import Home
from reconciler.source import Credentials, Source
from reconciler.source.url import SourceUrl, parse_url


def carry(home: Home, place: str) -> str:
    """Fetch main from `place`, verify it from the floor on, and make it the new floor; return its commit.

    Raises:
        Misused: `place` is no address. Stalled: a rule of trust refuses it, or it is no repository. Transient: it cannot be
            read now.
    """
    paths, address = home.paths, _address(place)
    credentials = _credentials(home, parse_url(address))
    source = Source(address, credentials, paths.repository, paths.incoming)
    tip = source.peek()
    if tip == home.journal.value.floor == home.source.held():
        return tip
    source.fetch(tip)
    home.gate("fetched", detail=f"{tip[:7]} from {place}")
    try:
        revision = advance(home, tip)
    except Stalled as error:
        source.refuse(tip)
        home.gate("verified", ok=False, detail=str(error))
        raise
    home.gate("verified", detail=f"signed by {signers(revision)}")
    return tip


def _address(place: str) -> str:
    try:
        return str(Path(place).resolve()) if place and Path(place).exists() else place
    except (OSError, ValueError):  # too long for a path, or with a NUL
        raise Misused(
            "NotThere", "There is no such file, and it is no address.", "Name a bundle or a git URL."
        ) from None


def _credentials(home: Home, url: SourceUrl) -> Credentials:
    """Return this device's credentials for its own source's host, and none for any other."""
    own = parse_url(home.settings.source)
    same = (url.transport, url.host, url.port, url.user) == (own.transport, own.host, own.port, own.user)
    return Credentials.in_folder(home.paths.keys if same else home.paths.keys / "none")
