"""The rendered file server of a bench, run as the agent runs it, and people who use it with smbclient(1)."""

from __future__ import annotations

import os
import re
import select
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from desired_state.model import Household
from reconciler.child_units import ChildUnits
from reconciler.durable import make_folder
from reconciler.probe import ProbeResult, ask
from reconciler.provision.fill import fill
from reconciler.secrets import Opened
from reconciler.units import Action, UnitStep, steps
from renderers import Target
from renderers.artifact import Artifact
from renderers.plan import Fill, Folder, Part, Plan, Unit
from renderers.samba import SAMBA
from renderers.samba_plan import CONF
from tests.conformance.running import until

NOBODY = 65534
PASSWORDS = {"anna": "Anna's pässword, 20%!", "jens": "jens-has-one", "mia": "mia-has-one"}


def missing() -> str | None:
    """Return why the file server cannot run here, or None."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin"
    for program, package in (("smbd", "samba"), ("smbclient", "smbclient")):
        if not shutil.which(program, path=path):
            return f"{program} is missing: apt install {package}"
    if not list(Path("/usr/lib").glob("*/libnss_wrapper.so")):
        return "nss_wrapper is missing: apt install libnss-wrapper"
    if not list(Path("/usr/lib").glob("*/samba/vfs/fruit.so")):
        return "Samba's modules are missing: apt install samba-vfs-modules"
    return None


@dataclass(frozen=True)
class Said:
    """What a smbclient came to: its exit code and its words."""

    code: int
    words: str

    @property
    def status(self) -> str:
        """The first NT status that it names, or nothing."""
        return next((word.strip(".,:)") for word in self.words.split() if word.startswith("NT_STATUS_")), "")


class FileServer:
    """The file server of `household` below `folder`; as an ordinary user without an entry in passwd(5) where `user` says so."""

    def __init__(self, folder: Path, household: Household, *, user: int | None = None) -> None:
        self.folder = folder
        self._user = user
        self.passwords: dict[str, str | None] = dict(PASSWORDS)
        with socket.socket() as free:
            free.bind(("127.168.10.2", 0))
            port = int(free.getsockname()[1])
        roots = {name: PurePosixPath(folder, name) for name in ("state", "run", "shares")}
        self.target = Target("bench", **roots, files_port=port)  # type: ignore[arg-type]
        self.units = ChildUnits(folder / "children")
        self.artifact = Artifact({}, Plan(), target="bench")
        self.become(household)

    @property
    def shares(self) -> Path:
        """The folder of the family's files."""
        return Path(str(self.target.shares))

    def become(self, household: Household) -> list[str]:
        """Put another rendering in place and tell the daemon what its plan says; return what it was told."""
        before = self.artifact
        files = SAMBA.render(household, self.target)
        plan = Plan(
            provisions=SAMBA.provisions(household, self.target),
            units=tuple(self._unit(unit) for unit in SAMBA.units(household, self.target)),
            checkers=SAMBA.checkers(household),
            probes=SAMBA.probes(household, self.target),
        )
        self.artifact = Artifact(files, plan, target="bench")
        self._put()
        self.provide()
        changed = {path for path in {*before.files, *files} if before.files.get(path) != files.get(path)}
        todo = steps(before.plan, plan, changed)
        self.units.perform(todo, plan)
        self._born = time.monotonic()
        until(lambda: all(result.ok for result in self.ask()), f"it answers: {self.ask()}")
        return [step.action.value for step in todo]

    def _unit(self, unit: Unit) -> Unit:
        if self._user is None:
            return unit
        rights = ("setpriv", f"--reuid={self._user}", f"--regid={self._user}", "--clear-groups", "--bounding-set=-all")
        return replace(unit, command=(*rights, *unit.command))

    def _put(self) -> None:
        generation = Path(str(self.target.state)) / "generations" / self.artifact.digest
        for path, file in self.artifact.files.items():
            make_folder((generation / path).parent)
            (generation / path).write_bytes(file.content)
        link = Path(str(self.target.state)) / "next"
        link.symlink_to(generation)
        link.rename(str(self.target.current))

    def provide(self) -> None:
        """Make the folders and fill the files, by the agent's own hands."""
        opened = {
            f"person-{person}": Opened(f"person-{person}", 1, word.encode() if word is not None else None)
            for person, word in self.passwords.items()
        }
        for provision in self.artifact.plan.provisions:
            match provision:
                case Folder(path, mode):
                    make_folder(Path(path), mode)
                    self._give(Path(path))
                case Fill(path):
                    fill(replace(provision, parts=tuple(self._own(part) for part in provision.parts)), opened)
                    self._give(Path(path))

    def _own(self, part: Part) -> Part:
        return Part("text", str(self._user)) if self._user is not None and part.kind in {"uid", "gid"} else part

    def _give(self, path: Path) -> None:
        if self._user is not None:
            os.chown(path, self._user, self._user)

    def grow_up(self) -> None:
        """Wait until the daemon may be told to read again: a younger one is restarted instead (`child_units`)."""
        until(lambda: time.monotonic() - self._born > 1.1, "the daemon is a second old")

    def spoil(self, line: str, other: str) -> None:
        """Put something else into the file that is served, and start it with that."""
        live = Path(str(self.target.current)) / CONF
        before = live.read_text()
        assert line in before
        live.write_text(before.replace(line, other))
        self.units.perform((UnitStep(Action.RESTART, "smbd.service"),), self.artifact.plan)

    def ask(self) -> tuple[ProbeResult, ...]:
        """Ask what the plan asks."""
        return ask(self.artifact.plan.probes)

    def use(
        self, share: str, person: str, *commands: str, password: str | None = None, options: tuple[str, ...] = ()
    ) -> Said:
        """Be a person with smbclient(1): connect to a share and do something there."""
        word = password if password is not None else self.passwords.get(person) or ""
        argv = self._client(share, f"{person}%{word}", options)
        done = subprocess.run(
            [*argv, "-c", "; ".join(commands)], capture_output=True, text=True, check=False, timeout=60
        )
        return Said(done.returncode, done.stdout + done.stderr)

    def stay(self, share: str, person: str) -> Open:
        """Be a person who connects and stays."""
        return Open(self._client(share, f"{person}%{self.passwords[person]}", ()))

    def _client(self, share: str, log_in: str, options: tuple[str, ...]) -> list[str]:
        where = f"//127.168.10.2/{share}"
        own = ["--option=client min protocol=NT1", "--option=gensec:gse_krb5=no", f"--configfile={os.devnull}"]
        return ["smbclient", where, "-p", str(self.target.files_port), "-U", log_in, *own, *options]

    def faults(self) -> list[str]:
        """Return the lines that its plan takes for complaints."""
        return [fault.line for fault in self.units.faults(self.artifact.plan, "0")]

    def close(self) -> None:
        """End it."""
        self.units.close()


class Open:
    """A smbclient that stays connected. At a terminal, because it reads ahead from a pipe."""

    def __init__(self, argv: list[str]) -> None:
        self._terminal, inside = os.openpty()
        self._process = subprocess.Popen(
            argv, stdin=inside, stdout=inside, stderr=inside, env={**os.environ, "TERM": "dumb"}
        )
        os.close(inside)
        self._until_asked()

    def do(self, command: str) -> str:
        """Do something, and return what was said about it."""
        os.write(self._terminal, command.encode() + b"\n")
        return self._until_asked()

    def _until_asked(self, seconds: float = 20.0) -> str:
        """Return what it says until it asks for the next command, or ends."""
        said, deadline = "", time.monotonic() + seconds
        while not re.search(r"smb: \\.*> $", said):
            assert select.select([self._terminal], [], [], max(0.0, deadline - time.monotonic()))[0], said
            try:
                said += os.read(self._terminal, 4096).decode()
            except OSError:  # EIO: it has ended
                break
        return said

    def __enter__(self) -> Open:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait(10)
        os.close(self._terminal)
