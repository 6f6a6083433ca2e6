"""The policy that counts now, and what it leaves each principal; read again when the operator says so."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace

import anyio.to_thread

from ws_mcp.core.errors import PolicyError
from ws_mcp.core.ids import PrincipalId
from ws_mcp.core.policy.acts import Act, Transport, Verdict
from ws_mcp.core.policy.auth import differing
from ws_mcp.core.policy.decide import decide
from ws_mcp.core.policy.model import Policy
from ws_mcp.core.policy.narrowing import rules_for
from ws_mcp.core.workspaces.rules import WorkspaceRules

KEPT_RULES = 1024  # principals whose rules are remembered

Hear = Callable[[], Awaitable[None]]
"""Called when who may call which tools changes."""

log = logging.getLogger(__name__)


class PolicyInForce:
    """One policy at a time, as a whole: a bad file never counts in part, and what counted before goes on counting."""

    def __init__(
        self, read: Callable[[], Policy], base: WorkspaceRules, transport: Transport, *, is_read_only: bool = False
    ) -> None:
        """Reads it.

        Raises:
            PolicyError: there is none that could count.
        """
        self._read = read
        self._base = base
        self._transport: Transport = transport
        self._is_read_only = is_read_only
        self._rules: dict[PrincipalId, WorkspaceRules] = {}
        self._hearers: list[Hear] = []
        self.policy = self._read_now()
        self._auth = self.policy.auth  # a server goes on with those that it began with
        self.problem = ""
        """Why the file as it is now does not count; "" while it does."""

    async def reload(self) -> None:
        """Read it again."""
        try:
            policy = await anyio.to_thread.run_sync(self._read_now)
        except PolicyError as error:
            self.problem = str(error)
            log.warning("the policy stays as it was: %s", error)
            return
        before, self.policy, self._rules, self.problem = self.policy, policy, {}, ""
        late = ", ".join(differing(self._auth, policy.auth))
        why = "a change of that counts from the next start" if self._transport == "http" else "that is about HTTP"
        log.warning(
            "the policy was read again and counts from now on%s",
            f", but for {late} under [auth]: {why}" if late else "",
        )
        if (policy.is_read_only, policy.grants) != (before.is_read_only, before.grants):
            for hear in self._hearers:
                await hear()

    def listen(self, hear: Hear) -> None:
        """Have this called from now on."""
        self._hearers.append(hear)

    def rules_of(self, principal: PrincipalId) -> WorkspaceRules:
        """What workspaces of a principal may be."""
        found = self._rules.get(principal)
        if found is None:
            found = rules_for(self._base, self.policy, principal, self._transport)
            while len(self._rules) >= KEPT_RULES:
                del self._rules[next(iter(self._rules))]
            self._rules[principal] = found
        return found

    def decide(self, act: Act) -> Verdict:
        """The verdict on an act."""
        return decide(act, self.policy, self.rules_of(act.principal.id))

    def _read_now(self) -> Policy:
        policy = self._read()
        return replace(policy, is_read_only=True) if self._is_read_only else policy
