"""The paper keeps its word: its commands run, its links lead somewhere, and it speaks of nothing outside this repository."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import mnemonic
import pytest

from desired_state.history import Repository
from desired_state.trust import genesis_words, tree_sha256
from desired_state.trust.contents import read_files
from desired_state.trust.receipt import Receipt
from desired_state.trust.tree import read_tree
from reconciler.cli import hearth
from reconciler.cli.page import cli_page

TOP = Path(__file__).resolve().parent.parent
OURS = sorted(
    Path(name)
    for name in subprocess.run(["git", "ls-files"], cwd=TOP, capture_output=True, text=True, check=True).stdout.split(
        "\n"
    )
    if name
)
PAPER = [path for path in OURS if path.suffix == ".md" and (TOP / path).exists() and "examples" not in path.parts]
WORDLIST = Path(mnemonic.__file__).parent / "wordlist/english.txt"


def blocks(path: str, language: str = "sh") -> list[str]:
    """Return the blocks of a page in one language, in order; only those so marked are meant to be run."""
    return re.findall(rf"^```{language}\n(.*?)^```$", (TOP / path).read_text("utf-8"), re.MULTILINE | re.DOTALL)


@pytest.fixture
def person(tmp_path: Path) -> dict[str, str]:
    """An environment of one person with a key, and nothing of this machine's git settings."""
    home = tmp_path / "person"
    (home / ".ssh").mkdir(parents=True, mode=0o700)
    dropped = {"SSH_AUTH_SOCK", "HEARTH_ROOT", "XDG_CONFIG_HOME", "GIT_DIR"}
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = kept | {"HOME": str(home), "GIT_CONFIG_NOSYSTEM": "1", "PATH": path, "TOP": str(TOP)}
    run(
        environment, "git config --global user.name 'Anna Holm'; git config --global user.email anna@holm.example", home
    )
    return environment


@pytest.fixture
def household(person: dict[str, str], tmp_path: Path) -> Path:
    """A household as `hearth init` makes it, with two signed changes."""
    place = tmp_path / "household"
    run(person, f"hearth init {place} --self-hosted --person 'Anna Holm'", tmp_path)
    run(person, "hearth change block ads --domains doubleclick.net --commit", place)
    run(person, "hearth change add-person mia 'Mia Holm' --commit", place)
    return place


def run(
    environment: dict[str, str], script: str, place: Path, *, check: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run a script as a person would paste it, except that its first failure ends it."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=place,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert not check or done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
    return done


def audit(person: dict[str, str], household: Path, place: Path, *, check: bool = True) -> str:
    """Run the audit's commands on a household's repository, and return what they said."""
    environment = person | {"REPO": str(household), "WORDLIST": str(WORDLIST)}
    done = run(environment, "\n".join(blocks("docs/audit.md")), place, check=check)
    return done.stdout + done.stderr + f"\nended with {done.returncode}"


def test_the_audit_finds_a_sound_home_sound(person: dict[str, str], household: Path, tmp_path: Path) -> None:
    """Stock git and ssh-keygen name who signed each of the three commits, and give the same eight words as we do."""
    said = audit(person, household, tmp_path)
    assert said.count('Good "git" signature for anna') == 4
    assert "touches trust/" not in said
    words = re.search(r"It begins with:\s+(.*)", run(person, "hearth verify", household).stdout)
    assert words
    assert words[1] in said


def test_the_audit_stops_at_an_unsigned_commit(person: dict[str, str], household: Path, tmp_path: Path) -> None:
    """The check can fail: a commit without a signature ends it."""
    run(person, "git -c commit.gpgsign=false commit --quiet --allow-empty --message unsigned", household)
    assert audit(person, household, tmp_path, check=False).endswith("ended with 1")


def test_the_audit_stops_at_a_key_that_signs_itself_in(person: dict[str, str], household: Path, tmp_path: Path) -> None:
    """A key counts only after the commit that brings it: keys are taken from the parent."""
    script = """
        ssh-keygen -q -t ed25519 -N '' -f ../eve
        echo "eve namespaces=\\"git\\" $(cut -d' ' -f1,2 ../eve.pub)" >> trust/owners
        git -c user.signingkey=../eve.pub commit --quiet --all --message 'I live here'
    """
    run(person, script, household)
    assert audit(person, household, tmp_path, check=False).endswith("ended with 1")


def test_the_shell_form_of_tree_sha256_is_ours(person: dict[str, str], household: Path) -> None:
    """docs/trust.md gives auditors a formula that means the same as the device's code."""
    repository = Repository.open(household)
    tip = run(person, "git rev-parse main main^{tree}", household).stdout.split()
    ours = tree_sha256(read_files(repository, read_tree(repository, tip[1]).entries))
    assert run(person, blocks("docs/trust.md")[0], household).stdout.strip() == ours


def test_the_words_change_with_any_byte_of_the_beginning() -> None:
    """Another commit or another tree is another home."""
    words = {genesis_words(commit, tree) for commit in (b"a", b"b") for tree in ("0" * 64, "1" * 64)}
    assert len(words) == 4


def test_the_commands_of_the_readme_work_as_shown(person: dict[str, str]) -> None:
    """A newcomer who pastes them sees no error; the set-up has its own tests."""
    script = "\n".join(line for line in "\n".join(blocks("README.md")).splitlines() if not line.startswith("script/"))
    said = run(person, script, TOP).stdout
    assert "Sound: 2 commits verified" in said


def test_the_readme_of_the_household_loads_the_example() -> None:
    """The first lines of Python that somebody tries work."""
    program = blocks("desired-state/README.md", "python")[0]
    done = subprocess.run([sys.executable, "-c", program], cwd=TOP, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "The Holm family\n"), done.stderr


def test_a_spare_key_works_as_shown(person: dict[str, str], household: Path, tmp_path: Path) -> None:
    """docs/recovery.md tells how to let a spare key count: it signs, and the history is sound."""
    run(person, f"hearth init {tmp_path / 'home'} --self-hosted --person 'Anna Holm'", tmp_path)
    run(person | {"WHO": "anna"}, blocks("docs/recovery.md")[0], tmp_path / "home")
    run(person, "git config user.signingkey ~/.ssh/hearth_spare.pub", tmp_path / "home")
    run(person, "hearth change add-person mia 'Mia Holm' --commit", tmp_path / "home")
    assert "Sound: 4 commits verified" in run(person, "hearth verify", tmp_path / "home").stdout


@pytest.mark.parametrize("page", PAPER, ids=str)
def test_every_relative_link_leads_to_something(page: Path) -> None:
    """No page points at a file or a heading that is not there."""
    text = (TOP / page).read_text("utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)):
        name, _, heading = target.partition("#")
        if "://" in target:
            continue
        file = (TOP / page).parent / name if name else TOP / page
        assert file.exists(), f"{page} links to {target}"
        if heading:
            assert heading in headings(file), f"{page} links to {target}"


def headings(file: Path) -> set[str]:
    """Return the anchors of a page, as git hosts make them."""
    titles = re.findall(r"^#+ (.*)$", file.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAPER, ids=str)
def test_every_command_that_is_named_exists(page: Path) -> None:
    """No page sends a person to a command that this version does not have."""
    context = hearth.make_context("hearth", ["--root", "/"], resilient_parsing=True)
    verbs = hearth.get_command(context, "change")
    for command, verb in re.findall(
        r"`(?:\$ |sudo )?hearth ([a-z]+)(?: ([a-z][a-z0-9-]*))?", (TOP / page).read_text("utf-8")
    ):
        assert command in hearth.list_commands(context), f"{page} names `hearth {command}`"
        if command == "change" and verb:
            assert verb in verbs.list_commands(context), f"{page} names `hearth change {verb}`"


def test_every_function_on_the_way_of_a_commit_exists() -> None:
    """The walk through the code in docs/architecture.md names no function that was renamed or removed."""
    code = "".join(path.read_text("utf-8") for path in TOP.glob("*/src/**/*.py"))
    named = set(re.findall(r"`(?:[A-Z]\w+\.)?(\w+)\(", (TOP / "docs/architecture.md").read_text("utf-8")))
    assert {name for name in named if f"def {name}(" not in code} == set()


def test_every_test_that_is_named_exists() -> None:
    """docs/testing.md names no test that was renamed or removed."""
    named = set(re.findall(r"`(test_\w+)`", (TOP / "docs/testing.md").read_text("utf-8")))
    files = [path.read_text("utf-8") for path in TOP.glob("tests/**/*.py")]
    written = {name for text in files for name in re.findall(r"def (test_\w+)\(", text)}
    assert named - written == set()


@pytest.mark.parametrize("page", PAPER, ids=str)
def test_the_repository_stands_alone(page: Path) -> None:
    """No place on somebody's machine, no ticket's number, no package registry: only what a reader also has."""
    places = re.compile(
        r"(?<![\w.~])/(?:home|work|root|Users)/\w|\bissue #?\d|(?<![&\w])#\d+\b|\bpypi\b|pythonhosted", re.IGNORECASE
    )
    assert [line for line in (TOP / page).read_text("utf-8").splitlines() if places.search(line)] == []


def test_the_page_on_adding_a_service_counts_as_it_says() -> None:
    """Its commands find Postfix's files, and the sizes that it gives are no more than a fifth off."""
    page = "docs/adding-a-service.md"
    told = re.search(r"About (\d+) lines in (\d+) files", (TOP / page).read_text("utf-8"))
    assert told
    code, tests = (
        [line.split() for line in run(dict(os.environ), script, TOP).stdout.splitlines()] for script in blocks(page)
    )
    lines, files = int(code[-1][0]), len(code) - 1
    assert (abs(lines - int(told[1])) / lines < 0.2, files) == (True, int(told[2]))
    assert 1.6 < int(tests[-1][0]) / lines < 2.6


def test_every_decision_has_a_number_of_its_own() -> None:
    """Decision records are numbered from 1 without a gap, and their titles carry the number."""
    records = sorted((TOP / "docs/adr").glob("*.md"))
    assert [int(path.name[:4]) for path in records] == list(range(1, len(records) + 1))
    assert all(path.read_text("utf-8").startswith(f"# {int(path.name[:4])}. ") for path in records)


def test_the_page_of_commands_is_in_step() -> None:
    """docs/cli.md is what the commands say of themselves; script/generate writes it."""
    assert (TOP / "docs/cli.md").read_text("utf-8") == cli_page(hearth)


def test_the_audit_checks_head_statements_and_receipts(person: dict[str, str], household: Path, tmp_path: Path) -> None:
    """Where a home has them, stock ssh-keygen accepts both; one by another key ends the audit."""
    script = """
        ssh-keygen -q -t ed25519 -N '' -f ../clock; ssh-keygen -q -t ed25519 -N '' -f ../pi
        echo "clock namespaces=\\"hearth-head\\" $(cut -d' ' -f1,2 ../clock.pub)" > trust/heads
        echo "pi namespaces=\\"hearth-applied\\" $(cut -d' ' -f1,2 ../pi.pub)" > trust/devices
        git checkout --quiet --orphan anew; git commit --quiet --all --message Begin; git branch --force main
        git checkout --quiet main; hearth change add-person leo 'Leo Holm' --commit
        hearth head sign --key ../clock
    """
    run(person, script, household)
    genesis = run(person, "git rev-parse main^1", household).stdout.strip()
    told = re.search(r"^id: (\S+)", (household / "household.yaml").read_text(), re.MULTILINE)
    assert told
    receipt = Receipt(told[1], genesis, genesis, "d" * 64, "0.1.0", 1_795_269_736)
    (tmp_path / "text").write_bytes(receipt.text)
    note = """
        ssh-keygen -q -Y sign -n hearth-applied -f {key} text; cat text text.sig > receipt; rm text.sig
        git -C household notes --ref=applied append -F ../receipt main^1
    """
    run(person, note.format(key="pi"), tmp_path)
    (tmp_path / "good").mkdir()
    said = audit(person, household, tmp_path / "good")
    assert 'Good "hearth-head" signature for clock' in said
    assert 'Good "hearth-applied" signature for pi' in said
    assert "Hearth-Time: 2026-11-21T14:02:16Z" in said
    run(person, note.format(key="clock"), tmp_path)
    (tmp_path / "bad").mkdir()
    assert not audit(person, household, tmp_path / "bad", check=False).endswith("ended with 0")
