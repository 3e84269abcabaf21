"""What the device says of itself: the right status for scripts, kind words for people, and times that mean something."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.conditions import Condition, Facts, Status, conditions, timestamp
from reconciler.drift import Drift, Kind
from reconciler.errors import HearthError, Misused, Stalled, Transient
from reconciler.journal import Confirmed, Failure, Journal, Moment, Obstacle, Rest, Suspension, Trial
from reconciler.probe import ProbeResult
from reconciler.secrets import Standing

NOW = Moment(1_800_000_000.75, "boot", 100.0)
GOOD = Confirmed("c" * 64, "8d01b7e" + "0" * 33, NOW.wall - 500)
JOURNAL = Journal(floor=GOOD.revision, confirmed=GOOD)
WELL = (ProbeResult("local", ok=True), ProbeResult("outside", ok=True))
CUT_OFF = (ProbeResult("local", ok=True), ProbeResult("outside", ok=False, message="debian.org: no answer"))
BROKEN = (ProbeResult("local", ok=False, message="pi.home.arpa: no answer"), ProbeResult("outside", ok=True))
UNREACHABLE = Transient("SourceUnreachable", "The git host git.example does not answer.", "The home runs on.")
UNAPPROVED = Stalled("Unapproved", "Refused, rule 4: 3f2a91c has no approval.", "To repair: reset main to 8d01b7e.")
FACTS = Facts(JOURNAL, NOW, Rest("UpToDate"), results=WELL, outward=frozenset({"outside", "source"}))


def say(facts: Facts, kind: str = "Ready") -> Condition:
    """Return one condition."""
    return next(condition for condition in conditions(facts, ()) if condition.type == kind)


def test_a_home_that_is_well_says_so_in_every_condition():
    """The order is Ready first; each is True where that is the good thing to be."""
    found = {condition.type: (condition.status, condition.reason) for condition in conditions(FACTS, ())}
    assert found == {
        "Ready": (Status.TRUE, "UpToDate"),
        "Reconciling": (Status.FALSE, "Idle"),
        "Stalled": (Status.FALSE, "Progressing"),
        "SourceVerified": (Status.TRUE, "Verified"),
        "Healthy": (Status.TRUE, "Answering"),
        "Drifted": (Status.FALSE, "AsRendered"),
        "Suspended": (Status.FALSE, "Running"),
        "NetworkMatches": (Status.TRUE, "Matches"),
    }
    assert next(iter(found)) == "Ready"


def test_offline_leads_with_what_a_family_wants_to_know():
    """Source and upstreams silent, the home answering: ready, and said kindly."""
    ready = say(replace(FACTS, obstacles=(UNREACHABLE,), results=CUT_OFF))
    assert (ready.status, ready.reason) == (Status.TRUE, "Offline")
    assert ready.message.startswith("Your internet is down; the home works.")
    healthy = say(replace(FACTS, obstacles=(UNREACHABLE,), results=CUT_OFF), "Healthy")
    assert (healthy.status, healthy.reason) == (Status.TRUE, "AnsweringAtHome")


def test_a_git_host_that_is_down_is_not_called_the_internet():
    """Names from outside are answered, so it is the host alone; the home works all the same."""
    ready = say(replace(FACTS, obstacles=(UNREACHABLE,)))
    assert (ready.status, ready.reason) == (Status.TRUE, "Offline")
    assert ready.message == "The home works; new changes wait. The git host git.example does not answer."


def test_an_upstream_that_is_silent_while_the_source_answers_is_not_well():
    """The family has no internet names then, whatever the reason."""
    ready = say(replace(FACTS, results=CUT_OFF, world_heard=True))
    assert (ready.status, ready.reason) == (Status.FALSE, "ProbeFailed")
    assert "outside: debian.org: no answer" in ready.message


def test_with_a_source_at_home_a_silent_world_is_the_internet_being_down():
    """A repository in the house answers always, and new changes need not wait."""
    ready = say(replace(FACTS, results=CUT_OFF))
    assert (ready.status, ready.reason) == (Status.TRUE, "Offline")
    assert ready.message == "Your internet is down; the home works."


def test_offline_is_no_excuse_for_a_home_that_does_not_answer():
    """A local name fails: that is not the internet's fault."""
    facts = replace(FACTS, obstacles=(UNREACHABLE,), results=(BROKEN[0], CUT_OFF[1]))
    assert say(facts).status is Status.FALSE
    assert say(facts, "Healthy").status is Status.FALSE


def test_a_device_that_is_offline_before_its_first_change_is_not_ready():
    """Nothing works yet, so nothing of the kind is said."""
    ready = say(replace(FACTS, journal=Journal(), obstacles=(UNREACHABLE,), results=()))
    assert (ready.status, ready.reason) == (Status.FALSE, "SourceUnreachable")
    assert "home works" not in ready.message
    assert say(replace(FACTS, journal=Journal(), results=())).reason == "NothingApplied"


def test_a_refusal_says_what_stays_and_how_to_repair_it():
    """In that order, as a person needs it."""
    refused = Obstacle("3f2a91c", "1", UNAPPROVED.reason, UNAPPROVED.message, UNAPPROVED.remedy)
    facts = replace(FACTS, journal=replace(JOURNAL, refused=refused), obstacles=(UNAPPROVED,))
    expected = "Refused, rule 4: 3f2a91c has no approval. The home stays on 8d01b7e. To repair: reset main to 8d01b7e."
    assert (say(facts).status, say(facts).reason, say(facts).message) == (Status.FALSE, "Unapproved", expected)
    assert say(facts, "Stalled").status is Status.TRUE
    assert (say(facts, "SourceVerified").status, say(facts, "SourceVerified").reason) == (Status.FALSE, "Unapproved")


def test_secrets_are_spoken_of_only_where_there_are_any():
    """Absent, in effect, lacking a person's, or older than they were; the home is ready in all of them."""
    assert "SecretsReady" not in {one.type for one in conditions(FACTS, ())}
    john = {"person-john": ""}
    for secrets, expected in (
        (Standing(), (Status.TRUE, "InEffect")),
        (Standing(john), (Status.FALSE, "PasswordMissing")),
        (Standing(john, ("relay-password",)), (Status.FALSE, "PasswordMissing")),
        (Standing({}, ("relay-password",)), (Status.TRUE, "OlderAgain")),
    ):
        facts = replace(FACTS, secrets=secrets)
        said = say(facts, "SecretsReady")
        assert (said.status, said.reason) == expected
        assert say(facts).status is Status.TRUE
        assert ("john" in said.message) == bool(secrets.lacking)
        assert ("relay-password" in said.message) == bool(secrets.old)
    missing = Stalled("SecretsMissing", "The secret relay-password is needed.", "Set it.")
    facts = replace(FACTS, secrets=Standing(), obstacles=(missing,))
    assert (say(facts, "SecretsReady").status, say(facts).reason) == (Status.FALSE, "SecretsMissing")


def test_what_may_pass_is_in_the_way_but_not_stalled():
    """A checker that could not run is told apart from a configuration that is wrong."""
    facts = replace(FACTS, obstacles=(Transient("CheckerUnavailable", "dnsmasq is not installed."),))
    assert (say(facts).status, say(facts).reason) == (Status.FALSE, "CheckerUnavailable")
    assert say(facts, "Stalled").status is Status.FALSE


def test_the_first_of_several_obstacles_other_than_the_source_is_named():
    """Being offline hides nothing that is wrong at home."""
    facts = replace(FACTS, obstacles=(UNREACHABLE, UNAPPROVED))
    assert say(facts).reason == "Unapproved"


TRIAL = Trial("d" * 64, "3f2a91c" + "0" * 33, NOW)


@pytest.mark.parametrize("results", [WELL, BROKEN, CUT_OFF, ()])
@pytest.mark.parametrize("journal", [JOURNAL, Journal(floor=TRIAL.revision)], ids=["later", "first"])
def test_a_trial_that_waits_is_ready_and_says_until_when(results, journal):
    """Also the very first one, and also while its answers are not all in yet: exit 0, the reason says which."""
    facts = replace(FACTS, journal=replace(journal, trial=TRIAL), rest=None, results=results)
    ready = say(facts)
    assert (ready.status, ready.reason) == (Status.TRUE, "TrialPending")
    assert "on trial until 2027-01-15T08:01:30Z" in ready.message
    assert say(facts, "Reconciling").status is Status.TRUE


@pytest.mark.parametrize(("times", "rest", "stalled"), [(1, "RetryLater", False), (2, "Quarantined", True)])
def test_a_change_that_was_taken_back_is_told_with_its_cause(times, rest, stalled):
    """The home works; what comes next depends on how often it failed."""
    failure = Failure(TRIAL.digest, TRIAL.revision, times, NOW, "HealthCheckFailed", "outside: no answer.")
    facts = replace(FACTS, journal=replace(JOURNAL, failure=failure), rest=Rest(rest))
    ready = say(facts)
    assert (ready.status, ready.reason) == (Status.FALSE, "HealthCheckFailed")
    assert "was taken back: outside: no answer. The home works." in ready.message
    assert ("hearth retry" in ready.message) == stalled
    assert (say(facts, "Stalled").status is Status.TRUE) == stalled


def test_a_pause_is_ready_and_says_its_end_and_reason():
    """Suspended stops applying; the home runs on."""
    pause = Suspension(NOW.wall - 1, NOW.wall + 3600, "guests")
    facts = replace(FACTS, journal=replace(JOURNAL, suspended=pause), rest=Rest("Suspended"))
    assert (say(facts).status, say(facts).reason) == (Status.TRUE, "Suspended")
    assert "Paused until 2027-01-15T09:00:00Z: guests." in say(facts).message
    assert say(facts, "Suspended").status is Status.TRUE
    over = replace(facts, journal=replace(JOURNAL, suspended=replace(pause, until=NOW.wall)))
    assert say(over, "Suspended").status is Status.FALSE


def test_drift_is_listed_up_to_a_few_and_then_counted():
    """A thousand files make one sentence, not a thousand."""
    drift = tuple(Drift(f"f{number}", Kind.CHANGED) for number in range(1000))
    drifted = say(replace(FACTS, drift=drift), "Drifted")
    assert drifted.status is Status.TRUE
    assert drifted.message.startswith("Not as Hearth wrote it: f0 (changed), ")
    assert drifted.message.endswith(" and 992 more.")


def test_a_network_that_differs_is_told_as_found():
    """The operating system's address is compared, never set."""
    told = say(replace(FACTS, network=("AddressDiffers", "eth0 should have 192.168.10.2.")), "NetworkMatches")
    assert (told.status, told.reason, told.message) == (
        Status.FALSE,
        "AddressDiffers",
        "eth0 should have 192.168.10.2.",
    )


def test_a_device_that_has_done_nothing_yet_claims_nothing():
    """Unknown is not True."""
    facts = Facts(Journal(), NOW, Rest("NothingDesired"))
    assert say(facts, "SourceVerified").status is Status.UNKNOWN
    assert say(facts, "Healthy").status is Status.UNKNOWN
    assert say(facts).status is Status.FALSE


def test_a_time_changes_with_the_status_and_only_with_it():
    """Another reason or message keeps it; the revision and the words follow at once."""
    first = conditions(FACTS, ())
    assert {condition.last_transition_time for condition in first} == {1_800_000_000}
    later = replace(FACTS, now=replace(NOW, wall=NOW.wall + 60), obstacles=(UNREACHABLE,))
    second = conditions(later, first)
    assert (second[0].reason, second[0].last_transition_time) == ("Offline", 1_800_000_000)
    third = conditions(replace(later, results=BROKEN), second)
    assert (third[0].status, third[0].last_transition_time) == (Status.FALSE, 1_800_000_060)
    healthy = {c.type: c.last_transition_time for c in third}["Drifted"]
    assert healthy == 1_800_000_000


def test_every_condition_speaks_of_the_verified_revision():
    """The floor, not the tip that was refused."""
    assert {condition.observed_revision for condition in conditions(FACTS, ())} == {GOOD.revision}


def test_a_condition_as_json_is_kubernetes_own_shape():
    """Six fields, the time in RFC 3339."""
    assert say(FACTS).as_json() == {
        "type": "Ready",
        "status": "True",
        "reason": "UpToDate",
        "message": "The home runs what its repository asks for.",
        "last_transition_time": "2027-01-15T08:00:00Z",
        "observed_revision": GOOD.revision,
    }


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "1970-01-01T00:00:00Z"), (4_102_444_799.9, "2099-12-31T23:59:59Z"), (-1, "1969-12-31T23:59:59Z")],
)
def test_times_of_a_wrong_clock_are_still_times(seconds, text):
    """1970 and 2099 are what a Pi without a clock says."""
    assert timestamp(seconds) == text


PROSE = st.text(max_size=30)
ERRORS = st.builds(
    lambda kind, reason, message, remedy: kind(reason, message, remedy),
    st.sampled_from([Stalled, Transient, Misused]),
    st.sampled_from(["SourceUnreachable", "SourceMoved", "HouseholdInvalid", "Busy"]),
    PROSE,
    PROSE,
)
MANY_FACTS = st.builds(
    Facts,
    journal=st.from_type(Journal).map(
        lambda journal: replace(journal, suspended=None, trial=journal.trial and replace(journal.trial, began=NOW))
    ),
    now=st.just(NOW),
    rest=st.none() | st.builds(Rest, st.sampled_from(["UpToDate", "Quarantined", "RetryLater", "Suspended"])),
    obstacles=st.lists(ERRORS, max_size=3),
    results=st.lists(st.builds(ProbeResult, st.sampled_from(["local", "outside"]), st.booleans(), PROSE), max_size=3),
    drift=st.lists(st.builds(Drift, PROSE, st.sampled_from(Kind)), max_size=3),
    outward=st.sampled_from([frozenset(), frozenset({"outside", "source"})]),
)


@given(MANY_FACTS)
def test_whatever_the_facts_there_is_one_printable_line_for_each(facts: Facts):
    """A law: no traceback, no escape sequence, no line break, JSON that any reader takes; Ready is never Unknown."""
    found = conditions(facts, ())
    assert len({condition.type for condition in found}) == len(found) == 8
    for condition in found:
        assert condition.message.isprintable()
        json.dumps(condition.as_json()).encode("ascii")
        condition.message.encode("utf-8")
    assert found[0].status is not Status.UNKNOWN


@given(MANY_FACTS)
def test_ready_is_true_only_where_nothing_but_the_world_outside_is_in_the_way(facts: Facts):
    """A law: every obstacle but an unreachable source denies it."""
    others: list[HearthError] = [o for o in facts.obstacles if not o.reason.startswith("Source")]
    if others:
        assert conditions(facts, ())[0].status is Status.FALSE
