"""What people approved is what runs, or it is said: a pure comparison of digests."""

from __future__ import annotations

import pytest

from desired_state.trust import ApprovedArtifact
from reconciler.approved import rendered_anew
from reconciler.errors import Stalled

SAME, OTHER = "a" * 64, "b" * 64


def test_the_same_version_must_render_the_same():
    """Whoever approved saw what this device would run."""
    assert not rendered_anew([ApprovedArtifact(SAME, "1.0")], SAME, "1.0")
    with pytest.raises(Stalled, match="approved sha256:bbbbbbbbbbbb, rendered sha256:aaaaaaaaaaaa") as stalled:
        rendered_anew([ApprovedArtifact(OTHER, "1.0")], SAME, "1.0")
    assert stalled.value.reason == "ArtifactMismatch"


def test_one_approver_who_saw_something_else_is_enough():
    """Two people approved, and one of them other files than these."""
    with pytest.raises(Stalled):
        rendered_anew([ApprovedArtifact(SAME, "1.0"), ApprovedArtifact(OTHER, "1.0")], SAME, "1.0")


def test_another_versions_rendering_is_not_compared():
    """An upgrade renders differently, and that is no reason to stop."""
    assert rendered_anew([ApprovedArtifact(OTHER, "0.9"), ApprovedArtifact(OTHER, "1.1")], SAME, "1.0")
    assert not rendered_anew([ApprovedArtifact(OTHER, "0.9"), ApprovedArtifact(SAME, "1.0")], SAME, "1.0")


def test_without_approvals_there_is_nothing_to_compare():
    """A plain commit names no artifact."""
    assert not rendered_anew([], SAME, "1.0")
