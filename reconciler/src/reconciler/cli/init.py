"""`hearth init`: start a household: its files, its trust, and a first commit signed with the person's own key."""

from __future__ import annotations

import getpass
import ipaddress
import json
import re
import time
import unicodedata
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconciler.cli.output import emit, say
from reconciler.errors import Misused

if TYPE_CHECKING:
    from desired_state.history import Repository

    from reconciler.signing import SigningKey

_SCHEMA = "# yaml-language-server: $schema={up}.git/hearth/schema/{name}.json"
_HOUSEHOLD = """\
apiVersion: hearth/v1
id: {id}   # never changes; every device checks it
name: {name}
timezone: {timezone}
network: {{subnet: {subnet}, router: {router}, domain: {domain}}}
appliance: {{name: hearth, interface: {interface}, address: {address}}}
"""
_PEOPLE = """\
people:                    # an id never changes and is never given to someone else; a name may change
  {id}: {{name: {name}}}
"""
_DEVICES = """\
groups: {}
devices: {}                # `hearth devices` shows who is on the network, with a ready line for each
"""
_DNS = """\
dns:
  upstreams: [9.9.9.9, 149.112.112.112]   # Quad9
"""
_PRE_PUSH = """\
#!/bin/sh
# Written by `hearth init`: a household with an error is not pushed.
exec hearth check "$(git rev-parse --show-toplevel)"
"""


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--self-hosted", is_flag=True, help="Your own repository and key, no cloud.")
@click.option("--name", default="Our home", show_default=True, help="What the family calls its home.")
@click.option("--person", default="", help="Your name; git's user.name unless given.")
@click.option("--subnet", default="192.168.1.0/24", show_default=True, help="The home's network.")
@click.option("--router", default="", help="The router's address; the network's first unless given.")
@click.option("--address", default="", help="The appliance's fixed address; the network's second unless given.")
@click.option("--interface", default="eth0", show_default=True, help="The appliance's network interface.")
@click.option("--domain", default="home.arpa", show_default=True, help="The home's domain.")
@click.option("--timezone", default="", help="Its IANA time zone; this machine's unless given.")
@click.option(
    "--key", type=click.Path(path_type=Path), help="Your ssh-ed25519 key; git's user.signingkey unless given."
)
@click.option("--json", "as_json", is_flag=True, help="Print what was made as JSON.")
def init(folder: Path, self_hosted: bool, key: Path | None, as_json: bool, **said: str) -> None:
    """Start a household in FOLDER: files, keys and a signed first commit."""
    if not self_hosted:
        raise Misused(
            "ReviewedNotYet",
            "A home whose changes a service merges is begun with that service, which is not there yet.",
            "For a home that you run alone, add --self-hosted.",
        )
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Misused("NotEmpty", f"{folder} is not an empty folder.", "Name a new one; nothing was changed.")
    files = _files(said, said["person"] or _person())
    household = _household(files)
    repository, signing, made = _repository(folder, key)
    words = _first_commit(
        repository, folder, files, household=household, person=said["person"] or _person(), signing=signing
    )
    _write_aids(folder)
    _tell(folder, household, words, made, as_json=as_json)


def _files(said: dict[str, str], person: str) -> dict[str, bytes]:
    """Return the first files of a household, each with a line that tells an editor its schema.

    The schema lies inside .git: it works offline, and the household stays free of what is not its own.
    """
    home = _network(said["subnet"])
    texts = {
        "household.yaml": _HOUSEHOLD.format(
            id=uuid.uuid4(),
            name=_quoted(said["name"]),
            timezone=said["timezone"] or _timezone(),
            subnet=home,
            router=said["router"] or home[1],
            domain=said["domain"],
            interface=said["interface"],
            address=said["address"] or home[2],
        ),
        "people.yaml": _PEOPLE.format(id=_id_for(person), name=_quoted(person)),
        "devices.yaml": _DEVICES,
        "services/dns.yaml": _DNS,
    }
    return {
        path: _SCHEMA.format(up="../" * path.count("/"), name=Path(path).stem).encode() + b"\n" + text.encode()
        for path, text in texts.items()
    }


def _network(text: str) -> ipaddress.IPv4Network:
    try:
        network = ipaddress.IPv4Network(text)
    except ValueError:
        network = None
    if network is None or network.num_addresses < 8:
        raise Misused(
            "BadSubnet",
            f"{text} is not the network of a home.",
            "Write its first address and length, like 192.168.1.0/24.",
        )
    return network


def _household(files: dict[str, bytes]) -> str:
    """Return the new household's id, once its files are known to be good."""
    from desired_state.load import load

    loaded = load(files)
    if loaded.state is None:
        raise Misused(
            "BadHousehold", "; ".join(str(finding) for finding in loaded.errors), "Give other values; nothing was made."
        )
    return loaded.state.household.id


def _repository(folder: Path, key: Path | None) -> tuple[Repository, SigningKey, Path | None]:
    """Make the repository, told to sign with the person's key; where they have none, one is made (the last part says where)."""
    from desired_state.history import HistoryError, Repository

    from reconciler.signing import SigningKey, new_key

    try:
        repository = Repository.create(folder)
        made = None
        if key is None and (repository.setting("gpg.format") != "ssh" or not repository.setting("user.signingkey")):
            usual = Path("~/.ssh/id_ed25519").expanduser()
            key = usual if usual.exists() else Path("~/.ssh/hearth_ed25519").expanduser()
            if not key.exists():
                new_key(key, f"{getpass.getuser()} for Hearth")
                made = key
        if key is not None:
            repository.configure("gpg.format", "ssh")
            repository.configure("user.signingkey", str(key.expanduser().absolute()))
        repository.configure("commit.gpgsign", "true")
        repository.configure("gpg.ssh.allowedSignersFile", str((folder / "trust/owners").absolute()))
    except HistoryError as error:
        raise Misused("NotWritable", error.message, error.remedy) from None
    return repository, SigningKey.configured(repository), made


def _first_commit(
    repository: Repository, folder: Path, files: dict[str, bytes], *, household: str, person: str, signing: SigningKey
) -> tuple[str, ...]:
    """Write all files and sign the genesis commit over them. Return its eight words."""
    from desired_state.trust import first_trust, genesis_words, tree_sha256
    from desired_state.trust.commit import Person

    from reconciler.signing import make_commit, read_public_key

    whole = {**files, **first_trust(household, _id_for(person), read_public_key(signing))}
    for path, content in whole.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    email = repository.setting("user.email") or f"{_id_for(person)}@localhost"
    if not repository.setting("user.email"):
        repository.configure("user.name", person)
        repository.configure("user.email", email)
    who = Person(person, email, int(time.time()))
    commit = make_commit(
        repository, repository.write_tree(whole), (), message="Begin the household", person=who, key=signing
    )
    repository.move_reference("refs/heads/main", commit, expected=None)
    repository.adopt_tree(commit)
    return genesis_words(repository.read(commit, "commit", 65_536), tree_sha256(whole))


def _write_aids(folder: Path) -> None:
    """Put the schemas for editors and the check before a push into .git, where only this clone sees them."""
    try:
        from desired_state.schema import editor_schemas
    except ImportError:
        return

    schemas = folder / ".git/hearth/schema"
    schemas.mkdir(parents=True)
    for name, text in editor_schemas().items():
        (schemas / name).write_text(text, "utf-8")
    hook = folder / ".git/hooks/pre-push"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(_PRE_PUSH, "utf-8")
    hook.chmod(0o755)


def _tell(folder: Path, household: str, words: tuple[str, ...], made: Path | None, *, as_json: bool) -> None:
    if as_json:
        emit(
            {
                "folder": str(folder),
                "household": household,
                "genesis_words": " ".join(words),
                "new_key": str(made) if made else None,
            }
        )
        return
    say(f"{folder} is a household, and its first commit is signed.", kind="good")
    if made:
        say(f"You had no key, so one was made: {made}", kind="note")
    say(
        "There is one key. Make a second, keep it elsewhere, and add it to trust/owners before you need it.",
        kind="note",
    )
    say(f"Its fingerprint, to compare when a Pi joins:  {' '.join(words)}")
    say()
    say(f"Next:  cd {folder} && git remote add origin YOUR-GIT-HOST && git push -u origin main")
    say("Then on the Pi:  sudo hearth join YOUR-GIT-HOST")


def _person() -> str:
    from desired_state.history import global_setting

    return global_setting("user.name") or getpass.getuser().capitalize()


def _id_for(name: str) -> str:
    """Return an id made of the first word of a name: Ånna Holm becomes anna."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    words = re.findall(r"[a-z][a-z0-9]*", plain)
    return words[0][:31] if words else "owner"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _timezone() -> str:
    """Return this machine's IANA time zone (localtime(5)), or UTC."""
    place = str(Path("/etc/localtime").resolve())
    return place.partition("/zoneinfo/")[2] or "UTC"
