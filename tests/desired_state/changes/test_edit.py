"""Editing the text of household files: the smallest difference a person would have made by hand."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from desired_state.changes import ChangeRefused
from desired_state.changes.base import Edit
from desired_state.changes.edit import edited
from tests.desired_state.changes.holm import changed, diff, holm

GOLDEN: list[tuple[dict[str, Any], list[str]]] = [
    (
        {"kind": "add-person", "person": "john", "name": "John Holm", "access": {"family": "write"}},
        [
            "+  john: {name: John Holm}",
            "-      access: {anna: write, jens: write, mia: read}     # write = read, save and delete",
            "+      access: {anna: write, jens: write, mia: read, john: write}     # write = read, save and delete",
        ],
    ),
    (
        {
            "kind": "add-device",
            "device": "doorbell",
            "mac": "02:00:5e:10:00:09",
            "name": "Doorbell",
            "address": "192.168.10.40",
        },
        [
            "+  doorbell:",
            "+    name: Doorbell",
            "+    mac: 02:00:5e:10:00:09",
            "+    address: 192.168.10.40",
        ],
    ),
    (
        {"kind": "add-group", "group": "guests", "name": "Guests", "resolver": "192.168.10.4", "devices": ["tv"]},
        [
            "+  guests: {name: Guests, resolver: 192.168.10.4}",
            "+    group: guests",
        ],
    ),
    (
        {"kind": "set-address", "device": "tv", "address": "192.168.10.31"},
        [
            "-    address: 192.168.10.30     # and, optionally, ipv6:",
            "+    address: 192.168.10.31     # and, optionally, ipv6:",
        ],
    ),
    (
        {"kind": "set-address", "device": "anna-laptop", "address": "192.168.10.21"},
        [
            "+    address: 192.168.10.21",
        ],
    ),
    (
        {"kind": "block", "block": "youtube", "for": ["kids"]},
        [
            "+    youtube:",
            "+      sites: [youtube]",
            "+      for: [kids]",
        ],
    ),
    (
        {"kind": "widen-block", "block": "tiktok", "domains": ["musical.example"]},
        [
            "-      domains: [tiktok-mirror.example]",
            "+      domains: [tiktok-mirror.example, musical.example]",
        ],
    ),
    (
        {"kind": "narrow-block", "block": "tiktok", "domains": ["tiktok-mirror.example"]},
        [
            "-      domains: [tiktok-mirror.example]",
        ],
    ),
    (
        {"kind": "block-for", "block": "tiktok"},
        [
            "-      for: [kids]               # groups that have a resolver; without `for`, everyone",
        ],
    ),
    (
        {"kind": "unblock", "block": "ads"},
        [
            "-    ads:",
            "-      domains: [doubleclick.net]",
            "-      reason: Advertising",
        ],
    ),
    (
        {"kind": "remove-name", "name": "wiki"},
        [
            "-  names:                        # inside the home's domain; an address, a device that has one, or `appliance`",
            "-    wiki: appliance",
            "+  names: {}                     # inside the home's domain; an address, a device that has one, or `appliance`",
        ],
    ),
    (
        {"kind": "set-upstreams", "upstreams": ["1.1.1.1", "1.0.0.1"]},
        [
            "-  upstreams: [9.9.9.9, 149.112.112.112]",
            "+  upstreams: [1.1.1.1, 1.0.0.1]",
        ],
    ),
    (
        {"kind": "set-dhcp", "lease": "24h"},
        [
            "-    lease: 12h",
            "+    lease: 24h",
        ],
    ),
    (
        {"kind": "set-alias", "alias": "scans", "people": ["jens"]},
        [
            "-    scans: [anna, jens]",
            "+    scans: [jens]",
        ],
    ),
    (
        {"kind": "set-alias", "alias": "office", "people": ["anna"]},
        [
            "+    office: [anna]",
        ],
    ),
    (
        {"kind": "set", "path": "mail.relay.port", "value": 465},
        [
            "-    port: 587",
            "+    port: 465",
        ],
    ),
    (
        {"kind": "set", "path": "certificates.lifetime.default", "value": "336h"},
        [
            "-  lifetime: {default: 24h, maximum: 720h}",
            "+  lifetime: {default: 336h, maximum: 720h}",
        ],
    ),
    (
        {"kind": "set", "path": "dns.rebind_allowed", "value": ["plex.direct"]},
        [
            "+  rebind_allowed: [plex.direct]",
        ],
    ),
    (
        {
            "kind": "add-share",
            "share": "scouts",
            "description": "Scouts, all of them",
            "access": {"everyone": "read", "jens": "write"},
        },
        [
            "+    scouts:",
            "+      description: Scouts, all of them",
            "+      access: {everyone: read, jens: write}",
        ],
    ),
    (
        {"kind": "revoke-access", "who": "mia", "share": "family"},
        [
            "-      access: {anna: write, jens: write, mia: read}     # write = read, save and delete",
            "+      access: {anna: write, jens: write}     # write = read, save and delete",
        ],
    ),
    (
        {"kind": "set-email", "person": "mia", "email": "mia@holm.example"},
        [
            "-  mia: {name: Mia Holm}",
            "+  mia: {name: Mia Holm, email: mia@holm.example}",
        ],
    ),
]


@pytest.mark.parametrize(("raw", "expected"), GOLDEN, ids=[raw["kind"] + str(n) for n, (raw, _) in enumerate(GOLDEN)])
def test_a_change_of_the_example_touches_only_its_own_lines(raw: dict[str, Any], expected: list[str]) -> None:
    """Comments, order, flow and block style stay as the family wrote them."""
    assert diff(holm(), changed(holm(), raw)).splitlines() == expected


BLOCK_LISTS = """\
dns:
  upstreams:
  - 9.9.9.9   # Quad9
  # the second one
  - 149.112.112.112
  blocked:
    "ads":
        domains:
          - 'a.example'     # first
          - b.example
    # about games
    games: {
      domains: [
        c.example,   # third
        d.example
      ],
      reason: "too much: really",   # why
    }
"""


@pytest.mark.parametrize(
    ("edit", "removed", "added"),
    [
        (Edit("extend", "f", ("dns", "blocked", "ads", "domains"), ["z.example"]), [], ["          - z.example"]),
        (Edit("take", "f", ("dns", "blocked", "ads", "domains"), ["b.example"]), ["          - b.example"], []),
        (
            Edit("extend", "f", ("dns", "blocked", "games", "domains"), ["z.example"]),
            ["        d.example"],
            ["        d.example,", "        z.example"],
        ),
        (
            Edit("put", "f", ("dns", "blocked", "games", "reason"), "less: please"),
            ['      reason: "too much: really",   # why'],
            ['      reason: "less: please",   # why'],
        ),
        (
            Edit("arrange", "f", ("dns", "upstreams"), ["1.1.1.1", "149.112.112.112"]),
            ["  - 9.9.9.9   # Quad9"],
            ["  - 1.1.1.1   # Quad9"],
        ),
        (
            Edit("add", "f", ("dns", "blocked", "more"), {"domains": ["x.example"], "reason": "NO"}),
            [],
            ['    more: {domains: [x.example], reason: "NO"}'],
        ),
        (
            Edit("drop", "f", ("dns", "blocked", "games")),
            BLOCK_LISTS.splitlines()[11:],
            [],
        ),
    ],
)  # fmt: skip
def test_block_lists_quotes_and_flow_over_several_lines_keep_their_style(
    edit: Edit, removed: list[str], added: list[str]
) -> None:
    """Whatever layout someone chose, only the lines that say something else change."""
    after = edited("f", BLOCK_LISTS, [edit])
    before_lines, after_lines = BLOCK_LISTS.splitlines(), after.splitlines()
    assert [line for line in before_lines if line not in after_lines] == removed
    assert [line for line in after_lines if line not in before_lines] == added
    assert yaml.safe_load(after) is not None


@pytest.mark.parametrize(
    ("text", "path", "value", "expected"),
    [
        ("people: {}  # nobody yet\n", ("people", "a"), {"name": "A"}, "people:  # nobody yet\n  a:\n    name: A\n"),
        ("dns:\n  names: {}\n", ("dns", "names", "a"), "appliance", "dns:\n  names: {a: appliance}\n"),
        ("people:\n  a: {name: A}", ("people", "b"), {"name": "B"}, "people:\n  a: {name: A}\n  b: {name: B}\n"),
        ("files: {shares: {}}\n", ("files", "shares", "s"), {"description": "S"}, "files: {shares: {s: {description: S}}}\n"),
        ("dns: {names: {a: appliance,}}\n", ("dns", "names", "b"), "tv", "dns: {names: {a: appliance, b: tv}}\n"),
        ("people:\n  a: {name: A}\n# the end\n", ("people", "b"), {"name": "B"}, "people:\n  a: {name: A}\n  b: {name: B}\n# the end\n"),
        ("people:\n  a: {name: A}\n  # about a\n", ("people", "a", "email"), "a@b.example",
         "people:\n  a: {name: A, email: a@b.example}\n  # about a\n"),
        ("dns:\n  upstreams: [9.9.9.9]\n", ("dns", "names", "a"), "appliance",
         "dns:\n  upstreams: [9.9.9.9]\n  names:\n    a: appliance\n"),
    ],
)  # fmt: skip
def test_new_entries_follow_their_surroundings(text: str, path: tuple[str, ...], value: Any, expected: str) -> None:
    """Empty mappings, missing parents, trailing commas and missing last line ends are all met."""
    assert edited("f", text, [Edit("put", "f", path, value)]) == expected


@pytest.mark.parametrize(
    "words",
    ["yes", "1:30:00", "0777", "a: b", "# x", "- x", "it's", 'say "hi"', "{x}", "null", "ø, å", "@home", "\\n", "x #y"],
)
@pytest.mark.parametrize(
    "text", ["people:\n  a: {name: A}\n", "people:\n  a:\n    name: 'A'\n", 'people:\n  a:\n    name: "A"\n']
)
def test_a_text_that_yaml_could_misread_comes_back_as_it_was(words: str, text: str) -> None:
    """A name is a name, in whatever quotes the one before it stood."""
    after = edited("f", text, [Edit("put", "f", ("people", "a", "name"), words)])
    assert yaml.safe_load(after) == {"people": {"a": {"name": words}}}


@pytest.mark.parametrize(
    "layout",
    [
        "dns: {upstreams: [1.1.1.1, 2.2.2.2, 3.3.3.3]}\n",
        "dns:\n  upstreams:\n    - 1.1.1.1\n    - 2.2.2.2\n    - 3.3.3.3\n",
    ],
)
@pytest.mark.parametrize("wanted", ["3", "31", "321", "4132", "45", "21345"])
def test_resolvers_come_out_in_the_order_that_was_asked_for(layout: str, wanted: str) -> None:
    """Reordering, shortening and lengthening at once leaves no resolver twice."""
    addresses = [".".join(digit * 4) for digit in wanted]
    after = edited("f", layout, [Edit("arrange", "f", ("dns", "upstreams"), addresses)])
    assert yaml.load(after, Loader=yaml.BaseLoader) == {"dns": {"upstreams": addresses}}


def test_what_is_not_there_is_not_opened_by_accident() -> None:
    """Renaming a person whom nobody knows must not make one."""
    with pytest.raises(ChangeRefused, match=r"people\.yaml has no people\.names"):
        edited(
            "people.yaml", "people:\n  a: {name: A}\n", [Edit("put", "people.yaml", ("people", "names", "name"), "N")]
        )


def test_the_last_person_can_leave_without_breaking_the_file() -> None:
    """An empty mapping is written as one, and its comment stays."""
    text = "people:      # who lives here\n  a: {name: A}\n"
    assert (
        edited("people.yaml", text, [Edit("drop", "people.yaml", ("people", "a"))]) == "people: {}   # who lives here\n"
    )


def test_windows_line_ends_are_kept() -> None:
    """A file that was written on Windows stays readable there."""
    text = "people:\r\n  a: {name: A}\r\n"
    after = edited("people.yaml", text, [Edit("add", "people.yaml", ("people", "b"), {"name": "B"})])
    assert after == text + "  b: {name: B}\r\n"
