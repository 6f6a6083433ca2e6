"""The Docker SDK as the engine door opens and asks it: the only importer of `docker`.

It blocks, so all of this runs in worker threads, and it is imported there with the first call: that costs 150 ms and
13 MB, which a server that nobody asks for a container need not pay.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar, cast

from ws_mcp.core.engine import answers
from ws_mcp.core.engine.connection import Target
from ws_mcp.core.engine.context import Endpoint, docker_config
from ws_mcp.core.engine.deadlines import Deadlines
from ws_mcp.core.engine.faults import Call, check_node, error_of, unreachable
from ws_mcp.core.engine.record import Record
from ws_mcp.core.engine.sdk import OLDEST_API, Logins, Sdk, agreed_api, text_of
from ws_mcp.core.errors import EngineError, one_line

if TYPE_CHECKING:
    from requests import Response

log = logging.getLogger(__name__)

T = TypeVar("T")

PART = 206  # RFC 9110, section 15.3.7: a part of what there is; nobody asks an engine for one
CONNECTIONS = 8  # kept open by each client; as many as there are threads for looks, or for acts


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """What was agreed upon with the engine; the clients differ in their deadline."""

    target: Target
    version: Record
    looks: Sdk
    acts: Sdk

    def close(self) -> None:
        self.looks.close()
        self.acts.close()


def connect(endpoint: Endpoint, deadlines: Deadlines, swarm_node: str) -> Link:
    """Agree with the engine, which has to be `swarm_node` where that is said.

    Raises:
        EngineError
    """
    with _translated(Call.INFO, "", endpoint):
        first = _open_sdk(endpoint, OLDEST_API, deadlines.look_s)
        try:
            version = Record(first.version(api_version=False))
            if swarm_node:
                check_node(endpoint, swarm_node, Record(first.info()).record("Swarm").text("NodeID"))
        finally:
            first.close()
        api = agreed_api(version.text("ApiVersion"), version.text("MinAPIVersion"))
        target = Target(
            endpoint=endpoint,
            api_version=api,
            is_podman=answers.says_podman(version),
            handshake_s=deadlines.look_s,
        )
        return Link(
            target=target,
            version=version,
            looks=_open_sdk(endpoint, api, deadlines.look_s),
            acts=_open_sdk(endpoint, api, deadlines.act_s),
        )


def _open_sdk(endpoint: Endpoint, api: str, deadline_s: float) -> Sdk:
    from docker import APIClient  # noqa: PLC0415 - see the top
    from docker.tls import TLSConfig  # noqa: PLC0415 - see the top

    is_socket = endpoint.kind in ("unix", "ssh")
    address = "unix:///unused" if is_socket else str(endpoint)
    files = endpoint.tls
    tls: TLSConfig | bool = False
    if files is not None:
        pair = (files.certificate, files.key) if files.certificate and files.key else None
        tls = TLSConfig(client_cert=pair, ca_cert=files.ca or None, verify=files.verifies)
    sdk = cast("Sdk", APIClient(base_url=address, version=api, tls=tls, max_pool_size=CONNECTIONS))
    sdk.timeout = deadline_s
    sdk.hooks["response"].append(_whole)
    # No proxy and no .netrc of the environment is meant for the engine.
    sdk.trust_env = False
    if is_socket:
        from ws_mcp.core.engine.adapter import SocketAdapter  # noqa: PLC0415 - it imports what the SDK imports

        sdk.mount("http+docker://", SocketAdapter(endpoint, deadline_s, CONNECTIONS))
    return sdk


def _whole(response: Response, **_: object) -> None:
    """Raise for what is no whole answer. The SDK's own way breaks at an error whose JSON is no object."""
    from requests import HTTPError  # noqa: PLC0415 - see the top

    if response.status_code == PART:
        raise HTTPError("a part of an answer", response=response)
    response.raise_for_status()


def login_of(environment: Mapping[str, str], image: str) -> str:
    """See `calls.EngineCalls._login`.

    Raises:
        EngineError
    """
    from docker import auth as module  # noqa: PLC0415 - see the top
    from docker.errors import DockerException  # noqa: PLC0415 - see the top

    auth, said = cast("Logins", module), docker_config(environment).members()
    if not said:
        # The SDK would look for a file of its own.
        return ""
    try:
        registry, _ = auth.resolve_repository_name(image)
        config = auth.load_config(config_dict=said)
        login = auth.resolve_authconfig(config, registry)
    except DockerException as error:
        raise EngineError(f"the login for the registry of {image!r} cannot be read: {one_line(str(error))}") from error
    return auth.encode_header(login).decode() if login else ""


def storage_bytes_of(endpoint: Endpoint, directory: str) -> int:
    """The size of the disk that an engine of this machine keeps its containers on."""
    with suppress(OSError):  # it runs in a machine of its own behind that socket
        return shutil.disk_usage(directory).total if endpoint.kind == "unix" and directory else 0
    return 0


def asked(call: Call, subject: str, endpoint: Endpoint, sdk: Sdk, ask: Callable[[Sdk], T], *, tries: int) -> T:
    """One call, its failures translated; a look may be tried again.

    Raises:
        EngineError
    """
    import requests  # noqa: PLC0415 - see the top

    with _translated(call, subject, endpoint):
        for _ in range(tries - 1):
            try:
                return ask(sdk)
            except requests.ConnectionError:
                # A kept connection that the engine closed meanwhile, when it restarted.
                log.debug("asking the engine again after a lost connection")
        return ask(sdk)


@contextmanager
def _translated(call: Call, subject: str, endpoint: Endpoint) -> Generator[None]:
    import requests  # noqa: PLC0415 - see the top
    from docker.errors import DockerException  # noqa: PLC0415 - see the top

    try:
        yield
    except requests.RequestException as error:
        if error.response is not None:
            raise error_of(call, subject, error.response.status_code, text_of(error.response)) from error
        raise unreachable(str(endpoint), endpoint.origin, error) from error
    except (DockerException, OSError) as error:
        raise unreachable(str(endpoint), endpoint.origin, error) from error
    except (ValueError, LookupError) as error:
        raise EngineError(f"could not {call} {subject}: the engine's answer cannot be read") from error
