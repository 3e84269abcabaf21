"""The risk of a commit inside a history: judged by code, from the two households, also when one of them cannot be read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from desired_state.load import read_folder
from desired_state.trust import Refused, explain, verify
from desired_state.trust.judging import judge_files
from desired_state.trust.past_people import past_people
from tests.desired_state.trust.homes import HOUSEHOLD, Home

EXAMPLE = Path(__file__).parents[3] / "desired-state/examples/holm"


@pytest.fixture
def holm(home: Home) -> dict[str, bytes]:
    """The example household as the home's genesis, whose policy asks one person for medium and two for high changes."""
    files = {path: content for path, content in read_folder(EXAMPLE).items() if not path.startswith("trust/")}
    policy = home.trust["trust/policy.yaml"].decode()
    policy = policy.replace("medium: {people: 0}", "medium: {people: 1}").replace(
        "high: {people: 0}", "high: {people: 2}"
    )
    home.trust["trust/policy.yaml"] = policy.replace("5b0c8a52-2f6e-4c51-9b1e-8d8f3a7f0c11", HOUSEHOLD).encode()
    home.genesis = home.commit(files, parents=())
    return files


def outcome(home: Home, tip: str) -> str:
    """Verify with the real judge: the tip's risk, or the rule that refuses it."""
    try:
        step = verify(home.repository, tip, home.anchor()).steps[-1]
    except Refused as refused:
        return f"{refused.rule} {refused.message}"
    assert step.judgement is not None
    return step.judgement.risk


def edit(file: str, old: str, new: str) -> Callable[[dict[str, bytes]], dict[str, bytes]]:
    """Return an edit of one file by hand."""

    def apply(files: dict[str, bytes]) -> dict[str, bytes]:
        assert old.encode() in files[file]
        return {**files, file: files[file].replace(old.encode(), new.encode(), 1)}

    return apply


def test_a_low_change_is_a_plain_commit(home: Home, holm: dict[str, bytes]) -> None:
    """A new name asks for nobody; the step says what it was."""
    tip = home.commit(
        edit("services/dns.yaml", "wiki: appliance", "wiki: appliance\n    news: appliance")(holm),
        parents=(home.genesis,),
    )
    assert outcome(home, tip) == "low"
    step = verify(home.repository, tip, home.anchor()).steps[-1]
    assert step.judgement == explain(home.repository, step)
    assert any("news" in sentence for sentence in step.judgement.sentences)


def test_a_high_change_is_refused_where_it_asks_for_people(home: Home, holm: dict[str, bytes]) -> None:
    """Pointing the home at other upstreams is not one person's plain commit."""
    tip = home.commit(edit("services/dns.yaml", "9.9.9.9", "203.0.113.9")(holm), parents=(home.genesis,))
    assert outcome(home, tip) == "4 has no approval, and a change of high risk needs 2"


def test_nothing_hides_behind_a_file_that_cannot_be_read(home: Home, holm: dict[str, bytes]) -> None:
    """Hostile case 41: breaking a household is never applied for less than high, nor is mending it with something slipped in."""
    broken = home.commit({**holm, "people.yaml": b"{"}, parents=(home.genesis,))
    mended = home.commit(edit("services/dns.yaml", "9.9.9.9", "203.0.113.9")(holm), parents=(broken,))
    for tip in (broken, mended):
        assert verify(home.repository, tip, home.anchor()).unjudged_since == home.genesis
    judged = judge_files({**holm, "people.yaml": b"{"}, holm, 1, frozenset())
    assert (judged.risk, judged.judged) == ("high", False)


def test_an_edition_of_the_rules_that_is_not_known_is_high(home: Home, holm: dict[str, bytes]) -> None:
    """An old program does not guess."""
    judged = judge_files(holm, edit("household.yaml", "The Holm", "The old Holm")(holm), 999, frozenset())
    assert (judged.risk, judged.judged) == ("high", False)


def test_everybody_who_ever_lived_here_is_remembered(home: Home, holm: dict[str, bytes]) -> None:
    """A removed person's id, given again, would inherit what the first one left."""
    with_john = edit("people.yaml", "people:", "people:\n  john: {name: John}\n  #")(holm)
    added = home.commit(with_john, parents=(home.genesis,))
    removed = home.commit(holm, parents=(added,), message="Remove John\n")
    assert "john" not in past_people(home.repository, home.genesis)
    assert past_people(home.repository, removed) >= {"anna", "jens", "mia", "john"}
