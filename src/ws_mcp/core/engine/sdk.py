"""The part of the Docker SDK that the door uses, with types, and the two calls that it makes without a deadline."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from ws_mcp.core.engine.faults import Call
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

    @property
    def api_version(self) -> str: ...
    def version(self, api_version: bool = True) -> object: ...
    def info(self) -> object: ...
    def containers(self, *, all: bool, filters: Mapping[str, list[str]]) -> object: ...  # noqa: A002 - as above
    def inspect_container(self, container: str) -> object: ...
    def create_container_from_config(self, config: Mapping[str, object], name: str) -> object: ...
    def start(self, container: str) -> None: ...
    def stop(self, container: str, timeout: int) -> None: ...
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
        self, name: str, *, driver: str, check_duplicate: bool, internal: bool, labels: dict[str, str]
    ) -> object: ...
    def remove_network(self, net_id: str) -> None: ...
    def networks(self, *, filters: Mapping[str, list[str]]) -> object: ...
    def mount(self, prefix: str, adapter: BaseAdapter) -> None: ...
    def close(self) -> None: ...
    def head(self, url: str, *, params: Mapping[str, str], timeout: float) -> Response: ...
    def get(
        self, url: str, *, params: Mapping[str, str], headers: Mapping[str, str], stream: bool, timeout: float
    ) -> Response: ...
    def post(
        self, url: str, *, params: Mapping[str, str], headers: Mapping[str, str], data: bytes, timeout: float
    ) -> Response: ...


def agreed_api(newest: str, oldest: str) -> str:
    """The version of the API to speak with an engine that speaks `oldest` to `newest`.

    Raises:
        ValueError: the engine does not say.
    """

    def number(version: str) -> tuple[int, ...]:
        return tuple(int(part) for part in version.split("."))

    agreed = min(newest, NEWEST_API, key=number)
    return max(agreed, oldest, key=number) if oldest else agreed


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


def filters_of(labels: Mapping[str, str]) -> dict[str, list[str]]:
    """The filter for objects that carry all labels."""
    return {"label": [f"{name}={value}" if value else name for name, value in labels.items()]}


def carries(labels: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    """Whether all `wanted` labels are there; an empty value matches any. Podman's own filter takes any of them."""
    return all(name in labels and value in ("", labels[name]) for name, value in wanted.items())
