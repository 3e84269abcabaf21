"""device.toml: every wrong value gives one clear sentence, nothing secret is echoed, and what is saved is loaded again."""

from __future__ import annotations

import os
import stat
import string
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from reconciler.errors import Misused
from reconciler.settings import Bench, Paths, Settings, load, save

HOUSEHOLD, GENESIS = "0d9e6f0a-5b1c-4a77-8f43-2f3f5c1f4e11", "a" * 40
GOOD = {"source": '"https://git.example/home.git"', "household": f'"{HOUSEHOLD}"', "genesis": f'"{GENESIS}"'}
relaxed = hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    """Return the paths below an empty root."""
    found = Paths(tmp_path)
    found.settings.parent.mkdir(parents=True)
    return found


def write(paths: Paths, **changes: str) -> None:
    """Write a device.toml of the good values and these raw TOML ones."""
    paths.settings.write_text("".join(f"{key} = {value}\n" for key, value in {**GOOD, **changes}.items()))


def refusal(paths: Paths) -> str:
    """Return the one sentence, and its remedy, by which loading is refused."""
    with pytest.raises(Misused) as refused:
        load(paths)
    said = str(refused.value)
    assert said.isprintable()
    assert refused.value.message.endswith(".")
    assert refused.value.remedy
    assert len(said) < 700
    return said


def test_the_shortest_file_is_enough(paths: Paths):
    """Three settings; the rest has defaults."""
    write(paths)
    assert load(paths) == Settings(source="https://git.example/home.git", household=HOUSEHOLD, genesis=GENESIS)
    assert load(paths).interval == 300.0


def test_a_machine_that_never_joined_is_told_how_to(paths: Paths):
    """No file is no error of the file's."""
    with pytest.raises(Misused, match="not joined") as refused:
        load(paths)
    assert refused.value.reason == "NotJoined"
    assert "hearth join" in refused.value.remedy


@pytest.mark.parametrize(
    "source",
    [
        "https://git.example/home.git",
        "https://git.example:8443/~anna/home.git",
        "ssh://git@git.example:22/home.git",
        "git@git.example:anna/home.git",
        "file:///srv/home.git",
        '/srv/homes/holm\'s \\"best\\".git'.replace(" ", "-"),
        "/srv/maison-privée.git",
    ],
)
def test_git_addresses_are_taken_as_git_takes_them(paths: Paths, source: str):
    """The forms of git-clone(1) that need no helper program."""
    write(paths, source=f'"{source}"')
    assert load(paths).source == source.replace('\\"', '"')


SECRET = "ghp-hunter2"


@pytest.mark.parametrize(
    "source",
    [
        f"https://{SECRET}@git.example/home.git",
        f"https://anna:{SECRET}@git.example/home.git",
        f"http://:{SECRET}@git.example/home.git",
        f"https://x@{SECRET}@git.example/home.git",
        f"ssh://git:{SECRET}@git.example/home.git",
        f"HTTPS://anna:{SECRET}@git.example/home.git",
        f"ftp://anna:{SECRET}@git.example/home.git",
        f"https://anna:{SECRET} @git.example/home.git",
    ],
)
def test_a_password_in_the_address_is_refused_and_not_echoed(paths: Paths, source: str):
    """device.toml may be read by anyone, and so may messages."""
    write(paths, source=f'"{source}"')
    assert SECRET not in refusal(paths)
    write(paths, source=f'"{source}')  # the closing quote forgotten
    assert SECRET not in refusal(paths)
    write(paths, report_to=f'"https://anna:{SECRET}@cloud.example"')
    assert SECRET not in refusal(paths)


BAD = {
    "source": [
        '""', '"home.git"', '"ext::sh -c id"', '"git://git.example/home"', '"https://a b"', '"/srv/a\\nb"', "7", "[]",
        '"-oProxyCommand=id"', '"--upload-pack=id"', '"/srv/\\u202Egit"', f'"/{"a" * 3000}"', "true", "1979-05-27",
    ],
    "household": ['""', '"holm"', f'"{HOUSEHOLD.upper()}"', f'"{HOUSEHOLD}\\n"', "0"],
    "genesis": ['""', '"aaaa"', f'"{"A" * 40}"', f'"{"a" * 41}"', f'"{"a" * 40}\\n"', "0"],
    "interval": [
        '"0s"', '"-5m"', '"5"', '"5 m"', '"1.5h"', '"25h"', '"5m "', '"9999999999h"', "300", "300.0", "inf", "true",
        '"\\u0661m"', '"1e3s"', "[]",
    ],
    "units": ['"Systemd"', '"openrc"', '""', "0"],
    "report_to": ['"cloud.example"', '"file:///etc/passwd"', '"https://a b"', '"https://a\\u0000"', '""'],
    "bench": [
        "{}", "{port = 0, upstream_port = 1}", "{port = 65536, upstream_port = 1}", '{port = "53", upstream_port = 1}',
        "{port = true, upstream_port = 1}", "{port = 53.0, upstream_port = 1}", "{port=1, upstream_port=1, x=1}", "7",
    ],
    "sauce": ['"x"'],
    '"a\\nb\\u001b[31m"': ['"x"'],
    '"' + "k" * 5000 + '"': ['"x"'],
}  # fmt: skip


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, values in BAD.items() for value in values])
def test_a_wrong_value_gives_one_sentence_that_names_its_field(paths: Paths, key: str, value: str):
    """What, where, and what to do."""
    write(paths, **{key: value})
    said = refusal(paths)
    assert str(paths.settings) in said
    if key.isidentifier():
        assert key in said


@pytest.mark.parametrize("key", GOOD)
def test_a_missing_value_is_named(paths: Paths, key: str):
    """Without it nothing can be verified."""
    paths.settings.write_text("".join(f"{k} = {v}\n" for k, v in GOOD.items() if k != key))
    assert key in refusal(paths)


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xfe",
        b"\xef\xbb\xbf[",
        b"[" * 60_000,
        b"a = " + b"[" * 60_000,
        b"a = " + b"9" * 60_000,
        b"a.b = 1\na.b = 2",
        b"source = 'x'\n" * 2,
        b"\x00",
        b"# comment\n" * 7_000,
        b"a = '" + b"x" * 70_000 + b"'",
    ],
    ids=range(10),
)
def test_any_other_file_is_refused_in_one_sentence(paths: Paths, content: bytes):
    """Never a traceback, whatever somebody's editor left; a file that is too large is not read in part."""
    paths.settings.write_bytes(content)
    assert str(paths.settings) in refusal(paths)


def test_a_file_that_is_cut_at_the_limit_is_not_half_believed(paths: Paths):
    """Its first part alone would be valid."""
    write(paths)
    paths.settings.write_text(paths.settings.read_text() + "#" * 66_000 + '\ninterval = "1h"\n')
    assert "larger" in refusal(paths)


def test_a_folder_in_place_of_the_file_is_refused(paths: Paths):
    """The operating system's words, without its numbers."""
    paths.settings.mkdir()
    assert "Errno" not in refusal(paths)


VALUES = st.one_of(
    st.text(max_size=40).map(lambda text: '"' + text.replace("\\", "").replace('"', "") + '"'),
    st.integers().map(str),
    st.floats().map(str),
    st.booleans().map(lambda value: str(value).lower()),
    st.sampled_from(["[]", "{}", "[1, [2]]", "1979-05-27T07:32:00Z", "07:32:00", '"5m"', '"systemd"', '""']),
)
KEYS = st.one_of(st.sampled_from([*GOOD, "interval", "units", "bench", "report_to"]), st.text(string.ascii_letters))


@relaxed
@given(st.dictionaries(KEYS, VALUES, max_size=6))
def test_random_settings_load_or_are_refused_in_one_sentence(paths: Paths, changes: dict[str, str]):
    """A law: no value leads to a traceback, to several lines, or to settings that could not be saved."""
    paths.settings.write_text(
        "".join(f"{key} = {value}\n" for key, value in {**GOOD, **changes}.items()), encoding="utf-8", errors="replace"
    )
    try:
        found = load(paths)
    except Misused:
        refusal(paths)
    else:
        save(paths, found)
        assert load(paths) == found


SOURCES = st.one_of(
    st.text("abc/.-_~'\"\\#é🏠", min_size=1, max_size=20).map("/".__add__),
    st.sampled_from(["git@git.example:home.git", "https://git.example/a%20b"]),
)
SETTINGS = st.builds(
    Settings,
    source=SOURCES,
    household=st.uuids().map(str),
    genesis=st.text("0123456789abcdef", min_size=40, max_size=40),
    interval=st.one_of(
        st.integers(1, 9_999).map("{}s".format), st.integers(1, 1_440).map("{}m".format), st.just("24h")
    ),
    units=st.sampled_from(["systemd", "child"]),
    bench=st.none() | st.builds(Bench, port=st.integers(1, 65_535), upstream_port=st.integers(1, 65_535)),
    report_to=st.none() | st.text("ab\"'\\#/", max_size=9).map("https://c".__add__),
)


@relaxed
@given(SETTINGS)
def test_what_is_saved_is_loaded_again(paths: Paths, settings: Settings):
    """A law over all settings: quotes, backslashes, and an interval of a day among them."""
    save(paths, settings)
    assert load(paths) == settings
    assert paths.settings.stat().st_mode & 0o777 == 0o644


def test_keys_are_closed_and_the_rest_is_open_to_the_daemons(tmp_path: Path):
    """Whatever the umask; and keys that somebody opened are closed again."""
    paths = Paths(tmp_path / "root")
    before = os.umask(0o077)
    try:
        paths.prepare()
    finally:
        os.umask(before)
    paths.keys.chmod(0o755)
    paths.prepare()
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (paths.keys, paths.state, paths.run, paths.outbox)]
    assert modes == [0o700, 0o755, 0o755, 0o755]


def test_a_root_that_cannot_be_written_is_told_in_a_sentence(tmp_path: Path):
    """A file stands where /var belongs."""
    (tmp_path / "var").write_bytes(b"")
    with pytest.raises(Misused, match="cannot be made") as refused:
        Paths(tmp_path).prepare()
    assert refused.value.reason == "NotWritable"


def test_a_relative_root_means_the_folder_it_named_at_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Links and daemons need absolute paths, and the command may be anywhere by then."""
    monkeypatch.chdir(tmp_path)
    assert Paths(Path("bench")).state == tmp_path / "bench/var/lib/hearth"


def test_a_bench_renders_for_its_own_folder_and_ports(tmp_path: Path):
    """An appliance has fixed paths; a bench lies anywhere."""
    settings = Settings(source="/srv/a", household=HOUSEHOLD, genesis=GENESIS)
    paths = Paths(tmp_path)
    assert paths.target(settings).name == "appliance"
    target = paths.target(settings.model_copy(update={"bench": Bench(port=5353, upstream_port=5454)}))
    assert (target.name, str(target.state), target.port, target.upstream_port) == (
        "bench",
        str(paths.state),
        5353,
        5454,
    )
