"""The doctor: what is missing or in the way on this machine, and the remedy. Looks at everything, and changes nothing.

Owns the order of the checks. Each is a function of its own that returns one `Diagnosis`; judging is apart from looking.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from reconciler.doctor import home, machine, network, services
from reconciler.doctor.diagnosis import Diagnosis, Grade, advice, bad
from reconciler.errors import HearthError, Misused
from reconciler.generation import Generation, Generations
from reconciler.journal import Journal
from reconciler.journal_file import JournalFile
from reconciler.settings import Paths, Settings, load
from reconciler.source.url import Transport, parse_url
from renderers.plan import Plan

__all__ = ["Diagnosis", "Grade", "examine", "examine_machine"]

_DNS_PORT = 53
_Check = Callable[[], Diagnosis | None]


def examine(paths: Paths) -> Iterator[Diagnosis]:
    """Yield one diagnosis after another: the machine, and the home if one is joined."""
    try:
        settings: Settings | None = load(paths)
    except Misused as error:
        settings = None
        joined = (
            advice("joined", error.message, error.remedy)
            if error.reason == "NotJoined"
            else bad("joined", error.message, error.remedy)
        )
        yield joined
    journal = Journal()
    try:
        journal = JournalFile(paths.journal).value
    except (HearthError, OSError) as error:
        yield bad("journal", str(error))
    generation = _active(paths)
    yield from examine_machine(paths, settings, generation.plan if generation else Plan(), newest=_newest(journal))
    if settings is None:
        return
    yield from _carried_out(
        ("source", lambda: home.source(paths, settings)),
        ("keys", lambda: home.keys(paths, parse_url(settings.source))),
        ("agent", lambda: home.agent(paths, settings)),
        ("ready", lambda: home.ready(paths)),
        ("files", lambda: home.drift(paths, generation) if generation else None),
        ("boot", lambda: home.boot(generation.plan) if generation and settings.units == "systemd" else None),
    )


def examine_machine(paths: Paths, settings: Settings | None, plan: Plan, *, newest: float = 0.0) -> Iterator[Diagnosis]:
    """Yield what the machine itself needs to run `plan`; `newest` is the latest time (seconds since 1970) that is known here."""
    by_ssh = settings is not None and parse_url(settings.source).transport is Transport.SSH
    number = settings.bench.port if settings and settings.bench else _DNS_PORT
    on_bench = settings is not None and settings.bench is not None
    around = plan.network
    yield from _carried_out(
        ("dnsmasq", machine.dnsmasq),
        ("programs", lambda: machine.programs(needs_ssh=by_ssh)),
        ("checkers", machine.cage),
        ("clock", lambda: machine.clock(time.time(), newest)),
        ("clock-sync", machine.kept_in_step),
        ("disk", lambda: machine.disk(paths.state)),
        ("services", lambda: services.programs(plan)),
        ("shares", lambda: services.shares(plan, paths.shares)),
        ("port", lambda: network.look_at_port(plan, number) if not on_bench else None),
        ("ports", lambda: services.ports(plan) if not on_bench else None),
        ("address", lambda: network.look_at_address(around) if around else None),
        ("dhcp", lambda: network.look_for_servers(around, plan) if around else None),
    )


def _carried_out(*checks: tuple[str, _Check]) -> Iterator[Diagnosis]:
    """Yield what each check finds; one that cannot look says so, and the others go on."""
    for name, check in checks:
        try:
            found = check()
        except HearthError as error:
            found = advice(name, error.message, error.remedy)
        except OSError as error:
            found = advice(name, f"This could not be looked at: {error.strerror}.", "sudo hearth doctor looks closer.")
        if found is not None:
            yield found


def _active(paths: Paths) -> Generation | None:
    generations = Generations(paths.state)
    try:
        digest = generations.active()
        return generations.load(digest) if digest else None
    except (HearthError, OSError):
        return None


def _newest(journal: Journal) -> float:
    return max((attempt.ended for attempt in journal.attempts), default=0.0)
