"""The text that an approver signs: rebuilt by whoever checks it and compared byte for byte, never parsed.

Owns that text. Its Artifact line alone is read, because it says what the approver's computer rendered; whether this
device renders the same is no part of verification.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from desired_state.trust.refusal import SHORT, Refused

_ARTIFACT = re.compile(rb"Hearth-Artifact: sha256:([0-9a-f]{64}) renderer ([0-9A-Za-z][0-9A-Za-z.+-]{0,62}) appliance")
_BASE = re.compile(rb"Hearth-Base: ([0-9a-f]{40})")
_RISK = re.compile(rb"Hearth-Risk: (low|medium|high)/(0|[1-9][0-9]{0,8})")
_LINES = 8  # the title, an empty line, five fields, and what follows the last line feed
_BASE_LINE, _ARTIFACT_LINE, _RISK_LINE = 3, 5, 6
_AGAIN = "Ask for a new approval: `hearth approve`."


@dataclass(frozen=True, slots=True)
class ApprovedArtifact:
    """What an approver's computer rendered for the appliance: the artifact's digest (64 hex) and the renderer's version."""

    digest: str
    renderer: str

    def __str__(self) -> str:
        return f"sha256:{self.digest} renderer {self.renderer} appliance"


def approval_text(household: str, base: str, tree_sha256: str, artifact: ApprovedArtifact, *, risk: str) -> bytes:
    """Return the whole message of an approval: ASCII, LF, one final LF (docs/trust.md).

    `base` is the commit that main stands on, `risk` a word and the edition that judged, like `low/1`.
    """
    return (
        "Hearth approval v1\n"
        "\n"
        f"Hearth-Household: {household}\n"
        f"Hearth-Base: {base}\n"
        f"Hearth-Tree-SHA256: {tree_sha256}\n"
        f"Hearth-Artifact: {artifact}\n"
        f"Hearth-Risk: {risk}\n"
    ).encode("ascii")


def read_artifact(message: bytes) -> ApprovedArtifact:
    """Read the Artifact line of an approval's message.

    Raises:
        Refused: rule 4: there is none where it should be, or it is not well formed.
    """
    match = _ARTIFACT.fullmatch(_line(message, _ARTIFACT_LINE))
    if not match:
        raise _no_approval()
    return ApprovedArtifact(match[1].decode(), match[2].decode())


def claimed_risk(message: bytes, edition: int) -> str:
    """Return the class of risk that an approval names, for a change that this program cannot judge itself.

    Raises:
        Refused: rule 4: it names none, or another edition.
    """
    match = _RISK.fullmatch(_line(message, _RISK_LINE))
    if not match:
        raise _no_approval()
    if int(match[2]) != edition:
        raise _other_risk(match[0], f"of edition {edition}")
    return match[1].decode()


def named_base(message: bytes) -> str | None:
    """Return the base that an approval names: only to say more clearly what is wrong with it."""
    match = _BASE.fullmatch(_line(message, _BASE_LINE))
    return match[1].decode() if match else None


def check_text(message: bytes, expected: bytes) -> None:
    """Rule 4: the message is exactly the text of this household, base, tree and risk.

    Raises:
        Refused: with the first line that differs.
    """
    if message == expected:
        return
    given, wanted = message.split(b"\n"), expected.split(b"\n")
    if len(given) != _LINES or given[:2] != wanted[:2]:
        raise _no_approval()
    place = next(place for place in range(_LINES) if given[place] != wanted[place])
    label = wanted[place].partition(b" ")[0]
    if not given[place].startswith(label + b" "):
        raise _no_approval()
    if label == b"Hearth-Household:":
        raise Refused(4, "OtherHousehold", "is for another household", _AGAIN)
    if label == b"Hearth-Base:" and (named := named_base(message)):
        raise other_base(named)
    if label == b"Hearth-Tree-SHA256:":
        raise Refused(4, "OtherTree", "is for other files than those that are merged", _AGAIN)
    if label == b"Hearth-Risk:":
        raise _other_risk(given[place], f"which is {wanted[place].partition(b' ')[2].decode()}")
    raise _no_approval()


def other_base(named: str | None) -> Refused:
    """Return the refusal of an approval whose base is no longer main."""
    where = f" ({named[:SHORT]})" if named else ""
    return Refused(4, "OtherBase", f"was made for another base{where} than the commit before", _AGAIN)


def _other_risk(line: bytes, instead: str) -> Refused:
    said = line.partition(b" ")[2][:20].decode("ascii", "replace")
    return Refused(4, "OtherRisk", f"names a risk ({said!r}) that is not the change's, {instead}", _AGAIN)


def _no_approval() -> Refused:
    return Refused(4, "NotAnApproval", "does not say, byte for byte, what an approval says", _AGAIN)


def _line(message: bytes, place: int) -> bytes:
    lines = message.split(b"\n")
    return lines[place] if len(lines) == _LINES else b""
