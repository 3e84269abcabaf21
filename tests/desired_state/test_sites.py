"""The table of well-known sites."""

from __future__ import annotations

import re

import pytest
from pydantic import TypeAdapter

from desired_state.model import Block
from desired_state.scalars import Domain, Id
from desired_state.sites import OTHER_NAMES, SITES, blocked_domains


@pytest.mark.parametrize("site", SITES)
def test_every_site_has_a_valid_id_and_valid_domains(site: str):
    """The table obeys the rules that a household's own domains obey, without doubles or overlaps."""
    assert TypeAdapter(Id).validate_python(site) == site
    domains = SITES[site]
    assert list(domains) == sorted(set(domains), key=list(domains).index)
    for domain in domains:
        assert TypeAdapter(Domain).validate_python(domain) == domain
        assert not any(domain.endswith(f".{other}") for other in domains)


def test_no_site_takes_a_shared_cloud_down_with_it():
    """Blocking one site never blocks a platform that everything else runs on."""
    shared = re.compile(
        r"(^|\.)(amazonaws|akamai\w*|cloudfront|cloudflare|fastly|google|googleapis|gstatic|microsoft|apple)\.\w+$"
    )
    assert [domain for domains in SITES.values() for domain in domains if shared.search(domain)] == [
        "youtubei.googleapis.com"
    ]


def test_other_names_lead_to_sites_of_the_table():
    """Each "did you mean" leads somewhere, and no site hides behind another's name."""
    assert set(OTHER_NAMES.values()) <= set(SITES)
    assert not set(OTHER_NAMES) & set(SITES)


def test_a_block_is_its_own_domains_and_those_of_its_sites():
    """The union is taken, and an unknown site adds nothing."""
    block = Block(domains=["a.example"], sites=["tiktok", "nowhere"])
    assert blocked_domains(block) == {"a.example", *SITES["tiktok"]}
