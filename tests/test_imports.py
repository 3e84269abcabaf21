"""Who may import whom: the table of docs/architecture.md, enforced by reading every import, lazy and conditional ones included."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parent.parent
BOTH = frozenset({"desired_state", "renderers"})
MAY_IMPORT = {
    "desired_state": frozenset[str](),
    "renderers": frozenset({"desired_state"}),
    "reconciler": BOTH,
    "cloud_signer": BOTH,
    "llm_author": BOTH,
}
"""First-party packages that each package may import, besides itself."""

PURE = frozenset({
    "__future__", "collections", "collections.abc", "dataclasses", "enum", "functools", "hashlib", "importlib", "ipaddress",
    "itertools", "jinja2", "json", "pathlib.PurePosixPath", "pydantic", "re", "types", "typing",
})  # fmt: skip
"""Everything that a renderer may import from outside: none of it knows a clock, a network, git, the environment, a process or a disk."""
IMPURE_CALLS = frozenset({"open", "input", "print", "eval", "exec", "compile", "breakpoint"})


@dataclass(frozen=True)
class Import:
    """One import statement: the dotted module, and the names taken from it."""

    line: int
    module: str
    names: tuple[str, ...] = ()

    @property
    def package(self) -> str:
        """The first part of the module's name."""
        return self.module.partition(".")[0]


def imports(source: str) -> Iterator[Import]:
    """Yield every import of a module, those inside functions and by `import_module` too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (Import(node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide what is imported"
            yield Import(node.lineno, str(node.module), tuple(alias.name for alias in node.names))
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            yield Import(node.lineno, _beginning(node.args[0]))


def _beginning(argument: ast.expr) -> str:
    """Return the constant beginning of a module name that is put together at run time."""
    first = argument.values[0] if isinstance(argument, ast.JoinedStr) else argument
    assert isinstance(first, ast.Constant), "nobody can tell what this imports"
    return str(first.value)


def strangers(package: str, source: str) -> list[str]:
    """Return the first-party imports that the table does not allow."""
    allowed = MAY_IMPORT[package] | {package}
    return [f"line {one.line}: {one.module}" for one in imports(source) if one.package in MAY_IMPORT.keys() - allowed]


def impurities(source: str) -> list[str]:
    """Return what a renderer must not import or call."""
    found = [f"line {one.line}: {one.module}" for one in imports(source) if not _is_pure(one)]
    calls = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    return found + [
        f"line {call.lineno}: {call.func.id}()" for call in calls if getattr(call.func, "id", "") in IMPURE_CALLS
    ]


def _is_pure(one: Import) -> bool:
    if one.package in MAY_IMPORT or one.module in PURE:
        return True
    return bool(one.names) and all(f"{one.module}.{name}" in PURE for name in one.names)


def modules(package: str) -> list[Path]:
    """Return the files of a package; none for one that does not exist yet."""
    return sorted((TOP / package.replace("_", "-") / "src" / package).rglob("*.py"))


def python(program: str) -> subprocess.CompletedProcess[str]:
    """Run a program in a fresh interpreter."""
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_each_package_imports_only_what_the_table_allows(package: str) -> None:
    """The table holds in every file of the package."""
    found = {str(path.relative_to(TOP)): strangers(package, path.read_text("utf-8")) for path in modules(package)}
    assert {path: lines for path, lines in found.items() if lines} == {}


def test_the_three_packages_of_a_pi_are_really_read() -> None:
    """A renamed folder must not turn the table into a check of nothing."""
    assert all(len(modules(package)) > 5 for package in ("desired_state", "renderers", "reconciler"))


@pytest.mark.parametrize("source", [
    "import reconciler.journal",
    "def later():\n    from reconciler.journal import decide",
    "if TYPE_CHECKING:\n    import reconciler",
    "import_module('reconciler.journal')",
    "importlib.import_module(f'reconciler.{name}')",
])  # fmt: skip
def test_a_forbidden_import_is_found_however_it_is_written(source: str) -> None:
    """The check can fail: each of these would let a renderer reach the agent."""
    assert strangers("renderers", source)


def test_what_the_table_allows_is_let_through() -> None:
    """The agent may use both packages below it, and nobody is accused of importing themselves."""
    assert strangers("reconciler", "import renderers\nfrom desired_state.load import load\nimport reconciler.run") == []


def test_renderers_are_pure() -> None:
    """No clock, network, git, environment, process or disk: equal households give equal files everywhere."""
    found = {path.name: impurities(path.read_text("utf-8")) for path in modules("renderers")}
    assert {name: lines for name, lines in found.items() if lines} == {}


@pytest.mark.parametrize("source", [
    "import os", "import time", "from datetime import datetime", "import socket", "import subprocess", "import pygit2",
    "from pathlib import Path", "import pathlib", "import random", "def late():\n    import secrets", "open('/etc/hosts')",
])  # fmt: skip
def test_an_impure_renderer_is_found(source: str) -> None:
    """The check can fail: each of these would let the machine or the moment into a rendered file."""
    assert impurities(source)


def test_only_history_and_the_source_know_pygit2() -> None:
    """libgit2's errors and its ideas of ancestry stop at these ports."""
    files = [path for package in ("desired_state", "renderers", "reconciler") for path in modules(package)]
    using = {path for path in files if any(one.package == "pygit2" for one in imports(path.read_text("utf-8")))}
    source = TOP / "reconciler/src/reconciler"
    outside = {path for path in using if path.parent != source / "source" and path != source / "fetch_child.py"}
    assert outside == {TOP / "desired-state/src/desired_state/history.py"}


def test_everything_but_history_works_without_pygit2() -> None:
    """pygit2 is an extra: a reviewer's machine can load and judge a household without it."""
    names = [
        ".".join(path.relative_to(TOP / "desired-state/src").with_suffix("").parts)
        for path in modules("desired_state")
        if path.name not in {"history.py", "__init__.py"}
    ]
    done = python(
        f"import sys, importlib; sys.modules['pygit2'] = None\nfor name in {names!r}: importlib.import_module(name)"
    )
    assert done.returncode == 0, done.stderr


def test_importing_the_packages_costs_nothing_yet() -> None:
    """The agent shares a small machine: heavy libraries come with the first use, not with the name."""
    done = python("import sys, desired_state, renderers, reconciler; print(*sorted(sys.modules))")
    heavy = {"pydantic", "pygit2", "cryptography", "jinja2", "yaml", "ruamel", "requests", "apscheduler", "structlog"}
    assert heavy & set(done.stdout.split()) == set()
