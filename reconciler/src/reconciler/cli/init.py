"""`hearth init`: start a household: its files, its trust, and a first commit signed with the person's own key."""

from __future__ import annotations

import getpass
import ipaddress
import json
import re
import shlex
import shutil
import time
import unicodedata
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconciler.cli.output import emit, say
from reconciler.errors import Misused

if TYPE_CHECKING:
    from desired_state.history import Repository
    from desired_state.sshsig import PublicKey
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
# Written by `hearth init`: what a Pi would not apply is not pushed to main: a household with an error, or a commit that
# is not signed, or not approved, as the home's own rules ask.
# `git push --no-verify` pushes all the same.
if ! command -v hearth >/dev/null; then
    echo "The push goes unchecked: hearth is not on the PATH." >&2
    exit 0
fi
while read -r _ commit branch before; do
    case "$branch $commit" in
        "refs/heads/main "*[!0]*) ;;
        *) continue ;;
    esac
    said=$(hearth check --at "$commit" . 2>&1) || { echo "$said" >&2; exit 1; }
    git cat-file -e "$before" 2>/dev/null || before=""
    said=$(hearth verify --at "$commit" ${before:+--from "$before"} . 2>&1) || { echo "$said" >&2; exit 1; }
done
"""
_PLAIN = re.compile(r"[^\W_][\w .@/'-]*")
_SERVICE = "service"
"""What the key that merges is called in trust/signers."""
_NEXT = ("git remote add origin YOUR-GIT-HOST", "git push -u origin main")


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--self-hosted", is_flag=True, help="You merge your changes yourself: your own repository and key.")
@click.option(
    "--signer",
    type=click.Path(path_type=Path),
    help="The public key of the service that merges what you approve; you then need another owner.",
)
@click.option(
    "--owner",
    "owners",
    multiple=True,
    metavar="ID=FILE",
    help="Another owner's public key; may be given several times.",
)
@click.option("--name", default="Our home", show_default=True, help="What the family calls its home.")
@click.option("--person", default="", help="Your name; git's user.name unless given.")
@click.option("--subnet", default="192.168.1.0/24", show_default=True, help="The home's network.")
@click.option("--router", default="", help="The router's address; the network's first unless given.")
@click.option("--address", default="", help="The appliance's fixed address; the network's second unless given.")
@click.option("--interface", default="eth0", show_default=True, help="The appliance's network interface.")
@click.option("--domain", default="home.arpa", show_default=True, help="The home's domain.")
@click.option("--timezone", default="", help="Its IANA time zone; this machine's unless given.")
@click.option("--key", type=click.Path(path_type=Path), help="Your SSH key; git's user.signingkey unless given.")
@click.option("--json", "as_json", is_flag=True, help="Print what was made as JSON.")
def init(
    folder: Path,
    *,
    self_hosted: bool,
    signer: Path | None,
    owners: tuple[str, ...],
    key: Path | None,
    as_json: bool,
    **said: str,
) -> None:
    """Start a household in FOLDER: files, keys and a signed first commit."""
    from reconciler.signing import SigningKey

    _check_mode(self_hosted=self_hosted, signer=signer, owners=owners)
    person = unicodedata.normalize("NFC", said["person"] or _person())
    files = _files(said, person)
    household = _household(files)
    others = _other_owners(owners)
    with _empty(folder):
        repository, made = _repository(folder, key)
        signing = SigningKey.configured(repository)
        _name(repository, person)
        trust = _first_trust(household, _id_for(person), signing, others, signer)
        words = _first_commit(repository, folder, {**files, **trust}, signing)
        _write_aids(folder)
    _tell(folder, household, words, made, advice=_advice(trust, _id_for(person)), as_json=as_json)


def _check_mode(*, self_hosted: bool, signer: Path | None, owners: tuple[str, ...]) -> None:
    if self_hosted == (signer is not None):
        raise Misused(
            "WhoMerges",
            "Say who merges the changes of this home.",
            "You yourself: --self-hosted. A service, once you have approved: --signer FILE, with its public key.",
        )
    if self_hosted and owners:
        raise Misused(
            "OwnersLater",
            "In a self-hosted home owners are added once it has begun.",
            "Leave out --owner; then `hearth trust add owners ID --key FILE`.",
        )


def _other_owners(said: tuple[str, ...]) -> dict[str, Path]:
    """Return the files of the other owners' keys by their ids."""
    from desired_state.trust.people import is_principal

    found: dict[str, Path] = {}
    for each in said:
        who, equals, file = each.partition("=")
        if not (equals and file and is_principal(who)) or who in found:
            raise Misused("BadOwner", f"--owner {each[:80]!r} is not a new id with a file.", "Write jens=jens.pub.")
        found[who] = Path(file)
    return found


def _first_trust(
    household: str, who: str, signing: SigningKey, others: dict[str, Path], signer: Path | None
) -> dict[str, bytes]:
    """Return the first trust files.

    Raises:
        Misused: a key cannot be read, or these people could never change anything again.
    """
    from desired_state.trust import Refused, first_reviewed_trust, first_trust
    from desired_state.trust.quorum import check_can_be_met
    from desired_state.trust.trust_files import read_trust_files
    from reconciler.signing import read_public_key

    own = read_public_key(signing)
    if signer is None:
        return first_trust(household, who, own)
    if who in others:
        raise Misused("BadOwner", f"{who} is you, and --owner names another one.", "Leave it out, or use another id.")
    owners = {who: own, **{other: _public(file) for other, file in others.items()}}
    trust = first_reviewed_trust(household, owners, {_SERVICE: _public(signer)})
    try:
        check_can_be_met(read_trust_files(trust))
    except Refused as refused:
        raise Misused(
            refused.reason, f"The home's first trust {refused.message}.", "Name another owner: --owner ID=FILE."
        ) from None
    return trust


def _public(file: Path) -> PublicKey:
    from reconciler.signing import SigningKey, read_public_key

    return read_public_key(SigningKey(file.expanduser()))


def _advice(trust: dict[str, bytes], who: str) -> tuple[str, ...]:
    """Return what to do before the home depends on keys that are just enough."""
    from desired_state.trust.quorum import check_can_be_met
    from desired_state.trust.trust_files import read_trust_files

    read = read_trust_files(trust)
    if read.policy.mode == "reviewed":
        return check_can_be_met(read)
    add = f"`hearth trust add owners {who} --key FILE --commit`"
    return (f"There is one key. Make a spare one, keep it elsewhere, and let it count: {add}.",)


@contextmanager
def _empty(folder: Path) -> Iterator[None]:
    """Hold a new or empty folder; whatever was put into it is taken out again if its making fails.

    Raises:
        Misused: it is neither, or cannot be written.
    """
    from desired_state.history import HistoryError

    try:
        was_there = folder.exists()
        if was_there and (not folder.is_dir() or any(folder.iterdir())):
            raise Misused("NotEmpty", f"{folder} is not an empty folder.", "Name a new one; nothing was changed.")
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Misused("NotWritable", f"{folder} cannot be made: {error.strerror}.") from None
    try:
        yield
    except BaseException as error:
        for entry in [*folder.iterdir()] if was_there else [folder]:
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        if isinstance(error, HistoryError | OSError):
            raise Misused("NotWritable", f"{folder} cannot be made: {error}.", "Nothing was made.") from None
        raise


def _files(said: dict[str, str], person: str) -> dict[str, bytes]:
    """Return the first files of a household, each with a line that tells an editor its schema.

    The schema lies inside .git: it works offline, and the household stays free of what is not its own.
    """
    home = _network(said["subnet"])
    texts = {
        "household.yaml": _HOUSEHOLD.format(
            id=uuid.uuid4(),
            name=_written(said["name"]),
            timezone=_written(said["timezone"] or _timezone()),
            subnet=home,
            router=_written(said["router"] or str(home[1])),
            domain=_written(said["domain"]),
            interface=_written(said["interface"]),
            address=_written(said["address"] or str(home[2])),
        ),
        "people.yaml": _PEOPLE.format(id=_id_for(person), name=_written(person)),
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
        wrong = "; ".join(f"{finding.field or finding.file} {finding.message}" for finding in loaded.errors)
        raise Misused("BadHousehold", f"{wrong}.", "Give other values; nothing was made.")
    return loaded.state.household.id


def _repository(folder: Path, key: Path | None) -> tuple[Repository, Path | None]:
    """Make the repository, told to sign with the person's key; where they have none, one is made (the last part says where)."""
    from desired_state.history import Repository
    from reconciler.signing import new_key

    repository, made = Repository.create(folder), None
    if key is None and (repository.setting("gpg.format") != "ssh" or not repository.setting("user.signingkey")):
        usual, own = Path("~/.ssh/id_ed25519").expanduser(), Path("~/.ssh/hearth_ed25519").expanduser()
        key = usual if usual.exists() else own
        if not key.exists():
            new_key(key, f"{_login()} for Hearth")
            made = key
    if key is not None:
        repository.configure("gpg.format", "ssh")
        repository.configure("user.signingkey", str(key.expanduser().absolute()))
    repository.configure("commit.gpgsign", "true")
    repository.configure("gpg.ssh.allowedSignersFile", str((folder / "trust/owners").absolute()))
    return repository, made


def _name(repository: Repository, person: str) -> None:
    """Tell git the person's name and address in this repository, where it does not know them."""
    for setting, value in (("user.name", person), ("user.email", f"{_id_for(person)}@localhost")):
        if not repository.setting(setting):
            repository.configure(setting, value)


def _first_commit(
    repository: Repository, folder: Path, whole: dict[str, bytes], signing: SigningKey
) -> tuple[str, ...]:
    """Write all files and sign the genesis commit over them. Return its eight words."""
    from desired_state.trust import genesis_words, tree_sha256
    from reconciler.signing import configured_person, make_commit

    for path, content in whole.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    who = configured_person(repository, seconds=int(time.time()), zone=time.strftime("%z"))
    commit = make_commit(
        repository, repository.write_tree(whole), (), message="Begin the household", person=who, key=signing
    )
    repository.move_reference("refs/heads/main", commit, expected=None)
    repository.adopt_tree(commit)
    return genesis_words(repository.read(commit, "commit", 65_536), tree_sha256(whole))


def _write_aids(folder: Path) -> None:
    """Put the schemas for editors and the check before a push into .git, where only this clone sees them."""
    from desired_state.schema import editor_schemas

    schemas = folder / ".git/hearth/schema"
    schemas.mkdir(parents=True)
    for name, text in editor_schemas().items():
        (schemas / name).write_text(text, "utf-8")
    hook = folder / ".git/hooks/pre-push"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(_PRE_PUSH, "utf-8")
    hook.chmod(0o755)


def _tell(
    folder: Path, household: str, words: tuple[str, ...], made: Path | None, *, advice: tuple[str, ...], as_json: bool
) -> None:
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
    for each in advice:
        say(each, kind="note")
    say(f"Its eight words, to compare when a Pi joins:  {' '.join(words)}")
    say()
    go = [] if folder == Path() else [f"cd {shlex.quote(str(folder))}"]
    say(f"Next:  {' && '.join([*go, *_NEXT])}")
    say("Then on the Pi:  sudo hearth join YOUR-GIT-HOST")


def _person() -> str:
    from desired_state.history import global_setting

    return global_setting("user.name") or _login().capitalize()


def _login() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a number without a name, as in some containers
        return "owner"


def _id_for(name: str) -> str:
    """Return an id made of the first fitting word of a name: Ånna Holm becomes anna, and 李 or Root becomes owner."""
    from desired_state.scalars import RESERVED_IDS, SYSTEM_USERS

    letters = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    words = (word[:31] for word in re.findall(r"[a-z][a-z0-9]*", letters))
    return next((word for word in words if word not in RESERVED_IDS | SYSTEM_USERS), "owner")


def _written(text: str) -> str:
    """Return a text as it stands in YAML: bare where it can be taken for nothing else."""
    text = unicodedata.normalize("NFC", text)
    return text if _PLAIN.fullmatch(text) and text == text.strip() else json.dumps(text, ensure_ascii=False)


def _timezone() -> str:
    """Return this machine's IANA time zone (localtime(5)), or UTC."""
    place = str(Path("/etc/localtime").resolve())
    return place.partition("/zoneinfo/")[2] or "UTC"
