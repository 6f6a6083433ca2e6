"""A server that dies or is refused at any engine call leaves a workspace whole or absent, and nothing else.

Source: SQLite's way of testing: fail the Nth operation, for N = 1 until the script passes untouched.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import anyio
import pytest
from support.fake_engine import FakeEngine
from support.workspace_ground import MAIN, SPEC, Service, an_engine, left_over, open_service
from support.workspace_values import SCOPE

from ws_mcp.core.engine.model import ContainerState
from ws_mcp.core.errors import EngineError, WsError
from ws_mcp.core.workspaces.model import Ask, Content, Replace

pytestmark = pytest.mark.usefixtures("real_io")

WISH = replace(SPEC, tier=2, content=Content(files={"a.txt": "1"}, secrets={"T": "s"}), ports=(80,))
OTHER_WISH = replace(WISH, tier=1, ports=(), content=Content(files={"a.txt": "2"}))
ALWAYS = Ask(replace=Replace.ALWAYS)
MOST_CALLS = 200
Script = Callable[[Service], Awaitable[object]]


class CrashError(BaseException):
    """The server is gone: nothing of it runs any more, no clean-up either."""


async def create(service: Service) -> None:
    await service.provision(WISH)


async def recreate(service: Service) -> None:
    await service.provision(OTHER_WISH, ALWAYS)


async def remove(service: Service) -> None:
    workspace = await service.workspaces.find(SCOPE, MAIN)
    if workspace is not None:
        await service.workspaces.remove(workspace, keep_volume=False)


SCRIPTS: dict[str, tuple[bool, Script]] = {
    "create": (False, create),
    "recreate": (True, recreate),
    "remove": (True, remove),
}


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("name", list(SCRIPTS))
async def test_a_server_that_is_killed_at_any_call_leaves_it_whole_or_absent(
    tmp_path: Path, name: str, when: str
) -> None:
    has_one, script = SCRIPTS[name]
    for number in range(1, MOST_CALLS):
        fake, path = an_engine(), tmp_path / str(number)
        whole = await prepared(fake, path, has_one=has_one)
        was_killed = await killed(fake, path, script, number, when)
        async with open_service(fake, path) as service:
            await service.workspaces.repair()
            await check_whole_or_absent(fake, service, whole)
            done = await service.provision(WISH, ALWAYS)
            assert done.workspace is not None
            assert done.workspace.ports
            await service.workspaces.remove(done.workspace, keep_volume=False)
        assert await left_over(fake) == []
        if not was_killed:
            assert number > 5, "the script makes calls"
            return
    pytest.fail("the script never ended")


@pytest.mark.parametrize("name", list(SCRIPTS))
async def test_a_call_that_fails_leaves_it_whole_or_absent_at_once(tmp_path: Path, name: str) -> None:
    has_one, script = SCRIPTS[name]
    for number in range(1, MOST_CALLS):
        fake, path = an_engine(), tmp_path / str(number)
        whole = await prepared(fake, path, has_one=has_one)
        async with open_service(fake, path) as service:
            fake.fail_call(number, EngineError("no"))
            with suppress(WsError):
                await script(service)
            has_failed = fake.has_failed
            fake.revive()
            # What was begun and could not be finished is finished by whoever comes next.
            await service.workspaces.repair()
            await check_whole_or_absent(fake, service, whole)
        if not has_failed:
            return
    pytest.fail("the script never ended")


@pytest.mark.parametrize("name", ["create", "recreate"])
async def test_a_caller_that_stops_waiting_at_any_call_leaves_it_whole_or_absent(tmp_path: Path, name: str) -> None:
    has_one, script = SCRIPTS[name]
    for number in range(1, MOST_CALLS):
        fake, path = an_engine(), tmp_path / str(number)
        whole = await prepared(fake, path, has_one=has_one)
        async with open_service(fake, path) as service:
            with anyio.CancelScope() as scope:
                fake.at_call(number, scope.cancel)
                await script(service)
            fake.revive()
            await check_whole_or_absent(fake, service, whole)
        if not scope.cancelled_caught:
            return
    pytest.fail("the script never ended")


async def prepared(fake: FakeEngine, path: Path, *, has_one: bool) -> list[str]:
    """What is there before; with a workspace if the script needs one."""
    await anyio.Path(path).mkdir()
    async with open_service(fake, path) as service:
        if has_one:
            await service.provision(WISH)
        return await left_over(fake)


async def killed(fake: FakeEngine, path: Path, script: Script, number: int, when: str) -> bool:
    """Run the script in a server that dies at its Nth call, before it has its effect or after; whether it died."""

    def die() -> None:
        raise CrashError

    async with open_service(fake, path) as service:
        fake.at_call(number, die, is_after=when == "after", is_crash=True)
        try:
            await script(service)
        except CrashError:
            return True
        finally:
            fake.revive()
    return False


async def check_whole_or_absent(fake: FakeEngine, service: Service, whole: list[str]) -> None:
    there = await service.workspaces.find(SCOPE, MAIN)
    names = await left_over(fake)
    if there is None:
        assert names == []
        return
    found = await fake.inspect(there.place)
    assert found.state is ContainerState.RUNNING
    assert [name for name in names if name.startswith(f"{there.place}-") and name[-4:] in ("-new", "-old")] == []
    assert len([name for name in names if "-configs-" in name]) == 1
    assert there.place in names
    if whole:
        assert set(names) >= {there.place, f"{there.place}-data"}
