"""`hearth join`: bind this machine to a home's repository, once a person has compared eight words.

In order: keys are made, main is fetched, the fingerprint of its beginning is shown with its owners, and the person says yes;
then every commit is verified, what would be applied is shown, and the person says yes again. Nothing is applied before both.
Joining the same home again keeps its beginning and its trust floor.
"""

from __future__ import annotations

import shutil
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconciler.cli.output import emit, say, table
from reconciler.errors import Misused, Stalled, Transient
from reconciler.settings import Paths, Settings, load, save

if TYPE_CHECKING:
    from desired_state.trust import Beginning, VerifiedRevision
    from reconciler.home import Home

_UNKNOWN = "0" * 40


@click.command()
@click.argument("source")
@click.option(
    "--genesis", "expected", default="", help="The eight words, as `hearth init` and `hearth verify` show them."
)
@click.option("--yes", is_flag=True, help="Apply without asking; needs --genesis.")
@click.option("--new-home", is_flag=True, help="Leave the home that this machine has joined, and its trust floor.")
@click.option("--interval", default="5m", show_default=True, help="How often to look.")
@click.option(
    "--bench",
    type=(int, int),
    default=None,
    metavar="PORT UPSTREAM_PORT",
    help="A home in a folder: daemons as child processes on loopback.",
)
@click.option("--json", "as_json", is_flag=True, help="Print what was joined as JSON; needs --genesis and --yes.")
@click.pass_obj
def join(root: str, /, source: str, expected: str, interval: str, bench: tuple[int, int] | None, **flags: bool) -> int:
    """Join this machine to the home whose repository is at SOURCE (a git URL)."""
    if (flags["yes"] or flags["as_json"]) and not expected:
        raise Misused("NeedsWords", "Joining without a question needs the eight words.", "Add --genesis and the words.")
    paths = Paths(Path(root))
    paths.prepare()
    quiet = flags["as_json"]
    settings, before = _settings(source, interval, bench), _joined(paths)
    _make_keys(paths, settings, quiet=quiet)
    tip, beginning = _look(paths, settings)
    _check_same_home(before, beginning, new_home=flags["new_home"])
    _compare(beginning, expected)
    settings = settings.model_copy(update={"household": beginning.household, "genesis": beginning.genesis})
    home = _home(paths, settings)
    revision = home.verify(tip, None if flags["new_home"] else home.journal.value.floor, lambda _: None)
    if not quiet:
        _introduce(beginning, revision)
        _ask(expected or None, "Are these the eight words that you were given?")
        _preview(home, revision)
        _ask("yes" if flags["yes"] else None, "Apply this to this machine?")
    if flags["new_home"]:  # only now: whoever says no keeps the floor
        paths.journal.unlink(missing_ok=True)
        shutil.rmtree(paths.repository, ignore_errors=True)
    save(paths, settings)
    return _finish(paths, settings, beginning, as_json=quiet)


def _settings(source: str, interval: str, bench: tuple[int, int] | None) -> Settings:
    from pydantic import ValidationError

    place = str(Path(source).resolve()) if Path(source).exists() else source
    ports = {"port": bench[0], "upstream_port": bench[1]} if bench else None
    try:
        return Settings.model_validate({
            "source": place, "household": f"{_UNKNOWN[:8]}-0000-0000-0000-{_UNKNOWN[:12]}", "genesis": _UNKNOWN,
            "interval": interval, "units": "child" if bench else "systemd", "bench": ports,
        })  # fmt: skip
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise Misused("BadOption", f"{first['loc'][0]}: {first['msg'].removeprefix('Value error, ')}.") from None


def _joined(paths: Paths) -> Settings | None:
    try:
        return load(paths)
    except Misused as error:
        if error.reason == "NotJoined":
            return None
        raise


def _make_keys(paths: Paths, settings: Settings, *, quiet: bool) -> None:
    """Make this device's own key, and for a source over SSH a deploy key, and note the host's key."""
    from reconciler.signing import new_key
    from reconciler.source.url import Transport, parse_url

    if not (paths.keys / "device").exists():
        new_key(paths.keys / "device", f"hearth device {socket.gethostname()}")
    url = parse_url(settings.source)
    if url.transport is not Transport.SSH:
        return
    if not paths.deploy_key.exists():
        new_key(paths.deploy_key, f"hearth deploy key of {socket.gethostname()}")
        public = paths.deploy_key.with_name("deploy.pub").read_text("ascii").strip()
        if not quiet:
            say(
                "This machine has a key of its own for reading the repository. Add it at the git host as a read-only deploy key:"
            )
            say(f"  {public}")
            click.prompt("Press Enter once it is there", default="", show_default=False)
    if not paths.known_hosts.exists():
        _note_host(paths, url.host, url.port or 22, quiet=quiet)


def _note_host(paths: Paths, host: str, port: int, *, quiet: bool) -> None:
    """Note the keys that the git host shows today; from now on it must show one of them."""
    from reconciler.run import run

    found = run(["ssh-keyscan", "-T", "10", "-p", str(port), host], seconds=20)
    lines = [line for line in found.output.decode("ascii", "replace").splitlines() if line and not line.startswith("#")]
    if not lines:
        raise Transient("SourceUnreachable", f"{host} shows no SSH key.", "Check the address and the network.")
    paths.known_hosts.write_text("\n".join(lines) + "\n", "ascii")
    prints = run(["ssh-keygen", "-l", "-f", str(paths.known_hosts)], seconds=10).output.decode("ascii", "replace")
    if not quiet:
        say(f"{host} shows these keys; compare them with the ones that it publishes:")
        say("".join(f"  {line}\n" for line in prints.splitlines()).rstrip())


def _look(paths: Paths, settings: Settings) -> tuple[str, Beginning]:
    """Fetch main, and read what it says of its beginning."""
    from desired_state.history import HistoryError, Repository
    from desired_state.trust import Refused, beginning
    from reconciler.source import Credentials, Source

    source = Source(settings.source, Credentials.in_folder(paths.keys), paths.repository, paths.incoming)
    tip = source.peek()
    source.fetch(tip)
    try:
        return tip, beginning(Repository.open(paths.incoming, borrows=paths.repository / "objects"), tip)
    except Refused as refused:
        raise Stalled(refused.reason, refused.sentence, refused.remedy) from None
    except HistoryError as error:
        raise Stalled("RepositoryDamaged", error.message, error.remedy) from None


def _check_same_home(before: Settings | None, beginning: Beginning, *, new_home: bool) -> None:
    if before is None or before.genesis == beginning.genesis:
        return
    if not new_home:
        raise Misused(
            "OtherHome",
            f"This machine has joined another home ({before.household}).",
            "To leave it, with its trust floor and the way back to what it ran: add --new-home. Families' files stay.",
        )


def _compare(beginning: Beginning, expected: str) -> None:
    from desired_state.trust import read_words

    if not expected:
        return
    try:
        words = read_words(expected)
    except ValueError as error:
        raise Misused("BadWords", f"--genesis: {error}.") from None
    if words != beginning.words:
        raise Stalled(
            "OtherGenesis",
            f"The repository begins otherwise: {' '.join(beginning.words)}.",
            "Nothing was joined. Check the address, and ask whoever gave you the words.",
        )


def _home(paths: Paths, settings: Settings) -> Home:
    from reconciler.home import Home
    from reconciler.units import NoUnits

    return Home(paths, settings, NoUnits())


def _introduce(beginning: Beginning, revision: VerifiedRevision) -> None:
    policy = revision.trust.policy
    say(f"Household {beginning.household}")
    say(f"It begins with:  {' '.join(beginning.words)}")
    say("Its owners:")
    table([(key.principal, key.public.fingerprint) for key in revision.trust.owners], indent=2)
    say(
        f"Trust version {policy.version}, epoch {policy.epoch}; {len(revision.steps)} commits, each one verified.",
        kind="good",
    )


def _ask(answered: str | None, question: str) -> None:
    if not answered and not click.confirm(question, default=False):
        raise Misused(
            "NotConfirmed", "Nothing was joined, and nothing was changed.", "Call it again when you are ready."
        )


def _preview(home: Home, revision: VerifiedRevision) -> None:
    """Show what would be applied: the daemons and their files."""
    artifact = home.render(revision)
    say("These daemons would run, with these files:")
    table([(unit.name, f"{len(unit.restart) + len(unit.reload)} files") for unit in artifact.plan.units], indent=2)
    say(f"sha256:{artifact.digest}")


def _finish(paths: Paths, settings: Settings, beginning: Beginning, *, as_json: bool) -> int:
    """Start the agent where systemd runs the units; say the next step elsewhere."""
    if settings.units == "systemd":
        from reconciler.run import run

        run(["systemctl", "enable", "--now", "hearth-agent.service"], seconds=60)
    if as_json:
        emit(
            {
                "household": beginning.household,
                "genesis": beginning.genesis,
                "genesis_words": " ".join(beginning.words),
                "source": settings.source,
            }
        )
        return 0
    say("Joined.", kind="good")
    say("Watch it: hearth status" if settings.units == "systemd" else f"Start it: hearth --root {paths.root} agent")
    return 0
