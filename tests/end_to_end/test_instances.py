"""Two instances on one engine: neither sees nor touches what the other made."""

from __future__ import annotations

import anyio
from support.instances import Instance


async def test_instances_do_not_see_each_other(instance: Instance, other_instance: Instance) -> None:
    with anyio.fail_after(75):
        async with instance.open_peer() as one, other_instance.open_peer() as two:
            first = await one.ok("provision_workspace")
            process = await one.start("exec sleep 60", wait_s=0)
            assert await two.workspaces() == {}
            assert await two.processes() == {}
            await two.refused("list_processes", chat=first["chat"])
            assert process in await two.refused("read_output", process_id=process)
            second = await two.ok("provision_workspace")
            assert second["change"] == "created"
            assert set(instance.containers).isdisjoint(other_instance.containers)
            assert set(instance.volumes).isdisjoint(other_instance.volumes)
            await two.ok("remove_workspace", name="main", keep_data=False)
            assert (await one.processes())[process]["state"] == "running"
            assert len(instance.containers) == 1
