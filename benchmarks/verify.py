"""How fast a long history is verified, and in how much memory, beside stock git doing it.

A self-hosted home of 10,000 signed commits is written, packed as a device would have it, and verified in a process of its own.
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
from desired_state.trust import Anchor, first_trust, verify
from desired_state.trust.commit import Person, compose, with_signature

COMMITS, FEWER = 10_000, 1_000
SHOWN = 200
"""How many commits stock git checks: it starts a process for each."""
SIGNATURES = 2_000
HOUSEHOLD = "5b0c8a52-2f6e-4c51-9b1e-8d8f3a7f0c11"
KEY = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"anna").digest())
EXAMPLE = Path(__file__).parents[1] / "desired-state/examples/holm"


def figures() -> list[Figure]:
    """Measure our verification, one signature, and `git log --show-signature`."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, "home.git")
        oids = _write_history(folder)
        few, many = _in_a_process(folder, oids[0], oids[FEWER - 1]), _in_a_process(folder, oids[0], oids[-1])
        ours_ms = many["cpu_seconds"] / COMMITS * 1000
        git_ms = _stock_git(folder, oids[-1])
        return [
            Figure(f"{COMMITS:,} commits verified, CPU", round(many["cpu_seconds"], 1), "s"),
            Figure("commits a second of CPU", round(1000 / ours_ms), ""),
            Figure("signatures a second of CPU, checked alone", _signatures(), ""),
            Figure("`git log --show-signature`, CPU a commit", round(git_ms, 1), "ms"),
            Figure("the same, times ours", round(git_ms / ours_ms, 1), ""),
            Figure(f"peak memory, {FEWER:,} commits", few["peak_mb"], "MB"),
            Figure(f"peak memory, {COMMITS:,} commits", many["peak_mb"], "MB"),
            Figure("growth from one to the other", round(many["peak_mb"] - few["peak_mb"], 1), "MB", 10),
        ]


def _write_history(folder: Path) -> list[str]:
    repository = Repository.create(folder, bare=True)
    files = {str(path.relative_to(EXAMPLE)): path.read_bytes() for path in sorted(EXAMPLE.rglob("*.yaml"))}
    files |= first_trust(HOUSEHOLD, "anna", sshsig.public_key(KEY))
    oids: list[str] = []
    for number in range(COMMITS):
        files["README.md"] = f"Change {number}\n".encode()
        person = Person("Anna", "anna@holm.example", 1_750_000_000 + number)
        payload = compose(repository.write_tree(files), tuple(oids[-1:]), person, person, b"Change\n")
        oids.append(repository.write("commit", with_signature(payload, sshsig.sign(payload, "git", KEY))))
    repository.move_reference("refs/heads/main", oids[-1], expected=None)
    subprocess.run(["git", "-C", folder, "gc", "-q"], check=True)
    return oids


def _in_a_process(folder: Path, genesis: str, tip: str) -> dict[str, float]:
    argv = [sys.executable, "-m", "benchmarks.verify", str(folder), genesis, tip]
    done = subprocess.run(argv, check=True, capture_output=True)
    answer: dict[str, float] = json.loads(done.stdout)
    return answer


def _measure(folder: Path, genesis: str, tip: str) -> dict[str, float]:
    """Verify a whole history in this process."""
    began = time.process_time()
    verify(Repository.open(folder), tip, Anchor(HOUSEHOLD, genesis))
    cpu = time.process_time() - began
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {"cpu_seconds": cpu, "peak_mb": round(int(status["VmHWM"].split()[0]) / 1024, 1)}


def _signatures() -> int:
    message = b"x" * 300
    armour = sshsig.sign(message, "git", KEY)
    began = time.process_time()
    for _ in range(SIGNATURES):
        sshsig.Signature.read(armour).check(message)
    return round(SIGNATURES / (time.process_time() - began))


def _stock_git(folder: Path, tip: str) -> float:
    """Return the CPU time (ms) in which git log checks one of the newest commits, `ssh-keygen` included."""
    allowed = folder / "allowed"
    allowed.write_text(f'anna namespaces="git" {sshsig.public_key(KEY).line}\n')
    options = ["-c", "gpg.format=ssh", "-c", f"gpg.ssh.allowedSignersFile={allowed}"]
    argv = ["git", "-C", str(folder), *options, "log", "--show-signature", f"--max-count={SHOWN}", tip]
    return cost(argv, runs=2, env=dict(os.environ)).cpu_ms / SHOWN


if __name__ == "__main__":
    print(json.dumps(_measure(Path(sys.argv[1]), sys.argv[2], sys.argv[3])))
