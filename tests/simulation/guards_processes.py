"""Takes guards of processes, and of who asks for them, away, one at a time. Each says what happens without it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import anyio.lowlevel
import pytest

from ws_mcp.core import ticket_notes, tickets
from ws_mcp.core.ages import Ages
from ws_mcp.core.errors import PolicyError
from ws_mcp.core.execd import client
from ws_mcp.core.known_chats import ChatRecord, KnownChats
from ws_mcp.core.policy.in_force import PolicyInForce
from ws_mcp.core.policy.model import EVERY, Grant, Policy
from ws_mcp.core.processes import convert, reach
from ws_mcp.core.processes.atlas import Atlas
from ws_mcp.core.processes.receipts import StateReceipts
from ws_mcp.core.processes.starts import Starts
from ws_mcp.core.servers import Servers


def receipt_of_a_start(patch: pytest.MonkeyPatch) -> None:
    """A key that is used again starts again, where execd does not remember it."""

    async def nothing(_self: StateReceipts, _chat: str, _key: str) -> None:
        await anyio.lowlevel.checkpoint()

    async def own(_self: StateReceipts, _chat: str, _key: str, claim: object) -> object:
        await anyio.lowlevel.checkpoint()
        return claim

    patch.setattr(StateReceipts, "find", nothing)
    patch.setattr(StateReceipts, "claim", own)


def confirmation_of_a_start(patch: pytest.MonkeyPatch) -> None:
    """What ran and is forgotten runs again under its old id."""
    patch.setattr(StateReceipts, "confirm", _nothing)


def boot_of_a_start(patch: pytest.MonkeyPatch) -> None:
    """What may have run before its workspace restarted runs again under its old id.

    The boot is looked at before the key is used again, and once more with the request: both are taken away.
    """
    patch.setattr(Starts, "_check_boot", _nothing)
    real = reach._call

    async def any_boot(at: Any, question: Any, _boot: str, wait: Any, **others: Any) -> object:
        return await real(at, question, "", wait, **others)

    patch.setattr(reach, "_call", any_boot)


def digest_of_a_start(patch: pytest.MonkeyPatch) -> None:
    """A key that is used for another command is answered with the process of the first."""

    def same(_request: object) -> str:
        return ""

    patch.setattr(convert, "digest_of", same)


def number_of_processes(patch: pytest.MonkeyPatch) -> None:
    """A chat starts as many as it likes."""
    real = convert.start_fields

    def unbound(*arguments: Any) -> dict[str, object]:
        return {**real(*arguments), "max_running": 1 << 20}

    patch.setattr(convert, "start_fields", unbound)


def input_goes_once(patch: pytest.MonkeyPatch) -> None:
    """Input whose answer was lost is written a second time."""
    patch.setattr(reach, "_may_repeat", _yes)


def a_look_is_repeated(patch: pytest.MonkeyPatch) -> None:
    """One connection that broke makes a workspace silent that is in order."""
    patch.setattr(reach, "_may_repeat", _no)


def deadline_of_a_request(patch: pytest.MonkeyPatch) -> None:
    """A call waits for ever for an execd that says nothing."""
    real = client.ExecdClient.call

    async def patient(self: client.ExecdClient, *arguments: Any, **options: Any) -> object:
        return await real(self, *arguments, **{**options, "timeout_s": 1e6})

    patch.setattr(client.ExecdClient, "call", patient)


def a_look_before_gone_is_said(patch: pytest.MonkeyPatch) -> None:
    """A process is called lost since an event is late."""
    patch.setattr(Atlas, "_lacks", _no)
    real = Atlas.all

    async def stale(self: Atlas, *, is_fresh: bool = False) -> object:
        return await real(self)

    patch.setattr(Atlas, "all", stale)


def wall_between_principals(patch: pytest.MonkeyPatch) -> None:
    """Whoever has a handle has the chat."""
    real = KnownChats.find

    async def anybodys(self: KnownChats, chat: str, principal: str) -> ChatRecord | None:
        owners = await self._state.run(lambda db: db.execute("SELECT principal FROM chats WHERE chat = ?", (chat,)))
        row = owners.fetchone()
        return await real(self, chat, row[0] if row else principal)

    patch.setattr(KnownChats, "find", anybodys)


def owner_of_a_ticket(patch: pytest.MonkeyPatch) -> None:
    """Whoever learns the id of a ticket has its answer."""
    patch.setattr(tickets, "_has", _yes)


def seal_of_an_answer(patch: pytest.MonkeyPatch) -> None:
    """Whoever can read the state has the handles in all answers."""

    def open_text(text: bytes, _ticket: object) -> bytes:
        return text

    patch.setattr(ticket_notes, "_sealed", open_text)


def server_of_a_ticket(patch: pytest.MonkeyPatch) -> None:
    """A job whose server died goes on for ever, for who has its ticket."""

    async def lives(_self: Servers, _name: str) -> bool:
        await anyio.lowlevel.checkpoint()
        return True

    patch.setattr(Servers, "lives", lives)


def policy_before_a_bad_one(patch: pytest.MonkeyPatch) -> None:
    """A mistake in the policy file opens everything."""
    real = PolicyInForce._read_now

    def lenient(self: PolicyInForce) -> Policy:
        try:
            return real(self)
        except PolicyError:
            return Policy(grants=(Grant(principal=EVERY, max_tier=4, images=("*",)),), max_tier=4)

    patch.setattr(PolicyInForce, "_read_now", lenient)


def ages_beside_the_wall_clock(patch: pytest.MonkeyPatch) -> None:
    """A clock that jumps makes everything old that is kept for a while."""

    def by_the_wall(self: Ages) -> datetime:
        return self.wall()

    patch.setattr(Ages, "__call__", by_the_wall)


def _yes(*_arguments: object) -> bool:
    return True


def _no(*_arguments: object) -> bool:
    return False


async def _nothing(*_arguments: object) -> None:
    await anyio.lowlevel.checkpoint()
