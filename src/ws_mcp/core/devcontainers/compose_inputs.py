"""The inputs that compose files bring in: the files themselves, env files, and what their services build. Blocking."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping, Sequence

from ws_mcp.core.devcontainers.canonical import canonical, digest_of
from ws_mcp.core.devcontainers.collected import GONE, OUTSIDE, Collected, Recipe, add_build
from ws_mcp.core.devcontainers.composefile import (
    ComposeFile,
    arguments_of,
    build_form,
    compose_of,
    env_files,
    extended,
    merged_services,
)
from ws_mcp.core.devcontainers.definition import path_of, texts
from ws_mcp.core.devcontainers.inputs import OutsideError
from ws_mcp.core.devcontainers.port import Definition
from ws_mcp.core.devcontainers.variables import substituted, variables_of, without_comments

DEFAULTS = ("docker-compose.yml", "docker-compose.override.yml")  # where "dockerComposeFile" is an empty list
ENV = ".env"
_NO_DIRECTORY = ("docker-image://", "service:", "target:")  # of additional contexts
FILES = 100  # that include and extend each other
_REMOTE = re.compile(r"[a-z][a-z0-9+.-]*://|git@|github\.com/", re.IGNORECASE)

_Services = Mapping[str, Mapping[str, object]]
_Environment = Mapping[str, str]


def add_compose(definition: Definition, found: Collected) -> None:
    """All that the compose files of a definition name."""
    project = _Project(found, str(definition.properties.get("service")))
    folder = found.key.folder
    named = texts(definition.properties.get("dockerComposeFile"))
    paths = [path_of(definition, name) for name in named]
    if None in paths:
        found.skip("a compose file", "its path depends on who asks")
    files = [path for path in paths if path]
    if not named:
        files = _default_files(project, folder)
    if files:
        project.add(files, posixpath.dirname(files[0]), [ENV])


def _default_files(project: _Project, folder: str) -> list[str]:
    """Source: devcontainers/cli, getDockerComposeFilePaths; the variables of the server do not count."""
    named = project.variables(posixpath.join(folder, ENV)).get("COMPOSE_FILE")
    if named:
        return [posixpath.normpath(posixpath.join(folder, name)) for name in named.split(":")]
    first, second = (posixpath.join(folder, name) for name in DEFAULTS)
    return [first, second] if project.exists(second) else [first]


class _Project:
    """Walks through compose files; each is read once for what it is named for."""

    def __init__(self, found: Collected, service: str) -> None:
        self._found = found
        self._service = service
        self._seen: set[tuple[str, str]] = set()

    def add(self, files: Sequence[str], directory: str, env: Sequence[str]) -> None:
        """The files of one project; `directory` is what paths in them are relative to."""
        if len(self._seen) > FILES:
            self._found.skip(self._found.shown(files[0]), f"more than {FILES} compose files")
            return
        read = [file for path in files if (file := self._file(path))]
        environment: dict[str, str] = {}
        for name in env:
            environment |= self.variables(posixpath.join(directory, name))
        services = merged_services([file.services for file in read])
        self._add_services(services, directory, environment)
        self._add_env(read, services, directory, env, environment)
        for include in (include for file in read for include in file.includes):
            paths = self._paths(include.files, directory, environment)
            own = self._path(include.directory, directory, environment) if include.directory else None
            if paths:
                self.add(paths, own or posixpath.dirname(paths[0]), include.env_files or [ENV])

    def variables(self, path: str) -> Mapping[str, str]:
        """What an env file sets."""
        try:
            return self._found.inputs.made(path, self._found.look, _variables) or {}
        except OutsideError:
            self._found.skip(self._found.shown(path), OUTSIDE)
            return {}

    def exists(self, path: str) -> bool:
        """Whether there is a file that may be read."""
        with self._found.reading(self._found.shown(path)):
            return self._found.inputs.made(path, self._found.look, _text) is not None
        return False

    def _file(self, path: str, service: str = "") -> ComposeFile | None:
        """A file, counted whole or for one service that another one extends; None: it is not there, or was read."""
        if (path, service) in self._seen:
            return None
        self._seen.add((path, service))
        name = self._found.shown(path)
        with self._found.reading(name):
            file = self._found.inputs.made(path, self._found.look, compose_of)
            counted = file.only(service) if file and service else file
            self._found.add(f"compose/{name}", digest_of(counted.counted) if counted else GONE)
            return counted
        return None

    def _add_services(self, services: _Services, directory: str, environment: _Environment) -> None:
        for name, service in services.items():
            for path in self._paths(env_files(service), directory, environment):
                self._add_env_file(path)
            build = build_form(service)
            if build is not None:
                self._add_build(name, build, directory, environment)
            elif name == self._service and isinstance(service.get("image"), str):
                image = substituted(str(service["image"]), environment)
                self._found.images += [image] if image else []
            file, base = extended(service)
            path = self._path(file, directory, environment) if file else None
            extending = self._file(path, base) if path else None
            if path and extending and len(self._seen) <= FILES:
                # Its paths are relative to where it is.
                self._add_services(extending.services, posixpath.dirname(path), environment)

    def _add_build(self, name: str, build: Mapping[str, object], directory: str, environment: _Environment) -> None:
        context = str(build.get("context", "."))
        if _REMOTE.match(context):
            self._found.skip(f"the build context of service {name}", "it is remote")
            return
        path = self._path(context, directory, environment)
        dockerfile = self._path(str(build.get("dockerfile", "Dockerfile")), path or directory, environment)
        if path and dockerfile:
            recipe = Recipe(
                dockerfile=dockerfile,
                context=path,
                args=_interpolated(arguments_of(build.get("args"), environment), environment),
                target=substituted(str(build.get("target") or ""), environment) or "",
                inline=str(build.get("dockerfile_inline") or ""),
                is_base=name == self._service,
                contexts=self._contexts(build, directory, environment),
            )
            add_build(recipe, self._found)

    def _contexts(self, build: Mapping[str, object], directory: str, environment: _Environment) -> dict[str, str]:
        """Those that are directories here; an image or another service is told by what names it."""
        found: dict[str, str] = {}
        for name, given in arguments_of(build.get("additional_contexts"), {}).items():
            if given and not given.startswith(_NO_DIRECTORY) and (path := self._path(given, directory, environment)):
                found[name.lower()] = path
        return found

    def _add_env_file(self, path: str) -> None:
        name = self._found.shown(path)
        with self._found.reading(name):
            text = self._found.inputs.made(path, self._found.look, _plain_text)
            self._found.add(f"env/{name}", GONE if text is None else digest_of(text))

    def _add_env(
        self,
        files: Sequence[ComposeFile],
        services: _Services,
        directory: str,
        env: Sequence[str],
        environment: _Environment,
    ) -> None:
        """Of the variables that fill in compose files only those that are used: an .env often serves a program, too."""
        used = "\n".join([file.text for file in files])
        for service in services.values():
            for path in self._paths(env_files(service), directory, environment):
                with self._found.reading(self._found.shown(path)):
                    used += self._found.inputs.made(path, self._found.look, _text) or ""
        for name in env:
            path = posixpath.join(directory, name)
            counted = {
                variable: value
                for variable, value in self.variables(path).items()
                if variable in used or variable.startswith("COMPOSE_")
            }
            if counted:
                self._found.add(f"env/{self._found.shown(path)}", digest_of(canonical(counted)))

    def _paths(self, names: Sequence[str], directory: str, environment: _Environment) -> list[str]:
        return [path for name in names if (path := self._path(name, directory, environment))]

    def _path(self, name: str, directory: str, environment: _Environment) -> str | None:
        path = substituted(name, environment)
        if path is None or _REMOTE.match(path):
            self._found.skip(name, "its path depends on who asks" if path is None else "it is remote")
            return None
        return posixpath.normpath(posixpath.join(directory, path))


def _interpolated(args: Mapping[str, str | None], environment: _Environment) -> dict[str, str | None]:
    return {name: None if value is None else substituted(value, environment) for name, value in args.items()}


def _text(text: str, _file: str) -> str:
    return text


def _plain_text(text: str, _file: str) -> str:
    return without_comments(text)


def _variables(text: str, _file: str) -> Mapping[str, str]:
    return variables_of(text)
