"""The resource addresses of this server, both ways (pure): `ws://containers`, `ws://chats`, `ws://chats/{chat}/...`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote

CONTAINERS = "ws://containers"
DEVCONTAINERS = "ws://devcontainers"
CHATS = "ws://chats"
DEVCONTAINER = "ws://devcontainers/{name}"
BUILD_LOG = "ws://devcontainers/{name}/log"
CHAT_CONTAINERS = "ws://chats/{chat}/containers"
WORKSPACE = "ws://chats/{chat}/containers/{workspace}"
PROCESSES = "ws://chats/{chat}/processes"
PROCESS = "ws://chats/{chat}/processes/{process}"
OUTPUT = "ws://chats/{chat}/processes/{process}/output{?offset,tail,stream,raw}"
LOGS = "logs"  # of all dev containers, as a topic

_ADDRESS = re.compile(
    r"ws://(?:containers|(?P<dev>devcontainers)(?:/[^/?#]+(?P<log>/log)?)?|chats/(?P<chat>[^/?#]+)/"
    r"(?:containers(?:/[^/?#]+)?|(?P<list>processes)(?:/(?P<process>[^/?#]+)(?P<output>/output)?)?))"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """What an address names. An empty `chat` is the caller's default one; `topic`: what changes.

    A thing changes with the list that has it. `process`: whose output it is.
    """

    topic: str
    chat: str = ""
    process: str = ""


def processes_uri(chat: str) -> str:
    """Where the process list of a chat is."""
    return f"ws://chats/{quote(chat, safe='')}/processes"


def address_of(uri: str) -> Address | None:
    """What a subscribable address names, else None. Addresses with a query are read, not subscribed to."""
    found = _ADDRESS.fullmatch(uri)
    if found is None:
        return None
    chat = unquote(found["chat"] or "")
    if found["output"]:
        return Address(topic="output", chat=chat, process=unquote(found["process"]))
    return Address(topic=LOGS if found["log"] else found["dev"] or found["list"] or "containers", chat=chat)


def containers_uri(chat: str) -> str:
    """Where the workspaces of a chat are."""
    return f"ws://chats/{quote(chat, safe='')}/containers"


def output_uri(chat: str, process: str) -> str:
    """Where the output of a process is."""
    return f"{processes_uri(chat)}/{quote(process, safe='')}/output"


def log_uri(devcontainer: str) -> str:
    """Where the build log of a dev container is."""
    return f"{DEVCONTAINERS}/{quote(devcontainer, safe='')}/log"
