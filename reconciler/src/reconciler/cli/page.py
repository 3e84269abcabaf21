"""The reference page of the `hearth` command, written from the commands themselves so that it cannot say anything else.

Pure but for importing the subcommands; `script/generate` writes the page.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import click

_INTRODUCTION = """\
# The hearth command

<!-- Written by script/generate from the commands. Change reconciler/cli, not this page. -->

| exit code | means |
|---|---|
| 0 | done; well; nothing differs |
| 1 | the answer is no: findings, a refusal, a roll-back, a difference, something that is not well |
| 2 | it could not be done: wrong usage, something missing or out of reach |

Errors are one sentence and what to do next. With `--json`, they are JSON too: `{"error": {"reason", "message", "remedy"}}`. What people
read has a ✓, ✗ or !, in colour on a terminal unless `NO_COLOR` is set. `HEARTH_ROOT` stands for `--root`.
"""


def cli_page(command: click.Group) -> str:
    """Return the page as Markdown, one section for each subcommand of `command`."""
    context = click.Context(command, info_name="hearth")
    sections = [_section(name, found, context) for name, found in _subcommands(command, context)]
    return "\n".join([_INTRODUCTION, _options(command.params), *sections])


def _subcommands(group: click.Group, context: click.Context) -> Iterator[tuple[str, click.Command]]:
    for name in group.list_commands(context):
        if found := group.get_command(context, name):
            yield name, found


def _section(name: str, command: click.Command, context: click.Context) -> str:
    inner = click.Context(command, info_name=name, parent=context)
    text = _help(command)
    if not isinstance(command, click.Group):
        return f"## hearth {name}\n\n`{_usage(inner, command.params)}`\n\n{text}\n\n{_options(command.params)}"
    verbs = dict(_subcommands(command, inner))
    shared = _shared(list(verbs.values()))
    rows = [
        f"| `{_usage(click.Context(verb, info_name=word, parent=inner), verb.params, leave=shared)}` | {_cell(_first(verb))} |"
        for word, verb in verbs.items()
    ]
    table = "\n".join(["| write | to |", "|---|---|", *rows])
    options = [option for option in next(iter(verbs.values())).params if option.name in shared] if verbs else []
    return f"## hearth {name}\n\n{text}\n\n{table}\n\nEach of them takes:\n\n{_options(options)}"


def _shared(commands: list[click.Command]) -> frozenset[str | None]:
    """Return the names of the options that all of these commands have."""
    names = [frozenset(one.name for one in command.params if isinstance(one, click.Option)) for command in commands]
    return names[0].intersection(*names[1:]) if names else frozenset()


def _usage(
    context: click.Context, parameters: list[click.Parameter], leave: frozenset[str | None] = frozenset()
) -> str:
    """Return one line of usage. Optional parts stand in brackets; `leave` names the options to leave out."""
    pieces = [context.command_path]
    for one in parameters:
        if isinstance(one, click.Argument):
            pieces.append(one.make_metavar(context))
        elif isinstance(one, click.Option) and one.name not in leave:
            written = one.opts[0] if one.is_flag else f"{one.opts[0]} {one.make_metavar(context)}"
            pieces.append((written if one.required else f"[{written}]") + (" ..." if one.multiple else ""))
    return " ".join(pieces)


def _options(parameters: list[click.Parameter]) -> str:
    rows = []
    for one in parameters:
        if isinstance(one, click.Option) and one.help and not one.is_eager:
            default = f" Otherwise {one.default}." if one.show_default and one.default not in (None, "") else ""
            rows.append(f"| `{one.opts[0]}` | {_cell(one.help)}{default} |")
    return "\n".join(["| option | |", "|---|---|", *rows]) + "\n" if rows else ""


def _help(command: click.Command) -> str:
    """Return the command's help as Markdown paragraphs; click's own marks are left out."""
    return inspect.cleandoc(command.help or "").replace("\b\n", "").replace("\f", "").strip()


def _first(command: click.Command) -> str:
    return " ".join(_help(command).split("\n\n")[0].split())


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
