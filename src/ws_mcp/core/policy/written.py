"""The policy as it is written: strict TOML, every key known, every problem with its key and line (pure)."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from ws_mcp.core.errors import PolicyError
from ws_mcp.core.policy.auth import Auth, Naming, is_web
from ws_mcp.core.policy.limits import Limits
from ws_mcp.core.policy.model import Asking, Grant, Policy
from ws_mcp.core.workspaces.image_patterns import is_pattern
from ws_mcp.core.workspaces.model import Sizes
from ws_mcp.core.workspaces.mounts import Access
from ws_mcp.core.workspaces.tiers import DEFAULT_TIER, TIERS

MAX_ITEMS = 1000
_DEFAULTS = Limits()

_TABLE = re.compile(r"\s*\[\[?\s*([\w.-]+)\s*\]?\]")
_KEY = re.compile(r"""\s*["']?([\w-]+)["']?\s*(?:\.\s*["']?([\w-]+)["']?\s*)?=""")


def _pattern(text: str) -> str:
    if not is_pattern(text):
        raise ValueError("is no pattern of images: write NAME, NAME:TAG or NAME@sha256:DIGEST, with * for a part")
    return text


def _plain(path: str) -> str:
    if not path.startswith("/") or ".." in path.split("/") or not path.isprintable():
        raise ValueError("is no absolute path without '..'")
    return path


def _web(url: str) -> str:
    if not is_web(url):
        raise ValueError("is no https address (http only on this machine)")
    return url


def _keys(place: str) -> str:
    if "://" in place and not is_web(place):
        raise ValueError("is neither an https address (http only on this machine) nor a file")
    return place if "://" in place else _plain(place)


_Text = Annotated[str, Field(min_length=1, max_length=500)]
_Names = Annotated[list[Annotated[str, Field(pattern=r"^[\w.*-]{1,64}$")]], Field(max_length=MAX_ITEMS)]
_Images = Annotated[list[Annotated[_Text, AfterValidator(_pattern)]], Field(max_length=MAX_ITEMS)]
_Path = Annotated[_Text, AfterValidator(_plain)]
_Paths = Annotated[list[_Path], Field(max_length=MAX_ITEMS)]
_Web = Annotated[_Text, AfterValidator(_web)]
_Tier = Annotated[int, Field(ge=1, le=max(TIERS))]
_Count = Annotated[int, Field(ge=1, le=1 << 20)]
_Size = Annotated[int, Field(ge=0, le=1 << 20)]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)


class _Largest(_Table):
    memory_mib: _Size = 0
    cpus: Annotated[float, Field(ge=0, le=1 << 20, allow_inf_nan=False)] = 0.0
    pids: _Size = 0
    tmpfs_mib: _Size = 0


class _Grant(_Table):
    principal: Annotated[_Text, Field(pattern=r"^[!-~]+$")]
    tools: _Names
    max_tier: _Tier = DEFAULT_TIER
    images: _Images = []
    pull: bool = False
    roots: _Paths = []
    access: Literal["none", "read_only", "read_write"] = "read_only"
    templates: _Names = []
    homes: _Names = []
    runtimes: _Names = []
    local: bool = False
    devcontainers: bool = False
    workspaces: Annotated[int | None, Field(ge=0, le=1000)] = None
    largest: _Largest = _Largest()

    def grant(self) -> Grant:
        """As a value."""
        return Grant(
            principal=self.principal,
            tools=tuple(self.tools),
            max_tier=self.max_tier,
            images=tuple(self.images),
            may_pull=self.pull,
            roots=tuple(map(Path, self.roots)),
            access=Access(self.access),
            templates=tuple(self.templates),
            homes=tuple(self.homes),
            runtimes=tuple(self.runtimes),
            has_local=self.local,
            has_devcontainers=self.devcontainers,
            workspaces=self.workspaces,
            largest=Sizes(**self.largest.model_dump()),
        )


class _Privileged(_Table):
    max_tier: Annotated[int, Field(ge=DEFAULT_TIER, le=max(TIERS))] = DEFAULT_TIER
    over_http: bool = False


class _Limits(_Table):
    calls_at_once: _Count = _DEFAULTS.calls_at_once
    calls_per_s: Annotated[float, Field(gt=0, le=1 << 20, allow_inf_nan=False)] = _DEFAULTS.calls_per_s
    calls_burst: _Count = _DEFAULTS.calls_burst
    streams: _Count = _DEFAULTS.streams
    principal_times: _Count = _DEFAULTS.principal_times
    volumes: _Count = _DEFAULTS.volumes
    all_processes: _Count = _DEFAULTS.all_processes
    all_workspaces: _Count = _DEFAULTS.all_workspaces


class _Auth(_Table):
    tokens_file: _Path = ""
    issuer: _Web = ""
    jwks: Annotated[_Text, AfterValidator(_keys)] = ""
    resource: _Web = ""
    audience: _Text = ""
    principal: Naming | None = None

    def auth(self) -> Auth:
        """As a value."""
        return Auth(**self.model_dump(exclude={"principal"}), principal=self.principal or "")


class _File(_Table):
    read_only: bool = False
    audit: bool | None = None
    confirm: Asking = "never"
    limits: _Limits | None = None
    privileged: _Privileged = _Privileged()
    auth: _Auth = _Auth()
    grant: Annotated[list[_Grant], Field(max_length=MAX_ITEMS)] = []


def policy_of(text: str, name: str) -> Policy:
    """The policy that a file says. `name`: what the operator calls the file.

    Raises:
        PolicyError: it cannot be understood, to the last key; nothing of it counts then.
    """
    try:
        values = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise PolicyError([f"{name} is no TOML: {error}"]) from error
    try:
        file = _File.model_validate(values)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False, include_context=False)
        raise PolicyError([f"{name}, {_place(text, each['loc'])}: {_worded(each['msg'])}" for each in found]) from None
    principals = [grant.principal for grant in file.grant]
    for at, principal in enumerate(principals):
        if principal in principals[:at]:
            place = _place(text, ("grant", at, "principal"))
            raise PolicyError([f"{name}, {place}: {principal!r} has a grant already; write them as one"])
    return Policy(
        grants=tuple(each.grant() for each in file.grant),
        is_read_only=file.read_only,
        max_tier=file.privileged.max_tier,
        has_privileged_http=file.privileged.over_http,
        limits=Limits(**file.limits.model_dump()) if file.limits else None,
        audits=file.audit,
        confirm=file.confirm,
        auth=file.auth.auth(),
    )


def _worded(message: str) -> str:
    known = {"Extra inputs are not permitted": "there is no such key", "Field required": "is missing"}
    return known.get(message, message.removeprefix("Value error, "))


def _place(text: str, location: Sequence[int | str]) -> str:
    line = _line(text, location)
    key = ".".join(f"{part + 1}" if isinstance(part, int) else part for part in location)
    return f"line {line} ({key})" if line else key


def _line(text: str, location: Sequence[int | str]) -> int:
    """The line of a key, or that of the nearest table around it; 0 where it cannot be told."""
    names = [part for part in location if isinstance(part, str)]
    number = next((part for part in location if isinstance(part, int)), 0) if names[:1] == ["grant"] else 0
    table, seen, nearest = "", -1, 0
    for at, line in enumerate(text.splitlines(), start=1):
        if found := _TABLE.match(line):
            table = found[1]
            seen += table == "grant"
            if table.split(".") == names[: table.count(".") + 1] and (names[0] != "grant" or seen == number):
                nearest = at
        elif (key := _KEY.match(line)) and (not table.startswith("grant") or seen == number):
            here = [*(table.split(".") if table else []), *filter(None, key.groups())]
            if here == names[: len(here)]:
                return at
    return nearest
