"""`hearth check` and `hearth render`: a household folder on any machine, its findings, and the daemons' files."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli.output import emit, say
from reconciler.errors import HearthError, Misused, Stalled

if TYPE_CHECKING:
    from desired_state.load import Loaded
    from renderers import Artifact


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), default=".")
@click.option(
    "--at", "revision", default="", help="Check this commit of the repository there, not its files as they lie."
)
@click.option("--daemons", is_flag=True, help="Let the real daemons check their files too.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def check(folder: Path, *, revision: str, daemons: bool, as_json: bool) -> int:
    """Say what is wrong in the household at FOLDER, and what to write instead."""
    loaded = _load_revision(folder, revision) if revision else load_folder(folder)
    name = f"{folder} at {revision[:40]}" if revision else str(folder)
    refusal = _ask_daemons(rendered(loaded)) if daemons and loaded.state else None
    if as_json:
        emit({"folder": str(folder), **findings(loaded), "daemons": str(refusal) if refusal else None})
    else:
        _show(name, loaded, refusal, asked=daemons)
    return 1 if loaded.errors or refusal else 0


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--output", type=click.Path(path_type=Path), required=True, help="A new or empty folder for the files.")
@click.option("--json", "as_json", is_flag=True, help="Print the digest and the files as JSON.")
def render(folder: Path, *, output: Path, as_json: bool) -> int:
    """Write the daemons' files of the household at FOLDER, and print the artifact's digest."""
    loaded = load_folder(folder)
    if loaded.errors:
        if as_json:
            emit({"folder": str(folder), **findings(loaded)})
        else:
            _show(str(folder), loaded, None, asked=False)
        return 1
    artifact = rendered(loaded)
    write_files(artifact, output)
    if as_json:
        emit({"digest": f"sha256:{artifact.digest}", "renderer": artifact.renderer, "files": sorted(artifact.files)})
    else:
        say(f"sha256:{artifact.digest}")
    return 0


def read_files(folder: Path) -> Mapping[str, bytes]:
    """Read the files of a household's folder.

    Raises:
        Misused: it cannot be read as one at all.
    """
    from desired_state.load import HouseholdUnreadable, read_folder
    from desired_state.model import FILES

    try:
        files = read_folder(folder)
    except HouseholdUnreadable as error:
        raise Misused("HouseholdUnreadable", f"{error}.") from None
    except OSError as error:
        raise Misused("HouseholdUnreadable", f"{folder} cannot be read: {error.strerror}.") from None
    if not any(path in files for path in FILES):
        where = "This folder" if folder == Path() else str(folder)
        raise Misused(
            "NoHousehold",
            f"{where} holds no household.",
            "Name the one that holds household.yaml; `hearth init` makes one.",
        )
    return files


def load_folder(folder: Path) -> Loaded:
    """Load the household in a folder.

    Raises:
        Misused: it cannot be read as one at all.
    """
    from desired_state.load import load

    return load(read_files(folder))


def findings(loaded: Loaded) -> dict[str, Any]:
    """Return what was found, as JSON has it."""
    return {"findings": [{**asdict(finding), "severity": str(finding.severity)} for finding in loaded.findings]}


def _load_revision(folder: Path, revision: str) -> Loaded:
    from desired_state.load import load
    from reconciler.clone import Clone

    clone = Clone(folder)
    return load(clone.files(clone.resolve(revision)))


def rendered(loaded: Loaded) -> Artifact:
    """Return the artifact of a household without errors, for the appliance."""
    from renderers import render as render_household

    assert loaded.state is not None
    return render_household(loaded.state.household)


def write_files(artifact: Artifact, output: Path) -> None:
    """Write an artifact's files and its manifest into a new or empty folder; all or nothing.

    Raises:
        Misused: the folder holds something already, or cannot be written.
    """
    try:
        if output.exists() and (not output.is_dir() or any(output.iterdir())):
            raise Misused("NotEmpty", f"{output} is not an empty folder.", "Name a new one; nothing was written.")
        output.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{output.name}.", dir=output.parent))
        try:
            for path, content in {
                **{path: file.content for path, file in artifact.files.items()},
                "manifest.json": artifact.manifest,
            }.items():
                (draft / path).parent.mkdir(parents=True, exist_ok=True)
                (draft / path).write_bytes(content)
            draft.chmod(0o755)
            draft.rename(output)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    except OSError as error:
        raise Misused("NotWritable", f"{output} cannot be written: {error.strerror}.") from None


def _ask_daemons(artifact: Artifact) -> HearthError | None:
    """Return what a real daemon says against its files, or None. A checker that could not run is raised: that is no verdict."""
    from reconciler.check import check as check_files

    with tempfile.TemporaryDirectory(prefix="hearth-check-") as folder:
        place = Path(folder, "generation")
        write_files(artifact, place)
        Path(folder).chmod(0o755)  # the checkers run without privileges
        try:
            check_files(artifact.plan.checkers, place)
        except Stalled as refusal:
            return refusal
    return None


def _show(name: str, loaded: Loaded, refusal: HearthError | None, *, asked: bool) -> None:
    for finding in loaded.findings:
        say(str(finding), kind="bad" if finding in loaded.errors else "note")
    if refusal:
        say(str(refusal), kind="bad")
    if not loaded.errors and not refusal:
        also = " Its daemons accept their files." if asked else ""
        say(f"{name} is a sound household.{also}", kind="good")
    elif loaded.errors:
        say(f"{len(loaded.errors)} to mend before it can be applied.")
