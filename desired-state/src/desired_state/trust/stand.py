"""What the rules know while they walk: the commit before ("as of P"), and what may be read on the way.

Owns no rule.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from desired_state.trust.contents import Blob, Contents
from desired_state.trust.judging import Judge
from desired_state.trust.objects import Objects
from desired_state.trust.past_people import Past
from desired_state.trust.revision import Anchor
from desired_state.trust.tree import Tree
from desired_state.trust.trust_files import TrustFiles


@dataclass(frozen=True, slots=True)
class Stand:
    """A verified commit as the rules need it.

    `unjudged_since` is the last commit that could be judged, where one after it could not. `leaves` is the last
    verified commit, where the walk begins at an older one: then only a return may come next.
    """

    commit: str
    tree: Tree
    trust: TrustFiles
    unjudged_since: str | None = None
    leaves: Stand | None = None


@dataclass(slots=True)
class Walk:
    """One walk: the objects, what the device pinned, who judges; and what was read for the commit before."""

    objects: Objects
    anchor: Anchor
    judge: Judge
    _contents: Contents = field(init=False)
    _past: Past = field(init=False)

    def __post_init__(self) -> None:
        self._contents = Contents(self.objects)
        self._past = Past(self.objects)

    def files(self, tree: Tree) -> Mapping[str, Blob]:
        """Return every file of a tree, by path.

        Raises:
            Refused: rule 8: an object that is not there, or is not what its id says.
        """
        return self._contents.of(tree)

    def past_people(self, commit: str) -> frozenset[str]:
        """Return the ids of everybody who lived here up to a verified commit.

        Raises:
            Refused, Unusable: a part of the history is no longer there.
        """
        return self._past.up_to(commit)
