"""A compose file as a value: what counts of it, and the files that it names (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import yaml

from ws_mcp.core.devcontainers.canonical import canonical, plain
from ws_mcp.core.devcontainers.definition import mapping, texts
from ws_mcp.core.devcontainers.jsonc import unreadable

_Base = cast("type[yaml.SafeLoader]", getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # in C where it was built so


class _Loader(_Base):
    """Safe, and with the tags of compose (`!reset`, `!override`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Include:
    """Compose files of a project of their own. Without `directory` it is that of the first file."""

    files: tuple[str, ...]
    directory: str
    env_files: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ComposeFile:
    """One file. `text` is as it was read: it says which variables are used."""

    text: str
    properties: Mapping[str, object]

    @property
    def services(self) -> Mapping[str, Mapping[str, object]]:
        """By name."""
        return {name: mapping(service) for name, service in mapping(self.properties.get("services")).items()}

    @property
    def counted(self) -> str:
        """What containers are made from; anchors and short forms stand where they are used."""
        return canonical(
            {name: value for name, value in self.properties.items() if name != "version" and not name.startswith("x-")}
        )

    @property
    def includes(self) -> tuple[Include, ...]:
        """The projects that it takes in."""
        found: list[Include] = []
        listed = self.properties.get("include")
        for item in cast("list[object]", listed) if isinstance(listed, list) else ():
            form = {"path": item} if isinstance(item, str) else mapping(item)
            directory = form.get("project_directory")
            found.append(
                Include(
                    files=texts(form.get("path")),
                    directory=directory if isinstance(directory, str) else "",
                    env_files=texts(form.get("env_file")),
                )
            )
        return tuple(found)

    def only(self, service: str) -> ComposeFile:
        """With the service that another file extends, and those which that one extends here."""
        wanted: dict[str, Mapping[str, object]] = {}
        while service in self.services and service not in wanted:
            wanted[service] = self.services[service]
            file, service = extended(wanted[service])
            if file:
                break
        return ComposeFile(text=self.text, properties={"services": wanted})


def compose_of(text: str, file: str) -> ComposeFile:
    """The compose file that `text` is.

    Raises:
        UnreadableDefinitionError
    """
    try:
        documents = [plain(cast("object", found)) for found in yaml.load_all(text, _Loader)]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        why = error.problem or "it is not YAML"
        raise unreadable(file, why, *((mark.line + 1, mark.column + 1) if mark else ())) from error
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise unreadable(file, "it is not YAML that can be used, or is larger than it looks") from error
    merged: dict[str, object] = {}
    for document in documents:
        if document is not None and not isinstance(document, dict):
            raise unreadable(file, "it has to be a mapping", 1, 1)
        merged |= mapping(cast("object", document))
    return ComposeFile(text=text, properties=merged)


def extended(service: Mapping[str, object]) -> tuple[str, str]:
    """The file ("" = this one) and the service that it extends; twice "" without."""
    extends = service.get("extends")
    if isinstance(extends, str):
        return "", extends
    form = mapping(extends)
    return _text(form, "file"), _text(form, "service")


def env_files(service: Mapping[str, object]) -> tuple[str, ...]:
    """The env and label files of a service, in short and long form."""
    found: list[str] = []
    for name in ("env_file", "label_file"):
        value = _value(service, name)
        items = cast("list[object]", value) if isinstance(value, list) else [value]
        found += [item if isinstance(item, str) else _text(mapping(item), "path") for item in items]
    return tuple(path for path in found if path)


def build_form(service: Mapping[str, object]) -> Mapping[str, object] | None:
    """The long form of how it is built; None: it is not."""
    build = _value(service, "build")
    if isinstance(build, str):
        return {"context": build}
    return mapping(build) or None


def merged_services(
    files: list[Mapping[str, Mapping[str, object]]],
) -> dict[str, dict[str, object]]:
    """The services of several files of one project, later ones over earlier ones, as far as it matters for inputs."""
    merged: dict[str, dict[str, object]] = {}
    for services in files:
        for name, service in services.items():
            before = merged.setdefault(name, {})
            build = {**(build_form(before) or {}), **(build_form(service) or {})}
            joined = [*env_files(before), *env_files(service)]
            before |= service
            before |= {"env_file": joined, "label_file": None}
            before |= {"build": build} if build else {}
    return merged


def arguments_of(value: object, environment: Mapping[str, str]) -> dict[str, str | None]:
    """Build arguments, as a mapping or a list; one without a value has that of the environment."""
    listed = [text.partition("=") for text in texts(value)]
    pairs: dict[str, object] = {name: found if sign else None for name, sign, found in listed}
    pairs |= mapping(value)
    return {name: environment.get(name) if found is None else str(found) for name, found in pairs.items()}


def _text(form: Mapping[str, object], name: str) -> str:
    value = form.get(name)
    return value if isinstance(value, str) else ""


def _value(service: Mapping[str, object], name: str) -> object:
    """A property, also where it is said to take the place of an earlier one."""
    value = service.get(name)
    return mapping(value).get("!override", value)


def _tagged(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> object:
    if isinstance(node, yaml.MappingNode):
        return {f"!{suffix}": loader.construct_mapping(node, deep=True)}
    if isinstance(node, yaml.SequenceNode):
        return {f"!{suffix}": loader.construct_sequence(node, deep=True)}
    return {f"!{suffix}": loader.construct_scalar(cast("yaml.ScalarNode", node))}


_Loader.add_multi_constructor("!", _tagged)  # pyright: ignore[reportUnknownMemberType] - the stubs leave it open
