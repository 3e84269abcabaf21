"""Applying changes: all or nothing, and every refusal says why."""

from __future__ import annotations

from typing import Any

import pytest

from desired_state.changes import ChangeRefused, apply, difference, read_change, read_changes
from desired_state.changes.settings import EditText, ReplaceSecret
from desired_state.load import DesiredState
from tests.desired_state.changes.holm import changed, holm, with_files


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        ({"kind": "add-person", "person": "mia", "name": "Mia"}, "people.mia is there already"),
        ({"kind": "remove-person", "person": "john"}, "has no people.john"),
        ({"kind": "remove-person", "person": "mia"}, "would not be valid"),
        ({"kind": "rename-person", "person": "john", "name": "J"}, "has no people.john"),
        ({"kind": "set-address", "device": "tv", "address": "10.0.0.1"}, "would not be valid"),
        ({"kind": "set-address", "device": "tv", "address": "192.168.10.20"}, "would not be valid"),
        ({"kind": "grant-access", "who": "john", "share": "family", "level": "read"}, "would not be valid"),
        ({"kind": "grant-access", "who": "mia", "share": "scouts", "level": "read"}, "has no files.shares.scouts"),
        ({"kind": "block", "block": "ads", "domains": ["a.example"]}, "dns.blocked.ads is there already"),
        ({"kind": "narrow-block", "block": "ads", "domains": ["a.example"]}, "does not hold a.example"),
        ({"kind": "narrow-block", "block": "ads", "domains": ["doubleclick.net"]}, "would not be valid"),
        ({"kind": "unblock", "block": "adds"}, "has no dns.blocked.adds"),
        ({"kind": "add-dns", "upstreams": ["9.9.9.9"]}, "services/dns.yaml is there already"),
        ({"kind": "add-name", "name": "laptop", "target": "anna-laptop"}, "would not be valid"),
        ({"kind": "set", "path": "mail.accept_from", "value": ["0.0.0.0/0"]}, "would not be valid"),
    ],
)
def test_a_change_that_does_not_fit_is_refused_with_a_reason(raw: dict[str, Any], why: str) -> None:
    """One clear sentence, and the household is as it was."""
    with pytest.raises(ChangeRefused) as refused:
        changed(holm(), raw)
    assert why in refused.value.message
    assert bool(refused.value.findings) == ("would not be valid" in why)


def test_changes_are_checked_at_the_end_and_not_in_between() -> None:
    """A person may leave if the same list takes away whatever named them."""
    gone = changed(
        holm(),
        {"kind": "remove-person", "person": "mia"},
        {"kind": "revoke-access", "who": "mia", "share": "family"},
        {"kind": "set-owner", "device": "mia-tablet", "owner": None},
    )
    assert "mia" not in gone.household.people


def test_a_change_of_a_service_that_is_not_there_says_how_to_get_it() -> None:
    """The remedy is in the sentence."""
    without = with_files({"services/mail.yaml": ""})
    with pytest.raises(ChangeRefused, match=r"services/mail\.yaml is not there: `hearth change add-mail` comes first"):
        changed(without, {"kind": "remove-alias", "alias": "root"})


def test_a_service_can_be_removed_and_made_again() -> None:
    """What a statement cannot say in one, the difference says in several."""
    without = with_files({"services/mail.yaml": ""})
    assert apply(without, difference(without, holm())).household == holm().household


def test_saying_what_is_so_already_changes_no_byte() -> None:
    """A grant that holds already, in other words, leaves the file alone."""
    same = changed(
        holm(),
        {"kind": "grant-access", "who": "mia", "share": "family", "level": "read"},
        {"kind": "block-for", "block": "ads"},
    )
    assert same.files == holm().files


def test_secrets_and_texts_come_from_outside_the_change() -> None:
    """A change names a secret's new file; only who holds the file can put it there."""
    swapped = DesiredState(holm().household, {**holm().files, "secrets/relay-password.age": b"new"})
    (change,) = difference(holm(), swapped)
    assert isinstance(change, ReplaceSecret)
    assert apply(holm(), [change]).files == holm().files
    assert apply(holm(), [change], swapped.files).files == swapped.files


def test_a_text_that_says_something_else_is_no_edit_of_the_text() -> None:
    """What pretends to be a comment cannot carry a change."""
    other = with_files({"people.yaml": holm().files["people.yaml"].decode().replace("Mia Holm", "Mallory")})
    with pytest.raises(ChangeRefused, match="says something else"):
        apply(holm(), [EditText(file="people.yaml")], other.files)


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        ({}, "no kind of change"),
        ({"kind": "open-port", "port": 22}, "no kind of change"),
        ({"kind": ["block"]}, "no kind of change"),
        ({"kind": "edit-text", "file": "trust/owners"}, "no kind of change"),
        ({"kind": "replace-secret", "secret": "relay-password", "sha256": "0" * 64}, "no kind of change"),
        ({"kind": "set", "path": "id", "value": "5b0c8a52-2f6e-4c51-9b1e-8d8f3a7f0c12"}, "id never changes"),
        ({"kind": "set", "path": "trust.owners", "value": "x"}, "path is not 'apiVersion'"),
        ({"kind": "set", "path": "network.subnet", "value": None}, "cannot be left out"),
        ({"kind": "set", "path": "network.subnet", "value": "any"}, "network.subnet is not an IPv4 network"),
        ({"kind": "set-upstreams", "upstreams": ["9.9.9.9", "quad9"]}, 'upstreams "quad9" is not an IPv4 address'),
        ({"kind": "set", "path": "name", "value": {"a": "b"}}, "name is not"),
        ({"kind": "grant-access", "who": "mia"}, "share is missing"),
        ({"kind": "remove-dhcp", "force": True}, "force is no field"),
        ({"kind": "set-dhcp"}, "sets nothing"),
        ({"kind": "widen-block", "block": "ads"}, "neither a site nor a domain"),
        ({"kind": "add-person", "person": "root", "name": "R"}, "person is a reserved word"),
        ({"kind": "rename-person", "person": "mia", "name": "M\nconf-script=/x"}, "name holds a control"),
        ({"kind": "add-device", "device": "x", "name": "X", "mac": "02-00-5E-10-00-09"}, "02:00:5e:10:00:09"),
    ],
)  # fmt: skip
def test_what_is_no_change_is_refused_before_it_touches_anything(raw: dict[str, Any], why: str) -> None:
    """Forms and models can say only what is typed here; nothing of it reaches `trust/` or a secret."""
    with pytest.raises(ChangeRefused) as refused:
        read_change(raw)
    assert why in refused.value.message
    assert "\n" not in refused.value.message


def test_an_endless_list_of_changes_is_cut_off() -> None:
    """A model that repeats itself is stopped."""
    endless = ({"kind": "remove-dhcp"} for _ in iter(int, 1))
    with pytest.raises(ChangeRefused, match="more than 1000 changes"):
        read_changes(endless)


def test_a_site_or_a_domain_alone_is_enough_to_block_it() -> None:
    """`hearth change block tiktok` and `hearth change block ads.example` mean what they say."""
    by_site, by_domain = (
        read_change({"kind": "block", "block": "x"}),
        read_change({"kind": "block", "block": "ads.example"}),
    )
    assert (by_site.sites, by_domain.block, by_domain.domains) == (
        frozenset({"x"}),
        "ads-example",
        frozenset({"ads.example"}),
    )
