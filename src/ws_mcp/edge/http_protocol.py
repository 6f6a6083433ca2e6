"""How long a connection may take for what, and how many there may be; who is at the other end of a unix socket.

uvicorn bounds none of it but idle time. Its protocol object is one connection, from the first byte on.
"""

from __future__ import annotations

import logging
import os
import socket
from asyncio import AbstractEventLoop, TimerHandle, Transport  # noqa: TID251 - uvicorn is asyncio, and this is a part of it
from typing import Any, cast

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle
from uvicorn.server import ServerState

from ws_mcp.edge.http_listening import peer_uid

HEADERS_S = 10  # from the first byte, or the connection, to the end of the headers
BODY_S = 30  # from there to the end of the body
REST_S = 2  # for the rest of a body that was answered before it was there, so that the answer is not lost
WRITE_S = 30  # in which a client that does not read must begin to
IDLE_S = 300  # between requests
MAX_CONNECTIONS = 256
SLOW_S = 1  # a request that takes longer to come makes room before connections do that were served
MAX_UNREAD_BYTES = 64 << 20  # of all bodies that are not whole yet
MIN_LARGE_BYTES = 256 << 10  # of one that makes room for others then

HEADERS, BODY, REST = "headers", "body", "rest"
LIMITS_S = {HEADERS: HEADERS_S, BODY: BODY_S, REST: REST_S}

log = logging.getLogger(__name__)


class BoundedProtocol(H11Protocol):
    """One connection of a client."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.opened_at = self.loop.time()
        self._reading = ""
        self.reading_since = self.opened_at
        self.unread_bytes = 0  # of a body that is not whole yet
        self._until_read: TimerHandle | None = None
        self._until_written: TimerHandle | None = None

    def connection_made(self, transport: Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]  # uvicorn's
        super().connection_made(transport)
        if not self._is_own(transport) or not self._has_room():
            self.cut()
            return
        self._expect(HEADERS)

    def connection_lost(self, exc: Exception | None) -> None:
        self._expect("")
        self._cancel_write_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.transport.is_closing():
            self._expect("")
        elif self.conn.their_state is h11.IDLE:
            self._expect(HEADERS)
        else:
            kind = REST if self.is_waiting else BODY
            self._expect(kind if self.conn.their_state is h11.SEND_BODY else "")
        if self._reading == BODY:
            self.unread_bytes += len(data)
            self._bound_bodies()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, also in the middle of a body, whose request is being answered already."""
        if not self.is_waiting:
            self.cycle.disconnected = True  # what it says now would be a second answer
        try:
            super().send_400_response(msg)
        except h11.LocalProtocolError:  # the first answer has begun, or it must have no body
            self.transport.close()

    def on_response_complete(self) -> None:
        self._expect("")
        super().on_response_complete()
        if self.conn.their_state is h11.SEND_BODY:
            self._expect(REST)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._cancel_write_timer()
        self._until_written = self.loop.call_later(WRITE_S, self.transport.abort)

    def resume_writing(self) -> None:
        self._cancel_write_timer()
        super().resume_writing()

    @property
    def is_waiting(self) -> bool:
        """Whether nothing of a request is being answered."""
        cycle = cast("RequestResponseCycle | None", self.cycle)
        return cycle is None or cycle.response_complete

    @property
    def patience(self) -> tuple[int, float] | None:
        """Which connection makes room first, the oldest of each kind; None: it is being served, and makes none.

        Answered already, slow with its request, between requests, at a request that has only just begun.
        """
        if self._reading in (HEADERS, BODY):
            is_slow = self.loop.time() - self.reading_since > SLOW_S
            return 1 if is_slow else 3, self.reading_since
        if not self.is_waiting:
            return None
        return 0 if self._reading == REST else 2, self.opened_at

    def _expect(self, what: str) -> None:
        if what == self._reading:
            return
        self._reading = what
        self.reading_since = self.loop.time()
        self.unread_bytes = 0
        if self._until_read is not None:
            self._until_read.cancel()
            self._until_read = None
        if what:
            self._until_read = self.loop.call_later(LIMITS_S[what], self.transport.abort)

    def _cancel_write_timer(self) -> None:
        if self._until_written is not None:
            self._until_written.cancel()
            self._until_written = None

    def _has_room(self) -> bool:
        """Room for one more: a connection that is not being served makes it, so that none keeps a client out."""
        if len(self.connections) <= MAX_CONNECTIONS:
            return True
        patient = [(one.patience, one) for one in self._all() if one is not self]
        _, first = min(
            ((how, one) for how, one in patient if how is not None), key=lambda each: each[0], default=(0, None)
        )
        if first is None:
            log.warning("%d connections are open: another one was refused", MAX_CONNECTIONS)
            return False
        first.cut()
        return True

    def _bound_bodies(self) -> None:
        """Cut the oldest of the large bodies where all that are not whole yet take too much memory."""
        if self.unread_bytes >= MIN_LARGE_BYTES and sum(one.unread_bytes for one in self._all()) > MAX_UNREAD_BYTES:
            large = [one for one in self._all() if one.unread_bytes >= MIN_LARGE_BYTES]
            min(large, key=lambda one: one.reading_since).cut()

    def _all(self) -> set[BoundedProtocol]:
        return cast("set[BoundedProtocol]", self.connections)

    def cut(self) -> None:
        """End it at once."""
        self.connections.discard(self)
        self.transport.abort()

    def _is_own(self, transport: Transport) -> bool:
        connection: socket.socket | None = transport.get_extra_info("socket")
        if connection is None or connection.family != socket.AF_UNIX:
            return True
        uid = peer_uid(connection)
        if uid != os.geteuid():
            log.warning("a process of user %d was refused at the unix socket", uid)
            return False
        return True
