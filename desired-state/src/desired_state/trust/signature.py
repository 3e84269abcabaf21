"""Rule 2: the commit was signed by a key that stood in the home's trust files before it.

Owns the question "whose signature is this". Does not own the wire form (`sshsig`), what a FIDO key's touch must be like
(`touch`) or which roles may sign (`walk`).
"""

from __future__ import annotations

from collections.abc import Iterable

from desired_state.sshsig import Malformed, Wrong
from desired_state.trust.commit import Commit, signed_by_button, web_button
from desired_state.trust.people import Key
from desired_state.trust.policy import Passkeys
from desired_state.trust.refusal import Refused
from desired_state.trust.touch import check_touch

NAMESPACE = b"git"


def check_signature(commit: Commit, keys: Iterable[Key], role: str, *, passkeys: Passkeys | None) -> Key:
    """Rule 2: return the one of `keys` that signed `commit`; `role` says in words whose keys these are.

    `passkeys` is what the policy of the same commit as the keys says of browser passkeys.

    Raises:
        Refused: another namespace, a key not among them, a signature that does not match, or a FIDO key's touch that
            is not good enough.
    """
    signature = commit.signature
    if signature.namespace != NAMESPACE:
        raise Refused(2, "WrongNamespace", "is signed for another purpose than git")
    key = next((key for key in keys if key.public.blob == signature.key.blob), None)
    if key is None:
        host = web_button(commit.committer)
        if host:
            raise signed_by_button(host, 2)
        raise Refused(2, "UnknownKey", f"is signed by a key that is not {role}'s ({signature.key.fingerprint})")
    try:
        touch = signature.check(commit.payload)
    except (Malformed, Wrong) as flaw:
        raise Refused(2, "BadSignature", f"carries a signature that {flaw}") from None
    check_touch(key.public, touch, passkeys)
    return key
