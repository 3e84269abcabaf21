"""What one device was told when it joined: /etc/hearth/device.toml, and the paths that follow from the root folder.

A setting exists only where two homes differ. Does not hold what the household says.
"""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from reconciler.durable import make_folder, write_atomic
from reconciler.errors import Misused
from renderers.artifact import APPLIANCE, Target

_LIMIT = 65_536
_UNITS = {"s": 1, "m": 60, "h": 3600}


def _source(url: str) -> str:
    from reconciler.source.url import parse_url

    try:
        parse_url(url)
    except Misused as error:
        raise ValueError(str(error)) from None
    return url


def _interval(value: object) -> float:
    match = re.fullmatch(r"([1-9][0-9]{0,3})(s|m|h)", value) if isinstance(value, str) else None
    if not match:
        raise ValueError("write a whole number and s, m or h, like 5m")
    seconds = float(match[1]) * _UNITS[match[2]]
    if not 1 <= seconds <= 86_400:
        raise ValueError("write something from 1s to 24h")
    return seconds


def _interval_text(seconds: float) -> str:
    """Return the text that `_interval` reads: the largest unit that leaves a whole number."""
    unit = next(unit for unit in reversed(_UNITS) if seconds % _UNITS[unit] == 0)
    return f"{seconds / _UNITS[unit]:.0f}{unit}"


_Port = Annotated[int, Field(ge=1, le=65_535)]


class Bench(BaseModel):
    """A home in a folder, for trying and testing: daemons are child processes on loopback, at these ports."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    port: _Port
    upstream_port: _Port
    files_port: _Port = 1445
    mail_port: _Port = 1025
    authority_port: _Port = 9000
    relay_port: _Port = 1587


class Settings(BaseModel):
    """device.toml, checked."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)

    source: Annotated[str, Field(max_length=2_000), AfterValidator(_source)]
    household: Annotated[str, Field(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
    genesis: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
    interval: Annotated[float, BeforeValidator(_interval)] = 300.0
    units: Literal["systemd", "child"] = "systemd"
    bench: Bench | None = None
    report_to: (
        Annotated[str, Field(pattern=r"^(https://|http://(localhost|127\.0\.0\.1|\[::1\])[:/])[!-?A-~]+$")] | None
    ) = None


class Paths:
    """Where everything lies below one root: `/` on a Pi, any folder on a bench (FHS 3.0)."""

    def __init__(self, root: Path) -> None:
        self.root = root = root.absolute()
        self.settings = root / "etc/hearth/device.toml"
        self.state = root / "var/lib/hearth"
        self.run = root / "run/hearth"
        self.shares = root / "srv/hearth"
        self.repository = self.state / "repo.git"
        self.incoming = self.state / "incoming"
        self.journal = self.state / "journal.json"
        self.outbox = self.state / "outbox"
        self.keys = self.state / "keys"
        self.token = self.keys / "source-token"
        self.deploy_key = self.keys / "deploy"
        self.known_hosts = self.keys / "known_hosts"
        self.device_key = self.keys / "device"
        self.receipts = self.state / "receipts"
        self.freshness = self.state / "freshness.json"
        self.fresh = self.run / "freshness.json"
        self.status = self.run / "status.json"
        self.secrets = self.run / "secrets"
        self.served = self.run / "served"
        self.provided = self.run / "provided.json"
        self.gates = self.run / "gates.jsonl"
        self.lock = self.run / "lock"
        self.agent = self.run / "agent"
        self.metrics = self.run / "metrics.prom"

    def prepare(self) -> None:
        """Make the folders; `keys/` is readable by its owner alone.

        Raises:
            Misused: they cannot be made here.
        """
        try:
            for folder in (self.state, self.run, self.outbox):
                make_folder(folder)
            make_folder(self.keys, 0o700)
            if self.keys.stat().st_mode & 0o077:
                self.keys.chmod(0o700)
        except OSError as error:
            raise Misused(
                "NotWritable", f"{error.filename} cannot be made: {error.strerror}.", "Run this as root (sudo)."
            ) from None

    def start_agent(self, settings: Settings) -> str:
        """Return the command that starts the agent here."""
        return (
            "sudo systemctl start hearth-agent" if settings.units == "systemd" else f"hearth --root {self.root} agent"
        )

    def target(self, settings: Settings) -> Target:
        """Return what to render for: this appliance, or this bench."""
        if settings.bench is None:
            return APPLIANCE
        state, run = PurePosixPath(self.state), PurePosixPath(self.run)
        shares, trusted = PurePosixPath(self.shares), PurePosixPath(self.root / "etc/ssl/certs/ca-certificates.crt")
        return Target("bench", state, run, shares=shares, trusted=trusted, **settings.bench.model_dump())


def load(paths: Paths) -> Settings:
    """Read device.toml.

    Raises:
        Misused: it is missing (not joined yet), unreadable, or says something that it cannot.
    """
    try:
        with paths.settings.open("rb") as file:
            content = file.read(_LIMIT + 1)
    except FileNotFoundError:
        raise Misused(
            "NotJoined", "This machine has not joined a home yet.", "Join one: sudo hearth join GIT-URL"
        ) from None
    except OSError as error:
        raise _invalid(paths, f"cannot be read: {error.strerror}", "Run this as root (sudo).") from None
    if len(content) > _LIMIT:
        raise _invalid(paths, f"is larger than {_LIMIT} bytes", "It holds a few lines: see docs/install.md.")
    try:
        return Settings.model_validate(_toml(paths, content))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        shown = field if field.isprintable() else ascii(field)
        problem = first["msg"].removeprefix("Value error, ")
        raise _invalid(paths, f"cannot say this at {shown[:80]}: {problem}", "Mend that line.") from None


def _toml(paths: Paths, content: bytes) -> dict[str, Any]:
    try:
        return tomllib.loads(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        problem = f"is not text in UTF-8 (byte {error.start})"
    except RecursionError:
        problem = "is nested too deeply"
    except ValueError as error:  # also an integer of too many digits, which is no TOMLDecodeError
        problem = f"is not TOML: {error}"
    raise _invalid(paths, problem, "Mend that line.")


def _invalid(paths: Paths, problem: str, remedy: str) -> Misused:
    return Misused("SettingsInvalid", f"{paths.settings} {problem}.", remedy)


def save(paths: Paths, settings: Settings) -> None:
    """Write device.toml as `load` reads it.

    Raises:
        OSError: the folder cannot be written.
    """
    lines = [
        "# Written by `hearth join`. What the home wants is in its repository, not here.",
        f"source = {_quoted(settings.source)}",
        f"household = {_quoted(settings.household)}",
        f"genesis = {_quoted(settings.genesis)}",
        f"interval = {_quoted(_interval_text(settings.interval))}",
        f"units = {_quoted(settings.units)}",
    ]
    if settings.report_to:
        lines.append(f"report_to = {_quoted(settings.report_to)}")
    if settings.bench:
        lines += ["", "[bench]", *(f"{name} = {port}" for name, port in settings.bench.model_dump().items())]
    make_folder(paths.settings.parent)
    write_atomic(paths.settings, "\n".join(lines).encode() + b"\n", 0o644)


def _quoted(text: str) -> str:
    """Return a TOML basic string; for printable text its escapes are JSON's (toml.io, v1.0.0, String)."""
    return json.dumps(text, ensure_ascii=False)
