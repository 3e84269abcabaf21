"""What came of a pushed change, where this machine can see the device; elsewhere, that it was pushed."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from reconciler.cli.device import follow
from reconciler.cli.output import Styled, mark, say
from reconciler.errors import HearthError

_GATES = ("verified", "checked", "applied", "still answering")


def follow_pushed(root: str, commit: str, *, follows: bool = True, as_json: bool) -> dict[str, Any]:
    """Wait until the device has done with a commit of main, and say how it ended; `follows` is False for any other branch."""
    began, ended = time.monotonic(), "pushed"
    if follows:
        with suppress(HearthError):  # the push is done, and the device looks by itself soon
            ended = follow(root, commit, as_json=True)
    effect = {"ended": ended, "seconds": round(time.monotonic() - began, 2)}
    if not as_json:
        _tell(effect, follows=follows)
    return effect


def _tell(effect: Mapping[str, Any], *, follows: bool) -> None:
    after = f"after {effect['seconds']:.1f} s"
    if effect["ended"] == "in effect":
        say(*(Styled(f"{mark('good')} {gate} ") for gate in _GATES), f"   in effect {after}")
    elif effect["ended"] == "pushed":
        what = " A Pi takes main up within its interval (5 minutes unless set otherwise)." if follows else ""
        say(f"Pushed.{what}", kind="good")
    else:
        ended = "taken it back" if effect["ended"] == "taken back" else "refused it"
        say(f"The Pi has {ended} {after}; nothing else changed. `hearth status` says why.", kind="bad")
