"""`hearth test dns`: really asks, and says what was answered."""

from __future__ import annotations

from tests.bench import KIDS, MAIN, Bench


def test_every_resolver_is_asked_for_a_local_an_upstream_and_a_blocked_name(standing: Bench):
    """On a home that is well everything answers."""
    code, said = standing.hearth_json("test", "dns")
    assert code == 0
    assert {one["server"] for one in said["results"]} == {MAIN, KIDS}
    assert all(one["ok"] for one in said["results"])
    shown = standing.hearth("test", "dns").stdout
    assert "All of it works." in shown
    assert "blocked for this group" in shown


def test_without_internet_the_home_names_pass_and_the_exit_code_is_1(bench: Bench):
    """It tells which half is broken."""
    bench.stop_world()
    code, said = bench.hearth_json("test", "dns")
    assert code == 1
    by_name = {one["name"]: one["ok"] for one in said["results"]}
    assert by_name["dns main local"]
    assert not by_name["dns main upstream"]


def test_with_the_daemons_down_every_line_says_so(joined: Bench):
    """No traceback, exit code 1."""
    joined.start_agent()
    joined.wait_until_up()
    joined.stop_agent()
    done = joined.hearth("test", "dns", check=False)
    assert done.returncode == 1
    assert "Connection refused" in done.stdout


def test_before_anything_is_applied_it_says_so_and_exits_2(joined: Bench, tmp_path):
    """Nothing to ask is neither well nor broken."""
    assert joined.hearth("test", "dns", check=False).returncode == 2
    done = joined.run(
        joined.environment["PATH"].split(":")[0] + "/hearth", "--root", tmp_path / "none", "test", "dns", check=False
    )
    assert done.returncode == 2
    assert "has not joined a home yet" in done.stderr
