"""The real Samba serves a rendered home as child processes, and people use it with the real smbclient.

As the user who runs the tests; where that is root also as nobody, who has no right and is no owner of anything.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from desired_state.model import Files
from reconciler.cage import caged
from reconciler.check import check, objected
from reconciler.errors import Stalled, Transient
from reconciler.probe import ask
from reconciler.smb_probe import answers
from renderers import APPLIANCE
from renderers.plan import SmbProbe
from renderers.samba import SAMBA, render
from renderers.samba_plan import CONF
from tests.conformance.file_server import NOBODY, FileServer, missing
from tests.conformance.running import until
from tests.renderers.homes import BENCH, full, holm

pytestmark = pytest.mark.conformance

USERS = {"as oneself": None, **({"as nobody": NOBODY} if os.geteuid() == 0 else {})}


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path that a daemon without rights can read: sockets lie below it."""
    made = Path(tempfile.mkdtemp(prefix="hearth-smb-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture(params=USERS.values(), ids=USERS)
def server(request, folder) -> Iterator[FileServer]:
    """The example household's file server, up and answering."""
    if reason := missing():
        pytest.skip(reason)
    with closing(FileServer(folder, holm(), user=request.param)) as running:
        yield running


def sharing(**shares):
    """Return the example with other fields in its shares, by name; None takes one away."""
    home = holm()
    edited = {**home.files.shares}
    for name, fields in shares.items():
        if fields is None:
            del edited[name]
        else:
            edited[name] = edited.get(name, home.files.shares["media"]).model_copy(update=fields)
    return home.model_copy(update={"files": home.files.model_copy(update={"shares": edited})})


def without(person):
    """Return the example after someone left it."""
    home = sharing(
        **{
            name: {"access": {who: level for who, level in share.access.items() if who != person}}
            for name, share in holm().files.shares.items()
        }
    )
    return home.model_copy(update={"people": {who: each for who, each in home.people.items() if who != person}})


@pytest.fixture
def letter(tmp_path) -> Path:
    """A file to save."""
    made = tmp_path / "letter"
    made.write_text("Dear Mia,\n")
    return made


def test_each_may_do_what_the_home_says_and_nothing_else(server, letter, tmp_path):
    """Anna saves, Jens deletes what she saved, Mia reads and can do neither; of the backups Jens sees nothing."""
    assert server.use("family", "anna", "mkdir post", f"put {letter} post/letter").code == 0
    assert server.use("family", "mia", f"get post/letter {tmp_path}/got").code == 0
    assert (tmp_path / "got").read_text() == "Dear Mia,\n"
    for forbidden in (f"put {letter} mine", "rm post/letter", "rename post/letter x", "mkdir mine", "rmdir post"):
        refused = server.use("family", "mia", forbidden).status
        assert refused in {"NT_STATUS_ACCESS_DENIED", "NT_STATUS_MEDIA_WRITE_PROTECTED"}
    assert server.use("family", "jens", "rename post/letter post/read", "rm post/read", "rmdir post").code == 0
    assert server.use("backups", "jens", "ls").status == "NT_STATUS_ACCESS_DENIED"
    assert [entry.name for entry in (server.shares / "family").iterdir()] == [".recycle"]
    assert server.faults() == []


@pytest.mark.parametrize(
    ("person", "password"),
    [("anna", "wrong"), ("anna", ""), ("nobody", ""), ("root", ""), ("leo", "leo-has-one"), ("", "")],
)
def test_without_the_right_password_there_is_no_way_in(server, person, password):
    """A wrong one, none, a stranger, the guest, the machine's own users, a session without a name."""
    said = server.use("media", person, "ls", password=password)
    assert said.code != 0
    assert said.status in {"NT_STATUS_LOGON_FAILURE", "NT_STATUS_ACCESS_DENIED"}


def test_a_person_without_a_password_is_made_and_cannot_log_in(server):
    """Case 38 for a person: the line is there and fits no password, not the empty one, not the hash's own text."""
    server.passwords["mia"] = None
    server.provide()
    for guess in ("", "X" * 32, "mia-has-one"):
        assert server.use("family", "mia", "ls", password=guess).status in {
            "NT_STATUS_LOGON_FAILURE",
            "NT_STATUS_ACCOUNT_DISABLED",
        }
    assert server.use("family", "anna", "ls").code == 0


def test_a_new_password_counts_at_once_and_tells_the_daemon_nothing(server):
    """Neither a restart nor a reload: Samba looks at every log-in. Who is inside stays inside."""
    with server.stay("family", "jens") as inside:
        assert "blocks available" in inside.do("ls")
        server.passwords["anna"] = "ein neues, längeres"
        server.provide()
        assert server.use("family", "anna", "ls", password="Anna's pässword, 20%!").status == "NT_STATUS_LOGON_FAILURE"
        assert server.use("family", "anna", "ls").code == 0
        assert "blocks available" in inside.do("ls")
    assert server.become(holm()) == []


def test_a_new_share_appears_by_a_reload_and_no_connection_is_lost(server, letter):
    """Jens copies on while the family gets another folder, and finds it."""
    server.grow_up()
    with server.stay("family", "jens") as inside:
        assert "blocks available" in inside.do("ls")
        assert server.become(sharing(music={"access": {"jens": "write"}})) == ["reload"]
        assert "putting file" in inside.do(f"put {letter} letter")
    assert server.use("music", "jens", f"put {letter} song").code == 0
    assert server.use("music", "anna", "ls").status == "NT_STATUS_ACCESS_DENIED"


@pytest.mark.parametrize("level", ["read", None], ids=["may only read", "may not enter"])
def test_what_is_taken_from_someone_is_taken_from_an_open_connection(server, letter, level):
    """Samba itself would let who is inside go on until they leave."""
    access = {"anna": "write", **({"jens": level} if level else {})}
    with server.stay("family", "jens") as inside:
        assert "putting file" in inside.do(f"put {letter} before")
        assert server.become(sharing(family={"access": access})) == ["restart"]
        assert "putting file" not in inside.do(f"put {letter} after")
    assert server.use("family", "jens", f"put {letter} after").code != 0
    assert [entry.name for entry in (server.shares / "family").iterdir()] == ["before"]


def test_who_leaves_the_home_is_refused_and_what_they_saved_stays(server, letter):
    """No account is left, even with the right password; the family keeps the files."""
    server.use("family", "jens", f"put {letter} letter")
    server.become(without("jens"))
    assert server.use("family", "jens", "ls", password=server.passwords["jens"]).status == "NT_STATUS_LOGON_FAILURE"
    assert server.use("family", "anna", "ls letter").code == 0


def test_a_share_that_goes_leaves_its_files(server, letter):
    """It is not served any more; nothing below is touched, and it is all there when it comes back."""
    server.use("family", "jens", f"put {letter} letter")
    server.become(sharing(family=None))
    assert server.use("family", "jens", "ls").status == "NT_STATUS_BAD_NETWORK_NAME"
    assert (server.shares / "family" / "letter").read_text() == "Dear Mia,\n"
    server.become(holm())
    assert server.use("family", "mia", "ls letter").code == 0


def test_what_is_deleted_lies_in_the_recycle_folder(server, letter):
    """With its folder, and beside an older one of the same name; whoever may enter may fetch it back."""
    for _ in range(2):
        server.use("family", "anna", "mkdir post", f"put {letter} post/letter", "rm post/letter")
    kept = server.shares / "family" / ".recycle" / "post"
    assert len(list(kept.iterdir())) == 2
    assert server.use("family", "jens", "rename .recycle/post/letter letter").code == 0


def test_a_backup_has_its_limit_and_deletes_for_good(server, letter):
    """The Mac is told of 500 GiB however large the disk is, and what it thins out is gone."""
    said = server.use("backups", "anna", f"put {letter} band", "rm band", "ls")
    assert f"{500 * 2**20} blocks of size 1024" in said.words
    assert list((server.shares / "backups").iterdir()) == []


@pytest.mark.parametrize("protocol", ["NT1", "SMB2_02"])
def test_old_protocols_are_refused(server, protocol):
    """SMB 1 and 2.0 are not spoken; 2.1, which scanners and televisions know, is."""
    said = server.use("family", "anna", "ls", options=(f"--max-protocol={protocol}",))
    assert said.code != 0
    assert server.use("family", "anna", "ls", options=("--max-protocol=SMB2_10",)).code == 0


def test_no_link_leads_out_of_a_folder_nor_anywhere(server, folder):
    """Case 33: a link that somebody put into a share, to a file, to the folder of another share, or to its own."""
    secret = folder / "secret"
    secret.write_text("canary")
    family = server.shares / "family"
    for name, target in {"file": secret, "folder": server.shares / "backups", "root": Path("/"), "own": family}.items():
        (family / name).symlink_to(target)
    for path in ("file", "folder/x", "root/etc/passwd", "own/file", "../../secret", "..\\..\\secret"):
        assert server.use("family", "anna", f"get {path} /dev/null").words.count("getting file") == 0
        assert server.use("family", "anna", f"put /dev/null {path}").words.count("putting file") == 0
    assert secret.read_text() == "canary"
    assert list((server.shares / "backups").iterdir()) == []


# --- the probe ---------------------------------------------------------------------------------------------------------------------


def test_the_probe_holds_for_this_configuration_and_for_no_other(server):
    """A share less, a share more, another file: each shows. So does a daemon that is gone."""
    (probe,) = server.artifact.plan.probes
    assert ask([probe])[0].ok
    other = SmbProbe(probe.name, probe.server, probe.port, probe.shares, "hearth-0123456789abcdef$")
    assert "another configuration" in ask([other])[0].message
    more = SmbProbe(probe.name, probe.server, probe.port, (*probe.shares, "music"), probe.seal)
    assert ask([more])[0].message.endswith("music: it is not served")
    server.units.close()
    assert "refused" in ask([probe])[0].message


@pytest.mark.parametrize(
    ("line", "other", "word"),
    [
        ("server signing = mandatory", "server signing = auto", "does not insist on signed messages"),
        ("server min protocol = SMB2_10", "server max protocol = SMB2_02", "does not speak SMB 2.1"),
        (
            "path = /var/empty\nvalid users = root",
            "path = /\nguest ok = yes\ninvalid users =",
            "a stranger may enter it",
        ),
    ],
)
def test_the_probe_sees_a_server_that_lets_too_much(server, line, other, word):
    """No signatures, an old protocol only, a guest: whatever the file says, this is what is asked for."""
    server.spoil(line, other)
    until(lambda: word in server.ask()[0].message, f"{word}: {server.ask()}")


@pytest.mark.parametrize(
    ("line", "other"),
    [
        ("[global]", "[global]\nno such parameter = 1"),
        ("server signing = mandatory", "server signing = perhaps"),
        ("interfaces = 127.168.10.2/8", "interfaces = 203.0.113.9/32"),
    ],
)
def test_what_samba_complains_of_is_a_fault_of_its_unit(server, line, other):
    """It serves on, with a default in place of what it did not take, or ends: its own line about that is found."""
    assert server.faults() == []
    server.spoil(line, other)
    until(server.faults, f"a fault is found in {[each.text for each in server.units._lines]}")


def test_the_probe_costs_little_and_leaves_nothing(server):
    """In every quiet pass: about a millisecond of the agent's own time."""
    (probe,) = server.artifact.plan.probes
    began = time.process_time()
    assert all(answers(probe, seconds=2.0)[0] for _ in range(20))
    assert (time.process_time() - began) / 20 < 0.01


# --- the checker -------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def staged(folder):
    """Stage files and return Samba's own verdict on them, from inside the cage."""
    if reason := missing():
        pytest.skip(reason)

    def verdict(content: bytes) -> tuple[str, ...]:
        (folder / CONF).parent.mkdir(exist_ok=True)
        (folder / CONF).write_bytes(content)
        (checker,) = SAMBA.checkers(holm())
        return objected(checker, caged(checker.command, folder, seconds=checker.seconds))

    return verdict


@pytest.mark.parametrize("target", [APPLIANCE, BENCH], ids=["appliance", "bench"])
def test_samba_accepts_what_is_rendered_without_an_unknown_word(staged, target):
    """For an appliance and for a bench whose folders are not there yet, or closed to the checker."""
    assert staged(render(holm(), target)[CONF].content) == ()


@pytest.mark.parametrize(
    "line",
    [
        "no such parameter = 1",
        "server signing = perhaps",
        "server min protocol = SMB9",
        "[",
    ],
)
def test_a_word_of_sambas_against_the_file_fails_the_check(staged, line):
    """Case 35: testparm exits 0 on most of these, and ignores the line."""
    before = render(holm(), APPLIANCE)[CONF].content
    assert staged(before.replace(b"[global]\n", b"[global]\n" + line.encode() + b"\n"))


@pytest.mark.parametrize(
    "lines",
    [
        "[x]\npath = /tmp\nroot preexec = touch {canary}",
        "include = {canary}.conf",
        "config file = {canary}.conf",
        "panic action = touch {canary}",
        "[x]\npath = /tmp\nmagic script = {canary}",
        "username map script = touch {canary}",
    ],
)
def test_no_checker_runs_what_a_file_asks_for(staged, folder, lines):
    """Case 31: were such a line ever to get past the two looks before, reading it still runs nothing."""
    canary = folder / "canary"
    (folder / "canary.conf").write_text(f"[y]\npath = /tmp\nroot preexec = touch {canary}\n")
    staged(render(holm(), APPLIANCE)[CONF].content + lines.format(canary=canary).encode() + b"\n")
    assert not canary.exists()


@pytest.mark.parametrize(
    ("address", "word"),
    [
        ("127.0.0.1", "Allow"),
        ("10.20.3.255", "Allow"),
        ("10.20.4.1", "Deny"),
        ("fd00:10:20::77", "Allow"),
        ("fd00:10:21::77", "Deny"),
        ("fe80::48fa:62ff:fe52:76fb", "Allow"),
        ("2001:db8::1", "Deny"),
        ("203.0.113.9", "Deny"),
    ],
)
def test_only_the_home_may_connect(folder, address, word):
    """Samba's own word on who is on the home's networks: an address that the internet reaches is on none of them."""
    if reason := missing():
        pytest.skip(reason)
    shares = Files.model_validate({"shares": {"media": {"description": "Films", "access": {"everyone": "read"}}}})
    (folder / "smb.conf").write_bytes(render(full().model_copy(update={"files": shares}), APPLIANCE)[CONF].content)
    command = ["testparm", str(folder / "smb.conf"), "somebody", address]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert f"{word} connection from somebody ({address}) to media" in done.stdout + done.stderr


def test_what_is_wrong_with_a_file_and_what_with_its_checker_are_told_apart(folder):
    """Case 35: an unknown word is a fault of the file; a checker that is stopped before its end says nothing about it."""
    if reason := missing():
        pytest.skip(reason)
    (checker,) = SAMBA.checkers(holm())
    (folder / CONF).parent.mkdir()
    (folder / CONF).write_bytes(b"[global]\nno such parameter = 1\n")
    with pytest.raises(Stalled, match="does not accept"):
        check([checker], folder)
    with pytest.raises(Transient, match="could not check"):
        check([replace(checker, seconds=0.001)], folder)
