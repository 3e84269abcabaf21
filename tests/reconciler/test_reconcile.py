"""The main road on a real home: signed commits, the real dnsmasq, real probes; only the clock is stepped and the cable ours."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from reconciler import journal as j
from reconciler.conditions import Status
from reconciler.journal import Confirm, Ending, Heal, RollBack, Suspension, Try
from renderers.plan import Checker, Link
from tests.bench import KIDS, WORLD, Bench, until
from tests.reconciler.passes import Device

UPSTREAMS = "[9.9.9.9, 149.112.112.112]"
GOOD = ("services/dns.yaml", "[doubleclick.net]", "[doubleclick.net, ads.example.net]")
CUT_OFF = ("services/dns.yaml", UPSTREAMS, "[192.0.2.53]")


@pytest.fixture
def device(unjoined: Bench) -> Iterator[Device]:
    """A device that has joined, and has applied nothing yet."""
    unjoined.pin()
    made = Device(unjoined)
    yield made
    made.stop()


@pytest.fixture
def up(device: Device) -> Device:
    """A device that has applied the family's household."""
    assert device.run().exit_code == 0
    return device


def condition(outcome, kind: str):
    """One condition of an outcome."""
    return next(one for one in outcome.conditions if one.type == kind)


def answers(device: Device) -> bool:
    """Whether the home answers for its own names, and keeps the kids from TikTok."""
    bench = device.bench
    return (bench.lookup("tv.home.arpa"), bench.lookup("tiktok.com", KIDS)) == ("192.168.10.30", "not found")


def snapshot(folder: Path) -> dict[Path, tuple[int, int, int]]:
    """Every path below a folder with what a write would change."""
    found = {path: path.lstat() for path in (folder, *folder.rglob("*"))}
    return {path: (now.st_ino, now.st_mtime_ns, now.st_ctime_ns) for path, now in found.items()}


def test_a_new_home_is_verified_rendered_checked_tried_and_confirmed(device: Device):
    """Every gate opens once, in order, and the home answers."""
    outcome = device.run()
    assert outcome.exit_code == 0
    assert device.gates == [
        (gate, True) for gate in ("fetched", "verified", "rendered", "checked", "on trial", "applied", "answering")
    ]
    assert answers(device)
    assert device.bench.lookup("tiktok.com") == WORLD["tiktok.com"]


def test_a_pass_with_nothing_to_do_takes_no_step_and_writes_no_byte(up: Device):
    """Neither to the state nor to the disk; counted by the kernel and seen on every file."""
    up.run()
    before, counted = snapshot(up.bench.paths.state), _written()
    outcome = up.run()
    assert outcome.steps == ()
    assert up.gates == []
    assert _written() == counted
    assert snapshot(up.bench.paths.state) == before


def _written() -> int:
    """The bytes that this process caused to be sent to storage (/proc/PID/io, write_bytes)."""
    lines = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(lines["write_bytes"])


def test_an_ordinary_change_takes_effect_and_the_one_before_is_kept(up: Device):
    """So that a person can go back."""
    first = up.journal.confirmed
    commit = up.bench.edit(*GOOD)
    assert up.run().exit_code == 0
    assert up.journal.confirmed.revision == commit
    assert up.journal.previous == first
    assert up.bench.lookup("ads.example.net") == "not found"


def test_a_change_of_a_comment_is_adopted_without_a_trial(up: Device):
    """Equal files need no proof that they work."""
    served = up.bench.lookup("tv.home.arpa")
    commit = up.bench.push("devices.yaml", (up.bench.household / "devices.yaml").read_text() + "# a remark\n")
    outcome = up.run()
    assert [type(step).__name__ for step in outcome.steps] == ["Adopt"]
    assert up.journal.confirmed.revision == commit
    assert up.bench.lookup("tv.home.arpa") == served


def test_a_valid_configuration_that_breaks_dns_is_taken_back_within_its_deadline(up: Device):
    """It passes every check, cuts the home off, and is gone again; the exit code and the conditions say so."""
    good = up.journal.confirmed
    commit = up.bench.edit(*CUT_OFF)
    outcome = up.run()
    attempt = up.journal.attempts[-1]
    assert outcome.exit_code == 1
    assert (attempt.revision, attempt.ending, attempt.reason) == (commit, Ending.FAILED, "HealthCheckFailed")
    assert attempt.ended - attempt.began <= j.TRIAL_SECONDS
    assert up.journal.confirmed == good
    assert up.journal.floor == commit
    until(lambda: up.bench.lookup("debian.org") == WORLD["debian.org"])
    assert "was taken back" in outcome.ready.message


def test_a_digest_that_failed_is_not_tried_again_at_once_and_never_a_third_time(up: Device):
    """Twice by a daemon's probe is enough; a newer commit gets through all the same."""
    up.bench.edit(*CUT_OFF)
    up.run()
    assert not any(isinstance(step, Try) for step in up.run().steps)
    up.clock.ahead += j.RETRY_SECONDS
    assert any(isinstance(step, RollBack) for step in up.run().steps)
    assert up.journal.failure.quarantined
    up.clock.ahead += 86_400
    outcome = up.run()
    assert outcome.steps == ()
    assert condition(outcome, "Stalled").reason == "Quarantined"
    assert outcome.exit_code == 1
    commit = up.bench.edit("services/dns.yaml", "[192.0.2.53]", UPSTREAMS)
    assert up.run().exit_code == 0
    assert up.journal.confirmed.revision == commit
    assert up.journal.failure is None


def test_retry_tries_what_was_quarantined_once_more(up: Device):
    """A person's word counts."""
    up.bench.edit(*CUT_OFF)
    up.run()
    up.clock.ahead += j.RETRY_SECONDS
    up.run()
    up.home.journal.write(j.forgotten(up.journal))
    assert any(isinstance(step, Try) for step in up.run().steps)


def test_a_probe_that_failed_before_the_change_takes_nothing_back(up: Device):
    """Without internet a change at home still takes effect."""
    up.bench.stop_world()
    commit = up.bench.edit(*GOOD)
    outcome = up.run()
    assert any(isinstance(step, Confirm) for step in outcome.steps)
    assert up.journal.confirmed.revision == commit
    assert up.bench.lookup("ads.example.net") == "not found"


def test_a_pulled_cable_during_a_trial_is_inconclusive_and_bars_nothing(up: Device):
    """It goes back to be safe, counts nothing against the change, and tries again later."""
    up.home.cable = False
    up.on_gate = lambda gate: up.bench.stop_world() if gate == "on trial" else None
    commit = up.bench.edit(*GOOD)
    up.run()
    attempt = up.journal.attempts[-1]
    assert (attempt.ending, attempt.reason) == (Ending.INCONCLUSIVE, "NetworkLost")
    assert up.journal.failure.times == 0
    up.home.cable, up.on_gate = True, lambda _: None
    up.bench.start_world()
    until(lambda: up.bench.lookup("debian.org") == WORLD["debian.org"])
    up.clock.ahead += j.RETRY_SECONDS
    assert up.run().exit_code == 0
    assert up.journal.confirmed.revision == commit


@pytest.mark.parametrize(("cable", "ending"), [(False, Ending.INCONCLUSIVE), (True, Ending.FAILED)])
def test_a_source_that_is_lost_with_the_change_counts_only_while_the_cable_is_in(
    up: Device, cable: bool, ending: Ending
):
    """A change that cuts the device off from its own repository would never be mended from there."""
    up.home.cable = cable
    gone = up.bench.folder / "gone.git"
    up.on_gate = lambda gate: up.bench.remote.rename(gone) if gate == "on trial" else None
    up.bench.edit(*GOOD)
    up.run()
    assert up.journal.attempts[-1].ending is ending
    assert answers(up)


def test_suspended_stops_applying_and_never_verifying(up: Device):
    """The floor moves on, the home stays; a bad commit is still refused; the pause ends by itself."""
    confirmed, now = up.journal.confirmed, up.clock.now()
    up.home.journal.write(j.replace(up.journal, suspended=Suspension(now.wall, now.wall + 3600, "guests")))
    commit = up.bench.edit(*GOOD)
    outcome = up.run()
    assert (outcome.exit_code, outcome.ready.reason) == (0, "Suspended")
    assert (up.journal.floor, up.journal.confirmed) == (commit, confirmed)
    up.bench.edit("people.yaml", "Anna Holm", "Eve", signed=False)
    assert condition(up.run(), "SourceVerified").status is Status.FALSE
    assert up.journal.floor == commit
    up.bench.git("reset", "--quiet", "--hard", commit)
    up.bench.git("push", "--quiet", "--force", "--no-verify")
    up.clock.ahead += 3601
    up.run()
    assert up.journal.confirmed.revision == commit


def test_an_unsigned_tip_is_refused_once_and_not_fetched_again(up: Device):
    """Whoever can push may not make the device transfer the same bad commit for ever."""
    good = up.journal.floor
    up.bench.edit("people.yaml", "Anna Holm", "Eve", signed=False)
    outcome = up.run()
    assert outcome.exit_code == 1
    assert up.gates == [("fetched", True), ("verified", False)]
    assert up.journal.floor == good
    assert "The home stays on" in outcome.ready.message
    again = up.run()
    assert (again.exit_code, up.gates) == (1, [])
    assert answers(up)


def test_when_the_bad_tip_is_gone_the_refusal_is_too(up: Device):
    """Main back on what was verified is all well."""
    good = up.journal.floor
    up.bench.edit("people.yaml", "Anna Holm", "Eve", signed=False)
    up.run()
    up.bench.git("reset", "--quiet", "--hard", good)
    up.bench.git("push", "--quiet", "--force", "--no-verify")
    assert up.run().exit_code == 0
    assert up.journal.refused is None


def test_main_put_back_to_an_older_signed_commit_is_refused_also_after_a_restart(up: Device):
    """Every commit there is genuine; going back is not."""
    floor = up.journal.floor
    up.bench.git("reset", "--quiet", "--hard", "HEAD~1")
    up.bench.git("push", "--quiet", "--force", "--no-verify")
    assert up.run().exit_code == 1
    up.stop()
    shutil.rmtree(up.bench.paths.run)
    up.start()
    outcome = up.run()
    assert outcome.exit_code == 1
    assert up.journal.floor == floor
    assert answers(up)


def test_a_household_with_an_error_applies_nothing_and_the_next_commit_mends_it(up: Device):
    """Signed, and wrong all the same."""
    confirmed = up.journal.confirmed
    bad = up.bench.edit("services/dns.yaml", "for: [kids]", "for: [nobody]")
    outcome = up.run()
    assert (outcome.exit_code, outcome.ready.reason) == (1, "HouseholdInvalid")
    assert (up.journal.floor, up.journal.confirmed) == (bad, confirmed)
    good = up.bench.edit("services/dns.yaml", "for: [nobody]", "for: [kids]")
    assert up.run().exit_code == 0
    assert up.journal.confirmed.revision == good


@pytest.mark.parametrize(
    ("checker", "reason", "code"),
    [
        (Checker("warns", ("echo", "ignoring unknown parameter")), "ValidationFailed", 1),
        (Checker("refuses", ("false",)), "ValidationFailed", 1),
        (Checker("hangs", ("sleep", "60"), seconds=1), "CheckerUnavailable", 2),
        (Checker("is killed", ("sh", "-c", "kill -9 $$")), "CheckerUnavailable", 2),
        (Checker("is missing", ("no-such-checker",)), "CheckerUnavailable", 2),
    ],
    ids=lambda value: value.name.replace(" ", "-") if isinstance(value, Checker) else str(value),
)
def test_invalid_and_could_not_check_are_told_apart_and_neither_is_applied(up: Device, checker, reason, code):
    """A warning with exit code 0 is a refusal; a checker that did not come to its end is to be asked again."""
    confirmed = up.journal.confirmed
    up.home.checkers = [checker]
    commit = up.bench.edit(*GOOD)
    outcome = up.run()
    assert (outcome.ready.reason, outcome.exit_code) == (reason, code)
    assert up.journal.confirmed == confirmed
    assert up.bench.lookup("ads.example.net") != "not found"
    up.home.checkers = None
    up.run()
    assert (up.journal.confirmed.revision == commit) is (reason == "CheckerUnavailable")


def test_a_file_that_was_changed_by_hand_is_put_back_and_its_daemon_told(up: Device):
    """Drift on disk and in what is answered."""
    hosts = up.bench.paths.state / "current/dnsmasq/hosts"
    good = hosts.read_bytes()
    hosts.write_text("10.6.6.6 tv.home.arpa\n")
    outcome = up.run()
    assert any(isinstance(step, Heal) for step in outcome.steps)
    assert hosts.read_bytes() == good
    assert up.run().steps == ()
    assert answers(up)


def test_a_link_that_an_upgrade_replaced_leads_back_and_the_file_is_kept(up: Device):
    """Package upgrades put their own configuration there."""
    up.home.links = [Link("/etc/dnsmasq.conf", "dnsmasq/dnsmasq.conf")]
    up.bench.edit(*GOOD)
    up.run()
    link = up.bench.pi / "etc/dnsmasq.conf"
    assert link.is_symlink()
    link.unlink()
    link.write_text("# the package's own\n")
    up.run()
    assert link.resolve() == (up.bench.paths.state / "current/dnsmasq/dnsmasq.conf").resolve()
    assert (up.bench.paths.state / "replaced/etc/dnsmasq.conf").read_text() == "# the package's own\n"


def test_a_link_current_that_points_elsewhere_is_put_back(up: Device):
    """Whoever moved it."""
    current = up.bench.paths.state / "current"
    wanted = current.readlink()
    current.unlink()
    current.symlink_to("/tmp")
    up.run()
    assert current.readlink() == wanted
    assert answers(up)


def test_a_generation_that_the_disk_lost_is_made_again_from_its_commit(up: Device):
    """Also without the source."""
    up.bench.remote.rename(up.bench.folder / "gone.git")
    shutil.rmtree(up.bench.paths.state / "generations")
    up.run()
    assert up.run().exit_code == 0
    assert (up.bench.paths.state / "current/dnsmasq/hosts").exists()


def test_a_daemon_that_was_killed_answers_again_after_a_pass(up: Device):
    """Whoever killed it."""
    home = str(up.bench.pi)  # another bench of this run has daemons too
    living = [one for one in psutil.Process().children() if one.status() != psutil.STATUS_ZOMBIE]
    daemons = [one for one in living if home in " ".join(one.cmdline())]
    assert len(daemons) == 2
    for daemon in daemons:
        daemon.kill()
    up.run()
    until(lambda: answers(up))


def test_a_first_generation_needs_no_internet(device: Device):
    """A home that is set up before the line is installed."""
    device.bench.stop_world()
    assert isinstance(device.run().steps[-1], Confirm)
    assert answers(device)


def test_before_anything_was_fetched_an_unreachable_source_is_said_plainly(device: Device):
    """Exit code 2: something around us is in the way."""
    device.bench.remote.rename(device.bench.folder / "gone.git")
    outcome = device.run()
    assert outcome.exit_code == 2
    assert condition(outcome, "SourceVerified").status is Status.UNKNOWN
    assert device.journal == j.Journal()


def test_after_a_reboot_without_internet_or_source_the_home_serves_what_was_confirmed(up: Device):
    """Exit code 0: offline but healthy, and the message leads with that."""
    digest = up.journal.target
    up.stop()
    up.bench.stop_world()
    up.bench.remote.rename(up.bench.folder / "gone.git")
    shutil.rmtree(up.bench.paths.run)
    up.start()
    outcome = up.run()
    assert outcome.exit_code == 0
    assert outcome.ready.message.startswith("Your internet is down; the home works.")
    assert up.home.generations.active() == digest
    assert answers(up)


def test_the_clock_at_1970_or_2099_stops_nothing(up: Device):
    """A Pi has no clock at boot."""
    for ahead in (-1_700_000_000.0, 2_300_000_000.0):
        up.clock.ahead = ahead
        assert up.run().exit_code == 0
        assert answers(up)


def test_without_wait_a_trial_is_left_pending_and_the_next_pass_ends_it(up: Device):
    """As the short command does: exit code 0, and the reason says that it is on trial."""
    up.bench.edit(*CUT_OFF)
    outcome = up.run(wait=False)
    assert (outcome.exit_code, outcome.ready.reason) == (0, "TrialPending")
    assert up.journal.trial is not None
    up.run()
    assert up.journal.trial is None
