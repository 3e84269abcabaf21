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
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.probe import ask
from renderers.plan import DnsProbe

if TYPE_CHECKING:
    from script.demo_services import Services

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
PORTS = ("port", "upstream_port", "files_port", "mail_port", "authority_port", "relay_port")


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
        more = "" if "--all" in sys.argv[1:] else "Folders, mail and certificates too: script/demo --all   "
        print(f"\n{whole}, {seconds:.0f} s.   Play with it: script/demo --keep   {more}On your Pi: docs/install.md")
        return 0 if all(self.held) else 1


def bold(text: str) -> str:
    """Return the text in bold on a terminal."""
    return f"\033[1m{text}\033[0m" if sys.stdout.isatty() else text


def red(text: str) -> str:
    """Return the text in red on a terminal."""
    return f"\033[31m{text}\033[0m" if sys.stdout.isatty() else text


def run(
    *argv: str | Path, cwd: Path = HOUSEHOLD, check: bool = True, said: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command as the family's own git and SSH set-up, inside the demo's folder, would; `said` is what it reads."""
    environment = {
        **os.environ,
        "HOME": str(HOME),
        "GIT_CONFIG_GLOBAL": str(HOME / "gitconfig"),
        "GIT_CONFIG_NOSYSTEM": "1",
    }
    environment.pop("SSH_AUTH_SOCK", None)
    finished = subprocess.run(
        [str(word) for word in argv], cwd=cwd, env=environment, input=said, capture_output=True, text=True, check=False
    )
    if check and finished.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, argv))} failed:\n{finished.stdout}{finished.stderr}")
    return finished


def hearth(*words: str | Path, check: bool = True, said: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run the hearth command on the demo's Pi."""
    return run(TOP / ".venv/bin/hearth", "--root", PI, *words, check=check, said=said)


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


def free_ports(count: int) -> list[int]:
    """Return ports that nothing uses on the demo's addresses, for UDP and TCP alike."""
    with ExitStack() as held:
        found = []
        for _ in range(count):
            datagram = held.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            stream = held.enter_context(socket.socket())
            datagram.bind((MAIN, 0))
            stream.bind((MAIN, datagram.getsockname()[1]))
            found.append(int(datagram.getsockname()[1]))
    return found


@contextmanager
def internet(port: int, *more: str) -> Iterator[subprocess.Popen[bytes]]:
    """Be the resolvers that the home asks for the rest of the world, and know a few names; `more` are options of dnsmasq."""
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
    world = subprocess.Popen(["dnsmasq", *quiet, *where, *own, *names, *more], stderr=subprocess.DEVNULL)
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


def until(condition: Callable[[], bool], seconds: float = 60.0) -> bool:
    """Look again and again until the condition holds; return whether it did in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


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


def all_services(story: Story, family: Services) -> None:
    """With --all: the home learns to keep secrets, and then to share folders, send mail and give out certificates."""
    story.scene("Anna lets the Pi keep secrets, and asks for shared folders, mail and certificates")
    key = json.loads(hearth("secret", "recipient", "--json").stdout)["recipient"]
    hearth("trust", "add", "recipients", "hearth", "--recipient", key, "--commit", "--push")
    story.line("A change of trust, by an owner", "the Pi's own key may open the home's secrets")
    for name, value in family.passwords.items():
        hearth("secret", "set", name, "--commit", said=f"{value}\n")
    words = [*family.passwords.values()]
    hidden = [
        path for path in HOUSEHOLD.rglob("*") if path.is_file() and any(w.encode() in path.read_bytes() for w in words)
    ]
    story.line("Three passwords, encrypted to it", "in git, and readable nowhere else", held=not hidden)
    family.copy_household()
    git("add", "services")
    git("commit", "--quiet", "-S", "--message", "Files, mail and certificates")
    git("push", "--quiet", "--no-verify")
    began = time.monotonic()
    outcome = json.loads(hearth("reconcile", "--json", check=False).stdout)
    ready = next(one for one in outcome["conditions"] if one["type"] == "Ready")
    story.line(
        "Samba, Postfix and step-ca",
        f"in effect after {time.monotonic() - began:.1f} s",
        held=ready["status"] == "True",
    )


def shared_folders(story: Story, family: Services) -> None:
    """With --all: one writes, another reads, and who may not is refused."""
    story.scene("Shared folders: Jens saves a photo, Anna opens it")
    photo = HOME / "photo.jpg"
    photo.write_bytes(b"a photo")
    saved = family.open_folder("jens", "family", f"put {photo} photo.jpg")
    found = family.open_folder("anna", "family", "ls")
    story.line("Jens saves, Anna sees it", "photo.jpg", held="NT_STATUS" not in saved and "photo.jpg" in found)
    refused = family.open_folder("jens", "backups", "ls")
    story.line("Jens, in Anna's backups", refused, held=refused == "NT_STATUS_ACCESS_DENIED")
    stranger = family.open_folder("mia", "family", "ls")
    story.line(
        "Mia, who has no password yet", stranger, held=stranger == "NT_STATUS_LOGON_FAILURE" or "DISABLED" in stranger
    )


def mail_and_a_certificate(story: Story, family: Services) -> None:
    """With --all: a scanner's message leaves through the provider, and the television gets a certificate."""
    story.scene("The scanner sends a page; the television gets a certificate")
    family.send("Homework")
    story.line(
        "At the provider",
        "arrived: encrypted, logged in, from anna@holm.example",
        held=until(lambda: "Homework" in family.arrived()),
    )
    said = family.certificate()
    story.line("certbot, for tv.home.arpa", f"{said}, by the home's own authority", held=said == "good")


def services_offline(story: Story, family: Services) -> None:
    """With --all: what goes on without the world."""
    found = family.open_folder("anna", "family", "ls")
    story.line("Anna's photos", "still there", held="photo.jpg" in found)
    family.send("Sent offline")
    story.line(
        "The scanner's next page", "taken, and waits for the internet", held="Sent offline" not in family.arrived()
    )


def services_again(story: Story, family: Services) -> None:
    """With --all: what waited leaves by itself."""
    story.scene("The internet is back")

    def left() -> bool:
        family.flush()
        return "Sent offline" in family.arrived()

    story.line("The page that waited", "arrived at the provider", held=until(left))


def no_internet(
    story: Story, port: int, agent: subprocess.Popen[bytes], world: subprocess.Popen[bytes]
) -> subprocess.Popen[bytes]:
    """No internet, no repository, and the Pi starts anew."""
    story.scene("The internet is gone, and the Pi restarts")
    end(world)
    REMOTE.rename(HOME / "unreachable.git")
    end(agent)
    shutil.rmtree(PI / "run")
    agent = start_pi()
    found, kids = lookup("tv.home.arpa", MAIN, port), lookup("tiktok.com", KIDS, port)
    story.line("tv.home.arpa", found, held=found == "192.168.10.30")
    story.line("TikTok for the kids", f"still {kids}", held=kids == "not found")
    return agent


def who_did_this(story: Story) -> None:
    """Stock git, and nothing of ours, says who changed what."""
    story.scene("Who did this? Stock git answers")
    commit = git("log", "--format=%h", "--grep=TikTok", "--reverse", "main").split()[0]
    verified = run(
        "git", "-c", f"gpg.ssh.allowedSignersFile={HOUSEHOLD / 'trust/owners'}", "verify-commit", commit, check=False
    )
    said = next(iter(verified.stderr.splitlines()), "")
    story.line(f"git verify-commit {commit}", said.partition(" with ")[0], held='Good "git" signature for anna' in said)


def main() -> int:
    """Tell the story; return 0 if every scene held."""
    keep, every = "--keep" in sys.argv[1:], "--all" in sys.argv[1:]
    for ending in (signal.SIGTERM, signal.SIGHUP):  # a closed window leaves nothing running either
        signal.signal(ending, lambda *_: sys.exit(1))
    began = time.monotonic()
    words = make_family()
    ports = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
    bench = [str(ports[name]) for name in ("port", "upstream_port")]
    run(
        TOP / ".venv/bin/hearth", "--root", PI, "join", REMOTE, "--genesis", words, "--yes", "--bench", *bench, cwd=HOME
    )
    print(f"  {'The Holm family: 3 people, 4 devices':<40}✓ {time.monotonic() - began:3.0f} s", flush=True)
    with ExitStack() as running:
        services, names = with_all(running, ports) if every else (None, ())
        code, agent = tell(ports, services, names)
        running.callback(end, agent)
        if keep:
            play(agent, ports["upstream_port"], names)
    return code


def with_all(running: ExitStack, ports: dict[str, int]) -> tuple[Services, tuple[str, ...]]:
    """With --all: give the services' daemons their ports, and start the world's side of them."""
    sys.path.insert(0, str(TOP))
    from script.demo_services import Services

    settings = PI / "etc/hearth/device.toml"
    kept = [line for line in settings.read_text().splitlines() if line.split(" ")[0] not in ports]
    settings.write_text("\n".join([*kept, *(f"{name} = {port}" for name, port in ports.items())]) + "\n")
    family = Services(HOME, HOUSEHOLD, PI, ports)
    [asked] = free_ports(1)
    running.enter_context(family.names(asked))
    return family, (f"--server=/home.arpa/127.0.0.1#{asked}",)


def tell(
    ports: dict[str, int], services: Services | None, names: tuple[str, ...]
) -> tuple[int, subprocess.Popen[bytes]]:
    """Tell the story; return the exit code, and the agent, which still runs."""
    story, port = Story(), ports["port"]
    agent = None
    try:
        with ExitStack() as world_of_services, internet(ports["upstream_port"], *names) as world:
            agent = start_pi()
            the_home_is_up(story, port)
            a_wish(story, port)
            a_bad_day(story, port)
            a_push_to_main(story, port)
            if services:
                world_of_services.enter_context(services.mail_provider())
                all_services(story, services)
                shared_folders(story, services)
                mail_and_a_certificate(story, services)
                world_of_services.close()
            agent = no_internet(story, port, agent, world)
            if services:
                services_offline(story, services)
        (HOME / "unreachable.git").rename(REMOTE)
        if services:
            with internet(ports["upstream_port"], *names), services.mail_provider():
                services_again(story, services)
        who_did_this(story)
        return story.close(), agent
    except BaseException:
        if agent:
            end(agent)
        raise


def play(agent: subprocess.Popen[bytes], upstream_port: int, names: tuple[str, ...]) -> None:
    """Leave the home running until the person has had enough."""
    with internet(upstream_port, *names):
        print(
            f"\nThe home runs on. In another terminal:\n  cd {HOUSEHOLD}\n  export HEARTH_ROOT={PI} PATH={TOP}/.venv/bin:$PATH"
        )
        print("  hearth status\n  hearth change block youtube --for kids --commit --push\nCtrl-C ends it.", flush=True)
        with suppress(KeyboardInterrupt):
            agent.wait()


if __name__ == "__main__":
    sys.exit(main())
