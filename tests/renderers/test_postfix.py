"""Postfix's files and plan: whose mail is taken, whose addresses there are, and what changes when a home says something else."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from renderers import APPLIANCE
from renderers.encode import RenderingError
from renderers.plan import Fill, Part, ServerKey, SmtpProbe
from renderers.postfix import POSTFIX
from renderers.postfix_plan import FILES
from renderers.postfix_reread import statements
from tests.desired_state.households import households
from tests.renderers.homes import BENCH, alone, holm, household

PRIVATE = [ipaddress.ip_network(text) for text in ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")]
RELAY = {
    "host": "smtp.mail.example",
    "username": "anna@holm.example",
    "password": "secret:relay-password",
    "sender": "anna@holm.example",
}


def home(*, relay=None, parts=None, **mail):
    """Return a home with mail and nothing else."""
    wanted = {"hostname": "hearth.holm.example", "relay": RELAY | (relay or {}), **mail}
    return household(mail=wanted, **(parts or {}))


def settings(of, target=APPLIANCE) -> dict[str, str]:
    """Return main.cf as keys and values."""
    content = alone(POSTFIX, of, target).files["postfix/main.cf"].content
    pairs = [line.split(" =") for line in statements("postfix/main.cf", content)]
    return {key: value.strip() for key, value in pairs}


def listening(of, target=APPLIANCE) -> list[str]:
    """Return where devices are listened to."""
    lines = statements("postfix/master.cf", alone(POSTFIX, of, target).files["postfix/master.cf"].content)
    return [line.split()[0] for line in lines if " smtpd" in line]


SIX = {
    "network": {"subnet": "192.168.10.0/24", "router": "192.168.10.1", "ipv6": "fd00:10::/64"},
    "appliance": {"address": "192.168.10.2", "ipv6": "fd00:10::2"},
}


@pytest.mark.parametrize(
    ("of", "networks"),
    [
        (home(), "127.0.0.0/8 192.168.10.0/24"),
        (home(accept_from=["10.1.0.0/16", "192.168.10.0/24"]), "127.0.0.0/8 10.1.0.0/16 192.168.10.0/24"),
        (home(accept_from=[]), "127.0.0.0/8"),
        (home(parts=SIX), "127.0.0.0/8 192.168.10.0/24 [fd00:10::]/64"),
        (home(parts=SIX, accept_from=["192.168.10.64/26"]), "127.0.0.0/8 192.168.10.64/26"),
        (
            home(parts=SIX | {"network": SIX["network"] | {"ipv6": "2001:db8:1::/64"}}),
            "127.0.0.0/8 192.168.10.0/24",
        ),
    ],
)
def test_mail_is_taken_from_the_homes_private_networks_alone(of, networks):
    """The subnet unless the home says otherwise; its IPv6 network goes with the whole subnet, and only a private one."""
    assert settings(of)["mynetworks"] == networks


@pytest.mark.parametrize("network", ["0.0.0.0/0", "8.8.8.0/24", "192.168.0.0/15", "100.64.0.0/10", "128.0.0.0/1"])
def test_no_household_makes_an_open_relay(network):
    """Case 34: were the household's own check gone, a network beyond the private ones still renders nothing."""
    with pytest.raises(RenderingError, match="open relay"):
        alone(POSTFIX, home(accept_from=[network]), APPLIANCE)


@given(households(), st.sampled_from([APPLIANCE, BENCH]))
def test_of_every_home_the_relay_is_closed(of, target):
    """Each accepted network is private, and each restriction lets in these networks and nobody else."""
    if of.mail is None:
        return
    said = settings(of, target)
    networks = [ipaddress.ip_network(each.strip("[]").replace("]/", "/")) for each in said["mynetworks"].split()]
    for network in networks:
        assert any(network.version == 4 and network.subnet_of(each) for each in PRIVATE) or network.is_private
    for what in ("client", "relay", "recipient"):
        assert said[f"smtpd_{what}_restrictions"] == "permit_mynetworks, reject"


def test_it_listens_at_the_homes_addresses_alone():
    """Loopback for the appliance's own programs, its address for devices, and the inner turn of notices."""
    assert listening(home()) == ["127.0.0.1:25", "192.168.10.2:25", "127.0.0.25:25"]
    assert listening(home(parts=SIX)) == ["127.0.0.1:25", "192.168.10.2:25", "[fd00:10::2]:25", "127.0.0.25:25"]
    assert listening(home(), BENCH) == ["127.168.10.2:25", "127.0.0.25:25"]


def test_an_alias_goes_to_its_peoples_addresses_under_each_name_of_the_home():
    """Programs on the appliance write to root@localhost; the postmaster is whoever root is."""
    lines = statements("postfix/aliases", alone(POSTFIX, holm(), APPLIANCE).files["postfix/aliases"].content)
    table = {address: people for address, *people in (line.split() for line in lines)}
    for name in ("home.arpa", "hearth.home.arpa", "localhost"):
        assert table[f"scans@{name}"] == ["anna@holm.example", "jens@holm.example"]
        assert table[f"root@{name}"] == table[f"postmaster@{name}"] == ["anna@holm.example"]


def test_the_name_for_the_outside_may_be_the_familys_real_domain():
    """Its mailboxes lie elsewhere, so its addresses are not the home's; a name inside the home's domain is."""
    assert settings(home(hostname="holm.example"))["virtual_alias_domains"] == "home.arpa hearth.home.arpa localhost"
    assert "mail.home.arpa" in settings(home(hostname="mail.home.arpa"))["virtual_alias_domains"].split()


@pytest.mark.parametrize(("port", "from_the_start"), [(587, "no"), (465, "yes"), (2525, "no")])
def test_the_provider_is_known_by_its_own_name_and_encrypts(port, from_the_start):
    """Its certificate must be for the household's name of it, at any port; only 465 begins with TLS."""
    said = settings(home(relay={"port": port}))
    assert said["relayhost"] == f"[smtp.mail.example]:{port}"
    assert (said["smtp_tls_security_level"], said["smtp_tls_secure_cert_match"]) == ("secure", "smtp.mail.example")
    assert said["smtp_tls_wrappermode"] == from_the_start
    on_bench = settings(home(relay={"port": port}), BENCH)
    assert on_bench["relayhost"] == "[127.0.0.1]:587"
    assert on_bench["smtp_tls_secure_cert_match"] == "smtp.mail.example"


def test_the_log_in_is_a_hole_that_only_the_device_fills():
    """One line, `PLACE USER:PASSWORD`, in memory; no file of the artifact holds user or password."""
    artifact = alone(POSTFIX, holm(), APPLIANCE)
    (fill,) = [each for each in artifact.plan.provisions if isinstance(each, Fill)]
    assert fill.path == "/run/hearth/secrets/postfix/relay"
    before = Part("text", "[smtp.mail.example]:587 anna@holm.example:")
    assert fill.parts == (before, Part("secret", "relay-password"), Part("text", "\n"))


@pytest.mark.parametrize("username", ["a b", "a:b", "a\nb", "", "a\tb", "ä"])
def test_a_user_name_that_could_shift_the_password_renders_nothing(username):
    """A space ends a table's key, a colon begins the password, a line's end begins another entry."""
    spoiled = home()
    relay = spoiled.mail.relay.model_copy(update={"username": username})
    with pytest.raises(RenderingError):
        alone(POSTFIX, spoiled.model_copy(update={"mail": spoiled.mail.model_copy(update={"relay": relay})}), APPLIANCE)


@pytest.mark.parametrize("username", ["$mail_name", "#1", '"quoted"', "a${b}c", "x\\y", "=?x?="])
def test_what_means_something_elsewhere_is_plain_in_the_log_in(username):
    """The table knows no `$`, no comment behind a key, no quotes and no escapes."""
    artifact = alone(POSTFIX, home(relay={"username": username}), APPLIANCE)
    (fill,) = [each for each in artifact.plan.provisions if isinstance(each, Fill)]
    assert fill.parts[0].value == f"[smtp.mail.example]:587 {username}:"


HOSTILE = [
    "$myhostname",
    "a b",
    "x\nrelayhost = evil",
    "pipe:",
    "|/bin/sh",
    "fe80::1% x #",
    "a,b",
    "texthash:/x",
    "${x}",
    "a\\",
]


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize("field", ["hostname", "host", "sender", "domain", "name", "alias", "email"])
def test_a_hostile_value_that_got_past_the_loader_renders_nothing(value, field):
    """Case 34: `$`, a transport, a space or a new line in any value that reaches a file stops the rendering."""
    spoiled = holm()
    mail, relay = spoiled.mail, spoiled.mail.relay
    anna = spoiled.people["anna"].model_copy(update={"email": value})
    changes = {
        "hostname": {"mail": mail.model_copy(update={"hostname": value})},
        "host": {"mail": mail.model_copy(update={"relay": relay.model_copy(update={"host": value})})},
        "sender": {"mail": mail.model_copy(update={"relay": relay.model_copy(update={"sender": value})})},
        "domain": {"network": spoiled.network.model_copy(update={"domain": value})},
        "name": {"appliance": spoiled.appliance.model_copy(update={"name": value})},
        "alias": {"mail": mail.model_copy(update={"aliases": {value: frozenset({"anna"})}})},
        "email": {"people": {**spoiled.people, "anna": anna}},
    }
    with pytest.raises(RenderingError):
        alone(POSTFIX, spoiled.model_copy(update=changes[field]), APPLIANCE)


def test_every_change_is_a_reload():
    """A restart of Debian's unit takes three seconds in which no device can send; nothing that we write needs one."""
    for target in (APPLIANCE, BENCH):
        plan = alone(POSTFIX, holm(), target).plan
        (unit,) = plan.units
        assert unit.name == "postfix.service"
        assert unit.restart == ()
        assert set(FILES) < set(unit.reload)
        provided = {each.path for each in plan.provisions if isinstance(each, Fill | ServerKey)}
        assert {str(target.secrets / "postfix/relay"), str(target.keys / "postfix.pem")} <= provided & set(unit.reload)


def test_it_is_asked_at_the_address_that_devices_know():
    """One question, on either target."""
    assert alone(POSTFIX, holm(), APPLIANCE).plan.probes == (
        SmtpProbe("mail relay", "192.168.10.2", 25, "hearth.holm.example"),
    )
    assert alone(POSTFIX, holm(), BENCH).plan.probes[0].server == "127.168.10.2"
