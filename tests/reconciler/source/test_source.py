"""The source as the agent uses it: peek, fetch, promote, refuse, over every transport, with real git on the other side."""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from desired_state.history import Repository
from desired_state.trust import Refused
from reconciler.errors import HearthError, Stalled, Transient
from reconciler.source import store
from reconciler.source.peek import Refs
from tests.reconciler.source.conftest import Device, Household, HttpHost, SshHost, make_key, reply

TOKEN = "hearth-secret-1b7"


def basic(user: str, token: str) -> str:
    """The header that a token becomes."""
    return "Basic " + base64.b64encode(f"{user}:{token}".encode()).decode()


def ready_for_ssh(device: Device, host: SshHost) -> None:
    """Do what joining does: make the deploy key, and note the host's."""
    host.authorized.write_text(make_key(device.keys / "deploy"))
    (device.keys / "known_hosts").write_text(f"[127.0.0.1]:{host.port} {host.host_key}\n")


def follow(device: Device, url: str) -> str:
    """Bring a device to the source's main, and return it."""
    source = device.source(url)
    tip = source.peek()
    source.fetch(tip)
    source.promote(tip)
    return tip


@pytest.mark.parametrize("form", ["{}", "file://{}"])
def test_a_local_repository_is_followed(device: Device, household: Household, form: str) -> None:
    """A path and a file:// address both work, and arrive at main."""
    tip = follow(device, form.format(household.path))
    assert tip == str(household.repository.references["refs/heads/main"].target)
    assert tip in device.objects()


def test_a_repository_with_a_work_tree_is_followed(device: Device, tmp_path: Path) -> None:
    """The folder a person edits in can be the source, also once its references are packed."""
    work = tmp_path / "work"
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b.c", "-C", work]
    subprocess.run(["git", "init", "-q", "-b", "main", work], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "one"], check=True)
    subprocess.run([*git, "pack-refs", "--all"], check=True)
    told = subprocess.run([*git, "rev-parse", "main"], check=True, capture_output=True, text=True).stdout.strip()
    assert follow(device, str(work)) == told


def test_an_http_host_is_followed_and_a_second_fetch_brings_only_what_is_new(
    device: Device, household: Household, http_host: HttpHost
) -> None:
    """Smart HTTP works from the first commit to the next."""
    follow(device, http_host.url())
    before = device.objects()
    new = household.commit("two")
    source = device.source(http_host.url())
    assert source.peek() == new
    source.fetch(new)
    held = subprocess.run(
        ["git", "-C", source.incoming, "count-objects", "-v"], check=True, capture_output=True, text=True
    ).stdout
    assert "in-pack: 3" in held or "count: 3" in held
    source.promote(new)
    assert before < device.objects()


def test_a_token_opens_a_private_repository(device: Device, http_host: HttpHost) -> None:
    """The token of keys/source-token is sent as HTTP Basic, by peek and by fetch."""
    http_host.token = basic("hearth", TOKEN)
    (device.keys / "source-token").write_text(f"{TOKEN}\n")
    follow(device, http_host.url())


def test_a_token_may_name_its_user(device: Device, http_host: HttpHost) -> None:
    """Some hosts tie a token to a certain user."""
    http_host.token = basic("deploy-7", TOKEN)
    (device.keys / "source-token").write_text(f"deploy-7:{TOKEN}\n")
    follow(device, http_host.url())


def test_a_refused_token_is_said_plainly_and_never_shown(device: Device, http_host: HttpHost) -> None:
    """A token that expired: one sentence, to try again later, without the token in it; by peek and by fetch."""
    http_host.token = basic("hearth", "another")
    (device.keys / "source-token").write_text(TOKEN)
    source = device.source(http_host.url())
    for attempt in (source.peek, lambda: source.fetch("0" * 40)):
        with pytest.raises(Transient, match=r"The git host 127\.0\.0\.1 refuses the key") as caught:
            attempt()
        assert TOKEN not in str(caught.value) + repr(caught.value.__dict__)


def test_a_private_repository_without_a_token_says_what_is_missing(device: Device, http_host: HttpHost) -> None:
    """Hosts say 401 or 404 for what they hide; the sentence names both possibilities."""
    http_host.token = basic("hearth", TOKEN)
    source = device.source(http_host.url())
    for attempt in (source.peek, lambda: source.fetch("0" * 40)):
        with pytest.raises(Transient, match="no repository at this source"):
            attempt()


def test_a_token_never_crosses_the_network_in_clear_text(device: Device) -> None:
    """http:// to another machine with a token is refused before any name is looked up."""
    (device.keys / "source-token").write_text(TOKEN)
    with pytest.raises(Stalled, match="readable by everyone"):
        device.source("http://git.invalid/home.git").peek()


def test_a_redirect_to_another_host_is_refused_and_no_credential_is_sent_there(
    device: Device, http_host: HttpHost, household: Household
) -> None:
    """Hostile case 24: neither peek nor fetch follows, though the token was asked for and sent to the first host."""
    (device.keys / "source-token").write_text(TOKEN)
    with HttpHost(household.path.parent) as other:
        elsewhere = other.url().replace("127.0.0.1", "localhost") + "/info/refs?service=git-upload-pack"

        def redirect(request: object) -> bool:
            if not request.headers.get("Authorization"):  # type: ignore[attr-defined] # an HTTP request
                return False
            reply(request, 302, b"", {"Location": elsewhere})  # type: ignore[arg-type]
            return True

        http_host.token, http_host.answer = basic("hearth", TOKEN), redirect
        source = device.source(http_host.url())
        for attempt in (source.peek, lambda: source.fetch("0" * 40)):
            with pytest.raises(Stalled, match="somewhere else") as caught:
                attempt()
            assert caught.value.reason == "SourceRefused"
        assert len(http_host.seen) >= 2
        assert other.seen == []
    assert not source.incoming.exists()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_of_the_transfer_itself_is_refused(
    device: Device, http_host: HttpHost, household: Household, status: int
) -> None:
    """The list of references comes from the right host, the pack would come from another: not followed either."""
    (device.keys / "source-token").write_text(TOKEN)
    with HttpHost(household.path.parent) as other:

        def redirect(request: object) -> bool:
            if request.command == "GET":  # type: ignore[attr-defined] # an HTTP request
                return False
            reply(request, status, b"", {"Location": other.url() + "/git-upload-pack"})  # type: ignore[arg-type]
            return True

        http_host.answer = redirect
        source = device.source(http_host.url())
        with pytest.raises(HearthError):
            source.fetch(source.peek())
        assert other.seen == []


def test_an_invalid_certificate_is_refused_by_peek_and_by_fetch(device: Device, tls_host: HttpHost) -> None:
    """TLS is checked in both places, and nothing is sent to a host that cannot prove its name."""
    (device.keys / "source-token").write_text(TOKEN)
    source = device.source(tls_host.url())
    for attempt in (source.peek, lambda: source.fetch("0" * 40)):
        with pytest.raises(Transient, match="certificate of localhost is not valid"):
            attempt()
    assert tls_host.seen == []


def test_a_home_with_its_own_authority_is_followed(
    device: Device, tls_host: HttpHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SSL_CERT_FILE counts for peek and fetch alike."""
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    follow(device, tls_host.url())


def test_an_ssh_host_is_followed_with_the_deploy_key(device: Device, household: Household, ssh_host: SshHost) -> None:
    """The deploy key opens it, the noted host key is found again."""
    ready_for_ssh(device, ssh_host)
    follow(device, ssh_host.url(household.path))


def test_an_unknown_ssh_host_key_is_never_trusted_on_first_use(
    device: Device, household: Household, ssh_host: SshHost
) -> None:
    """Only joining notes a host's key; later a new one, or none noted, is a refusal."""
    ready_for_ssh(device, ssh_host)
    source = device.source(ssh_host.url(household.path))
    for noted in ("", f"[127.0.0.1]:{ssh_host.port} {make_key(device.keys / 'other')}"):
        (device.keys / "known_hosts").write_text(noted)
        for attempt in (source.peek, lambda: source.fetch("0" * 40)):
            with pytest.raises(Transient, match="another host key"):
                attempt()


def test_a_withdrawn_deploy_key_is_said_plainly(device: Device, household: Household, ssh_host: SshHost) -> None:
    """The host is right but does not know the key: the home runs on, and people read why nothing new arrives."""
    ready_for_ssh(device, ssh_host)
    ssh_host.authorized.write_text("")
    source = device.source(ssh_host.url(household.path))
    for attempt in (source.peek, lambda: source.fetch("0" * 40)):
        with pytest.raises(Transient, match="refuses the key"):
            attempt()


def test_a_missing_deploy_key_is_said_plainly(device: Device, household: Household, ssh_host: SshHost) -> None:
    """Without its file nothing can be asked."""
    ready_for_ssh(device, ssh_host)
    (device.keys / "deploy").unlink()
    with pytest.raises(Transient, match=r"deploy key .* cannot be read"):
        device.source(ssh_host.url(household.path)).peek()


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("https://no-such-host.invalid/home.git", "was not found"),
        ("http://127.0.0.1:1/home.git", "does not answer"),
        ("ssh://git@no-such-host.invalid/home.git", "was not found"),
        ("ssh://git@127.0.0.1:1/home.git", "does not answer"),
        ("/no/such/repository.git", "no repository at this source"),
    ],
)
def test_an_unreachable_source_is_transient_and_says_why(device: Device, url: str, sentence: str) -> None:
    """Each has its own plain words, the same from peek and from fetch."""
    make_key(device.keys / "deploy")
    source = device.source(url)
    for attempt in (source.peek, lambda: source.fetch("0" * 40)):
        with pytest.raises(Transient, match=sentence) as caught:
            attempt()
        assert caught.value.reason == "SourceUnreachable"


def test_a_repository_without_main_is_refused(device: Device, household: Household, http_host: HttpHost) -> None:
    """An empty repository, or one with other branches only."""
    household.repository.references.delete("refs/heads/main")
    for url in (http_host.url(), str(household.path)):
        source = device.source(url)
        for attempt in (source.peek, lambda source=source: source.fetch("0" * 40)):
            with pytest.raises(Stalled, match="no branch called main"):
                attempt()
    household.commit("elsewhere", ref="refs/heads/master")
    with pytest.raises(Stalled, match="no branch called main"):
        device.source(http_host.url()).peek()


def test_only_main_is_fetched(device: Device, household: Household, http_host: HttpHost) -> None:
    """Tags, notes, replace references and other branches stay where they are, also tags that point into main."""
    tip = str(household.repository.references["refs/heads/main"].target)
    household.repository.references.create("refs/tags/v1", tip)
    others = [
        household.commit(ref, ref=ref, parents=[])
        for ref in ("refs/notes/commits", f"refs/replace/{tip}", "refs/heads/x")
    ]
    for url in (http_host.url(), str(household.path)):
        source = device.source(url)
        source.fetch(source.peek())
        listed = subprocess.run(
            ["git", "-C", source.incoming, "for-each-ref"], check=True, capture_output=True, text=True
        )
        assert listed.stdout.split() == [tip, "commit", "refs/heads/main"]
    source.promote(tip)
    assert not device.objects() & set(others)


def test_the_rules_of_trust_accept_incoming_with_its_one_alternate(device: Device, household: Household) -> None:
    """Rule 1 refuses borrowed objects, but for our own store's: what is fetched second is read together with the first."""
    first = follow(device, str(household.path))
    second = household.commit("two")
    source = device.source(str(household.path))
    source.fetch(second)
    repository = Repository.open(source.incoming, borrows=source.store / "objects")
    for commit in (first, second):
        assert repository.read(commit, "commit", 4096)
    with pytest.raises(Refused):
        Repository.open(source.incoming)
    unread = Repository.open(source.incoming, borrows=source.store / "objects")
    source.promote(second)
    for reader in (repository, unread):  # promoted in the middle of a verification, which reads on
        assert reader.read(second, "commit", 4096)


def test_main_that_moves_between_the_question_and_the_fetch_is_left_for_the_next_pass(
    device: Device, household: Household
) -> None:
    """What was asked about is what is judged, never something else."""
    source = device.source(str(household.path))
    tip = source.peek()
    household.commit("two")
    with pytest.raises(Transient) as caught:
        source.fetch(tip)
    assert caught.value.reason == "SourceMoved"


def test_what_merely_came_along_is_not_promoted(device: Device, household: Household) -> None:
    """Promoting an older commit of what was fetched brings that commit's objects and no others."""
    first = str(household.repository.references["refs/heads/main"].target)
    second = household.commit("two")
    source = device.source(str(household.path))
    source.fetch(second)
    source.promote(first)
    assert first in device.objects()
    assert second not in device.objects()
    source.promote(second)
    assert second in device.objects()
    assert device.waiting() == []


@pytest.mark.parametrize("damage", ["", "\x00" * 41, "0" * 40 + "\n"])
def test_a_damaged_reference_of_the_store_is_written_anew(device: Device, household: Household, damage: str) -> None:
    """A card that lost a sector costs a longer fetch, not the home's changes."""
    follow(device, str(household.path))
    (device.root / "repo.git/refs/heads/main").write_text(damage)
    new = household.commit("two")
    assert follow(device, str(household.path)) == new
    assert (device.root / "repo.git/refs/heads/main").read_text() == f"{new}\n"


def test_a_refused_tip_leaves_nothing_behind(device: Device, household: Household) -> None:
    """The store has the same objects and the same main as before."""
    good = follow(device, str(household.path))
    before = device.objects()
    bad = household.commit("bad")
    source = device.source(str(household.path))
    source.fetch(bad)
    source.refuse(bad)
    assert device.objects() == before
    assert not source.incoming.exists()
    assert (source.store / "refs/heads/main").read_text() == f"{good}\n"


def test_what_a_killed_fetch_left_is_cleared_by_the_next(device: Device, household: Household) -> None:
    """A half-written pack in incoming is gone before anything is fetched."""
    source = device.source(str(household.path))
    litter = source.incoming / "objects/pack/pack_half.pack"
    litter.parent.mkdir(parents=True)
    litter.write_bytes(b"PACK")
    source.fetch(source.peek())
    assert not litter.exists()
    assert device.waiting()
    source.promote(source.peek())
    assert device.waiting() == []


def test_many_changes_become_one_pack(device: Device, household: Household, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store is packed anew when its packs are too many, loses nothing, and stock git finds it sound."""
    monkeypatch.setattr(store, "MOST_PACKS", 5)
    for number in range(8):
        household.commit(f"change {number}")
        tip = follow(device, str(household.path))
    packs = list((device.root / "repo.git/objects/pack").glob("*.pack"))
    assert len(packs) < 5
    subprocess.run(["git", "-C", device.root / "repo.git", "fsck", "--strict", "--no-dangling"], check=True)
    assert tip in device.objects()
    assert len(device.objects()) == 9 * 3


def test_a_change_is_kept_even_when_the_store_cannot_be_packed_anew(
    device: Device, household: Household, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tidying up is no reason to refuse a verified change."""
    monkeypatch.setattr(store, "MOST_PACKS", 0)
    source = device.source(str(household.path))
    tip = source.peek()
    source.fetch(tip)
    monkeypatch.setattr(sys, "executable", "/bin/false")
    source.promote(tip)
    assert tip in device.objects()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to somebody else: run as root")
def test_a_repository_of_somebody_else_is_followed(device: Device, household: Household) -> None:
    """The agent is root and the repository is a person's: git's ownership check is not in the way."""
    for folder, _, files in os.walk(household.path):
        for name in [".", *files]:
            shutil.chown(Path(folder) / name, 12345, 12345)
    follow(device, str(household.path))


def test_a_users_git_configuration_does_not_apply(
    device: Device, household: Household, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An insteadOf in somebody's configuration cannot send the agent elsewhere."""
    (tmp_path / ".gitconfig").write_text(f'[url "/nowhere"]\n\tinsteadOf = {household.path}\n')
    monkeypatch.setenv("HOME", str(tmp_path))
    follow(device, str(household.path))


def test_a_proxy_or_netrc_of_the_environment_does_not_apply(
    device: Device, http_host: HttpHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No somebody else's password, and no detour."""
    (tmp_path / ".netrc").write_text(f"machine 127.0.0.1 login anna password {TOKEN}\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    follow(device, http_host.url())
    assert {request.authorization for request in http_host.seen} == {None}


def test_asking_again_writes_nothing_and_starts_nothing(
    device: Device, household: Household, http_host: HttpHost
) -> None:
    """A quiet pass costs no byte on disk and no process."""
    for url in (str(household.path), http_host.url()):
        source = device.source(url)
        source.peek()
        before = sorted((path, path.stat().st_mtime_ns) for path in device.root.rglob("*"))
        source.peek()
        assert sorted((path, path.stat().st_mtime_ns) for path in device.root.rglob("*")) == before


def test_asking_again_uses_the_same_connection(device: Device, http_host: HttpHost) -> None:
    """A quiet pass needs no new handshake."""
    ports = []
    http_host.answer = lambda request: bool(ports.append(request.client_address[1]))
    source = device.source(http_host.url())
    source.peek()
    source.peek()
    assert len(ports) == 2
    assert len(set(ports)) == 1


def test_following_a_file_imports_neither_requests_nor_pygit2() -> None:
    """Imports are paid by those who need them."""
    program = "import sys, reconciler.source; sys.exit(bool({'requests', 'pygit2', 'structlog'} & set(sys.modules)))"
    subprocess.run([sys.executable, "-c", program], check=True)


def state_head(household: Household, content: bytes, kind: str = "blob") -> str:
    """Put something at refs/hearth/head as stock git does, and return its id."""
    git = ["git", "-C", household.path]
    oid = subprocess.run(
        [*git, "hash-object", "-w", "-t", kind, "--stdin", "--literally"],
        input=content,
        check=True,
        capture_output=True,
    )
    told = oid.stdout.decode().strip()
    subprocess.run([*git, "update-ref", "refs/hearth/head", told], check=True)
    return told


@pytest.mark.parametrize("where", ["file", "http", "ssh"])
def test_a_head_statement_comes_along_with_main_and_alone(
    device: Device, household: Household, request: pytest.FixtureRequest, where: str
) -> None:
    """By each transport: in the fetch of main, and by itself once main is known; nothing of it reaches the store."""
    if where == "ssh":
        host: SshHost = request.getfixturevalue("ssh_host")
        ready_for_ssh(device, host)
        url = host.url(household.path)
    else:
        url = str(household.path) if where == "file" else request.getfixturevalue("http_host").url()
    stated = state_head(household, b"the newest is one\n")
    source = device.source(url)
    tip = source.peek()
    assert source.seen == Refs(tip, stated)
    source.fetch(tip, statement=True)
    source.promote(tip)
    assert source.statement() == b"the newest is one\n"
    state_head(household, b"the newest is still one\n")
    source.peek()
    assert source.statement() == b"the newest is still one\n"
    assert stated not in device.objects()
    assert not (device.root / "incoming").exists()


def test_a_huge_head_statement_does_not_hold_main_back(
    device: Device, household: Household, http_host: HttpHost
) -> None:
    """Who may write refs/hearth/head need not be who may write main."""
    state_head(household, os.urandom(2 * 1024**2))
    source = device.source(http_host.url(), received=1024**2)
    tip = source.peek()
    source.fetch(tip, statement=True)
    source.promote(tip)
    assert tip in device.objects()
    with pytest.raises(Stalled, match="larger than any household"):
        source.statement()


def test_a_statement_is_fetched_once(device: Device, household: Household, http_host: HttpHost) -> None:
    """A quiet pass stays one request, and asks for it no second time; without `statement` it is not fetched at all."""
    state_head(household, b"the newest is one\n")
    source = device.source(http_host.url())
    tip = source.peek()
    source.fetch(tip)
    source.promote(tip)
    source.statement()
    asked = len(http_host.seen)
    source.peek()
    assert source.statement() == b"the newest is one\n"
    assert len(http_host.seen) == asked + 1


@pytest.mark.parametrize("content", [b"x" * 4097, b"x" * 30_000_000])
def test_a_statement_of_any_size_but_a_small_one_is_none(device: Device, household: Household, content: bytes) -> None:
    """It is not even read."""
    state_head(household, content)
    source = device.source(str(household.path))
    source.peek()
    assert source.statement() == b""


def test_a_head_reference_that_stands_on_a_commit_is_no_statement(device: Device, household: Household) -> None:
    """Nor does it come into the store."""
    tip = household.commit("other", ref="refs/hearth/head", parents=[])
    source = device.source(str(household.path))
    assert source.peek() != tip
    assert source.statement() == b""


def test_nonsense_at_the_head_reference_does_not_keep_main_from_being_followed(
    device: Device, household: Household
) -> None:
    """A file that is no reference, a folder."""
    place = household.path / "refs/hearth/head"
    place.parent.mkdir(parents=True)
    place.write_text("nonsense\n")
    source = device.source(str(household.path))
    assert source.peek()
    assert source.seen == Refs(source.peek(), None)
    place.unlink()
    place.mkdir()
    assert source.peek()
