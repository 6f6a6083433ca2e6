"""What a dev container would be made from now: part to digest. Blocking.

Parts: `config/<property>`, `live/<property>` (no reason to make it anew), `feature/<id>`, `lock/<id>`,
`dockerfile/<path>`, `ctx/<path>`, `compose/<path>`, `env/<path>`; paths are relative to the folder. What the registries
hold (packages, remote contexts, URLs) cannot be known. Source:
reference/devcontainers.md 3.3, compared there with what a real recreate changes.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping

from ws_mcp.core.devcontainers.canonical import canonical, digest_of
from ws_mcp.core.devcontainers.collected import Collected, Recipe, add_build
from ws_mcp.core.devcontainers.compose_inputs import add_compose
from ws_mcp.core.devcontainers.contexts import TOO_LARGE, TooLargeError, feature_digest
from ws_mcp.core.devcontainers.definition import (
    config_parts,
    definition_of,
    is_local,
    live_parts,
    mapping,
    path_of,
    shown,
)
from ws_mcp.core.devcontainers.inputs import Inputs, Look, OutsideError
from ws_mcp.core.devcontainers.jsonc import object_of
from ws_mcp.core.devcontainers.model import Key, Kind
from ws_mcp.core.devcontainers.port import Definition, DefinitionMissingError, Fingerprint


def fingerprint_of(key: Key, inputs: Inputs, look: Look) -> Fingerprint:
    """The fingerprint of the definition as it is now.

    Raises:
        DefinitionMissingError
        UnreadableDefinitionError
    """
    definition = read_definition(key, inputs, look)
    found = Collected(key=key, inputs=inputs, look=look)
    _add_config(definition, found)
    if definition.kind is Kind.IMAGE:
        _add_image(definition, found)
    elif definition.kind is Kind.DOCKERFILE:
        _add_dockerfile(definition, found)
    else:
        add_compose(definition, found)
    return found.fingerprint()


def read_definition(key: Key, inputs: Inputs, look: Look) -> Definition:
    """The definition as it is now.

    Raises:
        DefinitionMissingError
        UnreadableDefinitionError
    """
    look.paths[key.folder] = look.paths[posixpath.dirname(key.config)] = False
    try:
        text = inputs.made(key.config, look, _text)
    except OutsideError:
        text = None  # to a caller what may not be read is not there
    if text is None:
        raise DefinitionMissingError(shown(key.config, key.folder))
    return definition_of(key, text)


def _add_config(definition: Definition, found: Collected) -> None:
    """The parts of devcontainer.json itself, of local features, and of the lock file."""
    for part, digest in (config_parts(definition) | live_parts(definition)).items():
        found.add(part, digest)
    features = mapping(definition.properties.get("features"))
    directory = posixpath.dirname(found.key.config)
    for feature in features:
        if is_local(feature):
            with found.reading(f"feature {feature}"):
                _add_feature(feature, posixpath.normpath(posixpath.join(directory, feature)), found)
    if not features:
        return
    dot = "." if posixpath.basename(found.key.config).startswith(".") else ""
    with found.reading("the lock file"):
        locked = found.inputs.made(posixpath.join(directory, f"{dot}devcontainer-lock.json"), found.look, _lock)
        for feature in features:
            if locked and feature in locked:
                entry = mapping(locked[feature])
                found.add(f"lock/{feature}", digest_of(canonical([entry.get("resolved"), entry.get("integrity")])))


def _add_image(definition: Definition, found: Collected) -> None:
    """The image that it names, if that does not depend on who asks."""
    image = definition.properties.get("image")
    if isinstance(image, str) and "${" not in image:
        found.images.append(image)


def _add_dockerfile(definition: Definition, found: Collected) -> None:
    """The Dockerfile that it names, and what that copies."""
    build = mapping(definition.properties.get("build"))
    dockerfile = path_of(definition, str(build.get("dockerfile")))
    named = build.get("context")
    context = path_of(definition, named) if isinstance(named, str) else posixpath.dirname(dockerfile or "")
    if dockerfile is None or not context:
        found.skip("the Dockerfile", "its path depends on who asks")
        return
    args = {name: None if "${" in str(value) else str(value) for name, value in mapping(build.get("args")).items()}
    target = build.get("target")
    add_build(
        Recipe(dockerfile=dockerfile, context=context, args=args, target=target if isinstance(target, str) else ""),
        found,
    )


def _add_feature(feature: str, directory: str, found: Collected) -> None:
    try:
        found.add(f"feature/{feature}", feature_digest(directory, found.inputs, found.look))
    except TooLargeError:
        found.skip(f"feature {feature}", TOO_LARGE)


def _text(text: str, _file: str) -> str:
    return text


def _lock(text: str, file: str) -> Mapping[str, object]:
    # The CLI makes an empty one first.
    return mapping(object_of(text, file).get("features")) if text.strip() else {}
