"""`hearth test`: do the real thing once, as a device of the home would, and say the result."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from reconciler.cli.output import emit, say
from reconciler.errors import Misused
from reconciler.generation import Generations
from reconciler.probe import ProbeResult, ask, in_words
from reconciler.settings import Paths, load
from renderers.plan import AuthorityProbe, DhcpProbe, DnsProbe, Plan, SmbProbe, SmtpProbe

if TYPE_CHECKING:
    from reconciler.trying import Outcome

_MARKS = {True: "good", False: "bad", None: "note"}
_POSTFIX = Path("/var/spool/postfix")
"""Where Debian's Postfix has its queue."""
_Wanted = TypeVar("_Wanted", SmbProbe, SmtpProbe, AuthorityProbe)


@dataclass(frozen=True, slots=True)
class _Running:
    """The generation that is active, and where it lies."""

    paths: Paths
    digest: str
    plan: Plan

    def probe(self, kind: type[_Wanted], file: str) -> _Wanted:
        """Return the one question of its kind.

        Raises:
            Misused: the home has no such service.
        """
        for each in self.plan.probes:
            if isinstance(each, kind):
                return each
        raise Misused(
            "NoSuchService", f"There is no {file} in what is in effect here.", "`hearth status` says what is."
        )


@click.group(name="test")
def test() -> None:
    """Do the real thing once, as a device of the home would, and say the result."""


@test.command()
@click.option("--json", "as_json", is_flag=True, help="Print each question and what was answered as JSON.")
@click.pass_obj
def dns(root: str, /, *, as_json: bool) -> int:
    """Ask each resolver for a name of the home, one from outside and a blocked one; and for an address, where those are given out."""
    running = _running(root)
    probes = tuple(probe for probe in running.plan.probes if isinstance(probe, DnsProbe | DhcpProbe))
    results = ask(probes)
    if as_json:
        found = [_as_json(*pair) for pair in zip(probes, results, strict=True)]
        emit({"digest": f"sha256:{running.digest}", "results": found})
    else:
        _show(probes, results)
    return 0 if results and all(result.ok for result in results) else 1


@test.command()
@click.option("--json", "as_json", is_flag=True, help="Print what came of it for each person as JSON.")
@click.pass_obj
def files(root: str, /, *, as_json: bool) -> int:
    """Log in as each person who has a password: open their folders, write a small file and remove it, and be refused elsewhere."""
    from reconciler.applied import Applied
    from reconciler.secrets import Keyring
    from reconciler.secrets.keyring import Needs
    from reconciler.trying.files import try_all

    running = _running(root)
    probe = running.probe(SmbProbe, "services/files.yaml")
    settings = load(running.paths)
    applied = Applied(running.paths, settings)
    needs = Needs(people=tuple(f"person-{person}" for person in sorted(applied.household.people)))
    opened = Keyring(running.paths.keys, settings.household).open(applied.files, needs)
    return _carry_out(
        running, f"Shared folders at {probe.server}", try_all(probe, applied.household, opened), as_json=as_json
    )


@test.command()
@click.option("--to", metavar="ADDRESS|PERSON", help="Whom to write to; else the first who gets root's mail.")
@click.option("--json", "as_json", is_flag=True, help="Print what came of it as JSON.")
@click.pass_obj
def mail(root: str, /, *, to: str | None, as_json: bool) -> int:
    """Send a short message through the home's relay, and follow it for 30 seconds at most: taken, refused, or waiting."""
    from reconciler.applied import Applied
    from reconciler.trying.mail import Queue, letter, recipient, try_all
    from renderers import postfix_plan

    running = _running(root)
    probe = running.probe(SmtpProbe, "services/mail.yaml")
    settings = load(running.paths)
    household = Applied(running.paths, settings).household
    target = running.paths.target(settings)
    queue = Queue(Path(postfix_plan.queue(target)) if settings.bench else _POSTFIX)
    written = letter(household, recipient(household, to))
    tried = try_all(probe, queue, Path(postfix_plan.chain(target)), written)
    return _carry_out(running, f"The home's mail relay at {probe.server}", tried, as_json=as_json)


@test.command()
@click.option("--json", "as_json", is_flag=True, help="Print what came of it as JSON.")
@click.pass_obj
def certificate(root: str, /, *, as_json: bool) -> int:
    """Look at the home's authority, and have it give out a certificate for the appliance's own name, where that can be done here."""
    from reconciler.applied import Applied
    from reconciler.trying.certificate import try_all

    running = _running(root)
    probe = running.probe(AuthorityProbe, "services/certificates.yaml")
    settings = load(running.paths)
    household = Applied(running.paths, settings).household
    name = f"{household.appliance.name}.{household.network.domain}"
    tried = try_all(running.plan, running.paths.target(settings), name)
    return _carry_out(running, f"The home's certificate authority at {probe.server}", tried, as_json=as_json)


def _running(root: str) -> _Running:
    paths = Paths(Path(root))
    load(paths)
    generations = Generations(paths.state)
    digest = generations.active()
    if digest is None:
        raise Misused("NothingApplied", "No change is in effect here yet.", "`hearth status` says why.")
    return _Running(paths, digest, generations.load(digest).plan)


def _carry_out(running: _Running, title: str, outcomes: Iterable[Outcome], *, as_json: bool) -> int:
    """Say each outcome as it comes; return 0 where nothing went wrong, else 1."""
    tried = []
    if not as_json:
        say(title)
    for outcome in outcomes:
        tried.append(outcome)
        if not as_json:
            say(f"{outcome.what}: {outcome.said}", kind=_MARKS[outcome.ok], indent=2)
    bad = sum(outcome.ok is False for outcome in tried)
    if as_json:
        emit({"digest": f"sha256:{running.digest}", "results": [asdict(outcome) for outcome in tried]})
    else:
        say(
            f"{bad} of {len(tried)} did not go well. `hearth doctor` looks for the cause."
            if bad
            else "Nothing is wrong."
        )
    return 1 if bad else 0


def _as_json(probe: DnsProbe | DhcpProbe, result: ProbeResult) -> dict[str, Any]:
    question = probe.question if isinstance(probe, DnsProbe) else None
    about = {"name": probe.name, "kind": probe.kind, "server": probe.server, "question": question}
    return about | {"ok": result.ok, "message": result.message}


def _show(probes: Sequence[DnsProbe | DhcpProbe], results: Sequence[ProbeResult]) -> None:
    resolver = ""
    for probe, result in zip(probes, results, strict=True):
        if isinstance(probe, DhcpProbe):
            said = result.message or f"it answers, with {probe.router} as the router"
            say(f"Addresses (DHCP) from {probe.server}: {said}", kind="good" if result.ok else "bad")
            continue
        whom, what = in_words(probe.name)
        if whom != resolver:
            say(f"{whom} at {probe.server}")
        resolver = whom
        said = result.message.replace(f" at {probe.server}", "", 1)
        if result.ok and probe.expect == "answered":  # asked of a kind that no cache holds
            said = f"{probe.question}: answered"
        say(f"{what:<32} {said}", kind="good" if result.ok else "bad", indent=2)
    bad = sum(not result.ok for result in results)
    say(f"{bad} of {len(results)} did not go well. `hearth doctor` looks for the cause." if bad else "All of it works.")
