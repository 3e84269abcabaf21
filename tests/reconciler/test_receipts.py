"""Receipts on a real home: one for each change that proved itself, by the device's own key, kept within bounds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from desired_state.sshsig import read_public_line
from desired_state.trust import Anchor
from desired_state.trust.people import Key
from desired_state.trust.receipt import Receipt, check_receipt, read_receipt
from reconciler.errors import Misused
from reconciler.generation import Generations
from reconciler.journal import Attempt, Confirmed, Ending, Journal
from reconciler.receipts import MOST_RECEIPTS, Receipts, device_line
from reconciler.settings import Paths, Settings
from renderers import Artifact
from renderers.plan import Plan
from tests.bench import Bench
from tests.reconciler.passes import Device

HOUSEHOLD = "01234567-89ab-cdef-0123-456789abcdef"
NOON = 1_795_262_400.75


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    """An empty device."""
    made = Paths(tmp_path)
    made.prepare()
    return made


@pytest.fixture
def generations(paths: Paths) -> Generations:
    """One staged generation."""
    made = Generations(paths.state)
    made.stage(ARTIFACT)
    return made


ARTIFACT = Artifact(files={}, plan=Plan())


def receipts(paths: Paths) -> Receipts:
    """The spool, as a process finds it at its start."""
    return Receipts(paths, Settings(source="/x", household=HOUSEHOLD, genesis="a" * 40, interval="5m"))


def confirmed(commit: str = "b" * 40, at: float = NOON, ending: Ending = Ending.CONFIRMED) -> Journal:
    """A journal in which this commit was confirmed."""
    attempt = Attempt(ARTIFACT.digest, commit, at - 5, at, ending, "Healthy")
    return Journal(floor=commit, confirmed=Confirmed(ARTIFACT.digest, commit, at), attempts=(attempt,))


def files(paths: Paths) -> dict[str, int]:
    """The spool's files, and when each was written."""
    return {path.name: path.stat().st_mtime_ns for path in sorted(paths.receipts.iterdir())}


def test_a_confirmed_change_gets_one_receipt_however_often_it_is_looked_at(paths: Paths, generations: Generations):
    """In this process and in the next; a quiet pass writes nothing and does not read the key."""
    spool = receipts(paths)
    content = spool.give(confirmed(), generations)
    written = files(paths)
    assert len(written) == 1
    paths.device_key.unlink()
    assert spool.give(confirmed(), generations) == content
    assert receipts(paths).give(confirmed(), generations) == content
    assert files(paths) == written
    assert not paths.device_key.exists()


def test_the_receipt_says_what_the_journal_says(paths: Paths, generations: Generations):
    """Commit, digest, the renderer that made it, and the second at which it was confirmed, by the key of its line."""
    content = receipts(paths).give(confirmed(), generations)
    device = Key(
        "pi", read_public_line(device_line(paths.device_key, "pi").partition(" namespaces=")[2].split(" ", 1)[1])
    )
    read, key = check_receipt(content.encode(), Anchor(HOUSEHOLD, "a" * 40), "b" * 40, (device,))
    assert read == Receipt(HOUSEHOLD, "a" * 40, "b" * 40, ARTIFACT.digest, ARTIFACT.renderer, int(NOON))
    assert key == device


def test_a_receipt_that_a_power_cut_lost_is_made_again_the_same(paths: Paths, generations: Generations):
    """It follows from the journal, and Ed25519 signatures have no randomness."""
    content = receipts(paths).give(confirmed(), generations)
    for path in paths.receipts.iterdir():
        path.unlink()
    assert receipts(paths).give(confirmed(), generations) == content


def test_going_back_by_hand_writes_no_second_receipt(paths: Paths, generations: Generations):
    """What was confirmed before has one already."""
    spool = receipts(paths)
    first, second = confirmed(), confirmed("c" * 40, NOON + 60)
    both = replace(second, attempts=first.attempts + second.attempts)
    spool.give(first, generations)
    spool.give(both, generations)
    written = files(paths)
    assert receipts(paths).give(replace(both, confirmed=first.confirmed), generations)
    assert files(paths) == written


def test_nothing_is_said_of_what_did_not_prove_itself(paths: Paths, generations: Generations):
    """A trial that failed, a journal that was lost and guessed again, a generation that is gone, an empty journal."""
    spool = receipts(paths)
    assert spool.give(Journal(), generations) is None
    assert spool.give(confirmed(ending=Ending.FAILED), generations) is None
    assert spool.give(replace(confirmed(), attempts=()), generations) is None
    assert spool.give(confirmed(), Generations(paths.root / "elsewhere")) is None
    assert not paths.receipts.exists()


def test_the_spool_is_bounded_whatever_the_clock_says(paths: Paths, generations: Generations):
    """The oldest go first, and oldest is what was written first, also with a clock that fell back to 1970."""
    spool = receipts(paths)
    for number in range(MOST_RECEIPTS + 5):
        spool.give(confirmed(f"{number:040x}", 1_000.0 if number > 100 else NOON), generations)
    kept = [read_receipt(content.encode())[0].commit for content in receipts(paths).all()]
    assert kept == [f"{number:040x}" for number in range(5, MOST_RECEIPTS + 5)]


@pytest.mark.parametrize("at", [-5.0, 0.0, 4_070_908_800.0, 1e15])
def test_a_clock_that_is_wrong_still_gives_a_receipt_of_the_right_form(
    paths: Paths, generations: Generations, at: float
):
    """The time is what the device's clock said, and proves nothing."""
    content = receipts(paths).give(confirmed(at=at), generations)
    assert read_receipt(content.encode())[0].commit == "b" * 40
    assert receipts(paths).give(confirmed(at=at), generations) == content
    assert len(files(paths)) == 1


def test_a_device_key_that_is_none_is_a_sentence_without_its_content(paths: Paths, generations: Generations):
    """The home works; what to do is said."""
    paths.device_key.write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nsecret\n")
    with pytest.raises(Misused, match="is not this device's key") as caught:
        receipts(paths).give(confirmed(), generations)
    assert "secret" not in str(caught.value)


# --- the whole road -----------------------------------------------------------------------------------------------------


@pytest.fixture
def device(unjoined: Bench) -> Iterator[Device]:
    """A joined device whose home knows it from its beginning."""
    unjoined.pin()
    line = unjoined.hearth("receipt", "key", "--name", "pi").stdout
    (unjoined.household / "trust/devices").write_text(line)
    unjoined.git("checkout", "--quiet", "--orphan", "anew")
    unjoined.git("commit", "--quiet", "--all", "-S", "--message", "Begin with a device")
    unjoined.git("branch", "--quiet", "--force", "main")
    unjoined.git("checkout", "--quiet", "main")
    unjoined.git("push", "--quiet", "--force", "--no-verify")
    unjoined.pin()
    made = Device(unjoined)
    yield made
    made.stop()


def test_from_the_device_into_the_notes_and_into_verify(device: Device):
    """Two changes confirmed, a quiet pass between; the bundle is added once; `hearth verify` tells device, time and digest."""
    bench = device.bench
    first = device.run()
    assert first.receipt
    assert device.run().receipt == first.receipt
    bench.edit("services/dns.yaml", "[doubleclick.net]", "[doubleclick.net, ads.example.net]")
    assert device.run().exit_code == 0
    code, listed = bench.hearth_json("receipt", "list")
    assert (code, len(listed)) == (0, 2)
    assert listed[-1]["digest"] == f"sha256:{device.journal.confirmed.digest}"

    (bench.folder / "bundle").write_text(bench.hearth("receipt", "list", "--bundle").stdout)
    assert "2 added" in bench.hearth("receipt", "add", bench.folder / "bundle", bench.household).stdout
    assert "0 added" in bench.hearth("receipt", "add", bench.folder / "bundle", bench.household).stdout
    _, verified = bench.hearth_json("verify", bench.household)
    noted = [change["receipts"] for change in verified["changes"]]
    assert [[one["device"] for one in each] for each in noted] == [["pi"], ["pi"]]
    assert noted[-1][0]["digest"] == listed[-1]["digest"]
    assert f"receipt: pi, {listed[-1]['at'][:10]}" in bench.hearth("verify", bench.household).stdout


def test_a_receipt_by_a_stranger_or_of_another_change_is_not_verifiable(device: Device):
    """Anybody may write notes; who believes them is `hearth verify`."""
    bench = device.bench
    receipt = device.run().receipt
    bench.edit("services/dns.yaml", "[doubleclick.net]", "[doubleclick.net, ads.example.net]")
    (bench.folder / "note").write_text(receipt)
    bench.git("notes", "--ref=applied", "add", "-F", bench.folder / "note", "HEAD")
    assert "receipt not verifiable: it is about another commit" in bench.hearth("verify", bench.household).stdout
    bench.git("notes", "--ref=applied", "add", "--force", "-m", "Looks good to me", "HEAD")
    _, verified = bench.hearth_json("verify", bench.household)
    assert verified["sound"]
    assert [one["verified"] for change in verified["changes"] for one in change["receipts"]] == [False]


def test_a_receipt_waits_for_a_way_out_with_the_reports(device: Device):
    """Where reports are sent at all; once for each change."""
    settings = device.home.settings.model_copy(update={"report_to": "http://127.0.0.1:9/"})
    device.home.reporter._settings = settings
    device.run()
    device.run()
    queued = [json.loads(path.read_text()) for path in sorted(device.bench.paths.outbox.iterdir())]
    assert [one["receipt"] for one in queued if one["kind"] == "receipt"] == [*device.home.receipts.all()]
