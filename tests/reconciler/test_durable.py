"""Durable writes: the order of the system calls, what a failure leaves, and what a crash leaves behind. Real power cuts: faults/."""

from __future__ import annotations

import os
import re
import resource
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from reconciler.durable import fsync_folder, link_atomic, make_folder, write_atomic, write_new

_CALLS = "openat,write,fsync,fchmod,rename,symlink"


def calls(program: str, folder: Path) -> list[str]:
    """Run `program` on `folder` under strace; return its calls on files below `folder`, each as name and file."""
    if not shutil.which("strace"):
        pytest.skip("strace is not installed: apt-get install strace")
    log = folder.parent / "trace"
    argv = ["strace", "-f", "-y", "-o", log, "-e", f"trace={_CALLS}", sys.executable, "-c", program, str(folder)]
    subprocess.run(argv, check=True, timeout=60)
    below = re.compile(re.escape(str(folder)) + r'[^">]*')
    lines = [line for line in log.read_text().splitlines() if below.search(line) and "O_RDONLY" not in line]
    return [f"{line.split()[1].split('(')[0]} {_file(below.findall(line)[-1])}" for line in lines]


def _file(path: str) -> str:
    return re.sub(r"\.[0-9a-f]{8}$", ".draft", Path(path).name)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return an empty folder."""
    made = tmp_path / "state"
    made.mkdir()
    return made


def test_a_write_syncs_the_draft_then_renames_then_syncs_the_folder(folder: Path):
    """The order of fsync(2) and rename(2), as the kernel saw it."""
    program = (
        "import sys, pathlib; from reconciler.durable import write_atomic as w; w(pathlib.Path(sys.argv[1], 'j'), b'x')"
    )
    assert calls(program, folder) == [
        "openat .j.draft",
        "write .j.draft",
        "fchmod .j.draft",
        "fsync .j.draft",
        "rename j",
        "fsync state",
    ]


def test_a_link_is_renamed_into_place_and_its_folder_synced(folder: Path):
    """One rename(2), never an unlink and a symlink with nothing in between."""
    program = (
        "import sys, pathlib; from reconciler.durable import link_atomic as w; w(pathlib.Path(sys.argv[1], 'c'), 'to')"
    )
    assert calls(program, folder) == ["symlink .c.draft", "rename c", "fsync state"]


def test_a_write_replaces_the_bytes_and_the_permissions(folder: Path):
    """The new file has exactly the permission bits that were asked for, whatever the umask."""
    before = os.umask(0o077)
    try:
        write_atomic(folder / "f", b"old", 0o600)
        write_atomic(folder / "f", b"new", 0o644)
    finally:
        os.umask(before)
    assert (folder / "f").read_bytes() == b"new"
    assert stat.S_IMODE((folder / "f").stat().st_mode) == 0o644


def test_a_new_file_never_replaces_nor_follows(folder: Path):
    """`write_new` refuses a file and a link alike; what the link points at is untouched."""
    (folder / "victim").write_bytes(b"mine")
    (folder / "link").symlink_to("victim")
    for name in ("victim", "link"):
        with pytest.raises(FileExistsError):
            write_new(folder / name, b"theirs")
    assert (folder / "victim").read_bytes() == b"mine"


def test_a_write_replaces_a_link_instead_of_writing_through_it(folder: Path):
    """Somebody's link in place of our file does not lead our bytes elsewhere."""
    (folder / "victim").write_bytes(b"mine")
    (folder / "f").symlink_to("victim")
    write_atomic(folder / "f", b"ours")
    assert (folder / "victim").read_bytes() == b"mine"
    assert not (folder / "f").is_symlink()


def test_a_disk_that_fills_up_midway_leaves_the_old_file_and_no_draft(folder: Path):
    """The kernel itself cuts the write short (RLIMIT_FSIZE); the old bytes stay, the draft goes."""
    write_atomic(folder / "f", b"old")
    program = (
        "import resource, signal, sys, pathlib; from reconciler.durable import write_atomic\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "try: write_atomic(pathlib.Path(sys.argv[1], 'f'), b'n' * 100_000)\n"
        "except OSError as error: sys.exit(error.errno)\n"
    )
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
    assert subprocess.run([sys.executable, "-c", program, str(folder)], check=False).returncode == 27  # EFBIG
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {"f": b"old"}


def test_drafts_that_a_crash_left_go_with_the_next_write(folder: Path):
    """A hundred crashes do not fill the disk, and only drafts of this very file are swept."""
    for number in range(100):
        (folder / f".f.{number:08x}").write_bytes(b"torn")
    others = {".f.notadraft", ".g.00000000", "f.00000000"}
    for name in others:
        (folder / name).write_bytes(b"")
    write_atomic(folder / "f", b"new")
    assert {path.name for path in folder.iterdir()} == {"f", *others}
    (folder / ".c.01234567").symlink_to("nowhere")
    link_atomic(folder / "c", "somewhere")
    assert {path.name for path in folder.iterdir()} == {"f", "c", *others}


def test_a_write_into_the_place_of_a_folder_fails_and_leaves_no_draft(folder: Path):
    """The folder and its content stay."""
    (folder / "f").mkdir()
    (folder / "f" / "inside").write_bytes(b"")
    with pytest.raises(OSError, match="directory"):
        write_atomic(folder / "f", b"x")
    with pytest.raises(OSError, match="directory"):
        link_atomic(folder / "f", "x")
    assert [path.name for path in folder.iterdir()] == ["f"]
    assert (folder / "f" / "inside").exists()


def test_folders_are_made_open_to_the_daemons_whatever_the_umask(folder: Path):
    """An administrator's umask of 077 must not lock dnsmasq out; what exists already is left alone."""
    folder.chmod(0o700)
    before = os.umask(0o077)
    try:
        make_folder(folder / "a" / "b", 0o750)
    finally:
        os.umask(before)
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (folder, folder / "a", folder / "a" / "b")]
    assert modes == [0o700, 0o755, 0o750]


def test_a_file_in_the_place_of_a_folder_is_an_error(folder: Path):
    """Nothing is removed to make room."""
    (folder / "a").write_bytes(b"mine")
    with pytest.raises(OSError, match=r"exists|directory"):
        make_folder(folder / "a" / "b")
    with pytest.raises(NotADirectoryError):
        fsync_folder(folder / "a")
    assert (folder / "a").read_bytes() == b"mine"
