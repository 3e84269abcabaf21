"""A household as configuration files: pure functions from desired state to bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from renderers.artifact import APPLIANCE, Artifact, Target
    from renderers.compose import SERVICES, render
    from renderers.encode import RenderingError

__all__ = ["APPLIANCE", "SERVICES", "Artifact", "RenderingError", "Target", "render"]

_HOMES = {
    "artifact": ("APPLIANCE", "Artifact", "Target"),
    "compose": ("SERVICES", "render"),
    "encode": ("RenderingError",),
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for: running a generation needs no templates and no pydantic."""
    from importlib import import_module

    for module, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"renderers.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
