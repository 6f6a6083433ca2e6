"""`ws-mcp chats`: which chats there are, and closing one, for the person at this machine."""

from __future__ import annotations

from collections import Counter
from datetime import datetime

from ws_mcp.console import Cell, Console, Style, age_text, console, home_path
from ws_mcp.core.chats import ListedChat
from ws_mcp.core.clock import utc_now
from ws_mcp.core.closing import Closed, Closing
from ws_mcp.core.errors import EngineError, InvalidArgumentError, one_line
from ws_mcp.core.ids import PrincipalId, Scope
from ws_mcp.core.runtime import Core
from ws_mcp.core.stores.damage import has_state
from ws_mcp.doors import choices_of, open_core_of, open_doors
from ws_mcp.ps_processes import CHAT_CHARACTERS
from ws_mcp.settings import Settings

HEADERS = ("CHAT", "USER", "USED", "WORKSPACES", "WHAT SELECTS IT")
MIN_ID = 4  # characters that say which chat is meant
_NO_STATE = "No chat was ever made from this state directory ({state}); another one: ws-mcp chats --state DIR."

Chats = dict[Scope, ListedChat]


async def list_chats(settings: Settings) -> int:
    """Print the chats, the one used last first; the exit code is 1 if their workspaces could not be counted."""
    shown = console()
    if _is_new(settings, shown):
        return 0
    async with open_doors(settings) as doors, open_core_of(choices_of(settings), doors) as core:
        chats = await _chats(core)
        try:
            owners = [scope for scope, _ in await core.all_workspaces()]
        except EngineError as error:
            shown.line(f"container workspaces are unknown now, not gone: {error}", Style.YELLOW)
            owners = None
    show_chats(shown, chats, Counter(owners) if owners is not None else None, utc_now())
    return 1 if owners is None else 0


def show_chats(shown: Console, chats: Chats, workspaces: Counter[Scope] | None, now: datetime) -> None:
    """The table of chats."""
    if not chats:
        shown.line("There is no chat.")
        return
    rows = [
        (
            Cell(text=chat.id[:CHAT_CHARACTERS]),
            Cell(text=one_line(scope.principal, 40)),
            Cell(text=f"{age_text((now - chat.used_at).total_seconds())} ago"),
            Cell(text=str(workspaces[scope]) if workspaces is not None else "?"),
            Cell(text=home_path(one_line(chat.label, 200).removeprefix("project:")), style=Style.DIM),
        )
        for scope, chat in sorted(chats.items(), key=lambda each: each[1].used_at, reverse=True)
    ]
    shown.table(HEADERS, rows, shrink=len(HEADERS) - 1)


async def close_chat(settings: Settings, chat: str, how: Closing) -> int:
    """Close the chat whose id begins so; the exit code is 1 if part of it could not be done.

    Raises:
        InvalidArgumentError: no chat is meant, or several are.
        EngineError: what the chat has is not known now; nothing was done.
    """
    shown = console()
    if _is_new(settings, shown):
        return 0
    async with open_doors(settings) as doors, open_core_of(choices_of(settings), doors) as core:
        scope = meant(tuple(await _chats(core)), chat)
        async with shown.progress("closing it"):
            closed = await core.close(scope, how)
    show_closed(shown, scope, closed, how)
    return 1 if closed.failures else 0


def meant(scopes: tuple[Scope, ...], chat: str) -> Scope:
    """The one whose chat id begins so.

    Raises:
        InvalidArgumentError
    """
    found = [scope for scope in scopes if len(chat) >= MIN_ID and scope.chat.startswith(chat)]
    if len(found) != 1:
        many = "several chats begin so" if found else "there is no such chat"
        raise InvalidArgumentError(
            f"say which chat is to be closed, by {MIN_ID} or more characters of its id ({many}); ws-mcp chats has them"
        )
    return found[0]


def show_closed(shown: Console, scope: Scope, closed: Closed, how: Closing) -> None:
    """What was done."""
    verb = "stopped" if how is Closing.STOP else "removed"
    names = ", ".join(closed.workspaces) or "none"
    shown.line(
        f"chat {scope.chat[:CHAT_CHARACTERS]}: {closed.ended_processes} processes ended, workspaces {verb}: {names}"
    )
    if closed.kept_data:
        shown.line(f"  their data is kept: {', '.join(closed.kept_data)}; with --data it goes, too")
    if closed.is_forgotten:
        shown.line("  it owns nothing any more and is forgotten")
    for failure in closed.failures:
        shown.line(f"  not done: {one_line(failure)}", Style.YELLOW)


def _is_new(settings: Settings, shown: Console) -> bool:
    state = choices_of(settings).state
    if settings.state_database or has_state(state):
        return False
    shown.line(_NO_STATE.format(state=home_path(str(state))))
    return True


async def _chats(core: Core) -> Chats:
    principals = sorted({principal for _, principal in await core.state.known_chats()})
    return {
        Scope(principal=PrincipalId(principal), chat=chat.id): chat
        for principal in principals
        for chat in await core.chats(PrincipalId(principal))
    }
