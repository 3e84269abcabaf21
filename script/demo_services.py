"""The scenes of script/demo --all: shared folders, mail and certificates, by the real Samba, Postfix, step-ca and certbot.

The mail provider is a small one of the demo's own, with TLS and a log-in; the internet knows where on loopback the home's devices
stand, so that the certificate authority finds whom it issues for.
"""

from __future__ import annotations

import logging
import secrets
import shutil
import smtplib
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email.message import EmailMessage
from pathlib import Path

from tests.conformance.acme_client import Device, Names
from tests.conformance.mail_home import try_all_now
from tests.conformance.smart_host import NAME, Authority, Provider, smart_host

logging.getLogger("mail.log").setLevel(logging.ERROR)  # aiosmtpd warns there of its own old names
DEVICE = "tv.home.arpa"
_ACCOUNT = "anna@holm.example"
_HOLM = Path(__file__).resolve().parent.parent / "desired-state/examples/holm"


class Services:
    """The family's side of the services: who opens a folder, sends a message, wants a certificate."""

    def __init__(self, home: Path, household: Path, pi: Path, ports: dict[str, int]) -> None:
        self.home, self.household, self.pi, self.ports = home, household, pi, ports
        self.passwords = {name: secrets.token_urlsafe(12) for name in ("relay-password", "person-anna", "person-jens")}
        self.provider = Provider((_ACCOUNT, self.passwords["relay-password"]))
        self._authority = Authority(home / "provider", "The demo's mail provider")
        trusted = pi / "etc/ssl/certs/ca-certificates.crt"
        trusted.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(self._authority.root, trusted)
        self.device = Device(
            home / "tv",
            DEVICE,
            directory=f"https://ca.home.arpa:{ports['authority_port']}/acme/acme/directory",
            authority="127.168.10.2",
            root=pi / "var/lib/hearth/authority/root.crt",
        )

    @contextmanager
    def mail_provider(self) -> Iterator[None]:
        """Be the mail provider."""
        context = self._authority.context(NAME)
        with smart_host(self.provider, context, self.ports["relay_port"]):
            yield

    def arrived(self) -> list[str]:
        """Return the subjects of what the provider took from the sender that the household names, encrypted."""
        good = [one for one in self.provider.arrived if one.encrypted and one.sender == _ACCOUNT]
        return [subject for message in good for subject in message.header("Subject")]

    @contextmanager
    def names(self, port: int) -> Iterator[None]:
        """Answer where the home's devices stand on loopback, and the texts by which certbot shows who it is."""
        known = Names("127.0.0.1", port, self.device.texts)
        known.addresses[DEVICE] = "127.168.10.30"
        try:
            yield
        finally:
            known.close()

    def open_folder(self, person: str, share: str, command: str) -> str:
        """Open a shared folder as a person; return what came of it, or Samba's own refusal. The password goes by a file."""
        account = self.home / "account"
        account.touch(mode=0o600)
        account.write_text(f"username={person}\npassword={self.passwords.get(f'person-{person}', 'a guess')}\n")
        where = [f"//127.168.10.2/{share}", "-p", str(self.ports["files_port"]), "-A", str(account)]
        own = ["--configfile=/dev/null", "--option=gensec:gse_krb5=no"]
        done = subprocess.run(
            ["smbclient", *where, *own, "-c", command], capture_output=True, text=True, check=False, timeout=60
        )
        refusals = [word for word in (done.stdout + done.stderr).split() if word.startswith("NT_STATUS_")]
        return refusals[0] if refusals else done.stdout

    def send(self, subject: str) -> None:
        """Send a message as the scanner in the study does: without a password, from inside the home."""
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = "scanner@home.arpa", "school@elsewhere.example", subject
        message.set_content("See the attached page.")
        with smtplib.SMTP("127.168.10.2", self.ports["mail_port"], timeout=20) as relay:
            relay.send_message(message)

    def flush(self) -> None:
        """Have Postfix try at once what waits, instead of minutes later."""
        with suppress(OSError):
            try_all_now(self.pi / "var/lib/hearth/postfix/queue")

    def certificate(self) -> str:
        """Have certbot get a certificate for the television; return who signed it, by openssl's word, or what went wrong."""
        done = self.device.obtain(*self.device.by_dns(), "--force-renewal")
        if done.returncode != 0:
            return (done.stderr or done.stdout).strip().splitlines()[-1]
        root = self.pi / "var/lib/hearth/authority/root.crt"
        chain = ["-CAfile", str(root), "-untrusted", str(self.device.chain()), "-verify_hostname", DEVICE]
        said = subprocess.run(
            ["openssl", "verify", *chain, str(self.device.certificate())], capture_output=True, text=True, check=False
        )
        return "good" if said.returncode == 0 else said.stderr.strip()

    def copy_household(self) -> None:
        """Put the three services into the family's household."""
        for service in ("files", "mail", "certificates"):
            shutil.copy(_HOLM / f"services/{service}.yaml", self.household / f"services/{service}.yaml")
