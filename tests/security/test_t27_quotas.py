"""T27: one more than any limit is refused with its name and value; what was given back is there again; others go on."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager

import anyio
import pytest
from mcp import MCPError
from mcp.types import CallToolResult
from support.edge_client import ALICE, MODES, call, ok, open_client, refused, text_of
from support.fake_core import FakeCore
from support.images import BUSYBOX
from support.instances import Instance
from support.memory_journal import MemoryJournal

from ws_mcp.core.choices import Choices
from ws_mcp.core.engine.docker import DockerEngine
from ws_mcp.core.errors import ConflictError, LimitError
from ws_mcp.core.ids import PrincipalId, Scope, WorkspaceName
from ws_mcp.core.policy.limits import Limits
from ws_mcp.core.quotas import Quotas
from ws_mcp.core.runtime import Core, open_core
from ws_mcp.core.workspaces.model import Ask, WorkspaceKind, WorkspaceSpec
from ws_mcp.core.workspaces.rules import WorkspaceRules
from ws_mcp.edge.guards import Guards

BOB = PrincipalId("bob")
EXHAUSTED = {"dev.ws-mcp/code": "resource_exhausted"}


def assert_exhausted(answer: CallToolResult) -> None:
    """It failed for a limit, as a program sees it."""
    assert answer.is_error
    assert {name: (answer.meta or {}).get(name) for name in EXHAUSTED} == EXHAUSTED


class Clock:
    """Stands still unless a test moves it."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize("mode", MODES)
async def test_the_forty_first_call_of_a_moment_is_refused_and_has_no_effect(mode: str) -> None:
    core, clock, journal = FakeCore(), Clock(), MemoryJournal()
    guards = Guards(admit=Quotas(Limits, clock).admit, journal=journal)
    async with open_client(core, mode, guards=guards) as client:
        for _ in range(40):
            await ok(client, "list_processes")
        answer = await call(client, "provision_workspace")
        assert_exhausted(answer)
        assert text_of(answer).startswith("the limit `calls_per_s` is 10 for one chat (40 after a pause): wait 0.1 s")
        assert core.specs == []
        assert journal.acts == [*["list_processes"] * 40, "provision_workspace"]  # refusals are written down, too
        with pytest.raises(MCPError, match="`calls_per_s` is 10") as raised:
            await client.read_resource("ws://containers")
        assert raised.value.data == EXHAUSTED
        clock.now += 0.1
        await ok(client, "list_processes")
        await refused(client, "list_processes")
    async with open_client(core, mode, guards=guards, principal=BOB) as other:
        await ok(other, "list_processes")


@pytest.mark.parametrize("mode", MODES)
async def test_the_ninth_call_at_once_is_refused_and_the_eight_go_on(mode: str) -> None:
    core = FakeCore()
    guards = Guards(admit=Quotas(Limits, Clock()).admit)
    async with open_client(core, mode, guards=guards) as client:
        await ok(client, "provision_workspace")
        await ok(client, "start_process", command="x", wait_s=0)
        read: list[bool] = []

        async def wait() -> None:
            answer = await call(client, "read_output", process_id="p_00000001", wait_for="exit", wait_s=45)
            read.append(not answer.is_error)

        async with anyio.create_task_group() as tasks:
            for _ in range(8):
                tasks.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            answer = await call(client, "list_processes")
            assert_exhausted(answer)
            assert "`calls_at_once` is 8 for one chat: wait until one of your calls has ended" in text_of(answer)
            core.process("p_00000001").end()
        assert read == [True] * 8
        await ok(client, "list_processes")


async def test_the_ninth_stream_of_a_principal_is_refused() -> None:
    guards = Guards(admit=Quotas(Limits, Clock()).admit)
    async with open_client(FakeCore(), MODES[1], guards=guards) as client:
        async with AsyncExitStack() as streams:
            for _ in range(8):
                await streams.enter_async_context(client.listen(resource_subscriptions=["ws://containers"]))
            with pytest.raises(MCPError, match="`streams` is 8 open streams") as raised:
                async with client.listen(resource_subscriptions=["ws://containers"]):
                    pass
            assert raised.value.data == EXHAUSTED
            await ok(client, "list_processes")
        await anyio.wait_all_tasks_blocked()
        async with client.listen(resource_subscriptions=["ws://containers"]):
            pass


@pytest.mark.parametrize("mode", MODES)
async def test_limits_of_what_is_there_have_the_code_as_well_and_no_other_failure_has_it(mode: str) -> None:
    core = FakeCore()
    async with open_client(core, mode) as client:
        core.provision_fault = LimitError("the limit `workspaces` is 4")
        assert_exhausted(await call(client, "provision_workspace"))
        core.provision_fault = ConflictError("it is another")
        answer = await call(client, "provision_workspace")
        assert answer.is_error
        assert not set(answer.meta or {}) & set(EXHAUSTED)


@pytest.mark.parametrize("mode", MODES)
async def test_without_quotas_there_is_no_rate(mode: str) -> None:
    async with open_client(FakeCore(), mode) as client:
        for _ in range(100):
            assert not (await call(client, "list_processes")).is_error


async def quiet(_phase: str, _fraction: float) -> None: ...


@asynccontextmanager
async def open_cores(instance: Instance, limits: Limits) -> AsyncGenerator[Core]:
    engine = DockerEngine(instance.address)
    rules = WorkspaceRules(default_image=BUSYBOX)
    try:
        async with open_core(Choices(state=instance.state, ceilings=lambda: limits, workspaces=rules), engine) as core:
            yield core
    finally:
        await engine.aclose()


async def make(core: Core, scope: Scope, name: str, *, has_volume: bool | None = None) -> None:
    spec = WorkspaceSpec(name=WorkspaceName(name), kind=WorkspaceKind.CONTAINER, has_volume=has_volume)
    with anyio.fail_after(40):
        await core.provision(scope, spec, Ask(), quiet)


async def test_data_of_removed_workspaces_counts_also_after_a_restart(instance: Instance) -> None:
    limits = Limits(volumes=2)
    with anyio.fail_after(110):
        async with open_cores(instance, limits) as core:
            made = await core.new_chat(ALICE, "x")
            scope = Scope(principal=ALICE, chat=made.id)
            for name in ("one", "two"):
                await make(core, scope, name)
                await core.remove(scope, WorkspaceName(name), keep_volume=True)
        async with open_cores(instance, limits) as core:
            with pytest.raises(LimitError, match="`volumes` is 2 for one chat, and there are 2: remove_workspace with"):
                await make(core, scope, "three")
            await make(core, scope, "three", has_volume=False)
            await make(core, scope, "one")  # its data is there already
            await core.remove(scope, WorkspaceName("two"), keep_volume=False)
            await make(core, scope, "four")
