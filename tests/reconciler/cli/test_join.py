"""Joining a home, and leaving one: nothing is given up before a person has said yes."""

from __future__ import annotations

from tests.bench import Bench


def another_home(bench: Bench) -> str:
    """Make a second home with a git host of its own, and return its eight words."""
    place, remote = bench.folder / "other", bench.folder / "other.git"
    bench.run("git", "init", "--quiet", "--bare", "--initial-branch=main", remote)
    done = bench.run("hearth", "init", place, "--self-hosted", "--key", bench.folder / "anna", cwd=bench.folder)
    bench.run("git", "push", "--quiet", "--no-verify", remote, "main", cwd=place)
    return done.stdout.partition("joins:")[2].splitlines()[0].strip()


def test_saying_no_to_a_new_home_keeps_the_floor_of_the_old_one(bench: Bench) -> None:
    """Whoever answers no has left nothing: a reset of main is refused as before."""
    before = bench.journal
    ports = (str(bench.port), str(bench.upstream_port))
    words = ("--genesis", another_home(bench), "--new-home", "--bench", *ports)
    refused = bench.hearth("join", bench.folder / "other.git", *words, check=False)
    assert refused.returncode != 0  # nobody answers, which is a no
    assert "Joined" not in refused.stdout
    assert bench.journal == before
    assert (bench.paths.repository / "HEAD").exists()


def test_a_new_home_is_joined_only_when_asked_for(bench: Bench) -> None:
    """Another beginning at the same place is refused without --new-home."""
    ports = (str(bench.port), str(bench.upstream_port))
    words = ("--genesis", another_home(bench), "--yes", "--bench", *ports)
    refused = bench.hearth("join", bench.folder / "other.git", *words, check=False)
    assert refused.returncode == 2
    assert "--new-home" in refused.stdout + refused.stderr
