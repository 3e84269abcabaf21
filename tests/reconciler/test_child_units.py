"""Daemons as child processes: they run while the agent does, come back when they die, and never outlive it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from reconciler import child, child_units
from reconciler.child import Identity, started
from reconciler.child_units import ChildUnits
from reconciler.errors import Transient
from reconciler.probe import ask
from reconciler.units import Action, UnitStep, steps
from renderers.plan import DnsProbe, Plan, Unit

Until = Callable[..., None]


def pid_of(units: ChildUnits, plan: Plan, name: str = "dnsmasq.service") -> int:
    """Return the number of a running unit's process."""
    return int(units.states(plan)[name].incarnation.partition(".")[0])


def lives(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def shell(name: str, script: str, **more) -> Plan:
    """Return a plan with a shell script as its daemon."""
    return Plan(units=(Unit(name, ("sh", "-c", script), (), **more),))


def run(units: ChildUnits, plan: Plan) -> None:
    """Start everything."""
    units.perform(steps(None, plan, ()), plan)


def address_of(resolver, question: str) -> DnsProbe:
    """Return the question for a name that should be the television."""
    return DnsProbe("p", resolver.address, resolver.port, question, "address", "192.168.10.30")


def answers(resolver, question: str = "tv.home.arpa") -> bool:
    """Whether the resolver knows the name."""
    return ask([address_of(resolver, question)], seconds=0.5)[0].ok


def test_a_started_daemon_answers_and_ends_with_us(running, children: ChildUnits):
    """Nothing is left behind, not even its note."""
    pid = pid_of(children, running.plan)
    assert answers(running)
    children.close()
    assert not lives(pid)
    assert list((running.folder / "children").iterdir()) == []


def test_a_restart_waits_for_the_old_one_to_free_its_port(running, children: ChildUnits, until: Until):
    """The new one takes the same port at once, without a complaint."""
    before, since = pid_of(children, running.plan), children.cursor()
    children.perform([UnitStep(Action.RESTART, running.unit.name)], running.plan)
    assert not lives(before)
    until(lambda: answers(running))
    assert pid_of(children, running.plan) != before
    assert children.faults(running.plan, since) == ()


def test_a_reload_reads_the_files_again_in_the_same_process(
    running, children: ChildUnits, until: Until, monkeypatch: pytest.MonkeyPatch
):
    """No query is lost to an added name."""
    monkeypatch.setattr(child_units, "_YOUNG_SECONDS", 0.0)  # it listens already, so its age does not matter
    before = pid_of(children, running.plan)
    (running.folder / "hosts").write_text("192.168.10.30 tv.home.arpa radio.home.arpa\n")
    children.perform(steps(running.plan, running.plan, ["hosts"]), running.plan)
    until(lambda: answers(running, "radio.home.arpa"))
    assert pid_of(children, running.plan) == before


def test_a_reload_of_a_daemon_that_just_started_is_not_lost(resolver, children: ChildUnits, until: Until):
    """SIGHUP before its handler stands would end it, or be missed: it restarts instead."""
    run(children, resolver.plan)
    (resolver.folder / "hosts").write_text("192.168.10.30 radio.home.arpa\n")
    children.perform(steps(resolver.plan, resolver.plan, ["hosts"]), resolver.plan)
    until(lambda: answers(resolver, "radio.home.arpa"))


def test_a_killed_daemon_comes_back_and_its_death_is_a_fault(running, children: ChildUnits, until: Until):
    """A crash heals by itself, and a trial hears of it."""
    since = children.cursor()
    before = pid_of(children, running.plan)
    os.kill(before, signal.SIGKILL)
    until(lambda: answers(running) and pid_of(children, running.plan) != before)
    (fault,) = children.faults(running.plan, since)
    assert fault.line.startswith("ended by itself (code -9)")


def test_a_daemon_that_gives_up_says_why(resolver, children: ChildUnits, until: Until):
    """Its own last words reach the state and the faults; it is tried again, ever more seldom."""
    resolver.write("no-such-option")
    since = children.cursor()
    run(children, resolver.plan)
    until(lambda: not children.states(resolver.plan)[resolver.unit.name].running)
    until(lambda: "bad option" in children.states(resolver.plan)[resolver.unit.name].words)
    assert "bad option" in children.faults(resolver.plan, since)[-1].line


def test_back_off_bounds_how_often_a_daemon_is_tried(children: ChildUnits, until: Until):
    """A crash loop does not take the machine: waits double."""
    plan = shell("crash", "exit 3")
    run(children, plan)
    until(lambda: len(children.faults(plan, "0")) >= 3)
    assert children._waiting["crash"].wait >= 0.4


def test_a_stopped_unit_stays_stopped_also_while_it_waits_to_be_tried_again(children: ChildUnits, until: Until):
    """A dropped unit is not revived by its back-off."""
    plan = shell("crash", "exit 3")
    run(children, plan)
    until(lambda: len(children.faults(plan, "0")) >= 1)
    children.perform([UnitStep(Action.STOP, "crash")], Plan())
    assert not children._waiting
    assert not children.states(plan)["crash"].running


def test_a_missing_program_keeps_no_other_from_starting(resolver, children: ChildUnits, until: Until):
    """One broken service must not hold the others back."""
    plan = Plan(units=(Unit("gone", ("no-such-daemon",), ()), resolver.unit))
    with pytest.raises(Transient, match="no-such-daemon is not installed"):
        run(children, plan)
    until(lambda: answers(resolver))


def test_stopping_what_never_ran_is_no_error(children: ChildUnits):
    """A roll-back stops units that may not have come up."""
    children.perform([UnitStep(Action.STOP, "never")], Plan())


def test_a_daemon_that_ignores_the_kind_signal_is_killed_with_all_its_children(
    children: ChildUnits, tmp_path: Path, until: Until, monkeypatch: pytest.MonkeyPatch
):
    """Ending is bounded in time, and no grandchild keeps an address."""
    monkeypatch.setattr(child, "STOP_SECONDS", 0.2)
    note = tmp_path / "grandchild"
    plan = shell("deaf", f"trap '' TERM; sleep 1000 & echo $! >{note}; while :; do wait; done")
    run(children, plan)
    until(lambda: note.exists() and note.read_text().strip())
    main, grandchild = pid_of(children, plan, "deaf"), int(note.read_text())
    children.perform([UnitStep(Action.STOP, "deaf")], Plan())
    assert not lives(main)
    assert not Path(f"/proc/{grandchild}").exists()  # reaped, not only dead


def test_a_talkative_daemon_neither_stalls_nor_grows_the_agent(children: ChildUnits, until: Until):
    """Only the last lines are kept, each of bounded length."""
    plan = shell("yes", "yes " + "x" * 3000)
    run(children, plan)
    until(lambda: int(children.cursor()) > 10_000)
    assert len(children._lines) == 2_000
    assert max(len(line.text) for line in children._lines) <= 1_000
    children.perform([UnitStep(Action.STOP, "yes")], Plan())


def test_one_that_never_stops_talking_does_not_starve_the_others(resolver, children: ChildUnits, until: Until):
    """The others are answered and restarted meanwhile."""
    loud = shell("yes", "yes")
    run(children, Plan(units=(*loud.units, resolver.unit)))
    until(lambda: answers(resolver))
    for _ in range(20):
        assert children.states(resolver.plan)[resolver.unit.name].running


def test_a_daemon_that_closes_its_output_costs_no_time(children: ChildUnits, until: Until):
    """A closed pipe is readable for ever: it is not listened to."""
    plan = shell("mute", "exec >&- 2>&-; exec sleep 1000")
    run(children, plan)
    until(lambda: children._children["mute"].silent)
    before = time.process_time()
    for _ in range(20):
        assert children.states(plan)["mute"].running
    assert time.process_time() - before < 0.2
    children.perform([UnitStep(Action.STOP, "mute")], Plan())


def test_a_daemon_is_told_its_environment_and_nothing_of_ours(children: ChildUnits, until: Until, monkeypatch):
    """What a unit names reaches its process; what stands in the agent's own environment does not."""
    monkeypatch.setenv("HEARTH_SECRET", "ours")
    script = 'echo "told $GREETING $HEARTH_SECRET."; exec sleep 60'
    plan = shell("told.service", script, faults=("^told",), environment=(("GREETING", "hello there"),))
    cursor = children.cursor()
    run(children, plan)
    until(lambda: children.faults(plan, cursor))
    assert children.faults(plan, cursor)[0].line == "told hello there ."


def test_only_the_lines_since_the_cursor_count_as_faults(children: ChildUnits, until: Until):
    """An old complaint does not condemn a new trial."""
    plan = shell("daemon", "echo bad start; exec sleep 1000", faults=("^bad",))
    run(children, plan)
    until(lambda: children.faults(plan, "0"))
    assert children.faults(plan, children.cursor()) == ()


AGENT = """
import sys, time
from pathlib import Path
from renderers.plan import Plan, Unit
from reconciler.child_units import ChildUnits
from reconciler.units import steps
plan = Plan(units=(Unit("sleeper", tuple(sys.argv[2:]), ()),))
units = ChildUnits(Path(sys.argv[1]))
units.perform(steps(None, plan, ()), plan)
print(units.states(plan)["sleeper"].incarnation.partition(".")[0], flush=True)
time.sleep(1000)
"""


@pytest.fixture
def killed_agent(tmp_path: Path, until: Until) -> Iterator[Callable[..., int]]:
    """Start an agent with one child, kill it with -9, and return the child's number."""
    born: list[int] = []

    def kill(*command: str, ready: Callable[[], bool] = lambda: True) -> int:
        argv = [sys.executable, "-c", AGENT, str(tmp_path / "run"), *command]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as agent:
            assert agent.stdout is not None
            born.append(int(agent.stdout.readline()))
            until(lambda: Path(f"/proc/{born[-1]}/comm").read_text().strip() == command[0] and ready())
            agent.kill()
        return born[-1]

    yield kill
    for pid in born:
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)


def test_the_children_of_a_killed_agent_end_with_it(killed_agent: Callable[..., int], until: Until):
    """The kernel sees to it (PR_SET_PDEATHSIG)."""
    pid = killed_agent("sleep", "1000")
    until(lambda: not lives(pid))


def test_a_leftover_that_survived_its_agent_is_ended_at_the_next_start(
    killed_agent: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """One that ignores the kernel's signal would keep the port."""
    monkeypatch.setattr(child, "STOP_SECONDS", 0.5)
    deaf = tmp_path / "deaf"
    pid = killed_agent("sh", "-c", f"trap '' TERM; : >{deaf}; while :; do sleep 0.05; done", ready=deaf.exists)
    assert lives(pid)
    ChildUnits(tmp_path / "run").close()
    assert not lives(pid)


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    """A process that is nobody's leftover."""
    with subprocess.Popen(["sleep", "1000"]) as process:
        yield process
        process.kill()


def test_a_leftover_is_known_whichever_shell_became_it(stranger: subprocess.Popen[bytes]):
    """A daemon that is started through a shell shows the end of its command line alone."""
    through = ("sh", "-c", 'exec "$0" "$@"', "sleep", "1000")
    assert Identity(stranger.pid, started(stranger.pid), through).lives()
    assert not Identity(stranger.pid, started(stranger.pid), (*through, "1")).lives()


@pytest.mark.parametrize("wrong", ["started", "command"])
def test_a_process_that_only_has_the_number_of_a_leftover_is_left_alone(
    tmp_path: Path, stranger: subprocess.Popen[bytes], wrong: str
):
    """After a reboot the number belongs to somebody else."""
    note = {"pid": stranger.pid, "started": started(stranger.pid), "command": ["sleep", "1000"]}
    note[wrong] = {"started": 1, "command": ["sleep", "999"]}[wrong]
    (tmp_path / "unit.json").write_text(json.dumps(note))
    ChildUnits(tmp_path).close()
    assert stranger.poll() is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"pid": 1, "started": 0, "command": ["init"]}',
        '{"pid": -1, "started": 0, "command": ["x"]}',
        "[" * 99999,
    ],
)
def test_a_broken_note_ends_nobody(tmp_path: Path, text: str):
    """Rubbish is thrown away."""
    (tmp_path / "unit.json").write_text(text)
    ChildUnits(tmp_path).close()
    assert list(tmp_path.iterdir()) == []


def test_a_process_is_known_by_its_start_and_its_command(stranger: subprocess.Popen[bytes]):
    """The very same one, and no other."""
    same = Identity(stranger.pid, started(stranger.pid), ("sleep", "1000"))
    assert same.lives()
    assert not Identity(same.pid, same.started + 1, same.command).lives()


def test_closed_units_say_so(children: ChildUnits):
    """No call waits for an answer that cannot come; closing twice is no error."""
    children.close()
    children.close()
    with pytest.raises(Transient, match="have been ended"):
        children.cursor()


def test_a_full_disk_keeps_no_daemon_from_starting(children: ChildUnits, tmp_path: Path):
    """Its note is a convenience; DNS is not."""
    (tmp_path / "children").rmdir()
    plan = shell("sleeper", "exec sleep 1000")
    run(children, plan)
    assert children.states(plan)["sleeper"].running
