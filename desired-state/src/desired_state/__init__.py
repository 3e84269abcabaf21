"""The household: what a home wants, and by which rules it may change.

`load` is `desired_state.load.load`: a function and a module of one name cannot both be found here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from desired_state.finding import Finding, Severity
    from desired_state.load import DesiredState, HouseholdUnreadable, Loaded, read_folder
    from desired_state.model import Household

__all__ = ["DesiredState", "Finding", "Household", "HouseholdUnreadable", "Loaded", "Severity", "read_folder"]

_HOMES = {
    "finding": ("Finding", "Severity"),
    "load": ("DesiredState", "HouseholdUnreadable", "Loaded", "read_folder"),
    "model": ("Household",),
}


def __getattr__(name: str) -> object:
    """Import a public name when it is first asked for: pydantic alone costs a quarter of a second on a Pi."""
    from importlib import import_module

    for module, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"desired_state.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
