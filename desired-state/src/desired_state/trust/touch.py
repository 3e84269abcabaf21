"""Rule 2 for FIDO keys: somebody was there, and a passkey was touched for this home, on one of its own pages.

Owns what a touch must have been like. Stock OpenSSH asks for none of it: its yes comes first, from `sshsig`.
"""

from __future__ import annotations

import json

from desired_state.sshsig import Flags, Page, PublicKey, Touch
from desired_state.trust.policy import Passkeys
from desired_state.trust.refusal import Refused

CLIENT_DATA_LIMIT = 2_048
"""Bytes of a clientDataJSON. Browsers write some 250."""

NESTING_LIMIT = 64
"""Opening brackets in it, so that no reader is led as deep as it can count. Browsers write one or two."""

_TOUCHED_AND_VERIFIED = Flags.PRESENT | Flags.VERIFIED
_AGAIN = "Approve it again, on the home's own page."


def check_touch(key: PublicKey, touch: Touch | None, passkeys: Passkeys | None) -> None:
    """Rule 2: the touch that came with a signature by `key` is good enough; other keys have none (None).

    `passkeys` is the policy's part about them, as of the same commit as the key.

    Raises:
        Refused: nobody was there, or a passkey was used otherwise than the policy says.
    """
    if touch is None:
        return
    check_present(touch.flags)
    page = check_form(key, touch.page, passkeys)
    if page is None:
        return
    assert passkeys is not None
    check_flags(touch.flags, synced=passkeys.synced)
    check_origin(page.origin, passkeys.origins)
    check_client_data(page.client_data)


def check_present(flags: Flags) -> None:
    """Rule 2: somebody touched the key. A key made with `no-touch-required` signs for whoever holds the machine.

    Raises:
        Refused: nobody did.
    """
    if Flags.PRESENT not in flags:
        why = "is signed by a FIDO key that nobody touched"
        raise Refused(2, "NotTouched", why, "Use a key that asks for a touch, and sign again.")


def check_form(key: PublicKey, page: Page | None, passkeys: Passkeys | None) -> Page | None:
    """Rule 2: keys bound to the relying party sign in a browser, and no others do. Return the page, if one is needed.

    Raises:
        Refused: a passkey outside a browser, or another key in one.
    """
    bound = passkeys is not None and passkeys.binds(key)
    if bound and page is None:
        raise Refused(2, "PasskeyForm", "is signed by a passkey without a browser", _AGAIN)
    if page is not None and not bound:
        why = f"is signed in a browser, by a key that is no passkey of this home ({key.application})"
        raise Refused(2, "PasskeyForm", why, "Sign with `git commit -S` instead.")
    return page


def check_flags(flags: Flags, *, synced: bool) -> None:
    """Rule 2: the authenticator says "present" and "verified" and nothing else; of copies only if passkeys may be synced.

    Extensions have a flag of their own, and so are refused here too.

    Raises:
        Refused: it says less, or more.
    """
    copies = flags & (Flags.BACKUP_ELIGIBLE | Flags.BACKED_UP)
    if Flags.VERIFIED not in flags:
        raise Refused(2, "PasskeyFlags", "is signed by a passkey that did not ask who touched it", _AGAIN)
    if copies and not synced:
        why = "is signed by a passkey that can be copied to other devices, which the policy forbids"
        raise Refused(2, "PasskeyFlags", why, "Use a key that stays on its device, or allow passkeys.synced.")
    if flags != _TOUCHED_AND_VERIFIED | copies or copies == Flags.BACKED_UP:
        why = f"is signed by a passkey with other flags than it should have ({flags:#04x})"
        raise Refused(2, "PasskeyFlags", why, _AGAIN)


def check_origin(origin: str, origins: tuple[str, ...]) -> None:
    """Rule 2: the page is one of the policy's, byte for byte; another port or scheme is another page.

    Raises:
        Refused: it is another.
    """
    if origin not in origins:
        raise Refused(2, "PasskeyOrigin", f"was touched on a page that is not the home's ({origin})", _AGAIN)


def check_client_data(content: bytes) -> None:
    """Rule 2: clientDataJSON is short and strict JSON, and says that the page stood alone (Web Authentication, 5.8.1).

    Type, challenge and origin were compared before, at the places where every browser writes them. Members that nobody
    knows yet are let through: browsers add some on purpose.

    Raises:
        Refused: it is long, no strict JSON, or tells of a page within another site's.
    """
    if len(content) > CLIENT_DATA_LIMIT:
        raise _unclear(f"is longer than {CLIENT_DATA_LIMIT} bytes")
    if content.count(b"[") + content.count(b"{") > NESTING_LIMIT:
        raise _unclear("is nested too deeply")
    try:
        members = json.loads(content.decode("utf-8"), object_pairs_hook=_once_each, parse_constant=_no_number)
    except ValueError:
        raise _unclear("is no strict JSON") from None
    if members.get("crossOrigin", False) is not False or "topOrigin" in members:
        raise Refused(2, "PasskeyOrigin", "was touched on a page that stood inside another site's", _AGAIN)


def _unclear(why: str) -> Refused:
    return Refused(2, "PasskeyClientData", f"carries a passkey's clientDataJSON that {why}", _AGAIN)


def _once_each(members: list[tuple[str, object]]) -> dict[str, object]:
    if len(dict(members)) < len(members):
        raise ValueError("a member stands twice")
    return dict(members)


def _no_number(name: str) -> object:
    raise ValueError(name)
