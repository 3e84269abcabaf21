"""The household from its files: whole and checked, or refused with every finding at once.

Pure: bytes in, a frozen value and findings out. Reading a folder is `folder`, one file `reading`, what spans files
`references`.
The trust files lie beside the household's; they have a strict reader of their own and are only counted here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from desired_state import folder, references, secrets
from desired_state.finding import Finding, Severity
from desired_state.folder import HouseholdUnreadable, read_folder
from desired_state.model import FILES, Household
from desired_state.places import dotted
from desired_state.problem import Kind, Known, Problem, did_you_mean
from desired_state.reading import MAX_FINDINGS, ReadFile, read_file
from desired_state.strict_yaml import shown

__all__ = ["DesiredState", "HouseholdUnreadable", "Loaded", "load", "read_folder"]

REQUIRED = ("household.yaml", "people.yaml", "devices.yaml")


@dataclass(frozen=True, slots=True)
class DesiredState:
    """What a home wants, and the files that say so (every file but those under trust/)."""

    household: Household
    files: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class Loaded:
    """The outcome of loading. `state` is None exactly if some finding is an error."""

    state: DesiredState | None
    findings: tuple[Finding, ...]

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that keep the household from being applied."""
        return tuple(finding for finding in self.findings if finding.severity is Severity.ERROR)


def load(files: Mapping[str, bytes], *, read: Callable[[str, bytes], ReadFile] = read_file) -> Loaded:
    """Return the household that the files describe. Never raises, whatever the files hold.

    `files` maps relative paths (`services/dns.yaml`) to contents. What a folder may lack but a device may not (secrets,
    trust files) is advice here. `read` may remember files, for whoever loads many households that differ little.
    """
    strangers = tuple(_strangers(files))
    if len(files) > folder.MAX_FILES:
        return Loaded(None, _bounded(strangers))
    parts = {name: read(name, files[name]) for name in FILES if name in files}
    findings = [*strangers, *(finding for each in parts.values() for finding in each.findings)]
    household = _assemble(parts)
    if household:
        findings += _spanning(household, parts, files)
    if not household or any(finding.severity is Severity.ERROR for finding in findings):
        return Loaded(None, _bounded(findings))
    kept = {path: files[path] for path in sorted(files) if not folder.is_trust(path)}
    return Loaded(DesiredState(household, MappingProxyType(kept)), _bounded(findings))


def _strangers(files: Mapping[str, bytes]) -> Iterator[Finding]:
    if len(files) > folder.MAX_FILES:
        yield _about_file(
            "", "too-many-files", f"the household holds more than {folder.MAX_FILES} files: take some out"
        )
        return
    for path in sorted(set(files) - {path for path in files if folder.belongs(path)}):
        close = did_you_mean(path, [*FILES, "README.md", *(f"trust/{name}" for name in folder.TRUST_FILES)])
        yield _about_file(
            path, "unknown-file", f"does not belong in a household{close or ':'} it may hold {folder.ALLOWED}"
        )
    for path in sorted(
        path
        for path in files
        if folder.belongs(path) and len(files[path]) > folder.MAX_FILE_BYTES and path not in FILES
    ):
        yield _about_file(path, "too-large", f"is larger than {folder.MAX_FILE_BYTES // 1024} KiB: shorten it")
    for path in REQUIRED:
        if path not in files:
            yield _about_file(
                path, "missing-file", "is missing: every household has one; `hearth init` makes a first one"
            )


def _about_file(path: str, code: str, message: str, severity: Severity = Severity.ERROR) -> Finding:
    return Finding(shown(path, limit=100, mark=""), 0, 0, "", severity, code, message)


def _assemble(read: Mapping[str, ReadFile]) -> Household | None:
    """Return the household as far as its files could be read; None without the home itself. All parts are valid already."""
    if "household.yaml" not in read or read["household.yaml"].part is None:
        return None
    parts = [each.part for each in read.values() if each.part]
    values = {field: getattr(part, field) for part in parts for field in type(part).model_fields}
    return Household.model_construct(**values)


def _known(read: Mapping[str, ReadFile], files: Mapping[str, bytes]) -> Known:
    kinds: tuple[tuple[Kind, str], ...] = (
        ("people", "people.yaml"),
        ("groups", "devices.yaml"),
        ("devices", "devices.yaml"),
    )
    ids = {kind: read[file].keys((kind,)) for kind, file in kinds if file in read}
    secrets = frozenset(name for name in map(folder.secret_of, files) if name)
    return Known({kind: keys for kind, keys in ids.items() if keys is not None}, secrets)


def _spanning(household: Household, read: Mapping[str, ReadFile], files: Mapping[str, bytes]) -> Iterator[Finding]:
    errors = 0
    for problem in references.check(household, _known(read, files)):
        yield _placed(problem, read)
        errors += problem.severity is Severity.ERROR
        if errors > MAX_FINDINGS:
            return
    for path, clause in secrets.flaws(files):
        yield _about_file(path, "secret-unfit", clause, Severity.ADVICE)
    missing = [name for name in folder.TRUST_FILES if f"trust/{name}" not in files]
    if missing:
        yield _about_file(
            "trust",
            "missing-trust",
            f"lacks {', '.join(missing)}: `hearth init` makes them; a device needs all",
            Severity.ADVICE,
        )


_FILE_OF = MappingProxyType(
    {field.alias or name: file for file, part in FILES.items() for name, field in part.model_fields.items()}
)


def _placed(problem: Problem, read: Mapping[str, ReadFile]) -> Finding:
    file = _FILE_OF[problem.path[0]]
    if file not in read:
        return Finding(file, 0, 0, dotted(problem.path), problem.severity, problem.code, problem.message)
    return read[file].finding(problem.path, problem.severity, problem.code, problem.message)


def _bounded(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    order = {name: number for number, name in enumerate(FILES)}
    ordered = sorted(findings, key=lambda each: (order.get(each.file, len(order)), each))
    if len(ordered) <= MAX_FINDINGS:
        return tuple(ordered)
    errors_first = sorted(ordered, key=lambda each: each.severity is not Severity.ERROR)
    rest = _about_file("", "more-findings", "and more findings: mend these first", errors_first[0].severity)
    return (*errors_first[:MAX_FINDINGS], rest)
