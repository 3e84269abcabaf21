"""`hearth recovery`: what a dead Pi leaves to the next one, and archives that somebody else made."""

from __future__ import annotations

import io
import json
import shutil
import stat
import subprocess
import tarfile
from pathlib import Path

import pyrage
import pytest
from hypothesis import given
from hypothesis import strategies as st

from desired_state.secrets import Unsound
from reconciler.recovery import Kept, place_of, unpack
from tests.bench import Bench
from tests.reconciler.cli.conftest import Hearth

HOUSEHOLD = "5b0c8a52-2f6e-4c51-9b1e-8d8f3a7f0c11"
ROOT, MIDDLE, DATABASE = "authority/home.arpa/root.pem", "authority/home.arpa/intermediate.pem", "samba/secrets.tdb"
CANARY = b"-----BEGIN PRIVATE KEY----- canary-5f21"
FILES = {ROOT: CANARY, MIDDLE: b"middle", DATABASE: b"\0" * 400_000}
OWNERS = pyrage.x25519.Identity.generate()


@pytest.fixture
def device(unjoined: Bench) -> Bench:
    """A joined device with an authority and a Samba database."""
    unjoined.pin()
    lay(unjoined.pi, FILES)
    return unjoined


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """The file of the owners' recovery key."""
    file = tmp_path / "recovery.key"
    file.write_text(f"# in the safe\n{OWNERS}\n")
    return file


def lay(root: Path, files: dict[str, bytes]) -> None:
    """Write files where a device has them."""
    for name, content in files.items():
        place = root / str(place_of(name))
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)


def laid(root: Path) -> dict[str, bytes]:
    """Return them."""
    return {name: (root / str(place_of(name))).read_bytes() for name in FILES if (root / str(place_of(name))).exists()}


def to_owners() -> tuple[str, str]:
    """The option that names their key."""
    return ("--to", str(OWNERS.to_public()))


def test_a_fresh_pi_gets_back_what_the_dead_one_had(device: Bench, key: Path, tmp_path: Path) -> None:
    """Byte for byte, for root alone; what was saved shows nothing."""
    file = tmp_path / "hearth.age"
    code, said = device.hearth_json("recovery", "save", file, *to_owners())
    assert (code, said["saved"]) == (0, sorted(FILES))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert b"canary" not in file.read_bytes()
    shutil.rmtree(device.pi)
    done = device.hearth("recovery", "restore", file, "--identity", key)
    assert "canary" not in done.stdout + done.stderr
    assert laid(device.pi) == FILES
    for name in FILES:
        place = device.pi / str(place_of(name))
        assert (stat.S_IMODE(place.stat().st_mode), stat.S_IMODE(place.parent.stat().st_mode)) == (0o600, 0o700)
    keys = device.pi / "var/lib/hearth/keys"
    folders = [keys, *(path for path in keys.rglob("*") if path.is_dir())]
    assert {stat.S_IMODE(folder.stat().st_mode) for folder in folders} == {0o700}


def test_restoring_twice_changes_nothing(device: Bench, key: Path, tmp_path: Path) -> None:
    """What is there already is left as it is."""
    device.hearth("recovery", "save", tmp_path / "x.age", *to_owners())
    code, said = device.hearth_json("recovery", "restore", tmp_path / "x.age", "--identity", key)
    assert (code, said["restored"]) == (0, [])


def test_living_keys_are_not_overwritten_unless_it_is_said(device: Bench, key: Path, tmp_path: Path) -> None:
    """The family's devices may trust the new authority already; replaced, the old one stays beside."""
    device.hearth("recovery", "save", tmp_path / "x.age", *to_owners())
    lay(device.pi, {ROOT: b"another root"})
    done = device.hearth("recovery", "restore", tmp_path / "x.age", "--identity", key, check=False)
    assert (done.returncode, "root.pem" in done.stderr, "--replace" in done.stderr) == (2, True, True)
    assert laid(device.pi)[ROOT] == b"another root"
    code, said = device.hearth_json("recovery", "restore", tmp_path / "x.age", "--identity", key, "--replace")
    assert (code, said["restored"], laid(device.pi)) == (0, [ROOT], FILES)
    root = device.pi / str(place_of(ROOT))
    assert root.with_name("root.pem.replaced").read_bytes() == b"another root"


def test_another_homes_authority_is_not_put_here(device: Bench, key: Path, tmp_path: Path) -> None:
    """Whatever key opens it."""
    other = Kept("00000000-2f6e-4c51-9b1e-8d8f3a7f0c11", FILES)
    (tmp_path / "x.age").write_bytes(pyrage.encrypt(other.pack(), [OWNERS.to_public()]))
    code, said = device.hearth_json("recovery", "restore", tmp_path / "x.age", "--identity", key, "--replace")
    assert (code, said["error"]["reason"]) == (1, "OtherHousehold")


def test_without_a_recovery_key_in_the_home_one_must_be_named(device: Bench, tmp_path: Path) -> None:
    """And nothing is written; --to takes nothing but a recipient."""
    code, said = device.hearth_json("recovery", "save", tmp_path / "x.age")
    assert (code, said["error"]["reason"]) == (2, "NoRecoveryKey")
    code, said = device.hearth_json("recovery", "save", tmp_path / "x.age", "--to", str(OWNERS))
    assert (code, said["error"]["reason"]) == (2, "BadRecipient")
    assert not (tmp_path / "x.age").exists()


def test_the_homes_own_recovery_keys_are_taken_from_what_was_verified(unjoined: Bench, tmp_path: Path) -> None:
    """From the signed trust files, where owners put them; here they were in the first commit."""
    lay(unjoined.pi, FILES)
    line = str(OWNERS.to_public())
    unjoined.stop_world()
    begin_with_recipients(unjoined, f"# recovery\n{line}\n")
    unjoined.hearth("recovery", "save", tmp_path / "x.age")
    assert unpack(pyrage.decrypt((tmp_path / "x.age").read_bytes(), [OWNERS])).files == FILES


def begin_with_recipients(bench: Bench, content: str) -> None:
    """Begin the household anew with these recipients, and let the device verify it."""
    (bench.household / "trust/recipients").write_text(content)
    bench.git("checkout", "--quiet", "--orphan", "anew")
    bench.git("add", "--all")
    bench.git("commit", "--quiet", "-S", "--message", "Begin")
    bench.git("branch", "--quiet", "-M", "main")
    bench.git("push", "--quiet", "--force", "--no-verify", "origin", "main")
    shutil.rmtree(bench.paths.repository, ignore_errors=True)
    bench.pin()
    bench.start_agent()
    bench.wait_until_up()
    bench.stop_agent()


def test_a_device_with_nothing_of_its_own_says_so(unjoined: Bench, tmp_path: Path) -> None:
    """DNS alone leaves nothing that the repository has not."""
    unjoined.pin()
    code, said = unjoined.hearth_json("recovery", "save", tmp_path / "x.age", *to_owners())
    assert (code, said["error"]["reason"]) == (2, "NothingToSave")


def test_the_wrong_key_a_damaged_file_and_no_file_are_one_sentence_each(
    device: Bench, key: Path, tmp_path: Path
) -> None:
    """Nothing is written in any of them."""
    file = tmp_path / "x.age"
    device.hearth("recovery", "save", file, *to_owners())
    shutil.rmtree(device.pi / "var/lib/hearth/keys/authority")
    other = tmp_path / "other.key"
    other.write_text(f"{pyrage.x25519.Identity.generate()}\n")
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    (tmp_path / "damaged.age").write_bytes(content)
    (tmp_path / "huge.age").write_bytes(b"x" * 26_000_000)
    attempts = {(file, other): 1, (tmp_path / "damaged.age", key): 1, (tmp_path / "huge.age", key): 1}
    attempts |= {(tmp_path / "none.age", key): 2, (file, tmp_path / "none.key"): 2, (file, file): 2}
    for (archive, identity), code in attempts.items():
        done = device.hearth("recovery", "restore", archive, "--identity", identity, check=False)
        assert (done.returncode, "Traceback" in done.stderr) == (code, False), done.stderr
    assert laid(device.pi).keys() == {DATABASE}


def test_the_recovery_key_is_made_once_for_its_owner_alone(hearth: Hearth, tmp_path: Path) -> None:
    """The home gets to know its other half; the secret itself is shown nowhere."""
    file = tmp_path / "recovery.key"
    said = hearth("recovery", "key", file)
    secret = file.read_text().strip()
    assert (said.code, secret in said.out, stat.S_IMODE(file.stat().st_mode)) == (0, False, 0o600)
    own = str(pyrage.x25519.Identity.from_str(secret).to_public())
    assert f"hearth trust add recipients recovery --recipient {own}" in said.out
    assert hearth("recovery", "key", file).code == 2
    assert file.read_text().strip() == secret


def test_stock_age_and_tar_open_what_was_saved(device: Bench, key: Path, tmp_path: Path) -> None:
    """In ten years there may be no Hearth."""
    age = shutil.which("age")
    if age is None:
        pytest.skip("age is not installed: apt install age")
    device.hearth("recovery", "save", tmp_path / "x.age", *to_owners())
    opened = subprocess.run([age, "-d", "-i", key, tmp_path / "x.age"], capture_output=True, check=True)
    listed = subprocess.run(["tar", "-t"], input=opened.stdout, capture_output=True, check=True)
    assert listed.stdout.decode().split() == ["hearth-recovery.json", *sorted(FILES)]


# --- archives that somebody else made ------------------------------------------------------------------------------------------


def archive(*entries: tuple[str, bytes] | tarfile.TarInfo, form: int = tarfile.USTAR_FORMAT) -> bytes:
    """Return a tar with the note of a home and these entries."""
    note = json.dumps({"format": 1, "household": HOUSEHOLD}).encode()
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=form) as made:
        for entry in (("hearth-recovery.json", note), *entries):
            if isinstance(entry, tarfile.TarInfo):
                made.addfile(entry)
                continue
            info = tarfile.TarInfo(entry[0])
            info.size = len(entry[1])
            made.addfile(info, io.BytesIO(entry[1]))
    return packed.getvalue()


def special(kind: bytes, name: str = ROOT, target: str = "/etc/shadow") -> tarfile.TarInfo:
    """Return an entry that is no plain file."""
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, target
    return entry


HUGE = tarfile.TarInfo(ROOT)
HUGE.size = 2**40


def _lying() -> bytes:
    """Return an archive whose entry says that it has a terabyte."""
    whole = archive((ROOT, b"x"))
    header = whole.rindex(ROOT.encode())
    block = bytearray(whole[header : header + 512])
    block[124:136] = b"\x80" + (2**40).to_bytes(11, "big")
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return whole[:header] + bytes(block) + whole[header + 512 :]


@pytest.mark.parametrize(
    "packed",
    [
        b"",
        b"x" * 2_000,
        b"\0" * 10_240,
        archive(("../root.pem", b"x")),
        archive(("/etc/passwd", b"x")),
        archive(("authority/../x/root.pem", b"x")),
        archive(("authority/../root.pem", b"x")),
        archive(("authority/./root.pem", b"x")),
        archive(("authority/a..b/root.pem", b"x")),
        archive(("authority/home.arpa/root.pem\n", b"x")),
        archive(("authority/home.arpa/other.pem", b"x")),
        archive(("authority/root.pem", b"x")),
        archive(("device", b"x")),
        archive(("age", b"x")),
        archive(("samba/../age", b"x")),
        archive(("samba/smb.conf", b"x")),
        archive(("deploy", b"x")),
        archive((ROOT, b"x"), (ROOT, b"y")),
        archive(special(tarfile.SYMTYPE)),
        archive(special(tarfile.LNKTYPE)),
        archive(special(tarfile.DIRTYPE)),
        archive(special(tarfile.FIFOTYPE)),
        archive(special(tarfile.CHRTYPE)),
        archive(special(tarfile.CONTTYPE)),
        archive((ROOT, b"x" * (8 * 2**20 + 1))),
        archive(*((f"authority/a{n}/root.pem", b"x") for n in range(40))),
        _lying(),
        archive((ROOT, b"x"))[:1_100],
        archive((ROOT, b"x" * 5_000))[:2_000],
        archive(("authority/" + "a" * 240 + "/root.pem", b"x"), form=tarfile.GNU_FORMAT)[512:],
        archive(("hearth-recovery.json", b"{}")),
        archive((ROOT, b"x")) + b"more",
    ],
)
def test_an_archive_that_save_would_not_make_is_refused(packed: bytes) -> None:
    """No path but the known ones, no link, nothing twice, nothing huge."""
    with pytest.raises(Unsound):
        unpack(packed)


@pytest.mark.parametrize("note", [b"", b"{", b"[]", b"{}", b'{"format":2,"household":"x"}', b'{"format":1,"household":1}',
    b'{"format":1,"household":"../x"}', b'{"format":1,"household":"x","more":1}', b"[" * 100_000, b"\xff"])  # fmt: skip
def test_an_archive_of_no_known_home_is_refused(note: bytes) -> None:
    """The note is read as strictly as all else."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as made:
        info = tarfile.TarInfo("hearth-recovery.json")
        info.size = len(note)
        made.addfile(info, io.BytesIO(note))
    with pytest.raises(Unsound):
        unpack(packed.getvalue())


_contents = st.dictionaries(
    st.sampled_from([ROOT, MIDDLE, DATABASE, "samba/passdb.tdb", "authority/b.internal/root.pem"]),
    st.binary(max_size=1_500),
)


@given(_contents)
def test_what_is_packed_is_unpacked(files: dict[str, bytes]) -> None:
    """Unpacking is the inverse, for whatever contents."""
    assert unpack(Kept(HOUSEHOLD, files).pack()) == Kept(HOUSEHOLD, files)


@given(st.data())
def test_no_change_of_an_archive_makes_its_reader_fall_over(data: st.DataObject) -> None:
    """It is read, or Unsound."""
    packed = bytearray(Kept(HOUSEHOLD, {ROOT: b"root", DATABASE: b"d" * 600}).pack())
    for _ in range(data.draw(st.integers(1, 6))):
        packed[data.draw(st.integers(0, 3_600))] = data.draw(st.integers(0, 255))
    try:
        kept = unpack(bytes(packed))
    except Unsound:
        return
    assert kept.pack() == bytes(packed)


def test_contents_show_in_no_repr() -> None:
    """Tracebacks hold reprs."""
    assert "canary" not in repr(Kept(HOUSEHOLD, FILES))
