"""What the resource about chats answers: public ids and labels, never handles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Self

from pydantic import Field

from ws_mcp.core.chats import ListedChat
from ws_mcp.core.errors import one_line
from ws_mcp.core.ids import ChatId
from ws_mcp.edge.views import View, moment

LABEL_CHARACTERS = 120


class ChatView(View):
    """A chat of the caller."""

    id: Annotated[str, Field(description="Its public name, which opens nothing; `ws-mcp chats` has the same")]
    label: Annotated[str, Field(description="What selected it, or the first workspace that it was made for")]
    is_current: Annotated[bool, Field(description="A call that names no chat means this one")] = False
    is_default: Annotated[bool, Field(description="A project or host selects it, always the same")] = False
    created_at: Annotated[str, Field(description="When it was first used, UTC")]
    used_at: Annotated[str, Field(description="When it was last used, UTC, exact to a day")]
    workspaces: Annotated[int, Field(description="How many it has")] = 0
    running: Annotated[int | None, Field(description="Processes that run in them; none: nobody could be asked")] = None


class ChatsView(View):
    """The chats of the caller."""

    chats: Annotated[tuple[ChatView, ...], Field(description="Newest first")]
    total: Annotated[int, Field(description="How many there are, also those that are not listed")]
    forgotten_after_days: Annotated[int, Field(description="A chat that owns nothing and is not used for so long goes")]

    @classmethod
    def of(
        cls,
        chats: Sequence[ListedChat],
        current: ChatId | None,
        *,
        workspaces: Mapping[ChatId, int],
        running: Mapping[ChatId, int],
        total: int,
        days: int,
    ) -> Self:
        views = [
            ChatView(
                id=chat.id,
                label=one_line(chat.label, LABEL_CHARACTERS),
                is_current=chat.id == current,
                is_default=chat.is_default,
                created_at=moment(chat.created_at),
                used_at=moment(chat.used_at),
                workspaces=workspaces.get(chat.id, 0),
                running=running.get(chat.id),
            )
            for chat in chats
        ]
        return cls(chats=tuple(views), total=total, forgotten_after_days=days)
