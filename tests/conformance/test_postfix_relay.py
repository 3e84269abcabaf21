"""The real Postfix and a provider that is as strict as real ones: what leaves, how, as whom, and what must stay."""

from __future__ import annotations

import re
import smtplib
from collections.abc import Iterator
from contextlib import AbstractContextManager, suppress
from ipaddress import ip_address
from pathlib import Path

import pytest

from reconciler.units import Action, UnitStep
from tests.bench import until
from tests.conformance.mail_home import ADDRESS, STRANGER, UNIT, MailHome, mail, missing
from tests.conformance.smart_host import LOGIN, NAME, Authority, Provider, smart_host
from tests.renderers.homes import holm

pytestmark = pytest.mark.conformance

ANNA, JENS = "anna@holm.example", "jens@holm.example"


@pytest.fixture
def home(tmp_path: Path) -> Iterator[MailHome]:
    """The example household's relay, up; the provider is not, as without internet."""
    if reason := missing():
        pytest.skip(reason)
    made = MailHome(tmp_path / "a pi")
    try:
        made.become(mail())
        yield made
    finally:
        made.close()


def provider_of(home: MailHome, *, name: str = NAME, wrapped: bool = False, **how) -> AbstractContextManager[Provider]:
    """Return the home's provider, with a certificate for `name`."""
    return smart_host(Provider(**how), home.authority.context(name), home.target.relay_port, wrapped=wrapped)


def arrived(provider: Provider) -> None:
    """Wait until a message has arrived."""
    until(lambda: provider.arrived != [], what="a message arrived")


def deferred(home: MailHome, why: str) -> bool:
    """Whether Postfix has put a message off, with these words."""
    return re.search(rf"status=deferred \([^\n]*{why}", home.said()) is not None


def test_a_message_leaves_encrypted_with_the_log_in_as_the_one_sender(home: MailHome):
    """Envelope and From carry the configured address; an alias becomes its people; Reply-To and the name stay, Sender goes."""
    headers = (
        'From: "Scanner, upstairs" <scanner@home.arpa>\r\nSender: root@tv.home.arpa\r\nReply-To: jens@work.example'
    )
    with provider_of(home) as provider:
        home.send("scans@home.arpa", headers=headers)
        arrived(provider)
        (message,) = provider.arrived
    assert (message.encrypted, message.login, message.sender) == (True, LOGIN[0], ANNA)
    assert set(message.recipients) == {ANNA, JENS}
    assert message.header("From") == [f'"Scanner, upstairs" <{ANNA}>']
    assert (message.header("Sender"), message.header("Reply-To")) == ([], ["jens@work.example"])
    until(lambda: home.waiting() == 0, what="nothing waits")
    assert LOGIN[1] not in home.said()


@pytest.mark.parametrize(
    ("written", "leaves"),
    [
        ("From: scanner@home.arpa", ANNA),
        ("From: Scanner <scanner@home.arpa>", f"Scanner <{ANNA}>"),
        ("From: =?utf-8?q?K=C3=B8kken?= <scanner@home.arpa>", f"Køkken <{ANNA}>"),
        ("From: root@home.arpa (Cron Daemon)", f"Cron Daemon <{ANNA}>"),
        ("from: <evil@evil.example>", ANNA),
        ('From: "evil@evil.example" <scanner@home.arpa>', f'"evil@evil.example" <{ANNA}>'),
        ("From: evil@evil.example, scanner@home.arpa", ANNA),
        ("From: a <evil@evil.example>, b <scanner@home.arpa>", ANNA),
        ("From: Folded\r\n <scanner@home.arpa>", f"Folded <{ANNA}>"),
        ("From: group: evil@evil.example;", ANNA),
        ("X-Other: no From at all", ANNA),
    ],
)
def test_whatever_a_device_calls_itself_one_address_leaves(home: MailHome, written: str, leaves: str):
    """A plain name before the address stays; everything else becomes the address alone."""
    with provider_of(home) as provider:
        home.send("bob@elsewhere.example", headers=written)
        arrived(provider)
    assert provider.arrived[0].header("From") == [leaves]


def test_a_provider_that_encrypts_from_the_first_byte_is_spoken_to_so(home: MailHome):
    """Port 465."""
    home.become(mail(relay={"port": 465}))
    with provider_of(home, wrapped=True) as provider:
        home.send("root@home.arpa")
        arrived(provider)
    assert provider.arrived[0].encrypted


def test_nobody_else_gets_the_message_or_the_password(home: MailHome, tmp_path: Path):
    """Another name, another authority, or no TLS at all: the message waits, and no log-in is tried."""
    stranger = Authority(tmp_path / "stranger", "Another authority")
    port = home.target.relay_port
    pretenders = {
        "hostname mismatch": home.authority.context("evil.example"),
        "untrusted issuer /CN=Another authority": stranger.context(NAME),
        "TLS is required, but was not offered": None,
    }
    home.send("scans@home.arpa")
    for why, context in pretenders.items():
        with smart_host(Provider(), context, port) as provider:
            home.retry(lambda why=why: why in home.said() and home.waiting("deferred") == 1)
        assert (provider.arrived, provider.attempts, provider.met) == ([], 0, 0)
        assert home.waiting() == 1
    with provider_of(home) as provider:
        home.retry(lambda: provider.arrived != [])


def test_a_changed_password_is_a_reload_and_lets_waiting_mail_go(home: MailHome):
    """With the wrong one the message waits; the right one needs no restart, and no other file changes."""
    with provider_of(home, login=(LOGIN[0], "another $1 password")) as provider:
        home.send("scans@home.arpa")
        home.retry(lambda: deferred(home, "SASL authentication failed"))
        assert (home.waiting(), provider.arrived) == (1, [])
        home.listen_to_reloads()
        before = home.incarnation()
        (step,) = home.become(mail(), "another $1 password")
        assert (step.action, step.unit, home.incarnation()) == (Action.RELOAD, UNIT, before)
        home.retry(lambda: provider.arrived != [])
    assert "another $1 password" not in home.said()


@pytest.mark.parametrize("password", ["$mydomain", "#x", '"q', "a:b:c", "\\", "ø", "a  b", "-o x=y", "[x]:1 y:z"])
def test_any_password_arrives_as_it_is(home: MailHome, password: str):
    """Nothing in it is expanded, split or taken for a comment."""
    home.become(mail(), password)
    with provider_of(home, login=(LOGIN[0], password)) as provider:
        home.send("root@home.arpa")
        arrived(provider)


def test_mail_waits_for_the_internet_and_over_a_restart(home: MailHome):
    """A device is done at once; the message goes when the provider is back."""
    home.send("scans@home.arpa")
    home.retry(lambda: deferred(home, "Connection refused"))
    home.restart()
    assert home.waiting() == 1
    with provider_of(home) as provider:
        home.retry(lambda: provider.arrived != [])
        until(lambda: home.waiting() == 0, what="nothing waits")
    assert len(provider.arrived) == 1


@pytest.mark.parametrize(
    "recipient",
    [
        "nobody@home.arpa",
        "anna@home.arpa",
        "scans@tv.home.arpa",
        "nobody@hearth.home.arpa",
        "nobody@localhost",
        "nobody",
        "bob%elsewhere.example@home.arpa",
        "elsewhere.example!bob@home.arpa",
        '"scans@home.arpa|/bin/sh"@home.arpa',
        "scans+x@home.arpa",
    ],
)
def test_an_address_that_the_home_does_not_have_is_refused_to_the_device(home: MailHome, recipient: str):
    """At once and in plain words, so that nothing needs to be sent back later."""
    with home.device() as device:
        device.mail("scanner@home.arpa")
        code, _ = device.rcpt(recipient)
    assert code == 550
    assert home.waiting() == 0


def test_nobody_from_elsewhere_can_send_anything_to_anyone(home: MailHome):
    """An address outside the accepted networks is turned away at once: no relaying, no mail to the family, no word of who is here."""
    outside = smtplib.SMTP(timeout=20, source_address=(STRANGER, 0))
    assert outside.connect(ADDRESS, home.target.mail_port)[0] == 554
    recipients = (
        "bob@elsewhere.example",
        "scans@home.arpa",
        "postmaster",
        "root@localhost",
        "bob%elsewhere.example@home.arpa",
    )
    words = [
        ("EHLO", "x"),
        ("MAIL", "FROM:<>"),
        *(("RCPT", f"TO:<{recipient}>") for recipient in recipients),
        ("DATA", ""),
    ]
    words += [("VRFY", "scans@home.arpa"), ("EXPN", "scans"), ("ETRN", "home.arpa"), ("HELP", ""), ("STARTTLS", "")]
    for command, argument in words:
        assert outside.docmd(command, argument)[0] == 503
    outside.quit()
    assert home.waiting() == 0


def test_it_tells_devices_no_more_than_they_need(home: MailHome):
    """Neither who is here nor which program it is; and it fetches nothing for anybody."""
    with home.device() as device:
        answers = [
            device.docmd(*words) for words in (("VRFY", "scans@home.arpa"), ("EXPN", "scans"), ("ETRN", "home.arpa"))
        ]
        assert all(code >= 400 for code, _ in answers)
        assert b"ostfix" not in b"".join(words for _, words in (*answers, device.docmd("HELP"), device.ehlo("x")))
    connection = smtplib.SMTP(timeout=20)
    assert connection.connect(ADDRESS, home.target.mail_port) == (220, b"hearth.holm.example ESMTP")
    connection.quit()


def test_a_device_can_encrypt(home: MailHome):
    """By the key that the device made for itself."""
    with provider_of(home) as provider:
        home.send("root@home.arpa", encrypt=True)
        arrived(provider)
    assert "with ESMTPS" in provider.arrived[0].content


def test_a_message_beyond_the_limit_is_refused_to_the_device(home: MailHome):
    """Said at MAIL, before the first byte of it."""
    with home.device() as device:
        assert device.docmd("MAIL", "FROM:<a@home.arpa> SIZE=36700161")[0] == 552


def test_a_notice_of_failure_comes_from_the_one_sender_too(home: MailHome):
    """The provider refuses a recipient: the family's own mailbox is told, by a message that the provider takes."""
    with provider_of(home, refused=frozenset({"typo@elsewhere.example"})) as provider:
        home.send("typo@elsewhere.example")
        arrived(provider)
        until(lambda: home.waiting() == 0, what="nothing waits")
        (notice,) = provider.arrived
    assert (notice.sender, notice.recipients) == (ANNA, (ANNA,))
    assert notice.header("From") == [f"Mail Delivery System <{ANNA}>"]
    assert "<typo@elsewhere.example> is unknown here" in notice.content


@pytest.mark.parametrize("sender", ["scanner@home.arpa", ""])
def test_a_notice_that_cannot_be_delivered_is_the_end_of_it(home: MailHome, sender: str):
    """No notice answers a notice: the queue empties, and the provider is bothered twice at most."""
    with provider_of(home, refused=frozenset({"typo@elsewhere.example", ANNA})) as provider:
        home.send("typo@elsewhere.example", sender=sender, headers="From: x@home.arpa")
        until(lambda: "status=bounced" in home.said() and home.waiting() == 0, what="the queue empties")
        assert provider.arrived == []
        assert provider.met <= 2


def test_a_device_may_send_without_a_sender(home: MailHome):
    """It leaves as everything does."""
    with provider_of(home) as provider:
        home.send("bob@elsewhere.example", sender="", headers="From: scanner@home.arpa")
        arrived(provider)
    assert provider.arrived[0].sender == ANNA


def test_every_change_takes_effect_by_a_reload(home: MailHome):
    """Aliases, names, who may send, the sender and the log-in: another process never starts."""
    home.listen_to_reloads()
    before = home.incarnation()
    changes = [
        mail(aliases={"paper": frozenset({"jens"})}),
        mail(hostname="box.holm.example"),
        mail(accept_from=frozenset()),
        mail(relay={"sender": "home@holm.example", "username": "home@holm.example"}),
    ]
    for changed in changes:
        home.become(changed)
        assert home.incarnation() == before
    with provider_of(home, login=("home@holm.example", LOGIN[1])) as provider:
        home.send("root@home.arpa")
        arrived(provider)
    assert provider.arrived[0].sender == "home@holm.example"


def test_another_address_is_listened_at_after_a_reload(home: MailHome):
    """What Postfix calls its interfaces would need a restart; where its services listen does not."""
    moved = holm().appliance.model_copy(update={"address": ip_address("192.168.10.7")})
    home.listen_to_reloads()
    before = home.incarnation()
    (step,) = home.become(mail().model_copy(update={"appliance": moved}))
    assert (step.action, home.incarnation()) == (Action.RELOAD, before)
    assert "127.168.10.7" in home.ask().message
    with pytest.raises(ConnectionRefusedError), home.device():
        pass


def test_an_alias_that_went_is_refused_and_a_new_one_taken(home: MailHome):
    """As soon as the reload is through."""
    home.become(mail(aliases={"paper": frozenset({"jens"})}))
    with home.device() as device:
        device.mail("scanner@home.arpa")
        until(lambda: device.rcpt("paper@home.arpa")[0] == 250, what="the new alias is known")
        assert device.rcpt("scans@home.arpa")[0] == 550


def test_nothing_that_it_says_is_a_fault(home: MailHome):
    """The lines by which a trial fails do not appear in a day's work, whatever a device calls itself."""
    cursor = "0"
    with home.device() as device:
        device.ehlo("fatal: panic: warning: bad command startup")
        device.mail("fatal@panic.example")
        device.rcpt("panic: x@home.arpa")
    home.send("scans@home.arpa")
    home.retry(lambda: deferred(home, "Connection refused"))
    assert home.units.faults(home.plan, cursor) == ()


def test_a_restriction_that_postfix_does_not_know_shows_in_the_answer(home: MailHome):
    """Its own check passes that file: so the question to it is what finds it, and it fills nobody's mailbox meanwhile."""
    live = home.paths.state / "current/postfix/main.cf"
    live.write_text(live.read_text().replace("permit_mynetworks, reject", "permit_nobody_knows, reject"))
    home.units.perform([UnitStep(Action.RESTART, UNIT)], home.plan)
    until(lambda: "Server configuration error" in home.ask().message, what="the relay answers otherwise")
    assert home.waiting() == 0


def test_a_table_that_is_missing_is_a_fault_of_the_unit(home: MailHome):
    """Devices are told to come again, for ever; what Postfix says of the table is found in its log."""
    (home.paths.state / "current/postfix/aliases").unlink()
    home.units.perform([UnitStep(Action.RESTART, UNIT)], home.plan)

    def is_seen() -> bool:
        with suppress(OSError, smtplib.SMTPException):
            home.send("scans@home.arpa")
        return home.units.faults(home.plan, "0") != ()

    until(is_seen, what="the fault is seen")
