"""`hearth reconcile --from`: what the source withholds arrives on a stick or from another repository, by the same rules."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler import carried
from reconciler.home import Home
from reconciler.settings import load
from reconciler.source.url import parse_url
from reconciler.units import NoUnits
from tests.bench import Bench


def named(bench: Bench, name: str, *, signed: bool = True) -> str:
    """Make a change in the family's clone that nobody pushes; return its commit."""
    text = (bench.household / "services/dns.yaml").read_text()
    (bench.household / "services/dns.yaml").write_text(text.replace("{wiki:", f"{{{name}: appliance, wiki:"))
    bench.git("-c", f"commit.gpgsign={str(signed).lower()}", "commit", "--quiet", "--all", "--message", name)
    return bench.git("rev-parse", "HEAD")


def bundle(bench: Bench, *what: str) -> Path:
    """Let stock git write a bundle, as for a stick."""
    path = bench.folder / "home.bundle"
    bench.git("bundle", "create", "--quiet", path, *(what or ("main",)))
    return path


def test_a_change_on_a_stick_is_applied_while_the_source_withholds_it(bench: Bench):
    """The source stays configured, and is said to be behind until it is not any more."""
    settings = bench.paths.settings.read_bytes()
    commit = named(bench, "pictures")
    done = bench.hearth("reconcile", "--from", bundle(bench), "--wait", check=False)
    assert bench.journal.confirmed.revision == commit == bench.journal.floor, done.stdout
    assert bench.lookup("pictures.home.arpa") == "192.168.10.2"
    assert bench.paths.settings.read_bytes() == settings
    assert "rule 6" in done.stdout
    bench.git("push", "--quiet", "--no-verify")
    assert bench.hearth("reconcile").returncode == 0
    assert bench.journal.refused is None


def test_another_repository_will_do(bench: Bench):
    """The family's own clone, on this machine or behind an address."""
    commit = named(bench, "pictures")
    bench.hearth("reconcile", "--from", bench.household, check=False)
    assert bench.journal.floor == commit


def test_a_bundle_of_the_newest_changes_alone_will_do(bench: Bench):
    """It builds upon what the device has verified."""
    commit = named(bench, "pictures")
    bench.hearth("reconcile", "--from", bundle(bench, "origin/main..main"), check=False)
    assert bench.journal.floor == commit


@pytest.mark.parametrize("signed", [True, False])
def test_the_rules_are_the_same_for_a_stick(bench: Bench, signed: bool):
    """Unsigned, or leading back: refused, nothing changes, and what the source offers is not barred by it."""
    floor = bench.journal.floor
    if signed:
        bench.git("reset", "--quiet", "--hard", "HEAD~1")
        rule = "rule 6"
    else:
        named(bench, "pictures", signed=False)
        rule = "rule 1"
    done = bench.hearth("reconcile", "--from", bundle(bench), check=False)
    assert (done.returncode, rule in done.stderr) == (1, True), done.stdout + done.stderr
    assert (bench.journal.floor, bench.journal.refused) == (floor, None)
    assert not list(bench.paths.incoming.glob("objects/pack/*"))
    assert bench.hearth("reconcile").returncode == 0


@pytest.mark.parametrize(
    "place", ["", "/nowhere/home.bundle", "ftp://git.example/x", "x" * 5_000, "a\x1b[2Jb", "/dev/zero"]
)
def test_a_place_that_is_none_is_one_sentence(standing: Bench, place: str):
    """No traceback, no escape sequence, nothing changed; nothing at all is no place to ask."""
    floor = standing.journal.floor
    done = standing.hearth("reconcile", f"--from={place}", check=False)
    assert done.returncode == (2 if place else 0), done.stderr
    assert "bug" not in done.stderr
    assert "\x1b" not in done.stderr
    assert standing.journal.floor == floor


def test_a_token_is_sent_to_its_own_host_alone(joined: Bench):
    """Whoever runs another repository does not get what opens the first one."""
    (joined.paths.keys / "source-token").write_text("secret\n")
    settings = load(joined.paths).model_copy(update={"source": "https://git.example/home.git"})
    home = Home(joined.paths, settings, NoUnits())
    own = carried._credentials(home, parse_url("https://git.example/other.git"))
    assert own.token() is not None
    for other in ("https://evil.example/home.git", "http://git.example/home.git", "https://git.example:8443/home.git"):
        assert carried._credentials(home, parse_url(other)).token() is None
