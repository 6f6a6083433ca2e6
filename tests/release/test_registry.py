"""server.json is what the registry takes: strict models of its schema of 2025-12-11, and the official registry's rules.

Source: modelcontextprotocol/registry, docs/reference/server-json (the schema, and official-registry-requirements.md).
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Annotated, Literal, Self

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from ws_mcp.settings import Settings

ROOT = Path(__file__).parents[2]
SERVER = ROOT / "release" / "server.json"
IMAGES = re.compile(r"(docker\.io|ghcr\.io)/[a-zA-Z0-9_-]+/ws-mcp:[0-9][0-9a-z.]*")
Web = Annotated[str, Field(pattern=r"^https?://[^\s]+$")]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", alias_generator=to_camel, frozen=True)


class Input(Strict):
    description: str = ""
    is_required: bool = False
    is_secret: bool = False
    format: Literal["string", "number", "boolean", "filepath"] = "string"
    value: str | None = None
    default: str | None = None
    placeholder: str | None = None
    choices: tuple[str, ...] = ()


class Variable(Input):
    variables: dict[str, Input] = {}


class Named(Variable):
    type: Literal["named"]
    name: str
    is_repeated: bool = False


class Fixed(Variable):
    type: Literal["positional"]
    value_hint: str = ""
    is_repeated: bool = False

    @model_validator(mode="after")
    def _is_said(self) -> Self:
        assert self.value or self.value_hint
        return self


class KeyValue(Variable):
    name: str


class Stdio(Strict):
    type: Literal["stdio"]


class StreamableHttp(Strict):
    type: Literal["streamable-http"]
    url: Web
    headers: tuple[KeyValue, ...] = ()


Argument = Annotated[Named | Fixed, Field(discriminator="type")]


class Package(Strict):
    registry_type: Literal["npm", "pypi", "oci", "nuget", "mcpb"]
    identifier: str
    version: Annotated[str, Field(pattern=r"^[0-9]+\.[0-9]+\.[0-9]+[0-9a-z.-]*$")] | None = None
    runtime_hint: str = ""
    runtime_arguments: tuple[Argument, ...] = ()
    package_arguments: tuple[Argument, ...] = ()
    environment_variables: tuple[KeyValue, ...] = ()
    transport: Annotated[Stdio | StreamableHttp, Field(discriminator="type")]


class Repository(Strict):
    url: Web
    source: str


class Server(Strict):
    schema_: Annotated[
        Literal["https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json"], Field(alias="$schema")
    ]
    name: Annotated[str, Field(min_length=3, max_length=200, pattern=r"^[a-zA-Z0-9.-]+/[a-zA-Z0-9._-]+$")]
    title: Annotated[str, Field(min_length=1, max_length=100)]
    description: Annotated[str, Field(min_length=1, max_length=100)]
    version: Annotated[str, Field(max_length=255)]
    repository: Repository
    packages: tuple[Package, ...]


@pytest.fixture
def server() -> Server:
    return Server.model_validate_json(SERVER.read_text())


def test_the_registry_takes_it(server: Server) -> None:
    assert [package.registry_type for package in server.packages] == ["pypi", "oci"]
    for package in server.packages:
        assert package.runtime_hint or not package.runtime_arguments


def test_an_image_is_named_with_its_version_and_without_a_version_beside(server: Server) -> None:
    (image,) = (package for package in server.packages if package.registry_type == "oci")
    assert image.version is None
    assert IMAGES.fullmatch(image.identifier)


def test_what_it_says_to_start_is_what_hosts_start(server: Server) -> None:
    (package,) = (package for package in server.packages if package.registry_type == "pypi")
    words = [argument.value or "" for argument in package.package_arguments if isinstance(argument, Fixed)]
    assert (package.runtime_hint, package.identifier, *words) == ("uvx", "ws-mcp", "stdio")
    flags = [argument.name for argument in package.package_arguments if isinstance(argument, Named)]
    assert {flag.removeprefix("--") for flag in flags} <= set(Settings.model_fields)
    variables = {variable.name for variable in package.environment_variables} - {"DOCKER_HOST"}
    assert variables <= {f"WS_MCP_{name.upper()}" for name in Settings.model_fields}


def test_the_owner_is_the_same_everywhere(server: Server) -> None:
    repository = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]["Repository"]
    found = re.fullmatch(r"https://github\.com/([\w-]+)/ws-mcp", repository)
    assert found is not None
    name = f"io.github.{found[1]}/ws-mcp"
    assert (server.name, server.repository.url) == (name, repository)
    assert f"<!-- mcp-name: {name} -->" in (ROOT / "README.md").read_text()
    assert f'LABEL io.modelcontextprotocol.server.name="{name}"' in (ROOT / "release" / "Containerfile").read_text()
    image = server.packages[1].identifier
    assert image.split("/")[1] == found[1].lower() or found[1] == "OWNER"
    assert f'"url": "{repository}"' in (ROOT / "release" / "mcpb" / "manifest.json").read_text()


@pytest.mark.parametrize(
    "change",
    [
        ('"name": "io.github', '"name": "io/github'),
        ('"version": "0', '"version": "^0'),
        ('"title": "ws-mcp"', f'"title": "{"x" * 101}"'),
        ('"registryType"', '"registry_name"'),
        ('"type": "stdio"', '"type": "sse"'),
    ],
)
def test_what_the_registry_refuses_these_models_refuse(change: tuple[str, str]) -> None:
    text = SERVER.read_text()
    assert change[0] in text
    with pytest.raises(ValidationError):
        Server.model_validate_json(text.replace(*change))
