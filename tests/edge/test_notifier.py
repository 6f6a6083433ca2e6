"""Notifications: to clients of both eras, once for many changes, to nobody who may not see what changed."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from mcp import Client, MCPError
from mcp import types as mcp_types
from mcp.server.subscriptions import (
    PromptsListChanged,
    ResourcesListChanged,
    ResourceUpdated,
    ServerEvent,
    ToolsListChanged,
)
from mcp.shared.exceptions import MCPDeprecationWarning
from mcp.types import Implementation
from support.edge_client import ALICE, MODES, PROJECT, ok
from support.fake_core import FakeCore

from ws_mcp.core.ids import ChatId, Principal, PrincipalId, ProcessId
from ws_mcp.edge.identity import Identity, Watcher, always_stands
from ws_mcp.edge.notifier import INTERVAL_S, SEND_S, Notifier, Peer
from ws_mcp.edge.watching import topics
from ws_mcp.server import build_server

WATCHER = Watcher(principal=ALICE, stands=always_stands())


class Listener:
    """A client that watches, and what it was told."""

    def __init__(self, client: Client, notifier: Notifier, core: FakeCore) -> None:
        self.client = client
        self.notifier = notifier
        self.core = core
        self.heard: list[str] = []

    async def told(self, count: int) -> list[str]:
        """What it heard, once there is that much of it."""
        with anyio.fail_after(30):
            while len(self.heard) < count:  # noqa: ASYNC110 - the client's own tasks fill it
                await anyio.sleep(0.01)
        return self.heard


async def subscribe(client: Client, uri: str) -> None:
    with pytest.warns(MCPDeprecationWarning):
        await client.subscribe_resource(uri)  # pyright: ignore[reportDeprecated]  # the older era has nothing else


async def watch(client: Client, mode: str, *uris: str) -> None:
    if mode == "legacy":
        await subscribe(client, *uris)
    else:
        async with client.listen(resource_subscriptions=list(uris)):
            pass


@asynccontextmanager
async def listening(mode: str, *uris: str, core: FakeCore | None = None) -> AsyncGenerator[Listener]:
    """A client of an era that watches addresses; `{chat}` in them is its default chat."""
    core = core or FakeCore()
    identity = Identity(core, lambda: Principal(id=ALICE), PROJECT)
    notifier = Notifier(topics(identity), identity.watcher)
    server = build_server(core, default_hint=PROJECT, principal_of=lambda: Principal(id=ALICE), notifier=notifier)
    heard: list[str] = []

    async def on_message(message: Any) -> None:
        if isinstance(message, mcp_types.ResourceUpdatedNotification):
            heard.append(str(message.params.uri))
        elif isinstance(message, mcp_types.ServerNotification):
            heard.append(message.method)

    info = Implementation(name="test", version="1")
    handler = on_message if mode == "legacy" else None
    async with Client(server, mode=mode, client_info=info, message_handler=handler) as client:
        chat = (await ok(client, "list_containers"))["chat"]
        listener = Listener(client, notifier, core)
        listener.heard = heard
        wanted = [uri.format(chat=chat) for uri in uris]
        if mode == "legacy":
            for uri in wanted:
                await subscribe(client, uri)
            yield listener
            return
        async with (
            client.listen(
                resource_subscriptions=wanted, tools_list_changed=True, resources_list_changed=True
            ) as events,
            anyio.create_task_group() as tasks,
        ):

            async def hear() -> None:
                async for event in events:
                    name = event.uri if isinstance(event, ResourceUpdated) else type(event).__name__
                    heard.append(name)

            tasks.start_soon(hear)
            yield listener
            tasks.cancel_scope.cancel()


@pytest.mark.parametrize("mode", MODES)
async def test_a_change_reaches_a_client_under_the_address_that_it_watches(mode: str) -> None:
    async with listening(mode, "ws://chats/{chat}/processes", "ws://containers") as listener:
        made = await ok(listener.client, "provision_workspace")
        assert await listener.told(1) == ["ws://containers"]
        await ok(listener.client, "start_process", command="x", wait_s=0)
        assert await listener.told(2) == ["ws://containers", f"ws://chats/{made['chat']}/processes"]


@pytest.mark.parametrize("mode", MODES)
async def test_output_of_one_process_is_watched_alone(mode: str) -> None:
    async with listening(mode, "ws://chats/{chat}/processes/p_1/output") as listener:
        chat = next(iter(listener.core.chats_by.values())).id
        listener.notifier.output_changed(chat, ProcessId("p_2"))
        listener.notifier.output_changed(ChatId("other"), ProcessId("p_1"))
        listener.notifier.output_changed(chat, ProcessId("p_1"))
        assert len(await listener.told(1)) == 1


@pytest.mark.parametrize("mode", MODES)
async def test_another_chats_changes_are_not_heard(mode: str, virtual_time: None) -> None:
    async with listening(mode, "ws://containers", "ws://chats/{chat}/processes") as listener:
        other = (await ok(listener.client, "provision_workspace", chat="new"))["chat"]
        await ok(listener.client, "start_process", command="x", wait_s=0, chat=other)
        await ok(listener.client, "provision_workspace")
        assert await listener.told(1) == ["ws://containers"]
        await anyio.sleep(3 * INTERVAL_S)
        assert len(listener.heard) == 1


@pytest.mark.parametrize("mode", MODES)
async def test_list_changes_reach_those_who_asked(mode: str) -> None:
    async with listening(mode) as listener:
        for event in (ToolsListChanged(), ResourcesListChanged(), PromptsListChanged()):
            await listener.notifier.publish(event)
        if mode == "legacy":
            assert set(await listener.told(3)) == {
                "notifications/tools/list_changed",
                "notifications/resources/list_changed",
                "notifications/prompts/list_changed",
            }
        else:
            assert set(await listener.told(2)) == {"ToolsListChanged", "ResourcesListChanged"}


@pytest.mark.parametrize("mode", MODES)
async def test_many_changes_are_told_at_most_four_times_a_second(mode: str, virtual_time: None) -> None:
    async with listening(mode, "ws://containers") as listener:
        chat = next(iter(listener.core.chats_by.values())).id
        for _ in range(200):
            listener.notifier.containers_changed(chat)
            await anyio.sleep(0.005)
        await anyio.sleep(2 * INTERVAL_S)
        assert 4 <= len(listener.heard) <= 6


async def test_after_unsubscribing_nothing_is_told(virtual_time: None) -> None:
    async with listening("legacy", "ws://containers") as listener:
        with pytest.warns(MCPDeprecationWarning):
            await listener.client.unsubscribe_resource("ws://containers")  # pyright: ignore[reportDeprecated]  # legacy
        await ok(listener.client, "provision_workspace")
        await anyio.sleep(2 * INTERVAL_S)
        assert listener.heard == []


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "uri", ["ws://chats/{foreign}/processes", "ws://chats/c_none/processes", "ws://none", "file:///x"]
)
async def test_what_may_not_be_seen_cannot_be_watched(mode: str, uri: str) -> None:
    core = FakeCore()
    foreign = await core.new_chat(PrincipalId("local:2000"), "theirs")
    async with listening(mode, core=core) as listener:
        with pytest.raises(MCPError) as caught:
            await watch(listener.client, mode, uri.format(foreign=foreign.handle))
        assert caught.value.code == -32602
        assert caught.value.message == "there is no such resource that you could watch"
        assert foreign.id not in caught.value.message


async def test_a_client_cannot_watch_without_bound() -> None:
    async with listening(MODES[1]) as listener:
        with pytest.raises(MCPError, match="at most 1024"):
            await watch(listener.client, MODES[1], *(f"ws://x/{n}" for n in range(1025)))


async def test_the_older_era_is_told_that_it_can_subscribe() -> None:
    async with listening("legacy") as listener:
        capabilities = listener.client.server_capabilities
        assert capabilities.resources is not None
        assert capabilities.tools is not None
        assert (capabilities.resources.subscribe, capabilities.resources.list_changed) == (True, True)
        assert capabilities.tools.list_changed is True


async def test_a_peer_that_takes_nothing_holds_up_nobody() -> None:
    heard: list[ServerEvent] = []

    async def stuck(_: ServerEvent) -> None:
        await anyio.sleep_forever()

    async def quick(event: ServerEvent) -> None:
        heard.append(event)

    peers = [Peer(stuck, {}, WATCHER), Peer(quick, {}, WATCHER)]
    first, second = ResourceUpdated(uri="a"), ResourceUpdated(uri="b")
    with anyio.fail_after(3 * SEND_S):
        async with anyio.create_task_group() as tasks:
            for peer in peers:
                assert peer.add(first)
                tasks.start_soon(peer.send_all)
            await anyio.wait_all_tasks_blocked()
            assert heard == [first]
            assert peers[1].add(second)
            tasks.start_soon(peers[1].send_all)
            assert not peers[0].add(second)
            await anyio.wait_all_tasks_blocked()
            assert heard == [first, second]
            peers[0].close()


async def test_a_notification_that_is_not_taken_is_dropped_and_the_next_one_sent(virtual_time: None) -> None:
    heard: list[ServerEvent] = []

    async def slow(event: ServerEvent) -> None:
        if not heard:
            heard.append(event)
            await anyio.sleep_forever()
        heard.append(event)

    peer = Peer(slow, {}, WATCHER)
    events = [ResourceUpdated(uri="a"), ResourceUpdated(uri="b")]
    peer.add(events[0])
    peer.add(events[1])
    await peer.send_all()
    assert heard == events
    assert anyio.current_time() >= SEND_S


async def test_changes_when_nobody_serves_are_dropped() -> None:
    async def topic_of(uri: str) -> str:
        return uri

    notifier = Notifier(topic_of, lambda: WATCHER)
    told: list[ServerEvent] = []
    unsubscribe = notifier.subscribe(told.append)
    notifier.containers_changed(ChatId("c"))
    await notifier.publish(ToolsListChanged())
    async with notifier.running():
        await notifier.publish(ToolsListChanged())
        await anyio.wait_all_tasks_blocked()
        assert told == [ToolsListChanged()]
        unsubscribe()
        unsubscribe()
        await notifier.publish(ToolsListChanged())
        notifier.subscribe(told.append)
        await notifier.publish(ResourceUpdated(uri="not watched"))
        await anyio.wait_all_tasks_blocked()
    assert len(told) == 1


# --- what other servers do ---


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("uri", ["ws://chats/{chat}/processes", "ws://chats/{chat}/processes/p_1/output"])
@pytest.mark.usefixtures("virtual_time")
async def test_the_places_of_a_watched_chat_are_looked_at_until_nobody_watches(mode: str, uri: str) -> None:
    core = FakeCore()
    async with listening(mode, uri, core=core) as listener:
        await anyio.sleep(9)
        scope = next(iter(core.attended))
        assert 4 <= core.attended.count(scope) == len(core.attended) <= 6
        assert listener.heard == []
        core.has_new_places = True
        assert await listener.told(1) == [uri.format(chat=next(iter(core.chats_by.values())).handle)]
    looks = len(core.attended)
    await anyio.sleep(60)
    assert len(core.attended) == looks


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("uri", ["ws://containers", "ws://devcontainers"])
@pytest.mark.usefixtures("virtual_time")
async def test_who_watches_containers_only_has_no_places_looked_at(mode: str, uri: str) -> None:
    core = FakeCore()
    async with listening(mode, uri, core=core):
        await anyio.sleep(60)
    assert core.attended == []


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.usefixtures("virtual_time")
async def test_who_watches_dev_containers_is_told_of_changes_without_asking_for_a_list(mode: str) -> None:
    core = FakeCore()
    async with listening(mode, "ws://devcontainers", core=core) as listener:
        listener.notifier.devcontainers_changed()
        assert await listener.told(1) == ["ws://devcontainers"]
        await anyio.sleep(60)
    assert core.devcontainers.lists == 2, "one list is for the call that `listening` makes, one for who watches"
    assert core.attended == []
