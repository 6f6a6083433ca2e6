"""What stands over a server for its operator: who may do what, the audit, and the listener that tells of it all.

Nothing of it is imported where it is not asked for.
"""

from __future__ import annotations

import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from ws_mcp.core.own_acts import OwnAct
from ws_mcp.core.policy.acts import Journal, Transport
from ws_mcp.core.policy.limits import LimitsNow
from ws_mcp.core.redaction import SECRETS
from ws_mcp.core.runtime import Core
from ws_mcp.edge.confirming import Confirm
from ws_mcp.edge.guards import Guards
from ws_mcp.settings import Settings

if TYPE_CHECKING:  # see above
    from ws_mcp.core.policy.in_force import PolicyInForce
    from ws_mcp.core.policy.model import Policy

STRICTER = ("never", "auto", "always")


@asynccontextmanager
async def open_oversight(
    settings: Settings,
    core: Core,
    transport: Transport,
    policy: PolicyInForce | None,
    limits: LimitsNow,
    *,
    check: Callable[[str], Awaitable[bool]] | None = None,
) -> AsyncGenerator[Guards]:
    """What stands at the gate, as the operator wants it; open as long as the block runs.

    A policy file can be read again: then what it says of all of this counts, but for who may look at the metrics.
    `check`: whether a bearer token lets in to the metrics.

    Raises:
        StateError: the audit directory cannot be used.
        InvalidArgumentError: metrics cannot be served where they were to be.
    """
    guards = replace(_of_the_policy(settings, transport, policy, limits), damage=lambda: core.state.damage)
    async with AsyncExitStack() as stack:
        journal = None
        if settings.policy is not None or guards.is_audited():
            from ws_mcp.core.audit.journal import open_journal  # noqa: PLC0415 - see the top

            instance = core.state.instance
            keep_bytes = settings.audit_mib << 20
            opened = open_journal(core.state.directory, instance.key, clean=SECRETS.clean, keep_bytes=keep_bytes)
            journal = await stack.enter_async_context(opened)
            guards = replace(guards, journal=journal)
        core.own_acts.begin(partial(_written_down, lambda: journal if guards.is_audited() else None))
        if settings.metrics:
            from ws_mcp.edge.telling import open_telling  # noqa: PLC0415 - see the top
            from ws_mcp.metrics import open_measures  # noqa: PLC0415 - see the top

            measures = await stack.enter_async_context(
                open_measures(
                    core,
                    lambda: journal if guards.is_audited() else None,
                    lambda: policy.problem if policy else "",
                    guards.damage,
                )
            )
            where = await stack.enter_async_context(open_telling(settings.metrics, measures.pages, check))
            print(f"ws-mcp tells of itself at {where}", file=sys.stderr, flush=True)  # noqa: T201 - for the person
            guards = replace(guards, measure=measures)
        yield guards


def _of_the_policy(settings: Settings, transport: Transport, policy: PolicyInForce | None, limits: LimitsNow) -> Guards:
    """What is asked anew for each call, since the policy of that moment counts."""

    def now() -> Policy | None:
        return policy and policy.policy

    guards = Guards(
        decide=policy and policy.decide,
        transport=transport,
        confirm=lambda: confirm_of(settings, now()),
        is_audited=lambda: is_audited(settings, transport, now()),
    )
    if transport == "stdio" and settings.policy is None:
        return guards  # nobody is limited
    from ws_mcp.core.quotas import Quotas  # noqa: PLC0415 - see the top

    quotas = Quotas(limits, time.monotonic)
    return replace(guards, admit=quotas.admit, hold_stream=quotas.stream)


def is_audited(settings: Settings, transport: Transport, policy: Policy | None) -> bool:
    """Whether acts are written down: by the stricter of flag and file, else where others than this user may call."""
    said = {settings.audit == "on"} if settings.audit != "auto" else set[bool]()
    said |= {policy.audits} if policy is not None and policy.audits is not None else set()
    return any(said) if said else transport == "http" or settings.policy is not None


def confirm_of(settings: Settings, policy: Policy | None) -> Confirm:
    """Whether the person is asked: the stricter of what the operator says in both places."""
    said = [settings.confirm, policy.confirm if policy else settings.confirm]
    return Confirm(max(said, key=STRICTER.index))


def _written_down(journal: Callable[[], Journal | None], act: OwnAct) -> AbstractAsyncContextManager[None]:
    """What the server does by itself is written down as what callers do."""
    where = journal()
    if where is None:
        return nullcontext()
    from ws_mcp.core.audit.own import written_down  # noqa: PLC0415 - see the top

    return written_down(where, act)
