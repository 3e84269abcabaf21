"""A printable page about the home's certificate authority: how each kind of device comes to trust it, and what that means.

Pure, like everything here.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Template


def authority_page(name: str, domain: str, *, fingerprint: str, ends: str, addresses: Sequence[str]) -> str:
    """Return the page for the root called `name`, which vouches for `domain` until `ends`; servers ask at the ACME `addresses`."""
    return _template().render(name=name, domain=domain, fingerprint=fingerprint, ends=ends, addresses=addresses)


@lru_cache(maxsize=1)
def _template() -> Template:
    import jinja2

    pages = jinja2.Environment(
        loader=jinja2.PackageLoader("renderers"),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    return pages.get_template("authority.html.j2")
