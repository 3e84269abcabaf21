"""`hearth ca export`: the root in the form that each kind of device takes, with a fingerprint to compare, and no key."""

from __future__ import annotations

import json
import plistlib
import stat
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from reconciler.generation import Generations
from reconciler.provision import authority
from reconciler.settings import Paths
from renderers import Target
from renderers.step_ca import STEP_CA
from tests.renderers.homes import alone, holm

HEARTH = Path(sys.executable).with_name("hearth")


@pytest.fixture
def device(tmp_path: Path) -> Paths:
    """A device that has made its authority and runs the example household."""
    paths = Paths(tmp_path / "pi")
    paths.prepare()
    target = Target("bench", PurePosixPath(paths.state), PurePosixPath(paths.run), authority_port=9000)
    made = alone(STEP_CA, holm(), target)
    generations = Generations(paths.state)
    generations.activate(generations.stage(made).digest)
    provision = replace(made.plan.provisions[0], name="Anna & Jens <CA>")
    authority.make(provision, paths.keys, time.time())
    return paths


def export(paths: Paths, *words: str, cwd: Path, code: int = 0) -> str:
    """Run the command as a person would, and return what it said."""
    argv = [HEARTH, "--root", paths.root, "ca", "export", *words]
    done = subprocess.run(argv, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def root_of(paths: Paths) -> x509.Certificate:
    """Return the device's root."""
    return x509.load_pem_x509_certificate((paths.state / "authority/root.crt").read_bytes())


@pytest.mark.parametrize(
    ("form", "name"), [("--pem", "home-ca.pem"), ("--der", "home-ca.der"), ("--apple", "home-ca.mobileconfig")]
)
def test_each_form_holds_the_root_and_the_command_says_its_fingerprint(device: Paths, tmp_path: Path, form, name):
    """What a device is given is the root itself, and what a person compares is what the device will show."""
    said = export(device, form, cwd=tmp_path)
    content = (tmp_path / name).read_bytes()
    if form == "--apple":
        (payload,) = plistlib.loads(content)["PayloadContent"]
        assert payload["PayloadType"] == "com.apple.security.root"
        found = x509.load_der_x509_certificate(payload["PayloadContent"])
        assert "not signed" in said
    else:
        found = (x509.load_pem_x509_certificate if form == "--pem" else x509.load_der_x509_certificate)(content)
    assert found == root_of(device)
    assert found.fingerprint(SHA256()).hex(" ").upper() in said
    assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o644


def test_without_a_form_it_is_pem(device: Paths, tmp_path: Path):
    """The form that most programs read."""
    export(device, cwd=tmp_path)
    assert x509.load_pem_x509_certificate((tmp_path / "home-ca.pem").read_bytes()) == root_of(device)


def test_openssl_reads_the_same_fingerprint(device: Paths, tmp_path: Path):
    """Whoever does not believe us asks another."""
    export(device, "--output", "x.pem", cwd=tmp_path)
    argv = ["openssl", "x509", "-in", "x.pem", "-noout", "-fingerprint", "-sha256"]
    other = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert other.strip().partition("=")[2].replace(":", " ") in export(device, "--output", "y.pem", cwd=tmp_path)


def test_the_same_root_gives_the_same_profile(device: Paths, tmp_path: Path):
    """Installed twice it replaces itself, rather than standing there twice."""
    for name in ("a", "b"):
        export(device, "--apple", "--output", name, cwd=tmp_path)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_the_page_says_what_each_device_then_trusts(device: Paths, tmp_path: Path):
    """Honestly, also where it is little; and a name with markup in it stays a name."""
    export(device, "--page", cwd=tmp_path)
    page = (tmp_path / "home-ca.html").read_text("utf-8")
    assert "Anna &amp; Jens &lt;CA&gt;" in page
    assert "<CA>" not in page
    for word in ("Certificate Trust Settings", "Apps do not trust it", "store of its own", "Trusted Root", "home.arpa"):
        assert word in page
    assert "https://ca.home.arpa:9000/acme/acme/directory" in page
    assert root_of(device).fingerprint(SHA256()).hex(" ").upper() in page


def test_it_needs_no_key_and_gives_none(device: Paths, tmp_path: Path):
    """Whoever can read nothing below keys/ can hand out the root; no form holds a private key."""
    device.keys.rename(device.keys.with_name("hidden"))
    for form in ("--pem", "--der", "--apple", "--page"):
        export(device, form, cwd=tmp_path)
    written = [path.read_bytes() for path in tmp_path.glob("home-ca.*")]
    assert len(written) == 4
    assert not [content for content in written if b"PRIVATE" in content]


def test_an_ordinary_user_may_ask(device: Paths):
    """A parent on the Pi needs no sudo: file and folder are open for reading."""
    published = device.state / "authority/root.crt"
    assert stat.S_IMODE(published.stat().st_mode) == 0o644
    assert stat.S_IMODE(published.parent.stat().st_mode) == 0o755


def test_scripts_get_json(device: Paths, tmp_path: Path):
    """With the fingerprint as one word."""
    said = json.loads(export(device, "--der", "--json", cwd=tmp_path))
    assert said["file"] == "home-ca.der"
    assert said["sha256"] == root_of(device).fingerprint(SHA256()).hex()


def test_a_pipe_gets_the_bytes_alone(device: Paths, tmp_path: Path):
    """`--output -` mixes no words in."""
    argv = [HEARTH, "--root", device.root, "ca", "export", "--der", "--output", "-"]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, check=True)
    assert x509.load_der_x509_certificate(done.stdout) == root_of(device)
    assert done.stderr == b""


def test_a_home_without_an_authority_is_told_how_to_get_one(tmp_path: Path):
    """One sentence and what to do, and nothing is written."""
    said = export(Paths(tmp_path / "none"), cwd=tmp_path, code=2)
    assert "no certificate authority" in said
    assert "hearth change add-certificates" in said
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_root_is_not_handed_on(device: Paths, tmp_path: Path):
    """Nothing that is no certificate goes to the family's phones."""
    (device.state / "authority/root.crt").write_bytes(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    assert "is no certificate" in export(device, cwd=tmp_path, code=2)
    assert not (tmp_path / "home-ca.pem").exists()
