"""How fast a history is verified, and in how much memory: `python benchmarks/verify.py [COMMITS]`.

Writes a self-hosted home with that many signed commits (10,000) into a temporary repository, verifies it in a process of its own,
and compares one signature with `git verify-commit`. Prints one JSON object.
"""

from __future__ import annotations

import hashlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from desired_state import sshsig
from desired_state.history import Repository
from desired_state.trust import Anchor, first_trust, verify
from desired_state.trust.commit import Person, compose, with_signature

HOUSEHOLD = "5b0c8a52-2f6e-4c51-9b1e-8d8f3a7f0c11"
KEY = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"anna").digest())
EXAMPLE = Path(__file__).parents[1] / "desired-state/examples/holm"
SIGNATURES = 2_000


def write_history(folder: Path, commits: int) -> tuple[str, str]:
    """Write the history, pack it as a device would have it, and return genesis and tip."""
    repository = Repository.create(folder, bare=True)
    files = {str(path.relative_to(EXAMPLE)): path.read_bytes() for path in sorted(EXAMPLE.rglob("*.yaml"))}
    files |= first_trust(HOUSEHOLD, "anna", sshsig.public_key(KEY))
    oids: list[str] = []
    for number in range(commits):
        files["README.md"] = f"Change {number}\n".encode()
        person = Person("Anna", "anna@holm.example", 1_750_000_000 + number)
        payload = compose(repository.write_tree(files), tuple(oids[-1:]), person, person, b"Change\n")
        oids.append(repository.write("commit", with_signature(payload, sshsig.sign(payload, "git", KEY))))
    repository.move_reference("refs/heads/main", oids[-1], expected=None)
    subprocess.run(["git", "-C", folder, "gc", "-q"], check=True)
    return oids[0], oids[-1]


def measure(folder: Path, genesis: str, tip: str, commits: int) -> dict[str, float]:
    """Verify the whole history in this process."""
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started, cpu = time.perf_counter(), time.process_time()
    verify(Repository.open(folder), tip, Anchor(HOUSEHOLD, genesis))
    seconds = time.perf_counter() - started
    return {
        "commits": commits,
        "seconds": round(seconds, 2),
        "ms_a_commit": round(seconds / commits * 1000, 3),
        "cpu_seconds": round(time.process_time() - cpu, 2),
        "resident_mb_before": round(resident / 1024, 1),
        "resident_mb_peak": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
    }


def signatures() -> dict[str, float]:
    """Check one signature many times."""
    message = b"x" * 300
    armour = sshsig.sign(message, "git", KEY)
    started = time.perf_counter()
    for _ in range(SIGNATURES):
        sshsig.Signature.read(armour).check(message)
    return {"signatures_a_second": round(SIGNATURES / (time.perf_counter() - started))}


def stock_git(folder: Path, tip: str) -> dict[str, float]:
    """Let stock git check ten times what we check in process."""
    allowed = folder / "allowed"
    allowed.write_text(f'anna namespaces="git" {sshsig.public_key(KEY).line}\n')
    options = ["-c", "gpg.format=ssh", "-c", f"gpg.ssh.allowedSignersFile={allowed}"]
    started = time.perf_counter()
    for _ in range(10):
        subprocess.run(["git", "-C", folder, *options, "verify-commit", tip], check=True, capture_output=True)
    return {"git_verify_commit_ms": round((time.perf_counter() - started) * 100, 1)}


def main(commits: int) -> None:
    """Run everything and print the figures."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, "home.git")
        genesis, tip = write_history(folder, commits)
        argv = [sys.executable, __file__, "measure", str(folder), genesis, tip, str(commits)]
        walked = json.loads(subprocess.run(argv, check=True, capture_output=True).stdout)
        print(json.dumps(walked | signatures() | stock_git(folder, tip), indent=2))


if __name__ == "__main__":
    if sys.argv[1:2] == ["measure"]:
        print(json.dumps(measure(Path(sys.argv[2]), sys.argv[3], sys.argv[4], int(sys.argv[5]))))
    else:
        main(int(sys.argv[1]) if sys.argv[1:] else 10_000)
