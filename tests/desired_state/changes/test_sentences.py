"""Sentences that people approve: what they say, and by which names."""

from __future__ import annotations

from typing import Any

import pytest

from desired_state.changes import STATEMENTS, difference, sentences
from desired_state.changes.sentences import _SENTENCES, _SETTING
from desired_state.changes.settings import PATHS
from tests.desired_state.changes.holm import changed, holm

SAID: list[tuple[dict[str, Any], list[str]]] = [
    (
        {"kind": "add-person", "person": "john", "name": "John", "access": {"family": "write"}},
        [
            "+ John joins the household, can read media (Films and music) because everyone may",
            "+ John can read, save and delete in family (Photos and papers)",
        ],
    ),
    (
        {"kind": "block", "block": "x", "sites": ["x", "youtube"], "for": ["kids"], "reason": "Homework"},
        ["+ The kids' devices (Mia's tablet) can no longer look up X or YouTube, reason: Homework"],
    ),
    ({"kind": "block", "block": "ads2", "domains": ["ads.example"]}, ["+ Nobody can look up ads.example any more"]),
    (
        {"kind": "unblock", "block": "tiktok"},
        ["- The kids' devices (Mia's tablet) can look up TikTok and tiktok-mirror.example again"],
    ),
    (
        {"kind": "narrow-block", "block": "tiktok", "sites": ["tiktok"]},
        ["- The kids' devices (Mia's tablet) can look up TikTok again"],
    ),
    ({"kind": "block-for", "block": "ads", "groups": ["kids"]}, ["~ Only The kids' devices (Mia's tablet) cannot look up doubleclick.net"]),
    (
        {"kind": "grant-access", "who": "everyone", "share": "backups", "level": "read"},
        ["+ Everyone, future people too, can read backups (Time Machine)"],
    ),
    (
        {"kind": "grant-access", "who": "jens", "share": "family", "level": "read"},
        ["- Jens Holm can only read family (Photos and papers), no longer save or delete"],
    ),
    (
        {"kind": "revoke-access", "who": "jens", "share": "media"},
        ["- Jens Holm can read media (Films and music) only as everyone may"],
    ),
    (
        {"kind": "revoke-access", "who": "mia", "share": "family"},
        ["- Mia Holm can no longer use family (Photos and papers)"],
    ),
    (
        {"kind": "set-upstreams", "upstreams": ["1.1.1.1"]},
        ["~ Cloudflare (1.1.1.1) answers for the rest of the internet, instead of Quad9 (9.9.9.9, 149.112.112.112)"],
    ),
    (
        {"kind": "set-upstreams", "upstreams": ["1.1.1.1", "9.9.9.9"]},
        ["~ Cloudflare (1.1.1.1) and Quad9 (9.9.9.9) answer for the rest of the internet, instead of Quad9 (9.9.9.9, 149.112.112.112)"],
    ),
    (
        {"kind": "set-group", "device": "mia-tablet", "group": None},
        ["~ Mia's tablet follows no group's rules any more, from the next time it asks for its address"],
    ),
    ({"kind": "point-name", "name": "wiki", "target": "tv"}, ["~ The name wiki.home.arpa now leads to Living-room television"]),
    ({"kind": "remove-device", "device": "mia-tablet"}, ["- Mia's tablet is forgotten"]),
    (
        {"kind": "remove-share", "share": "media"},
        ["- The folder media (Films and music) is shared no longer; its files stay on the disk"],
    ),
    ({"kind": "set-dhcp", "lease": "24h"}, ["~ The appliance lets a device keep its address for 24h"]),
    ({"kind": "set-alias", "alias": "scans", "people": ["jens"]}, ["~ Mail to scans@home.arpa goes to Jens Holm"]),
    (
        {"kind": "set", "path": "certificates.acme", "value": False},
        ["~ Whether devices may get certificates by ACME is now no (before: yes)"],
    ),
    ({"kind": "rename-person", "person": "mia", "name": "Mia"}, ["~ Mia Holm is now called Mia"]),
    ({"kind": "remove-service", "service": "mail"}, ["- The appliance no longer does mail; its data stays"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("raw", "expected"), SAID, ids=[raw["kind"] + str(number) for number, (raw, _) in enumerate(SAID)]
)
def test_a_change_reads_as_a_family_would_say_it(raw: dict[str, Any], expected: list[str]) -> None:
    """Names instead of ids, what it means instead of what is written."""
    after = changed(holm(), raw)
    assert list(sentences(difference(holm(), after), holm().household, after.household)) == expected


def test_many_names_are_counted_instead_of_listed() -> None:
    """A sentence stays one that can be read in a second."""
    after = changed(
        holm(), {"kind": "block", "block": "many", "domains": [f"d{number}.example" for number in range(9)]}
    )
    (said,) = sentences(difference(holm(), after), holm().household, after.household)
    assert said == "+ Nobody can look up d0.example, d1.example, d2.example or 6 more any more"


def test_every_statement_and_every_setting_has_words() -> None:
    """A new statement or setting without a sentence fails here."""
    assert set(_SENTENCES) == set(STATEMENTS.values())
    assert set(_SETTING) == set(PATHS)
