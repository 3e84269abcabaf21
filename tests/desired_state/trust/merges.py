"""Homes with several people, and changes as they must look there: B, A_1 to A_k, M. Every part can be made wrong.

Anna and Jens own the home; Anna, Jens and Mia approve; in reviewed mode the service's key `cloud` merges. Whoever signs
`on a phone` (`mia@phone`) uses a passkey of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from desired_state import sshsig
from desired_state.trust import ApprovedArtifact, Refused, Step, approval_text
from desired_state.trust.commit import read_parts, with_signature
from desired_state.trust.contents import household_files, trust_files
from desired_state.trust.tree import read_tree, tree_sha256
from tests.desired_state.trust.authenticator import ORIGIN, RELYING_PARTY, Passkey
from tests.desired_state.trust.homes import HOUSEHOLD, Home, key_of, lines_of

ARTIFACT = ApprovedArtifact("a" * 64, "0.1.0")
CLASSES = ("low", "medium", "high", "trust")
PASSKEYS = f"passkeys:\n  synced: true\n  relying_party: {RELYING_PARTY}\n  origins: [{ORIGIN}]\n"
PHONE = "@phone"
Asked = tuple[int, int]
"""How many people, and how many of them at a terminal."""


def policy(
    mode: str = "reviewed", *, version: int = 1, epoch: int = 0, edition: int = 1, more: str = "", **asked: Asked
) -> bytes:
    """Return a trust policy; every class that is not given asks for one person, trust for two."""
    asks = {**dict.fromkeys(CLASSES, (1, 0)), "trust": (2, 0), **asked}
    classes = "".join(
        f"  {risk}: {{people: {people}, at_terminal: {sitting}}}\n" for risk, (people, sitting) in asks.items()
    )
    head = (
        f"format: 1\nhousehold: {HOUSEHOLD}\nversion: {version}\nepoch: {epoch}\nmode: {mode}\nrisk_rules: {edition}\n"
    )
    return f"{head}approvals:\n{classes}{more}".encode()


def begin(home: Home, mode: str = "reviewed", **parts: object) -> str:
    """Begin the home anew with its people and a policy; return the genesis."""
    home.trust |= {
        "trust/policy.yaml": policy(mode, **parts),
        "trust/owners": lines_of("anna", "jens"),
        "trust/approvers": lines_of("anna", "jens", "mia"),
        "trust/signers": lines_of("cloud") if mode == "reviewed" else b"",
    }
    return home.begin()


def passkeys_of(*names: str) -> bytes:
    """Return a key file that names these people's passkeys."""
    return "".join(f'{name} namespaces="git" {Passkey(name).public.line}\n' for name in names).encode()


def armour(payload: bytes, by: str, namespace: str = "git") -> bytes:
    """Return somebody's signature."""
    if by.endswith(PHONE):
        return Passkey(by.removesuffix(PHONE)).sign(payload, namespace)
    return sshsig.sign(payload, namespace, key_of(by))


def files_of(home: Home, commit: str) -> dict[str, bytes]:
    """Return every file of a commit."""
    tree = read_tree(home.repository, read_parts(commit, home.read(commit)).tree)
    return {**household_files(home.repository, tree), **trust_files(home.repository, tree)}


def tree_of(home: Home, commit: str) -> str:
    """Return the id of a commit's tree."""
    return read_parts(commit, home.read(commit)).tree


def write(home: Home, tree: str, parents: tuple[str, ...], message: bytes, by: str | None) -> str:
    """Write a commit with exactly this message, signed by someone or by nobody."""
    payload = home.payload(tree, parents, message=message.decode())
    return home.write(with_signature(payload, armour(payload, by)) if by else payload)


def propose(home: Home, base: str, files: Mapping[str, bytes], *, by: str | None = None) -> str:
    """Write B: one commit on the base with these files changed."""
    tree = home.repository.write_tree({**files_of(home, base), **files})
    return write(home, tree, (base,), b"New name\n\nHearth-Request: r-17\nHearth-Requested-By: Mia\n", by)


def text(home: Home, base: str, proposal: str, risk: str = "low/1") -> bytes:
    """Return the text that approves a proposal."""
    return approval_text(home.household, base, tree_sha256(files_of(home, proposal)), ARTIFACT, risk=risk)


def approve(home: Home, on: str, message: bytes, by: str | None = "jens") -> str:
    """Write A_i on B or on the approval before."""
    return write(home, tree_of(home, on), (on,), message, by)


def merge(home: Home, base: str, approval: str, *, by: str | None = "cloud") -> str:
    """Write M."""
    return write(home, tree_of(home, approval), (base, approval), b"There is a new name\n", by)


def changed(
    home: Home,
    base: str,
    content: str = "new",
    *,
    approvers: tuple[str, ...] = ("jens",),
    by: str = "cloud",
    proposer: str | None = None,
    risk: str = "low/1",
    files: Mapping[str, bytes] | None = None,
) -> str:
    """Write a whole change, approved and merged as it should be; return M."""
    top = proposal = propose(home, base, files or {"README.md": content.encode()}, by=proposer)
    message = text(home, base, proposal, risk)
    for approver in approvers:
        top = approve(home, top, message, approver)
    return merge(home, base, top, by=by)


def trust_changed(
    home: Home,
    base: str,
    *,
    approvers: tuple[str, ...] = ("anna",),
    by: str = "jens",
    proposer: str | None = None,
    edition: int = 1,
    files: Mapping[str, bytes] | None = None,
    **parts: object,
) -> str:
    """Write a whole change of trust: these files, and a policy with version 2 unless `parts` say otherwise."""
    mode = "reviewed" if b"mode: reviewed" in files_of(home, base)["trust/policy.yaml"] else "self-hosted"
    new = {"trust/policy.yaml": policy(**{"mode": mode, "version": 2, **parts}), **(files or {})}
    return changed(home, base, approvers=approvers, by=by, proposer=proposer, risk=f"trust/{edition}", files=new)


def refusal(home: Home, tip: str, floor: str | None = None, **options: Any) -> Refused:
    """Verify and return the refusal, which names the commit on main."""
    with pytest.raises(Refused) as refused:
        home.verify(tip, floor, **options)
    assert refused.value.commit == tip
    return refused.value


def reason(home: Home, tip: str, **options: Any) -> tuple[int, str]:
    """Return the rule and the reason of a refusal."""
    refused = refusal(home, tip, **options)
    return refused.rule, refused.reason


def last(home: Home, tip: str, **options: Any) -> Step:
    """Verify and return the last step."""
    return home.verify(tip, **options).steps[-1]
