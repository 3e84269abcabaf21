"""The installer on a booted Debian that has done something else before: it upgrades, it goes, and it leaves what it found."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .harness import PYTHON_OF, WEB, Appliance, Failed, Home, carry_in, debian_layers, until

pytestmark = pytest.mark.appliance

OWN_CONFIGURATION = f"no-resolv\nserver=9.9.9.9\naddress=/own.example/{WEB}\n"
INSTALLED_COPY = "/opt/hearth/current/share/installer/script/install"


@pytest.fixture(scope="module", params=PYTHON_OF)
def machine(request: pytest.FixtureRequest, home: Home) -> Iterator[Appliance]:
    """A Debian, booted, whose owner runs dnsmasq for something; a checkout's installer and wheels lie in /srv/hearth."""
    with Appliance(home, debian_layers(request.param)) as debian:
        carry_in(debian.root / "srv/hearth", request.param)
        (debian.root / "etc/dnsmasq.conf").write_text(OWN_CONFIGURATION)
        debian.boot()
        until(lambda: _answers_as_before(debian), seconds=10, what="the owner's own dnsmasq")
        yield debian


def _answers_as_before(machine: Appliance) -> bool:
    return machine.dig("own.example") == [WEB]


def _install(machine: Appliance, *arguments: str, check: bool = True) -> str:
    return machine.run(["/srv/hearth/script/install", *arguments], check=check, seconds=240)


def _environment(machine: Appliance) -> str:
    return machine.run(["readlink", "/opt/hearth/current"])


# The tests below are one story, in its order: each goes on where the one before left off.


def test_installing_leaves_a_running_dns_server_alone(machine: Appliance) -> None:
    """Before it has joined a home the machine answers as its owner set it up, also after a reboot."""
    said = _install(machine, "--wheels", "/srv/hearth/wheels")
    assert "it keeps them until this machine joins a home" in said
    assert "sudo hearth join GIT-URL" in said
    assert machine.run(["hearth", "--version"]).startswith("hearth ")
    assert (machine.root / "etc/dnsmasq.conf").read_text() == OWN_CONFIGURATION
    assert _answers_as_before(machine)
    machine.reboot()
    until(lambda: _answers_as_before(machine), seconds=10, what="the owner's own dnsmasq, after a reboot")
    assert machine.run(["systemctl", "is-system-running"]) == "running\n"


def test_installing_again_changes_nothing(machine: Appliance) -> None:
    """The same wheels are the same environment, and the owner's settings are marked once."""
    before = _environment(machine), machine.run(["ls", "/opt/hearth"]), machine.run(["cat", "/etc/default/dnsmasq"])
    _install(machine, "--wheels", "/srv/hearth/wheels")
    assert (
        _environment(machine),
        machine.run(["ls", "/opt/hearth"]),
        machine.run(["cat", "/etc/default/dnsmasq"]),
    ) == before


def test_other_wheels_are_an_upgrade_with_a_way_back(machine: Appliance) -> None:
    """A new environment beside the old one; the link moves once the new one is known to work."""
    old = _environment(machine)
    with (machine.root / "srv/hearth/wheels/requirements.txt").open("a") as file:
        file.write("# another build\n")
    _install(machine, "--wheels", "/srv/hearth/wheels")
    assert _environment(machine) != old
    assert machine.run(["readlink", "/opt/hearth/previous"]) == old
    assert machine.run(["hearth", "--version"]).startswith("hearth ")


def test_a_tampered_wheel_is_refused_and_nothing_moves(machine: Appliance) -> None:
    """A wheel that is not what the list names stops the upgrade; the version that runs stays."""
    before = _environment(machine)
    folder = machine.root / "srv/hearth/wheels"
    with (folder / "requirements.txt").open("a") as file:
        file.write("# a third build\n")
    wheel = next(folder.glob("hearth_renderers-*.whl"))
    good = wheel.read_bytes()
    wheel.write_bytes(good + b"\0")
    with pytest.raises(Failed, match="DO NOT MATCH THE HASHES"):
        _install(machine, "--wheels", "/srv/hearth/wheels")
    wheel.write_bytes(good)
    assert _environment(machine) == before
    assert machine.run(["hearth", "--version"]).startswith("hearth ")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--wheels", "/srv/nothing"], "/srv/nothing holds no requirements.txt"),
        (["--wheels"], "--wheels needs a folder"),
        (["--purge"], "--purge goes with --uninstall"),
        (["--frobnicate"], "unknown option --frobnicate"),
    ],
)
def test_a_wrong_call_is_one_sentence(machine: Appliance, arguments: list[str], sentence: str) -> None:
    """Nothing is begun that cannot be finished."""
    before = _environment(machine)
    assert sentence in _install(machine, *arguments, check=False).splitlines()[-1]
    assert _environment(machine) == before


def test_uninstalling_puts_back_what_stood_in_etc(machine: Appliance) -> None:
    """After a home was served, its owner's own configuration is back byte for byte, and answers."""
    link = ["ln", "-sfT", "/var/lib/hearth/current/dnsmasq/dnsmasq.conf", "/etc/dnsmasq.conf"]
    machine.run(link)  # as the first apply does
    (machine.root / "var/lib/hearth/keys/deploy").write_text("the home's own")
    machine.run([INSTALLED_COPY, "--uninstall"])
    assert (machine.root / "etc/dnsmasq.conf").read_text() == OWN_CONFIGURATION
    assert "Hearth" not in (machine.root / "etc/default/dnsmasq").read_text()
    until(lambda: _answers_as_before(machine), seconds=10, what="the owner's own dnsmasq")
    left = machine.run(
        ["sh", "-c", "ls -d /opt/hearth /usr/local/bin/hearth /run/hearth; find /etc /usr/local -name '*hearth*'"],
        check=False,
    )
    assert all("No such file" in line for line in left.splitlines() if line != "/etc/hearth"), left
    assert (machine.root / "var/lib/hearth/keys/deploy").read_text() == "the home's own"


def test_only_purge_removes_the_homes_state_and_never_a_share(machine: Appliance) -> None:
    """What a family keeps is not the installer's to delete."""
    machine.run(["sh", "-c", "mkdir -p /srv/shares/family && echo photo >/srv/shares/family/photo"])
    _install(machine, "--uninstall", "--purge")
    assert not (machine.root / "var/lib/hearth").exists()
    assert not (machine.root / "etc/hearth").exists()
    assert (machine.root / "srv/shares/family/photo").read_text() == "photo\n"
    machine.reboot()
    until(lambda: _answers_as_before(machine), seconds=10, what="the owner's own dnsmasq, after a reboot")


def test_uninstalling_an_image_leaves_no_server_that_answers_everybody(appliance: Appliance) -> None:
    """Where dnsmasq came with Hearth it ends with it, with the package's own file in place."""
    appliance.run([INSTALLED_COPY, "--uninstall"])
    shipped = appliance.run(["dpkg-query", "--show", "--showformat=${Conffiles}", "dnsmasq"])
    is_now = appliance.run(["md5sum", "/etc/dnsmasq.conf"]).split()[0]
    assert is_now in shipped
    assert appliance.run(["systemctl", "is-enabled", "dnsmasq.service"], check=False) == "disabled\n"
    assert appliance.dig("example.com", server=appliance.address) == ["TIMEOUT"]
