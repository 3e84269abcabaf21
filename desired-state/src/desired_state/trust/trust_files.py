"""The trust folder of one commit, read as a whole, and the first one of a home.

Owns which file holds which role. Does not own the lines (`people`) or the policy's fields (`policy`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from desired_state.sshsig import PublicKey
from desired_state.trust.people import Key, check_one_person_a_key, key_line, read_keys, read_recipients
from desired_state.trust.policy import POLICY_FILE, Policy, read_policy
from desired_state.trust.refusal import Refused

NAMESPACES = {
    "signers": "git",
    "approvers": "git",
    "owners": "git",
    "heads": "hearth-head",
    "devices": "hearth-applied",
}


@dataclass(frozen=True, slots=True)
class TrustFiles:
    """Who may do what in this home, as of one commit."""

    policy: Policy
    signers: tuple[Key, ...]
    approvers: tuple[Key, ...]
    owners: tuple[Key, ...]
    heads: tuple[Key, ...]
    devices: tuple[Key, ...]
    recipients: tuple[str, ...]


def read_trust_files(files: Mapping[str, bytes]) -> TrustFiles:
    """Read the seven files of `trust/`, given by their whole paths.

    Raises:
        Refused: rule 7: a file that is not exactly what it should be, or roles that must not meet in one person.
    """
    policy = read_policy(files[POLICY_FILE])
    keys = {role: read_keys(f"trust/{role}", files[f"trust/{role}"], space) for role, space in NAMESPACES.items()}
    check_one_person_a_key(keys.values())
    if policy.mode == "reviewed":
        _check_separation(keys)
    return TrustFiles(policy=policy, recipients=read_recipients("trust/recipients", files["trust/recipients"]), **keys)


def _check_separation(keys: Mapping[str, tuple[Key, ...]]) -> None:
    machines, people = (*keys["signers"], *keys["heads"]), (*keys["approvers"], *keys["owners"])
    if {key.principal for key in machines} & {key.principal for key in people}:
        raise Refused(
            7,
            "TrustUnreadable",
            "lets one name sign for the service and approve: signers and heads must be apart from approvers and owners",
        )
    if any(key.public.type != "ssh-ed25519" for key in machines):
        raise Refused(7, "TrustUnreadable", "has a signer or head key that is not ssh-ed25519")


def first_trust(household: str, principal: str, public: PublicKey) -> dict[str, bytes]:
    """Return the trust files of a new self-hosted home with one person, by path.

    One person can meet this policy: everyday changes are plain commits (0 approvals), a change of trust asks for one
    owner.
    """
    policy = _FIRST_POLICY.format(household=household)
    return _first_files(policy, owners={principal: public}, signers={})


def first_reviewed_trust(
    household: str, owners: Mapping[str, PublicKey], signers: Mapping[str, PublicKey]
) -> dict[str, bytes]:
    """Return the trust files of a new home whose changes `signers` merge once the family has approved them, by path.

    Its owners also approve. Changes of high risk and of trust take them to a terminal.
    """
    return _first_files(_FIRST_REVIEWED_POLICY.format(household=household), owners=owners, signers=signers)


def _first_files(policy: str, *, owners: Mapping[str, PublicKey], signers: Mapping[str, PublicKey]) -> dict[str, bytes]:
    people, machines = _lines(owners), _lines(signers)
    empty = dict.fromkeys(("heads", "devices", "recipients"), b"")
    files = {"policy.yaml": policy.encode(), "owners": people, "approvers": people, "signers": machines} | empty
    return {f"trust/{name}": content for name, content in sorted(files.items())}


def _lines(keys: Mapping[str, PublicKey]) -> bytes:
    return "".join(key_line(principal, "git", public) + "\n" for principal, public in keys.items()).encode()


_FIRST_POLICY = """\
format: 1
household: {household}
version: 1                # every change of this folder raises it by one
epoch: 0                  # raised only to return to an older history
mode: self-hosted         # or reviewed: a service merges what people approved
risk_rules: 1             # which edition of the risk table judges
approvals:                # how many people must approve beside the one who commits, by the risk of the change
  low: {{people: 0}}
  medium: {{people: 0}}
  high: {{people: 0}}
  trust: {{people: 1}}      # owners, for changes of this folder; never 0
freshness: 7d
"""

_FIRST_REVIEWED_POLICY = """\
format: 1
household: {household}
version: 1                # every change of this folder raises it by one
epoch: 0                  # raised only to return to an older history
mode: reviewed            # a key in trust/signers merges what people approved
risk_rules: 1             # which edition of the risk table judges
approvals:                # how many people must approve, by the risk of the change; never 0
  low: {{people: 1}}
  medium: {{people: 1}}
  high: {{people: 1, at_terminal: 1}}
  trust: {{people: 2, at_terminal: 2}}      # owners, for changes of this folder
freshness: 7d
"""
