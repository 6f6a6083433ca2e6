"""The local processes that this server started and that still run: a clean stop ends them."""

from __future__ import annotations

import logging

import anyio

from ws_mcp.core.errors import WsError
from ws_mcp.core.execd.places import PlaceAddress, Places
from ws_mcp.core.execd.protocol import Event, child, text
from ws_mcp.core.ids import PlaceId, ProcessId, Scope

log = logging.getLogger(__name__)

END_S = 3.0  # TERM to KILL at a clean stop
CLOSE_S = 4.0  # bound of everything that a clean stop waits for here; a host gives a server some 4 s to end


class LocalStarts:
    """Where each of them runs. One whose end nobody could tell, since the connection was broken, only stays longer."""

    def __init__(self) -> None:
        self._running: dict[ProcessId, tuple[Scope, PlaceAddress]] = {}

    def note(self, scope: Scope, process: ProcessId, address: PlaceAddress) -> None:
        """A process was started, or may have been; one in a container is not ours to end."""
        if address.container is None:
            self._running[process] = scope, address

    @property
    def running(self) -> frozenset[ProcessId]:
        """Those that are not known to have ended."""
        return frozenset(self._running)

    def hear(self, place: PlaceId, event: Event) -> None:
        """Forget a process that ended with all that it had started. A place can tell of its own only."""
        if event.kind != "ended":
            return
        ended = child(event.header, "process") or {}
        process = ProcessId(text(ended, "process"))
        _, address = self._running.get(process, (None, None))
        if address is not None and address.place == place and not ended.get("lingering"):
            del self._running[process]

    async def end(self, places: Places) -> None:
        """End all of them."""
        if not self._running:
            return
        with anyio.move_on_after(CLOSE_S, shield=True) as patience:
            async with anyio.create_task_group() as tasks:
                for process, (scope, address) in self._running.items():
                    tasks.start_soon(_end, places, address, scope, process)
        if patience.cancelled_caught:
            log.warning("local processes may go on: their execd did not answer within %g s", CLOSE_S)


async def _end(places: Places, address: PlaceAddress, scope: Scope, process: ProcessId) -> None:
    fields = {"process": process, "chat": scope.chat, "signal": "TERM", "grace_ms": int(END_S * 1000)}
    try:
        client = await places.client(address)
        await client.call("signal", fields, timeout_s=CLOSE_S)
    except WsError as error:
        log.debug("local process %s had ended before: %s", process, error)
