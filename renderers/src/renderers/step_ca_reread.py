"""The last look at rendered files: `ca.json` must have exactly the keys that we write, each with a value of its shape.

step-ca itself takes unknown keys and unknown types of provisioners in silence. This stands behind the encoders: what can run
programs or reach elsewhere (`kms`, `templates`, webhooks, other databases) has no place here, so a mistake becomes a
`RenderingError`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from desired_state.scalars import unprintable
from renderers.encode import RenderingError

_NAME = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)+"
_PATH = r"(?:/[\w.+@~-]+(?: [\w.+@~-]+)*)+"
_DURATION = r"[1-9][0-9]*[smh]"
_TEXT = r".{1,200}"
_ENVIRONMENT = rb"RESOLVER=--resolver=127\.0\.0\.1:[0-9]{1,5}\n"

_SHAPE: Mapping[str, Any] = {
    "address": r"(?:127(?:\.[0-9]{1,3}){3})?:[0-9]{1,5}",
    "authority": {
        "claims": {
            "defaultTLSCertDuration": _DURATION,
            "maxTLSCertDuration": _DURATION,
            "minTLSCertDuration": _DURATION,
        },
        "provisioners": [{"name": "acme", "type": "ACME"}],
    },
    "commonName": _TEXT,
    "crt": _PATH,
    "db": {"dataSource": _PATH, "type": "bbolt"},
    "dnsNames": [_NAME],
    "key": _PATH,
    "root": _PATH,
}


def check(content: bytes) -> None:
    """Accept a `ca.json` that says nothing but what we may write.

    Raises:
        RenderingError: a key is unknown, missing or there twice, or a value has another shape.
    """
    try:
        parsed = json.loads(content, object_pairs_hook=_each_once)
    except (ValueError, RecursionError):
        raise RenderingError("ca.json is no JSON") from None
    _compare("ca.json", parsed, _SHAPE)


def check_environment(content: bytes) -> None:
    """Accept a unit's environment that names a resolver and says nothing else.

    Raises:
        RenderingError: it says something else.
    """
    if not re.fullmatch(_ENVIRONMENT, content):
        raise RenderingError(f"the environment of step-ca may not be rendered so: {content!r:.120}")


def _each_once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) != len(pairs):
        raise RenderingError("ca.json holds a key twice")
    return dict(pairs)


def _compare(where: str, found: Any, shape: Any) -> None:
    match shape:
        case str():
            if not isinstance(found, str) or not re.fullmatch(shape, found) or unprintable(found):
                raise RenderingError(f"{where} may not be rendered so: {found!r:.80}")
        case [each]:
            if not isinstance(found, list):
                raise RenderingError(f"{where} is no list")
            for number, item in enumerate(found):
                _compare(f"{where}[{number}]", item, each)
        case _:
            if not isinstance(found, dict) or found.keys() != shape.keys():
                raise RenderingError(f"{where} may not have these keys: {sorted(found)!r:.200}")
            for key, value in found.items():
                _compare(f"{where}.{key}", value, shape[key])
