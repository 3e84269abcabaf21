"""`hearth join`: bind this machine to a home's repository, once a person has compared eight words.

In order: keys are made, main is fetched, the fingerprint of its beginning is shown with its owners, and the person says yes;
then every commit is verified, what would be applied is shown, and the person says yes again. Nothing is applied before both.
Joining the same home again keeps its beginning and its trust floor. What was verified here is the floor from then on, so the
first pass cannot be shown less than the person saw.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli.deploy_key import make_keys
from reconciler.cli.device import run_pass
from reconciler.cli.introduction import Introduction, check_at_least, check_wish, fields, show, verify
from reconciler.cli.output import emit, say, table
from reconciler.errors import HearthError, Misused, Stalled
from reconciler.floor import settle
from reconciler.lock import held, holder
from reconciler.receipts import device_line
from reconciler.secrets.device_key import recipient
from reconciler.settings import Paths, Settings, load, save
from reconciler.source.store import ensure_store
from reconciler.source.url import parse_url
from reconciler.units import plain

if TYPE_CHECKING:
    from desired_state.trust import Beginning, VerifiedRevision
    from reconciler.home import Home

_UNKNOWN = "0" * 40


@click.command()
@click.argument("source")
@click.option(
    "--genesis", "expected", default="", help="The eight words, as `hearth init` and `hearth verify` show them."
)
@click.option(
    "--at-least",
    metavar="COMMIT|VERSION",
    default="",
    help="Refuse a history without this commit, or with an older version of the trust policy than this.",
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
def join(root: str, /, source: str, interval: str, bench: tuple[int, int] | None, **wishes: Any) -> int:
    """Join this machine to the home whose repository is at SOURCE (a git URL)."""
    wish = _Wish(**wishes)
    paths = Paths(Path(root))
    settings, before = _settings(source, interval, bench), _joined(paths)
    fresh = not paths.state.exists()
    paths.prepare()
    make_keys(paths, parse_url(settings.source), quiet=wish.as_json)
    try:
        with held(paths.lock):
            joined = _bind(paths, settings, before, wish)
    except BaseException:
        _leave_nothing(paths, fresh=fresh)
        raise
    return _finish(paths, load(paths), joined, as_json=wish.as_json)


@dataclass(frozen=True, slots=True)
class _Wish:
    """What the command was told: the eight words, if any, what must be there, and how much is to be asked."""

    expected: str
    at_least: str
    yes: bool
    new_home: bool
    as_json: bool

    def __post_init__(self) -> None:
        if (self.yes or self.as_json) and not self.expected:
            raise Misused(
                "NeedsWords", "Joining without a question needs the eight words.", "Add --genesis and the words."
            )
        if self.as_json and not self.yes:
            raise Misused("NeedsYes", "With --json nothing can be asked.", "Add --yes to apply without a question.")
        check_wish(self.at_least)


def _bind(paths: Paths, settings: Settings, before: Settings | None, wish: _Wish) -> Introduction:
    """Look, compare, verify, show and ask; only then write down that this machine belongs to that home."""
    tip, beginning = _look(paths, settings)
    _check_same_home(before, beginning, new_home=wish.new_home)
    _compare(beginning, wish.expected)
    settings = settings.model_copy(update={"household": beginning.household, "genesis": beginning.genesis})
    home = _home(paths, settings)
    leaving = wish.new_home and (before is None or before.genesis != beginning.genesis)
    joined = verify(home, tip, beginning, anew=leaving)
    check_at_least(joined, wish.at_least)
    if not wish.as_json:
        show(joined)
        _ask(wish.expected or None, "Are these the eight words that you were given?")
        _preview(paths, settings, home, joined.revision)
        if leaving and before:
            _say_what_is_lost(before, home.journal.value.floor)
        _ask("yes" if wish.yes else None, "Apply this to this machine?")
    if leaving:
        _forget_home(paths)
    settle(home, joined.revision)
    save(paths, settings)
    return joined


def _say_what_is_lost(left: Settings, floor: str | None) -> None:
    last = f"its last verified commit ({floor[:7]})" if floor else "its beginning"
    say(f"It leaves the household {left.household}, and forgets {last} and the way back to what it ran.", kind="note")


def _forget_home(paths: Paths) -> None:
    """Drop what ties this machine to the home before: its floor, and the store that the floor could be found in again."""
    shutil.rmtree(paths.repository, ignore_errors=True)
    ensure_store(paths.repository)
    paths.journal.unlink(missing_ok=True)


def _leave_nothing(paths: Paths, *, fresh: bool) -> None:
    """Take away what a joining that did not happen has made. A deploy key stays, with the note of its host."""
    shutil.rmtree(paths.incoming, ignore_errors=True)
    if not fresh:
        return
    shutil.rmtree(paths.repository, ignore_errors=True)
    if not paths.deploy_key.exists():
        shutil.rmtree(paths.state, ignore_errors=True)
    shutil.rmtree(paths.run, ignore_errors=True)


def _settings(source: str, interval: str, bench: tuple[int, int] | None) -> Settings:
    from pydantic import ValidationError

    place = str(Path(source).resolve()) if _is_here(source) else source
    ports = {"port": bench[0], "upstream_port": bench[1]} if bench else None
    try:
        return Settings.model_validate({
            "source": place, "household": f"{_UNKNOWN[:8]}-0000-0000-0000-{_UNKNOWN[:12]}", "genesis": _UNKNOWN,
            "interval": interval, "units": "child" if bench else "systemd", "bench": ports,
        })  # fmt: skip
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise Misused("BadOption", f"{first['loc'][0]}: {first['msg'].removeprefix('Value error, ')}.") from None


def _is_here(source: str) -> bool:
    try:
        return source != "" and Path(source).exists()
    except (OSError, ValueError):  # too long for a path, or with a NUL
        return False


def _joined(paths: Paths) -> Settings | None:
    try:
        return load(paths)
    except Misused as error:
        if error.reason == "NotJoined":
            return None
        raise


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
    if before is None or before.genesis == beginning.genesis or new_home:
        return
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


def _ask(answered: str | None, question: str) -> None:
    if answered:
        return
    try:
        agreed = click.confirm(question, default=False)
    except click.Abort:
        agreed = False
    if not agreed:
        raise Misused(
            "NotConfirmed", "Nothing was joined, and nothing was changed.", "Call it again when you are ready."
        )


def _preview(paths: Paths, settings: Settings, home: Home, revision: VerifiedRevision) -> None:
    """Show what would be applied, the daemons and their files, and what on this machine is in its way."""
    from reconciler.cli.doctor import show as show_grades
    from reconciler.doctor import Grade, examine_machine

    artifact = home.render(revision)
    say("These daemons would run, with these files:")
    table([(unit.name, f"{len(unit.restart) + len(unit.reload)} files") for unit in artifact.plan.units], indent=2)
    say(f"sha256:{artifact.digest}")
    wrong = show_grades(one for one in examine_machine(paths, settings, artifact.plan) if one.grade is not Grade.OK)
    if not wrong:
        say("Nothing on this machine is in its way.", kind="good")


def _finish(paths: Paths, settings: Settings, joined: Introduction, *, as_json: bool) -> int:
    """Start the agent where systemd runs the units, afresh if it ran already; say the next step elsewhere."""
    problem = _start_agent() if settings.units == "systemd" else ""
    if as_json:
        own = {"source": settings.source, "recipient": recipient(paths.keys), "agent_problem": problem or None}
        emit({**fields(joined), **own})
        return 0
    say("Joined. Its owners can tell this machine's receipts by its line in trust/devices:", kind="good")
    say(device_line(paths.device_key, "pi"), indent=2)
    say("To read the home's secrets it needs its line in trust/recipients (docs/secrets.md):")
    say(recipient(paths.keys), indent=2)
    if problem:
        say(problem, kind="note")
    elif settings.units == "systemd":
        return run_pass(paths, settings, wait=True)
    else:
        verb = "Start it anew" if holder(paths.agent) else "Start it"
        say(f"{verb}: hearth --root {paths.root} agent")
    return 0


def _start_agent() -> str:
    """Enable and start the agent; return what keeps it from starting, in words, or nothing."""
    from reconciler.run import run

    try:
        done = [run(["systemctl", verb, "hearth-agent.service"], seconds=120) for verb in ("enable", "restart")]
    except HearthError as error:
        return f"The agent could not be started: {error}"
    failed = next((one for one in done if one.code != 0), None)
    return f"The agent did not start: {plain(failed.text)}" if failed else ""
