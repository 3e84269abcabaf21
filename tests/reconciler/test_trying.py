"""What the answers of real clients mean: the judgements behind `hearth test`, without the daemons."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from reconciler.errors import Misused
from reconciler.provision.x509 import new_intermediate, new_root, new_server
from reconciler.run import Finished
from reconciler.trying import certificate, files, mail
from reconciler.trying.certificate import Standing
from reconciler.trying.files import Complaint, Rights
from tests.renderers.homes import holm

NOW = datetime(2026, 11, 21, 13, 0, tzinfo=UTC)
HOST = "ca.home.arpa"
GONE = "NT_STATUS_NO_SUCH_FILE listing \\x\nNT_STATUS_OBJECT_NAME_NOT_FOUND listing \\.recycle\\x\n"


def said(words: str, code: int = 1) -> list[Complaint]:
    """Return what smbclient complains of in these words."""
    return files.complaints(Finished(code, words.encode()))


def test_what_a_person_may_do_follows_from_their_own_level_and_everyones():
    """The higher one counts; and what is left stays closed."""
    home = holm()
    assert files.rights(home, "anna") == Rights(("backups", "family"), ("media",), ())
    assert files.rights(home, "jens") == Rights(("family", "media"), (), ("backups",))
    assert files.rights(home, "mia") == Rights((), ("family", "media"), ("backups",))


def test_a_files_name_is_no_complaint():
    """Whoever may write in a folder chooses the names there; smbclient indents them."""
    assert said("  NT_STATUS_ACCESS_DENIED opening      A        6  Sat Nov 21 13:14:08 2026\n", 0) == []


def test_a_client_that_fails_without_a_status_complains_all_the_same():
    """No answer is never a good answer."""
    assert said("do_connect: Connection to 127.0.0.1 failed\n") == [
        Complaint("do_connect: Connection to 127.0.0.1 failed")
    ]
    assert said("") == [Complaint("smbclient ended with 1")]


def test_a_file_that_was_written_and_is_gone_leaves_no_complaint():
    """From the folder, and from where removed files wait."""
    assert files.written(said(GONE), "x") == []


@pytest.mark.parametrize(
    "words",
    [
        "NT_STATUS_NO_SUCH_FILE listing \\x\n",  # not from the recycle folder
        "NT_STATUS_OBJECT_NAME_NOT_FOUND listing \\.recycle\\x\n",
        f"NT_STATUS_ACCESS_DENIED opening remote file \\x\n{GONE}",
        f"NT_STATUS_DISK_FULL closing remote file \\x\n{GONE}",
        f"NT_STATUS_CANNOT_DELETE deleting remote file \\x\n{GONE}",
        "tree connect failed: NT_STATUS_ACCESS_DENIED\n",
        "",
    ],
)
def test_a_file_that_was_not_written_or_is_not_gone_is_a_complaint(words: str):
    """Each step counts."""
    assert files.written(said(words), "x") != []


def test_only_a_refusal_counts_as_refused():
    """Neither a folder that opens, nor one that is not there, nor a server that is away."""
    for words in ("tree connect failed: NT_STATUS_ACCESS_DENIED", "session setup failed: NT_STATUS_LOGON_FAILURE"):
        assert files.refused(said(words)) == []
    for words, code in {
        "  a.txt": 0,
        "tree connect failed: NT_STATUS_BAD_NETWORK_NAME": 1,
        "do_connect: failed": 1,
    }.items():
        assert files.refused(said(words, code)) != []


def test_mail_for_nobody_in_particular_goes_to_who_gets_roots():
    """Without such an alias a person has to say whom."""
    home = holm()
    assert mail.recipient(home, None) == "anna@holm.example"
    assert mail.recipient(home, "jens") == "jens@holm.example"
    assert mail.recipient(home, "scans@home.arpa") == "scans@home.arpa"
    assert home.mail is not None
    rootless = home.model_copy(update={"mail": home.mail.model_copy(update={"aliases": {}})})
    with pytest.raises(Misused, match="no e-mail address for root"):
        mail.recipient(rootless, None)


def test_a_message_that_stays_in_the_queue_is_under_way(tmp_path: Path):
    """The wait is bounded, and what is not known is not called delivered."""
    for part in ("active", "bounce", "deferred", "incoming"):
        (tmp_path / part).mkdir()
    (tmp_path / "active" / "ABC123").touch()
    queue = mail.Queue(tmp_path)
    with queue.watch() as bounces:
        assert queue.follow("ABC123", bounces, seconds=0.2) == ("under way", "")


def test_a_notice_that_is_written_and_gone_within_a_moment_is_seen(tmp_path: Path):
    """bounce(8) removes its log before the message; what it said is kept."""
    (tmp_path / "bounce").mkdir()
    queue = mail.Queue(tmp_path)
    log = tmp_path / "bounce" / "ABC123"
    with queue.watch() as bounces, log.open("w") as writing:
        writing.write("<x@y.example>: no\nrecipient=x@y.example\nreason=host y said: 550 no\n")
        writing.flush()
        bounces.look("", 1)
        log.unlink()
        assert queue.follow("ABC123", bounces) == ("refused", "host y said: 550 no")


@pytest.fixture(scope="module")
def authority() -> Standing:
    """A home's authority and its server's certificate."""
    root = new_root("Holm Home CA", "home.arpa", NOW)
    intermediate = new_intermediate(root, "Holm Home CA", "home.arpa", ["192.168.10.0/24"], NOW)
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    server = new_server(intermediate, public, [HOST], timedelta(days=1), NOW)
    return Standing(root.certificate, intermediate.certificate, server)


def ends(found: Standing, now: datetime) -> dict[str, bool | None]:
    """Return which certificates are well."""
    return {one.name: one.ok for one in certificate.judge(found, HOST, now)}


def test_an_authority_that_is_well_is_believed(authority: Standing):
    """Chain, names and ends, and the constraint is said."""
    assert ends(authority, NOW) == {"server": True, "intermediate": True, "root": True}
    assert "only for home.arpa, 192.168.10.0/24" in [*certificate.judge(authority, HOST, NOW)][1].said


def test_a_certificate_that_devices_would_not_believe_is_a_fault(authority: Standing):
    """Another name, past its end, by another root, or for a name outside the home."""
    other = new_root("Holm Home CA", "home.arpa", NOW).certificate
    assert certificate.chain_fault(authority.server, authority, "tv.home.arpa", NOW)
    assert certificate.chain_fault(authority.server, authority, HOST, NOW + timedelta(days=2))
    assert certificate.chain_fault(authority.server, replace(authority, root=other), HOST, NOW)


def test_a_certificate_outside_the_constraint_is_a_fault():
    """A root that vouches for the home alone makes no bank believable."""
    root = new_root("CA", "home.arpa", NOW)
    intermediate = new_intermediate(root, "CA", "home.arpa", ["192.168.10.0/24"], NOW)
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    bank = new_server(intermediate, public, ["bank.example"], timedelta(days=1), NOW)
    found = Standing(root.certificate, intermediate.certificate, bank)
    assert certificate.chain_fault(bank, found, "bank.example", NOW)


def test_an_authority_whose_end_is_near_is_a_fault(authority: Standing):
    """Devices would refuse what it signs soon."""
    near: x509.Certificate = authority.intermediate
    found = ends(authority, near.not_valid_after_utc - timedelta(days=10))
    assert found == {"server": False, "intermediate": False, "root": True}
