"""Tasks of a real server that is killed: the next one knows what was asked for, and what became of it."""

from __future__ import annotations

from typing import Any

import anyio
from support.instances import Instance
from support.peers import Json, Peer, until
from support.task_client import Tasks, about, begin


def wish(command: str) -> Json:
    """What is only done when a command in the workspace has ended."""
    return {"options": {"ready": {"command": command, "wait_s": 60}}}


async def look(peer: Peer, task: dict[str, Any]) -> dict[str, Any]:
    return await about(peer.client, "tasks/get", task["taskId"])


async def until_said(peer: Peer, task: dict[str, Any], words: str) -> None:
    async def is_said() -> bool:
        return words in str(await look(peer, task))

    await until(is_said)


async def test_a_task_that_a_kill_interrupted_says_so_and_the_same_call_begins_again(instance: Instance) -> None:
    with anyio.fail_after(110):
        async with instance.open_peer(extensions=[Tasks()]) as peer:
            task = await begin(peer.client, "provision_workspace", **wish("sleep 50"))
            await until_said(peer, task, "workspace 'main': waiting until it is ready")
            await peer.kill()
        async with instance.open_peer(extensions=[Tasks()]) as peer:
            seen = await look(peer, task)
            assert (seen["status"], seen["createdAt"]) == ("failed", task["createdAt"])
            assert seen["error"]["message"] == (
                "workspace 'main' was interrupted by a restart of the server: call provision_workspace again with the "
                "same arguments"
            )
            again = await begin(peer.client, "provision_workspace", **wish("sleep 50"))
            assert again["taskId"] != task["taskId"]
            await until_said(peer, again, "begun again, since a restart of the server interrupted it: waiting until")
            await about(peer.client, "tasks/cancel", again["taskId"])
            await until_said(peer, again, "'status': 'cancelled'")
            assert (await peer.ok("provision_workspace"))["change"] == "none"
            assert len(instance.containers) == 1


async def test_a_task_that_is_done_has_the_same_answer_after_its_server_was_killed(instance: Instance) -> None:
    with anyio.fail_after(110):
        async with instance.open_peer(extensions=[Tasks()]) as peer:
            task = await begin(peer.client, "provision_workspace", **wish("sleep 3"))
            await until_said(peer, task, "'status': 'completed'")
            done = await look(peer, task)
            assert done["result"]["structuredContent"]["is_ready"]
            await peer.kill()
        async with instance.open_peer(extensions=[Tasks()]) as peer:
            assert await look(peer, task) == done
