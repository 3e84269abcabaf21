"""The real step-ca as a child process, with an authority that the agent's own code made, and the real certbot as its client."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath

import pytest
from cryptography import x509

from desired_state.model import Household
from reconciler.child_units import ChildUnits
from reconciler.errors import Transient
from reconciler.generation import Generations
from reconciler.probe import ProbeResult, ask
from reconciler.provision import Provisions
from reconciler.provision.x509 import Pair, new_intermediate
from reconciler.run import find_program
from reconciler.secrets import Keyring
from reconciler.settings import Paths
from reconciler.units import Action, UnitStep, steps
from renderers import Artifact, Target
from renderers.artifact import File
from renderers.plan import Plan
from renderers.step_ca import CONF, STEP_CA, UNIT
from tests.conformance import acme_client
from tests.conformance.acme_client import Device, Names
from tests.conformance.running import until
from tests.renderers.homes import alone, holm, household

pytestmark = pytest.mark.conformance

ADDRESS, WORLD, TV = "127.168.10.2", "127.9.9.9", "127.168.10.30"


def free_port(address: str) -> int:
    """Return a port that nobody holds."""
    with socket.socket() as stream:
        stream.bind((address, 0))
        return int(stream.getsockname()[1])


class Authority:
    """A bench that runs step-ca alone, through the agent's own ports."""

    def __init__(self, folder: Path) -> None:
        self.paths = Paths(folder)
        self.paths.prepare()
        state, run = PurePosixPath(self.paths.state), PurePosixPath(self.paths.run)
        ports = {"upstream_port": free_port(WORLD), "authority_port": free_port(ADDRESS)}
        self.target = Target("bench", state, run, **ports)
        self.units = ChildUnits(self.paths.run)
        self.generations = Generations(self.paths.state)
        self.provisions = Provisions(self.paths, Keyring(self.paths.keys, "home"))
        self.plan = Plan()

    @property
    def root(self) -> Path:
        """The root certificate, as anyone may read it."""
        return self.paths.state / "authority/root.crt"

    @property
    def directory(self) -> str:
        """The address that devices are given."""
        return f"https://ca.home.arpa:{self.target.authority_port}/acme/acme/directory"

    def pem_of(self, name: str) -> Path:
        """Return the file in which a certificate lies with its key."""
        return self.paths.keys / "authority/home.arpa" / f"{name}.pem"

    def serve(self, home: Household, spoil: Callable[[dict], None] | None = None) -> None:
        """Put a home in place, its ca.json spoiled if so wished, and start the daemon afresh."""
        made = alone(STEP_CA, home, self.target)
        if spoil:
            content = json.loads(made.files[CONF].content)
            spoil(content)
            made = Artifact({CONF: File(json.dumps(content).encode())}, made.plan, target=made.target)
        generation = self.generations.stage(made)
        self.generations.activate(generation.digest)
        self.provisions.settle(self.provisions.make(generation, "0" * 40, dict))
        self.plan = generation.plan
        self.units.perform(steps(None, self.plan, ()), self.plan)

    def restart(self) -> None:
        """End the daemon and start it again, and wait until it answers."""
        self.units.perform([UnitStep(Action.RESTART, UNIT)], self.plan)
        self.wait()

    def ask(self) -> ProbeResult:
        """Ask as every pass does."""
        return ask(self.plan.probes)[0]

    def wait(self) -> None:
        """Wait until it answers as rendered."""
        until(lambda: self.ask().ok, f"step-ca answers: {self.said()}")

    def said(self) -> str:
        """Return all that the daemon has logged."""
        return "\n".join(line.text for line in tuple(self.units._lines))


@pytest.fixture
def authority(tmp_path: Path) -> Iterator[Authority]:
    """A bench on which nothing runs yet."""
    try:
        find_program("step-ca")
    except Transient:
        pytest.skip("step-ca is missing: script/setup test builds it, or script/build-step-ca .venv/bin/step-ca")
    made = Authority(tmp_path / "pi")
    yield made
    made.units.close()


@pytest.fixture
def running(authority: Authority) -> Authority:
    """The example household's step-ca, up."""
    authority.serve(holm())
    authority.wait()
    return authority


@pytest.fixture
def tv(running: Authority, tmp_path: Path) -> Iterator[Device]:
    """The television, which the authority finds in the bench's DNS."""
    if reason := acme_client.missing():
        pytest.skip(reason)
    device = Device(tmp_path / "tv", "tv.home.arpa", directory=running.directory, authority=ADDRESS, root=running.root)
    with closing(Names(WORLD, running.target.upstream_port, device.texts)) as names:
        names.addresses["tv.home.arpa"] = TV
        yield device


def verified(device: Device, root: Path) -> str:
    """Let OpenSSL judge what a device got, by the exported root; return its complaint, or nothing."""
    argv = ["openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", root, "-untrusted", device.chain()]
    argv += ["-verify_hostname", device.name, device.certificate()]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def got(device: Device) -> x509.Certificate:
    """Return the certificate that a device holds."""
    return x509.load_pem_x509_certificate(device.certificate().read_bytes())


def done(finished: subprocess.CompletedProcess[str]) -> None:
    """Insist that certbot was content."""
    assert finished.returncode == 0, finished.stdout + finished.stderr


def challenge_of(device: Device, kind: str) -> tuple[str, ...]:
    """Return certbot's arguments for one kind of challenge, or skip where this machine does not allow it."""
    if kind == "dns-01":
        return device.by_dns()
    try:
        with socket.socket() as stream:
            stream.bind((TV, 80))
    except OSError as error:
        pytest.skip(f"port 80 cannot be had ({error.strerror}): run as root, or in a container")
    return device.by_http(TV)


@pytest.mark.parametrize("kind", ["http-01", "dns-01"])
def test_a_device_gets_a_certificate_and_renews_it_after_a_restart(running: Authority, tv: Device, kind: str):
    """By ACME, for the default length; the account outlives the daemon, and OpenSSL believes both by the exported root."""
    done(tv.obtain(*challenge_of(tv, kind)))
    first = got(tv)
    assert verified(tv, running.root) == ""
    assert (
        timedelta(hours=24) <= first.not_valid_after_utc - first.not_valid_before_utc <= timedelta(hours=24, minutes=5)
    )
    running.restart()
    done(tv.renew())
    assert got(tv).serial_number != first.serial_number
    assert verified(tv, running.root) == ""


def test_without_its_database_nobody_is_known(running: Authority, tv: Device):
    """The check above can fail: an account is in the database and nowhere else."""
    done(tv.obtain(*tv.by_dns()))
    running.units.perform([UnitStep(Action.STOP, UNIT)], running.plan)
    (running.paths.state / "step-ca/db").unlink()
    running.restart()
    assert tv.renew().returncode != 0


def test_a_name_outside_the_home_is_worth_nothing(running: Authority, tv: Device, tmp_path: Path):
    """Whoever can answer for another name in the home's DNS gets no certificate for it that a device believes."""
    argv = {"directory": running.directory, "authority": ADDRESS, "root": running.root}
    thief = Device(tmp_path / "thief", "bank.example", **argv)
    tv.texts.symlink_to(thief.texts)
    if thief.obtain(*thief.by_dns()).returncode == 0:  # later versions of step-ca refuse by themselves
        assert "permitted subtree violation" in verified(thief, running.root)
    done(tv.obtain(*tv.by_dns()))
    assert verified(tv, running.root) == ""


def test_no_key_leaves_its_folder(running: Authority, tv: Device):
    """Neither the log nor any file outside keys/ holds a line of a private key, after everything was used."""
    done(tv.obtain(*tv.by_dns()))
    keys = [Pair.from_pem(running.pem_of(name).read_bytes()).key_pem() for name in ("root", "intermediate")]
    lines = [line for key in keys for line in key.splitlines() if line and not line.startswith(b"-----")]
    files = [path for path in running.paths.root.rglob("*") if path.is_file()]
    holding = {path for path in files if any(line in path.read_bytes() for line in lines)}
    names = {"root.pem", "intermediate.pem", "intermediate.key"}
    assert {path.name for path in holding} == names
    assert all(running.paths.keys in path.parents and path.stat().st_mode & 0o777 == 0o600 for path in holding)
    assert not [line for line in lines if line.decode() in running.said()]


@pytest.mark.parametrize(
    "certificates",
    [
        {"name": "CA", "names": ["ca.home.arpa"], "acme": "false"},
        {"name": "Ø" * 200, "names": [f"{'a' * 63}.{'b' * 63}.home.arpa", "ca.home.arpa"]},
        {"name": '"; {{ x }} \\u0041 </script>', "names": ["ca.home.arpa"]},
        {"name": "ca.home.arpa", "names": ["ca.home.arpa"], "lifetime": {"default": "5m", "maximum": "5m"}},
        {"name": "CA", "names": ["ca.home.arpa"], "lifetime": {"default": "825d", "maximum": "825d"}},
        {"name": "CA", "names": ["ca.home.arpa"], "lifetime": {"default": "7m", "maximum": "117w"}},
    ],
)
def test_whatever_a_home_may_say_step_ca_takes(authority: Authority, certificates: dict):
    """The shortest, the longest and the strangest: it starts, and answers as rendered."""
    authority.serve(household(certificates=certificates, dns={"upstreams": ["9.9.9.9"]}))
    authority.wait()
    assert ("ACME" in authority.ask().message) == (certificates.get("acme") != "false")


def unknown_type(content: dict) -> None:
    """Name a kind of provisioner that there is not."""
    content["authority"]["provisioners"] = [{"name": "acme", "type": "ACMEv9"}]


def second_provisioner(content: dict) -> None:
    """Slip in a further way to get certificates."""
    content["authority"]["provisioners"].append({"name": "other", "type": "ACME"})


def no_authority(content: dict) -> None:
    """Leave the provisioners out."""
    del content["authority"]


@pytest.mark.parametrize("spoil", [unknown_type, second_provisioner, no_authority])
def test_the_probe_notices_what_step_ca_passes_over_in_silence(authority: Authority, spoil):
    """Each of these starts and calls itself healthy; only its provisioners tell."""
    authority.serve(holm(), spoil)
    until(lambda: "provisioner" in authority.ask().message or "instead of" in authority.ask().message, authority.said())
    result = authority.ask()
    assert not result.ok
    assert result.message.endswith("instead of ACME acme")


def bad_duration(content: dict) -> None:
    """Write a length that is none."""
    content["authority"]["claims"]["defaultTLSCertDuration"] = "soon"


def bad_address(content: dict) -> None:
    """Leave the port out."""
    content["address"] = "127.168.10.2"


def other_key(content: dict) -> None:
    """Name a certificate to which the key does not belong."""
    content["crt"] = content["root"]


@pytest.mark.parametrize("spoil", [bad_duration, bad_address, other_key])
def test_what_step_ca_refuses_shows_as_the_units_fault(authority: Authority, spoil):
    """It ends with a word about it, which the trial's judge gets to see."""
    before = authority.units.cursor()
    authority.serve(holm(), spoil)
    until(lambda: authority.units.faults(authority.plan, before), "step-ca gives up")
    assert not authority.ask().ok
    assert "ended by itself" in authority.units.faults(authority.plan, before)[0].line


def test_an_impostor_at_the_same_place_is_not_taken_for_the_authority(running: Authority, tmp_path: Path):
    """The probe knows the daemon by the home's own root, which this device alone can sign by."""
    other = Authority(tmp_path / "other")
    try:
        other.serve(holm())
        other.wait()
        (probe,) = running.plan.probes
        (result,) = ask([replace(probe, port=other.target.authority_port)])
        assert not result.ok
        assert "certificate is not right" in result.message
    finally:
        other.units.close()


def test_silence_and_nonsense_end_the_probe_in_time(running: Authority):
    """Neither a port that accepts and is silent nor one where nobody listens holds up a pass."""
    (probe,) = running.plan.probes
    with socket.create_server((ADDRESS, 0)) as silent:
        (result,) = ask([replace(probe, port=silent.getsockname()[1])], seconds=0.3)
    assert (result.ok, "no answer within" in result.message) == (False, True)
    (result,) = ask([replace(probe, port=free_port(ADDRESS))])
    assert not result.ok
    assert "refused" in result.message


def test_a_renewed_intermediate_leaves_what_was_issued_good(running: Authority, tv: Device):
    """Another key, the same root; what a device got before verifies until it ends, and it renews by the new one."""
    done(tv.obtain(*tv.by_dns()))
    first, chain = got(tv), tv.chain().read_bytes()
    root = Pair.from_pem(running.pem_of("root").read_bytes())
    long_ago = datetime.now(UTC) - timedelta(days=4 * 365)
    old = new_intermediate(root, "Holm Home CA", "home.arpa", ["192.168.10.0/24"], long_ago)
    running.pem_of("intermediate").write_bytes(old.as_pem())
    running.serve(holm())
    running.wait()
    now = Pair.from_pem(running.pem_of("intermediate").read_bytes())
    assert now.certificate.not_valid_after_utc > old.certificate.not_valid_after_utc
    assert root.issued(now.certificate)
    assert verified(tv, running.root) == ""
    done(tv.renew())
    assert tv.chain().read_bytes() != chain
    assert now.issued(got(tv))
    assert not now.issued(first)
    assert verified(tv, running.root) == ""


def test_it_runs_as_a_user_whom_the_machine_does_not_know(running: Authority):
    """step-ca looks for a home folder and ends without one; it is given its own, and leaves nothing in anybody else's."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user: run as root")
    folder = running.paths.state / "step-ca"
    assert (folder / "db").exists()
    shutil.rmtree(folder / "elsewhere", ignore_errors=True)
    environment = dict(running.plan.units[0].environment) | {"PATH": "/usr/bin"}
    argv = ["setpriv", "--reuid=12345", "--regid=12345", "--clear-groups", find_program("step-ca"), "--version"]
    with_home = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
    without = subprocess.run(argv, env={"PATH": "/usr/bin"}, capture_output=True, text=True, check=False)
    assert (with_home.returncode, without.returncode != 0) == (0, True), with_home.stderr
