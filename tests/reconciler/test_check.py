"""A daemon's word on the staged files: "invalid" and "could not check" are told apart, and silence is the only yes."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.check import check, objected
from reconciler.errors import Stalled, Transient
from reconciler.run import Finished
from renderers.plan import Checker


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A staged generation's folder: open to everyone for reading."""
    tmp_path.chmod(0o755)
    return tmp_path


DNSMASQ = Checker(
    "dnsmasq", ("dnsmasq", "--test", "--conf-file={root}/dnsmasq.conf"), (r"^dnsmasq: syntax check OK\.$",)
)


def test_files_that_the_real_dnsmasq_accepts_pass(root: Path):
    """Its "syntax check OK" is the known harmless line."""
    (root / "dnsmasq.conf").write_text("port=5353\n")
    check([DNSMASQ], root)


def test_files_that_the_real_dnsmasq_refuses_are_stalled_in_its_own_words(root: Path):
    """The reader learns the daemon, the line and the file, without our paths."""
    (root / "dnsmasq.conf").write_text("port=5353\nno-such-option\n")
    with pytest.raises(Stalled) as caught:
        check([DNSMASQ], root)
    assert caught.value.reason == "ValidationFailed"
    assert "bad option at line 2 of ./dnsmasq.conf" in caught.value.message


def test_a_checker_that_exits_0_with_a_warning_is_a_refusal(root: Path):
    """Testparm and postfix check exit 0 where they ignore a line (case 35)."""
    with pytest.raises(Stalled, match="Ignoring unknown parameter"):
        check([Checker("warner", ("echo", "Ignoring unknown parameter"))], root)


def test_a_checker_that_refuses_without_a_word_is_a_refusal(root: Path):
    """The exit code alone is enough."""
    with pytest.raises(Stalled, match="ended with code 1 and no words"):
        check([Checker("mute", ("false",))], root)


def test_a_checker_that_hangs_could_not_check(root: Path):
    """It ends in its time, and nothing is said of the files (case 35)."""
    began = time.monotonic()
    with pytest.raises(Transient) as caught:
        check([Checker("sleeper", ("sleep", "1000"), seconds=0.5)], root)
    assert caught.value.reason == "CheckerUnavailable"
    assert time.monotonic() - began < 5


def test_a_checker_that_is_killed_could_not_check(root: Path):
    """A crash is no judgement (case 35)."""
    with pytest.raises(Transient) as caught:
        check([Checker("victim", ("sh", "-c", "kill -SEGV $$"))], root)
    assert caught.value.reason == "CheckerUnavailable"


def test_a_missing_checker_could_not_check_and_names_the_package(root: Path, monkeypatch: pytest.MonkeyPatch):
    """The remedy is a command to type."""
    monkeypatch.setattr("reconciler.run.SURROUNDINGS", {"PATH": "/nowhere"})
    with pytest.raises(Transient) as caught:
        check([DNSMASQ], root)
    assert (caught.value.reason, caught.value.remedy) == (
        "CheckerUnavailable",
        "Install it with `apt install dnsmasq-base`.",
    )


def test_words_before_a_cut_are_not_taken_for_all(root: Path):
    """Harmless lines without end are not harmless."""
    with pytest.raises(Stalled):
        check(
            [Checker("talker", ("sh", "-c", "while echo ok; do :; done | head -c 300000"), ("ok",))],
            root,
            cage=_uncaged,
        )


def _uncaged(command, root, *, seconds):
    return Finished(0, b"ok\n" * 10, cut=True)


@given(st.binary(max_size=2000), st.integers(0, 124))
def test_a_daemons_words_are_bounded_and_printable(said: bytes, code: int):
    """Whatever a checker prints, the message is a few printable lines; and it passes only in silence."""
    words = objected(DNSMASQ, Finished(code, said))
    assert len(words) <= 3
    assert all(len(line) <= 300 and (line.isprintable() or not line) for line in words)
    assert words or (code == 0 and not said.decode(errors="replace").strip())
