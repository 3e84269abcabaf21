"""All services of a household as one artifact."""

from __future__ import annotations

from itertools import chain

from desired_state.model import Household
from renderers.artifact import APPLIANCE, Artifact, File, Target
from renderers.dnsmasq import DNSMASQ
from renderers.plan import HomeNetwork, Plan
from renderers.postfix import POSTFIX
from renderers.samba import SAMBA
from renderers.service import Service
from renderers.step_ca import STEP_CA

SERVICES: tuple[Service, ...] = (DNSMASQ, SAMBA, POSTFIX, STEP_CA)
"""Every service that can be rendered, in the order in which their daemons start."""


def render(household: Household, target: Target = APPLIANCE) -> Artifact:
    """Return the files of a household that passed `desired_state.load`, and the plan to run them on `target`.

    Equal households give equal artifacts, whatever the machine, the time and the version of Python.

    Raises:
        RenderingError: a defect of ours; no household that loads should cause it.
    """
    services = [service for service in SERVICES if service.enabled(household)]
    files: dict[str, File] = {}
    for service in services:
        files |= service.render(household, target)
    appliance = target.name == "appliance"
    plan = Plan(
        provisions=tuple(chain.from_iterable(service.provisions(household, target) for service in services)),
        units=tuple(chain.from_iterable(service.units(household, target) for service in services)),
        checkers=tuple(chain.from_iterable(service.checkers(household) for service in services)),
        probes=tuple(chain.from_iterable(service.probes(household, target) for service in services)),
        links=tuple(chain.from_iterable(service.links for service in services)) if appliance else (),
        network=_network(household) if appliance else None,
    )
    return Artifact(files, plan, target=target.name)


def _network(household: Household) -> HomeNetwork:
    appliance, network = household.appliance, household.network
    return HomeNetwork(appliance.interface, f"{appliance.address}/{network.subnet.prefixlen}", str(network.router))
