"""The trust folder's files: one spelling each, and nothing that stock OpenSSH reads otherwise than we do."""

from __future__ import annotations

import base64
from collections.abc import Callable

import pytest

from desired_state.trust import Refused, first_trust
from desired_state.trust.people import KEYS_LIMIT, read_keys, read_recipients
from desired_state.trust.policy import read_policy
from desired_state.trust.trust_files import read_trust_files
from tests.desired_state.trust.homes import HOUSEHOLD, lines_of, public_of

ANNA = public_of("anna").line
EXAMPLE = b"""\
format: 1
household: 5b0c8a52-2f6e-4c51-9b1e-8d8f3a7f0c11
version: 1
epoch: 0
mode: reviewed
risk_rules: 1
approvals:
  low: {people: 1}
  medium: {people: 1}
  high: {people: 2, at_terminal: 1}
  trust: {people: 2, at_terminal: 1}
freshness: 7d
passkeys:
  synced: true
  relying_party: approve.hearth.example
  origins: [https://approve.hearth.example]
"""


def refusal(read: Callable[[], object]) -> Refused:
    """Return the refusal, which must be by rule 7."""
    with pytest.raises(Refused) as refused:
        read()
    assert (refused.value.rule, refused.value.reason) == (7, "TrustUnreadable")
    return refused.value


def test_comments_and_empty_lines_stand_between_keys() -> None:
    """People write these files."""
    content = f'# the family\n\nanna namespaces="git" {ANNA} laptop of 2024\n'.encode()
    assert [key.principal for key in read_keys("trust/owners", content, "git")] == ["anna"]


@pytest.mark.parametrize(
    "line",
    [
        f"anna {ANNA}",
        f'anna namespaces="git" cert-authority {ANNA}',
        f'anna cert-authority,namespaces="git" {ANNA}',
        f'anna namespaces="git",valid-before="20300101" {ANNA}',
        f'anna namespaces="git" valid-after="20200101" {ANNA}',
        f'anna namespaces="git,file" {ANNA}',
        f'anna namespaces="*" {ANNA}',
        f'anna namespaces="" {ANNA}',
        f'anna NAMESPACES="git" {ANNA}',
        f'* namespaces="git" {ANNA}',
        f'*@holm.example namespaces="git" {ANNA}',
        f'!anna namespaces="git" {ANNA}',
        f'anna,jens namespaces="git" {ANNA}',
        f'"anna" namespaces="git" {ANNA}',
        f'Anna namespaces="git" {ANNA}',
        f'.anna namespaces="git" {ANNA}',
        f'{"a" * 64} namespaces="git" {ANNA}',
        f' anna namespaces="git" {ANNA}',
        f'anna  namespaces="git" {ANNA}',
        f'anna\tnamespaces="git" {ANNA}',
        f'anna namespaces="git" {ANNA}\r',
        f'anna namespaces="git" {ANNA}\x00',
        f'anna namespaces="git" {ANNA}\u202e',
        f'anna namespaces="git" {ANNA}=',
        f'anna namespaces="git" {ANNA[:-4]}',
        f'anna namespaces="git" {ANNA.replace("ssh-ed25519", "ssh-rsa")}',
        'anna namespaces="git" ssh-ed25519 AAAA',
        f'anna namespaces="git" {ANNA} {"x" * 2_048}',
    ],
)
def test_every_other_form_of_a_line_is_refused_with_its_number(line: str) -> None:
    """Hostile case 9 and its kin: no wildcard, no authority, no dates, no second spelling."""
    refused = refusal(lambda: read_keys("trust/owners", f"# one\n{line}\n".encode(), "git"))
    assert "trust/owners:2" in refused.message


def test_a_key_of_another_type_than_it_says_is_refused() -> None:
    """The type before the key is for people; the one inside counts, so they must agree."""
    blob = base64.b64encode(b"\0\0\0\7ssh-rsa\0\0\0\1\3\0\0\0\1\5").decode()
    refusal(lambda: read_keys("trust/owners", f'anna namespaces="git" ssh-rsa {blob}\n'.encode(), "git"))


def test_files_that_are_no_plain_text_are_refused() -> None:
    """UTF-8, a final line feed, a bounded number of keys, each once."""
    refusal(lambda: read_keys("trust/owners", b"\xff\n", "git"))
    refusal(lambda: read_keys("trust/owners", lines_of("anna").rstrip(), "git"))
    refusal(lambda: read_keys("trust/owners", lines_of("anna") * 2, "git"))
    many = lines_of(*(f"p{number}" for number in range(KEYS_LIMIT + 1)))
    assert f"more than {KEYS_LIMIT}" in refusal(lambda: read_keys("trust/owners", many, "git")).message


def test_recipients_are_age_recipients_only() -> None:
    """One a line, as `age -R` reads them."""
    line = "age1" + "q" * 58
    assert read_recipients("trust/recipients", f"# the Pi\n{line}\n".encode()) == (line,)
    refusal(lambda: read_recipients("trust/recipients", b"ssh-ed25519 AAAA\n"))


def test_one_key_under_two_names_is_refused() -> None:
    """Two people who are one could approve each other."""
    files = first_trust(HOUSEHOLD, "anna", public_of("anna"))
    files["trust/approvers"] = f'jens namespaces="git" {ANNA}\n'.encode()
    assert "one key to" in refusal(lambda: read_trust_files(files)).message


def test_in_reviewed_mode_the_service_and_the_people_are_apart() -> None:
    """Hostile case 12: one key, or one name, in both roles."""
    files = {**first_trust(HOUSEHOLD, "anna", public_of("anna")), "trust/policy.yaml": EXAMPLE}
    for role, space in (("signers", "git"), ("heads", "hearth-head")):
        refusal(lambda: read_trust_files({**files, f"trust/{role}": lines_of("anna", namespace=space)}))  # noqa: B023
    assert read_trust_files({**files, "trust/signers": lines_of("cloud")}).signers[0].principal == "cloud"


def test_the_example_policy_is_read() -> None:
    """The form that docs show."""
    policy = read_policy(EXAMPLE)
    assert (policy.mode, policy.asked("high").people, policy.asked("high").at_terminal) == ("reviewed", 2, 1)
    assert policy.passkeys is not None
    assert policy.passkeys.origins == ("https://approve.hearth.example",)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"format: 1", b"format: 2"),
        (b"format: 1\n", b""),
        (b"epoch: 0", b"epoch: -1"),
        (b"epoch: 0", b"epoch: 0x1"),
        (b"epoch: 0", b"epoch: 1_0"),
        (b"epoch: 0", b"epoch: &a 0"),
        (b"epoch: 0", b"epoch: !!int 0"),
        (b"epoch: 0", b"epoch: 0\nepoch: 1"),
        (b"epoch: 0", b"epoch: [0]"),
        (b"epoch: 0", b"epoch: 0\nmore: 1"),
        (b"epoch: 0", b"epoch: " + b"9" * 5_000),
        (b"mode: reviewed", b"mode: Reviewed"),
        (b"mode: reviewed", b"mode: none"),
        (b"household: 5b0c", b"household: 5B0C"),
        (b"low: {people: 1}", b"low: {people: 0}"),
        (b"low: {people: 1}", b"low: {people: 9}"),
        (b"low: {people: 1}", b"low: {people: 1, at_terminal: 2}"),
        (b"low: {people: 1}", b"low: {people: 1, more: 2}"),
        (b"low: {people: 1}\n  ", b""),
        (b"trust: {people: 2, at_terminal: 1}", b"trust: {people: 0}"),
        (b"[https://approve.hearth.example]", b"[]"),
        (b"https://approve.hearth.example]", b"http://approve.hearth.example]"),
        (b"https://approve.hearth.example]", b"https://approve.hearth.example/]"),
        (EXAMPLE, b""),
        (EXAMPLE, b"- 1\n"),
        (EXAMPLE, b"\xff\xfe"),
        (EXAMPLE, b"[" * 100_000),
        (EXAMPLE, b"format: 1\n" * 5_000),
    ],
)
def test_every_other_policy_is_refused_with_its_place(old: bytes, new: bytes) -> None:
    """Unknown keys, wrong types and YAML's finer arts are refused, in bounded time."""
    assert old in EXAMPLE
    assert "trust/policy.yaml" in refusal(lambda: read_policy(EXAMPLE.replace(old, new, 1))).message


def test_a_self_hosted_home_may_ask_nobody_but_for_trust() -> None:
    """`people: 0` is for homes of one person; trust always takes an owner."""
    lone = EXAMPLE.replace(b"reviewed", b"self-hosted").replace(b"low: {people: 1}", b"low: {people: 0}")
    assert read_policy(lone).asked("low").people == 0
    refusal(lambda: read_policy(lone.replace(b"trust: {people: 2, at_terminal: 1}", b"trust: {people: 0}")))


def test_the_first_trust_files_can_be_met_by_one_person() -> None:
    """`hearth init --self-hosted` must not lock its owner out."""
    trust = read_trust_files(first_trust(HOUSEHOLD, "anna", public_of("anna")))
    assert not trust.policy.judges
    assert trust.policy.asked("trust").people == 1
    assert [key.principal for key in (*trust.owners, *trust.approvers)] == ["anna", "anna"]
    assert (trust.signers, trust.heads, trust.devices, trust.recipients) == ((), (), (), ())
