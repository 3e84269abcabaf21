"""A family's own clone, made by `hearth init` and stock git, and a shell to call the command in."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from reconciler import cli
from tests.reconciler.cli.two_people import TwoPeople, begin

EXAMPLE = Path(__file__).parents[3] / "desired-state/examples/holm"
HEARTH = Path(sys.executable).with_name("hearth")


@dataclass(frozen=True)
class Said:
    """What a command ended with."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output, which is one JSON document."""
        return json.loads(self.out)


Hearth = Callable[..., Said]
Git = Callable[..., str]


@pytest.fixture
def hearth(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Hearth:
    """Calls the command in this process, as its console script does; a bug in it fails the test with its traceback."""
    monkeypatch.setenv("HEARTH_TRACEBACK", "1")
    monkeypatch.setenv("HEARTH_ROOT", str(tmp_path / "root"))

    def call(*words: str | Path) -> Said:
        monkeypatch.setattr(sys, "argv", ["hearth", *map(str, words)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capfd.readouterr()
        return Said(int(ended.value.code or 0), out, err)

    return call


@pytest.fixture(scope="session")
def person(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of somebody whose home folder is empty, and whose git knows nothing of them."""
    home = tmp_path_factory.mktemp("person")
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "XDG_", "SSH_", "HEARTH"))
    }
    path = f"{HEARTH.parent}{os.pathsep}{kept['PATH']}"
    return {**kept, "HOME": str(home), "GIT_CONFIG_NOSYSTEM": "1", "PATH": path, "LC_ALL": "C.UTF-8"}


@pytest.fixture(scope="session")
def _family(person: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("family") / "holm"
    words = ["--self-hosted", "--person", "Anna Holm", "--subnet", "192.168.10.0/24", "--timezone", "Europe/Copenhagen"]
    subprocess.run([HEARTH, "init", folder, *words], env=person, check=True, capture_output=True)
    for path in ("people.yaml", "devices.yaml"):
        shutil.copy(EXAMPLE / path, folder / path)
    git = ["git", "-C", str(folder)]
    subprocess.run(
        [*git, "commit", "--quiet", "--all", "--message", "The family and its devices"], env=person, check=True
    )
    return folder


@pytest.fixture
def family(_family: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The Holms' repository with two signed commits; we stand in it."""
    folder = tmp_path / "holm"
    shutil.copytree(_family, folder)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def git(person: dict[str, str]) -> Git:
    """Calls stock git in the current folder and returns what it printed."""

    def call(*words: str | Path) -> str:
        finished = subprocess.run(["git", *map(str, words)], env=person, capture_output=True, text=True, check=False)
        assert finished.returncode == 0, finished.stderr
        return finished.stdout.strip()

    return call


@pytest.fixture
def beginning(_family: Path, person: dict[str, str], tmp_path: Path, hearth: Hearth) -> Callable[..., TwoPeople]:
    """Begins a home of two people, with another mode or other numbers in its policy if told so."""
    return lambda *words, **asked: begin(TwoPeople(tmp_path / "two", person, hearth), _family, *words, **asked)


@pytest.fixture
def two(beginning: Callable[..., TwoPeople]) -> TwoPeople:
    """A self-hosted home of two people, where a change of medium risk takes one approval."""
    return beginning()
