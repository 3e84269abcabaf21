"""The JSON Schemas and the reference page follow from the model and stay in step with the loader."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml
from hypothesis import given
from jsonschema import Draft202012Validator

from desired_state.folder import read_folder
from desired_state.model import FILES, Household
from desired_state.reference_page import reference_page
from desired_state.schema import editor_schemas, schemas
from tests.desired_state.households import files_of, households

ROOT = Path(__file__).parents[2]
HOLM = ROOT / "desired-state" / "examples" / "holm"
VALIDATORS = {file: Draft202012Validator(schema) for file, schema in schemas().items()}


def test_the_committed_schemas_are_those_of_the_model():
    """script/generate was run after the last change of the model."""
    committed = {path.name: path.read_text("utf-8") for path in (ROOT / "desired-state" / "schema").iterdir()}
    assert committed == dict(editor_schemas())


def test_the_committed_reference_page_is_that_of_the_model():
    """script/generate was run after the last change of the model or the example."""
    assert (ROOT / "docs" / "household-format.md").read_text("utf-8") == reference_page(read_folder(HOLM))


def test_the_reference_page_names_every_field():
    """No field of the model is left undocumented, and each says what it means."""
    page = reference_page(read_folder(HOLM))
    for name in ("rebind_allowed", "accept_from", "apiVersion", "for", "from", "limit"):
        assert f"| `{name}` |" in page
    assert "|  |" not in page


@pytest.mark.parametrize("file", FILES)
def test_every_schema_is_a_valid_schema(file: str):
    """Editors can use each of them, and each describes itself."""
    Draft202012Validator.check_schema(schemas()[file])
    assert json.loads(json.dumps(schemas()[file]))["title"] == file


@given(households())
def test_a_schema_accepts_what_the_loader_accepts(household: Household):
    """An editor never marks a valid household as wrong (its own YAML reading applied)."""
    for file, raw in files_of(household).items():
        VALIDATORS[file].validate(yaml.safe_load(raw))


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("people.yaml", "people: {anna: {name: Anna, emial: a@b.example}}"),
        ("people.yaml", "people: {Anna: {name: Anna}}"),
        ("people.yaml", "people: {root: {name: Anna}}"),
        ("devices.yaml", "devices: {tv: {name: TV}}"),
        ("devices.yaml", "devices: {tv: {name: TV, mac: '02-00'}}"),
        ("services/dns.yaml", "dns: {upstreams: []}"),
        ("services/dns.yaml", "dns: {upstreams: [9.9.9.9], blocked: {ads: {sites: [nowhere]}}}"),
        ("services/dns.yaml", "dns: {upstreams: [9.9.9.9], blocked: {ads: {groups: [kids]}}}"),
        ("services/files.yaml", "files: {shares: {family: {description: Photos, access: {anna: write-all}}}}"),
        ("services/mail.yaml", "mail: {}"),
    ],
)
def test_an_editor_sees_the_mistakes_of_a_single_file(file: str, text: str):
    """Unknown fields, missing fields, reserved ids and ill-formed values are marked while typing."""
    with pytest.raises(jsonschema.ValidationError):
        VALIDATORS[file].validate(yaml.safe_load(text))
