"""Which version of each secret was the highest ever in effect here, by name; kept in `keys/` over roll-backs and upgrades.

Of a plaintext only an HMAC is kept, under a key of this device's own: enough to tell that one version has two values.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

from pydantic import ConfigDict, Field, TypeAdapter, with_config

from desired_state.secrets import VERSION_LIMIT
from reconciler.durable import write_atomic
from reconciler.errors import Misused

FILE = "secrets.json"
_LIMIT = 4_000_000
_STRICT = with_config(ConfigDict(strict=True, extra="forbid", hide_input_in_errors=True))
_Hex = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


@_STRICT
@dataclass(frozen=True, slots=True)
class Applied:
    """The highest version of a secret that was in effect, and the mark of its plaintext."""

    version: Annotated[int, Field(gt=0, lt=VERSION_LIMIT)]
    mark: _Hex


@_STRICT
@dataclass(frozen=True, slots=True)
class Memory:
    """What one home's secrets were; `key` makes the marks."""

    household: str
    key: _Hex = field(repr=False)
    applied: dict[str, Applied] = field(default_factory=dict)

    def mark(self, plaintext: bytes) -> str:
        """Return what this device recognises a plaintext by."""
        return hmac.new(bytes.fromhex(self.key), plaintext, hashlib.sha256).hexdigest()

    def goes_back(self, name: str, version: int, mark: str) -> bool:
        """Whether something newer was in effect, or something else under the same version."""
        known = self.applied.get(name)
        return known is not None and (version < known.version or (version == known.version and mark != known.mark))

    def after(self, effective: Mapping[str, Applied]) -> Memory:
        """Return the memory once these are in effect; no version ever sinks."""
        higher = {
            name: now
            for name, now in effective.items()
            if (known := self.applied.get(name)) is None or now.version > known.version
        }
        return replace(self, applied={**self.applied, **higher}) if higher else self


_MEMORY = TypeAdapter(Memory)


def read_or_begin(keys: Path, household: str) -> Memory:
    """Return what is remembered of this household's secrets; where that is nothing, or another's, begin anew.

    Raises:
        Misused: the file is not what `write` leaves. It is never replaced by an empty one: that would let old secrets back in.
        OSError: the disk does not give it, or does not take it.
    """
    file = keys / FILE
    try:
        with file.open("rb") as stream:
            found = _MEMORY.validate_json(stream.read(_LIMIT))
    except FileNotFoundError:
        found = None
    except ValueError:
        raise Misused(
            "KeyringUnreadable",
            f"{file} is not what Hearth wrote.",
            "Move it away; from then on a secret that was replaced long ago would be taken for new.",
        ) from None
    if found is None or found.household != household:
        found = Memory(household, secrets.token_hex(32))
        write(keys, found)
    return found


def write(keys: Path, memory: Memory) -> None:
    """Keep `memory`, over power cuts.

    Raises:
        OSError: the disk is full, broken or read-only; what was remembered before still is.
    """
    content = _MEMORY.dump_python(memory)
    write_atomic(keys / FILE, json.dumps(content, sort_keys=True).encode() + b"\n")
