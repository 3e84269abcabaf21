"""`hearth status` and `hearth history`: why this revision, and the diary."""

from __future__ import annotations

from tests.bench import KIDS, WORLD, Bench


def test_a_home_that_is_well_leads_with_that_and_exits_0(bench: Bench):
    """The first line says it, the gates follow."""
    done = bench.hearth("status", check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    print(done.stdout)
    assert bench.lookup("tiktok.com") == WORLD["tiktok.com"]
    assert bench.lookup("tiktok.com", KIDS) == "not found"
