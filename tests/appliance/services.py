"""What a family does with its files, its mail and its certificates: the devices' side, at the appliance's address.

Owns the household's other three services and their secrets, and the mail provider on the internet. What is asserted is the tests'.
"""

from __future__ import annotations

import shutil
import smtplib
import socket
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from email.message import EmailMessage
from pathlib import Path
from typing import TypeVar

import dns.message

from tests.conformance.smart_host import LOGIN, NAME, Authority, Provider, smart_host

from .family import EXAMPLE, MAIN, TV_MAC, Device, Family, enter
from .harness import WEB, Appliance, Home, Namespace
from .harness.network import ROUTER
from .looking import arrive

FILES, MAIL, CERTIFICATES = (f"services/{name}.yaml" for name in ("files", "mail", "certificates"))
UNITS = ("smbd.service", "avahi-daemon.service", "wsdd2.service", "postfix.service", "hearth-ca.service")
PASSWORDS = {"anna": "Anna's pässword, 20%!", "jens": "jens-has-one", "mia": "mia-has-one"}
TV = "192.168.10.30"
DIRECTORY = "https://ca.home.arpa:9000/acme/acme/directory"
_RELAY_PORT = 587
_SECONDS = 10
_Answer = TypeVar("_Answer")


def within(network: Namespace, call: Callable[[], _Answer]) -> _Answer:
    """Return what `call` returns at a machine of that network: its sockets and its child processes are there."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        thread.submit(enter, network).result()
        return thread.submit(call).result()


# --- the household --------------------------------------------------------------------------------------------------------


def trust_device(family: Family, appliance: Appliance) -> None:
    """Let secrets be encrypted to the appliance's own key, as the owners do once, and push that."""
    own = appliance.run(["hearth", "secret", "recipient"]).strip()
    family.hearth("trust", "add", "recipients", "pi", "--recipient", own, "--commit", "--push")


def set_secret(family: Family, name: str, value: str, *options: str) -> str:
    """Set a secret at the laptop; return the newest commit."""
    family.hearth("secret", "set", name, *options, text=f"{value}\n")
    return family.tip


def take_up_all(appliance: Appliance, family: Family) -> None:
    """Let a joined appliance serve the example's files, mail and certificates; everybody but Mia gets a password."""
    trust_device(family, appliance)
    for name, value in ("person-anna", PASSWORDS["anna"]), ("person-jens", PASSWORDS["jens"]):
        set_secret(family, name, value, "--commit")
    set_secret(family, "relay-password", LOGIN[1], "--commit", "--push")
    for path in FILES, MAIL, CERTIFICATES:
        shutil.copy(EXAMPLE / path, family.clone / path)
    arrive(appliance, family.push())


@contextmanager
def television(home: Home) -> Iterator[Device]:
    """Plug the television in, at its fixed address."""
    with Device(home, TV_MAC) as device:
        device.network.run(["ip", "address", "add", f"{TV}/24", "dev", "eth0"])
        device.network.run(["ip", "route", "add", "default", "via", ROUTER])  # multicast wants a way, too
        yield device


# --- files ----------------------------------------------------------------------------------------------------------------


def smb(network: Namespace, share: str, person: str, command: str, *, password: str | None = None) -> str:
    """Do something in a share with smbclient(1), as that person; return what was said, refusals included."""
    word = PASSWORDS[person] if password is None else password
    argv = ["smbclient", f"//{MAIN}/{share}", "-U", f"{person}%{word}", "--configfile=/dev/null", "-c", command]
    return network.run(argv, check=False)


def announced(network: Namespace, kind: str) -> str:
    """Ask the home by multicast who has a kind of service (RFC 6762, 5.1); return the first answer with all its records, or nothing."""
    question = dns.message.make_query(f"{kind}._tcp.local", "PTR").to_wire()
    answer = _first_answer(network, question, ("224.0.0.251", 5353))
    return dns.message.from_wire(answer).to_text() if answer else ""


_PROBE = """<?xml version="1.0" encoding="utf-8"?>
<soap:Envelope xmlns:soap="http://www.w3.org/2003/05/soap-envelope" xmlns:wsa="http://schemas.xmlsoap.org/ws/2004/08/addressing"
 xmlns:wsd="http://schemas.xmlsoap.org/ws/2005/04/discovery" xmlns:wsdp="http://schemas.xmlsoap.org/ws/2006/02/devprof">
<soap:Header><wsa:To>urn:schemas-xmlsoap-org:ws:2005:04:discovery</wsa:To>
<wsa:Action>http://schemas.xmlsoap.org/ws/2005/04/discovery/Probe</wsa:Action>
<wsa:MessageID>urn:uuid:2c0d9bd5-6a8d-4f0c-9a31-5d0c6b3f1e11</wsa:MessageID></soap:Header>
<soap:Body><wsd:Probe><wsd:Types>wsdp:Device</wsd:Types></wsd:Probe></soap:Body></soap:Envelope>"""


def introduced(network: Namespace) -> str:
    """Ask as Windows does who is there (WS-Discovery 1.0, 5.2); return the first answer, or nothing."""
    return _first_answer(network, _PROBE.encode(), ("239.255.255.250", 3702)).decode()


def _first_answer(network: Namespace, question: bytes, group: tuple[str, int]) -> bytes:
    def ask() -> bytes:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.settimeout(_SECONDS)
            asking.sendto(question, group)
            with suppress(TimeoutError):
                return asking.recv(65_536)
        return b""

    return within(network, ask)


# --- mail -----------------------------------------------------------------------------------------------------------------


@contextmanager
def mail_provider(home: Home, appliance: Appliance, folder: Path) -> Iterator[Provider]:
    """Be the mail provider on the internet, at the address that every name there has, and known to the appliance's system."""
    authority = Authority(folder)
    trusted = appliance.root / "usr/local/share/ca-certificates/provider.crt"
    shutil.copy(authority.root, trusted)
    appliance.run(["update-ca-certificates"])
    home.router.run(["ip", "address", "replace", f"{WEB}/32", "dev", "lo"])
    with ThreadPoolExecutor(max_workers=1) as thread:
        thread.submit(enter, home.router).result()
        running = smart_host(Provider(), authority.context(NAME), _RELAY_PORT, host=WEB)
        yield thread.submit(running.__enter__).result()
        thread.submit(running.__exit__, None, None, None).result()


def send(network: Namespace, subject: str, to: str, *, sender: str = "scanner@home.arpa") -> None:
    """Send a message as a device of the home does: no log-in, to the appliance."""
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = f"Scanner <{sender}>", to, subject
    message.set_content("Page 1 of 1")

    def speak() -> None:
        with smtplib.SMTP(MAIN, timeout=_SECONDS) as server:
            server.send_message(message)

    within(network, speak)


# --- certificates ---------------------------------------------------------------------------------------------------------


def verifies(certificate: Path, chain: Path, root: Path, name: str) -> bool:
    """Whether a certificate is for `name`, and whoever trusts the root alone believes it; openssl-verify(1)."""
    argv = ["openssl", "verify", "-CAfile", root, "-untrusted", chain, "-verify_hostname", name, certificate]
    return subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode == 0
