"""The description of a service: pure data that says when a household has it, its files, and how they are run, checked and probed.

A further service is one module with such a description, its template and its tests. Executing the plan is the agent's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from desired_state.model import Household
from renderers.artifact import File, Target
from renderers.plan import Checker, Link, Probe, Provision, Unit


@dataclass(frozen=True, slots=True)
class Service:
    """One of the appliance's services. Every function is pure; equal arguments give equal results."""

    name: str
    enabled: Callable[[Household], bool]
    render: Callable[[Household, Target], Mapping[str, File]]
    units: Callable[[Household, Target], tuple[Unit, ...]]
    checkers: Callable[[Household], tuple[Checker, ...]]
    probes: Callable[[Household, Target], tuple[Probe, ...]]
    provisions: Callable[[Household, Target], tuple[Provision, ...]] = lambda _household, _target: ()
    links: tuple[Link, ...] = ()
    """Where the distribution's own daemon looks; only on an appliance."""
