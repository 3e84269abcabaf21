"""A source address: what git users write is read, and what could mislead is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.errors import Misused
from reconciler.source.url import Transport, parse_url


@pytest.mark.parametrize(
    ("text", "transport", "place", "again"),
    [
        ("https://Git.Example/home.git", Transport.HTTPS, "git.example", "https://git.example/home.git"),
        ("https://git.example:8443/a/b", Transport.HTTPS, "git.example", "https://git.example:8443/a/b"),
        ("http://[::1]:8080/home.git", Transport.HTTP, "[::1]", "http://[::1]:8080/home.git"),
        ("ssh://git.example/home.git", Transport.SSH, "git.example", "ssh://git@git.example/home.git"),
        ("ssh://me@git.example:2222/~/home", Transport.SSH, "git.example", "ssh://me@git.example:2222/~/home"),
        ("git@github.com:holm/home.git", Transport.SSH, "github.com", "git@github.com:holm/home.git"),
        ("me@host:/srv/home.git", Transport.SSH, "host", "ssh://me@host/srv/home.git"),
        ("file:///srv/My%20Home.git", Transport.FILE, "/srv/My Home.git", "/srv/My Home.git"),
        (
            "/srv/Hjemmet på Sjælland.git",
            Transport.FILE,
            "/srv/Hjemmet på Sjælland.git",
            "/srv/Hjemmet på Sjælland.git",
        ),
    ],
)
def test_each_form_of_a_git_address_is_read(text: str, transport: Transport, place: str, again: str) -> None:
    """The forms of git-clone(1), and what libgit2 and people are then told."""
    url = parse_url(text)
    assert (url.transport, url.place, url.text) == (transport, place, again)
    assert parse_url(url.text) == url


@pytest.mark.parametrize(
    "text",
    [
        "",
        "home.git",
        "../home.git",
        "ftp://host/home.git",
        "git://host/home.git",
        "https://",
        "https://host",
        "https://host/",
        "https://host:port/home.git",
        "https://host:99999/home.git",
        "https://anna:secret@host/home.git",
        "https://ghp_token@host/home.git",
        "ssh://git:secret@host/home.git",
        "https://host/home.git?x=1",
        "https://host/home.git#main",
        "ssh://-oProxyCommand=evil/home.git",
        "-oProxyCommand=evil@host:home.git",
        "git@-host:home.git",
        "https://ho st/home.git",
        "https://hóst/home.git",
        "https://host/home.git\n",
        "https://host/ho\x1b[2Jme.git",
        "file://otherhost/srv/home.git",
        "file:///srv/%00home.git",
        "https://host/" + "a" * 3000,
    ],
)
def test_anything_else_is_refused_without_repeating_it(text: str) -> None:
    """One sentence and what to write instead; a password in the address is not shown again."""
    with pytest.raises(Misused) as caught:
        parse_url(text)
    assert "secret" not in str(caught.value)
    assert "token@" not in str(caught.value)


@given(st.text(max_size=60) | st.from_regex(r"(https?|ssh|file)://[ -~]{0,40}"))
def test_no_text_is_more_than_an_address_or_a_misuse(text: str) -> None:
    """Never another exception; and what is read is read the same again."""
    try:
        url = parse_url(text)
    except Misused:
        return
    assert parse_url(url.text) == url
