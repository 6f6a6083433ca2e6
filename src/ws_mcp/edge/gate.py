"""The one gate before every tool, resource and subscription: policy, quota, audit, in this order, then the effect.

A call that is refused has no effect, and the audit says that it was refused.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from mcp import MCPError
from mcp.server.context import CallNext, HandlerResult
from mcp.types import INVALID_REQUEST

from ws_mcp.core.errors import ForbiddenError, LimitError, StateError, WsError
from ws_mcp.core.policy.acts import Act, Clean, Journal, Transport, Verdict
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


class Measure(Protocol):
    """Who counts acts."""

    def begin(self) -> None:
        """One began."""
        ...

    def end(self, verb: str, outcome: str, seconds: float, rule: str) -> None:
        """It ended. `rule`: which one refused it, or ""."""
        ...


@dataclass(slots=True)
class Passage:
    """An act that was let through, while it has its effect."""

    made: Mapping[str, str] = field(default_factory=dict[str, str])
    outcome: str = "cut short"  # cancelled, or a bug
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guards:
    """What stands at the gate; without one of them its part is open."""

    decide: Decide | None = None
    admit: Admit | None = None
    journal: Journal | None = None
    measure: Measure | None = None
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

    def offers(self, tool: str, *, is_read_only: bool) -> bool:
        """Whether the caller may call a tool at all, whatever the arguments."""
        guards = self._guards
        if guards.decide is None:
            return True
        who = self._identity.principal
        act = Act(principal=who, verb=tool, is_read_only=is_read_only, transport=guards.transport)
        return guards.decide(act).is_allowed

    @property
    def who(self) -> str:
        """The principal of the call that is being served."""
        return self._identity.principal.id

    @property
    def confirm(self) -> Confirm:
        """Whether the person is asked before what cannot be undone."""
        return self._guards.confirm

    @asynccontextmanager
    async def passed(
        self,
        verb: str,
        *,
        is_read_only: bool,
        target: str = "",
        arguments: Mapping[str, object] | None = None,
        clean: Clean = str,
    ) -> AsyncGenerator[Passage]:
        """The time in which the act may have its effect. `clean`: see `Act`.

        Raises:
            ForbiddenError: the policy refuses it.
            LimitError: there are too many.
            StateError: it cannot be written down.
        """
        guards = self._guards
        if guards.decide is None and guards.admit is None and guards.journal is None and guards.measure is None:
            yield Passage()
            return
        act = Act(
            principal=self._identity.principal,
            chat=await self._identity.chat_of(str((arguments or {}).get("chat") or "")),
            verb=verb,
            target=target,
            is_read_only=is_read_only,
            transport=guards.transport,
            arguments=arguments or {},
            clean=clean,
        )
        with self._measured(verb) as passage:
            verdict = guards.decide(act) if guards.decide else Verdict(is_allowed=True, rule="no policy")
            if not verdict.is_allowed:
                await self._refused(act, verdict, passage)
                raise ForbiddenError(verdict.reason)
            async with self._admitted(act, passage), self._written(act, verdict, passage):
                yield passage

    @asynccontextmanager
    async def _admitted(self, act: Act, passage: Passage) -> AsyncGenerator[None]:
        with ExitStack() as place:
            if self._guards.admit:
                try:
                    place.enter_context(self._guards.admit(act))
                except LimitError as error:
                    await self._refused(act, Verdict(is_allowed=False, rule="limit", reason=str(error)), passage)
                    raise
            yield

    @asynccontextmanager
    async def _written(self, act: Act, verdict: Verdict, passage: Passage) -> AsyncGenerator[None]:
        journal = self._guards.journal
        intent = await journal.intend(act, verdict) if journal else ""
        try:
            yield
            passage.outcome = "ok"
        except BaseException as error:
            passage.outcome = "failed" if isinstance(error, (WsError, MCPError)) else "cut short"
            passage.detail = type(error).__name__
            raise
        finally:
            if journal:
                journal.conclude(intent, passage.outcome, passage.detail, passage.made)

    @contextmanager
    def _measured(self, verb: str) -> Generator[Passage]:
        passage, measure = Passage(), self._guards.measure
        if measure is None:
            yield passage
            return
        measure.begin()
        begin = time.perf_counter()
        try:
            yield passage
        except StateError:
            passage.outcome = "failed" if passage.outcome == "cut short" else passage.outcome  # not written down
            raise
        finally:
            rule = passage.detail if passage.outcome == "denied" else ""
            measure.end(verb, passage.outcome, time.perf_counter() - begin, rule)

    async def _refused(self, act: Act, verdict: Verdict, passage: Passage) -> None:
        passage.outcome, passage.detail = "denied", verdict.rule
        if self._guards.journal:
            self._guards.journal.conclude(await self._guards.journal.intend(act, verdict), "denied", verdict.rule)
