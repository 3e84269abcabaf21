"""Loading a household: whole and checked, or refused with every finding at once."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from desired_state.finding import Severity
from desired_state.load import DesiredState, load, read_folder
from desired_state.model import FILES, Household
from desired_state.reading import MAX_FINDINGS
from tests.desired_state.holm import DEVICES, DNS, HOLM, HOME, MAIL, PEOPLE, SHARES, holm_with, only
from tests.desired_state.households import desired_states, files_of, households, loaded


def test_the_example_loads_with_advice_only():
    """The Holm family's household is valid; a plain folder lacks only keys and secrets."""
    outcome = load(read_folder(HOLM))
    assert outcome.state
    assert [finding.code for finding in outcome.findings] == ["missing-secret", "missing-trust"]


def test_a_secret_that_is_there_is_not_missed():
    """The reference to a secret is met by its file."""
    findings = load({**holm_with(), "secrets/relay-password.age": b"age"}).findings
    assert "missing-secret" not in {finding.code for finding in findings}


@given(households())
def test_a_written_household_loads_as_itself(household: Household):
    """Loading is the inverse of writing the files."""
    assert loaded(files_of(household)).household == household


@given(desired_states())
def test_a_state_keeps_its_files_and_nothing_can_change_it(state: DesiredState):
    """The files stay byte for byte, the trust files are left to their own reader, and every value is frozen."""
    again = loaded({**state.files, "trust/signers": b"anything at all"})
    assert again == state
    with pytest.raises(TypeError):
        state.files["people.yaml"] = b""
    with pytest.raises(TypeError):
        state.household.people["x"] = None
    with pytest.raises(ValueError, match="frozen"):
        state.household.name = "x"


@pytest.mark.parametrize("file", ["household.yaml", "people.yaml", "devices.yaml"])
def test_a_missing_file_is_named(file: str):
    """Three files are always there."""
    files = {name: raw for name, raw in holm_with().items() if name != file}
    assert (file, "missing-file") in [(finding.file, finding.code) for finding in load(files).errors]


@pytest.mark.parametrize(
    "file", ["services/dns.yaml", "services/files.yaml", "services/mail.yaml", "services/certificates.yaml"]
)
def test_a_service_without_its_file_does_not_run(file: str):
    """The files under services/ are optional."""
    files = {name: raw for name, raw in holm_with().items() if name != file}
    assert not load(files).errors


@pytest.mark.parametrize(
    "path",
    [
        "people.yml", "service/dns.yaml", "services/dns.yml", ".gitattributes", "hooks/post-checkout", "secrets/x.txt",
        "secrets/../people.yaml", "secrets/A.age", "trust/other", "README", "services/", "a\u202eb", "x" * 5_000, "",
    ],
)  # fmt: skip
def test_a_file_that_nobody_knows_is_an_error_that_says_what_is_allowed(path: str):
    """No file is ignored: what nothing reads could hide something."""
    (finding,) = only({**holm_with(), path: b""})
    assert (finding.code, finding.severity) == ("unknown-file", Severity.ERROR)
    assert "services/dns.yaml" in finding.message
    assert str(finding).isprintable()
    assert len(str(finding)) < 1_500


@pytest.mark.parametrize(
    ("edit", "field", "code", "words"),
    [
        ((PEOPLE, "email: jens", "emial: jens"), "people.jens.emial", "unknown-field", 'did you mean "email"?'),
        ((HOME, "apiVersion: hearth/v1", "apiVersion: hearth/v2"), "apiVersion", "bad-value", "write hearth/v1"),
        ((HOME, "apiVersion:", "api_version:"), "api_version", "unknown-field", "apiVersion"),
        ((DNS, "from: 192.168.10.100", "first: 192.168.10.100"), "dns.dhcp.first", "unknown-field", "from"),
        ((DNS, "for: [kids]", "groups: [kids]"), "dns.blocked.tiktok.groups", "unknown-field", "for"),
        ((DNS, "for: [kids]", "until: 2026-12-24"), "dns.blocked.tiktok.until", "not-supported", "not supported yet"),
        ((DNS, "for: [kids]", "hours: 20-7"), "dns.blocked.tiktok.hours", "not-supported", "not supported yet"),
        ((DNS, "for: [kids]", "for: kids"), "dns.blocked.tiktok.for", "wrong-shape", "in brackets"),
        ((DNS, "for: [kids]", "for: [kids, kids]"), "dns.blocked.tiktok.for", "bad-value", "twice"),
        ((DNS, "[9.9.9.9, 149.112.112.112]", "[]"), "dns.upstreams", "too-few", "at least 1"),
        ((DNS, "wiki: appliance", "wiki:"), "dns.names.wiki", "no-value", "take the line out"),
        ((DNS, "wiki: appliance", "wiki: ~"), "dns.names.wiki", "no-value", "take the line out"),
        ((DEVICES, "    name: Living-room television\n", ""), "devices.tv.name", "missing-field", "is missing"),
        ((DEVICES, "mac: 02:00:5e:10:00:04", "mac: 02-00-5E-10-00-04"), "devices.tv.mac", "bad-value", "02:00:5e:10:00:04"),
        ((MAIL, "relay:", "relay: none\n  x:"), "mail.relay", "wrong-shape", "not a mapping"),
        ((MAIL, "[anna]", "[]"), "mail.aliases.root", "too-few", "at least 1"),
        ((MAIL, "port: 587", "port: 99999999999999999999"), "mail.relay.port", "bad-value", "from 1 to 65535"),
    ],
)  # fmt: skip
def test_a_wrong_field_is_told_where_and_what_to_write_instead(
    edit: tuple[str, str, str], field: str, code: str, words: str
):
    """Every mistake in the form of a file has a place, a stable code and a remedy."""
    finding = next(each for each in only(holm_with(edit)) if each.field == field)
    assert (finding.code, finding.severity) == (code, Severity.ERROR)
    assert words in finding.message
    line = holm_with(edit)[edit[0]].decode().splitlines()[finding.line - 1]
    assert 1 <= finding.column <= len(line) + 1


def test_a_place_points_at_the_value_itself():
    """Line and column are those of the wrong text, for an editor to jump to."""
    (finding,) = only(holm_with((DEVICES, "address: 192.168.10.20", "address: 192.168.10.2O")))
    line = holm_with((DEVICES, "192.168.10.20", "192.168.10.2O"))[DEVICES].decode().splitlines()[finding.line - 1]
    assert line[finding.column - 1 :].startswith("192.168.10.2O")


@pytest.mark.parametrize("written", ["hunter2-the-password", "secret:HUNTER2-the-password", "[hunter2-the-password]"])
def test_a_password_written_by_mistake_is_never_repeated(written: str):
    """A finding about a secret's field says what to write, not what was written."""
    findings = load(holm_with((MAIL, "secret:relay-password", written))).findings
    assert any(finding.field == "mail.relay.password" for finding in findings)
    assert "hunter2" not in " ".join(map(str, findings)).lower()


@pytest.mark.parametrize("raw", [b"", b"# only a comment\n", b"---\n", b"~\n", b"[]\n", b"text\n", b"{}\n"])
@pytest.mark.parametrize("file", FILES)
def test_a_file_without_its_content_is_a_finding_or_empty(file: str, raw: bytes):
    """An empty file, a list or a text in the place of a file's mapping is never taken for a household."""
    outcome = load({**holm_with(), file: raw})
    assert outcome.errors or (raw == b"{}\n" and file in {"people.yaml", "devices.yaml"})


def test_findings_are_bounded_and_say_how_many_more_there_are():
    """A file of mistakes does not become a page of thousands."""
    people = "".join(f"  p{n}: {{}}\n" for n in range(5_000))
    findings = load(holm_with((PEOPLE, "people:", f"people:\n{people}  #"))).findings
    assert len(findings) <= MAX_FINDINGS + 1


def test_much_advice_keeps_nothing_from_being_applied():
    """A page of advice is cut short, but stays advice."""
    shares = "".join(f"    s{n}: {{description: Nothing}}\n" for n in range(300))
    outcome = load(holm_with((SHARES, "  shares:\n", f"  shares:\n{shares}")))
    assert outcome.state
    assert len(outcome.findings) == MAX_FINDINGS + 1


@pytest.mark.parametrize(
    "entry",
    [
        "  d{n}: {{name: x, mac: '02:00:00:00:{high:02x}:{low:02x}', owner: nobody-{n}}}\n",
        "  d{n}: {{name: x, mac: '02:00:00:00:00:00', group: kidz}}\n",
        "  d{n}: {{name: x, mac: {n}}}\n",
        "  d{n}: {{name: , mac: }}\n",
        "  d{n}:\n",
    ],
)
def test_thousands_of_mistakes_are_found_in_bounded_time(entry: str):
    """A megabyte of wrong devices costs seconds, not minutes, and is refused."""
    devices = "".join(entry.format(n=n, high=n // 256, low=n % 256) for n in range(12_000))
    started = time.process_time()
    outcome = load(holm_with((DEVICES, "devices:", f"devices:\n{devices}  #")))
    assert time.process_time() - started < 20
    assert outcome.errors
    assert len(outcome.findings) <= MAX_FINDINGS + 1


def test_too_many_files_are_refused_at_once():
    """The number of files is bounded before they are looked at."""
    outcome = load({**holm_with(), **{f"secrets/s{n}.age": b"" for n in range(1_001)}})
    assert [finding.code for finding in outcome.findings] == ["too-many-files"]


_pieces = st.sampled_from([*b"people: dns:  - { } [ ] \n a &a *a !x ' \xc3\xa5 # |\n".split(b" "), b" ", b'"', b": "])
_paths = st.sampled_from([*FILES, "README.md", "secrets/a.age", "trust/signers", "x"]) | st.text(max_size=8)


@given(st.dictionaries(_paths, st.binary(max_size=200) | st.lists(_pieces, max_size=30).map(b"".join), max_size=6))
def test_no_files_make_it_raise(files: Mapping[str, bytes]):
    """Whatever the files are called and hold, the answer is a state or errors, printable and in order."""
    outcome = load(files)
    assert (outcome.state is None) == bool(outcome.errors)
    assert all(str(finding).isprintable() for finding in outcome.findings)


@given(desired_states(), st.data())
def test_no_spoilt_household_makes_it_raise(state: DesiredState, data: st.DataObject):
    """A valid file with a piece cut out, doubled or replaced is loaded or refused, never a crash."""
    file = data.draw(st.sampled_from(sorted(name for name in state.files if name.endswith(".yaml"))))
    raw = state.files[file]
    start, end = sorted(data.draw(st.tuples(*[st.integers(0, len(raw))] * 2)))
    spoilt = (
        raw[:start]
        + data.draw(st.sampled_from([b"", raw[start:end] * 2, b"[]", b"{}", b"~", b"x: y", b"\x00"]))
        + raw[end:]
    )
    outcome = load({**state.files, file: spoilt})
    assert (outcome.state is None) == bool(outcome.errors)


def test_loading_is_quick():
    """The example takes milliseconds, and a home with 2,000 devices well under two seconds of CPU."""
    devices = "".join(
        f"  d{n}: {{name: Device {n}, mac: '02:00:00:00:{n // 256:02x}:{n % 256:02x}', owner: anna}}\n"
        for n in range(2_000)
    )
    files = holm_with((DEVICES, "devices:", f"devices:\n{devices}  #"))
    started = time.process_time()
    load(holm_with())
    assert time.process_time() - started < 0.2
    load(files)
    assert time.process_time() - started < 2


def test_importing_the_loader_stays_light():
    """An agent on a small machine does not pay for editing or signing when it only reads."""
    program = "import sys, desired_state.load; print([m for m in ('ruamel.yaml', 'cryptography', 'pygit2', 'tzdata') if m in sys.modules])"
    assert (
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip()
        == "[]"
    )
