"""The execds that this server speaks to: one kept connection for each place, made on demand, replaced when it died.

What a process is, and which chat may see it, does not belong here.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import cast

import anyio
from anyio.abc import ByteStream, TaskGroup

from ws_mcp.core.engine.swarm_model import HERE, NodeId
from ws_mcp.core.errors import WsError
from ws_mcp.core.execd.client import STREAM_ERRORS, ExecdClient, open_execd
from ws_mcp.core.execd.failures import ExecdUnavailableError
from ws_mcp.core.execd.protocol import NO_START, Event
from ws_mcp.core.ids import ContainerId, PlaceId

log = logging.getLogger(__name__)

AGAIN_S = 0.25  # what forks without end also ends without end: a place becomes free
CONNECT_S = 10.0  # from the dial to the answered hello; an engine's exec takes 45 to 65 ms


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceAddress:
    """How to reach an execd: by an exec of `binary` in `container`, or (None) by the socket in `directory`.

    `node`: whose engine has the container, where there are several; then the container may be "": not known now.
    """

    place: PlaceId
    container: ContainerId | None
    binary: str
    directory: str
    user: str
    node: NodeId = HERE


Dial = Callable[[PlaceAddress], AbstractAsyncContextManager[ByteStream]]
"""Opens a stream to an execd; raises `WsError` on entering when it cannot."""
Listen = Callable[[PlaceId, Event], None]
"""Told of every event of every place, and of two of our own: `connected` (with its `boot`) and `disconnected`."""


class _Connection:
    """An attempt to connect and, if it succeeds, the connection. Its task sets `settled` early or late, then `over`."""

    def __init__(self, address: PlaceAddress) -> None:
        self.address = address
        self.scope = anyio.CancelScope()
        self.settled = anyio.Event()
        self.over = anyio.Event()
        self.client: ExecdClient | None = None
        self.failure: ExecdUnavailableError | None = None

    def give_up(self, reason: str) -> None:
        """End it; who waits for it is told why."""
        if self.failure is None:
            self.failure = ExecdUnavailableError(reason, place=self.address.place)
        self.scope.cancel()

    @property
    def is_of_use(self) -> bool:
        """Whether it is up, or may still come up."""
        if self.scope.cancel_called:
            return False
        return not self.settled.is_set() or (self.client is not None and not self.client.is_closed)


class Places:
    """The kept connections; made by `open_places`."""

    def __init__(
        self, dial: Dial, secret_of: Callable[[PlaceId], str], client_name: str, listen: Listen, tasks: TaskGroup
    ) -> None:
        self._dial = dial
        self._secret_of = secret_of
        self._client_name = client_name
        self._listen = listen
        self._tasks = tasks
        self._connections: dict[PlaceId, _Connection] = {}

    async def client(self, address: PlaceAddress) -> ExecdClient:
        """The connection to a place. Callers at the same time share one attempt; it goes on when they are cancelled.

        Raises:
            ExecdUnavailableError: it cannot be reached now; nothing was sent.
        """
        kept = self._connections.get(address.place)
        if kept is None or not kept.is_of_use or kept.address != address:
            if kept is not None:
                kept.give_up("its address changed")
            kept = self._connections[address.place] = _Connection(address)
            self._tasks.start_soon(self._keep, kept, name=f"execd {address.place}")
        if not kept.settled.is_set():
            await kept.settled.wait()
        if kept.client is None:
            raise kept.failure or ExecdUnavailableError("this server is closing", place=address.place)
        return kept.client

    def known(self) -> tuple[PlaceId, ...]:
        """The places that are connected now."""
        return tuple(place for place in self._connections if self.is_connected(place))

    def clients(self) -> tuple[ExecdClient, ...]:
        """The connections that live now."""
        found = (kept.client for kept in self._connections.values() if kept.is_of_use)
        return tuple(client for client in found if client is not None)

    def is_connected(self, place: PlaceId) -> bool:
        """Whether a living connection to the place is kept."""
        kept = self._connections.get(place)
        return kept is not None and kept.client is not None and kept.is_of_use

    def is_busy(self, place: PlaceId) -> bool:
        """Whether a request to the place is not answered yet."""
        kept = self._connections.get(place)
        return kept is not None and kept.client is not None and kept.client.is_busy

    def has(self, address: PlaceAddress) -> bool:
        """Whether a living connection to this very address is kept."""
        kept = self._connections.get(address.place)
        return kept is not None and kept.address == address and self.is_connected(address.place)

    async def drop(self, place: PlaceId) -> None:
        """Close the connection to a place, if there is one; open calls on it fail."""
        kept = self._connections.pop(place, None)
        if kept is not None:
            kept.give_up("the connection was dropped")
            await kept.over.wait()

    async def _keep(self, kept: _Connection) -> None:
        place = kept.address.place
        try:
            with kept.scope as scope:
                scope.deadline = anyio.current_time() + CONNECT_S
                while not kept.settled.is_set() and await self._is_full(kept):  # noqa: ASYNC110 - nobody tells of room
                    await anyio.sleep(AGAIN_S)
            if kept.client is None and kept.failure is None:
                kept.failure = ExecdUnavailableError(f"no connection within {CONNECT_S:g} s", place=place)
        finally:
            if self._connections.get(place) is kept:
                del self._connections[place]
            kept.settled.set()
            kept.over.set()
        log.info("connection to %s is over: %s", place, kept.failure or "it was closed")
        if kept.client is not None:
            self._listen(place, Event(kind="disconnected", header={}))

    async def _is_full(self, kept: _Connection) -> bool:
        """Connect, and return when that is over; whether nothing could be started there."""
        try:
            await self._connect(kept)
        except* (WsError, *STREAM_ERRORS) as group:
            kept.failure = _failure(kept.address.place, group)
        return NO_START in str(kept.failure)

    async def _connect(self, kept: _Connection) -> None:
        place = kept.address.place
        async with (
            self._dial(kept.address) as stream,
            open_execd(
                stream,
                self._secret_of(place),
                on_event=lambda event: self._listen(place, event),
                client_name=self._client_name,
            ) as client,
        ):
            if client.hello.place != place:
                kept.failure = ExecdUnavailableError("another place's execd answers there", place=place)
                return
            kept.scope.deadline = float("inf")
            kept.client = client
            self._listen(place, Event(kind="connected", header={"boot": client.boot}))
            kept.settled.set()
            await client.closed.wait()


@asynccontextmanager
async def open_places(
    dial: Dial, secret_of: Callable[[PlaceId], str], client_name: str, listen: Listen
) -> AsyncGenerator[Places]:
    """Own the connections of a server; leaving the block closes them. `listen` is called at once and must not wait."""
    async with anyio.create_task_group() as tasks:
        yield Places(dial, secret_of, client_name, listen, tasks)
        tasks.cancel_scope.cancel()


def _failure(place: PlaceId, error: BaseException) -> ExecdUnavailableError:
    while isinstance(error, BaseExceptionGroup):
        error = cast("BaseExceptionGroup[BaseException]", error).exceptions[0]
    if isinstance(error, ExecdUnavailableError):
        return error.at(place)
    reason = str(error) if isinstance(error, WsError) else f"its connection broke ({type(error).__name__})"
    return ExecdUnavailableError(reason, place=place)
