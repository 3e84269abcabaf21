"""`benchmarks/run`: measure everything, and write docs/benchmarks.md; exit 1 where a target is missed."""

from __future__ import annotations

import importlib
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.measure import Figure

TOP = Path(__file__).resolve().parents[1]
SUITES = {
    "agent": "The agent at rest",
    "cold": "Commands that start and end",
    "change": "A blocked domain more",
    "services": "All four services",
    "verify": "Verification of a long history",
}
_NOTES = {
    "agent": "An agent with an interval of one second and its dnsmasq as child processes, over a local git repository. Twenty passes are "
    "counted by the kernel (`/proc/PID/io`), and twenty more by `strace -f`. What it asks its resolvers goes out with `sendto` and counts "
    "as no write.\n\nWhere the daemons are systemd's, the agent begins afresh after each change, so on a Pi the figure after its start is "
    "the one at rest; a test on the booted appliance holds it to 60 MB after a change. Where the daemons are its own children (the demo, "
    "containers) it cannot, and keeps what the change needed: more than 60 MB, until it is started anew.",
    "cold": "`hearth reconcile` as on a Pi: the daemons are not its children, and nothing has changed. The playbook writes the same bytes "
    "(this is checked) from templates, has `dnsmasq --test` validate what changes, and is pulled from a `file://` repository over a local "
    "connection, with ansible-core 2.19.14. "
    "`ansible-pull -o` ends when there is no new commit; without it the playbook is played, and changes nothing.",
    "change": "The agent is asked for a pass after a push; the time runs until the main resolver answers `NXDOMAIN`. The CPU time is that "
    "of the agent and of all that it starts until the change is confirmed: the fetch, the checkers in their cage, the probes.",
    "services": "dnsmasq, Samba, Postfix and step-ca, and a mail provider, all real. Each change is pushed, fetched, verified, rendered, "
    "checked, applied and confirmed three times. The daemons' time is that of ending, starting and telling them, and of asking them until "
    "all answer; ours is all the rest, the checkers and the fetch included. The quiet pass and the memory are a fresh agent's, whose "
    "daemons run already and are not its children, as on a Pi; the same for DNS alone stand above. OpenSSL writes to its socket with "
    "`write`, so `wchar` counts what the authority is asked.",
    "verify": "First a self-hosted home, each of whose commits changes one file and is signed with ssh-ed25519. Then a reviewed one: a "
    "proposal, an approval and a merge for each change of the names, judged for its risk. `git log --show-signature` checks the same "
    "signatures (of the second home the merges', beside as many that it does not look at) and none of the other rules. Our own memory "
    "is what no file backs (`RssAnon`), seen after each batch; the peak (`VmHWM`) adds what the kernel maps of the history's pack and can "
    "drop at any time.",
}


def main(names: list[str]) -> int:
    """Run the suites of those names, or all of them."""
    if unknown := set(names) - set(SUITES):
        print(f"There is no {', '.join(sorted(unknown))}; there are {', '.join(SUITES)}.", file=sys.stderr)
        return 2
    found = {name: _run(name) for name in names or SUITES}
    if not names:
        (TOP / "docs/benchmarks.md").write_text(_page(found))
    return 0 if all(figure.held for figures in found.values() for figure in figures) else 1


def _run(name: str) -> list[Figure]:
    figures: list[Figure] = importlib.import_module(f"benchmarks.{name}").figures()
    for figure in figures:
        mark = "" if figure.limit is None else "held" if figure.held else "MISSED"
        print(f"{figure.what:<70} {figure.value:>10,g} {figure.unit:<3} {figure.target:<16} {mark}", flush=True)
    return figures


def _page(found: dict[str, list[Figure]]) -> str:
    head = (
        "# Speed and memory\n\nWritten by `benchmarks/run`; run it again to measure your machine, or one part of it: "
        f"`benchmarks/run {next(iter(SUITES))}`.\nCPU time is user and system together, the least of several runs, because other work on "
        "the machine can only add to it.\nFigures that stand side by side come from one run.\n\n"
        f"Measured on {datetime.now(UTC):%Y-%m-%d}, commit {_commit()}, on {_machine()}.\n"
    )
    parts = [head]
    for name, figures in found.items():
        lines = "\n".join(map(_row, figures))
        columns = "| what | measured | target | |\n|---|---:|---|---|\n"
        parts.append(f"## {SUITES[name]}\n\n`benchmarks/run {name}`. {_NOTES[name]}\n\n{columns}{lines}\n")
    return "\n".join(parts)


def _row(figure: Figure) -> str:
    mark = "" if figure.limit is None else "held" if figure.held else "**missed**"
    return f"| {figure.what} | {f'{figure.value:,g}'} {figure.unit} | {figure.target} | {mark} |"


def _machine() -> str:
    model = next(line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name"))
    system = platform.freedesktop_os_release()["PRETTY_NAME"]
    return f"{os.cpu_count()} cores of an {model.partition(': ')[2]}, {system}, Python {platform.python_version()}"


def _commit() -> str:
    done = subprocess.run(
        ["git", "-C", TOP, "rev-parse", "--short", "HEAD"], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
