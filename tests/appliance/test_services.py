"""All four services on a booted appliance: a family saves files, sends mail and gets certificates, with the internet and without.

Nothing is simulated but the internet and its mail provider. The tests are one story, in its order.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conformance import acme_client
from tests.conformance.smart_host import LOGIN, Provider

from . import services
from .family import DNS, MAIN, Device, Family
from .harness import WEB, Appliance, Home, until
from .looking import MAIN_UNIT, arrive, condition, disturbances, in_effect, journal
from .services import (
    CERTIFICATES,
    FILES,
    MAIL,
    TV,
    UNITS,
    announced,
    introduced,
    send,
    set_secret,
    smb,
    television,
    within,
)

pytestmark = pytest.mark.appliance

_ALL_UNITS = (MAIN_UNIT, *UNITS)
_FILLED = ("hearth-secrets.service", "smbd.service", "postfix.service", "hearth-ca.service")
_JENS = (("people.yaml", r"  jens: .*\n"), (FILES, r",? ?jens: write"), (MAIL, r", jens"))


@pytest.fixture(scope="module")
def tv(home: Home) -> Iterator[Device]:
    """The television: whatever a device of the home does is done here."""
    with television(home) as device:
        yield device


@pytest.fixture(scope="module")
def provider(home: Home, joined: Appliance, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    """The family's mail provider."""
    with services.mail_provider(home, joined, tmp_path_factory.mktemp("provider")) as host:
        yield host


@pytest.fixture(scope="module")
def root(home_up: Appliance, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home's root certificate, as the family's devices get it."""
    home_up.run(["hearth", "ca", "export", "--pem", "--output", "/srv/root.pem"])
    file = tmp_path_factory.mktemp("root") / "root.pem"
    file.write_bytes((home_up.root / "srv/root.pem").read_bytes())
    return file


@pytest.fixture(scope="module")
def acme(root: Path, tmp_path_factory: pytest.TempPathFactory) -> acme_client.Device:
    """The television's certbot."""
    if reason := acme_client.missing():
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("acme") / "tv"
    return acme_client.Device(folder, "tv.home.arpa", directory=services.DIRECTORY, authority=MAIN, root=root)


@pytest.fixture(scope="module")
def home_up(joined: Appliance, family: Family, provider: Provider) -> Appliance:
    """The appliance with all four services in effect; everybody but Mia has a password."""
    services.take_up_all(joined, family)
    return joined


def reconcile(appliance: Appliance) -> float:
    """Run one pass to its end, as a person does; return how long it took, in seconds."""
    began = time.monotonic()
    appliance.run(["hearth", "reconcile", "--wait"], check=False, seconds=120)
    return time.monotonic() - began


def processes(appliance: Appliance) -> Mapping[str, str]:
    """Return, for each daemon, what systemd calls this run of it."""
    said = appliance.run(["systemctl", "show", "--property=Id,InvocationID,ActiveState", *_ALL_UNITS])
    blocks = [dict(line.split("=", 1) for line in block.splitlines()) for block in said.strip().split("\n\n")]
    return {each["Id"]: f"{each['ActiveState']} {each['InvocationID']}" for each in blocks}


# --- from one commit to all four ------------------------------------------------------------------------------------------


def test_one_commit_brings_all_four(home_up: Appliance) -> None:
    """Verified, checked, provided, started and asked; nothing failed, nothing left to say but Mia's password."""
    assert home_up.run(["systemctl", "--failed", "--quiet"]) == ""
    assert all(state.startswith("active ") for state in processes(home_up).values()), processes(home_up)
    assert condition(home_up, "Ready") == "True UpToDate"
    print(home_up.run(["ps", "-eo", "rss,args", "--sort=-rss"]))


# --- what the family does -------------------------------------------------------------------------------------------------


def test_who_may_write_writes_and_nobody_else(home_up: Appliance, tv: Device) -> None:
    """Anna saves a file and Jens reads it; where he only reads, or nobody let him in, he is refused; so is a stranger."""
    assert "NT_STATUS" not in smb(tv.network, "family", "anna", "put /etc/hostname letter; ls")
    assert "letter" in smb(tv.network, "family", "jens", "ls")
    assert "NT_STATUS_ACCESS_DENIED" in smb(tv.network, "media", "anna", "put /etc/hostname film")
    assert "NT_STATUS_ACCESS_DENIED" in smb(tv.network, "backups", "jens", "ls")
    assert "NT_STATUS_LOGON_FAILURE" in smb(tv.network, "family", "anna", "ls", password="guessed-it")
    assert "NT_STATUS_LOGON_FAILURE" in smb(tv.network, "family", "mallory", "ls", password="")
    assert (home_up.root / "srv/hearth/family/letter").is_file()


def test_macs_and_windows_find_it_by_themselves(home_up: Appliance, tv: Device) -> None:
    """Time Machine's share is announced by multicast DNS, and Windows' question who is there is answered."""
    assert "hearth" in announced(tv.network, "_smb").lower()
    assert "adVN=backups" in announced(tv.network, "_adisk")
    assert "ProbeMatches" in introduced(tv.network)


def test_mail_leaves_through_the_provider(home_up: Appliance, tv: Device, provider: Provider) -> None:
    """From a scanner, and from the appliance's own root, as cron(8) sends it: encrypted, logged in, from the one sender."""
    send(tv.network, "A scan", "someone@example.net")
    home_up.run(["sh", "-c", "printf 'Subject: From cron\n\nIt ran.\n' | sendmail root"])
    until(lambda: len(provider.arrived) == 2, seconds=20, what="both messages")
    scan, cron = sorted(provider.arrived, key=lambda each: each.header("Subject"))
    for message in scan, cron:
        assert (message.encrypted, message.login, message.sender) == (True, LOGIN[0], "anna@holm.example")
    assert (scan.recipients, scan.header("From")) == (("someone@example.net",), ["Scanner <anna@holm.example>"])
    assert cron.recipients == ("anna@holm.example",)


def test_a_device_gets_a_certificate_for_its_name(
    home_up: Appliance, tv: Device, root: Path, acme: acme_client.Device
) -> None:
    """By ACME, at its own port 80; whoever trusts the home's root alone believes it."""
    done = within(tv.network, lambda: acme.obtain(*acme.by_http(TV)))
    assert done.returncode == 0, done.stdout + done.stderr
    assert services.verifies(acme.certificate(), acme.chain(), root, acme.name)


def test_a_pass_with_nothing_to_do_starts_and_writes_nothing(home_up: Appliance, tmp_path: Path) -> None:
    """With all four services as with one: no process, nothing written or forced to the disk."""
    assert disturbances(home_up, tmp_path) == []


# --- people and their passwords -------------------------------------------------------------------------------------------


def test_a_password_alone_opens_the_shares_and_restarts_nothing(home_up: Appliance, tv: Device, family: Family) -> None:
    """Mia had none, which was said, and kept nobody else out; a commit with her secret and nothing else lets her in."""
    assert condition(home_up, "SecretsReady") == "False PasswordMissing"
    assert "NT_STATUS_LOGON_FAILURE" in smb(tv.network, "family", "mia", "ls")
    before = processes(home_up)
    arrive(home_up, set_secret(family, "person-mia", services.PASSWORDS["mia"], "--commit", "--push"))
    until(lambda: "letter" in smb(tv.network, "family", "mia", "ls"), seconds=10, what="Mia sees the letter")
    assert "NT_STATUS_ACCESS_DENIED" in smb(tv.network, "family", "mia", "put /etc/hostname hers")
    assert processes(home_up) == before
    assert condition(home_up, "SecretsReady").startswith("True ")


def test_who_leaves_is_locked_out_and_nothing_is_deleted(home_up: Appliance, tv: Device, family: Family) -> None:
    """Jens saved something; without him in the household his password opens nothing, and his user and his file stay."""
    smb(tv.network, "media", "jens", "put /etc/hostname film")
    number = home_up.run(["id", "-u", "jens"])
    for path, pattern in _JENS:
        file = family.clone / path
        file.write_text(re.sub(pattern, "", file.read_text()))
    family.git("rm", "--quiet", "secrets/person-jens.age")
    arrive(home_up, family.push())
    assert "NT_STATUS_LOGON_FAILURE" in smb(tv.network, "media", "jens", "ls")
    assert home_up.run(["id", "-u", "jens"]) == number
    assert "film" in smb(tv.network, "media", "anna", "ls")
    arrive(home_up, family.undo())
    until(lambda: "film" in smb(tv.network, "media", "jens", "ls"), seconds=10, what="Jens is back")


def test_no_password_reaches_the_disk_or_the_log(home_up: Appliance) -> None:
    """They stand in memory, where the daemons read them, and nowhere else: no file of the appliance's, no line of its journal."""
    for word in (*services.PASSWORDS.values(), LOGIN[1]):
        look = ["grep", "--recursive", "--fixed-strings", "--files-with-matches", "--binary-files=text", word]
        assert home_up.run([*look, "/etc", "/var", "/srv", "/root", "/tmp"], check=False) == ""
        assert word not in home_up.run(["journalctl", "--boot", "--no-pager", "--output=cat"])
    assert home_up.run([*look, "/run/hearth"]).split() == ["/run/hearth/secrets/postfix/relay"]


# --- changes that cannot be -----------------------------------------------------------------------------------------------


def test_a_missing_relay_password_applies_nothing(home_up: Appliance, family: Family) -> None:
    """Found before anything is touched: the other change in the same commit waits with it."""
    good, before = family.tip, processes(home_up)
    family.edit(DNS, "wiki: appliance", "wiki: tv")
    family.edit(MAIL, "secret:relay-password", "secret:another-password")
    reconcile(home_up)
    assert condition(home_up, "Stalled") == "True SecretsMissing"
    assert in_effect(home_up, good)
    assert processes(home_up) == before
    family.git("revert", "--no-edit", "HEAD", "HEAD~1")
    family.publish("HEAD")
    arrive(home_up, family.tip)


_REFUSALS = {
    "smbd.service": ("ExecReload", "499G", "/etc/samba/smb.conf"),
    "postfix.service": ("ExecReload", "smtp2.mail.example", "/etc/postfix/main.cf"),
    "hearth-ca.service": ("ExecStartPre", "719h", "/var/lib/hearth/current/step-ca/ca.json"),
}


@contextmanager
def refusing(appliance: Appliance, unit: str) -> Iterator[None]:
    """Let the daemon be one that does not take a certain word in its file, though its checker does."""
    step, word, file = _REFUSALS[unit]
    folder = f"/run/systemd/system/{unit}.d"
    drop_in = f"[Service]\n{step}=+/bin/sh -c '! grep -q {word} {file}'\n"
    appliance.run(["sh", "-euc", f"mkdir -p {folder}; cat >{folder}/test.conf; systemctl daemon-reload"], text=drop_in)
    try:
        yield
    finally:
        appliance.run(["sh", "-euc", f"rm -r {folder}; systemctl daemon-reload"])


@pytest.mark.parametrize(
    ("unit", "path", "old", "new"),
    [
        ("smbd.service", FILES, "limit: 500G", "limit: 499G"),
        ("postfix.service", MAIL, "host: smtp.", "host: smtp2."),
        ("hearth-ca.service", CERTIFICATES, "maximum: 720h", "maximum: 719h"),
    ],
    ids=["files", "mail", "certificates"],
)
def test_a_change_that_breaks_one_service_goes_back_and_disturbs_no_other(
    home_up: Appliance, family: Family, unit: str, path: str, old: str, new: str
) -> None:
    """Good for every checker, and wrong on this machine: taken back within the deadline."""
    good, before = family.tip, processes(home_up)
    with refusing(home_up, unit):
        bad = family.edit(path, old, new)
        took = reconcile(home_up)
        failure = journal(home_up).failure
        assert failure is not None
        assert failure.revision == bad
        assert in_effect(home_up, good)
        assert took < 90
        print(f"{unit} went back after {took:.1f} s: {failure.message}")
        mended = family.undo()
    reconcile(home_up)
    assert in_effect(home_up, mended)
    after = processes(home_up)
    restarted = {name for name in after if after[name] != before[name]}
    assert restarted <= {"hearth-ca.service"} & {unit}
    assert all(state.startswith("active ") for state in after.values())


# --- no internet, no network, no power ------------------------------------------------------------------------------------


def test_all_of_it_serves_from_boot_without_a_network_and_without_the_agents_help(home_up: Appliance) -> None:
    """The boot unit fills what they read before they start; the first pass finds nothing to do."""
    before = journal(home_up)
    home_up.cut_cable()
    try:
        home_up.reboot()
        first = processes(home_up)
        assert all(state.startswith("active ") for state in first.values()), first
        order = home_up.run(["systemctl", "show", "--property=Id,ActiveEnterTimestampMonotonic", *_FILLED])
        entered = [int(line.split("=")[1]) for line in order.splitlines() if line.startswith("ActiveEnter")]
        assert entered[0] == min(entered)
        until(lambda: condition(home_up, "Ready") == "True Offline", seconds=60, what="offline, and well")
        assert processes(home_up) == first
        assert journal(home_up) == before
        assert home_up.run(["systemctl", "is-system-running"]) == "running\n"
    finally:
        home_up.plug_cable()


def test_the_family_goes_on_without_the_internet(
    home_up: Appliance, home: Home, tv: Device, provider: Provider, root: Path, acme: acme_client.Device
) -> None:
    """Files and certificates as ever; mail is taken, and leaves when the internet is back."""
    came = len(provider.arrived)
    home.internet_down()
    home.router.run(["ip", "address", "del", f"{WEB}/32", "dev", "lo"])
    try:
        assert "NT_STATUS" not in smb(tv.network, "family", "anna", "put /etc/hostname offline; ls")
        send(tv.network, "Written offline", "someone@example.net")
        old = acme.certificate().read_bytes()
        done = within(tv.network, acme.renew)
        assert done.returncode == 0, done.stdout + done.stderr
        assert acme.certificate().read_bytes() != old
        assert services.verifies(acme.certificate(), acme.chain(), root, acme.name)
        assert len(provider.arrived) == came
    finally:
        home.router.run(["ip", "address", "replace", f"{WEB}/32", "dev", "lo"])
        home.internet_up()
    home_up.run(["postqueue", "-f"])
    until(lambda: len(provider.arrived) == came + 1, seconds=60, what="the message")
    assert provider.arrived[-1].header("Subject") == ["Written offline"]
