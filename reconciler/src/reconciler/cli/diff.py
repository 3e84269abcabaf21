"""`hearth diff`: what differs between two households, in sentences, with its risk and the daemons' files.

Owns which two are compared: folders, revisions of the repository we stand in, or (on a Pi, without arguments) what is applied and
what was verified since. Nothing is fetched.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli.check import read_files
from reconciler.cli.output import emit, say
from reconciler.cli.showing import Row, risk_words, rows, show_difference, show_rows, unified
from reconciler.clone import Clone, read_trust
from reconciler.errors import Misused, Stalled
from reconciler.settings import Paths, load

if TYPE_CHECKING:
    from desired_state.load import DesiredState
    from renderers import Target

_NOTHING_YET = "nothing"


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two: its name for people, its files, and the household that they describe (None: nothing is applied yet)."""

    name: str
    files: Mapping[str, bytes] = field(default_factory=dict)
    state: DesiredState | None = None
    past: frozenset[str] = frozenset()
    source: str = ""

    @property
    def trust(self) -> dict[str, bytes]:
        """The files that say who may change the home."""
        return {path: content for path, content in self.files.items() if path.startswith("trust/")}


@dataclass(frozen=True, slots=True)
class Comparison:
    """What differs: the changes as rows, the risk and why, and the rendered files' differences, and both digests."""

    rows: list[Row]
    risk: str | None
    reasons: tuple[str, ...]
    daemon_files: Mapping[str, str]
    digests: tuple[str | None, str | None]


@click.command()
@click.argument("before", metavar="[A]", required=False)
@click.argument("after", metavar="[B]", required=False)
@click.option(
    "--in",
    "folder",
    type=click.Path(path_type=Path),
    help="The repository whose revisions are meant; where you are unless given.",
)
@click.option("--files", "with_files", is_flag=True, help="Show the household's own files too.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.pass_obj
def diff(
    root: str,
    /,
    before: str | None,
    after: str | None,
    folder: Path | None,
    *,
    with_files: bool,
    as_json: bool,
) -> int:
    """Say in sentences what differs between A and B, and show the daemons' files.

    A and B are folders or revisions. Without B, the household where you are; without both, what is not committed yet there, or
    on a Pi, outside of a household, what would change now. Exits with 0 if nothing differs, 1 if something does, 2 if that cannot be said.
    """
    from renderers import APPLIANCE

    try:
        target = APPLIANCE
        paths = Paths(Path(root))
        if before is None and folder is None and paths.settings.exists() and not Path("household.yaml").exists():
            target = paths.target(load(paths))
            sides = _on_device(paths)
        else:
            sides = _chosen(before, after, folder or Path())
        found = compare(*sides, target)
    except Stalled as refusal:  # whose exit code, 1, means here that they differ
        raise Misused(refusal.reason, refusal.message, refusal.remedy) from None
    if as_json:
        emit(_as_json(*sides, found, with_files=with_files))
    else:
        _show(*sides, found, with_files=with_files)
    return 1 if found.rows else 0


def compare(before: Side, after: Side, target: Target) -> Comparison:
    """Compare two households in their own terms, and as rendered for `target`."""
    shown, risk, reasons = _judged(before, after)
    if before.state and before.trust != after.trust:
        shown.extend({"kind": "trust", "mark": "~", "sentence": each} for each in _trust_sentences(before, after))
        risk, reasons = "trust", ("it changes trust/",)
    files = [_rendered(side, target) for side in (before, after)]
    return Comparison(
        rows=shown,
        risk=risk if shown else None,
        reasons=reasons if shown else (),
        daemon_files=unified(files[0][1], files[1][1]),
        digests=(files[0][0], files[1][0]),
    )


def _judged(before: Side, after: Side) -> tuple[list[Row], str, tuple[str, ...]]:
    from desired_state.changes import UnknownEdition, judge

    assert after.state is not None
    if before.state is None:
        first = {
            "kind": "begin",
            "mark": "+",
            "sentence": f"{after.state.household.name} is applied for the first time",
        }
        return [first], "high", ("nothing is applied yet",)
    trust = read_trust(before.files)
    edition = trust.policy.risk_rules if trust else 1
    try:
        verdict = judge(before.state, after.state, edition, past_people=before.past, source=before.source)
    except UnknownEdition as unknown:
        raise Misused("UnknownEdition", f"{str(unknown)[:1].upper()}{str(unknown)[1:]}.") from None
    shown = rows(verdict.changes, before.state.household, after.state.household)
    return list(shown), str(verdict.risk), verdict.reasons


def _trust_sentences(before: Side, after: Side) -> tuple[str, ...]:
    from desired_state.trust.wording import trust_sentences

    old, new = read_trust(before.files), read_trust(after.files)
    if old and new:
        return trust_sentences(old, new)
    paths = sorted({*before.trust, *after.trust})
    changed = ", ".join(path for path in paths if before.trust.get(path) != after.trust.get(path))
    return (f"Who may change this home: {changed}",)


def _rendered(side: Side, target: Target) -> tuple[str | None, dict[str, bytes]]:
    from renderers import render

    if side.state is None:
        return None, {}
    artifact = render(side.state.household, target)
    return f"sha256:{artifact.digest}", {path: file.content for path, file in artifact.files.items()}


def _chosen(before: str | None, after: str | None, here: Path) -> tuple[Side, Side]:
    """Return the two sides that a person named."""
    first = _side(before, here) if before is not None else _revision(Clone(here), "HEAD")
    second = _side(after, here) if after is not None else _here(here)
    if not (first.trust and second.trust) and any(Path(name).is_dir() for name in (before, after) if name):
        return _without_trust(first), _without_trust(second)  # a folder of plain files and a home's repository
    return first, second


def _without_trust(side: Side) -> Side:
    return replace(side, files={path: content for path, content in side.files.items() if path not in side.trust})


def _side(name: str, here: Path) -> Side:
    """Return the folder or the revision that `name` is; where both are there, the folder."""
    try:
        is_folder = Path(name).is_dir()
    except (OSError, ValueError):
        is_folder = False
    if is_folder:
        return _folder(Path(name))
    try:
        return _revision(Clone(here), name)
    except Misused as error:
        if error.reason not in {"NoRepository", "NoSuchRevision"}:
            raise
        where = "" if error.reason == "NoRepository" else f" of {Clone(here).folder}"
        raise Misused(
            "NothingThere",
            f"{name[:80]!r} is neither a folder nor a revision{where}.",
            "Name folders, or revisions of the repository that you stand in (or that --in names).",
        ) from None


def _here(here: Path) -> Side:
    """Return the household in the working folder where we are; a bare repository has its HEAD instead."""
    try:
        clone = Clone(here)
    except Misused:
        return _folder(here)
    return _folder(clone.working_folder, "the files here") if clone.working_folder else _revision(clone, "HEAD")


def _folder(folder: Path, name: str = "") -> Side:
    from desired_state.load import load as load_household

    files = read_files(folder)
    loaded = load_household(files)
    if loaded.state is None:
        raise Misused(
            "HouseholdInvalid",
            f"{folder} has an error: {loaded.errors[0]}.",
            f"`hearth check {folder}` names all of them.",
        )
    return Side(name or str(folder), files, loaded.state)


def _revision(clone: Clone, name: str) -> Side:
    commit = clone.head() if name == "HEAD" else clone.resolve(name)
    shown = commit[:7] if commit.startswith(name) else f"{name} ({commit[:7]})"
    return Side(shown, clone.files(commit), clone.state(commit), clone.past_people(commit), clone.source_host())


def _on_device(paths: Paths) -> tuple[Side, Side]:
    """Return what is applied here, and what was verified last."""
    from reconciler.journal_file import JournalFile

    try:
        journal = JournalFile(paths.journal).value
    except OSError as error:
        raise Misused(
            "NotReadable", f"{paths.journal} cannot be read: {error.strerror}.", "Run this with sudo."
        ) from None
    if journal.floor is None:
        raise Misused("NothingVerified", "Nothing was verified here yet.", "sudo hearth reconcile looks now.")
    clone = Clone(paths.repository)
    wanted = _revision(clone, journal.floor)
    if journal.confirmed is None:
        return Side(_NOTHING_YET), Side(wanted.name, wanted.files, wanted.state)
    return _revision(clone, journal.confirmed.revision), wanted


def _as_json(before: Side, after: Side, found: Comparison, *, with_files: bool) -> dict[str, Any]:
    whole = {
        "before": {"name": before.name, "digest": found.digests[0]},
        "after": {"name": after.name, "digest": found.digests[1]},
        "changes": found.rows,
        "risk": found.risk,
        "reasons": list(found.reasons),
        "daemon_files": dict(found.daemon_files),
    }
    return {**whole, "household_files": unified(before.files, after.files)} if with_files else whole


def _show(before: Side, after: Side, found: Comparison, *, with_files: bool) -> None:
    if not found.rows:
        same = f"Nothing differs from {before.name}."
        say(same if before.name == after.name else f"{before.name} and {after.name} say the same.", kind="good")
        return
    show_rows(found.rows, risk_words(str(found.risk), found.reasons))
    for path, text in unified(before.files, after.files).items() if with_files else ():
        show_difference(path, text)
    for path, text in found.daemon_files.items():
        show_difference(path, text)
    if not found.daemon_files:
        say("The daemons' files stay the same.", indent=2)
