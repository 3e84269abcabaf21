"""Changes of who may do what, as edits of the files under `trust/`. Comments, order and everything else stay as they are.

Owns these edits. Whether the new files may stand, and whether enough owners agree, others judge: `trust_files`,
`quorum` and `trust_change`. `Files` are all files of a commit, by their whole paths; every function returns new ones.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from desired_state.sshsig import PublicKey, read_public_line
from desired_state.trust.people import is_principal, key_line
from desired_state.trust.policy import POLICY_FILE, read_policy
from desired_state.trust.trust_files import NAMESPACES

RECIPIENTS = "recipients"
ROLES = (*NAMESPACES, RECIPIENTS)

Files = Mapping[str, bytes]


class CannotEdit(ValueError):
    """An edit that does not fit the files. Carries a sentence for people, and what to do."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


def add_key(files: Files, role: str, principal: str, public: PublicKey) -> dict[str, bytes]:
    """Name one more key in a role.

    Raises:
        CannotEdit: it stands there already, or `principal` can be nobody's.
    """
    if not is_principal(principal):
        raise CannotEdit(
            f"{principal[:80]!r} cannot be a person here.",
            "Write lower-case letters, digits and . _ @ -, at most 63, beginning with a letter or digit.",
        )
    lines = _lines(files, role)
    if any(_key_in(line) == public.line for line in lines):
        raise CannotEdit(f"This key stands in trust/{role} already: {public.fingerprint}.")
    return _with(files, role, [*lines, key_line(principal, NAMESPACES[role], public)])


def add_recipient(files: Files, name: str, recipient: str) -> dict[str, bytes]:
    """Let secrets be encrypted to one more age recipient; `name` stands above it as a comment.

    Raises:
        CannotEdit: it stands there already, or `name` can be nobody's.
    """
    if not is_principal(name):
        raise CannotEdit(f"{name[:80]!r} cannot be a name here.", "Write lower-case letters, digits and . _ @ -.")
    lines = _lines(files, RECIPIENTS)
    if recipient in lines:
        raise CannotEdit(f"{recipient} stands in trust/recipients already.")
    return _with(files, RECIPIENTS, [*lines, f"# {name}", recipient])


def remove(files: Files, role: str, who: str) -> dict[str, bytes]:
    """Take somebody's keys, or the key with one fingerprint, out of a role; of `recipients` by name or by the recipient.

    Raises:
        CannotEdit: nobody there is called that.
    """
    lines = _lines(files, role)
    leave = _without_recipient(lines, who) if role == RECIPIENTS else [line for line in lines if not _is(line, who)]
    if leave == lines:
        raise CannotEdit(f"There is no {who[:80]!r} in trust/{role}.", "`hearth trust list` shows who is.")
    return _with(files, role, leave)


def remove_everywhere(files: Files, who: str) -> dict[str, bytes]:
    """Take somebody, or one key, out of every role.

    Raises:
        CannotEdit: nobody is called that anywhere.
    """
    left = dict(files)
    for role in ROLES:
        try:
            left = remove(left, role, who)
        except CannotEdit:
            continue
    if left == dict(files):
        raise CannotEdit(f"There is no {who[:80]!r} in trust/.", "`hearth trust list` shows who is.")
    return left


def rotate(files: Files, principal: str, new: PublicKey, old: str = "") -> dict[str, bytes]:
    """Put a person's new key wherever their old one stands. `old` is its fingerprint, needed only where they have several.

    Raises:
        CannotEdit: they have no such key, or it is not clear which is meant.
    """
    standing = {
        key: read_public_line(key).fingerprint
        for role in NAMESPACES
        for line in _lines(files, role)
        if line.startswith(f"{principal} ") and (key := _key_in(line))
    }
    chosen = [key for key, fingerprint in standing.items() if old in {"", fingerprint}]
    if not chosen:
        raise CannotEdit(f"{principal[:80]} has no {'such ' if old else ''}key here.", "`hearth trust list` shows all.")
    if len(chosen) > 1:
        known = " or ".join(standing[key] for key in chosen)
        raise CannotEdit(f"{principal} has {len(chosen)} keys here.", f"Say which goes: --old {known}.")
    changed = dict(files)
    for role in NAMESPACES:
        lines = [line.replace(chosen[0], new.line) for line in _lines(changed, role)]
        changed = _with(changed, role, lines)
    return changed


def numbered(files: Files, *, version: int, epoch: int | None = None) -> dict[str, bytes]:
    """Set the version of the policy, and the epoch if one is given.

    Raises:
        CannotEdit: the file is written in a way that only a person can edit.
        Refused: rule 7: it cannot be read at all.
    """
    content = files[POLICY_FILE]
    before = read_policy(content)
    wanted: dict[str, int] = {"version": version, **({} if epoch is None else {"epoch": epoch})}
    for name, number in wanted.items():
        content = re.sub(rb"(?m)^(%b:[ ]+)[0-9]+" % name.encode(), b"\\g<1>%d" % number, content, count=1)
    if read_policy(content) != before.model_copy(update=wanted):
        told = " and ".join(f"{name}: {number}" for name, number in wanted.items())
        raise CannotEdit(f"{POLICY_FILE} is written in a way that is not edited by a command.", f"Write {told} there.")
    return {**files, POLICY_FILE: content}


def _lines(files: Files, role: str) -> list[str]:
    return files[f"trust/{role}"].decode().split("\n")[:-1]


def _with(files: Files, role: str, lines: list[str]) -> dict[str, bytes]:
    return {**files, f"trust/{role}": "".join(f"{line}\n" for line in lines).encode()}


def _key_in(line: str) -> str:
    """Return type and base64 of a key's line, empty for a comment (`people` has the form)."""
    words = line.split(" ")
    return "" if line.startswith("#") or len(words) < 4 else " ".join(words[2:4])


def _is(line: str, who: str) -> bool:
    key = _key_in(line)
    return bool(key) and (line.split(" ", 1)[0] == who or read_public_line(key).fingerprint == who)


def _without_recipient(lines: list[str], who: str) -> list[str]:
    left: list[str] = []
    for line in lines:
        named = bool(left) and left[-1].startswith("# ")
        if line.startswith("age1") and (line == who or (named and left[-1] == f"# {who}")):
            if named:
                left.pop()
            continue
        left.append(line)
    return left
