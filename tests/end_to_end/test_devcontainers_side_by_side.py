"""A recreate that takes long, and two servers on one instance: who waits, who is told, who is refused."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import cast

import anyio
import anyio.lowlevel
import pytest
from mcp.server.subscriptions import ResourceUpdated
from support.dev_projects import Projects, container_of, listed, recreate, until_state
from support.peers import Json, Peer, until

pytestmark = pytest.mark.timeout(180)
LIST = "ws://devcontainers"
HOOK = "until test -e gate; do sleep 0.1; done"


@asynccontextmanager
async def told_of_list(peer: Peer) -> AsyncGenerator[list[str]]:
    """What a client that watches the list of dev containers is told from now on."""
    heard: list[str] = []
    async with peer.client.listen(resource_subscriptions=[LIST]) as events, anyio.create_task_group() as tasks:

        async def hear() -> None:
            async for event in events:
                heard.extend([str(event.uri)] if isinstance(event, ResourceUpdated) else [])

        tasks.start_soon(hear)
        yield heard
        tasks.cancel_scope.cancel()


async def until_told(heard: list[str]) -> None:
    """Wait until it is told, and forget that."""

    async def is_told() -> bool:
        await anyio.lowlevel.checkpoint()
        return LIST in heard

    await until(is_told)
    heard.clear()


async def test_two_servers_see_each_others_work_equal_calls_share_it_and_another_is_a_conflict(
    projects: Projects,
) -> None:
    project = projects.project()
    project.define(postCreateCommand=HOOK)
    answers: list[Json] = []

    async def ask(peer: Peer) -> None:
        answers.append(await recreate(peer, name=project.name))

    with anyio.fail_after(120):
        async with projects.open_peer() as one, projects.open_peer() as other, told_of_list(other) as heard:
            found = await listed(other, project.name)
            assert (found["state"], found["folder"]) == ("absent", str(project.folder))
            working = await one.ok("recreate_devcontainer", name=project.name, wait_s=0)
            assert working["change"] == "working"
            assert "call recreate_devcontainer again with the same arguments" in str(working["note"])
            await until_state(other, project.name, lambda found: found["state"] == "starting")
            await until_told(heard)
            assert (await listed(one, project.name))["state"] == "starting"
            refusal = await one.refused("recreate_devcontainer", name=project.name, force=True)
            assert "differently from what you ask for now" in refusal
            assert "at the folder of" in await other.refused("stop_workspace", name=project.name)
            async with anyio.create_task_group() as tasks:
                for peer in (one, one, other):
                    tasks.start_soon(ask, peer)
                later = await one.ok("recreate_devcontainer", name=project.name, wait_s=0)
                assert later["change"] == "working"
                assert answers == []
                project.write("gate", "")
            await until_told(heard)
            # The first, of another server, has waited and found nothing left to do.
            assert sorted(str(answer["change"]) for answer in answers) == ["created", "created", "none"]
            (container,) = project.containers
            assert {container_of(answer) for answer in answers} == {container}
            for peer in (one, other):
                (found,) = cast("list[Json]", json.loads(await peer.resource(LIST))["devcontainers"])
                assert (found["container"], found["state"], found["dirty"]) == (container, "running", "clean")
