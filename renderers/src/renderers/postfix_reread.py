"""The last look at rendered Postfix files: read anew, each must be exactly one that we write.

Postfix passes over keys, restrictions and tables that it does not know, and expands `$`. So every key must be there once, with its one
value or a value of its one shape; restrictions, kinds of tables and services are pinned whole. What this guarantees, whatever a
household says: mail is taken from private networks alone, and leaves by verified TLS to the named provider alone, as the one sender.
"""

from __future__ import annotations

import ipaddress
import re
from collections import Counter
from collections.abc import Mapping

from desired_state.addresses import PRIVATE, PRIVATE6
from renderers.encode import RenderingError
from renderers.postfix_plan import ALIASES, HEADERS, MAIN, MASTER, NOTICES, SENDERLESS, SENDERS, TRANSPORT

_V4 = r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}"
_V6 = r"\[[0-9a-f:]*:[0-9a-f:.]*\]"
_NAME = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*"
_EMAIL = rf"[A-Za-z0-9](?:[A-Za-z0-9._+-]*[A-Za-z0-9])?@{_NAME}"
_ALIAS = r"[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?"
_PATH = r"(?:/[\w.+@~-]+(?: [\w.+@~-]+)*)+"
_WORD = r"(?:/|(?:\.\./)+)?[\w.+@~-]+(?:/[\w.+@~-]+)*"
_TEXTHASH = rf"texthash:{_WORD}"
_LINE = re.compile(r"(\w+) =(?: (.*))?", re.ASCII)

_WRAPPERS = "LD_PRELOAD UID_WRAPPER UID_WRAPPER_ROOT NSS_WRAPPER_PASSWD NSS_WRAPPER_GROUP"
_ENVIRONMENT = re.escape(f"MAIL_CONFIG MAIL_LOGTAG TZ LANG=C POSTLOG_SERVICE {_WRAPPERS}")
_BENCH = {
    "queue_directory": r"\.", "data_directory": _WORD, "maillog_file": r"/dev/stdout",
    "import_environment": _ENVIRONMENT, "export_environment": _ENVIRONMENT,
}  # fmt: skip
_MAIN = {
    "compatibility_level": r"3\.6", "myhostname": _NAME, "mydomain": _NAME, "myorigin": _NAME, "smtpd_banner": rf"{_NAME} ESMTP",
    "inet_interfaces": r"all", "inet_protocols": r"all",
    "mynetworks": rf"(?:{_V4}|{_V6})/[0-9]{{1,3}}(?: (?:{_V4}|{_V6})/[0-9]{{1,3}})*",
    "smtpd_delay_reject": r"no",
    "smtpd_client_restrictions": r"permit_mynetworks, reject", "smtpd_relay_restrictions": r"permit_mynetworks, reject",
    "smtpd_recipient_restrictions": r"permit_mynetworks, reject", "smtpd_etrn_restrictions": r"reject",
    "smtpd_discard_ehlo_keywords": r"etrn", "disable_vrfy_command": r"yes", "smtpd_peername_lookup": r"no",
    "allow_percent_hack": r"no", "swap_bangpath": r"no", "message_size_limit": r"[0-9]+", "default_process_limit": r"[0-9]+",
    "smtpd_tls_security_level": r"may", "smtpd_tls_chain_files": _WORD,
    "mydestination": r"", "local_transport": r"error:5\.1\.1 nobody has a mailbox here", "local_recipient_maps": r"",
    "relay_domains": r"", "fast_flush_domains": r"", "virtual_alias_domains": rf"{_NAME}(?: {_NAME})*",
    "virtual_alias_maps": _TEXTHASH, "transport_maps": _TEXTHASH, "notify_classes": r"", "biff": r"no", "append_dot_mydomain": r"no",
    "always_add_missing_headers": r"yes", "smtputf8_enable": r"no",
    "relayhost": rf"\[{_NAME}\]:[0-9]{{1,5}}", "smtp_dns_support_level": r"disabled", "smtp_tls_security_level": r"secure",
    "smtp_tls_secure_cert_match": _NAME, "smtp_tls_servername": _NAME, "smtp_tls_wrappermode": r"yes|no", "smtp_tls_CAfile": _PATH,
    "smtp_tls_mandatory_protocols": r">=TLSv1\.2", "smtp_tls_mandatory_ciphers": r"high", "smtp_tls_loglevel": r"1",
    "smtp_sasl_auth_enable": r"yes", "smtp_sasl_password_maps": _TEXTHASH, "smtp_sasl_mechanism_filter": r"plain, login",
    "smtp_sasl_security_options": r"noanonymous", "maximal_backoff_time": r"900s",
    "sender_canonical_classes": r"envelope_sender", "sender_canonical_maps": rf"regexp:{_WORD}",
    "smtp_header_checks": rf"regexp:{_WORD}", "sender_dependent_default_transport_maps": _TEXTHASH,
}  # fmt: skip
_ENDPOINT = rf"(?:{_V4}|{_V6}):[0-9]{{1,5}} inet n - n - - smtpd"
_NOTICES = rf"127\.0\.0\.25:[0-9]{{1,5}} inet n - n - - smtpd -o smtpd_command_filter=regexp:{_WORD} -o smtpd_tls_security_level=none"
_TO_OURSELVES = (
    "smtp_tls_security_level=none",
    "smtp_tls_wrappermode=no",
    "smtp_sasl_auth_enable=no",
    "smtp_header_checks=",
)
_SERVICES = (
    f"notice unix - - n - - smtp {' '.join(f'-o {option}' for option in _TO_OURSELVES)}",
    "pickup unix n - n 60 1 pickup", "cleanup unix n - n - 0 cleanup", "qmgr unix n - n 300 1 qmgr", "tlsmgr unix - - n 1000? 1 tlsmgr",
    "rewrite unix - - n - - trivial-rewrite", "bounce unix - - n - 0 bounce", "defer unix - - n - 0 bounce",
    "trace unix - - n - 0 bounce", "verify unix - - n - 1 verify", "flush unix n - n 1000? 0 flush", "smtp unix - - n - - smtp",
    "showq unix n - n - - showq", "error unix - - n - - error", "retry unix - - n - - error", "anvil unix - - n - 1 anvil",
    "scache unix - - n - 1 scache", "postlog unix-dgram n - n - 1 postlogd",
)  # fmt: skip
_TABLES = {
    ALIASES: (rf"{_ALIAS}@{_NAME}(?: {_EMAIL})+",),
    TRANSPORT: (rf"\.{_NAME} error:5\.1\.2 the home has no mail addresses of this kind",),
    SENDERS: (rf"/@/ {_EMAIL}",),
    HEADERS: (
        re.escape(
            r"""/^From:[[:blank:]]*("[^"\\]*"|[^]["\\(),.:;<>@]+)[[:blank:]]*<[^<>]*>[[:space:]]*$/ REPLACE From: ${1} <"""
        )
        + rf"{_EMAIL}>",
        re.escape(r"/^From:[^()]*\(([[:alpha:]]+([[:blank:]][[:alpha:]]+)*)\)[[:space:]]*$/ REPLACE From: ${1} <")
        + rf"{_EMAIL}>",
        rf"/\^From:/ REPLACE From: {_EMAIL}",
        r"/\^\(Sender\|Return-Path\):/ IGNORE",
    ),
    SENDERLESS: (r"<> notice:\[127\.0\.0\.25\]:[0-9]{1,5}",),
    NOTICES: (
        rf"/\^MAIL FROM:<>\(\.\*\)\$/ MAIL FROM:<{_EMAIL}>\$\{{1\}}",
        re.escape(r"/^(RCPT TO:<[^>]*>).*$/ ${1} NOTIFY=NEVER"),
    ),
}


def check(files: Mapping[str, bytes]) -> None:
    """Accept files, by their paths in the artifact, that are ours to the letter.

    Raises:
        RenderingError: a path, a line or what a file says as a whole is not.
    """
    for path, content in files.items():
        lines = statements(path, content)
        match path:
            case "postfix/main.cf":
                _check_main(lines)
            case "postfix/master.cf":
                _check_master(lines)
            case _:
                _check_table(path, lines)


def statements(path: str, content: bytes) -> tuple[str, ...]:
    """Return the lines of one rendered file that say something to Postfix, in order.

    Raises:
        RenderingError: the path is not ours, or the file holds what could hide or continue a line.
    """
    if path not in {MAIN, MASTER, *_TABLES}:
        raise RenderingError(f"{path} is no file of Postfix's")
    text = content.decode()
    if not text.endswith("\n") or not all(character.isprintable() or character == "\n" for character in text):
        raise RenderingError(f"{path} holds a control character or ends in the middle of a line")
    lines = tuple(line for line in text.split("\n") if line and not line.startswith("# "))
    if continued := next((line for line in lines if line[0].isspace()), None):
        raise RenderingError(f"{path}: this line would continue another: {continued!r:.120}")
    return lines


def _check_main(lines: tuple[str, ...]) -> None:
    pairs = [(found[1], found[2] or "") if (found := _LINE.fullmatch(line)) else (line, "") for line in lines]
    values = dict(pairs)
    expected = _MAIN | (_BENCH if "queue_directory" in values else {})
    if odd := Counter(key for key, _ in pairs) - Counter(expected.keys()):
        raise RenderingError(f"{MAIN}: this may not be rendered, or not twice: {next(iter(odd))!r:.120}")
    for key, shape in expected.items():
        if key not in values or not re.fullmatch(shape, values[key], re.ASCII):
            raise RenderingError(f"{MAIN}: {key} may not be {values.get(key)!r:.120}")
    _check_networks(values["mynetworks"].split())
    _check_provider(values)


def _check_networks(networks: list[str]) -> None:
    """Accept what lies in the loopback network, RFC 1918 or RFC 4193 alone; no other device may ever hand in mail."""
    for text in networks:
        try:
            network = ipaddress.ip_network(text.replace("[", "").replace("]", ""))
        except ValueError:
            raise RenderingError(f"{MAIN}: {text!r:.120} is not a network") from None
        inside = (PRIVATE6,) if network.version == 6 else (ipaddress.IPv4Network("127.0.0.0/8"), *PRIVATE)
        if not any(network.subnet_of(each) for each in inside):  # type: ignore[arg-type]  # of one version, as chosen above
            raise RenderingError(f"{MAIN}: {text} is not private: that would be an open relay")


def _check_provider(values: Mapping[str, str]) -> None:
    """Accept a relay whose certificate is for the name that mail is sent to; only on a bench it stands at another address."""
    name = values["smtp_tls_secure_cert_match"]
    places = {name} | ({"127.0.0.1"} if "queue_directory" in values else set())
    if values["relayhost"].partition("]")[0][1:] not in places or values["smtp_tls_servername"] != name:
        raise RenderingError(f"{MAIN}: the provider is called {name} and {values['relayhost']!r:.120}")


def _check_master(lines: tuple[str, ...]) -> None:
    *listening, notices = lines[: -len(_SERVICES)] or ("",)
    if lines[-len(_SERVICES) :] != _SERVICES or not re.fullmatch(_NOTICES, notices, re.ASCII) or not listening:
        raise RenderingError(f"{MASTER} must hold exactly the services that we write")
    if odd := next((line for line in listening if not re.fullmatch(_ENDPOINT, line)), None):
        raise RenderingError(f"{MASTER}: this line may not be rendered: {odd!r:.120}")


def _check_table(path: str, lines: tuple[str, ...]) -> None:
    shapes = _TABLES[path]
    for place, line in enumerate(lines):
        shape = shapes[0 if path == ALIASES else min(place, len(shapes) - 1)]
        if not re.fullmatch(shape, line, re.ASCII):
            raise RenderingError(f"{path}: this line may not be rendered: {line!r:.120}")
    if path != ALIASES and len(lines) != len(shapes):
        raise RenderingError(f"{path} must hold exactly {len(shapes)} lines, not {len(lines)}")
