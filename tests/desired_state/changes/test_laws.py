"""The laws of changes, over generated households."""

from __future__ import annotations

from desired_state.changes import apply, difference
from desired_state.load import DesiredState
from hypothesis import HealthCheck, given, settings

from tests.desired_state.households import desired_states

few = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


@few
@given(desired_states(), desired_states())
def test_applying_the_difference_of_two_strangers_gives_the_second(before: DesiredState, after: DesiredState) -> None:
    """The strongest form of the law: nothing need be alike."""
    assert apply(before, difference(before, after)).household == after.household
