"""How much a chat and a principal may ask for at once and in a second, and how much of what stays there may be (pure).

Rates and calls that run are this server's own; what stays is counted from what is there, so that it holds over
restarts (`core.ceilings`). Every refusal names its limit, the value, and what to do.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Hashable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from ws_mcp.core.errors import LimitError
from ws_mcp.core.ids import PrincipalId
from ws_mcp.core.policy.acts import Act
from ws_mcp.core.policy.limits import Limits, LimitsNow

FREE = Limits(calls_at_once=1 << 60, calls_per_s=1e18, calls_burst=1 << 60, streams=1 << 60, principal_times=1)
"""Where there are no limits."""
LISTEN = "subscriptions/listen"  # a stream, which stays open on purpose: counted apart from calls
WHOLE = 1 - 1e-9  # a call, as far as floats can tell
KEPT = 4096  # chats and principals whose rate is remembered; one that was idle for long begins anew


@dataclass(slots=True)
class Bucket:
    """Calls that may be made now; they come back with time."""

    left: float
    at: float

    def refill(self, now: float, per_s: float, burst: float) -> None:
        """What came back since it was looked at last."""
        self.left = min(burst, self.left + (now - self.at) * per_s)
        self.at = now


class Quotas:
    """Who may call now. `clock` counts seconds and never goes back.

    What runs is counted whatever the limits are, so that new ones hold from their first moment on; what was let in
    before goes on.
    """

    def __init__(self, limits: LimitsNow, clock: Callable[[], float]) -> None:
        self._limits = limits
        self._clock = clock
        self._running: dict[Hashable, int] = {}
        self._buckets: dict[Hashable, Bucket] = {}

    @contextmanager
    def admit(self, act: Act) -> Generator[None]:
        """A place for a call while it runs. Over HTTP a stream has one already, see `stream`.

        Raises:
            LimitError
        """
        limits = self._limits() or FREE
        if act.verb == LISTEN:
            keys = [self._stream(act.principal.id, limits)] if act.transport == "stdio" else []
        else:
            keys = self._room(act, limits)
        self._charge(act, limits)
        with self._held(keys):
            yield

    @contextmanager
    def stream(self, who: PrincipalId) -> Generator[None]:
        """A place for a stream of any era while it is open.

        Raises:
            LimitError
        """
        with self._held([self._stream(who, self._limits() or FREE)]):
            yield

    @contextmanager
    def _held(self, keys: Sequence[Hashable]) -> Generator[None]:
        for key in keys:
            self._running[key] = self._running.get(key, 0) + 1
        try:
            yield
        finally:
            for key in keys:
                self._running[key] -= 1
                if not self._running[key]:
                    del self._running[key]

    def _stream(self, who: PrincipalId, limits: Limits) -> Hashable:
        """What a stream counts for, if there is room for it."""
        if self._running.get((LISTEN, who), 0) >= limits.streams:
            raise LimitError(
                f"the limit `streams` is {limits.streams} open streams (subscriptions/listen) for one principal: close "
                "one, or watch more addresses in one"
            )
        return LISTEN, who

    def _room(self, act: Act, limits: Limits) -> list[Hashable]:
        """What the call counts for, if there is room for it."""
        who = act.principal.id
        every = limits.calls_at_once * limits.principal_times
        wanted: list[tuple[Hashable, int, str]] = [(who, every, "principal")]
        if act.chat is not None:
            wanted.insert(0, ((who, act.chat), limits.calls_at_once, "chat"))
        for key, most, whose in wanted:
            if self._running.get(key, 0) >= most:
                raise LimitError(
                    f"the limit `calls_at_once` is {most} for one {whose}: wait until one of your calls has ended, "
                    "then call again"
                )
        return [key for key, _, _ in wanted]

    def _charge(self, act: Act, limits: Limits) -> None:
        who, times = act.principal.id, limits.principal_times
        found = [(self._bucket(who, limits, times), times, "principal")]
        if act.chat is not None:
            found.insert(0, (self._bucket((who, act.chat), limits, 1), 1, "chat"))
        for bucket, times, whose in found:
            if bucket.left < WHOLE:
                per_s = limits.calls_per_s * times
                wait_s = max(0.1, (1 - bucket.left) / per_s)
                raise LimitError(
                    f"the limit `calls_per_s` is {per_s:g} for one {whose} ({limits.calls_burst * times} after a "
                    f"pause): wait {wait_s:.1f} s, then call again; read_output can wait for you"
                )
        for bucket, _, _ in found:
            bucket.left -= 1

    def _bucket(self, key: Hashable, limits: Limits, times: int) -> Bucket:
        now, burst = self._clock(), float(limits.calls_burst * times)
        bucket = self._buckets.pop(key, None) or Bucket(burst, now)
        bucket.refill(now, limits.calls_per_s * times, burst)
        self._buckets[key] = bucket  # the one that was asked for longest ago comes first
        while len(self._buckets) > KEPT:
            del self._buckets[next(iter(self._buckets))]
        return bucket
