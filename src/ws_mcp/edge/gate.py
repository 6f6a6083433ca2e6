"""The one gate before every tool, resource and subscription: policy, quota, audit, in this order, then the effect.

A call that is refused has no effect, and the audit says that it was refused.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass
from typing import Protocol

from mcp import MCPError
from mcp.server.context import CallNext, HandlerResult
from mcp.types import INVALID_REQUEST

from ws_mcp.core.errors import ForbiddenError, WsError
from ws_mcp.core.policy.acts import Act, Transport, Verdict
from ws_mcp.edge.confirming import Confirm
from ws_mcp.edge.identity import Identity, Request
from ws_mcp.edge.uris import address_of

Decide = Callable[[Act], Verdict]
"""Whether an act is allowed; pure, from the policy of this moment."""
Admit = Callable[[Act], AbstractContextManager[None]]
"""Takes a place for a call while it runs.

Raises:
    LimitError: too many calls of this chat or principal, at once or in a second.
"""

LOOKS = frozenset({"resources/read", "resources/subscribe", "subscriptions/listen", "completion/complete"})


class Journal(Protocol):
    """Where acts are written down: the intent before the effect, the outcome after."""

    async def intend(self, act: Act, verdict: Verdict) -> str:
        """Write the intent; when this returns it is on the disk. Returns what the outcome names it by.

        Raises:
            StateError: it cannot be written; then nothing may be done.
        """
        ...

    def conclude(self, intent: str, outcome: str, detail: str = "") -> None:
        """Write what became of it: `ok`, `failed`, `denied`, `cut short`; `detail`: the class of the error."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Guards:
    """What stands at the gate; without one of them its part is open."""

    decide: Decide | None = None
    admit: Admit | None = None
    journal: Journal | None = None
    transport: Transport = "stdio"
    confirm: Confirm = Confirm.NEVER


class Gate:
    """Lets acts through, one after the other by the same rules, whatever they come by."""

    def __init__(self, identity: Identity, guards: Guards) -> None:
        self._identity = identity
        self._guards = guards

    async def __call__(self, ctx: Request, call_next: CallNext) -> HandlerResult:
        """As middleware: what looks at resources. Tools come by themselves, with their arguments checked."""
        if ctx.method not in LOOKS:
            return await call_next(ctx)
        uri = str((ctx.params or {}).get("uri") or "")
        address = address_of(uri)
        chat = {"chat": address.chat} if address else {}
        try:
            async with self.passed(ctx.method, is_read_only=True, target=uri, arguments=chat):
                return await call_next(ctx)
        except WsError as error:
            raise MCPError(INVALID_REQUEST, str(error)) from error

    @property
    def confirm(self) -> Confirm:
        """Whether the person is asked before what cannot be undone."""
        return self._guards.confirm

    @asynccontextmanager
    async def passed(
        self, verb: str, *, is_read_only: bool, target: str = "", arguments: Mapping[str, object] | None = None
    ) -> AsyncGenerator[None]:
        """The time in which the act may have its effect.

        Raises:
            ForbiddenError: the policy refuses it.
            LimitError: there are too many.
            StateError: it cannot be written down.
        """
        guards = self._guards
        if guards.decide is None and guards.admit is None and guards.journal is None:
            yield
            return
        act = Act(
            principal=self._identity.principal,
            chat=await self._identity.chat_of(str((arguments or {}).get("chat") or "")),
            verb=verb,
            target=target,
            is_read_only=is_read_only,
            transport=guards.transport,
            arguments=arguments or {},
        )
        verdict = guards.decide(act) if guards.decide else Verdict(is_allowed=True, rule="no policy")
        if not verdict.is_allowed:
            await self._refused(act, verdict)
        with guards.admit(act) if guards.admit else nullcontext():
            intent = await guards.journal.intend(act, verdict) if guards.journal else ""
            outcome, detail = "cut short", ""  # cancelled, or a bug
            try:
                yield
                outcome = "ok"
            except WsError as error:
                outcome, detail = "failed", type(error).__name__
                raise
            finally:
                if guards.journal:
                    guards.journal.conclude(intent, outcome, detail)

    async def _refused(self, act: Act, verdict: Verdict) -> None:
        if self._guards.journal:
            self._guards.journal.conclude(await self._guards.journal.intend(act, verdict), "denied", verdict.rule)
        raise ForbiddenError(verdict.reason)
