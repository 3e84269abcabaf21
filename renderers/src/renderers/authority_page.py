"""A printable page about the home's certificate authority: how each kind of device comes to trust it, and what that means.

Pure, like everything here.
"""

from __future__ import annotations

from collections.abc import Sequence

from renderers.pages import page


def authority_page(name: str, domain: str, *, fingerprint: str, ends: str, addresses: Sequence[str]) -> str:
    """Return the page for the root called `name`, which vouches for `domain` until `ends`; servers ask at the ACME `addresses`."""
    return page("authority.html.j2", name=name, domain=domain, fingerprint=fingerprint, ends=ends, addresses=addresses)
