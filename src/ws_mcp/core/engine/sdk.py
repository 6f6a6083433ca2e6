"""The part of the Docker SDK that the door uses, with types, and the calls that it would make without a deadline."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

from ws_mcp.core.engine.connection import Target
from ws_mcp.core.engine.faults import Call
from ws_mcp.core.engine.frames import FrameDecoder
from ws_mcp.core.engine.record import Record
from ws_mcp.core.errors import EngineError, one_line

if TYPE_CHECKING:
    from requests import Response
    from requests.adapters import BaseAdapter

OLDEST_API = "1.24"  # of the one request before the version is known
NEWEST_API = "1.44"  # what the door was written for; an engine that has given it up is asked for its oldest
CHUNK_BYTES = 65536


class Sdk(Protocol):
    """`docker.APIClient`: its own stubs leave out half of the types."""

    base_url: str
    timeout: float
    trust_env: bool
    hooks: dict[str, list[Callable[..., None]]]

    @property
    def api_version(self) -> str: ...
    def version(self, api_version: bool = True) -> object: ...
    def info(self) -> object: ...
    def containers(self, *, all: bool, filters: Mapping[str, list[str]]) -> object: ...  # noqa: A002 - as above
    def inspect_container(self, container: str) -> object: ...
    def create_container_from_config(self, config: Mapping[str, object], name: str, platform: str | None) -> object: ...
    def start(self, container: str) -> None: ...
    def stop(self, container: str, timeout: int) -> None: ...
    def pause(self, container: str) -> None: ...
    def unpause(self, container: str) -> None: ...
    def rename(self, container: str, name: str) -> None: ...
    def remove_container(self, container: str, *, v: bool, force: bool) -> None: ...
    def put_archive(self, container: str, path: str, data: bytes) -> bool: ...
    def inspect_image(self, image: str) -> object: ...
    def images(self) -> object: ...
    def tag(self, image: str, repository: str, tag: str) -> bool: ...
    def remove_image(self, image: str) -> object: ...
    def create_volume(self, name: str, *, labels: dict[str, str]) -> object: ...
    def inspect_volume(self, name: str) -> object: ...
    def volumes(self, *, filters: Mapping[str, list[str]]) -> object: ...
    def remove_volume(self, name: str) -> None: ...
    def create_network(
        self,
        name: str,
        *,
        driver: str,
        check_duplicate: bool,
        internal: bool,
        labels: dict[str, str],
        ipam: Mapping[str, object] | None,
    ) -> object: ...
    def inspect_network(self, net_id: str) -> object: ...
    def remove_network(self, net_id: str) -> None: ...
    def networks(self, *, filters: Mapping[str, list[str]]) -> object: ...
    def mount(self, prefix: str, adapter: BaseAdapter) -> None: ...
    def close(self) -> None: ...
    def head(self, url: str, *, params: Mapping[str, str], timeout: float) -> Response: ...
    def get(
        self, url: str, *, params: Mapping[str, str], headers: Mapping[str, str], stream: bool, timeout: float
    ) -> Response: ...
    def request(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, str],
        json: Mapping[str, object] | None,
        headers: Mapping[str, str],
        timeout: float,
    ) -> Response: ...
    def post(
        self, url: str, *, params: Mapping[str, str], headers: Mapping[str, str], data: bytes, timeout: float
    ) -> Response: ...


class Logins(Protocol):
    """`docker.auth`: who may read what in a registry, as `docker login` keeps it."""

    def resolve_repository_name(self, repo_name: str) -> tuple[str, str]: ...
    def load_config(self, *, config_dict: dict[str, object]) -> object: ...
    def resolve_authconfig(self, authconfig: object, registry: str) -> object: ...
    def encode_header(self, auth: object) -> bytes: ...


def number_of(version: str) -> tuple[int, ...]:
    """A version of the API, to be compared.

    Raises:
        ValueError: it is none.
    """
    return tuple(int(part) for part in version.split("."))


def can_choose_platform(target: Target) -> bool:
    """Whether the engine itself makes a container for a platform, and says when the image is for another."""
    return not target.is_podman and number_of(target.api_version) >= (1, 41)


def agreed_api(newest: str, oldest: str) -> str:
    """The version of the API to speak with an engine that speaks `oldest` to `newest`.

    Raises:
        ValueError: the engine does not say.
    """
    agreed = min(newest, NEWEST_API, key=number_of)
    return max(agreed, oldest, key=number_of) if oldest else agreed


def text_of(response: Response) -> str:
    """What the engine says in an answer that is an error."""
    try:
        return Record(response.json()).text("message")
    except ValueError:
        return response.text[:2000]


def archive_url(sdk: Sdk, container: str) -> str:
    """Where files go into a container and come out of it."""
    return _url(sdk, f"containers/{container}/archive")


def _url(sdk: Sdk, path: str) -> str:
    return f"{sdk.base_url}/v{sdk.api_version}/{path}"


def archive(sdk: Sdk, container: str, path: str, limit_bytes: int) -> bytes | None:
    """See `Engine.get_archive`; None when it is larger."""
    # Not the SDK's own: it switches the deadline off. "identity", since the engine would compress for us to unpack.
    response = sdk.get(
        archive_url(sdk, container),
        params={"path": path},
        headers={"Accept-Encoding": "identity"},
        stream=True,
        timeout=sdk.timeout,
    )
    with response:
        if not response.ok:
            response.content  # noqa: B018 - read before the connection is closed
            response.raise_for_status()
        tar = bytearray()
        for chunk in response.iter_content(CHUNK_BYTES):
            tar += chunk
            if len(tar) > limit_bytes:
                return None
        return bytes(tar)


def container_log(sdk: Sdk, container: str, lines: int, limit_bytes: int) -> bytes:
    """See `Engine.logs`."""
    # Not the SDK's own: it asks for the whole container first, and keeps all of a log in memory.
    response = sdk.get(
        _url(sdk, f"containers/{container}/logs"),
        params={"stdout": "1", "stderr": "1", "tail": str(lines)},
        headers={"Accept-Encoding": "identity"},
        stream=True,
        timeout=sdk.timeout,
    )
    with response:
        if not response.ok:
            response.content  # noqa: B018 - as above
            response.raise_for_status()
        frames, tail = FrameDecoder(joins=True), b""
        for chunk in response.iter_content(CHUNK_BYTES):
            tail = (tail + frames.feed(chunk)[0])[-limit_bytes:]
        return tail


def volume_usage(sdk: Sdk) -> object:
    """See `Engine.volume_usage`."""
    # Engines before API 1.42 measure everything, whatever they are asked for.
    response = sdk.get(_url(sdk, "system/df"), params={"type": "volume"}, headers={}, stream=False, timeout=sdk.timeout)
    response.raise_for_status()
    return response.json()


def import_image(sdk: Sdk, tar: bytes, repository: str, tag: str, *, is_podman: bool) -> None:
    """See `Engine.import_image`."""
    # Not the SDK's own: it has no deadline.
    response = sdk.post(
        _url(sdk, "images/create"),
        params={"fromSrc": "-", "repo": repository, "tag": tag},
        data=tar,
        headers={"Content-Type": "application/x-tar"},
        timeout=sdk.timeout,
    )
    response.raise_for_status()
    says = [Record(json.loads(line)) for line in response.text.splitlines() if line.strip()]
    for error in filter(None, (said.text("error") for said in says)):
        raise EngineError(f"could not {Call.IMPORT} {repository}:{tag}: {one_line(error)}")
    if is_podman and says:
        # Podman leaves the image without the tag.
        sdk.tag(says[-1].text("status"), repository, tag)


def asked_of_swarm(
    sdk: Sdk, method: str, path: str, params: Mapping[str, str], body: Mapping[str, object] | None
) -> object:
    """One call of Swarm's part of the API, its answer read."""
    # Not the SDK's own: it builds the bodies from classes of its own, and has no deadline for some.
    url = _url(sdk, path)
    response = sdk.request(method, url, params=params, json=body, headers={}, timeout=sdk.timeout)
    response.raise_for_status()
    return response.json() if response.content else None


def filters_of(labels: Mapping[str, str]) -> dict[str, list[str]]:
    """The filter for objects that carry all labels."""
    return {"label": [f"{name}={value}" if value else name for name, value in labels.items()]}


def carries(labels: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    """Whether all `wanted` labels are there; an empty value matches any. Podman's own filter takes any of them."""
    return all(name in labels and value in ("", labels[name]) for name, value in wanted.items())
