"""One home as the agent holds it: its settings, its ports to the world, and the few steps that join them to the pure packages.

Owns the wiring. The order of things is `reconcile`'s, the rules are `desired_state`'s, the files `renderers`'.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from reconciler.approved import rendered_anew
from reconciler.clock import Clock, SystemClock
from reconciler.drift import DriftWatch
from reconciler.errors import HearthError, Stalled, Transient
from reconciler.freshness import FreshnessWatch
from reconciler.generation import Generations
from reconciler.journal_file import JournalFile
from reconciler.probe import ProbeResult, ask
from reconciler.provision import Provisions
from reconciler.receipts import Receipts
from reconciler.reporter import Reporter
from reconciler.secrets import Keyring
from reconciler.serving import Serving
from reconciler.settings import Paths, Settings
from reconciler.source import Credentials, Source
from reconciler.source.url import parse_url
from reconciler.units import Units
from renderers.artifact import APPLIANCE, RENDERER_VERSION, Artifact, Target
from renderers.plan import Checker, HomeNetwork, Probe

if TYPE_CHECKING:
    from desired_state.trust import VerifiedRevision
    from desired_state.trust.walk import OnBatch

_GATES_LIMIT = 65_536
Gate = Callable[[str, bool, str], None]
"""Called as a pass goes through a gate: its name, whether it opened, and a detail."""


class Home:
    """The ports of one home."""

    def __init__(
        self,
        paths: Paths,
        settings: Settings,
        units: Units,
        *,
        clock: Clock | None = None,
        watch: Gate | None = None,
        log_to: TextIO | None = None,
    ) -> None:
        paths.prepare()
        self.paths = paths
        self.settings = settings
        self.clock = clock or SystemClock()
        self.version = version("hearth-reconciler")
        self.journal = JournalFile(paths.journal)
        self.generations = Generations(paths.state)
        self.drift = DriftWatch(paths.root, paths.state)
        keyring = Keyring(paths.keys, settings.household)
        self.provisions = Provisions(paths, keyring, in_memory=settings.bench is None, clock=self.clock)
        self.serving = Serving(paths.served, units, self.clock)
        self.source = Source(settings.source, Credentials.in_folder(paths.keys), paths.repository, paths.incoming)
        self.freshness = FreshnessWatch(paths, settings)
        self.receipts = Receipts(paths, settings)
        self.reporter = Reporter(paths, settings, self.version, log_to=log_to)
        self._told = _state(paths.settings)
        self._target = paths.target(settings)
        self._watch = watch
        if settings.units == "systemd":
            self._assume_served()

    def _assume_served(self) -> None:
        """Believe that a boot started everything, unless the power went while units were told: then they are told again."""
        with contextlib.suppress(HearthError, OSError):  # the pass says what is wrong with the journal
            if self.journal.value.steady:
                self.serving.assume(self.generations.active())

    def outdated(self) -> bool:
        """Whether device.toml was written anew since this home was opened."""
        return _state(self.paths.settings) != self._told

    def gate(self, name: str, *, ok: bool = True, detail: str = "") -> None:
        """Say that the pass went through a gate. A watcher whose pipe is closed or whose disk is full stops no pass."""
        if self._watch:
            with contextlib.suppress(OSError):
                self._watch(name, ok, detail)

    def verify(
        self, tip: str, floor: str | None, on_batch: OnBatch, *, unjudged_since: str | None = None
    ) -> VerifiedRevision:
        """Verify every commit from the floor to `tip`, which was fetched; `on_batch` gets each batch's last commit and its steps.

        `unjudged_since` is the last commit that could be judged, where one between it and the floor could not.

        Raises:
            Stalled: a rule of trust refuses one of them. Transient: the repository on disk is damaged.
        """
        known = floor, unjudged_since
        return self._verified(self.source.incoming, self.source.store / "objects", tip, known, on_batch)

    def revision(self, commit: str, *, since: str | None = None) -> VerifiedRevision:
        """Return a commit that was verified before, from the store that holds nothing else.

        `since` is an earlier one after which not all could be judged: then all that follow it are looked at again.

        Raises:
            Stalled: this version refuses one, or still cannot judge it. Transient: the store is damaged; the next pass fetches it
                anew.
        """
        if self.source.held() is None:
            raise _damaged()
        revision = self._verified(self.source.store, None, commit, (since or commit, None), lambda *_: None)
        if revision.unjudged_since:
            raise Stalled(
                "UpgradeNeeded",
                f"A change after {revision.unjudged_since[:7]} is beyond this version of Hearth, so its risk cannot be judged.",
                "Upgrade Hearth on this device. Where `hearth check` finds an error, owners can go back: `hearth trust return`.",
            )
        return revision

    def compare(self, revision: VerifiedRevision, artifact: Artifact) -> bool:
        """Compare a rendered revision with what its approvers saw; return whether another version had rendered that.

        Raises:
            Stalled: this version renders something else.
        """
        if not revision.approved:
            return False
        appliance = artifact if artifact.target == APPLIANCE.name else self.render(revision, APPLIANCE)
        return rendered_anew(revision.approved, appliance.digest, RENDERER_VERSION)

    def render(self, revision: VerifiedRevision, target: Target | None = None) -> Artifact:
        """Load and render a verified revision, for this device if no other target is named.

        Raises:
            Stalled: its household does not load, cannot be rendered, or is another than the one this device joined.
        """
        from desired_state.load import load
        from renderers import RenderingError, render

        loaded = load(dict(revision.files))
        if loaded.state is None:
            first, *more = [finding for finding in loaded.findings if finding.severity == "error"]
            also = f" ({len(more)} more)" if more else ""
            raise Stalled(
                "HouseholdInvalid", f"The household has an error: {first}{also}.", "`hearth check` names all of them."
            )
        if loaded.state.household.id != self.settings.household:
            raise Stalled(
                "OtherHousehold",
                "household.yaml names another household than the one this device joined.",
                "Put the id back.",
            )
        try:
            return render(loaded.state.household, target or self._target)
        except RenderingError as defect:
            raise Stalled(
                "RenderingFailed",
                f"This version of Hearth cannot render the household: {defect}.",
                "This is a bug in Hearth; please report it, and undo the last change meanwhile.",
            ) from None

    def check(self, checkers: Sequence[Checker], root: Path) -> None:
        """Let each daemon check its staged files, in a cage.

        Raises:
            Stalled: a daemon does not accept them. Transient: its checker could not run.
        """
        from reconciler.check import check

        check(checkers, root)

    def ask(self, probes: Sequence[Probe]) -> tuple[ProbeResult, ...]:
        """Ask the running daemons."""
        return ask(probes)

    def source_answers(self) -> bool:
        """Whether the source answers at this moment."""
        try:
            self.source.peek()
        except HearthError:
            return False
        return True

    def network_up(self, network: HomeNetwork | None) -> bool:
        """Whether the cable is in and the router answers; a bench has neither, and counts as up."""
        from reconciler.link import link_up, router_answers

        return network is None or (link_up(network.interface) and router_answers(network.router))

    def network_difference(self, network: HomeNetwork | None) -> tuple[str, str] | None:
        """Return reason and message where this machine's own address is not the one that the household gives it."""
        if network is None:
            return None
        import ipaddress
        import socket

        import psutil

        found = psutil.net_if_addrs().get(network.interface, [])
        own = [str(ipaddress.ip_interface(f"{a.address}/{a.netmask}")) for a in found if a.family == socket.AF_INET]
        if network.address in own:
            return None
        return (
            "AddressDiffers",
            f"{network.interface} should have the address {network.address}. `hearth doctor` shows how to set it.",
        )

    def close(self) -> None:
        """Let go of the units: child processes end, systemd's units run on."""
        self.serving.close()

    def _verified(
        self, folder: Path, borrows: Path | None, tip: str, known: tuple[str | None, str | None], on_batch: OnBatch
    ) -> VerifiedRevision:
        from desired_state.history import HistoryError, Repository
        from desired_state.trust import Anchor, Refused, verify
        from desired_state.trust.judging import judge_files

        anchor = Anchor(self.settings.household, self.settings.genesis, *known)
        try:
            objects = Repository.open(folder, borrows=borrows)
            # Where the repository lies today says nothing of changes that were made before this device knew them.
            live = known[0] not in (None, self.settings.genesis)
            judge = partial(judge_files, source=parse_url(self.settings.source).host if live else "")
            return verify(objects, tip, anchor, judge=judge, on_batch=on_batch)
        except Refused as refused:  # unless it is our own disk that is to blame
            if self.source.drop_damaged():
                raise _damaged() from None
            raise Stalled(refused.reason, refused.sentence, refused.remedy) from None
        except HistoryError as error:
            if self.source.drop_damaged():
                raise _damaged() from None
            raise Transient(
                "RepositoryDamaged", error.message, error.remedy or "`hearth doctor` looks at the disk."
            ) from None


def _state(file: Path) -> tuple[int, int] | None:
    try:
        now = file.stat()
    except OSError:
        return None
    return now.st_ino, now.st_mtime_ns


def _damaged() -> Transient:
    return Transient(
        "RepositoryDamaged",
        "The store of verified changes is damaged.",
        "The next pass fetches it anew from the source.",
    )


def write_gates(path: Path) -> Gate:
    """Return a watcher that writes each gate as a line of JSON, for a command in another process to follow. Bounded."""

    def watch(name: str, ok: bool, detail: str) -> None:
        if path.exists() and path.stat().st_size > _GATES_LIMIT:
            path.unlink()
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"gate": name, "ok": ok, "detail": detail}) + "\n")

    return watch
