"""Never looser than git: whatever stock `git verify-commit` refuses, rules 1 and 2 refuse, for every kind of key.

The claim is asked in its other form, "what we accept, git accepts", so that git need only look at what we accept: that is complete
and quick. A sample of what we refuse is shown to git as well, to see that the oracle is awake and says both yes and no.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Iterable

import pytest

from desired_state.sshsig import curves
from desired_state.sshsig.wire import Reader
from desired_state.trust import signature
from desired_state.trust.commit import read_commit
from tests.desired_state.trust.forgeries import ALLOWED, FORGED, Case, judge
from tests.desired_state.trust.mutants import mutants
from tests.desired_state.trust.stock_git import StockGit

SEED = 20_250_601
MUTANTS = 200_000 if os.environ.get("HEARTH_CAMPAIGN") == "all" else 15_000
SAMPLE = 150


@pytest.fixture(scope="module")
def git(tmp_path_factory: pytest.TempPathFactory) -> StockGit:
    """Stock git, told the same keys."""
    return StockGit(tmp_path_factory.mktemp("differential"), ALLOWED)


@pytest.fixture(scope="module")
def corpus() -> list[bytes]:
    """The mutants, the same in every run, and the catalogue's forgeries."""
    return sorted({*mutants(MUTANTS, SEED), *(case.raw for case in FORGED)})


def accepted(commits: Iterable[bytes]) -> list[bytes]:
    """Return those that rules 1 and 2 let through."""
    return [raw for raw in commits if judge(Case("mutant", raw)) is None]


def looser(git: StockGit, commits: list[bytes]) -> list[bytes]:
    """Return the commits that git refuses, though we accepted them: a hundred at a time, then one by one."""
    found: list[bytes] = []
    for start in range(0, len(commits), 100):
        batch = commits[start : start + 100]
        if not git.accepts(*batch):
            found += [raw for raw in batch if not git.accepts(raw)]
    return found


def forms(commits: list[bytes]) -> Counter[str]:
    """Count the forms of signature among commits that can be read."""
    return Counter(Reader(read_commit("", raw).signature.blob).string().decode() for raw in commits)


def test_whatever_git_refuses_we_refuse(git: StockGit, corpus: list[bytes]) -> None:
    """Hostile case 7. HEARTH_CAMPAIGN=all asks a dozen times as much."""
    assert len(corpus) >= MUTANTS // 2
    ours = accepted(corpus)
    counted = forms(ours)
    assert len(counted) == 5
    assert min(counted.values()) >= 20, counted
    assert looser(git, ours) == []


def test_whatever_git_refuses_we_refuse_before_the_policy_is_asked(
    git: StockGit, corpus: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the policy says of touches makes rule 2 stricter, and hides nothing: a quarter of the corpus without it."""
    few = corpus[::4]
    with_policy = accepted(few)
    monkeypatch.setattr(signature, "check_touch", lambda *_: None)
    without = accepted(few)
    assert len(without) > len(with_policy)
    assert looser(git, without) == []


def test_the_oracle_is_awake(git: StockGit, corpus: list[bytes]) -> None:
    """Git says no to most of what we refuse, yes to what only we are stricter about, and one no spoils a batch."""
    ours = accepted(corpus)
    refused = random.Random(SEED).sample(sorted(set(corpus) - set(ours)), SAMPLE)
    said = Counter(git.accepts(raw) for raw in refused)
    assert min(said[True], said[False]) >= 10, said
    bad = next(raw for raw in refused if not git.accepts(raw))
    assert looser(git, [*ours[:3], bad]) == [bad]


@pytest.mark.parametrize("check", ["check_ed25519", "check_p256"])
def test_a_looser_rule_would_be_noticed(
    git: StockGit, corpus: list[bytes], monkeypatch: pytest.MonkeyPatch, check: str
) -> None:
    """With the bare signature believed unseen, git refuses something that we then accept."""
    monkeypatch.setattr(curves, check, lambda *_: None)
    assert looser(git, accepted(corpus[::40]))
