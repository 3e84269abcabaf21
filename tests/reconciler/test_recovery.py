"""What a home comes back from by itself: lost and damaged files, upgrades, races. Each once wedged a home, or lowered its guard."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler import journal as j
from reconciler import reconcile as road
from reconciler.errors import Stalled
from reconciler.journal import Ending, Suspension
from reconciler.journal_file import JournalFile
from reconciler.settings import Paths
from reconciler.source.failure import Failure, as_error
from tests.bench import KIDS, WORLD, Bench, make_family, until
from tests.reconciler.passes import Device

GOOD = ("services/dns.yaml", "[doubleclick.net]", "[doubleclick.net, ads.example.net]")
BETTER = ("services/dns.yaml", "[doubleclick.net", "[tracker.example.net, doubleclick.net")
UPSTREAMS = "[9.9.9.9, 149.112.112.112]"


@pytest.fixture
def up(joined: Bench) -> Iterator[Device]:
    """A device that has applied the family's household."""
    made = Device(joined)
    assert made.run().exit_code == 0
    yield made
    made.stop()


def settle(device: Device) -> None:
    """Let a few passes go by, as many as any recovery may take."""
    for _ in range(3):
        device.run()


def runs(device: Device, commit: str) -> bool:
    """Whether `commit` is in effect, and the home answers as it says."""
    now = device.journal
    assert now.confirmed is not None
    return (now.confirmed.revision, now.trial, now.refused, device.bench.lookup("tiktok.com", KIDS)) == (
        commit,
        None,
        None,
        "not found",
    )


def lose_store(paths: Paths) -> None:
    """Delete the store of verified commits."""
    shutil.rmtree(paths.repository)


def lose_packs(paths: Paths) -> None:
    """Delete its packs, and leave its main."""
    for pack in (paths.repository / "objects/pack").iterdir():
        pack.unlink()


def truncate_packs(paths: Paths) -> None:
    """Cut its packs in half, as a broken card does."""
    for pack in (paths.repository / "objects/pack").glob("*.pack"):
        pack.chmod(0o644)
        pack.write_bytes(pack.read_bytes()[: pack.stat().st_size // 2])


def lose_objects(paths: Paths) -> None:
    """Delete the folder of its objects."""
    shutil.rmtree(paths.repository / "objects")


def garble_main(paths: Paths) -> None:
    """Write nonsense where its main stood."""
    (paths.repository / "refs/heads/main").write_text("nonsense\n")


def garble_config(paths: Paths) -> None:
    """Write nonsense over its configuration."""
    (paths.repository / "config").write_text("[[[")


DAMAGES = (lose_store, lose_packs, truncate_packs, lose_objects, garble_main, garble_config)


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_store_is_fetched_anew_when_the_next_change_arrives(up: Device, damage):
    """A good commit is not refused because our own disk lost what it stands on."""
    damage(up.bench.paths)
    commit = up.bench.edit(*GOOD)
    settle(up)
    assert runs(up, commit)
    again = up.bench.edit(*BETTER)
    settle(up)
    assert runs(up, again)


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_store_and_lost_generations_come_back_while_main_stands_still(up: Device, damage):
    """Nothing new at the source is no reason to stay damaged."""
    floor = up.journal.floor
    damage(up.bench.paths)
    shutil.rmtree(up.bench.paths.state / "generations")
    settle(up)
    assert runs(up, floor)
    assert up.run().exit_code == 0
    assert (up.bench.paths.state / "current/dnsmasq/hosts").exists()


def test_a_lost_journal_does_not_lower_the_floor_of_a_running_agent(up: Device):
    """Nor may a rewound source use the moment."""
    floor = up.journal.floor
    up.bench.git("reset", "--quiet", "--hard", "HEAD~1")
    up.bench.git("push", "--quiet", "--force", "--no-verify")
    up.bench.paths.journal.unlink()
    settle(up)
    assert up.journal.floor == floor
    assert up.journal.refused is not None


def test_a_lost_journal_does_not_lower_the_floor_after_a_persons_command(up: Device):
    """`hearth suspend` on a lost journal writes one without a floor; it is found again all the same."""
    floor, now = up.journal.floor, up.clock.now()
    up.bench.git("reset", "--quiet", "--hard", "HEAD~1")
    up.bench.git("push", "--quiet", "--force", "--no-verify")
    up.bench.paths.journal.unlink()
    JournalFile(up.bench.paths.journal).write(j.Journal(suspended=Suspension(now.wall, now.wall + 60, "guests")))
    up.stop()
    up.start()
    settle(up)
    assert up.journal.floor == floor


def test_a_lost_journal_stops_no_daemon_though_the_newest_commit_cannot_be_applied(up: Device):
    """What runs goes on running."""
    up.bench.edit("services/dns.yaml", "for: [kids]", "for: [nobody]")
    up.run()
    up.bench.paths.journal.unlink()
    settle(up)
    assert up.bench.lookup("tv.home.arpa") == "192.168.10.30"
    commit = up.bench.edit("services/dns.yaml", "for: [nobody]", "for: [kids]")
    settle(up)
    assert runs(up, commit)


def test_drift_met_by_an_upgrade_that_renders_otherwise_does_not_bar_the_new_rendering(
    up: Device, monkeypatch: pytest.MonkeyPatch
):
    """The file cannot be put back as it was; the newer rendering replaces it."""
    _render_otherwise(monkeypatch)
    (up.bench.paths.state / "current/dnsmasq/hosts").write_text("10.6.6.6 tv.home.arpa\n")
    before = up.journal.target
    settle(up)
    assert up.journal.target != before
    assert up.bench.lookup("tv.home.arpa") == "192.168.10.30"
    assert up.run().exit_code == 0


def _render_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    """Be the next version of Hearth: another renderer, so another digest for every household."""
    from renderers import artifact, compose

    original = compose.render
    monkeypatch.setattr(road, "RENDERER_VERSION", "9.9.9")
    monkeypatch.setattr(
        "renderers.render",
        lambda household, target: j.replace(original(household, target), renderer="9.9.9"),
        raising=False,
    )
    assert artifact.RENDERER_VERSION != "9.9.9"


def test_a_running_commit_that_can_no_longer_be_rendered_does_not_bar_the_next_one(
    up: Device, monkeypatch: pytest.MonkeyPatch
):
    """Lost on disk, and not understood by a newer Hearth: the mended commit gets through all the same."""
    old, render = up.journal.floor, up.home.render

    def stricter(revision):
        if revision.commit == old:
            raise Stalled("HouseholdInvalid", "not any more")
        return render(revision)

    monkeypatch.setattr(up.home, "render", stricter)
    shutil.rmtree(up.bench.paths.state / "generations")
    commit = up.bench.edit(*GOOD)
    settle(up)
    assert runs(up, commit)


def test_main_gone_for_the_moment_of_the_fetch_does_not_bar_the_commit(up: Device, monkeypatch: pytest.MonkeyPatch):
    """What is wrong with the host is not remembered against a commit."""
    commit = up.bench.edit(*GOOD)
    peek = up.home.source.peek

    def then_gone() -> str:
        tip = peek()
        main.unlink()
        return tip

    main = up.bench.remote / "refs/heads/main"
    monkeypatch.setattr(up.home.source, "peek", then_gone)
    up.run()
    monkeypatch.undo()
    main.write_text(f"{commit}\n")
    settle(up)
    assert runs(up, commit)


def test_a_change_that_failed_is_not_tried_again_while_the_world_is_away(up: Device):
    """Nothing would show then that it cuts the home off, and it would stay."""
    good = up.journal.floor
    up.bench.edit("services/dns.yaml", UPSTREAMS, "[192.0.2.53]")
    up.run()
    up.bench.stop_world()
    up.clock.ahead += j.RETRY_SECONDS
    settle(up)
    assert up.journal.confirmed.revision == good
    up.bench.start_world()
    until(lambda: up.bench.lookup("debian.org") == WORLD["debian.org"])
    up.run()
    assert up.journal.failure.quarantined


def test_a_watcher_that_fails_does_not_stop_a_pass(up: Device):
    """`hearth reconcile | head -1` closes its pipe; a full /run takes no gate."""

    def broken(_: str) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    up.on_gate = broken
    commit = up.bench.edit(*GOOD)
    assert up.run().exit_code == 0
    assert runs(up, commit)


def test_a_defect_in_one_stage_does_not_keep_a_trial_from_its_end(up: Device, monkeypatch: pytest.MonkeyPatch):
    """Our own bug is reported, after the home was looked after."""
    up.bench.edit("services/dns.yaml", UPSTREAMS, "[192.0.2.53]")
    up.run(wait=False)
    assert up.journal.trial is not None

    def bug() -> str:
        raise AssertionError("a bug")

    monkeypatch.setattr(up.home.source, "peek", bug)
    with pytest.raises(AssertionError, match="a bug"):
        up.run()
    assert up.journal.trial is None
    assert up.journal.attempts[-1].ending is Ending.FAILED


@pytest.mark.parametrize("place", ["incoming", "current"])
def test_a_file_that_stands_where_a_folder_belongs_is_no_obstacle_for_good(up: Device, place: str):
    """Whoever put it there."""
    path: Path = up.bench.paths.state / place
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    path.write_text("?")
    commit = up.bench.edit(*GOOD)
    settle(up)
    assert runs(up, commit)


def test_dns_taken_out_and_put_in_again_stops_and_starts_the_resolvers(up: Device):
    """A home may be without any service."""
    text = (up.bench.household / "services/dns.yaml").read_text()
    up.bench.git("rm", "--quiet", "services/dns.yaml")
    up.bench.git("commit", "--quiet", "-S", "-m", "No DNS")
    up.bench.git("push", "--quiet", "--no-verify")
    assert up.run().exit_code == 0
    assert up.bench.lookup("tv.home.arpa") not in {"192.168.10.30", "not found"}
    (up.bench.household / "services").mkdir(exist_ok=True)
    commit = up.bench.push("services/dns.yaml", text)
    assert up.run().exit_code == 0
    assert runs(up, commit)


def test_a_group_that_is_renamed_takes_its_resolver_along(up: Device):
    """The old instance leaves the address to the new one."""
    devices = (up.bench.household / "devices.yaml").read_text()
    (up.bench.household / "devices.yaml").write_text(devices.replace("kids", "children"))
    dns = (up.bench.household / "services/dns.yaml").read_text()
    (up.bench.household / "services/dns.yaml").write_text(dns.replace("[kids]", "[children]"))
    up.bench.git("commit", "--quiet", "--all", "-S", "-m", "Rename")
    up.bench.git("push", "--quiet", "--no-verify")
    commit = up.bench.git("rev-parse", "HEAD")
    assert up.run().exit_code == 0
    assert runs(up, commit)


def test_a_source_that_flaps_between_two_refused_commits_and_comes_back_is_followed(up: Device):
    """Rewound, forked, gone and there again."""
    floor = up.journal.floor
    bad = up.bench.edit("people.yaml", "Anna Holm", "Eve", signed=False)
    up.run()
    up.bench.git("reset", "--quiet", "--hard", f"{floor}~1")
    up.bench.git("push", "--quiet", "--force", "--no-verify")
    main = up.bench.remote / "refs/heads/main"
    for _ in range(2):
        up.run()
        main.write_text(f"{bad}\n")
        up.run()
        main.write_text(f"{floor}~1\n")
        main.unlink()
        up.run()
    up.bench.git("reset", "--quiet", "--hard", floor)
    commit = up.bench.edit(*GOOD)
    assert up.run().exit_code == 0
    assert runs(up, commit)


def test_an_agent_that_ran_while_its_machine_joined_another_home_follows_that_one(bench: Bench, tmp_path: Path):
    """The old home's floor must not come back into the new one's journal: nothing there would ever follow it."""
    (tmp_path / "other").mkdir()
    other = make_family(tmp_path / "other")
    tip = other.git("rev-parse", "HEAD")
    ports = (str(bench.port), str(bench.upstream_port))
    bench.hearth("join", other.remote, "--genesis", other.words, "--yes", "--new-home", "--bench", *ports, "--json")
    assert bench.agent is not None
    bench.agent.send_signal(signal.SIGUSR1)
    until(lambda: bench.up() and bench.journal.floor == tip, 60, what="the new home")
    assert bench.journal.confirmed.revision == tip
    assert bench.agent.poll() is None


def test_a_disk_that_cannot_take_a_fetch_is_not_called_offline(up: Device, monkeypatch: pytest.MonkeyPatch):
    """Offline is well and ends with 0; a full disk is neither."""
    up.bench.edit(*GOOD)

    def full(*_: object, **__: object) -> None:
        raise as_error(Failure.DISK, "git.example")

    monkeypatch.setattr(up.home.source, "fetch", full)
    outcome = up.run()
    assert (outcome.ready.reason, outcome.exit_code) == ("StorageFailed", 2)
