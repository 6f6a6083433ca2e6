"""The resource addresses of this server, both ways (pure): `ws://containers`, `ws://chats`, `ws://chats/{chat}/...`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote

CONTAINERS = "ws://containers"
DEVCONTAINERS = "ws://devcontainers"
CHATS = "ws://chats"
CHAT_CONTAINERS = "ws://chats/{chat}/containers"
PROCESSES = "ws://chats/{chat}/processes"
OUTPUT = "ws://chats/{chat}/processes/{process}/output{?offset,tail,stream,raw}"

_ADDRESS = re.compile(
    r"ws://(?:containers|(?P<dev>devcontainers)|chats/(?P<chat>[^/?#]+)/(?:containers|(?P<list>processes)(?:/(?P<process>[^/?#]+)/output)?))"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """What an address names. An empty `chat` is the caller's default one; `topic`: what changes."""

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
    topic = "output" if found["process"] else found["list"] or found["dev"] or "containers"
    return Address(topic=topic, chat=unquote(found["chat"] or ""), process=unquote(found["process"] or ""))
