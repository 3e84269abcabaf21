"""`hearth test`: do the real thing once, as a device of the home would, and say the result."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from reconciler.cli.output import emit, say
from reconciler.errors import Misused
from reconciler.generation import Generations
from reconciler.probe import ProbeResult, ask, in_words
from reconciler.settings import Paths, load
from renderers.plan import DhcpProbe, DnsProbe, Probe


@click.group(name="test")
def test() -> None:
    """Do the real thing once, as a device of the home would, and say the result."""


@test.command()
@click.option("--json", "as_json", is_flag=True, help="Print each question and what was answered as JSON.")
@click.pass_obj
def dns(root: str, /, *, as_json: bool) -> int:
    """Ask each resolver for a name of the home, one from outside and a blocked one; and for an address, where those are given out."""
    paths = Paths(Path(root))
    load(paths)
    generations = Generations(paths.state)
    digest = generations.active()
    if digest is None:
        raise Misused("NothingApplied", "No change is in effect here yet.", "`hearth status` says why.")
    probes = generations.load(digest).plan.probes
    results = ask(probes)
    if as_json:
        emit({"digest": f"sha256:{digest}", "results": [_as_json(*pair) for pair in zip(probes, results, strict=True)]})
    else:
        _show(probes, results)
    return 0 if results and all(result.ok for result in results) else 1


def _as_json(probe: Probe, result: ProbeResult) -> dict[str, Any]:
    question = probe.question if isinstance(probe, DnsProbe) else None
    about = {"name": probe.name, "kind": probe.kind, "server": probe.server, "question": question}
    return about | {"ok": result.ok, "message": result.message}


def _show(probes: Sequence[Probe], results: Sequence[ProbeResult]) -> None:
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
        if result.ok and isinstance(probe, DnsProbe) and probe.expect == "answered":  # asked of a kind that no cache holds
            said = f"{probe.question}: answered"
        say(f"{what:<32} {said}", kind="good" if result.ok else "bad", indent=2)
    bad = sum(not result.ok for result in results)
    say(f"{bad} of {len(results)} did not go well. `hearth doctor` looks for the cause." if bad else "All of it works.")
