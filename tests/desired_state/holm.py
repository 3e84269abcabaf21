"""The example household, to be spoilt one edit at a time."""

from __future__ import annotations

from pathlib import Path

from desired_state.finding import Finding
from desired_state.load import load, read_folder

HOLM = Path(__file__).parents[2] / "desired-state" / "examples" / "holm"
HOME, PEOPLE, DEVICES = "household.yaml", "people.yaml", "devices.yaml"
DNS, SHARES, MAIL, CERTIFICATES = (f"services/{name}.yaml" for name in ("dns", "files", "mail", "certificates"))
_ALWAYS = {"missing-trust", "missing-secret"}  # a plain folder has neither keys nor secrets


def holm_with(*edits: tuple[str, str, str]) -> dict[str, bytes]:
    """Return the example's files with each `(file, old, new)` replaced once; an edit that changes nothing fails the test."""
    files = dict(read_folder(HOLM))
    for file, old, new in edits:
        before = files[file].decode()
        assert old in before, f"{old!r} is not in {file}"
        files[file] = before.replace(old, new, 1).encode()
    return files


def only(files: dict[str, bytes]) -> list[Finding]:
    """Return the findings beyond what every plain folder has."""
    return [finding for finding in load(files).findings if finding.code not in _ALWAYS]
