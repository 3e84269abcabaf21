"""`hearth status` and `hearth history`: why this revision, gate by gate, and the diary."""

from __future__ import annotations

import re
import shutil
import signal

from tests.bench import KIDS, WORLD, Bench

GOOD = ("services/dns.yaml", "[doubleclick.net]", "[doubleclick.net, ads.example.net]")


def test_a_home_that_is_well_leads_with_that_and_exits_0(standing: Bench):
    """The first line says it, the gates follow."""
    done = standing.hearth("status")
    assert done.stdout.splitlines()[0] == "✓ The home runs what its repository asks for."
    assert standing.git("rev-parse", "HEAD")[:7] in done.stdout
    assert standing.lookup("tiktok.com") == WORLD["tiktok.com"]
    assert standing.lookup("tiktok.com", KIDS) == "not found"


def test_as_json_it_is_stable_for_scripts(standing: Bench):
    """The names that others rely on."""
    code, said = standing.hearth_json("status")
    assert code == 0
    state = {"household", "source", "verified", "desired", "applied", "trial", "failure", "suspended"}
    assert state | {"conditions", "agent_running"} <= said.keys()
    assert said["verified"] == f"main@sha1:{standing.git('rev-parse', 'HEAD')}"
    types = [one["type"] for one in said["conditions"]]
    assert types[0] == "Ready"
    assert {"Reconciling", "Stalled", "SourceVerified", "Healthy", "Drifted", "Suspended", "NetworkMatches"} <= set(
        types
    )
    for one in said["conditions"]:
        assert one.keys() == {"type", "status", "reason", "message", "last_transition_time", "observed_revision"}
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", one["last_transition_time"])


def test_status_works_while_the_agent_is_down_and_says_so(bench: Bench):
    """Killed outright, as by the kernel when memory is short."""
    bench.stop_agent(signal.SIGKILL)
    done = bench.hearth("status", check=False)
    assert done.returncode == 1
    assert f"nothing new takes effect: hearth --root {bench.pi} agent" in done.stdout
    assert bench.hearth_json("status")[1]["agent_running"] is False


def test_before_anybody_has_looked_it_says_what_was_last_in_effect(bench: Bench):
    """After a reboot with an agent that does not start."""
    bench.stop_agent()
    shutil.rmtree(bench.paths.run)
    done = bench.hearth("status", check=False)
    assert done.returncode == 2
    assert f"Last in effect: {bench.git('rev-parse', 'HEAD')[:7]}" in done.stderr


def test_a_refusal_leads_with_its_reason_and_what_to_do(bench: Bench):
    """The gate that is shut is named, and the home stays."""
    bench.edit("people.yaml", "Anna Holm", "Eve", signed=False)
    bench.hearth("reconcile", check=False)
    done = bench.hearth("status", check=False)
    assert done.returncode == 1
    assert done.stdout.startswith("✗")
    assert "The home stays on" in done.stdout.splitlines()[0]
    assert "✗ signatures" in done.stdout


def test_history_reads_like_a_diary(bench: Bench):
    """Newest first: what changed in sentences, who signed, what came of it here."""
    commit = bench.edit(*GOOD, message="No more adverts")
    bench.hearth("reconcile")
    lines = bench.hearth("history").stdout.splitlines()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", lines[0])
    assert f"{commit[:7]}, signed by anna" in lines[1]
    assert "ads.example.net" in lines[1]
    assert any("in effect" in line for line in lines[2:4])
    assert "The home begins" in lines[-1]


def test_history_as_json_names_every_commit_and_its_ending(bench: Bench):
    """A change that was taken back stands there too."""
    bench.edit("services/dns.yaml", "[9.9.9.9, 149.112.112.112]", "[192.0.2.53]")
    assert bench.hearth("reconcile", "--wait", check=False).returncode == 1
    code, entries = bench.hearth_json("history", "--all")
    assert code == 0
    assert [one["commit"] for one in entries] == bench.git("rev-list", "HEAD").split()
    assert entries[0]["here"][0]["ended"] == "failed"
    assert all(one["signed_by"] == ["anna"] for one in entries)


def test_history_of_a_home_where_nothing_happened_yet(unjoined: Bench):
    """A sentence, and an empty list for scripts."""
    unjoined.pin()
    assert "Nothing has happened yet" in unjoined.hearth("history").stdout
    assert unjoined.hearth_json("history") == (0, [])


def test_history_after_joining_knows_what_was_verified_and_that_nothing_was_applied(joined: Bench):
    """Joining verifies; the agent's first pass applies."""
    code, entries = joined.hearth_json("history")
    assert (code, [one["here"] for one in entries]) == (0, [[]] * 3)
