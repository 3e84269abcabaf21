"""ca.json: what the home says, in exactly the keys that we may write; and how it is run, probed and provided for."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from desired_state.scalars import seconds
from renderers import APPLIANCE, step_ca
from renderers.encode import RenderingError
from renderers.plan import Authority, Folder
from renderers.step_ca_reread import check, check_environment
from tests.desired_state.households import households
from tests.renderers.homes import BENCH, full, holm

FOREIGN = {
    "kms": {"type": "pkcs11"},
    "templates": {"ssh": {}},
    "password": "x",
    "insecureAddress": ":80",
    "federatedRoots": ["/etc/passwd"],
}
GO_SECONDS = {"s": 1, "m": 60, "h": 3600}


def rendered(home=None, target=APPLIANCE):
    """Return the parsed ca.json of a home."""
    return json.loads(step_ca.render(home or holm(), target)[step_ca.CONF].content)


def with_certificates(**update):
    """Return the example household with other settings of its authority, past the loader."""
    home = holm()
    return home.model_copy(update={"certificates": home.certificates.model_copy(update=update)})


@given(households(), st.sampled_from([APPLIANCE, BENCH]))
def test_the_file_says_what_the_home_says(home, target):
    """Names, lifetimes and whether there is ACME, read from the file, are the household's, and nothing is lost or added."""
    if home.certificates is None:
        return
    found = rendered(home, target)
    claims = {name: int(text[:-1]) * GO_SECONDS[text[-1]] for name, text in found["authority"]["claims"].items()}
    lifetime = home.certificates.lifetime
    assert claims["defaultTLSCertDuration"] == seconds(lifetime.default)
    assert claims["maxTLSCertDuration"] == seconds(lifetime.maximum)
    assert claims["minTLSCertDuration"] <= claims["defaultTLSCertDuration"] <= claims["maxTLSCertDuration"]
    assert set(found["dnsNames"]) == home.certificates.names
    assert found["commonName"] == home.certificates.name
    assert bool(found["authority"]["provisioners"]) == home.certificates.acme


def test_the_database_is_the_supported_one_and_lies_outside_the_generations():
    """Accounts and orders survive every change: nothing of a generation holds them."""
    assert rendered()["db"] == {"dataSource": "/var/lib/hearth-ca/db", "type": "bbolt"}
    assert rendered(target=BENCH)["db"]["dataSource"].startswith(f"{BENCH.state}/step-ca/")


def test_the_key_reaches_an_appliances_daemon_as_a_credential_alone():
    """The daemon's user can read nothing below keys/; systemd hands it the one key."""
    assert rendered()["key"] == "/run/credentials/hearth-ca.service/intermediate.key"
    assert "keys" not in json.dumps(rendered())


def test_only_private_networks_go_into_the_constraint():
    """A provider's global IPv6 prefix is not the home's own."""
    home = full()
    authority = next(each for each in step_ca.provisions(home, APPLIANCE) if isinstance(each, Authority))
    assert authority.subnets == ("10.20.0.0/22", "fd00:10:20::/64")
    network = home.network.model_copy(update={"ipv6": type(home.network.ipv6)("2001:470:1::/64")})
    (moved,) = step_ca.provisions(home.model_copy(update={"network": network}), APPLIANCE)
    assert moved.subnets == ("10.20.0.0/22",)


def test_every_file_that_changes_restarts_the_daemon():
    """After SIGHUP a broken file would go unnoticed, so there is no reload."""
    (unit,) = step_ca.units(holm(), APPLIANCE)
    authority = step_ca.provisions(holm(), APPLIANCE)[0]
    files = step_ca.render(holm(), APPLIANCE).keys()
    assert set(unit.restart) == {*files, authority.root, authority.certificate, authority.key}
    assert unit.reload == ()


def test_names_are_looked_up_in_the_homes_own_resolver_whatever_the_systems_is():
    """docs/install.md lets the Pi itself ask a resolver on the internet, which knows nothing of the home."""
    files = step_ca.render(holm(), APPLIANCE)
    assert files[step_ca.ENVIRONMENT].content == b"RESOLVER=--resolver=127.0.0.1:53\n"
    assert "--resolver=127.0.0.1:53" in step_ca.units(holm(), APPLIANCE)[0].command


def test_a_bench_asks_its_own_internet_where_the_names_are():
    """The home's resolver gives addresses at which nobody is on a bench."""
    (unit,) = step_ca.units(holm(), BENCH)
    assert f"--resolver=127.9.9.9:{BENCH.upstream_port}" in unit.command
    assert set(step_ca.render(holm(), BENCH)) == {step_ca.CONF}


@pytest.mark.parametrize("target", [APPLIANCE, BENCH])
def test_a_home_without_dns_leaves_the_looking_up_to_the_system(target):
    """There is no resolver of its own to name."""
    home = holm().model_copy(update={"dns": None})
    assert len(step_ca.units(home, target)[0].command) == 2
    assert set(step_ca.render(home, target)) == {step_ca.CONF}


@pytest.mark.parametrize(
    "content", [b"", b"RESOLVER=--resolver=9.9.9.9:53\n", b"RESOLVER=--resolver=127.0.0.1:53\nPATH=/tmp\n"]
)
def test_an_environment_that_says_more_is_refused(content):
    """A unit takes any variable, LD_PRELOAD among them."""
    with pytest.raises(RenderingError):
        check_environment(content)


def test_a_bench_keeps_the_daemons_own_folder_below_its_root():
    """step-ca makes a folder in the home of whoever runs it, and ends where there is none."""
    (unit,) = step_ca.units(holm(), BENCH)
    folder = next(each for each in step_ca.provisions(holm(), BENCH) if isinstance(each, Folder))
    assert dict(unit.environment) == {"HOME": folder.path, "STEPPATH": folder.path}


def test_the_probe_wants_what_was_rendered():
    """A home without ACME has no provisioner, and the probe wants none."""
    (probe,) = step_ca.probes(holm(), APPLIANCE)
    assert (probe.host, probe.provisioners) == ("ca.home.arpa", ("ACME acme",))
    assert step_ca.probes(with_certificates(acme=False), APPLIANCE)[0].provisioners == ()


@pytest.mark.parametrize("update", [
    {"name": "CA\n"}, {"name": "C\u202eA"}, {"name": ""}, {"name": "x" * 201},
    {"names": frozenset({'ca.home.arpa","kms":{"a'})}, {"names": frozenset({"ca.home.arpa\n"})},
])  # fmt: skip
def test_a_value_that_got_past_the_loader_renders_nothing(update):
    """Case 31: no text breaks out of its place."""
    with pytest.raises(RenderingError):
        step_ca.render(with_certificates(**update), APPLIANCE)


@pytest.mark.parametrize("key", FOREIGN)
def test_a_key_that_we_never_write_is_refused(key):
    """step-ca would take it: each of these runs, reads or opens something else."""
    with pytest.raises(RenderingError):
        check(json.dumps(rendered() | {key: FOREIGN[key]}).encode())


@pytest.mark.parametrize("spoil", [
    lambda found: found["authority"]["provisioners"].append({"name": "acme", "type": "OIDC"}),
    lambda found: found["authority"]["provisioners"][0].update(options={"x509": {"template": "{{ . }}"}}),
    lambda found: found["authority"]["provisioners"][0].update(forceCN=True),
    lambda found: found["authority"].update(enableAdmin=True),
    lambda found: found["db"].update(type="badgerv2"),
    lambda found: found["db"].update(type="mysql"),
    lambda found: found.update(address="0.0.0.0:443"),
    lambda found: found.update(key="pkcs11:slot=1"),
    lambda found: found.update(dnsNames=["*"]),
    lambda found: found["authority"]["claims"].update(minTLSCertDuration="-5m"),
    lambda found: found.pop("db"),
])  # fmt: skip
def test_a_changed_value_is_refused(spoil):
    """The re-reading can fail: each of these is valid for step-ca and not ours."""
    found = rendered()
    check(json.dumps(found).encode())
    spoil(found)
    with pytest.raises(RenderingError):
        check(json.dumps(found).encode())


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b'{"root": "/a", "root": "/b"}', b"[" * 100_000])
def test_what_is_no_ca_json_is_refused(content):
    """Broken, doubled or endless: one sentence, no traceback."""
    with pytest.raises(RenderingError):
        check(content)
