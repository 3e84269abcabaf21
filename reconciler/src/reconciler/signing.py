"""Signing with a person's own key, exactly as their stock git would: file, ssh-agent or FIDO key, through `ssh-keygen`.

Owns which key and name git is configured with, and the making of a signed commit. The private key is never read here.
Processes are started directly and not by `run`: a passphrase and a touch need the person's terminal, which `run` takes away.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from desired_state.history import Repository
from desired_state.sshsig import Malformed, PublicKey, Signature, Wrong, public_key, read_public_line
from desired_state.trust.commit import Person, compose, with_signature
from reconciler.errors import Misused, Transient

SIGNING_SECONDS = 180
"""Long enough to find the FIDO key and touch it."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key to sign with: the file of its private or public half, or its public line if the agent holds it.

    `folder` is where a relative file is looked for, `program` what signs in place of ssh-keygen, with its arguments.
    """

    file: Path | None
    line: str = ""
    folder: Path | None = None
    program: str = "ssh-keygen"

    @classmethod
    def configured(cls, repository: Repository) -> SigningKey:
        """Return the key that `git commit -S` would use in this repository (git-config(1), user.signingKey and gpg.ssh).

        Raises:
            Misused: git is set up to sign otherwise, or not at all.
        """
        is_ssh, folder = repository.setting("gpg.format") == "ssh", repository.working_folder
        value = repository.setting("user.signingkey") or (_default_key(repository) if is_ssh else "")
        if not (is_ssh and value):
            raise Misused(
                "NoSigningKey",
                "git does not know which SSH key you sign with.",
                "Run `git config --global gpg.format ssh` and `git config --global user.signingkey ~/.ssh/id_ed25519.pub`.",
            )
        program = repository.setting("gpg.ssh.program") or "ssh-keygen"
        if value.startswith(("key::", "ssh-")):
            return cls(None, value.removeprefix("key::"), folder, program)
        return cls(Path(value).expanduser(), "", folder, program)

    def sign(self, message: bytes, namespace: str = "git") -> bytes:
        """Return the armoured signature over `message`; may ask the person for a passphrase or a touch.

        Raises:
            Misused: there is no such key, or the person did not touch it.
            Transient: the program is not installed.
        """
        with tempfile.TemporaryDirectory(prefix="hearth-sign-") as name:
            scratch = Path(name)
            file, signed = self.file or scratch / "key.pub", scratch / "message"
            if self.file is None:
                file.write_text(self.line + "\n", "utf-8")
            signed.write_bytes(message)
            quiet = ("-q",) if self.program == "ssh-keygen" else ()
            argv = (self.program, *quiet, "-Y", "sign", "-n", namespace, "-f", str(file), str(signed))
            said = _ask(argv, cwd=self.folder)
            made = signed.with_name("message.sig")
            if said is None and made.is_file():
                return made.read_bytes()
        raise Misused(
            "NotSigned",
            f"{self.program} did not sign with {self.file or self.line}{': ' + said if said else ''}.",
            "Check that the key is there, or that ssh-agent holds it: `ssh-add -l`.",
        )


def configured_person(repository: Repository, *, seconds: int, zone: str = "+0000") -> Person:
    """Return the name and address that git puts into commits here; `seconds` is Unix time.

    Raises:
        Misused: git does not know them.
    """
    name, email = (repository.setting(key) for key in ("user.name", "user.email"))
    if not name or not email:
        raise Misused(
            "NoName",
            "git does not know your name and address.",
            'Run `git config --global user.name "Your Name"` and `git config --global user.email you@example.org`.',
        )
    return Person(_clean(name), _clean(email), seconds, zone)


def make_commit(
    repository: Repository, tree: str, parents: tuple[str, ...], *, message: str, person: Person, key: SigningKey
) -> str:
    """Write a signed commit object, byte for byte what `git commit -S` makes of the same parts, and return its id.

    Moves no reference. A message without a final line feed gets one.

    Raises:
        Misused: it could not be signed. Transient: ssh-keygen is not installed.
        desired_state.history.HistoryError: it could not be written.
    """
    return sign_commit(repository, compose(tree, parents, person, person, (message.strip("\n") + "\n").encode()), key)


def sign_commit(repository: Repository, payload: bytes, key: SigningKey) -> str:
    """Sign a commit that is composed already, write it, and return its id. Moves no reference.

    Raises:
        As `make_commit`.
    """
    armour = key.sign(payload)
    try:
        Signature.read(armour).check(payload)
    except (Malformed, Wrong) as flaw:
        raise Misused("NotSigned", f"The new signature {flaw}.", "`ssh-keygen -t ed25519` makes a key.") from None
    return repository.write("commit", with_signature(payload, armour))


def new_key(file: Path, comment: str) -> PublicKey:
    """Make an ssh-ed25519 key pair without a passphrase: `file` (mode 0600) and `file`.pub. Return the public half.

    Raises:
        Misused: one of the files exists already, or cannot be written.
    """
    private = Ed25519PrivateKey.generate()
    public = public_key(private)
    secret = private.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    for path, content, mode in (
        (file, secret, 0o600),
        (file.with_name(file.name + ".pub"), f"{public.line} {_clean(comment)}\n".encode(), 0o644),
    ):
        try:
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode), "wb") as out:
                out.write(content)
        except OSError as error:
            raise Misused("NoKey", f"{path} cannot be written: {error.strerror or error}.") from None
    return public


def read_public_key(key: SigningKey) -> PublicKey:
    """Return the public half of a signing key: from its line, or from the .pub file beside it.

    Raises:
        Misused: there is no public key to read, or it is of a kind that devices do not take.
    """
    file, line = None, key.line
    try:
        if key.file is not None:
            named = key.folder / key.file if key.folder else key.file
            file = named if named.suffix == ".pub" else named.with_name(named.name + ".pub")
            with file.open("rb") as content:
                line = content.read(8192).decode()
        return read_public_line(line)
    except (OSError, ValueError):
        kind = line.partition(" ")[0]
        if re.fullmatch(r"(ssh|ecdsa|sk)-[a-z0-9@.-]{1,60}", kind):
            what = f"is of the type {kind}, which devices do not take"
        else:
            what = "is no public SSH key"
        remedy = "`ssh-keygen -t ed25519` makes one"
        if file and file.with_suffix("").is_file() and not file.exists():
            remedy = f"`ssh-keygen -y -f {file.with_suffix('')} > {file}` makes it of its private half"
        raise Misused("NoKey", f"{file or line[:80]} {what}.", f"{remedy}.") from None


def _ask(argv: tuple[str, ...], *, cwd: Path | None) -> str | None:
    """Run a program that signs in the person's own session; return None if it has, or the last that it said.

    At a terminal it speaks to the person itself.

    Raises:
        Misused: nobody answered it. Transient: it is not installed.
    """
    shown = None if sys.stderr.isatty() else subprocess.PIPE
    try:
        done = subprocess.run(
            argv,
            stdin=None if sys.stdin.isatty() else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=shown,
            cwd=cwd,
            timeout=SIGNING_SECONDS,
            check=False,
        )
    except (FileNotFoundError, PermissionError):
        remedy = "Install it with `apt install openssh-client`." if argv[0] == "ssh-keygen" else "See gpg.ssh.program."
        raise Transient("ProgramMissing", f"{argv[0]} is not installed.", remedy) from None
    except subprocess.TimeoutExpired:
        raise Misused("NotSigned", f"Nobody signed within {SIGNING_SECONDS} s.", "Try again.") from None
    if done.returncode == 0:
        return None
    return "".join((done.stderr or b"").decode(errors="replace").strip().splitlines()[-1:])


def _default_key(repository: Repository) -> str:
    """Return the key that gpg.ssh.defaultKeyCommand names (git-config(1)), empty if there is none."""
    command = shlex.split(repository.setting("gpg.ssh.defaultkeycommand") or "")
    if not command:
        return ""
    try:
        done = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            cwd=repository.working_folder,
            timeout=SIGNING_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    first = done.stdout.decode(errors="replace").partition("\n")[0].strip()
    return first if done.returncode == 0 and first.startswith(("key::", "ssh-")) else ""


def _clean(text: str) -> str:
    """Leave out what git leaves out of a name: angle brackets and control characters."""
    return "".join(character for character in text if character.isprintable() and character not in "<>").strip()
