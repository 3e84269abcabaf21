"""Rules 3 and 6 for approved changes: one after another, none twice, none back, thousands at once."""

from __future__ import annotations

import pytest

from desired_state.trust import Refused, Step, approval_text, tree_sha256
from tests.desired_state.trust.homes import HOUSEHOLD, PLAIN, Home, lines_of
from tests.desired_state.trust.merges import (
    ARTIFACT,
    approve,
    begin,
    changed,
    files_of,
    merge,
    propose,
    reason,
    refusal,
    text,
    tree_of,
    write,
)

# --- along the line


def test_the_same_approval_merged_twice_is_applied_once(home: Home) -> None:
    """Hostile case 8: M signed anew, with another id, is a fork beside M and stale upon it."""
    begin(home)
    proposal = propose(home, home.genesis, {"README.md": b"new"})
    approval = approve(home, proposal, text(home, home.genesis, proposal))
    tip = merge(home, home.genesis, approval)
    again = write(home, tree_of(home, approval), (home.genesis, approval), b"The same, signed anew\n", "cloud")
    assert home.verify(again).commit == again != tip
    assert reason(home, again, floor=tip) == (3, "Forked")
    assert refusal(home, merge(home, tip, approval)).rule == 4


def test_an_unsigned_merge_between_two_good_ones_refuses_the_range(home: Home) -> None:
    """Hostile case 16, with approvals: all or nothing."""
    begin(home)
    proposal = propose(home, home.genesis, {"README.md": b"one"})
    unsigned = merge(home, home.genesis, approve(home, proposal, text(home, home.genesis, proposal)), by=None)
    tip = changed(home, unsigned, "two")
    with pytest.raises(Refused) as refused:
        home.verify(tip)
    assert (refused.value.rule, refused.value.reason, refused.value.commit) == (1, "Unsigned", unsigned)


def test_older_and_sibling_changes_are_refused_in_a_reviewed_home(home: Home) -> None:
    """Hostile cases 17, 17b and 18: however well approved, the line leads on from the last verified commit."""
    begin(home)
    older = changed(home, home.genesis, "one")
    floor = changed(home, older, "two")
    assert reason(home, older, floor=floor) == (6, "RolledBack")
    assert reason(home, changed(home, older, "three"), floor=floor) == (3, "Forked")
    proposal = propose(home, older, {"README.md": b"evil"})
    upon = write(home, tree_of(home, proposal), (older, floor), b"Merge\n", "cloud")
    assert reason(home, upon, floor=floor) == (3, "Forked")


def test_an_author_who_pushes_where_only_approved_changes_go_is_refused(home: Home) -> None:
    """Hostile case 40: to main, unsigned or with a key of its own, and to trust/; the device judges keys, not names."""
    begin(home)
    files = {**files_of(home, home.genesis), "README.md": b"mine"}
    tree = home.repository.write_tree(files)
    assert reason(home, write(home, tree, (home.genesis,), b"Approved by Anna\n", None)) == (1, "Unsigned")
    assert reason(home, write(home, tree, (home.genesis,), b"Approved by Anna\n", "author")) == (2, "UnknownKey")
    tree = home.repository.write_tree({**files, "trust/approvers": lines_of("author")})
    assert refusal(home, write(home, tree, (home.genesis,), b"Me too\n", "cloud")).rule == 7
    pushed_after = approve(home, propose(home, home.genesis, {"README.md": b"shown"}), b"", None)
    assert refusal(home, merge(home, home.genesis, pushed_after)).rule in (1, 4)


# --- many at once


def test_1001_and_5000_changes_at_once_move_the_floor_in_batches(home: Home) -> None:
    """Case 22b: a device that was away for years walks through all of it, 1,000 at a time, oldest first."""
    begin(home)
    line = [home.genesis]
    versions = [{**home.trust, **PLAIN, "README.md": each} for each in (b"odd", b"even")]
    trees = [(home.repository.write_tree(files), tree_sha256(files)) for files in versions]
    for number in range(5_000):
        tree, digest = trees[number % 2]
        message = approval_text(HOUSEHOLD, line[-1], digest, ARTIFACT, risk="low/1")
        approval = approve(home, write(home, tree, (line[-1],), b"B\n", None), message)
        line.append(merge(home, line[-1], approval))
    for count, sizes in ((1_001, [1_000, 1]), (5_000, [1_000] * 5)):
        floors: list[str] = []
        batches: list[int] = []

        def on_batch(commit: str, steps: tuple[Step, ...]) -> None:
            floors.append(commit)  # noqa: B023 - called before the loop goes on
            batches.append(len(steps))  # noqa: B023

        assert home.verify(line[count], home.genesis, on_batch=on_batch).commit == line[count]
        assert batches == sizes
        assert floors == [line[min(place, count)] for place in range(1_000, count + 1_000, 1_000)]
