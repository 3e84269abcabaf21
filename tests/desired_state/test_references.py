"""The rules between values: what is named exists, addresses fit, and no two things share a name."""

from __future__ import annotations

import pytest

from desired_state.finding import Finding, Severity
from desired_state.load import load
from tests.desired_state.holm import CERTIFICATES, DEVICES, DNS, HOME, MAIL, PEOPLE, SHARES, holm_with, only

ERROR, ADVICE = Severity.ERROR, Severity.ADVICE


def found(*edits: tuple[str, str, str]) -> list[tuple[str, str, Severity]]:
    """Return field, code and severity of every finding that the edits bring to the example."""
    return [(each.field, each.code, each.severity) for each in only(holm_with(*edits))]


ADDRESS_RULES = [
    ((HOME, "subnet: 192.168.10.0/24", "subnet: 8.8.8.0/24"), "network.subnet", "public-subnet"),
    ((HOME, "subnet: 192.168.10.0/24", "subnet: 192.168.10.1/24"), "network.subnet", "bad-value"),
    ((HOME, "subnet: 192.168.10.0/24", "subnet: 10.0.0.0/8"), "network.subnet", "subnet-size"),
    ((HOME, "subnet: 192.168.10.0/24", "subnet: 192.168.10.0/30"), "network.subnet", "subnet-size"),
    ((HOME, "router: 192.168.10.1,", "router: 192.168.11.1,"), "network.router", "outside-subnet"),
    ((HOME, "router: 192.168.10.1,", "router: 192.168.10.2,"), "appliance.address", "duplicate-address"),
    ((HOME, "address: 192.168.10.2}", "address: 192.168.10.0}"), "appliance.address", "network-address"),
    ((HOME, "address: 192.168.10.2}", "address: 192.168.10.255}"), "appliance.address", "broadcast-address"),
    ((HOME, "address: 192.168.10.2}", "address: 192.168.10.2, ipv6: fd00:10::2}"), "appliance.ipv6", "no-ipv6-network"),
    ((HOME, "domain: home.arpa}", "domain: home.arpa, ipv6: 'fe80::/64'}"), "network.ipv6", "not-a-home-network"),
    ((HOME, "domain: home.arpa}", "domain: home.arpa, ipv6: 'fd00:10::/96'}"), "network.ipv6", "subnet-size"),
    ((DEVICES, "address: 192.168.10.20", "address: 192.168.10.30"), "devices.tv.address", "duplicate-address"),
    ((DEVICES, "address: 192.168.10.20", "address: 192.168.10.3"), "devices.printer.address", "duplicate-address"),
    ((DEVICES, "address: 192.168.10.20", "address: 192.168.11.20"), "devices.printer.address", "outside-subnet"),
    ((DEVICES, "10:00:02", "10:00:01"), "devices.anna-laptop.mac", "duplicate-mac"),
    ((DEVICES, "resolver: 192.168.10.3", "resolver: 192.168.10.2"), "groups.kids.resolver", "duplicate-address"),
    ((DNS, "[9.9.9.9,", "[192.168.10.2,"), "dns.upstreams[0]", "upstream-loop"),
    ((DNS, "[9.9.9.9,", "[192.168.10.3,"), "dns.upstreams[0]", "upstream-loop"),
    ((DNS, "[9.9.9.9,", "[149.112.112.112,"), "dns.upstreams[1]", "duplicate-upstream"),
    ((DNS, "[9.9.9.9,", "[169.254.1.1,"), "dns.upstreams[0]", "upstream-unreachable"),
    ((DNS, "[9.9.9.9,", "['fe80::1',"), "dns.upstreams[0]", "upstream-unreachable"),
    ((DNS, "[9.9.9.9,", "[192.168.10.255,"), "dns.upstreams[0]", "broadcast-address"),
    ((DNS, "wiki: appliance", "wiki: 192.168.10.0"), "dns.names.wiki", "network-address"),
    ((DNS, "from: 192.168.10.100", "from: 192.168.10.200"), "dns.dhcp.to", "range-reversed"),
    ((DNS, "from: 192.168.10.100", "from: 192.168.9.100"), "dns.dhcp.from", "outside-subnet"),
    ((DNS, "to: 192.168.10.199", "to: 192.168.10.255"), "dns.dhcp.to", "broadcast-address"),
    ((DNS, "from: 192.168.10.100", "from: 192.168.10.3"), "dns.dhcp.from", "range-taken"),
    ((DNS, "lease: 12h", "lease: 1m"), "dns.dhcp.lease", "lease-length"),
    ((DNS, "lease: 12h", "lease: 99999w"), "dns.dhcp.lease", "lease-length"),
]  # fmt: skip

NAME_RULES = [
    ((HOME, "Europe/Copenhagen", "Europe/Kopenhagen"), "timezone", "unknown-timezone"),
    ((HOME, "name: hearth,", "name: isatap,"), "appliance.name", "reserved-name"),
    ((HOME, "name: hearth,", "name: printer,"), "devices.printer", "duplicate-id"),
    ((PEOPLE, "  mia:", "  tv:"), "devices.tv", "duplicate-id"),
    ((PEOPLE, "  mia:", "  kids:"), "groups.kids", "duplicate-id"),
    ((DEVICES, "owner: anna", "owner: ana"), "devices.anna-laptop.owner", "unknown-person"),
    ((DEVICES, "group: kids", "group: kid"), "devices.mia-tablet.group", "unknown-group"),
    ((DNS, "wiki: appliance", "wpad: appliance"), "dns.names.wpad", "reserved-name"),
    ((DNS, "wiki: appliance", "wiki.home.arpa: appliance"), "dns.names.wiki.home.arpa", "whole-name"),
    ((DNS, "wiki: appliance", "tv: appliance"), "dns.names.tv", "duplicate-name"),
    ((DNS, "wiki: appliance", "hearth: tv"), "dns.names.hearth", "duplicate-name"),
    ((DNS, "wiki: appliance", "ca: tv"), "dns.names.ca", "duplicate-name"),
    ((DNS, "wiki: appliance", "wiki: telly"), "dns.names.wiki", "unknown-device"),
    ((DNS, "wiki: appliance", "wiki: mia-tablet"), "dns.names.wiki", "target-without-address"),
    ((DNS, "for: [kids]", "for: [kid]"), "dns.blocked.tiktok.for[0]", "unknown-group"),
    ((DEVICES, ", resolver: 192.168.10.3", ""), "dns.blocked.tiktok.for[0]", "group-without-resolver"),
    ((DNS, "sites: [tiktok]", "sites: [tictok]"), "dns.blocked.tiktok.sites[0]", "unknown-site"),
    ((DNS, "      domains: [doubleclick.net]\n", ""), "dns.blocked.ads", "empty-block"),
    ((DNS, "doubleclick.net", "home.arpa"), "dns.blocked.ads.domains[0]", "blocks-home"),
    ((DNS, "doubleclick.net", "tv.home.arpa"), "dns.blocked.ads.domains[0]", "blocks-home"),
    ((SHARES, "mia: read", "mai: read"), "files.shares.family.access.mai", "unknown-person"),
    ((SHARES, "time_machine: true", "time_machine: false"), "files.shares.backups.limit", "limit-without-backup"),
    ((MAIL, "[anna, jens]", "[anna, jan]"), "mail.aliases.scans[1]", "unknown-person"),
    ((MAIL, "[anna, jens]", "[anna, mia]"), "mail.aliases.scans[1]", "person-without-email"),
    ((PEOPLE, "anna@holm.example", "scans@home.arpa"), "mail.aliases.scans[0]", "alias-loop"),
    ((MAIL, "secret:relay-password", "secret:person-anna"), "mail.relay.password", "persons-secret"),
    ((MAIL, "[192.168.10.0/24]", "[0.0.0.0/0]"), "mail.accept_from[0]", "open-relay"),
    ((MAIL, "[192.168.10.0/24]", "[192.168.10.0/24, 8.8.8.0/24]"), "mail.accept_from[1]", "open-relay"),
    ((MAIL, "[192.168.10.0/24]", "[192.0.0.0/8]"), "mail.accept_from[0]", "open-relay"),
    ((MAIL, "username: anna@holm.example", "username: anna holm"), "mail.relay.username", "bad-value"),
    ((MAIL, "username: anna@holm.example", "username: 'anna:holm'"), "mail.relay.username", "bad-value"),
    ((MAIL, "host: smtp.mail.example", "host: smtp.home.arpa"), "mail.relay.host", "relay-loop"),
    ((MAIL, "hostname: hearth.holm.example", "hostname: tv.home.arpa"), "mail.hostname", "duplicate-name"),
    ((CERTIFICATES, "[ca.home.arpa]", "[ca.holm.example]"), "certificates.names[0]", "outside-domain"),
    ((CERTIFICATES, "[ca.home.arpa]", "[home.arpa]"), "certificates.names[0]", "outside-domain"),
    ((CERTIFICATES, "[ca.home.arpa]", "[tv.home.arpa]"), "certificates.names[0]", "duplicate-name"),
    ((CERTIFICATES, "default: 24h", "default: 800h"), "certificates.lifetime.default", "lifetime-order"),
    ((CERTIFICATES, "default: 24h", "default: 1m"), "certificates.lifetime.default", "lifetime-short"),
    ((CERTIFICATES, "maximum: 720h", "maximum: 826d"), "certificates.lifetime.maximum", "lifetime-long"),
]  # fmt: skip

WORTH_A_WORD = [
    ((DNS, "doubleclick.net", "mail.example"), "dns.blocked.ads.domains[0]", "blocks-relay"),
    ((DNS, "doubleclick.net", "pool.ntp.org"), "dns.blocked.ads.domains[0]", "blocks-time"),
    ((SHARES, "{anna: write}", "{}"), "files.shares.backups.access", "nobody-has-access"),
    ((MAIL, "port: 587", "port: 25"), "mail.relay.port", "unusual-port"),
    ((MAIL, "sender: anna@holm.example", "sender: anna@home.arpa"), "mail.relay.sender", "local-sender"),
    ((MAIL, "[192.168.10.0/24]", "[]"), "mail.accept_from", "accepts-nothing"),
    ((DNS, "    to: 192.168.10.199", "    to: 192.168.10.100"), "dns.dhcp", "range-small"),
]


@pytest.mark.parametrize(("edit", "field", "code"), [*ADDRESS_RULES, *NAME_RULES])
def test_a_broken_rule_is_an_error_at_the_value(edit: tuple[str, str, str], field: str, code: str):
    """One wrong value in the example gives an error that names its field, and nothing is loaded."""
    assert (field, code, ERROR) in found(edit)
    assert load(holm_with(edit)).state is None


@pytest.mark.parametrize(("edit", "field", "code"), WORTH_A_WORD)
def test_what_is_only_unwise_is_advice(edit: tuple[str, str, str], field: str, code: str):
    """Advice names the field and keeps nothing from being loaded."""
    assert found(edit) == [(field, code, ADVICE)]
    assert load(holm_with(edit)).state is not None


def test_a_block_for_a_group_may_hold_the_mail_relay():
    """The appliance asks its own resolver, which a group's blocks do not touch."""
    assert not found((DNS, "tiktok-mirror.example", "mail.example"))


def test_a_reservation_inside_the_dhcp_range_is_fine():
    """Dnsmasq keeps a reserved address out of what it hands to others."""
    assert not found((DEVICES, "address: 192.168.10.20", "address: 192.168.10.120"))


def test_a_group_without_dhcp_is_told_that_nobody_hands_out_its_resolver():
    """Without DHCP a block for a group holds only where somebody set the resolver by hand."""
    dhcp = "  dhcp:                         # without this part the appliance hands out no addresses\n"
    rest = "    from: 192.168.10.100\n    to: 192.168.10.199\n    lease: 12h\n"
    assert found((DNS, dhcp + rest, "")) == [("dns", "group-needs-dhcp", ADVICE)]


def test_an_ipv6_device_lies_inside_the_home_network():
    """With network.ipv6 an address inside it is accepted and one outside is not."""
    home = (HOME, "domain: home.arpa}", "domain: home.arpa, ipv6: 'fd00:10::/64'}")
    assert not found(home, (DEVICES, "address: 192.168.10.20", "ipv6: fd00:10::20"))
    outside = found(home, (DEVICES, "address: 192.168.10.20", "ipv6: fd00:11::20"))
    assert outside == [("devices.printer.ipv6", "outside-subnet", ERROR)]


def test_too_many_resolvers_are_refused():
    """Each group's resolver is a process of its own, so their number is bounded."""
    groups = "".join(f"  g{n}: {{name: Group {n}, resolver: 192.168.10.{200 + n}}}\n" for n in range(17))
    assert ("groups", "too-many-resolvers", ERROR) in found((DEVICES, "groups:\n", f"groups:\n{groups}"))


@pytest.mark.parametrize(
    ("edit", "suggestion"),
    [
        ((SHARES, "jens: write, mia", "jenz: write, mia"), '"jens"'),
        ((DNS, "for: [kids]", "for: [kidz]"), '"kids"'),
        ((DNS, "sites: [tiktok]", "sites: [tik-tok]"), '"tiktok"'),
        ((DNS, "sites: [tiktok]", "sites: [twitter]"), '"x"'),
        ((HOME, "Europe/Copenhagen", "Europe/Copenhaven"), '"Europe/Copenhagen"'),
        ((DNS, "wiki: appliance", "wiki: printr"), '"printer"'),
    ],
)
def test_a_misspelt_name_is_met_with_the_nearest_known_one(edit: tuple[str, str, str], suggestion: str):
    """A finding about an unknown name asks whether the nearest was meant."""
    finding: Finding = only(holm_with(edit))[0]
    assert f"did you mean {suggestion}?" in finding.message


@pytest.mark.parametrize("people", ["people: [anna, jens, mia]", "people: {anna: [", "people:"])
def test_a_file_that_cannot_be_read_accuses_no_other(people: str):
    """Where people.yaml is broken, nobody in it is called unknown elsewhere."""
    assert {each.file for each in only({**holm_with(), PEOPLE: people.encode()})} == {PEOPLE}


def test_one_mistake_does_not_hide_the_others():
    """A file with a wrong value is still judged against the others, and each mistake is reported once."""
    edits = [
        (HOME, "id: 5b0c", "id: XXXX"),
        (DEVICES, "10:00:04", "10:00:zz"),
        (DNS, "wiki: appliance", "wiki: tv"),
        (SHARES, "mia: read", "mai: read"),
        (MAIL, "[anna, jens]", "[anna, mia]"),
    ]
    assert [(field, code) for field, code, _ in found(*edits)] == [
        ("id", "bad-value"),
        ("devices.tv.mac", "bad-value"),
        ("files.shares.family.access.mai", "unknown-person"),
        ("mail.aliases.scans[1]", "person-without-email"),
    ]
