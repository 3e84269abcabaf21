"""Risk, edition 1: verdicts pinned for good, a verdict for every field, and the ways round it that must not work."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, given, settings

from desired_state.changes import Risk, UnknownEdition, difference, judge
from desired_state.changes.edition_1 import NARROWING, TABLE
from desired_state.load import DesiredState
from desired_state.model import Household, Part
from tests.desired_state.changes.holm import changed, holm, with_files
from tests.desired_state.households import desired_states

Raw = dict[str, Any]


def _grant(who: str, share: str, level: str) -> Raw:
    return {"kind": "grant-access", "who": who, "share": share, "level": level}


def _set(path: str, value: object) -> Raw:
    return {"kind": "set", "path": path, "value": value}


def _device(device: str, number: int, **more: str) -> Raw:
    return {"kind": "add-device", "device": device, "mac": f"02:00:5e:10:00:{number:02x}", "name": device, **more}


def _mia_again(**more: str) -> Raw:
    return {**_device("mia-tablet", 3, owner="mia", **more), "name": "Mia's tablet"}


CORPUS: list[tuple[str, list[Raw], str]] = [
    ("nothing", [], "low"),
    # texts
    ("home renamed", [_set("name", "The Holms")], "low"),
    ("person renamed", [{"kind": "rename-person", "person": "mia", "name": "Mia"}], "low"),
    ("device renamed", [{"kind": "rename-device", "device": "tv", "name": "TV"}], "low"),
    ("group renamed", [{"kind": "rename-group", "group": "kids", "name": "Kids"}], "low"),
    ("share described", [{"kind": "describe-share", "share": "media", "description": "Films"}], "low"),
    ("reason", [{"kind": "set-reason", "block": "ads", "reason": "Noise"}], "low"),
    ("reason gone", [{"kind": "set-reason", "block": "ads", "reason": None}], "low"),
    # new things
    ("new device", [_device("doorbell", 9)], "low"),
    ("new device of a group", [_device("doorbell", 9, group="kids", owner="mia")], "low"),
    ("new reservation", [_device("doorbell", 9, address="192.168.10.40")], "low"),
    ("address moved", [{"kind": "set-address", "device": "tv", "address": "192.168.10.31"}], "low"),
    ("address given", [{"kind": "set-address", "device": "anna-laptop", "address": "192.168.10.31"}], "low"),
    ("address let go", [{"kind": "set-address", "device": "tv", "address": None}], "low"),
    ("new name", [{"kind": "add-name", "name": "nas", "target": "tv"}], "low"),
    ("block for all", [{"kind": "block", "block": "x"}], "low"),
    ("block for a group", [{"kind": "block", "block": "youtube", "for": ["kids"]}], "low"),
    ("block widened", [{"kind": "widen-block", "block": "ads", "domains": ["ads.example"]}], "low"),
    ("block for all now", [{"kind": "block-for", "block": "tiktok"}], "low"),
    # access
    ("new person", [{"kind": "add-person", "person": "john", "name": "John"}], "medium"),
    ("access granted", [_grant("mia", "backups", "read")], "medium"),
    ("access widened", [_grant("mia", "family", "write")], "medium"),
    ("access narrowed", [_grant("jens", "family", "read")], "medium"),
    ("access for everyone", [_grant("everyone", "backups", "read")], "medium"),
    ("access revoked", [{"kind": "revoke-access", "who": "mia", "share": "family"}], "medium"),
    ("new share", [{"kind": "add-share", "share": "scouts", "description": "Scouts"}], "medium"),
    ("share removed", [{"kind": "remove-share", "share": "media"}], "medium"),
    ("e-mail moved", [{"kind": "set-email", "person": "anna", "email": "a@evil.example"}], "medium"),
    ("e-mail given", [{"kind": "set-email", "person": "mia", "email": "mia@holm.example"}], "medium"),
    ("new alias", [{"kind": "set-alias", "alias": "office", "people": ["anna"]}], "medium"),
    ("alias moved", [{"kind": "set-alias", "alias": "scans", "people": ["jens"]}], "medium"),
    ("alias removed", [{"kind": "remove-alias", "alias": "scans"}], "medium"),
    # devices and groups
    ("device removed", [{"kind": "remove-device", "device": "mia-tablet"}], "medium"),
    ("other machine", [{"kind": "set-mac", "device": "mia-tablet", "mac": "02:00:5e:10:00:77"}], "medium"),
    ("other owner", [{"kind": "set-owner", "device": "tv", "owner": "anna"}], "medium"),
    ("no owner", [{"kind": "set-owner", "device": "mia-tablet", "owner": None}], "medium"),
    ("into a group", [{"kind": "set-group", "device": "tv", "group": "kids"}], "medium"),
    ("out of its group", [{"kind": "set-group", "device": "mia-tablet", "group": None}], "medium"),
    ("removed and added outside its group", [{"kind": "remove-device", "device": "mia-tablet"}, _mia_again()], "medium"),
    (
        "removed and added by another id",
        [{"kind": "remove-device", "device": "mia-tablet"}, {**_mia_again(), "device": "tablet"}],
        "medium",
    ),
    ("removed and added as it was", [{"kind": "remove-device", "device": "mia-tablet"}, _mia_again(group="kids")], "low"),
    ("new group", [{"kind": "add-group", "group": "guests", "name": "Guests", "resolver": "192.168.10.4"}], "medium"),
    ("resolver moved", [{"kind": "set-resolver", "group": "kids", "resolver": "192.168.10.4"}], "medium"),
    # names and blocks
    ("name leads elsewhere", [{"kind": "point-name", "name": "wiki", "target": "tv"}], "medium"),
    ("name removed", [{"kind": "remove-name", "name": "wiki"}], "medium"),
    (
        "name removed and added",
        [{"kind": "remove-name", "name": "wiki"}, {"kind": "add-name", "name": "wiki", "target": "tv"}],
        "medium",
    ),
    ("unblocked", [{"kind": "unblock", "block": "ads"}], "medium"),
    ("site taken out", [{"kind": "narrow-block", "block": "tiktok", "sites": ["tiktok"]}], "medium"),
    ("domain taken out", [{"kind": "narrow-block", "block": "tiktok", "domains": ["tiktok-mirror.example"]}], "medium"),
    ("block for fewer", [{"kind": "block-for", "block": "ads", "groups": ["kids"]}], "medium"),
    (
        "unblocked under another id",
        [{"kind": "unblock", "block": "tiktok"}, {"kind": "block", "block": "other", "sites": ["tiktok"], "for": ["kids"]}],
        "medium",
    ),
    (
        "a wider domain instead",
        [
            {"kind": "widen-block", "block": "tiktok", "domains": ["b.example", "a.b.example"]},
            {"kind": "narrow-block", "block": "tiktok", "domains": ["a.b.example"]},
        ],
        "low",
    ),
    # what the home itself needs
    ("relay blocked", [{"kind": "block", "block": "m", "domains": ["mail.example"]}], "high"),
    ("relay's own name blocked", [{"kind": "block", "block": "m", "domains": ["smtp.mail.example"], "for": ["kids"]}], "high"),
    ("time blocked", [{"kind": "block", "block": "t", "domains": ["pool.ntp.org"], "for": ["kids"]}], "high"),
    ("one time server blocked", [{"kind": "widen-block", "block": "tiktok", "domains": ["2.debian.pool.ntp.org"]}], "high"),
    ("another's time blocked", [{"kind": "block", "block": "t", "domains": ["time.cloudflare.com"], "for": ["kids"]}], "high"),
    ("git host blocked", [{"kind": "block", "block": "g", "domains": ["github.com"], "for": ["kids"]}], "high"),
    # what a home stands on
    ("upstreams", [{"kind": "set-upstreams", "upstreams": ["1.1.1.1", "1.0.0.1"]}], "high"),
    ("upstreams in another order", [{"kind": "set-upstreams", "upstreams": ["149.112.112.112", "9.9.9.9"]}], "high"),
    ("range moved", [{"kind": "set-dhcp", "to": "192.168.10.150"}], "high"),
    ("lease", [{"kind": "set-dhcp", "lease": "24h"}], "high"),
    ("no addresses", [{"kind": "remove-dhcp"}], "high"),
    ("rebinding", [_set("dns.rebind_allowed", ["plex.direct"])], "high"),
    ("time zone", [_set("timezone", "Europe/Oslo")], "high"),
    ("router", [_set("network.router", "192.168.10.254")], "high"),
    ("home's IPv6", [_set("network.ipv6", "fd00:10::/64")], "high"),
    ("appliance's name", [_set("appliance.name", "pi")], "high"),
    ("workgroup", [_set("files.workgroup", "HOLMS")], "high"),
    ("backups", [{"kind": "set-time-machine", "share": "media", "allowed": True}], "high"),
    ("limit", [{"kind": "set-time-machine", "share": "backups", "allowed": True, "limit": "1T"}], "high"),
    ("relay", [_set("mail.relay.host", "smtp.evil.example")], "high"),
    ("sender", [_set("mail.relay.sender", "jens@holm.example")], "high"),
    ("accept from", [_set("mail.accept_from", ["10.0.0.0/8", "192.168.10.0/24"])], "high"),
    ("authority's name", [_set("certificates.name", "Holm CA 2")], "high"),
    ("lifetime", [_set("certificates.lifetime.default", "336h")], "high"),
    ("ACME off", [_set("certificates.acme", False)], "high"),
    ("service removed", [{"kind": "remove-service", "service": "certificates"}], "high"),
    # the highest counts
    ("low and high", [_device("doorbell", 9), {"kind": "set-dhcp", "lease": "24h"}], "high"),
    ("low and medium", [_device("doorbell", 9), {"kind": "unblock", "block": "ads"}], "medium"),
]  # fmt: skip


@pytest.mark.parametrize(("raw", "risk"), [case[1:] for case in CORPUS], ids=[case[0] for case in CORPUS])
def test_edition_1_never_changes_its_verdicts(raw: list[Raw], risk: str) -> None:
    """Homes in the field were approved under these verdicts: a difference here is a new edition."""
    after = changed(holm(), *raw)
    verdict = judge(holm(), after)
    assert verdict.risk == risk
    assert verdict.changes == difference(holm(), after)
    assert bool(verdict.reasons) == bool(verdict.changes)


@pytest.mark.parametrize(
    ("files", "risk"),
    [
        ({"README.md": "# Another\n"}, "high"),
        ({"README.md": ""}, "high"),
        ({"services/certificates.yaml": "# ours\n" + holm().files["services/certificates.yaml"].decode()}, "low"),
        ({"secrets/relay-password.age": "other"}, "high"),
        ({"secrets/ca-key.age": "new"}, "high"),
        ({"secrets/person-mia.age": "new"}, "low"),
        ({"secrets/person-nobody.age": "new"}, "high"),
        ({"services/certificates.yaml": ""}, "high"),
    ],
)  # fmt: skip
def test_files_beside_the_household_are_judged_too(files: Mapping[str, str], risk: str) -> None:
    """A swapped secret, a text or a comment cannot hide."""
    assert judge(holm(), with_files(files)).risk == risk


def test_a_persons_secret_that_a_service_uses_is_a_services_secret() -> None:
    """The relay's password does not become low by being called after a person: not by these rules alone either."""
    home = holm().household
    assert home.mail is not None
    relay = home.mail.relay.model_copy(update={"password": "secret:person-mia"})
    renamed = home.model_copy(update={"mail": home.mail.model_copy(update={"relay": relay})})
    before, after = (
        DesiredState(renamed, {**holm().files, "secrets/person-mia.age": word}) for word in (b"old", b"evil")
    )
    assert judge(before, after).risk is Risk.HIGH


def test_a_difference_under_trust_is_trust() -> None:
    """Whatever else changes, the rules of trust stand above it."""
    after = DesiredState(holm().household, {**holm().files, "trust/owners": b"mallory"})
    assert judge(holm(), after).risk is Risk.TRUST


def test_a_file_that_nobody_knows_is_high() -> None:
    """What no change explains is never low."""
    after = DesiredState(holm().household, {**holm().files, "notes.txt": b"x"})
    assert judge(holm(), after).risk is Risk.HIGH


def test_the_homes_own_source_cannot_be_blocked_quietly() -> None:
    """A home whose source is blocked would never hear of a mended rule."""
    after = changed(holm(), {"kind": "block", "block": "g", "domains": ["forge.example"], "for": ["kids"]})
    assert judge(holm(), after).risk is Risk.LOW
    assert judge(holm(), after, source="git.forge.example").risk is Risk.HIGH


def test_the_id_of_a_removed_person_is_recognised() -> None:
    """Who gets the id of somebody else would get their files."""
    after = changed(holm(), {"kind": "add-person", "person": "john", "name": "John"})
    verdict = judge(holm(), after, past_people=frozenset({"john"}))
    assert verdict.risk is Risk.MEDIUM
    assert verdict.reasons == ("john was the id of somebody else before",)


def test_a_new_person_is_said_to_get_what_everyone_may() -> None:
    """The reason counts the folders that a new person gets into."""
    verdict = judge(holm(), changed(holm(), {"kind": "add-person", "person": "john", "name": "John"}))
    assert verdict.reasons == ("a new person joins and gets into 1 shared folder",)


def test_taking_over_the_address_behind_a_name_is_pointing_it_elsewhere() -> None:
    """A reservation is low, but not the one that a name already leads to."""
    before = changed(holm(), {"kind": "add-name", "name": "nas", "target": "192.168.10.50"})
    after = changed(before, _device("mallory", 9, address="192.168.10.50"))
    assert judge(before, after).reasons == ("nas leads to another machine",)


def test_an_unknown_edition_is_not_judged() -> None:
    """A policy from the future stops judging instead of guessing."""
    with pytest.raises(UnknownEdition):
        judge(holm(), holm(), 2)


def test_risks_are_ordered() -> None:
    """The highest is found by max, not by the alphabet."""
    assert sorted([Risk.TRUST, Risk.HIGH, Risk.LOW, Risk.MEDIUM]) == [Risk.LOW, Risk.MEDIUM, Risk.HIGH, Risk.TRUST]
    assert max(Risk) is Risk.TRUST
    assert Risk.LOW <= Risk.LOW
    assert Risk.HIGH >= Risk.MEDIUM


def test_every_field_of_the_household_has_a_verdict() -> None:
    """A new field without a verdict fails here; until then it is high."""
    named = {*TABLE, *((pattern, "changed") for pattern in NARROWING)}
    assert set(_possible(Household)) == named


def _possible(part: type[Part], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, info in part.model_fields.items():
        pattern, annotation = f"{prefix}{info.alias or name}", info.annotation
        entry = _entry(annotation)
        inner = None if entry else _part(annotation)
        if inner and not info.is_required() and info.default is None:
            yield from ((pattern, how) for how in ("added", "removed"))
        if inner:
            yield from _possible(inner, f"{pattern}.")
        elif entry:
            yield from ((f"{pattern}.*", how) for how in ("added", "removed"))
            value = _part(entry)
            yield from _possible(value, f"{pattern}.*.") if value else ((f"{pattern}.*", "changed"),)
        else:
            yield pattern, "changed"


def _part(annotation: Any) -> type[Part] | None:
    found = [each for each in (annotation, *get_args(annotation)) if isinstance(each, type) and issubclass(each, Part)]
    return found[0] if found else None


def _entry(annotation: Any) -> Any:
    """Return the type of a mapping's values, None for any other type."""
    return get_args(annotation)[1] if getattr(annotation, "__origin__", None) is Mapping else None


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(desired_states(), desired_states())
def test_only_equal_trees_have_no_reason(before: DesiredState, after: DesiredState) -> None:
    """Every difference has a verdict of its own, and equal trees are low."""
    verdict = judge(before, after)
    assert bool(verdict.reasons) == (before.files != after.files)
    assert judge(before, before).risk is Risk.LOW
