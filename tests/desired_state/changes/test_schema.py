"""The schema that a model answers in, and the words that a person types: nothing outside this household can be named."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from desired_state.changes import OFFERED, STATEMENTS, ChangeRefused, arguments, change_schema, known, read_words
from desired_state.changes.base import AMONG
from tests.desired_state.changes.holm import holm, with_files
from tests.desired_state.changes.test_edit import GOLDEN
from tests.desired_state.changes.test_risk import CORPUS

VALIDATOR = Draft202012Validator(change_schema(holm().household))


def test_the_schema_is_one_and_stands_alone() -> None:
    """No reference, no mark of ours, no null byte of another document."""
    text = json.dumps(change_schema(holm().household))
    Draft202012Validator.check_schema(json.loads(text))
    assert "$ref" not in text
    assert AMONG not in text


def test_every_change_that_tests_make_is_in_the_schema() -> None:
    """What a person may say, a model may say."""
    for raw in [*(raw for raw, _ in GOLDEN), *(each for _, many, _ in CORPUS for each in many)]:
        if (
            raw.get("name") != "nas"
            and raw.get("who") != "john"
            and raw != {"kind": "remove-service", "service": "certificates"}
        ):
            assert VALIDATOR.is_valid(raw), raw


@pytest.mark.parametrize(
    "raw",
    [
        {"kind": "grant-access", "who": "john", "share": "family", "level": "read"},
        {"kind": "grant-access", "who": "mia", "share": "scouts", "level": "read"},
        {"kind": "grant-access", "who": "mia", "share": "family", "level": "admin"},
        {"kind": "block", "block": "b", "sites": ["myspace"]},
        {"kind": "block", "block": "b", "domains": ["a.example"], "for": ["parents"]},
        {"kind": "point-name", "name": "wiki", "target": "anna-laptop"},
        {"kind": "set", "path": "trust.owners", "value": "x"},
        {"kind": "set", "path": "id", "value": "5b0c8a52-2f6e-4c51-9b1e-8d8f3a7f0c11"},
        {"kind": "set", "path": "certificates.acme", "value": "maybe"},
        {"kind": "edit-text", "file": "README.md"},
        {"kind": "replace-secret", "secret": "relay-password", "sha256": "0" * 64},
        {"kind": "add-dns", "upstreams": ["9.9.9.9"]},
        {"kind": "add-person", "person": "john", "name": "John", "access": {"scouts": "write"}},
        {"kind": "open-port", "port": 22},
        {},
    ],
)
def test_what_the_household_does_not_have_cannot_be_said(raw: dict[str, Any]) -> None:
    """Invented people, shares, sites, groups and settings have no place in an answer."""
    assert not VALIDATOR.is_valid(raw)


def test_a_statement_about_what_is_not_there_is_left_out() -> None:
    """Without mail there are no aliases to set, but there is mail to add."""
    kinds = set(_kinds(change_schema(with_files({"services/mail.yaml": ""}).household)))
    assert not kinds & {"set-alias", "remove-alias"}
    assert "add-mail" in kinds
    assert "add-mail" not in set(_kinds(change_schema(holm().household)))


def _kinds(schema: dict[str, Any]) -> list[str]:
    if "properties" in schema:
        return [schema["properties"]["kind"]["const"]]
    return [kind for option in schema["anyOf"] for kind in _kinds(option)]


@pytest.mark.parametrize("kind", OFFERED)
def test_every_field_of_a_statement_is_an_argument_with_help(kind: str) -> None:
    """Commands are generated from the types; positional arguments come first and are not optional in between."""
    statement = STATEMENTS[kind]
    described = arguments(statement)
    fields = [info.alias or name for name, info in statement.model_fields.items() if name != "kind"]
    assert sorted(argument.name for argument in described) == sorted(fields)
    assert all(argument.help.endswith(".") for argument in described)
    assert statement.__doc__
    assert not any(argument.several for argument in described[: len(statement.positional) - 1])


def test_words_make_the_change_that_they_say() -> None:
    """Text from a command line becomes the same typed change."""
    household = holm().household
    words = {"person": "john", "name": "John Holm", "access": ["family=write", "media=read"]}
    made = read_words("add-person", words, household)
    assert made.model_dump(exclude_none=True) == {
        "kind": "add-person", "person": "john", "name": "John Holm", "access": {"family": "write", "media": "read"},
    }  # fmt: skip
    assert read_words("set-address", {"device": "tv", "address": "none"}, household).model_dump()["address"] is None
    assert read_words("set", {"path": "mail.relay.port", "value": ["465"]}, household).model_dump()["value"] == "465"
    assert read_words("set", {"path": "network.ipv6", "value": ["none"]}, household).model_dump()["value"] is None


@pytest.mark.parametrize(
    ("kind", "words", "why"),
    [
        (
            "grant-access",
            {"who": "mai", "share": "family", "level": "write"},
            "who: mai is not known: did you mean mia?",
        ),
        ("block", {"block": "tiktok2", "sites": ["tikt0k"]}, "did you mean tiktok?"),
        ("block", {"block": "youtube", "for": ["zzz"]}, "for: zzz is not known: there is kids"),
        ("add-person", {"person": "john", "name": "J", "access": ["family"]}, "family is not NAME=LEVEL"),
        ("grant", {}, "no change called grant"),
        ("edit-text", {"file": "README.md"}, "no kind of change"),
    ],
)
def test_words_that_name_nothing_are_refused_with_the_nearest(kind: str, words: dict[str, Any], why: str) -> None:
    """A typing error costs one more try, not a search through files."""
    with pytest.raises(ChangeRefused) as refused:
        read_words(kind, words, holm().household)
    assert why in refused.value.message


def test_known_ids_are_the_households_own() -> None:
    """Completion offers exactly what is there."""
    ids = known(holm().household)
    assert ids["people"] == ("anna", "jens", "mia")
    assert ids["resolving"] == ("kids",)
    assert ids["addressed"] == ("printer", "tv")
