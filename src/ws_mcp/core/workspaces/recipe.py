"""A wish made whole: everything that a container workspace is made from, as it is recorded with it (pure).

What a wish leaves open is as the container was made, else a default. The record is a signed label of the container; it
has names of variables and digests of secrets, never their values.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TypeVar, cast

from pydantic import TypeAdapter, ValidationError

from ws_mcp.core.engine.model import Container
from ws_mcp.core.workspaces import naming
from ws_mcp.core.workspaces.model import Sizes, WorkspaceSpec
from ws_mcp.core.workspaces.mounts import Access, Storage, StoragePlan, plan_storage
from ws_mcp.core.workspaces.rules import WorkspaceRules
from ws_mcp.core.workspaces.tiers import DEFAULT_TIER, Tier

T = TypeVar("T")

OWN, NONE, HOST = "own", "none", "host"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A whole request. `config`, `files`, `home`, `secrets` are fingerprints of what is put in; "" for nothing."""

    image: str = ""
    platform: str = ""
    tier: int = DEFAULT_TIER
    sizes: Sizes = field(default_factory=Sizes)
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    ports: tuple[int, ...] = ()
    has_volume: bool = True
    access: Access = Access.READ_WRITE
    folder: str = ""
    mounts: Mapping[str, str] = field(default_factory=dict[str, str])
    network: str = OWN
    command: tuple[str, ...] = ()
    user: str = ""
    cwd: str = ""
    restart: str = "no"
    server_url: str = ""
    template: str = ""
    home: str = ""
    template_digest: str = ""
    files_digest: str = ""
    file_names: tuple[str, ...] = ()
    home_digest: str = ""
    secrets_digest: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Digests:
    """Fingerprints of what is to be put in now. None: what is there stays."""

    template: str | None = None
    files: str | None = None
    home: str | None = None
    secrets: str | None = None


_RECIPE = TypeAdapter(Recipe)
_WISH = TypeAdapter(WorkspaceSpec)
_WORDS = {
    "has_volume": "volume",
    "template_digest": "the template",
    "files_digest": "files",
    "home_digest": "the home directory",
    "secrets_digest": "secrets",
}
_HIDDEN = ("environment", "template_digest", "files_digest", "home_digest", "secrets_digest")
_SILENT = ("file_names",)  # goes with `files_digest`
_OUTSIDE = ("template_digest", "home_digest")


def recipe_of(spec: WorkspaceSpec, recorded: Recipe | None, rules: WorkspaceRules, digests: Digests) -> Recipe:
    """The wish with what it leaves open filled in."""
    old = recorded or Recipe()
    number = spec.tier or old.tier
    level = rules.level(number)
    folder, storage = _storage(spec, recorded, number)
    return Recipe(
        image=spec.image or old.image or rules.default_image,
        platform=_given(spec.platform, old.platform),
        tier=number,
        sizes=_sizes(spec.sizes, old.sizes),
        environment=_given(spec.environment, old.environment),
        ports=tuple(sorted(_given(spec.ports, old.ports))),
        has_volume=storage.storage is Storage.VOLUME,
        access=storage.access,
        folder=folder,
        mounts=_given(spec.mounts, old.mounts),
        network=_network(spec, old, level),
        command=_given(spec.command, old.command),
        user=_given(spec.user, old.user),
        cwd=_given(spec.cwd, old.cwd),
        restart=_given(spec.restart, old.restart),
        server_url=rules.server_url or old.server_url,
        template=_given(spec.content.template, old.template),
        home=_given(spec.content.home, old.home),
        template_digest=_given(digests.template, old.template_digest),
        files_digest=_given(digests.files, old.files_digest),
        file_names=old.file_names if spec.content.files is None else tuple(sorted(spec.content.files)),
        home_digest=_given(digests.home, old.home_digest),
        secrets_digest=_given(digests.secrets, old.secrets_digest),
    )


def configs_digest(recipe: Recipe) -> str:
    """A fingerprint of all that is in /configs; "" when nothing was ever put there."""
    if not (recipe.template_digest or recipe.files_digest):
        return ""
    return hashlib.sha256(f"{recipe.template_digest}\0{recipe.files_digest}".encode()).hexdigest()


def label_of(recipe: Recipe) -> str:
    """The record. Without the values of variables, since labels are listed."""
    values = _RECIPE.dump_python(replace(recipe, environment={}), mode="json", exclude_defaults=True)
    return json.dumps({**values, "environment": sorted(recipe.environment)}, sort_keys=True, separators=(",", ":"))


def recorded_of(found: Container) -> Recipe | None:
    """What a container of ours was made from, its variables from the container itself; None if that is not legible."""
    try:
        values = json.loads(found.labels.get(naming.SPEC, ""))
        names = values.pop("environment")
        recipe = _RECIPE.validate_python(values)
    except (ValueError, TypeError, KeyError, AttributeError, ValidationError):
        return None
    return replace(recipe, environment={name: found.environment.get(name, "") for name in names})


def asked_changes(recorded: Recipe, wanted: Recipe) -> tuple[str, ...]:
    """What a wish changes, as `tier is 2, not 1`; without values that may be secret."""
    return _changes(recorded, wanted, [each.name for each in fields(Recipe) if each.name not in _SILENT + _OUTSIDE])


def outside_changes(recorded: Recipe, wanted: Recipe) -> tuple[str, ...]:
    """What the operator changed in the directories that a workspace is made with."""
    return _changes(recorded, wanted, _OUTSIDE)


def _changes(recorded: Recipe, wanted: Recipe, names: Iterable[str]) -> tuple[str, ...]:
    pairs = ((name, getattr(recorded, name), getattr(wanted, name)) for name in names)
    return tuple(_told(name, was, now) for name, was, now in pairs if was != now)


def secrets_digest(key: bytes, secrets: Mapping[str, str]) -> str:
    """A fingerprint of secrets that nobody without the instance's key can try values on; "" for none."""
    if not secrets:
        return ""
    message = json.dumps(sorted(secrets.items()), separators=(",", ":")).encode(errors="surrogatepass")
    return hmac.new(key, b"secrets\0" + message, hashlib.sha256).hexdigest()[:32]


def wish_digest(key: bytes, spec: WorkspaceSpec) -> str:
    """A fingerprint of a whole wish, secrets included, that nobody without the instance's key can try values on."""
    message = _WISH.dump_json(spec)
    return hmac.new(key, b"wish\0" + message, hashlib.sha256).hexdigest()


def _told(name: str, was: object, now: object) -> str:
    word = _WORDS.get(name, name)
    if name in _HIDDEN:
        return f"{word} changed"
    if isinstance(was, Sizes) and isinstance(now, Sizes):
        names = (each.name for each in fields(Sizes))
        changed = ((each, getattr(was, each), getattr(now, each)) for each in names)
        return ", ".join(f"{each} is {a or 'the usual'}, not {b or 'the usual'}" for each, a, b in changed if a != b)
    return f"{word} is {_plain(was)}, not {_plain(now)}"


def _plain(value: object) -> str:
    if isinstance(value, tuple):
        return repr(list(cast("tuple[object, ...]", value)))
    return repr(str(value) if isinstance(value, str) else value)


def _network(spec: WorkspaceSpec, old: Recipe, level: Tier) -> str:
    if spec.network is not None:
        return spec.network
    usual = HOST if level.shares_network else NONE if level.is_offline else OWN
    # The network of another tier is no wish of anybody for this one.
    return usual if spec.tier and spec.tier != old.tier else usual if old == Recipe() else old.network


def _storage(spec: WorkspaceSpec, recorded: Recipe | None, tier: int) -> tuple[str, StoragePlan]:
    """The folder, and what is at /workspace: as asked, or as it was where nothing is asked of it."""
    is_asked = not (spec.access is None and spec.folder is None and spec.has_volume is None)
    if is_asked or recorded is None:
        folder, access, volume = spec.folder or "", spec.access, spec.has_volume
    else:
        folder, access, volume = recorded.folder, recorded.access, recorded.has_volume
    return folder, plan_storage(access, has_folder=bool(folder), has_volume=volume, tier=tier)


def _sizes(asked: Sizes, old: Sizes) -> Sizes:
    return Sizes(**{each.name: getattr(asked, each.name) or getattr(old, each.name) for each in fields(Sizes)})


def _given(asked: T | None, otherwise: T) -> T:
    return otherwise if asked is None else asked
