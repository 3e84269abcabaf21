"""What the files look like, whole. `HEARTH_WRITE_GOLDEN=1 pytest THIS_FILE` writes them anew, to be read in the difference."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from renderers import APPLIANCE, render
from tests.renderers.homes import BENCH, full, holm, plain

GOLDEN = Path(__file__).parent / "golden"
CASES = {
    "holm": (holm, APPLIANCE),
    "holm-bench": (holm, BENCH),
    "plain": (plain, APPLIANCE),
    "full": (full, APPLIANCE),
}


@pytest.mark.parametrize("case", CASES)
def test_rendered_files_are_those_that_were_reviewed(case):
    """Every file of the example, a plain and a full home is the one in the repository, byte for byte."""
    home, target = CASES[case]
    files = {path: file.content for path, file in render(home(), target).files.items()}
    folder = GOLDEN / case
    if os.environ.get("HEARTH_WRITE_GOLDEN"):
        for path, content in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)
    assert {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    } == files
