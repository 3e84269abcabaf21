"""All four services of one home together, served by the agent: what the family does with them, and what goes on when things are gone."""

from __future__ import annotations

import json
import smtplib
from email.message import EmailMessage

import pytest

from tests.bench import until
from tests.conformance.mail_home import try_all_now
from tests.full_bench import PASSWORDS, WholeBench

pytestmark = pytest.mark.conformance


def send(home: WholeBench, subject: str) -> None:
    """Send a message from a device of the home, as a scanner does."""
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "scanner@home.arpa", "aunt@elsewhere.example", subject
    message.set_content("A page.")
    with smtplib.SMTP("127.168.10.2", home.ports["mail_port"], timeout=20) as relay:
        relay.send_message(message)


def arrived(home: WholeBench) -> list[str]:
    """Return the subjects of what the provider took."""
    return [subject for message in home.provider.arrived for subject in message.header("Subject")]


def test_everything_asked_of_the_daemons_is_answered(standing_whole: WholeBench) -> None:
    """Names, folders, mail and certificates; and only Mia, who has no password yet, is named."""
    code, status = standing_whole.bench.hearth_json("status")
    found = {one["type"]: one for one in status["conditions"]}
    assert (code, found["Ready"]["status"], found["Healthy"]["status"]) == (0, "True", "True")
    assert found["SecretsReady"]["reason"] == "PasswordMissing"
    assert "mia" in found["SecretsReady"]["message"]
    assert "anna" not in found["SecretsReady"]["message"]


def test_one_person_writes_where_another_may_only_read(whole: WholeBench) -> None:
    """Jens saves, Anna reads what he saved, a wrong password opens nothing, and Jens may not see Anna's backups."""
    page = whole.bench.folder / "page.txt"
    page.write_text("A page.\n")
    assert whole.use("family", "jens", f"put {page} page.txt").returncode == 0
    assert "page.txt" in whole.use("family", "anna", "ls").stdout
    assert "LOGON_FAILURE" in whole.use("family", "anna", "ls", password="wrong").stdout
    assert "ACCESS_DENIED" in whole.use("backups", "jens", "ls").stdout
    assert whole.use("media", "mia", "ls", password="").returncode != 0


def test_a_password_that_changes_restarts_nothing(whole: WholeBench) -> None:
    """The commit leaves the artifact as it is: the new word works, the old one does not, and smbd is the same process."""
    before = whole.bench.journal.confirmed
    processes = sorted((whole.bench.paths.run / "children").rglob("*")) if before else []
    whole.set_secret("person-mia", "mia has one at last")
    whole.bench.git("push", "--quiet")
    whole.bench.hearth("reconcile", "--json")
    assert whole.use("media", "mia", "ls", password="mia has one at last").returncode == 0
    after = whole.bench.journal.confirmed
    assert before is not None
    assert after is not None
    assert (after.digest == before.digest, after.revision == before.revision) == (True, False)
    assert processes == sorted((whole.bench.paths.run / "children").rglob("*"))


def test_without_internet_files_open_and_mail_waits(whole: WholeBench) -> None:
    """What was sent meanwhile is queued, and leaves by itself once the provider is back, with the sender that it owns."""
    send(whole, "before")
    until(lambda: "before" in arrived(whole), 60, what="the first message")
    whole.bench.stop_world()
    whole.stop_provider()
    assert whole.use("family", "anna", "ls").returncode == 0
    send(whole, "meanwhile")
    until(
        lambda: any(path.is_file() for path in (whole.queue / "deferred").rglob("*")),
        60,
        what="the second message is put off",
    )
    assert "meanwhile" not in arrived(whole)
    whole.start_provider()
    try_all_now(whole.queue)
    until(lambda: "meanwhile" in arrived(whole), 60, what="the message that waited")
    assert {message.sender for message in whole.provider.arrived} == {"anna@holm.example"}
    assert all(message.encrypted for message in whole.provider.arrived)


def test_no_secret_is_anywhere_but_in_memory(standing_whole: WholeBench) -> None:
    """I6: neither on the device's disk, nor in its log, its status or the household's clone."""
    words = [*PASSWORDS.values(), "correct horse: battery $staple #1"]
    places = [standing_whole.bench.pi / "var", standing_whole.bench.pi / "etc", standing_whole.bench.household]
    files = [path for place in places for path in place.rglob("*") if path.is_file() and not path.is_symlink()]
    said = [standing_whole.bench.folder / "agent.log", standing_whole.bench.paths.status]
    assert len(files) > 50
    for path in [*files, *said]:
        content = path.read_bytes()
        assert not [word for word in words if word.encode() in content], path
    assert not any(word in json.dumps(standing_whole.bench.hearth_json("history")[1]) for word in words)
