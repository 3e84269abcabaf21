"""Who may do what: the key files of the trust folder, in OpenSSH's allowed_signers form (ssh-keygen(1)), read strictly.

One line a key: `principal namespaces="..." type base64 [comment]`. Empty lines and lines that begin with # are skipped.
Stock OpenSSH reads the same lines the same way; of its options only `namespaces=` is accepted, and it is required.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable
from dataclasses import dataclass

from desired_state.sshsig import Malformed, PublicKey
from desired_state.trust.refusal import Refused

KEYS_LIMIT = 256
LINE_LIMIT = 2_048
_LINE = re.compile(
    r'(?P<principal>[^ ]+) namespaces="(?P<namespaces>[^"]*)" '
    r"(?P<type>[^ ]+) (?P<key>[A-Za-z0-9+/]+=*)(?: (?P<comment>.*))?"
)
_PRINCIPAL = re.compile(r"[a-z0-9][a-z0-9._@-]{0,62}")
_RECIPIENT = re.compile(r"age1[0-9a-z]{20,120}")


@dataclass(frozen=True, slots=True)
class Key:
    """A person's (or device's) key. The same principal is the same person in every file."""

    principal: str
    public: PublicKey


def read_keys(file: str, content: bytes, namespace: str) -> tuple[Key, ...]:
    """Read one key file; `file` is its path for messages, `namespace` the only one its keys may have.

    Raises:
        Refused: rule 7: each line must be of this form; the message names file and line.
    """
    keys: list[Key] = []
    for number, line in _lines(file, content):
        keys.append(_key(f"{file}:{number}", line, namespace))
    if len(keys) > KEYS_LIMIT:
        raise Refused(7, "TrustUnreadable", f"has more than {KEYS_LIMIT} keys in {file}")
    if len({key.public.blob for key in keys}) < len(keys):
        raise Refused(7, "TrustUnreadable", f"names a key twice in {file}")
    return tuple(keys)


def read_recipients(file: str, content: bytes) -> tuple[str, ...]:
    """Read the age recipients that secrets are encrypted to, one `age1...` a line (age(1), recipients file).

    Raises:
        Refused: a line of any other form.
    """
    recipients = []
    for number, line in _lines(file, content):
        if not _RECIPIENT.fullmatch(line):
            raise Refused(7, "TrustUnreadable", f"has no age recipient in {file}:{number}")
        recipients.append(line)
    return tuple(recipients)


def check_one_person_a_key(files: Iterable[tuple[Key, ...]]) -> None:
    """A key may stand in several files, but only under one principal.

    Raises:
        Refused: two principals share a key.
    """
    owners: dict[bytes, str] = {}
    for key in (key for keys in files for key in keys):
        if owners.setdefault(key.public.blob, key.principal) != key.principal:
            raise Refused(7, "TrustUnreadable", f"gives one key to {owners[key.public.blob]} and to {key.principal}")


def key_line(principal: str, namespace: str, public: PublicKey) -> str:
    """Return the line of a key file that names this key, without its line feed."""
    return f'{principal} namespaces="{namespace}" {public.line}'


def is_principal(text: str) -> bool:
    """Whether `text` can be a principal: lower-case letters, digits and `._@-`, 1 to 63 of them."""
    return _PRINCIPAL.fullmatch(text) is not None


def _lines(file: str, content: bytes) -> Iterable[tuple[int, str]]:
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        raise Refused(7, "TrustUnreadable", f"holds text that is not UTF-8 in {file}") from None
    if text and not text.endswith("\n"):
        raise Refused(7, "TrustUnreadable", f"has no line feed at the end of {file}")
    for number, line in enumerate(text.split("\n")[:-1], 1):
        if len(line) > LINE_LIMIT or not line.isprintable():
            raise Refused(7, "TrustUnreadable", f"has a line that is too long or not plain text in {file}:{number}")
        if line and not line.startswith("#"):
            yield number, line


def _key(place: str, line: str, namespace: str) -> Key:
    match = _LINE.fullmatch(line)
    if not match or not is_principal(match["principal"]):
        raise Refused(
            7, "TrustUnreadable", f"has no line of the form 'name namespaces=\"{namespace}\" type key' in {place}"
        )
    if match["namespaces"] != namespace:
        raise Refused(7, "TrustUnreadable", f'needs namespaces="{namespace}" in {place}')
    try:
        blob = base64.b64decode(match["key"], validate=True)
        public = PublicKey.read(blob)
    except (binascii.Error, Malformed):
        raise Refused(7, "TrustUnreadable", f"has an unreadable key in {place}") from None
    if public.type != match["type"] or base64.b64encode(blob).decode() != match["key"]:
        raise Refused(7, "TrustUnreadable", f"has an unreadable key in {place}")
    return Key(match["principal"], public)
