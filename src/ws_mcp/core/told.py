"""What an execd's events mean for who watches a chat (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from ws_mcp.core.changes import Change, Subject
from ws_mcp.core.execd.protocol import Event
from ws_mcp.core.ids import ChatId, ProcessId


def change_of(event: Event) -> Change | None:
    """What an event of an execd means for who watches a chat."""
    process = event.header.get("process")
    told = cast("Mapping[str, object]", process) if isinstance(process, dict) else event.header
    subject = Subject.OUTPUT if event.kind == "grew" else Subject.PROCESSES
    name, chat = told.get("process"), told.get("chat")
    if not isinstance(name, str) or not isinstance(chat, str):
        return None
    return Change(subject=subject, chat=ChatId(chat), process=ProcessId(name))
