"""The one gate before every request: quota, policy, audit, in this order, then the effect.

A call that is refused has no effect, and the audit says that it was refused.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from contextvars import ContextVar
from dataclasses import replace
from functools import partial

from mcp import MCPError
from mcp.server.context import CallNext, HandlerResult
from mcp.types import INVALID_REQUEST

from ws_mcp.core.errors import (
    DamagedStateError,
    ForbiddenError,
    InvalidArgumentError,
    LimitError,
    StateError,
    WsError,
)
from ws_mcp.core.ids import Principal
from ws_mcp.core.leaving import leaving
from ws_mcp.core.policy.acts import Act, Clean, Journal, Verdict
from ws_mcp.edge.confirming import Confirm
from ws_mcp.edge.errors import CODE, code_of
from ws_mcp.edge.guards import Guards, Passage
from ws_mcp.edge.identity import Identity, Request, Watcher
from ws_mcp.edge.left_work import LEFT, write_end
from ws_mcp.edge.looks import LOOKS, TASK_ACTS, chat_in, only_looks, targets_of, task_in
from ws_mcp.edge.sparing import Sparing

CALL = "tools/call"
ARGUMENTS = "arguments"  # the rule by which a call is refused whose arguments cannot be used
DAMAGE = "damaged state"  # the rule by which it is refused as long as the state is
NO_POLICY = Verdict(is_allowed=True, rule="no policy")

_reached: ContextVar[list[str]] = ContextVar("ws_mcp_reached")  # the verbs of this request that came to the gate


class Gate:
    """Lets acts through, one after the other by the same rules, whatever they come by."""

    def __init__(self, identity: Identity, guards: Guards) -> None:
        self._identity = identity
        self._guards = guards
        self._sparing = Sparing(time.monotonic)

    async def __call__(self, ctx: Request, call_next: CallNext) -> HandlerResult:
        """As middleware: what is about resources or tasks. Tools come by themselves, with their arguments checked."""
        try:
            if ctx.method == CALL:
                async with self._counted():
                    return await call_next(ctx)
            if ctx.method in LOOKS:
                async with self._looking(ctx.method, targets_of(ctx.method, ctx.params)):
                    return await call_next(ctx)
            if ctx.method in TASK_ACTS:
                async with self.passed(ctx.method, is_read_only=False, arguments=task_in(ctx.params)):
                    return await call_next(ctx)
            if ctx.request_id is None:
                return await call_next(ctx)
            async with self._charged(ctx.method):
                return await call_next(ctx)
        except WsError as error:
            raise MCPError(INVALID_REQUEST, str(error), {CODE: code_of(error)}) from error

    @asynccontextmanager
    async def _counted(self) -> AsyncGenerator[None]:
        """A call of no tool, or with no object of arguments, ends before it comes to the gate: it counts as well."""
        reached: list[str] = []
        token = _reached.set(reached)
        try:
            yield
        finally:
            _reached.reset(token)
            if not reached:
                unfit = InvalidArgumentError("this is no call of a tool")
                with suppress(InvalidArgumentError):  # what is wrong with it is being said already
                    async with self.passed(CALL, is_read_only=True, unfit=unfit):
                        pass

    @asynccontextmanager
    async def _looking(self, verb: str, targets: tuple[str, ...]) -> AsyncGenerator[None]:
        """A stream is about many addresses: each is judged by itself, and all are written down in one line."""
        for target in targets if len(targets) > 1 else ():
            if not self._may_watch(self._identity.principal, target):
                targets = (target,)
                break
        async with self.passed(verb, is_read_only=True, target=" ".join(targets), arguments=chat_in(targets)):
            yield

    @asynccontextmanager
    async def _charged(self, method: str) -> AsyncGenerator[None]:
        """What is about nothing of the caller's own is free, but for its rate."""
        if self._guards.admit is None:
            yield
            return
        async with self._admitted(self._look(self._identity.principal, method), Passage()):
            yield

    def watcher(self) -> Watcher:
        """Who makes the request that is being answered, to be told of changes as long as the policy lets them."""
        return replace(self._identity.watcher(), may_watch=partial(self._may_watch, self._identity.principal))

    def _may_watch(self, who: Principal, uri: str) -> bool:
        decide = self._guards.decide
        return decide is None or decide(self._look(who, "resources/subscribe", uri)).is_allowed

    def offers(self, tool: str, *, is_read_only: bool) -> bool:
        """Whether the caller may call a tool at all, whatever the arguments."""
        act = replace(self._look(self._identity.principal, tool), is_read_only=is_read_only)
        return self._guards.decide is None or self._guards.decide(act).is_allowed

    def _look(self, who: Principal, verb: str, target: str = "") -> Act:
        return Act(principal=who, verb=verb, target=target, is_read_only=True, transport=self._guards.transport)

    @property
    def who(self) -> str:
        """The principal of the call that is being served."""
        return self._identity.principal.id

    @property
    def confirm(self) -> Confirm:
        """Whether the person is asked before what cannot be undone."""
        return self._guards.confirm()

    @property
    def damage(self) -> str:
        """What is wrong with the state, and what to do, or ""."""
        return self._guards.damage()

    @property
    def _is_open(self) -> bool:
        guards = self._guards
        return not (guards.decide or guards.admit or guards.journal or guards.measure or guards.damage())

    def _damage_to(self, act: Act) -> DamagedStateError | None:
        damage = "" if act.is_read_only or only_looks(act.verb, act.arguments) else self._guards.damage()
        return DamagedStateError(damage) if damage else None

    @asynccontextmanager
    async def passed(
        self,
        verb: str,
        *,
        is_read_only: bool,
        target: str = "",
        arguments: Mapping[str, object] | None = None,
        unfit: InvalidArgumentError | None = None,
        clean: Clean = str,
    ) -> AsyncGenerator[Passage]:
        """The time in which the act may have its effect. `clean`: see `Act`.

        `unfit`: why it has no arguments, and so cannot be done.

        Raises:
            ForbiddenError: the policy refuses it.
            LimitError: there are too many.
            InvalidArgumentError: it is unfit.
            StateError: it cannot be written down, or the state is damaged.
        """
        _reached.get([]).append(verb)
        if self._is_open:
            if unfit:
                raise unfit
            yield Passage()
            return
        act = Act(
            principal=self._identity.principal,
            chat=await self._identity.chat_of(str((arguments or {}).get("chat") or "")),
            verb=verb,
            target=target,
            is_read_only=is_read_only,
            transport=self._guards.transport,
            arguments={} if unfit else arguments or {},
            clean=clean,
        )
        with self._measured(verb) as passage:
            async with self._admitted(act, passage):
                verdict = self._guards.decide(act) if self._guards.decide else NO_POLICY
                if not verdict.is_allowed:
                    await self._refused(act, verdict, passage)
                    raise ForbiddenError(verdict.reason)
                if obstacle := unfit or self._damage_to(act):
                    await self._refused(act, Verdict(is_allowed=False, rule=ARGUMENTS if unfit else DAMAGE), passage)
                    raise obstacle
                async with self._written(act, verdict, passage):
                    yield passage

    @asynccontextmanager
    async def _admitted(self, act: Act, passage: Passage) -> AsyncGenerator[None]:
        with ExitStack() as place:
            if self._guards.admit:
                try:
                    place.enter_context(self._guards.admit(act))
                except LimitError as error:
                    if rule := self._sparing.told(act.principal.id):
                        await self._refused(act, Verdict(is_allowed=False, rule=rule, reason=str(error)), passage)
                    passage.outcome, passage.detail = "denied", "limit"  # as it is counted: without a number
                    raise
            yield

    @asynccontextmanager
    async def _written(self, act: Act, verdict: Verdict, passage: Passage) -> AsyncGenerator[None]:
        journal = self._journal
        intent = await journal.intend(act, verdict) if journal else ""
        with leaving(partial(write_end, journal, act)) as call:
            try:
                yield
                passage.outcome = LEFT if call.has_left else "ok"
            except BaseException as error:
                was_cut = LEFT if call.has_left else "cut short"
                passage.outcome = "failed" if isinstance(error, (WsError, MCPError)) else was_cut
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
        if journal := self._journal:
            journal.conclude(await journal.intend(act, verdict), "denied", verdict.rule)

    @property
    def _journal(self) -> Journal | None:
        return self._guards.journal if self._guards.is_audited() else None
