"""A devcontainer.json as a value: what kind it is, its properties by their present names (pure)."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping, Sequence
from typing import cast

from ws_mcp.core.devcontainers.canonical import canonical, digest_of
from ws_mcp.core.devcontainers.jsonc import object_of, unreadable
from ws_mcp.core.devcontainers.model import Key, Kind
from ws_mcp.core.devcontainers.port import Definition

NAMES = ("devcontainer.json", ".devcontainer.json")  # the CLI takes no other

# Read again by the CLI at every `exec`; without effect on a container that exists; or only notes for tools.
# Source: reference/devcontainers.md 3.1, by experiment.
LIVE = frozenset({"remoteEnv", "remoteUser", "userEnvProbe"})
COSMETIC = frozenset({"$schema", "name", "initializeCommand", "shutdownAction"})
NOTES = frozenset(
    {
        "customizations", "forwardPorts", "portsAttributes", "otherPortsAttributes", "postAttachCommand", "waitFor",
        "secrets",
    }
)  # fmt: skip
UNCOUNTED = LIVE | COSMETIC | NOTES
# Where the files are, and how fast the build is: the files count themselves.
BUILD_UNCOUNTED = frozenset({"dockerfile", "context", "cacheFrom", "cacheTo"})
_EDITOR = ("extensions", "settings", "devPort")
_LOCAL = re.compile(r"\$\{(localWorkspaceFolder(?:Basename)?)\}")


def shown(path: str, folder: str) -> str:
    """A path as a person names it, who knows the folder."""
    below = folder.rstrip("/") + "/"
    return path.removeprefix(below) or "." if path.startswith(below) else posixpath.relpath(path, folder)


def definition_of(key: Key, text: str) -> Definition:
    """The definition that `text` is.

    Raises:
        UnreadableDefinitionError
    """
    file = shown(key.config, key.folder)
    properties = _renamed(object_of(text, file))
    return Definition(key=key, kind=_kind_of(properties, file), text=text, properties=properties)


def config_parts(definition: Definition) -> dict[str, str]:
    """Digest of each property that a container is made from; raw, so that it does not matter who asks."""
    parts: dict[str, object] = {}
    for name, value in definition.properties.items():
        if name == "features":
            parts |= {f"features/{feature}": options for feature, options in mapping(value).items()}
        elif name == "build":
            build = mapping(value).items()
            parts |= {f"build.{below}": found for below, found in build if below not in BUILD_UNCOUNTED}
        elif name == "hostRequirements":
            # The CLI enforces none of them, and gives the container a GPU for one.
            parts["hostRequirements.gpu"] = mapping(value).get("gpu")
        elif name == "dockerComposeFile":
            parts[name] = list(texts(value))
        elif name not in UNCOUNTED:
            parts[name] = value
    # Of a feature no options are still a feature.
    counted = {name: value for name, value in parts.items() if name.startswith("features/") or value not in _EMPTY}
    return {f"config/{name}": digest_of(canonical(value)) for name, value in counted.items()}


def live_parts(definition: Definition) -> dict[str, str]:
    """Digest of each property that makes no container but its processes; of those that are not there, too."""
    values = {name: definition.properties.get(name) for name in LIVE}
    return {f"live/{name}": digest_of(canonical(None if value in _EMPTY else value)) for name, value in values.items()}


_EMPTY: tuple[object, ...] = (None, "", [], {})


def path_of(definition: Definition, value: str) -> str | None:
    """The file that a property names, absolute; None: that depends on who asks (`${localEnv:X}`)."""
    folder = definition.key.folder
    known = {"localWorkspaceFolder": folder, "localWorkspaceFolderBasename": posixpath.basename(folder)}
    resolved = _LOCAL.sub(lambda found: known[found[1]], value)
    if "${" in resolved:
        return None
    return posixpath.normpath(posixpath.join(posixpath.dirname(definition.key.config), resolved))


def is_local(feature: str) -> bool:
    """Whether a feature is a directory of the project."""
    return feature.startswith(("./", "../"))


def composed_in(definition: Definition) -> str:
    """The directory of its compose project, as compose names it in a label; "" for other kinds."""
    files = texts(definition.properties.get("dockerComposeFile"))
    return posixpath.dirname(path_of(definition, files[0]) or "") if files else ""


def mapping(value: object) -> Mapping[str, object]:
    """The object that a property is, or an empty one."""
    return cast("Mapping[str, object]", value) if isinstance(value, Mapping) else {}


def texts(value: object) -> tuple[str, ...]:
    """The text, or the texts of the list, that a property is."""
    if isinstance(value, str):
        return (value,)
    listed = cast("Sequence[object]", value) if isinstance(value, list | tuple) else ()
    return tuple(item for item in listed if isinstance(item, str))


def _renamed(properties: Mapping[str, object]) -> Mapping[str, object]:
    """With present names in place of old ones. Source: devcontainers/cli, updateFromOldProperties, getDockerfile."""
    renamed = dict(properties)
    if "dockerFile" in renamed:
        build = {**mapping(renamed.get("build")), "dockerfile": renamed.pop("dockerFile")}
        build.pop("context", None)  # an old name has only an old context beside it
        renamed["build"] = build | ({"context": renamed.pop("context")} if "context" in renamed else {})
    editor = {name: renamed.pop(name) for name in _EDITOR if name in renamed}
    if editor:
        present = mapping(renamed.get("customizations"))
        renamed["customizations"] = {**present, "vscode": {**editor, **mapping(present.get("vscode"))}}
    return renamed


def _kind_of(properties: Mapping[str, object], file: str) -> Kind:
    named = {
        Kind.IMAGE: properties.get("image"),
        Kind.DOCKERFILE: mapping(properties.get("build")).get("dockerfile"),
        Kind.COMPOSE: properties.get("dockerComposeFile"),
    }
    kinds = [kind for kind, value in named.items() if value is not None]
    if not kinds:
        raise unreadable(file, 'it names nothing to make the container from: "image", "build" or "dockerComposeFile"')
    if len(kinds) > 1:
        raise unreadable(file, f"it names {' and '.join(kinds)} to make the container from; one can be meant")
    kind = kinds[0]
    if kind is Kind.COMPOSE:
        listed: object = named[kind]
        count = len(cast("list[object]", listed)) if isinstance(listed, list) else 1
        if len(texts(properties["dockerComposeFile"])) != count:
            raise unreadable(file, '"dockerComposeFile" has to be a text or a list of them')
        if not isinstance(properties.get("service"), str) or not properties.get("service"):
            raise unreadable(file, 'beside "dockerComposeFile" it has to name the "service" to work in')
    elif not isinstance(named[kind], str) or not named[kind]:
        raise unreadable(file, f"the {kind} that it names has to be a text")
    return kind
