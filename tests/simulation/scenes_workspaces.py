"""Scenes about workspaces: two servers at one, servers that die in the middle, what is somebody else's."""

from __future__ import annotations

from dataclasses import replace

import anyio
from simulation.acts import OTHER_SPEC, SPEC
from simulation.faults import Door, Fault
from simulation.scene import ANEW, Scene
from simulation.stores import database_of
from simulation.world import MAIN, OTHER
from support.fake_files import Entry

from ws_mcp.core.closing import Closing
from ws_mcp.core.engine.model import Volume
from ws_mcp.core.errors import ConflictError, ForbiddenError, LimitError, NotFoundError, WsError
from ws_mcp.core.ids import PlaceId, WorkspaceName
from ws_mcp.core.processes.model import StartRequest
from ws_mcp.core.workspaces import naming, sweeper
from ws_mcp.core.workspaces.model import Ask, Content, Provisioned, WorkspaceListing
from ws_mcp.core.workspaces.request import SECRETS

LASTS = StartRequest(command="sleep 500000")
SWEPT_S = sweeper.GRACE_S + 5 * sweeper.SWEEP_S  # two servers that sweep at one time: one of them does not


async def two_servers_make_one_workspace(at: Scene) -> None:
    at.world.engine.call_s = 0.04
    for ask in (Ask(), ANEW):
        async with anyio.create_task_group() as both:
            both.start_soon(at.made, "s1", SPEC, ask)
            both.start_soon(at.made, "s2", SPEC, ask)
    at.check(not at.half_made(), f"left half-made: {at.half_made()}")


async def a_server_starts_while_another_makes_a_workspace(at: Scene) -> None:
    async def second_server(server: str, call: str) -> None:
        if (server, call) == ("s1", "start"):
            at.world.engine.between = None
            at.world.servers["s2"].stop()
            await at.world.start_server("s2")
            await anyio.sleep(1)  # it repairs what dead servers left

    at.world.engine.between = second_server
    await at.made()
    at.check(bool(at.container()), "what was made is gone")


async def a_server_dies_between_the_two_renames(at: Scene) -> None:
    await at.made()
    at.fault(Door.ENGINE, 2, Fault.CRASH, "rename")
    await at.provision("s1", OTHER_SPEC, ANEW)
    at.calm()
    await anyio.sleep(sweeper.REPAIR_S + 5)
    at.check(bool(at.container()), "main is gone; nobody removed it")
    at.check(not at.half_made(), f"left half-made: {at.half_made()}")


async def a_removal_is_cut_short(at: Scene) -> None:
    await at.made()
    at.fault(Door.ENGINE, 1, Fault.CRASH_AFTER, "remove")
    await at.ask("s1", "remove main", lambda core: core.remove(at.chat.scope, MAIN, keep_volume=False))
    at.calm()
    await anyio.sleep(sweeper.REPAIR_S + 5)
    left = sorted(name for name, each in at.world.engine.volumes.items() if each.volume.labels.get(naming.WORKSPACE))
    at.check(not left, f"what was to be removed with its workspace stayed: {left}")


async def making_it_anew_fails(at: Scene) -> None:
    await at.made(spec=replace(SPEC, content=Content(secrets={"TOKEN": "s"})))
    at.fault(Door.ENGINE, 1, Fault.FAIL, "start")
    answer = await at.provision("s1", OTHER_SPEC, ANEW)
    at.check(isinstance(answer, WsError), f"the engine started nothing: {answer!r}")
    at.calm()
    at.check(bool(at.container()), "main is gone; nobody removed it")
    await at.ask("s1", "stop main", lambda core: core.stop(at.chat.scope, MAIN, restarts=True))
    execd = at.world.execds.of(at.container())
    names = execd.disk.tree.entries if execd is not None else {}
    at.check(any(each.endswith("TOKEN") for each in names), f"its secrets are gone: {sorted(names)} of {SECRETS}")


async def making_it_again_over_its_data_fails(at: Scene) -> None:
    await at.made()
    await at.ask("s1", "remove main", lambda core: core.remove(at.chat.scope, MAIN, keep_volume=True))
    at.fault(Door.ENGINE, 1, Fault.FAIL, "start")
    await at.provision()
    at.calm()
    volume = naming.volume_name(PlaceId(at.world.place(at.chat, MAIN)))
    at.check(volume in at.world.engine.volumes, "the data of main is gone; nobody removed it")


async def a_removal_is_refused(at: Scene) -> None:
    await at.made()
    at.fault(Door.ENGINE, 1, Fault.FAIL, "remove")
    answer = await at.ask("s1", "remove main", lambda core: core.remove(at.chat.scope, MAIN, keep_volume=False))
    at.check(isinstance(answer, WsError), f"the engine removed nothing: {answer!r}")
    at.calm()
    await anyio.sleep(sweeper.REPAIR_S + 5)
    at.check(bool(at.container()), "main was removed after it was said that it is not")


async def a_server_is_told_to_end_in_the_middle(at: Scene) -> None:
    """Nobody comes after it."""
    await at.made()
    at.world.servers["s2"].stop()

    async def ends(server: str, call: str) -> None:
        if (server, call) == ("s1", "start"):
            at.world.engine.between = None
            at.world.servers["s1"].stop()
            await anyio.sleep(5)

    at.world.engine.between = ends
    await at.provision("s1", OTHER_SPEC, ANEW)
    await at.world.servers["s1"].over.wait()
    at.check(bool(at.container()), "main is gone; nobody removed it")
    at.check(not at.half_made(), f"left half-made: {at.half_made()}")


async def the_engine_hides_a_container(at: Scene) -> None:
    await at.made()
    await at.made("s2")
    at.world.servers["s2"].kill()
    await at.world.start_server("s2")  # which has not seen it yet
    at.fault(Door.ENGINE, 1, Fault.FAIL, "inspect")
    answer = await at.start("s2", LASTS)
    at.check(not isinstance(answer, NotFoundError), f"main is there, and was called unknown: {answer}")


async def the_list_of_the_engine_fails(at: Scene) -> None:
    """A stopped workspace has a network that nothing is in."""
    await at.made()
    await at.ask("s1", "stop main", lambda core: core.stop(at.chat.scope, MAIN, restarts=False))
    for server in at.world.servers:
        await at.ask(server, "workspaces", lambda core: core.workspaces(at.chat.scope))
    before = set(at.world.engine.networks)
    at.world.injector = _Always(Fault.FAIL, "list_containers")
    await anyio.sleep(SWEPT_S)
    at.check(set(at.world.engine.networks) == before, "a network was removed, since a list could not be had")
    answer = await at.ask("s1", "workspaces", lambda core: core.workspaces(at.chat.scope))
    is_said = isinstance(answer, WorkspaceListing) and bool(answer.unknown)
    at.check(is_said, f"what could not be looked at was told as if it were known: {answer!r}")
    at.check(isinstance(answer, WorkspaceListing) and bool(answer.workspaces), "what cannot be seen is called gone")


async def a_chat_is_closed_while_nobody_knows(at: Scene) -> None:
    await at.made()
    at.world.injector = _Always(Fault.FAIL, "list_containers")
    await at.ask("s1", "workspaces", lambda core: core.workspaces(at.chat.scope))
    await at.ask("s1", "close", lambda core: core.close(at.chat.scope, Closing.DELETE))
    at.calm()
    handle = at.chat.handle
    answer = await at.ask("s1", "find", lambda core: core.chat(at.chat.scope.principal, handle))
    at.check(not isinstance(answer, WsError), f"a chat was forgotten that still has a workspace: {answer}")


async def the_state_has_lost_its_chats(at: Scene) -> None:
    await at.made()
    container = at.container()
    for server in at.world.servers:
        await at.ask(server, "workspaces", lambda core: core.workspaces(at.chat.scope))
    with database_of(at.world.core("s1").state) as database:
        database.execute("DELETE FROM chats")
    await anyio.sleep(SWEPT_S)
    at.check(at.container() == container, "a workspace was removed, since no chat at all is known")


async def a_stopped_workspace_is_read_through_a_container(at: Scene) -> None:
    """Which is there a while, since the engine is slow."""
    await at.made()
    await at.ask("s1", "stop main", lambda core: core.stop(at.chat.scope, MAIN, restarts=False))
    await at.ask("s2", "workspaces", lambda core: core.workspaces(at.chat.scope))

    async def slow(server: str, call: str) -> None:
        if (server, call) == ("s1", "get_archive"):
            at.world.engine.between = None
            await anyio.sleep(sweeper.SWEEP_S + 10)

    at.world.engine.between = slow
    server = at.world.servers["s1"]
    answer = await server.call(0, lambda core: core.files.list(at.chat.scope, MAIN, ".", 10))
    at.check(not isinstance(answer, WsError), f"nothing was wrong, and its files could not be listed: {answer!r}")


async def somebody_has_a_volume_of_our_name(at: Scene) -> None:
    name = naming.volume_name(PlaceId(at.world.place(at.chat, MAIN)))
    at.world.engine.add_volume(Volume(name=name, driver="local", labels={}, options={}, created_at=""))
    at.world.engine.volumes[name].files.add("theirs", Entry(content=b"1"))
    await at.provision()
    at.check(not at.container(), "the volume of somebody else was mounted")
    await at.ask("s1", "remove main", lambda core: core.remove(at.chat.scope, MAIN, keep_volume=False))
    is_there = name in at.world.engine.volumes and "theirs" in at.world.engine.volumes[name].files.entries
    at.check(is_there, "the volume of somebody else was removed")


async def a_request_key_is_used_for_another_wish(at: Scene) -> None:
    await at.made("s1", SPEC, Ask(request_key="k"))
    container = at.container()
    answer = await at.provision("s2", OTHER_SPEC, replace(ANEW, request_key="k"))
    at.refused(answer, ConflictError, "one request key made two things")
    at.check(at.container() == container, "one request key made two things")


async def two_ask_for_different_things_at_once(at: Scene) -> None:
    at.world.engine.call_s = 0.04
    made: dict[str, object] = {}

    async def ask(content: str) -> None:
        made[content] = await at.provision("s1", replace(SPEC, content=Content(files={"a.txt": content})))

    async with anyio.create_task_group() as both:
        both.start_soon(ask, "1")
        both.start_soon(ask, "2")
    done = [content for content, answer in made.items() if isinstance(answer, Provisioned)]
    at.check(len(done) < 2, "two that asked for different files at once were both told that they have them")


async def more_workspaces_than_there_may_be(at: Scene) -> None:
    most = at.world.choices.workspaces.workspaces
    for number in range(most):
        await at.made(spec=replace(SPEC, name=WorkspaceName(f"w{number}")))
    answer = await at.provision("s2", replace(SPEC, name=WorkspaceName("more")))
    at.refused(answer, LimitError, f"a chat that may have {most} workspaces got one more")


async def a_tier_is_asked_for_that_is_not_granted(at: Scene) -> None:
    answer = await at.provision("s1", replace(SPEC, tier=4))
    at.refused(answer, ForbiddenError, "who may have tier 2 at most asked for tier 4")
    at.check(not at.container(), "a container was made of a tier that is not granted")


async def who_changed_something_looks(at: Scene) -> None:
    """No event is told."""
    await at.ask("s1", "workspaces", lambda core: core.workspaces(at.chat.scope))
    at.world.engine.events = at.world.engine.events.DROPPED
    await anyio.sleep(1)
    await at.made("s1", replace(SPEC, name=OTHER))
    answer = await at.ask("s1", "workspaces", lambda core: core.workspaces(at.chat.scope))
    names = {each.name for each in answer.workspaces} if isinstance(answer, WorkspaceListing) else set[object]()
    at.check(OTHER in names, f"who was told that a workspace was made saw a list without it: {names}")


async def a_process_runs_in_what_is_to_stop_when_idle(at: Scene) -> None:
    at.world.core("s1").own_acts.begin(at.world.core("s1").own_acts._written)  # pyright: ignore[reportPrivateUsage]
    await at.made(spec=replace(SPEC, idle_stop_s=60))
    await at.ask("s1", "workspaces", lambda core: core.workspaces(at.chat.scope))
    started = await at.started("s1", LASTS)
    await anyio.sleep(200)
    process = started.info.process
    at.check(at.world.execds.is_alive(process), f"{process} ended, since its workspace was stopped as idle")


class _Always:
    """Each of these calls has this fault."""

    def __init__(self, fault: Fault, *calls: str) -> None:
        self._fault = fault
        self._calls = calls

    def draw(self, door: Door, call: str) -> Fault:
        return self._fault if door is Door.ENGINE and call in self._calls else Fault.NONE
