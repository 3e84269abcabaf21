"""`hearth why`: the reason, the people and the date behind an answer, on a home that is up and by the pure rules."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.errors import Misused
from reconciler.why import Asker, asker, explain, read_name
from tests.bench import Bench
from tests.renderers.homes import holm


def test_a_block_is_told_with_whom_it_is_for_its_reason_and_who_signed_it(standing: Bench):
    """The family's own words, the signer's name, and the commit that introduced the block."""
    code, said = standing.hearth_json("why", "tiktok.com", "--from", "mia-tablet")
    assert (code, said["answer"], said["resolver"]) == (0, "blocked", "192.168.10.3")
    block = said["blocks"][0]
    assert (block["id"], block["for"], block["reason"]) == ("tiktok", ["kids"], "Agreed with Mia")
    assert block["signed_by"] == ["Anna Holm"]
    assert block["commit"] == standing.git("rev-parse", "HEAD")
    assert "is blocked for the kids' devices since" in said["sentences"][0]


def test_a_local_name_leads_to_the_commit_that_introduced_it_not_to_a_later_one(standing: Bench):
    """The second commit named the television; the third one changed other files."""
    code, said = standing.hearth_json("why", "tv")
    assert (code, said["answer"], said["addresses"]) == (0, "local", ["192.168.10.30"])
    assert said["introduced"]["commit"] == standing.git("rev-parse", "HEAD~1")


def test_the_appliance_itself_is_as_old_as_the_home(standing: Bench):
    """The search ends at the first commit, which has no parent."""
    said = standing.hearth_json("why", "hearth.home.arpa")[1]
    assert said["introduced"]["commit"] == standing.git("rev-list", "--max-parents=0", "HEAD")


def test_why_answers_without_agent_source_or_internet(joined: Bench):
    """Everything that it needs lies in this machine's own store."""
    joined.start_agent()
    joined.wait_until_up()
    joined.stop_agent()
    joined.stop_world()
    joined.remote.rename(joined.folder / "gone.git")
    done = joined.hearth("why", "tiktok.com")
    assert "is blocked for the kids' devices" in done.stdout


def test_a_block_that_was_narrowed_and_widened_again_counts_from_the_last_time(bench: Bench):
    """Not the first commit that ever blocked it, but the one since which it has held without a break."""
    without = bench.edit("services/dns.yaml", "for: [kids], reason: Agreed", "for: [kids], sites: [], reason: Agreed")
    assert without
    text = (bench.household / "services/dns.yaml").read_text().replace(", sites: [], reason", ", reason")
    bench.push("services/dns.yaml", text.replace("sites: [tiktok]", "domains: [musical.ly]"), message="Only musical.ly")
    again = bench.push("services/dns.yaml", text, message="All of TikTok again")
    assert bench.hearth("reconcile", "--wait", "--json", check=False).returncode == 0
    said = bench.hearth_json("why", "tiktok.com")[1]
    assert said["blocks"][0]["commit"] == again
    assert bench.hearth_json("why", "musical.ly")[1]["blocks"][0]["commit"] != again


@pytest.mark.parametrize(
    ("question", "device", "kind"),
    [
        ("tiktok.com", "mia-tablet", "blocked"),
        ("v16.tiktok.com", "mia-tablet", "blocked"),
        ("tiktok.com", "anna-laptop", "upstream"),
        ("tiktok.com", "", "blocked"),
        ("nottiktok.com", "mia-tablet", "upstream"),
        ("ads.doubleclick.net", "anna-laptop", "blocked"),
        ("use-application-dns.net", "tv", "canary"),
        ("printer.home.arpa", "tv", "local"),
        ("wiki.home.arpa", "tv", "local"),
        ("anna-laptop.home.arpa", "tv", "unknown here"),
        ("debian.org", "tv", "upstream"),
    ],
)
def test_what_becomes_of_a_question(question, device, kind):
    """By the example household."""
    home = holm()
    assert explain(home, question, asker(home, device)).kind == kind


@pytest.mark.parametrize("said", ["mia-tablet", "MIA-TABLET", "02:00:5e:10:00:03"])
def test_a_device_is_known_by_its_id_or_its_card(said):
    """However a person points at it."""
    assert asker(holm(), said) == Asker("mia-tablet", "kids", "192.168.10.3")


def test_an_unknown_device_is_answered_with_the_nearest(standing: Bench):
    """Misspelt ids are common."""
    done = standing.hearth("why", "tiktok.com", "--from", "mia-tablt", check=False)
    assert done.returncode == 2
    assert "Did you mean mia-tablet?" in done.stderr


@pytest.mark.parametrize(
    "name", ["", ".", "a b", "x" * 300, "a..b", "-a.com", "\x1b[31m", "a\n.com", "*.com", "ü" * 80, "\ud800.com"]
)
def test_what_is_no_name_is_one_sentence(name):
    """Nothing strange reaches a terminal or a search."""
    with pytest.raises(Misused) as caught:
        read_name(name, "home.arpa")
    assert caught.value.message.isprintable()


@given(st.text(max_size=300))
def test_any_text_is_a_name_or_a_clear_refusal(text):
    """Never another error, and a name that is taken is plain ASCII."""
    try:
        told = read_name(text, "home.arpa")
    except Misused as refused:
        told = refused.message
    else:
        assert len(told) <= 263
    assert told.isascii()
    assert told.isprintable()


def test_an_address_from_the_browsers_bar_is_understood():
    """People paste."""
    assert read_name("https://www.TikTok.com:443/@x?y", "home.arpa") == "www.tiktok.com"
    assert read_name("bücher.example", "home.arpa") == "xn--bcher-kva.example"
