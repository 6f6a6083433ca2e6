"""Local workspaces: a directory of this machine with an execd of its own, for machines without a container engine.

The truth is the directory (what was asked for) and whether its execd answers. After a restart of the machine the
directory is there and the execd is not: the workspace is stopped, and a provision starts it.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import anyio
import anyio.to_thread

from ws_mcp.core.clock import Now
from ws_mcp.core.errors import ConflictError, StateError, WsError, unwritten
from ws_mcp.core.execd.binaries import host_binary
from ws_mcp.core.execd.places import PlaceAddress
from ws_mcp.core.host import daemon, sandbox
from ws_mcp.core.ids import PlaceId, Scope, WorkspaceName
from ws_mcp.core.replacing import replace_file, sync
from ws_mcp.core.state import State
from ws_mcp.core.workspaces import naming
from ws_mcp.core.workspaces.checks import check_environment
from ws_mcp.core.workspaces.local_record import FILE, Record, clear_record, read_record
from ws_mcp.core.workspaces.local_spec import check_local, differences, spec_label, with_defaults
from ws_mcp.core.workspaces.model import Workspace, WorkspaceKind, WorkspaceSpec, WorkspaceState
from ws_mcp.core.workspaces.plan import Step
from ws_mcp.core.workspaces.tiers import tier

log = logging.getLogger(__name__)

Stop = Callable[[], Awaitable[None]]
"""Ends the execd of a place politely; raises `WsError` when it does not answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalRules:
    """What the operator lets local workspaces do."""

    may_run_unsandboxed: bool = False
    has_network: bool = False
    keep_ended: int = 100


class LocalWorkspaces:
    """The local workspaces of one instance."""

    def __init__(self, state: State, rules: LocalRules, now: Now) -> None:
        self._state = state
        self._rules = rules
        self._now = now
        self._root = state.directory / "local"

    @property
    def is_possible(self) -> bool:
        """Whether this machine and its operator allow local workspaces at all."""
        return sandbox.has_bubblewrap() or self._rules.may_run_unsandboxed

    async def provision(self, scope: Scope, spec: WorkspaceSpec) -> tuple[Workspace, Step]:
        """Make the directory be there and its execd run.

        Raises:
            ConflictError: it exists and differs, or there is no sandbox and the operator allows nothing else.
        """
        self._check(spec)
        place = self._place(scope, spec.name)
        async with self._state.lock(place):
            had_data = self._where(place).data.exists()
            record, step = await anyio.to_thread.run_sync(self._make, scope, spec, place)
            if await daemon.answers(self._where(place)):
                return await self._workspace(place, record), Step.NOTHING
            try:
                # What runs there without its socket answers nobody any more, and would be in the new one's way.
                await daemon.kill(self._where(place))
                await self._launch(place, record)
            except BaseException:
                if step is Step.CREATE:
                    with anyio.CancelScope(shield=True):
                        await self._clear(place, keep_data=had_data)
                raise
        return await self._workspace(place, record), step

    async def list(self, scope: Scope) -> tuple[Workspace, ...]:
        """The chat's, oldest first."""
        return tuple(workspace for owner, workspace in await self.list_all() if owner == scope)

    async def list_all(self) -> tuple[tuple[Scope, Workspace], ...]:
        """Every local workspace of this instance with its scope, oldest first."""
        records = await anyio.to_thread.run_sync(self._records)
        found = [(record.scope, await self._workspace(place, record)) for place, record in records]
        return tuple(sorted(found, key=lambda pair: pair[1].created_at))

    async def find(self, scope: Scope, name: WorkspaceName) -> Workspace | None:
        """One workspace of the chat."""
        place = self._place(scope, name)
        record = await anyio.to_thread.run_sync(self._read, place)
        return await self._workspace(place, record) if record else None

    async def has_used_an_engine(self) -> bool:
        """Whether this instance ever made a container."""
        return await self._state.has_fills()

    def address(self, place: PlaceId) -> PlaceAddress:
        """How to reach its execd."""
        return PlaceAddress(place=place, container=None, binary="", directory=str(self._sockets(place)), user="")

    async def stop(self, place: PlaceId, stop: Stop) -> None:
        """End its execd and all that runs there; its files stay."""
        async with self._state.lock(place):
            await self._end(place, stop)
            with anyio.CancelScope(shield=True):
                await daemon.kill(self._where(place))

    async def remove(self, place: PlaceId, stop: Stop, *, keep_data: bool) -> str:
        """End the workspace, by `stop` if its execd answers; returns where kept data lies, relative to the state."""
        async with self._state.lock(place):
            await self._end(place, stop)
            kept = ""
            with anyio.CancelScope(shield=True):
                kept = await self._clear(place, keep_data=keep_data)
        return kept

    async def _end(self, place: PlaceId, stop: Stop) -> None:
        if await daemon.answers(self._where(place)):
            try:
                await stop()
            except WsError as error:
                log.info("the execd of %s is killed, since it does not stop: %s", place, error)

    async def _clear(self, place: PlaceId, *, keep_data: bool) -> str:
        await daemon.kill(self._where(place))
        return await anyio.to_thread.run_sync(lambda: self._remove(place, keep_data=keep_data))

    def _place(self, scope: Scope, name: WorkspaceName) -> PlaceId:
        return naming.place_name(self._state.instance.id, scope, name)

    def _check(self, spec: WorkspaceSpec) -> None:
        tier(spec.tier or 2)
        check_local(spec, is_shared=self._state.is_shared)
        check_environment(spec.environment or {})
        if not self.is_possible:
            raise ConflictError(
                "no container engine answers and bubblewrap is not installed, so there is no sandbox: install "
                "Docker or bubblewrap, or let the operator start ws-mcp with --allow-host-processes"
            )

    def _make(self, scope: Scope, spec: WorkspaceSpec, place: PlaceId) -> tuple[Record, Step]:
        asked, record = spec_label(spec), self._read(place)
        if record is None:
            full = with_defaults(spec)
            return self._create(place, scope, full, spec_label(full)), Step.CREATE
        differing = differences(asked, record.spec)
        if differing:
            raise ConflictError(
                f"workspace {spec.name!r} exists and differs from what you ask for: {'; '.join(differing)}. "
                "Call it as it is, choose another name, or call remove_workspace first"
            )
        return record, Step.START

    def _create(self, place: PlaceId, scope: Scope, spec: WorkspaceSpec, asked: str) -> Record:
        record = Record(
            principal=scope.principal,
            chat=scope.chat,
            workspace=spec.name,
            tier=spec.tier,
            spec=asked,
            environment=dict(spec.environment or {}),
            created_at=self._now(),
        )
        had_data = (data := self._where(place).data).exists()
        try:
            data.mkdir(mode=0o700, parents=True, exist_ok=True)
            replace_file(self._root / place / FILE, record.model_dump_json())
            sync(self._root)
        except OSError as error:
            with suppress(OSError, StateError):
                self._remove(place, keep_data=had_data)
            raise unwritten(error, f"the local workspace cannot be made: {error.strerror}") from error
        return record

    def _read(self, place: PlaceId) -> Record | None:
        return read_record(self._root / place / FILE)

    def _records(self) -> list[tuple[PlaceId, Record]]:
        found = sorted(self._root.glob(f"wsmcp-*/{FILE}")) if self._root.is_dir() else []
        return [(place, record) for path in found if (record := self._legible(place := PlaceId(path.parent.name)))]

    def _legible(self, place: PlaceId) -> Record | None:
        # One damaged record must not take every other workspace with it.
        try:
            return self._read(place)
        except StateError as error:
            log.warning("a local workspace is left out: %s", error)
            return None

    def _remove(self, place: PlaceId, *, keep_data: bool) -> str:
        shutil.rmtree(self._sockets(place), ignore_errors=True)
        where = self._where(place)
        clear_record(where.home, (where.log, where.arguments, where.pid), keep_data=keep_data)
        return f"local/{place}/data" if keep_data else ""

    async def _launch(self, place: PlaceId, record: Record) -> None:
        verifier = naming.verifier_of(naming.secret_of(self._state.instance.key, place))
        await daemon.launch(
            self._where(place, has_network=self._rules.has_network and record.tier != 1),
            host_binary().path,
            {**record.environment, "WSMCP_VERIFIER": verifier},
            is_sandboxed=sandbox.has_bubblewrap(),
        )

    async def _workspace(self, place: PlaceId, record: Record) -> Workspace:
        state = WorkspaceState.RUNNING if await daemon.answers(self._where(place)) else WorkspaceState.STOPPED
        is_sandboxed = sandbox.has_bubblewrap()
        return Workspace(
            name=WorkspaceName(record.workspace),
            kind=WorkspaceKind.LOCAL,
            place=place,
            state=state,
            image="",
            tier=record.tier,
            created_at=record.created_at,
            volume="data",
            path="/workspace" if is_sandboxed else str(self._where(place).data),
            network="host" if self._rules.has_network or not is_sandboxed else "none",
            sandbox="bubblewrap" if is_sandboxed else "none",
        )

    def _where(self, place: PlaceId, *, has_network: bool = False) -> sandbox.LocalPlace:
        return sandbox.LocalPlace(
            place=place,
            home=self._root / place,
            sockets=self._sockets(place),
            has_network=has_network,
            keep_ended=self._rules.keep_ended,
        )

    def _sockets(self, place: PlaceId) -> Path:
        try:
            return sandbox.socket_root() / place
        except OSError as error:
            raise StateError("no directory for local sockets can be made in shared memory") from error
