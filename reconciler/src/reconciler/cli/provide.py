"""`hearth provide`: at boot, before the daemons start and without network, fill what they read from memory.

Called by hearth-secrets.service. The daemons are the distribution's own, and start from the active generation by themselves; /run is
empty then. Does not fetch, render or tell anybody.
"""

from __future__ import annotations

from pathlib import Path

import click

from reconciler.errors import Misused
from reconciler.home import Home
from reconciler.lock import held
from reconciler.settings import Paths, load
from reconciler.units import NoUnits


@click.command()
@click.pass_obj
def provide(root: str, /) -> int:
    """Fill what the daemons read from memory, from what was verified before; for systemd, at boot."""
    paths = Paths(Path(root))
    try:
        settings = load(paths)
    except Misused as error:
        if error.reason == "NotJoined":
            return 0
        raise
    paths.prepare()
    with held(paths.lock):
        at_boot = not paths.served.exists()  # opening the home takes for granted that its daemons started
        _fill(Home(paths, settings, NoUnits()), at_boot=at_boot)
    return 0


def _fill(home: Home, *, at_boot: bool) -> None:
    """Make the active generation's provisions. Once daemons run, the next pass makes them once more, and tells them."""
    active = home.generations.active()
    commit = home.journal.value.revision_of(active) if active else None
    if active is None or commit is None or not home.generations.has(active):
        return
    generation = home.generations.load(active)
    if not home.provisions.stale(generation, commit):
        return
    made = home.provisions.make(generation, commit, lambda: home.revision(commit).files)
    if at_boot:
        home.provisions.settle(made)
