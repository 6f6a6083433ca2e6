"""A hundred equal calls with one key at once have one effect and one answer, also when the server dies under them."""

from __future__ import annotations

import anyio
import anyio.to_thread
import pytest
from mcp import MCPError
from support.instances import Instance
from support.peers import Json, Peer, until
from support.tier_probe import output_of

CALLS = 100
START: Json = {"command": "echo run >> runs; exec sleep 600", "request_key": "one", "wait_s": 0}
WISH: Json = {"name": "keyed", "env": {"A": "1"}, "options": {"files": {"a.txt": "one"}, "request_key": "two"}}


async def answers_of(peer: Peer, tool: str, arguments: Json) -> list[Json]:
    """All of them, which must be answers."""
    answers: list[Json] = []

    async def call() -> None:
        answers.append(await peer.ok(tool, **arguments))

    async with anyio.create_task_group() as tasks:
        for _ in range(CALLS):
            tasks.start_soon(call)
    return answers


async def in_vain(peer: Peer, tool: str, arguments: Json) -> None:
    """A call that its server may not live to answer."""
    try:
        await peer.call(tool, **arguments)
    except MCPError:
        return


async def check_one_process(peer: Peer) -> None:
    answers = await answers_of(peer, "start_process", START)
    (process,) = {str(answer["process_id"]) for answer in answers}
    assert {answer["state"] for answer in answers} == {"running"}
    running = [each for each in (await peer.processes()).values() if each["state"] == "running"]
    assert [each["process_id"] for each in running] == [process]
    assert await output_of(peer, "cat runs") == "run"


async def check_one_workspace(instance: Instance, peer: Peer) -> None:
    answers = await answers_of(peer, "provision_workspace", WISH)
    assert len(answers) == CALLS
    assert {str(answer["change"]) for answer in answers} <= {"created", "none"}  # who shares a job shares its answer
    assert len({str(answer["workspace"]) for answer in answers}) == 1
    keyed = instance.docker(
        "ps", "--all", "--filter", f"label=dev.ws-mcp.instance={instance.id}",
        "--filter", "label=dev.ws-mcp.workspace=keyed", "--quiet",
    )  # fmt: skip
    assert len(keyed.split()) == 1
    assert await output_of(peer, "cat /configs/a.txt; echo $A", "keyed") == "one1"


@pytest.mark.parametrize("is_killed", [False, True], ids=["lives", "killed"])
async def test_a_hundred_equal_starts_with_one_key_are_one_process(instance: Instance, is_killed: bool) -> None:
    with anyio.fail_after(75):
        async with instance.open_peer() as peer:
            await peer.ok("provision_workspace")
            if not is_killed:
                await check_one_process(peer)
                return
            async with anyio.create_task_group() as tasks:
                for _ in range(CALLS):
                    tasks.start_soon(in_vain, peer, "start_process", START)
                await anyio.sleep(0.03)  # some are answered, some have begun, some have not
                await peer.kill()
        async with instance.open_peer() as peer:
            await check_one_process(peer)


@pytest.mark.parametrize("is_killed", [False, True], ids=["lives", "killed"])
async def test_a_hundred_equal_provisions_with_one_key_are_one_workspace(instance: Instance, is_killed: bool) -> None:
    with anyio.fail_after(75):
        async with instance.open_peer() as peer:
            if not is_killed:
                await check_one_workspace(instance, peer)
                return
            async with anyio.create_task_group() as tasks:
                for _ in range(CALLS):
                    tasks.start_soon(in_vain, peer, "provision_workspace", WISH)
                await until(lambda: anyio.to_thread.run_sync(lambda: instance.containers))
                await peer.kill()
        async with instance.open_peer() as peer:
            await check_one_workspace(instance, peer)
