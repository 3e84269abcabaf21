"""Rule 9 on the device: a home that may be kept in the dark alarms and runs on, whatever its clock and its host say."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from desired_state import sshsig
from desired_state.history import Repository
from desired_state.trust import Anchor, VerifiedRevision, first_trust, verify
from desired_state.trust.freshness import HEAD_REFERENCE, HeadStatement
from desired_state.trust.freshness import Standing as PureStanding
from reconciler import freshness
from reconciler.conditions import Condition, Facts, Status, conditions
from reconciler.freshness import BUILT, DAY_SECONDS, Freshness, FreshnessWatch
from reconciler.journal import Confirmed, Journal, Moment, Obstacle, Rest
from reconciler.settings import Paths, Settings
from reconciler.source import Credentials, Source, peek
from tests.bench import Bench
from tests.desired_state.trust.homes import ELSEWHERE, HOUSEHOLD, Home, calm, key_of, lines_of, public_of
from tests.reconciler.passes import Device

NOON = 1_795_262_400  # 2026-11-21T12:00:00Z
WEEK = 7 * DAY_SECONDS
YEAR_2099 = 4_070_908_800


@dataclass
class Pi:
    """A device's memory of statements, with a real source and store beneath, and a clock that says what it is told."""

    root: Path
    home: Home
    wall: float = NOON
    floor: str = ""
    refused: Obstacle | None = None
    opened: int = 0
    disk: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.paths = Paths(self.root)
        self.paths.prepare()
        self.boot()
        self.follow()

    def boot(self) -> None:
        """Begin anew, with whatever is on disk; what was in /run goes with `reboot`."""
        settings = Settings(source=str(self.home.folder), household=HOUSEHOLD, genesis=self.home.genesis, interval="5m")
        keys = Credentials.in_folder(self.paths.keys)
        self.source = Source(settings.source, keys, self.paths.repository, self.paths.incoming)
        self.watch = FreshnessWatch(self.paths, settings)

    def reboot(self) -> None:
        """Lose /run."""
        self.paths.fresh.unlink(missing_ok=True)
        self.boot()

    def follow(self) -> None:
        """Take over main as the main road does."""
        tip = self.source.peek()
        self.source.fetch(tip, statement=self.watch.watches)
        self.source.promote(tip)
        self.floor = tip

    def revision(self, commit: str) -> VerifiedRevision:
        """Open a verified commit."""
        self.opened += 1
        anchor = Anchor(HOUSEHOLD, self.home.genesis, commit)
        return verify(Repository.open(self.source.store), commit, anchor, judge=calm)

    def look(self, *, online: bool = True) -> Freshness | None:
        """Have one pass's look; note what the disk then holds if it was written."""
        if online:
            self.source.peek()
        else:
            self.source.seen = None
        before = self.stamp()
        journal = Journal(floor=self.floor, refused=self.refused)
        found = self.watch.look(journal, self.source, wall=self.wall, revision=self.revision)
        if self.stamp() != before:
            self.disk.append(self.paths.freshness.read_bytes())
        return found

    def stamp(self) -> object:
        """What a write to the disk would change."""
        file = self.paths.freshness
        return (file.stat().st_ino, file.stat().st_mtime_ns) if file.exists() else None

    def condition(self, *, online: bool = True) -> Condition:
        """Return the condition Fresh after a look."""
        facts = Facts(
            Journal(floor=self.floor, confirmed=Confirmed("d" * 64, self.floor, self.wall)),
            Moment(self.wall, "boot", 100.0),
            Rest("UpToDate"),
            fresh=self.look(online=online),
        )
        found = {condition.type: condition for condition in conditions(facts, ())}
        assert found["Ready"].status is Status.TRUE, "a statement never makes a home unready"
        return found["Fresh"]

    def says(self, *, online: bool = True) -> tuple[Status, str]:
        """Return the condition's status and reason."""
        found = self.condition(online=online)
        return found.status, found.reason


def main(home: Home, commit: str) -> str:
    """Move main."""
    home.repository.move_reference("refs/heads/main", commit, expected=home.repository.reference("refs/heads/main"))
    return commit


def statement(pi: Pi, head: str | None = None, **parts: object) -> HeadStatement:
    """A statement of now about what the device has verified, good for a week, unless said otherwise."""
    issued = int(parts.pop("issued", pi.wall))
    made = HeadStatement(HOUSEHOLD, pi.home.genesis, head or pi.floor, issued, int(parts.pop("expires", issued + WEEK)))
    return replace(made, **parts)


def state(pi: Pi, made: HeadStatement, by: str = "clock", namespace: str = "hearth-head") -> bytes:
    """Put a signed statement where the source shows it."""
    return show(pi, made.text + sshsig.sign(made.text, namespace, key_of(by)))


def show(pi: Pi, content: bytes) -> bytes:
    """Put anything there."""
    repository = pi.home.repository
    blob = repository.write("blob", content)
    repository.move_reference(HEAD_REFERENCE, blob, expected=repository.reference(HEAD_REFERENCE))
    return content


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home whose owners want statements by `clock`."""
    made = Home(tmp_path / "home.git")
    made.trust = {**made.trust, "trust/heads": lines_of("clock", namespace="hearth-head")}
    main(made, made.begin())
    return made


@pytest.fixture
def pi(home: Home, tmp_path: Path) -> Pi:
    """Its device, which has verified the beginning."""
    return Pi(tmp_path / "pi", home)


FRESH = (Status.TRUE, "Stated")


def test_the_shell_and_the_rules_mean_the_same_words():
    """The shell does not load the rules in a quiet pass, so it repeats two of their names."""
    assert peek.STATED == HEAD_REFERENCE
    assert freshness.Standing == PureStanding


def test_a_home_without_heads_has_no_such_condition(tmp_path: Path):
    """Nobody may state anything; whatever the source shows there is not even fetched."""
    plain = Home(tmp_path / "plain.git")
    assert plain.trust == first_trust(HOUSEHOLD, "anna", public_of("anna"))
    main(plain, plain.genesis)
    pi = Pi(tmp_path / "pi", plain)
    show(pi, b"anything")
    assert pi.look() is None
    assert pi.source._statement is None
    assert not pi.watch.watches


def test_a_statement_of_what_is_verified_here_makes_the_home_fresh_until_it_expires(pi: Pi):
    """And then it is stale: an alarm, with the time since when."""
    state(pi, statement(pi))
    assert pi.says() == FRESH
    pi.wall += WEEK - 1
    assert pi.says() == FRESH
    pi.wall += 1
    assert pi.says() == (Status.FALSE, "Stale")
    assert "Since 2026-11-28T12:00:00Z" in pi.condition().message


def test_a_host_that_never_shows_a_statement_is_an_alarm(pi: Pi):
    """The owners want one."""
    assert pi.says() == (Status.FALSE, "NoStatement")


def test_a_change_that_the_source_withholds_is_noticed(pi: Pi):
    """Somebody states a commit that main, as this device is shown it, does not have. It stays noticed over a reboot."""
    newer = pi.home.change(pi.floor)
    state(pi, statement(pi, newer))
    assert pi.says() == (Status.FALSE, "Behind")
    subprocess.run(["git", "-C", pi.home.folder, "update-ref", "-d", HEAD_REFERENCE], check=True)
    pi.reboot()
    assert pi.says() == (Status.FALSE, "Behind")
    main(pi.home, newer)
    pi.follow()
    assert pi.says(online=False) == FRESH


def test_a_change_on_its_way_is_not_called_withheld(pi: Pi):
    """Main has moved, and could not be fetched yet: nothing is said before it was."""
    state(pi, statement(pi))
    assert pi.says() == FRESH
    newer = main(pi.home, pi.home.change(pi.floor))
    state(pi, statement(pi, newer, issued=NOON + 5))
    assert pi.says() == FRESH
    pi.follow()
    assert pi.says() == FRESH


def test_a_statement_of_an_older_change_proves_nothing_and_is_ignored(pi: Pi):
    """It does not make the home fresh for longer, nor does it alarm where another one still holds."""
    before = pi.floor
    main(pi.home, pi.home.change(before))
    pi.follow()
    state(pi, statement(pi, before))
    assert pi.says() == (Status.FALSE, "NoStatement")
    state(pi, statement(pi))
    assert pi.says() == FRESH
    until = pi.look().expires
    state(pi, statement(pi, before, issued=NOON + 500))
    assert pi.says() == FRESH
    assert pi.look().expires == until


def test_a_statement_holds_on_when_the_home_goes_forward(pi: Pi):
    """Until the next one: what it was about is behind us by now."""
    state(pi, statement(pi))
    assert pi.says() == FRESH
    main(pi.home, pi.home.change(pi.floor))
    pi.follow()
    assert pi.says() == FRESH


def test_a_stated_head_on_another_line_is_an_alarm(pi: Pi):
    """A fork that this device was shown and refused: whoever states it follows another history."""
    fork = pi.home.change(pi.floor, "fork")
    main(pi.home, pi.home.change(pi.floor, "ours"))
    pi.follow()
    state(pi, statement(pi, fork))
    assert pi.says() == (Status.FALSE, "Behind")
    pi.refused = Obstacle(fork, "1", "Forked", "does not follow")
    assert pi.says() == (Status.FALSE, "OtherLine")


@pytest.mark.parametrize(
    ("parts", "by", "namespace", "reason"),
    [
        ({}, "mallory", "hearth-head", "UnknownKey"),
        ({}, "anna", "hearth-head", "UnknownKey"),
        ({}, "clock", "git", "WrongNamespace"),
        ({"household": ELSEWHERE}, "clock", "hearth-head", "OtherHousehold"),
        ({"genesis": "c" * 40}, "clock", "hearth-head", "OtherHousehold"),
        ({"issued": NOON + 601}, "clock", "hearth-head", "FromTheFuture"),
        ({"issued": 253_402_200_000, "expires": 253_402_200_060}, "clock", "hearth-head", "FromTheFuture"),
        ({"expires": NOON + WEEK + 1}, "clock", "hearth-head", "ValidTooLong"),
        ({"issued": NOON - WEEK, "expires": NOON}, "clock", "hearth-head", "Expired"),
    ],
)
def test_a_statement_that_does_not_count_is_an_alarm_that_names_why(
    pi: Pi, parts: dict[str, object], by: str, namespace: str, reason: str
):
    """Another's key, an owner's, another purpose, another home, the (far) future, for too long, expired. Looked at once."""
    state(pi, statement(pi, **parts), by, namespace)
    assert pi.says() == (Status.FALSE, reason)
    assert "The home runs on" in pi.condition().message
    pi.source.statement = lambda: pytest.fail("it was looked at again")
    assert pi.says() == (Status.FALSE, reason)


def test_a_replayed_statement_is_an_alarm_and_takes_nothing_back(pi: Pi):
    """The host shows last week's again, also after a reboot; what is known stays known."""
    old = state(pi, statement(pi, expires=NOON + 2 * DAY_SECONDS))
    assert pi.says() == FRESH
    pi.wall += DAY_SECONDS
    new = state(pi, statement(pi))
    assert pi.says() == FRESH
    for again in (lambda: None, pi.reboot):
        again()
        show(pi, old)
        assert pi.says() == (Status.FALSE, "Replayed")
    show(pi, new)
    assert pi.says() == FRESH


def test_nonsense_and_a_heap_are_alarms(pi: Pi):
    """Whatever stands there."""
    for content in (b"", b"x" * 100_000, b"\xff\x00", statement(pi).text):
        show(pi, content)
        assert pi.says() == (Status.FALSE, "NotAStatement")


def test_a_key_that_the_owners_took_out_states_nothing_any_more(pi: Pi, monkeypatch: pytest.MonkeyPatch):
    """What it stated before goes with it, and somebody else's word counts from then on."""
    state(pi, statement(pi))
    assert pi.says() == FRESH
    made = pi.revision

    def rotated(commit: str) -> VerifiedRevision:
        revision = made(commit)
        heads = (replace(revision.trust.heads[0], public=public_of("other")),)
        object.__setattr__(revision, "trust", replace(revision.trust, heads=heads))
        return revision

    monkeypatch.setattr(pi, "revision", rotated)
    main(pi.home, pi.home.change(pi.floor))
    pi.follow()
    assert pi.says() == (Status.FALSE, "UnknownKey")
    state(pi, statement(pi, issued=NOON - 60), by="other")
    assert pi.says() == FRESH


def test_a_quiet_pass_reads_and_writes_nothing(pi: Pi):
    """Neither statement, nor trust files, nor disk, nor /run; also in an agent that began afresh."""
    state(pi, statement(pi))
    pi.look()
    pi.boot()
    pi.source.statement = lambda: pytest.fail("it was fetched again")
    before = [pi.paths.fresh.stat().st_mtime_ns, pi.stamp(), pi.opened]
    for _ in range(3):
        pi.wall += 300
        assert pi.says() == FRESH
    assert [pi.paths.fresh.stat().st_mtime_ns, pi.stamp(), pi.opened] == before


def test_the_card_is_written_once_a_day_and_with_a_change(pi: Pi):
    """A statement every four hours for three days, and one change: four writes, not eighteen."""
    for hour in range(0, 72, 4):
        if hour == 32:
            main(pi.home, pi.home.change(pi.floor))
            pi.follow()
        state(pi, statement(pi))
        assert pi.says() == FRESH
        pi.wall += 4 * 3600
    assert len(pi.disk) == 4


def test_what_was_stated_is_known_after_a_reboot_without_any_network(pi: Pi):
    """From disk: at most a day old, and still with the time that is known to be past."""
    state(pi, statement(pi))
    pi.look()
    pi.reboot()
    assert pi.says(online=False) == FRESH
    pi.paths.freshness.write_bytes(b'{"torn')
    pi.reboot()
    assert pi.says(online=False) == (Status.FALSE, "NoStatement")


@pytest.mark.parametrize("wall", [0.0, -1e9, 86_400.0])
def test_a_clock_at_1970_accepts_nothing_falsely_and_stops_nothing(pi: Pi, wall: float):
    """Not even a statement of today counts then, nothing old looks new; when the clock is right again, all is well."""
    pi.wall = wall
    state(pi, statement(pi, issued=NOON + 3600))
    assert pi.says() == (Status.UNKNOWN, "ClockBehind")
    state(pi, statement(pi, issued=BUILT - WEEK, expires=BUILT))
    assert pi.look().flaw.reason == "Expired"
    pi.wall = NOON + 3600
    state(pi, statement(pi, issued=NOON + 3600))
    assert pi.says() == FRESH


def test_a_statement_that_came_while_the_clock_was_wrong_is_looked_at_again(pi: Pi):
    """The very same blob counts as soon as the device's own clock is right, in either direction."""
    for wrong in (0.0, float(YEAR_2099)):
        state(pi, statement(pi, issued=int(NOON + wrong / 1e9)))
        pi.wall = wrong
        pi.reboot()
        assert pi.says()[0] is not Status.TRUE
        pi.wall = NOON + 60
        assert pi.says() == FRESH


def test_a_clock_at_2099_is_an_alarm_that_ends_with_it(pi: Pi):
    """It expires what is held, and must not expire what will be stated once it is right again."""
    state(pi, statement(pi))
    assert pi.says() == FRESH
    pi.wall = YEAR_2099
    for _ in range(3):
        assert pi.says() == (Status.FALSE, "Stale")
    assert len(pi.disk) == 2
    pi.reboot()
    pi.wall = NOON + 3600
    state(pi, statement(pi))
    assert pi.says() == FRESH


def test_time_that_is_known_to_be_past_does_not_come_back(pi: Pi):
    """A clock set back over a reboot does not make a stale statement fresh."""
    state(pi, statement(pi))
    pi.look()
    pi.wall += WEEK
    assert pi.says() == (Status.FALSE, "Stale")
    pi.reboot()
    pi.wall = NOON + 60
    assert pi.says(online=False) == (Status.FALSE, "Stale")


def test_a_journal_without_a_floor_has_nothing_to_be_fresh(pi: Pi):
    """Before the first verification."""
    assert pi.watch.look(Journal(), pi.source, wall=NOON, revision=pi.revision) is None


# --- the whole road -----------------------------------------------------------------------------------------------------


@pytest.fixture
def device(unjoined: Bench) -> Iterator[Device]:
    """A joined device whose home, from its beginning, has a head key of its own."""
    key = unjoined.folder / "clock"
    unjoined.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "clock", "-f", key)
    public = " ".join(key.with_suffix(".pub").read_text().split()[:2])
    (unjoined.household / "trust/heads").write_text(f'clock namespaces="hearth-head" {public}\n')
    unjoined.git("checkout", "--quiet", "--orphan", "anew")
    unjoined.git("commit", "--quiet", "--all", "-S", "--message", "Begin with a head key")
    unjoined.git("branch", "--quiet", "--force", "main")
    unjoined.git("checkout", "--quiet", "main")
    unjoined.git("push", "--quiet", "--force", "--no-verify")
    unjoined.pin()
    made = Device(unjoined)
    yield made
    made.stop()


def test_a_device_says_that_its_newest_change_is_the_newest(device: Device):
    """Stated by the command, fetched beside main, in the condition, in the metric, in `hearth status`; and no service is touched."""
    bench = device.bench
    bench.hearth("head", "sign", bench.household, "--key", bench.folder / "clock", "--push")
    outcome = device.run()
    assert outcome.exit_code == 0
    fresh = next(one for one in outcome.conditions if one.type == "Fresh")
    assert (fresh.status, fresh.reason) == FRESH
    kept = json.loads(bench.paths.fresh.read_text())
    shown = re.search(r"^hearth_fresh_until_timestamp_seconds (\S+)$", bench.paths.metrics.read_text(), re.MULTILINE)
    assert float(shown[1]) == kept["held"]["expires"]
    assert "The newest change is known here" in bench.hearth("status", check=False).stdout


def test_a_stale_home_serves_on_and_says_so(device: Device):
    """Half a year without a word: an alarm, a line in the log, and every name still answered."""
    bench = device.bench
    bench.hearth("head", "sign", bench.household, "--key", bench.folder / "clock", "--push")
    assert device.run().exit_code == 0
    device.clock.ahead += 180 * DAY_SECONDS
    outcome = device.run()
    assert (outcome.exit_code, outcome.steps) == (0, ())
    assert next(one for one in outcome.conditions if one.type == "Fresh").reason == "Stale"
    assert bench.lookup("tv.home.arpa") == "192.168.10.30"
    said = bench.hearth("status", check=False)
    assert "nobody has stated" in said.stdout
