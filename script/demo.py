"""The story that script/demo tells: one family, one Pi, a good day and a bad one.

Every scene does the real thing through the `hearth` command and stock git, looks at what came of it, and says whether it held.
The Pi is the agent with dnsmasq as its child process on loopback; the internet is a second dnsmasq that knows a few names.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from reconciler.probe import ask
from renderers.plan import DnsProbe

TOP = Path(__file__).resolve().parent.parent
HOME = TOP / "demo-home"
HOUSEHOLD, REMOTE, PI = HOME / "household", HOME / "git-host.git", HOME / "pi"
ANNA, JENS = HOME / "keys/anna", HOME / "keys/jens"
MAIN, KIDS = "127.168.10.2", "127.168.10.3"
WORLD = {
    "example.com": "93.184.215.14",
    "debian.org": "93.184.215.14",
    "wikipedia.org": "93.184.215.14",
    "tiktok.com": "23.45.67.89",
}
WIDTH = 40


class Story:
    """Prints the scenes and counts what held."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.held: list[bool] = []
        self._scene = 0

    def scene(self, title: str, words: str = "") -> None:
        """Begin a scene."""
        self._scene += 1
        self.held.append(True)
        print(f"\n{bold(f'{self._scene}  {title}'):<{WIDTH + len(bold('')) + 3}}{words}".rstrip(), flush=True)

    def line(self, name: str, words: str, *, held: bool = True) -> None:
        """Say one thing of this scene; what did not hold fails the demo."""
        self.held[-1] &= held
        print(f"     {name:<{WIDTH - 2}}{words}{'' if held else red('   ✗ this did not hold')}", flush=True)

    def close(self) -> int:
        """Say the sum, and return the exit code."""
        good, seconds = sum(self.held), time.monotonic() - self.began
        whole = (
            f"All {good} held" if all(self.held) else red(f"{len(self.held) - good} of {len(self.held)} did not hold")
        )
        print(f"\n{whole}, {seconds:.0f} s.   Play with it: script/demo --keep   On your Pi: docs/install.md")
        return 0 if all(self.held) else 1


def bold(text: str) -> str:
    """Return the text in bold on a terminal."""
    return f"\033[1m{text}\033[0m" if sys.stdout.isatty() else text


def red(text: str) -> str:
    """Return the text in red on a terminal."""
    return f"\033[31m{text}\033[0m" if sys.stdout.isatty() else text


def run(*argv: str | Path, cwd: Path = HOUSEHOLD, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a command as the family's own git and SSH set-up, inside the demo's folder, would."""
    environment = {
        **os.environ,
        "HOME": str(HOME),
        "GIT_CONFIG_GLOBAL": str(HOME / "gitconfig"),
        "GIT_CONFIG_NOSYSTEM": "1",
    }
    environment.pop("SSH_AUTH_SOCK", None)
    finished = subprocess.run(
        [str(word) for word in argv], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    if check and finished.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, argv))} failed:\n{finished.stdout}{finished.stderr}")
    return finished


def hearth(*words: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run the hearth command on the demo's Pi."""
    return run(TOP / ".venv/bin/hearth", "--root", PI, *words, check=check)


def git(*words: str | Path, check: bool = True) -> str:
    """Run stock git in the family's clone."""
    return run("git", *words, check=check).stdout.strip()


def sign_as(key: Path) -> None:
    """Sit down at the keyboard as somebody else."""
    git("config", "user.signingkey", f"{key}.pub")
    git("config", "user.name", key.name.capitalize())
    git("config", "user.email", f"{key.name}@holm.example")


def lookup(name: str, server: str, port: int) -> str:
    """Return what a resolver of the home answers: an address, `not found`, or why there is none."""
    result = ask([DnsProbe("demo", server, port, name, "nxdomain")])[0]
    said = result.message.partition(f"{server}: ")[2].partition(" instead of")[0]
    return "not found" if result.ok else said or "no answer"


def free_port() -> int:
    """Return a port that nothing uses on the demo's addresses, for UDP and TCP alike."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((MAIN, 0))
        return int(probe.getsockname()[1])


@contextmanager
def internet(port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Be the resolvers that the home asks for the rest of the world, and know a few names."""
    names = [f"--host-record={name},{address}" for name, address in WORLD.items()]
    names += [f"--local=/{name}/" for name in WORLD]
    where = ["--listen-address=127.9.9.9", "--listen-address=127.112.112.112", f"--port={port}", "--bind-interfaces"]
    quiet = [
        "--keep-in-foreground",
        "--conf-file=/dev/null",
        "--no-resolv",
        "--no-hosts",
        "--pid-file=",
        "--log-facility=/dev/null",
    ]
    own = ["--user=root", "--group="] if os.geteuid() == 0 else []
    world = subprocess.Popen(["dnsmasq", *quiet, *where, *own, *names], stderr=subprocess.DEVNULL)
    try:
        yield world
    finally:
        end(world)


def start_pi() -> subprocess.Popen[bytes]:
    """Start the agent, as the Pi's boot does, and wait until the home answers."""
    with (HOME / "agent.log").open("ab") as log:
        agent = subprocess.Popen([TOP / ".venv/bin/hearth", "--root", PI, "agent"], stdout=log, stderr=log)
    for _ in range(300):
        status = PI / "run/hearth/status.json"
        if status.exists() and json.loads(status.read_text())["applied"]:
            return agent
        time.sleep(0.1)
    raise SystemExit(f"The agent did not bring the home up; see {HOME / 'agent.log'}")


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process that the demo started."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(10)
    if process.poll() is None:
        process.kill()
        process.wait()


def make_family() -> str:
    """Make the Holm family's household, with Anna and Jens as its owners, and return the eight words of its beginning."""
    shutil.rmtree(HOME, ignore_errors=True)
    (HOME / "keys").mkdir(parents=True, mode=0o700)
    for key in (ANNA, JENS):
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", key.name, "-f", key, cwd=HOME)
    words = [
        "--name",
        "The Holm family",
        "--person",
        "Anna Holm",
        "--subnet",
        "192.168.10.0/24",
        "--timezone",
        "Europe/Copenhagen",
    ]
    made = json.loads(hearth_outside("init", HOUSEHOLD, "--self-hosted", *words, "--key", ANNA, "--json"))
    sign_as(ANNA)
    for path in ("people.yaml", "devices.yaml"):
        shutil.copy(TOP / "desired-state/examples/holm" / path, HOUSEHOLD / path)
    git("commit", "--quiet", "--all", "-S", "--message", "The family and its devices")
    run("git", "init", "--quiet", "--bare", "--initial-branch=main", REMOTE, cwd=HOME)
    git("remote", "add", "origin", str(REMOTE))
    git("push", "--quiet", "--set-upstream", "origin", "main")
    return str(made["genesis_words"])


def hearth_outside(*words: str | Path) -> str:
    """Run the hearth command where no household is yet."""
    return run(TOP / ".venv/bin/hearth", *words, cwd=HOME).stdout


def the_home_is_up(story: Story, port: int) -> None:
    """Scene 1: names and the world answer on every device."""
    story.scene("The home is up")
    found = lookup("tv.home.arpa", MAIN, port)
    story.line("tv.home.arpa", found, held=found == "192.168.10.30")
    answers = [lookup("tiktok.com", server, port) for server in (MAIN, KIDS)]
    story.line("tiktok.com", "answers, on every device", held=set(answers) == {WORLD["tiktok.com"]})


def a_wish(story: Story, port: int) -> None:
    """Scene 2: Anna changes her home by one signed command."""
    story.scene(
        'Anna: "Block TikTok for the kids"',
        "(said with `hearth change`: the model that drafts from plain words is not here yet)",
    )
    began = time.monotonic()
    changed = hearth("change", "block", "tiktok", "--for", "kids", "--commit", "--push", "--json")
    sentence = json.loads(changed.stdout)["changes"][0]
    seconds = time.monotonic() - began
    story.line("Signed by Anna, with her own key", f"+ {sentence['sentence']}")
    story.line(
        "The Pi, on its own",
        f"signatures, dnsmasq's own check, still answering: in effect {seconds:.1f} s after the command began",
    )
    kids, others = lookup("tiktok.com", KIDS, port), lookup("tiktok.com", MAIN, port)
    story.line(
        "tiktok.com",
        f"kids: {kids}   everyone else: {'answers' if others in WORLD.values() else others}",
        held=(kids, others) == ("not found", WORLD["tiktok.com"]),
    )


def a_bad_day(story: Story, port: int) -> None:
    """Scene 3: a change that every check accepts cuts the home off, and is taken back."""
    story.scene("A bad day: a signed change that looks fine and cuts the internet off")
    hearth("change", "set-upstreams", "192.0.2.53", "--commit", "--push", "--json", check=False)
    status = json.loads(hearth("reconcile", "--json", check=False).stdout)
    failure = status["failure"] or {}
    story.line(
        "On trial",
        "no answer from outside (it worked before the change)",
        held="a name from outside" in failure.get("message", ""),
    )
    attempt = next(
        one
        for one in json.loads((PI / "var/lib/hearth/journal.json").read_text())["attempts"]
        if one["ending"] == "failed"
    )
    back = lookup("example.com", MAIN, port)
    story.line(
        "Went back by itself",
        f"after {attempt['ended'] - attempt['began']:.0f} s; nobody had to notice",
        held=back == WORLD["example.com"],
    )
    hearth("undo", "HEAD", "--commit", "--push", "--json")
    hearth("reconcile", "--json")


def a_push_to_main(story: Story, port: int) -> None:
    """Scene 4: an unsigned commit on main is refused, and the home stays where it is."""
    story.scene("Someone pushes straight to main, unsigned")
    good = git("rev-parse", "HEAD")
    (HOUSEHOLD / "people.yaml").write_text((HOUSEHOLD / "people.yaml").read_text() + "  eve: {name: Eve}\n")
    git("-c", "commit.gpgsign=false", "commit", "--quiet", "--all", "--message", "Just a small thing")
    git("push", "--quiet", "--no-verify")
    refused = hearth("reconcile", "--json", check=False)
    ready = next(one for one in json.loads(refused.stdout)["conditions"] if one["type"] == "Ready")
    story.line("The Pi", ready["message"], held=refused.returncode == 1 and "rule" in ready["message"])
    kids = lookup("tiktok.com", KIDS, port)
    story.line("TikTok for the kids", f"still {kids}", held=kids == "not found")
    git("reset", "--quiet", "--hard", good)
    git("push", "--quiet", "--no-verify", "--force")
    hearth("reconcile", "--json")


def no_internet(
    story: Story, port: int, agent: subprocess.Popen[bytes], world: subprocess.Popen[bytes]
) -> subprocess.Popen[bytes]:
    """Scene 5: no internet, no repository, and the Pi starts anew."""
    story.scene("The internet is gone, and the Pi restarts")
    end(world)
    REMOTE.rename(HOME / "unreachable.git")
    end(agent)
    shutil.rmtree(PI / "run")
    agent = start_pi()
    found, kids = lookup("tv.home.arpa", MAIN, port), lookup("tiktok.com", KIDS, port)
    story.line("tv.home.arpa", found, held=found == "192.168.10.30")
    story.line("TikTok for the kids", f"still {kids}", held=kids == "not found")
    (HOME / "unreachable.git").rename(REMOTE)
    return agent


def who_did_this(story: Story) -> None:
    """Scene 6: stock git, and nothing of ours, says who changed what."""
    story.scene("Who did this? Stock git answers")
    commit = git("log", "--format=%h", "--grep=TikTok", "--reverse", "main").split()[0]
    verified = run(
        "git", "-c", f"gpg.ssh.allowedSignersFile={HOUSEHOLD / 'trust/owners'}", "verify-commit", commit, check=False
    )
    said = next(iter(verified.stderr.splitlines()), "")
    story.line(f"git verify-commit {commit}", said.partition(" with ")[0], held='Good "git" signature for anna' in said)


def main() -> int:
    """Tell the story; return 0 if every scene held."""
    keep = sys.argv[1:] == ["--keep"]
    for ending in (signal.SIGTERM, signal.SIGHUP):  # a closed window leaves nothing running either
        signal.signal(ending, lambda *_: sys.exit(1))
    began = time.monotonic()
    words = make_family()
    port, upstream_port = free_port(), free_port()
    hearth_join = ["join", REMOTE, "--genesis", words, "--yes", "--bench", str(port), str(upstream_port), "--json"]
    run(TOP / ".venv/bin/hearth", "--root", PI, *hearth_join, cwd=HOME)
    print(f"  {'The Holm family: 3 people, 4 devices':<40}✓ {time.monotonic() - began:3.0f} s", flush=True)
    story = Story()
    with internet(upstream_port) as world:
        agent = start_pi()
        try:
            the_home_is_up(story, port)
            a_wish(story, port)
            a_bad_day(story, port)
            a_push_to_main(story, port)
            agent = no_internet(story, port, agent, world)
            who_did_this(story)
            code = story.close()
        except BaseException:
            end(agent)
            raise
        if not keep:
            end(agent)
            return code
    return play(agent, upstream_port)


def play(agent: subprocess.Popen[bytes], upstream_port: int) -> int:
    """Leave the home running until the person has had enough."""
    with internet(upstream_port):
        print(
            f"\nThe home runs on. In another terminal:\n  cd {HOUSEHOLD}\n  export HEARTH_ROOT={PI} PATH={TOP}/.venv/bin:$PATH"
        )
        print("  hearth status\n  hearth change block youtube --for kids --commit --push\nCtrl-C ends it.", flush=True)
        try:
            with suppress(KeyboardInterrupt):
                agent.wait()
        finally:
            end(agent)
    return 0


if __name__ == "__main__":
    sys.exit(main())
