"""Container workspaces on a fake engine, without execds: what is inside is said by the test."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio.lowlevel

from support.fake_engine import FakeEngine
from support.workspace_values import SCOPE
from ws_mcp.core.clock import utc_now
from ws_mcp.core.engine.model import Image
from ws_mcp.core.host.model import HostFolder
from ws_mcp.core.ids import Scope, WorkspaceName
from ws_mcp.core.state import open_state
from ws_mcp.core.workspaces import naming
from ws_mcp.core.workspaces.model import Ask, Provisioned, Workspace, WorkspaceKind, WorkspaceSpec
from ws_mcp.core.workspaces.rules import WorkspaceRules
from ws_mcp.core.workspaces.service import ContainerWorkspaces

MAIN = WorkspaceName("main")
SPEC = WorkspaceSpec(name=MAIN, kind=WorkspaceKind.CONTAINER, image="img:1")
OLD, NEW = "sha256:" + "1" * 64, "sha256:" + "2" * 64


class FakeInside:
    """See `ws_mcp.core.workspaces.inside.Inside`. `runs`: processes in each workspace; `refuses`: raised once."""

    def __init__(self) -> None:
        self.runs: int | None = 0
        self.refuses: Exception | None = None
        self.prepared: list[bool] = []  # was it fresh

    async def running(self, workspace: Workspace) -> int | None:
        await anyio.lowlevel.checkpoint()
        return self.runs

    async def prepare(self, workspace: Workspace, *, folder: HostFolder | None, is_fresh: bool) -> None:
        await anyio.lowlevel.checkpoint()
        if self.refuses is not None:
            error, self.refuses = self.refuses, None
            raise error
        self.prepared.append(is_fresh)


class Service:
    """One server's container workspaces."""

    def __init__(self, workspaces: ContainerWorkspaces, inside: FakeInside) -> None:
        self.workspaces = workspaces
        self.inside = inside

    async def provision(self, spec: WorkspaceSpec = SPEC, ask: Ask = Ask(), scope: Scope = SCOPE) -> Provisioned:  # noqa: B008 - frozen
        return await self.workspaces.provision(scope, spec, ask, quiet)

    async def made(self, spec: WorkspaceSpec = SPEC, scope: Scope = SCOPE) -> Workspace:
        """A workspace that must be there then."""
        workspace = (await self.provision(spec, scope=scope)).workspace
        assert workspace is not None
        return workspace


async def quiet(_phase: str, _fraction: float) -> None: ...


def an_engine() -> FakeEngine:
    """An engine with one image."""
    made = FakeEngine()
    made.add_image(Image(id=OLD, tags=("img:1",), architecture="amd64", command=("sleep", "inf")))
    return made


@asynccontextmanager
async def open_service(
    fake: FakeEngine, path: Path, rules: WorkspaceRules | None = None, inside: FakeInside | None = None
) -> AsyncGenerator[Service]:
    """A server on the state directory in `path`."""
    async with open_state(path / "state") as state:
        inside = inside or FakeInside()
        yield Service(ContainerWorkspaces(fake, state, lambda _: rules or WorkspaceRules(), inside, utc_now), inside)


async def left_over(fake: FakeEngine) -> list[str]:
    """All that carries a workspace's labels, and what moves files: containers, volumes, networks."""
    containers = [c.name for c in await fake.list_containers({})]
    volumes = [v.name for v in await fake.list_volumes({naming.WORKSPACE: ""})]
    return sorted(containers + volumes + [n.name for n in await fake.list_networks({naming.WORKSPACE: ""})])
