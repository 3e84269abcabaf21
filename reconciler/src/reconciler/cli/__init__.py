"""The `hearth` command. Each subcommand is a module that is imported only when it is called: the agent shares a small machine.

Owns how errors end: one clear sentence, what to do, the documented exit code, never a traceback.
"""

from __future__ import annotations

import difflib
import importlib
import io
import os
import sys
from pathlib import Path
from typing import Any

import click

from reconciler.errors import HearthError, Misused, Transient

_COMMANDS = {
    "check": ("check", "Say what is wrong in a household folder, and what to write instead."),
    "render": ("check", "Write the daemons' files of a household, and print their digest."),
    "diff": ("diff", "Say in sentences what differs, and show the daemons' files."),
    "init": ("init", "Start a household: files, keys and a signed first commit."),
    "change": ("change", "Change a household: add a device, block a site, share a folder ..."),
    "secret": ("secret", "Set a household's secrets, and say what is there."),
    "undo": ("change", "Propose the opposite of a past commit."),
    "approve": ("approve", "Look at a proposal, and approve it with your own key."),
    "merge": ("merge", "Bring an approved proposal to main."),
    "trust": ("trust", "Who may change the home: list, add, remove, rotate, return."),
    "verify": ("verify", "Check every commit, and say who signed what."),
    "receipt": ("receipt", "What this machine confirmed, signed with its own key."),
    "head": ("head", "State which change is the newest, so that a withheld one is noticed."),
    "join": ("join", "Join this machine to a home's repository."),
    "agent": ("device", "Keep this machine in the state that its repository describes."),
    "provide": ("provide", "Fill what the daemons read from memory; for systemd, at boot."),
    "reconcile": ("device", "Run one pass now, and show each gate."),
    "status": ("status", "Why am I on this revision?"),
    "history": ("status", "What happened here."),
    "doctor": ("doctor", "What is missing or in the way, and the remedy."),
    "recovery": ("recovery", "Save what cannot be made a second time, and put it back."),
    "suspend": ("steer", "Pause applying; always for a time and a reason."),
    "resume": ("steer", "End a pause."),
    "rollback": ("steer", "Go back to the generation before, and pause."),
    "retry": ("steer", "Look afresh at what was refused or failed."),
    "devices": ("devices", "Who is on the network, unknown ones first."),
    "why": ("why", "Why a name answers, or does not, for a device."),
    "card": ("card", "A printable page for one person: how to open the shared folders."),
    "ca": ("ca", "Hand the home's root certificate to the family's devices."),
    "test": ("try_out", "Do the real thing once, and say the result."),
}
"""Every subcommand: its module in this package, and its line of help."""


class Lazy(click.Group):
    """A group that imports a subcommand's module only when it is needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the subcommands in the order in which people meet them."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - as above
        """Return the subcommand of that name."""
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"reconciler.cli.{_COMMANDS[cmd_name][0]}")
        return getattr(module, cmd_name)  # type: ignore[no-any-return]

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """Find the subcommand; an unknown one gets the nearest name."""
        if args and args[0] not in _COMMANDS:
            near = difflib.get_close_matches(args[0], _COMMANDS, n=1)
            raise click.UsageError(
                f"There is no `hearth {args[0][:40]}`." + (f" Did you mean `hearth {near[0]}`?" if near else ""), ctx
            )
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - as above
        """List the subcommands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in _COMMANDS.items()])


@click.command(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option(
    "--root",
    type=click.Path(file_okay=False),
    envvar="HEARTH_ROOT",
    default="/",
    help="Where etc/, var/ and run/ of this home lie; a bench has a folder of its own.",
)
@click.version_option(package_name="hearth-reconciler", prog_name="hearth", message="%(prog)s %(version)s")
@click.pass_context
def hearth(context: click.Context, root: str) -> None:
    """Keep a home's DNS, shared folders, mail relay and certificates as its signed git repository says."""
    context.obj = root


def main() -> None:
    """Run the command that was called, and end with its exit code, also where nobody reads what it says."""
    as_json = "--json" in sys.argv[1:]
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed: >&-
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115 - open until the end
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper):  # bytes, or letters that this terminal has not, are shown escaped
            stream.reconfigure(errors="backslashreplace")
    try:
        code = _run(as_json=as_json)
        sys.stdout.flush()
    except OSError as error:  # of the streams themselves
        for number in (1, 2):  # or Python, at its end, tries again and says so
            os.dup2(os.open(os.devnull, os.O_WRONLY), number)
        code = 141 if isinstance(error, BrokenPipeError) else 2
    sys.exit(code)


def _run(*, as_json: bool) -> int:
    """Run the command and return its exit code; what ends it is said in one sentence.

    Raises:
        OSError: standard output or standard error cannot be written.
    """
    try:
        code = hearth.main(standalone_mode=False)
        return code if isinstance(code, int) else 0
    except click.exceptions.NoArgsIsHelpError as error:
        print(error.format_message())
        return 2
    except click.ClickException as error:
        context = error.ctx if isinstance(error, click.UsageError) else None
        hint = f"`{context.command_path} --help` shows how." if context else ""
        return _said(Misused("Usage", error.format_message(), hint), as_json=as_json)
    except click.Abort:
        return 130
    except SystemExit as ending:  # click's own answer to a closed pipe is 1, which here means refused
        raise (BrokenPipeError() if ending.code == 1 else ending) from None
    except (HearthError, OSError) as error:
        return _said(error if isinstance(error, HearthError) else _storage_failed(error), as_json=as_json)
    except Exception as error:
        if os.environ.get("HEARTH_TRACEBACK"):
            raise
        bug = f"This is a bug in Hearth ({type(error).__name__})."
        return _said(Misused("Bug", bug, "Please report it; HEARTH_TRACEBACK=1 shows where."), as_json=as_json)


def _storage_failed(error: OSError) -> HearthError:
    where = f"{error.filename}: " if error.filename else ""
    remedy = "Run this as root (sudo)." if isinstance(error, PermissionError) else "`hearth doctor` looks at the disk."
    return Transient("StorageFailed", f"{where}{error.strerror or error}.", remedy)


def _said(error: HearthError, *, as_json: bool) -> int:
    from reconciler.cli.output import fail

    fail(error, as_json=as_json)
    return error.exit_code
