"""Change notifications for both protocol eras, from any task, to exactly those who may see what changed.

2026-07-28 clients open `subscriptions/listen` streams, which the SDK serves from the bus that this is; older ones call
`resources/subscribe`, which is answered here as middleware. A *topic* is what changes (a chat's processes, say); an
address is what a client calls it. Each peer has its own set of what it has not been told yet and, while that is not
empty, its own task: a slow one holds up nobody.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager
from contextvars import ContextVar

import anyio
import anyio.lowlevel
from mcp import MCPError
from mcp.server.context import CallNext, HandlerResult
from mcp.server.subscriptions import ResourceUpdated, ServerEvent
from mcp.types import INVALID_PARAMS, SubscribeRequestParams, SubscriptionsListenRequestParams
from mcp.types.version import MODERN_PROTOCOL_VERSIONS

from ws_mcp.core.errors import WsError
from ws_mcp.core.ids import ChatId, PrincipalId, ProcessId
from ws_mcp.edge.identity import Request, Watcher
from ws_mcp.edge.serving_tasks import ServingTasks
from ws_mcp.edge.subscribing import legacy_sender, with_subscriptions

TopicOf = Callable[[str], Awaitable[str | None]]
"""The topic of an address as the caller of this request means it; None for one that it cannot watch."""

CONTAINERS, DEVCONTAINERS = "containers ", "devcontainers"
INTERVAL_S = 0.25  # at most four notifications a second for one address and peer
SEND_S = 2.0  # a peer that has not taken a notification by then loses it
MAX_WATCHED = 1024  # addresses of one peer

log = logging.getLogger(__name__)

_watched: ContextVar[dict[str, str]] = ContextVar("ws_mcp_watched")


class Peer:
    """One listener: who it is, what it watches (topic by address), and what it has not been told yet."""

    def __init__(
        self, send: Callable[[ServerEvent], Awaitable[None]], watched: dict[str, str], watcher: Watcher
    ) -> None:
        self.watched = watched
        self.watcher = watcher
        self._send = send
        self._waiting: dict[ServerEvent, None] = {}
        self._sent_at: dict[ServerEvent, float] = {}
        self._sending: anyio.CancelScope | None = None

    def add(self, event: ServerEvent) -> bool:
        """Have this sent, once, however often it is added until then. True: `send_all` has to be started."""
        self._waiting[event] = None
        if self._sending is not None:
            return False
        self._sending = anyio.CancelScope()
        return True

    async def send_all(self) -> None:
        """Send what waits, in the pace that is allowed, until nothing does. Started once for each true `add`."""
        scope = self._sending or anyio.CancelScope()
        try:
            with scope:
                while self._waiting:
                    now = anyio.current_time()
                    at = {event: self._sent_at.get(event, now - INTERVAL_S) + INTERVAL_S for event in self._waiting}
                    first = min(at, key=at.__getitem__)
                    if at[first] > now:
                        await anyio.sleep(at[first] - now)
                        continue
                    del self._waiting[first]
                    self._sent_at = {event: t for event, t in self._sent_at.items() if now - t < INTERVAL_S}
                    self._sent_at[first] = now
                    await self._deliver(first)
        finally:
            self._sending = None

    def close(self) -> None:
        """Nothing more for this peer."""
        self._waiting.clear()
        if self._sending is not None:
            self._sending.cancel()

    async def _deliver(self, event: ServerEvent) -> None:
        if not self.watcher.stands() or (isinstance(event, ResourceUpdated) and not self.watcher.may_watch(event.uri)):
            return
        with anyio.move_on_after(SEND_S) as scope:
            await self._send(event)
        if scope.cancelled_caught:
            log.info("a client does not read: its notification was dropped")


class Notifier:
    """Tells peers of both eras what changed. It is the SDK's subscription bus and a middleware at once."""

    def __init__(self, topic_of: TopicOf, watcher_of: Callable[[], Watcher]) -> None:
        self._topic_of = topic_of
        self._watcher_of = watcher_of
        self._peers: dict[object, Peer] = {}
        self._tasks = ServingTasks()
        self.watch_began = anyio.Event()  # a new one for each time

    def running(self) -> AbstractAsyncContextManager[None]:
        """Own the tasks that send; may be entered for each transport that serves."""
        return self._tasks.running()

    def watched(self) -> frozenset[str]:
        """The topics that somebody watches."""
        return frozenset(topic for topic, _ in self.watchers())

    def watchers(self) -> frozenset[tuple[str, PrincipalId]]:
        """The topics that somebody watches, and who."""
        standing = [peer for peer in self._peers.values() if peer.watcher.stands()]
        return frozenset((topic, peer.watcher.principal) for peer in standing for topic in peer.watched.values())

    def containers_changed(self, chat: ChatId) -> None:
        """A workspace of the chat came, went, or changed its state."""
        self.changed(f"{CONTAINERS}{chat}")

    def devcontainers_changed(self) -> None:
        """A dev container came, went, or changed; lists of containers have them, too."""
        for topic in self.watched():
            if topic.startswith((DEVCONTAINERS, CONTAINERS)):
                self.changed(topic)

    def processes_changed(self, chat: ChatId) -> None:
        """A process of the chat came, ended, or was forgotten."""
        self.changed(f"processes {chat}")

    def output_changed(self, chat: ChatId, process: ProcessId) -> None:
        """A process wrote something."""
        self.changed(f"output {chat} {process}")

    def changed(self, topic: str) -> None:
        """Tell everybody who watches an address of this topic."""
        for peer in self._peers.values():
            for uri, watched in peer.watched.items():
                if watched == topic:
                    self._tell(peer, ResourceUpdated(uri=uri))

    async def publish(self, event: ServerEvent) -> None:
        """The bus's way in: list changes go to all, a resource to those who watch its very address."""
        for peer in self._peers.values():
            if not isinstance(event, ResourceUpdated) or event.uri in peer.watched:
                self._tell(peer, event)
        await anyio.lowlevel.checkpoint()

    def subscribe(self, listener: Callable[[ServerEvent], None]) -> Callable[[], None]:
        """The bus's way out: one listen stream, with the addresses that were allowed when it was opened."""

        async def send(event: ServerEvent) -> None:
            listener(event)

        key = object()
        self._peers[key] = Peer(send, _watched.get({}), self._watcher_of())
        self._begin()
        return lambda: self._forget(key)

    async def __call__(self, ctx: Request, call_next: CallNext) -> HandlerResult:
        if ctx.protocol_version in MODERN_PROTOCOL_VERSIONS:
            if ctx.method != "subscriptions/listen":
                return await call_next(ctx)
            asked = SubscriptionsListenRequestParams.model_validate(ctx.params or {}, by_name=False)
            watched = await self._allowed(asked.notifications.resource_subscriptions or ())
            token = _watched.set(watched)
            try:
                return await call_next(ctx)
            finally:
                _watched.reset(token)
        self._renew(ctx)
        if ctx.method == "initialize":
            return with_subscriptions(await call_next(ctx))
        if ctx.method == "notifications/initialized":
            self._legacy_peer(ctx)
        elif ctx.method in ("resources/subscribe", "resources/unsubscribe"):
            await self._subscribe(ctx)
            return {}
        return await call_next(ctx)

    def _begin(self) -> None:
        began, self.watch_began = self.watch_began, anyio.Event()
        began.set()

    async def _subscribe(self, ctx: Request) -> None:
        uri = str(SubscribeRequestParams.model_validate(ctx.params or {}, by_name=False).uri)
        watched = self._legacy_peer(ctx).watched
        if ctx.method == "resources/unsubscribe":
            watched.pop(uri, None)
        else:
            # Asked for again, it is looked up again: who asks need not be who asked before.
            known = {each: topic for each, topic in watched.items() if each != uri}
            watched.update(await self._allowed((*known, uri), known=known))
            self._begin()

    async def _allowed(self, uris: Iterable[str], known: dict[str, str] | None = None) -> dict[str, str]:
        """The topics of addresses.

        Raises:
            MCPError: there are too many, or one cannot be watched: unknown, malformed and foreign are the same.
        """
        asked = dict.fromkeys(uris)
        if len(asked) > MAX_WATCHED:
            raise MCPError(INVALID_PARAMS, f"at most {MAX_WATCHED} resources can be watched at once")
        watched = dict(known or {})
        for uri in asked.keys() - watched.keys():
            try:
                topic = await self._topic_of(uri)
            except WsError:
                topic = None
            if topic is None:
                raise MCPError(INVALID_PARAMS, "there is no such resource that you could watch")
            watched[uri] = topic
        return watched

    def _legacy_peer(self, ctx: Request) -> Peer:
        # A ServerSession is made for each request; the connection behind it is what lives, and it is not public.
        connection = ctx.session._connection  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # mcp>=2.3,<2.4
        if connection not in self._peers:
            self._peers[connection] = Peer(legacy_sender(ctx.session), {}, self._watcher_of())
            connection.exit_stack.callback(self._forget, connection)
        return self._peers[connection]

    def _renew(self, ctx: Request) -> None:
        # A session outlives the token that began it: what is said with the next one stands with that.
        peer = self._peers.get(ctx.session._connection)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # as above
        if peer is not None:
            peer.watcher = self._watcher_of()

    def _tell(self, peer: Peer, event: ServerEvent) -> None:
        if self._tasks.can_run and peer.add(event):
            self._tasks.start(peer.send_all)

    def _forget(self, key: object) -> None:
        peer = self._peers.pop(key, None)
        if peer is not None:
            peer.close()
