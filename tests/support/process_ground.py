"""A chat's world for tests of its process manager: workspaces with fake execds, shared receipts, several servers."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

import anyio
from anyio.abc import ByteStream

from support.fake_execd import FakeExecd, open_fake_execd
from support.fake_place import FakeLimits
from support.memory_receipts import MemoryReceipts
from ws_mcp.core.errors import NotFoundError, PlaceUnavailableError
from ws_mcp.core.execd.client import ExecdClient
from ws_mcp.core.execd.places import PlaceAddress, Places, open_places
from ws_mcp.core.ids import ChatId, PlaceId, PrincipalId, ProcessId, Scope, WorkspaceName
from ws_mcp.core.processes.limits import ProcessLimits
from ws_mcp.core.processes.manager import ProcessManager
from ws_mcp.core.processes.port import PlaceRef, PlacesUnknownError
from ws_mcp.core.workspaces.model import OBSTACLES, WorkspaceState

CHAT = "c_one"


class Ground:
    """`workspaces`: name -> execd; those in `stopped` or `paused` are.

    With `has_engine` False only `local` ones can be listed.
    """

    def __init__(
        self, places: Places, workspaces: dict[str, FakeExecd], limits: ProcessLimits, moved: set[str]
    ) -> None:
        self.workspaces = workspaces
        self.stopped: set[str] = set()
        self.paused: set[str] = set()
        self._moved = moved
        self.unseen: set[str] = set()  # no event told of these yet: only a look that begins then shows them
        self.has_engine = True
        self.local = set[str]()
        self.engine_answers: anyio.Event | None = None
        self.listings = 0
        self.receipts = MemoryReceipts()
        self.started: list[tuple[str, str]] = []
        self._places = places
        self._limits = limits
        self._ids = 0

    @property
    def main(self) -> FakeExecd:
        return self.workspaces["main"]

    def stop(self, workspace: str) -> None:
        """Stop its container: the processes are gone, and the next start is another boot."""
        self.workspaces[workspace].restart()
        self.workspaces[workspace].is_down = True
        self.stopped.add(workspace)

    def pause(self, workspace: str) -> None:
        """Freeze its container: connections stay, nothing answers."""
        self.workspaces[workspace].freeze()
        self.paused.add(workspace)

    def unpause(self, workspace: str) -> None:
        self.workspaces[workspace].thaw()
        self.paused.discard(workspace)

    async def cut(self, workspace: str) -> None:
        """Break its connections, and wait until this side has noticed."""
        fake = self.workspaces[workspace]
        fake.cut()
        while self._places.is_connected(PlaceId(fake.place)):
            await anyio.lowlevel.checkpoint()

    def move(self, workspace: str) -> None:
        """Its place has another address from now on."""
        self._moved.add(self.workspaces[workspace].place)

    def go_on(self, workspace: str) -> None:
        self.workspaces[workspace].is_down = False
        self.stopped.discard(workspace)

    def manager(self, chat: str = CHAT, limits: ProcessLimits | None = None) -> ProcessManager:
        """The manager of a chat in one more server."""
        return ProcessManager(
            scope=Scope(principal=PrincipalId("local:0"), chat=ChatId(chat)),
            client_of=self._client_of,
            places_of=self._places_of,
            place_of=self._place_of,
            new_id=self._new_id,
            limits=limits or self._limits,
            receipts=self.receipts,
            on_started=lambda place, process: self.started.append((place.workspace, process)),
        )

    def _new_id(self) -> ProcessId:
        self._ids += 1
        return ProcessId(f"p_{self._ids}")

    async def _client_of(self, place: PlaceRef) -> ExecdClient:
        return await self._places.client(place.address)

    async def _places_of(self, *, is_fresh: bool = False) -> tuple[PlaceRef, ...]:
        if not self.has_engine:
            known = tuple(self._ref(name) for name in self.workspaces if name in self.local)
            raise PlacesUnknownError("no engine answers", known)
        self.listings += 1
        if self.engine_answers is not None:
            await self.engine_answers.wait()
        if is_fresh:
            self.unseen.clear()
        return tuple(self._ref(name) for name in self.workspaces if name not in self.unseen)

    async def _place_of(self, workspace: WorkspaceName | None) -> PlaceRef:
        name = workspace or "main"
        if name not in self.workspaces:
            raise NotFoundError("workspace", name, self.workspaces, "Call provision_workspace to make one.")
        if name in self.stopped:
            raise PlaceUnavailableError(f"workspace {name!r} is stopped; call provision_workspace to start it")
        return self._ref(name)

    def _ref(self, name: str) -> PlaceRef:
        place = PlaceId(self.workspaces[name].place)
        directory = "/elsewhere" if place in self._moved else ""
        address = PlaceAddress(place=place, container=None, binary="", directory=directory, user="")
        return PlaceRef(
            workspace=WorkspaceName(name),
            address=address,
            is_running=name not in self.stopped | self.paused,
            obstacle=OBSTACLES[WorkspaceState.PAUSED] if name in self.paused else "",
        )


@asynccontextmanager
async def open_ground(
    *names: str, limits: ProcessLimits | None = None, execd: FakeLimits | None = None
) -> AsyncGenerator[Ground]:
    """A chat with these workspaces ("main" alone by default)."""
    async with AsyncExitStack() as stack:
        execds: dict[str, FakeExecd] = {}
        for name in names or ("main",):
            execds[name] = await stack.enter_async_context(open_fake_execd(f"w_{name}", "00ff", execd))
        fakes, moved = tuple(execds.values()), set[str]()

        def dial(address: PlaceAddress) -> AbstractAsyncContextManager[ByteStream]:
            if address.place in moved and not address.directory:
                raise PlaceUnavailableError("its container is gone; call provision_workspace to make it again")
            return next(fake for fake in fakes if fake.place == address.place).dial()

        places = await stack.enter_async_context(open_places(dial, lambda _: "00ff", "t", lambda _place, _event: None))
        yield Ground(places, execds, limits or ProcessLimits(), moved)
