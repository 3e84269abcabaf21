"""How fast a long history is verified, and in how much memory, beside stock git doing it.

Two homes of 10,000 changes are written, packed as a device would have them, and verified in a process of their own: a self-hosted one
of plain commits, and a reviewed one, whose every change is a proposal, an approval and a merge, judged for its risk.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from benchmarks.measure import Figure, cost
from desired_state import sshsig
from desired_state.history import Repository
from desired_state.trust import Anchor, ApprovedArtifact, approval_text, first_trust, tree_sha256, verify
from desired_state.trust.commit import Person, compose, with_signature
from desired_state.trust.people import key_line
from tests.desired_state.trust.authenticator import FIDO_ECDSA, EcdsaKey, FidoKey, Passkey

COMMITS, FEWER = 10_000, 1_000
SHOWN = 200
"""How many commits stock git checks: it starts a process for each."""
SIGNATURES = 2_000
KINDS = {
    "ssh-ed25519": None,
    "ecdsa-sha2-nistp256": EcdsaKey("anna"),
    "sk-ssh-ed25519": FidoKey("anna"),
    "sk-ecdsa-sha2-nistp256": FidoKey("anna", FIDO_ECDSA),
    "sk-ecdsa-sha2-nistp256 in a browser": Passkey("anna"),
}
HOUSEHOLD = "5b0c8a52-2f6e-4c51-9b1e-8d8f3a7f0c11"
KEY, SIGNER = (Ed25519PrivateKey.from_private_bytes(hashlib.sha256(name).digest()) for name in (b"anna", b"service"))
ARTIFACT = ApprovedArtifact("0" * 64, "0.1.0")
EXAMPLE = Path(__file__).parents[1] / "desired-state/examples/holm"


def figures() -> list[Figure]:
    """Measure our verification, one signature, and `git log --show-signature`."""
    return [*_plain(), *_reviewed()]


def _plain() -> list[Figure]:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, "home.git")
        oids = _write_history(folder)
        few, many = _in_a_process(folder, oids[0], oids[FEWER - 1]), _in_a_process(folder, oids[0], oids[-1])
        ours_ms = many["cpu_seconds"] / COMMITS * 1000
        git_ms = _stock_git(folder, oids[-1])
        return [
            Figure(f"{COMMITS:,} commits verified, CPU", round(many["cpu_seconds"], 1), "s"),
            Figure("commits a second of CPU", round(1000 / ours_ms), ""),
            *(
                Figure(f"signatures a second of CPU, {kind}", _signatures(key), "", 1000, at_most=False)
                for kind, key in KINDS.items()
            ),
            Figure("`git log --show-signature`, CPU a commit", round(git_ms, 1), "ms"),
            Figure("the same, times ours", round(git_ms / ours_ms, 1), ""),
            *_memory("commits", few, many),
        ]


def _reviewed() -> list[Figure]:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, "home.git")
        oids = _write_reviewed(folder)
        few, many = _in_a_process(folder, oids[0], oids[FEWER - 1]), _in_a_process(folder, oids[0], oids[-1])
        ours_ms = many["cpu_seconds"] / COMMITS * 1000
        git_ms = _stock_git(folder, oids[-1])
        return [
            Figure(f"{COMMITS:,} approved changes verified with their risk, CPU", round(many["cpu_seconds"], 1), "s"),
            Figure("approved changes a second of CPU", round(1000 / ours_ms), "", 300, at_most=False),
            Figure("`git log --show-signature`, CPU a signature of these", round(git_ms, 1), "ms"),
            Figure("the same for an approved change (two signatures), times ours", round(2 * git_ms / ours_ms, 1), ""),
            *_memory("approved changes", few, many),
        ]


def _memory(what: str, few: dict[str, float], many: dict[str, float]) -> list[Figure]:
    return [
        Figure(f"our own memory at most, {FEWER:,} {what}", few["own_mb"], "MB"),
        Figure(f"our own memory at most, {COMMITS:,} {what}", many["own_mb"], "MB"),
        Figure("growth from one to the other", round(many["own_mb"] - few["own_mb"], 1), "MB", 10),
        Figure("peak with the pack that the kernel maps, growth", round(many["peak_mb"] - few["peak_mb"], 1), "MB"),
    ]


def _write_history(folder: Path) -> list[str]:
    repository = Repository.create(folder, bare=True)
    files = {str(path.relative_to(EXAMPLE)): path.read_bytes() for path in sorted(EXAMPLE.rglob("*.yaml"))}
    files |= first_trust(HOUSEHOLD, "anna", sshsig.public_key(KEY))
    oids: list[str] = []
    for number in range(COMMITS):
        files["README.md"] = f"Change {number}\n".encode()
        oids.append(_commit(repository, repository.write_tree(files), tuple(oids[-1:]), b"Change\n", KEY))
    return _packed(repository, folder, oids)


def _write_reviewed(folder: Path) -> list[str]:
    """Write B, A and M for each change: a name that is new, in place of the last one's."""
    repository = Repository.create(folder, bare=True)
    files = {str(path.relative_to(EXAMPLE)): path.read_bytes() for path in sorted(EXAMPLE.rglob("*.yaml"))}
    files |= first_trust(HOUSEHOLD, "anna", sshsig.public_key(KEY))
    policy = files["trust/policy.yaml"].replace(b"mode: self-hosted", b"mode: reviewed")
    files["trust/policy.yaml"] = policy.replace(b"people: 0", b"people: 1")
    files["trust/signers"] = (key_line("service", "git", sshsig.public_key(SIGNER)) + "\n").encode()
    dns = files["services/dns.yaml"]
    oids = [_commit(repository, repository.write_tree(files), (), b"Begin\n", KEY)]
    for number in range(1, COMMITS):
        name = f"wiki: appliance\n    name{number}: appliance".encode()
        files["services/dns.yaml"] = dns.replace(b"wiki: appliance", name)
        tree, risk = repository.write_tree(files), "low/1" if number == 1 else "medium/1"
        proposal = _commit(repository, tree, (oids[-1],), b"Proposal\n", None)
        text = approval_text(HOUSEHOLD, oids[-1], tree_sha256(files), ARTIFACT, risk=risk)
        approval = _commit(repository, tree, (proposal,), text, KEY)
        oids.append(_commit(repository, tree, (oids[-1], approval), b"Change\n", SIGNER))
    return _packed(repository, folder, oids)


def _commit(
    repository: Repository, tree: str, parents: tuple[str, ...], message: bytes, key: Ed25519PrivateKey | None
) -> str:
    person = Person("Anna", "anna@holm.example", 1_750_000_000)
    payload = compose(tree, parents, person, person, message)
    return repository.write("commit", with_signature(payload, sshsig.sign(payload, "git", key)) if key else payload)


def _packed(repository: Repository, folder: Path, oids: list[str]) -> list[str]:
    repository.move_reference("refs/heads/main", oids[-1], expected=None)
    subprocess.run(["git", "-C", folder, "gc", "-q"], check=True)
    return oids


def _in_a_process(folder: Path, genesis: str, tip: str) -> dict[str, float]:
    argv = [sys.executable, "-m", "benchmarks.verify", str(folder), genesis, tip]
    done = subprocess.run(argv, check=True, capture_output=True)
    answer: dict[str, float] = json.loads(done.stdout)
    return answer


def _measure(folder: Path, genesis: str, tip: str) -> dict[str, float]:
    """Verify a whole history in this process, and look at its memory after each batch."""
    own: list[float] = []
    began = time.process_time()
    verify(
        Repository.open(folder), tip, Anchor(HOUSEHOLD, genesis), on_batch=lambda *_: own.append(_megabytes("RssAnon"))
    )
    cpu = time.process_time() - began
    return {"cpu_seconds": cpu, "own_mb": max([*own, _megabytes("RssAnon")]), "peak_mb": _megabytes("VmHWM")}


def _megabytes(field: str) -> float:
    """Return a field of /proc/self/status (proc(5)); `RssAnon` leaves out the files that are mapped, packs and libraries."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return round(int(status[field].split()[0]) / 1024, 1)


def _signatures(key: EcdsaKey | FidoKey | None) -> int:
    message = b"x" * 300
    armour = key.sign(message) if key else sshsig.sign(message, "git", KEY)
    began = time.process_time()
    for _ in range(SIGNATURES):
        sshsig.Signature.read(armour).check(message)
    return round(SIGNATURES / (time.process_time() - began))


def _stock_git(folder: Path, tip: str) -> float:
    """Return the CPU time (ms) in which git log checks one signature of the newest on main, `ssh-keygen` included."""
    allowed = folder / "allowed"
    keys = {"anna": KEY, "service": SIGNER}
    allowed.write_text("".join(key_line(name, "git", sshsig.public_key(key)) + "\n" for name, key in keys.items()))
    options = ["-c", "gpg.format=ssh", "-c", f"gpg.ssh.allowedSignersFile={allowed}"]
    only = ["--first-parent", f"--max-count={SHOWN}"]
    argv = ["git", "-C", str(folder), *options, "log", "--show-signature", *only, tip]
    return cost(argv, runs=2, env=dict(os.environ)).cpu_ms / SHOWN


if __name__ == "__main__":
    print(json.dumps(_measure(Path(sys.argv[1]), sys.argv[2], sys.argv[3])))
