"""Postfix: the home's mail relay. Devices hand it mail, and it hands all of it to the provider, over TLS and with a log-in.

Owns the files. What they are run and asked with is `postfix_plan`; the rules that must hold whatever a household says are
`postfix_reread`. No mail comes from outside and none stays. Written for Postfix 3.7 (bookworm) and 3.10 (trixie).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from desired_state.addresses import PRIVATE6
from desired_state.model import Household, Mail
from renderers import encode, postfix_plan, postfix_reread
from renderers.artifact import File, Target
from renderers.encode import Encoded, Subnet
from renderers.plan import Link
from renderers.postfix_plan import ALIASES, HEADERS, MAIN, MASTER, NOTICES, SENDERLESS, SENDERS, TRANSPORT, named
from renderers.resolution import within
from renderers.service import Service

_TLS_FROM_THE_START = 465  # RFC 8314, section 7.3
_TABLES = (ALIASES, TRANSPORT, SENDERS, HEADERS, SENDERLESS)
_LOOPBACK = ipaddress.IPv4Network("127.0.0.0/8")


def render(household: Household, target: Target) -> Mapping[str, File]:
    """Return Postfix's files, by path. The household must have a `mail` part."""
    assert household.mail is not None
    sender = {"sender": encode.email(household.mail.relay.sender)}
    local = [encode.host_name(name) for name in _local_domains(household)]
    port = {"port": encode.number(target.mail_port)}
    files = {
        MAIN: encode.fill("postfix/main.cf.j2", _main(household, household.mail, target) | {"local": local}),
        MASTER: encode.fill("postfix/master.cf.j2", _master(household, target) | port),
        ALIASES: encode.fill("postfix/aliases.j2", {"aliases": list(_aliases(household)), "local": local}),
        TRANSPORT: encode.fill("postfix/transport.j2", {"domain": encode.host_name(household.network.domain)}),
        SENDERS: encode.fill("postfix/senders.j2", sender),
        HEADERS: encode.fill("postfix/headers.j2", sender),
        SENDERLESS: encode.fill("postfix/senderless.j2", port),
        NOTICES: encode.fill("postfix/notices.j2", sender),
    }
    postfix_reread.check(files)
    return {path: File(content) for path, content in files.items()}


def _main(household: Household, mail: Mail, target: Target) -> dict[str, Any]:
    return {
        "bench": target.name == "bench",
        "data": _named(target, postfix_plan.data(target)),
        "hostname": encode.host_name(mail.hostname),
        "domain": encode.host_name(household.network.domain),
        "networks": [encode.postfix_network(each) for each in _networks(household, mail, target)],
        "relay": postfix_plan.relay(mail, target),
        "provider": encode.host_name(mail.relay.host),
        "wrapper": Encoded("yes" if mail.relay.port == _TLS_FROM_THE_START else "no"),
        "trusted": encode.path(target.trusted),
        "chain": _named(target, postfix_plan.chain(target)),
        "password": _named(target, postfix_plan.password(target)),
        **{path.rpartition("/")[2]: _named(target, target.current / path) for path in _TABLES},
    }


def _named(target: Target, path: PurePosixPath) -> Encoded:
    return encode.postfix_path(named(target, path))


def _local_domains(household: Household) -> tuple[str, ...]:
    """Return the domains whose addresses are the home's own.

    The name under which it introduces itself is not, unless it lies inside: it may be the family's real domain, with mailboxes elsewhere.
    """
    assert household.mail is not None
    domain, hostname = household.network.domain, household.mail.hostname
    inside = (hostname,) if within(hostname, domain) else ()
    return tuple(dict.fromkeys((domain, f"{household.appliance.name}.{domain}", *inside, "localhost")))


def _networks(household: Household, mail: Mail, target: Target) -> tuple[Subnet, ...]:
    """Return whose mail is taken: the appliance's own programs' and the accepted networks'; with the home's goes its private IPv6 one's."""
    subnet, ipv6 = household.network.subnet, household.network.ipv6
    accepted = sorted(mail.accept_from if mail.accept_from is not None else {subnet})
    if target.name == "bench":
        return (ipaddress.IPv4Network("127.0.0.1/32"), *map(_on_loopback, accepted))
    whole_home = any(subnet.subnet_of(each) for each in accepted)
    private6 = (ipv6,) if ipv6 and whole_home and household.appliance.ipv6 and ipv6.subnet_of(PRIVATE6) else ()
    return (_LOOPBACK, *accepted, *private6)


def _on_loopback(network: ipaddress.IPv4Network) -> ipaddress.IPv4Network:
    length = max(network.prefixlen, _LOOPBACK.prefixlen)
    return ipaddress.IPv4Network((int(_LOOPBACK.network_address) | int(network.network_address) & 0xFFFFFF, length))


def _master(household: Household, target: Target) -> dict[str, Any]:
    hosts = [Encoded("127.0.0.1"), *_own_addresses(household)]
    if target.name == "bench":
        hosts = [encode.address(ipaddress.ip_address(target.address(str(household.appliance.address))))]
    return {"hosts": hosts, "notices": _named(target, target.current / NOTICES)}


def _own_addresses(household: Household) -> Iterator[Encoded]:
    yield encode.address(household.appliance.address)
    if household.appliance.ipv6:
        yield Encoded(f"[{encode.address(household.appliance.ipv6)}]")


def _aliases(household: Household) -> Iterator[dict[str, Any]]:
    """Yield each alias and the people's addresses. The postmaster, whom every mail server must have, is root (RFC 5321, 4.5.1)."""
    assert household.mail is not None
    aliases = dict(household.mail.aliases)
    if "root" in aliases:
        aliases.setdefault("postmaster", aliases["root"])
    for name, people in sorted(aliases.items()):
        emails = [household.people[person].email for person in sorted(people)]
        yield {"name": encode.mail_alias(name), "people": [encode.email(email) for email in emails if email]}


POSTFIX = Service(
    name="postfix",
    enabled=lambda household: household.mail is not None,
    render=render,
    units=postfix_plan.units,
    checkers=postfix_plan.checkers,
    probes=postfix_plan.probes,
    provisions=postfix_plan.provisions,
    links=(Link("/etc/postfix/main.cf", MAIN), Link("/etc/postfix/master.cf", MASTER)),
)
