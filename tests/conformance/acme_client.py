"""Devices that want certificates by ACME: the real certbot(1), and a small DNS in which step-ca finds them.

Stands for the home's names as they are on a bench, on loopback. certbot itself finds the authority by a hosts file of its own
(nss_wrapper(1)), and believes the home's root alone, as an installed device does.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
from contextlib import suppress
from pathlib import Path

import dns.flags
import dns.message
import dns.rdatatype
import dns.rrset

_SECONDS = 60
_HOOK = '#!/bin/sh\necho "_acme-challenge.$CERTBOT_DOMAIN $CERTBOT_VALIDATION" >> "{}"\n'


def missing() -> str | None:
    """Return what is not installed, as a reason to skip."""
    if not shutil.which("certbot"):
        return "certbot is missing: apt install certbot"
    return None if _wrapper() else "the wrapper for host names is missing: apt install libnss-wrapper"


def _wrapper() -> Path | None:
    return next(iter(sorted(Path("/usr/lib").glob("*/libnss_wrapper.so"))), None)


class Names:
    """A DNS server that knows `addresses`, and the texts that are in the file `texts` when it is asked."""

    def __init__(self, address: str, port: int, texts: Path) -> None:
        self.addresses: dict[str, str] = {}
        self._texts = texts
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((address, port))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            query, asker = self._socket.recvfrom(4096)
            if not query:
                return
            self._socket.sendto(self._reply(dns.message.from_wire(query)).to_wire(), asker)

    def _reply(self, query: dns.message.Message) -> dns.message.Message:
        reply = dns.message.make_response(query, recursion_available=True)
        reply.flags |= dns.flags.AA
        (question,) = query.question
        name = question.name.to_text(omit_final_dot=True).lower()
        known = {dns.rdatatype.A: self.addresses.get(name), dns.rdatatype.TXT: self._text(name)}
        if found := known.get(question.rdtype):
            reply.answer.append(dns.rrset.from_text(question.name, 0, "IN", question.rdtype, found))
        return reply

    def _text(self, name: str) -> str | None:
        lines = self._texts.read_text().splitlines() if self._texts.exists() else []
        return next((line.partition(" ")[2] for line in reversed(lines) if line.startswith(f"{name} ")), None)

    def close(self) -> None:
        """Stop answering."""
        with suppress(OSError):  # it is connected to nobody; its reader wakes all the same
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()


class Device:
    """One device of the home and its certbot. `directory` is the authority's address, found at `authority`."""

    def __init__(self, folder: Path, name: str, *, directory: str, authority: str, root: Path) -> None:
        folder.mkdir()
        self.name, self._folder = name, folder
        self.texts = folder / "texts"
        self._hook = folder / "hook"
        self._hook.write_text(_HOOK.format(self.texts))
        self._hook.chmod(0o755)
        hosts = folder / "hosts"
        hosts.write_text(f"{authority} {directory.split('/')[2].partition(':')[0]}\n")
        own = {"LD_PRELOAD": str(_wrapper()), "NSS_WRAPPER_HOSTS": str(hosts), "REQUESTS_CA_BUNDLE": str(root)}
        self._environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "HOME": str(folder)} | own
        self._own = [f"--{each}-dir={folder / each}" for each in ("config", "work", "logs")]
        self._server = ["--server", directory]

    def obtain(self, *challenge: str) -> subprocess.CompletedProcess[str]:
        """Ask for a certificate, as a new device does."""
        silent = ["--agree-tos", "--register-unsafely-without-email", "--domain", self.name]
        return self._certbot("certonly", *self._server, *silent, *challenge)

    def renew(self) -> subprocess.CompletedProcess[str]:
        """Ask for another one like it, by the same account and challenge."""
        return self._certbot("renew", "--force-renewal", "--no-random-sleep-on-renew")

    def by_http(self, address: str) -> tuple[str, ...]:
        """Return the arguments to answer at port 80 of the device's own address (RFC 8555, 8.3)."""
        return ("--standalone", "--preferred-challenges", "http", "--http-01-address", address)

    def by_dns(self) -> tuple[str, ...]:
        """Return the arguments to answer by a text in DNS (RFC 8555, 8.4)."""
        return ("--manual", "--preferred-challenges", "dns", "--manual-auth-hook", str(self._hook))

    def certificate(self) -> Path:
        """Return the device's certificate."""
        return self._folder / "config/live" / self.name / "cert.pem"

    def chain(self) -> Path:
        """Return what stands above it."""
        return self._folder / "config/live" / self.name / "chain.pem"

    def _certbot(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        argv = ["certbot", arguments[0], "--non-interactive", *self._own, *arguments[1:]]
        return subprocess.run(
            argv, env=self._environment, capture_output=True, text=True, check=False, timeout=_SECONDS
        )
