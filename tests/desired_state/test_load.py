"""Loading a household: whole and checked, or refused with every finding at once."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given

from desired_state.load import load, read_folder
from desired_state.model import Household
from tests.desired_state.households import files_of, households, loaded

HOLM = Path(__file__).parents[2] / "desired-state" / "examples" / "holm"


def test_the_example_loads_with_advice_only():
    """The Holm family's household is valid."""
    outcome = load(read_folder(HOLM))
    assert outcome.state
    assert not outcome.errors


@given(households())
def test_a_written_household_loads_as_itself(household: Household):
    """load is the inverse of writing the files."""
    assert loaded(files_of(household)).household == household
