"""The list of dev containers: true by looking, kept when it cannot be looked at, told only when it is another one."""

from __future__ import annotations

import logging

import anyio
import pytest
from support.fake_definitions import key_of
from support.kept_ground import SHOP, DevGround, only_one, others_container, recreated, unheard

from ws_mcp.core.devcontainers.model import Freshness, RecreateAsk, Status
from ws_mcp.core.devcontainers.opening import open_devcontainers
from ws_mcp.core.devcontainers.polling import POLL_S, RETRY_S
from ws_mcp.core.devcontainers.port import UnreadableDefinitionError
from ws_mcp.core.devcontainers.sightings import TEST_RUN
from ws_mcp.core.engine.looks import SAFETY_S
from ws_mcp.core.engine.model import ContainerSpec, ContainerState, EngineEvent
from ws_mcp.core.errors import EngineError, EngineUnavailableError

pytestmark = pytest.mark.anyio

REACTION_S = 0.2


@pytest.fixture
def ground() -> DevGround:
    made = DevGround()
    made.definitions.write(SHOP, {"image": "img:1"}, Dockerfile="FROM img:1")
    return made


async def test_nothing_is_asked_of_anybody_before_somebody_asks(ground: DevGround, virtual_time: None) -> None:
    async with ground.open():
        await anyio.sleep(3600)
    assert (ground.engine.calls, ground.definitions.asked) == ([], 0)


async def test_without_roots_nothing_is_ever_asked_and_nothing_is_there(ground: DevGround, virtual_time: None) -> None:
    async with open_devcontainers(ground.ground(roots=()), lambda: None, lambda: None) as devcontainers:
        listing = await devcontainers.list(is_fresh=True)
        await anyio.sleep(3600)
    assert (listing.devcontainers, listing.unknown) == ((), "")
    assert (ground.engine.calls, ground.definitions.asked) == ([], 0)


async def test_the_first_answer_waits_for_the_first_look(ground: DevGround) -> None:
    await others_container(ground)
    ground.definitions.write(key_of("other"), {"image": "img:1"})
    async with ground.open() as devcontainers:
        listing = await devcontainers.list()
    assert [(found.name, found.status) for found in listing.devcontainers] == [
        ("other", Status.ABSENT),
        ("shop", Status.RUNNING),
    ]


async def test_an_event_is_told_within_a_fifth_of_a_second(ground: DevGround, virtual_time: None) -> None:
    container = await others_container(ground)
    async with ground.open() as devcontainers:
        await devcontainers.list()
        await anyio.sleep(1)
        before = ground.changes
        await ground.engine.die(container, 1)
        await anyio.sleep(REACTION_S)
        assert ground.changes == before + 1
        assert (await only_one(devcontainers)).status is Status.STOPPED


async def test_a_burst_of_events_is_one_look(ground: DevGround, virtual_time: None) -> None:
    container = await others_container(ground)
    async with ground.open() as devcontainers:
        await devcontainers.list()
        await anyio.sleep(1)
        looks = ground.engine.calls.count("list_containers")
        for _ in range(20):
            await ground.engine.pause(container)
            await ground.engine.unpause(container)
        await anyio.sleep(1)
        assert ground.engine.calls.count("list_containers") == looks + 1


async def test_what_changes_nothing_is_not_told_and_execs_wake_nobody(ground: DevGround, virtual_time: None) -> None:
    container = await others_container(ground)
    async with ground.open() as devcontainers:
        await devcontainers.list()
        await anyio.sleep(1)
        told, looks = ground.changes, ground.engine.calls.count("list_containers")
        labels = ground.engine.containers[container].spec.labels
        send(ground, EngineEvent(kind="container", action="exec_start: true", id=container, labels=labels))
        send(ground, EngineEvent(kind="container", action="start", id="f" * 64, labels={}))
        await anyio.sleep(1)
        assert ground.engine.calls.count("list_containers") == looks
        send(ground, EngineEvent(kind="container", action="health_status", id=container, labels=labels))
        await anyio.sleep(1)
        assert ground.engine.calls.count("list_containers") == looks + 1
        assert ground.changes == told


async def test_a_lost_event_is_made_up_for(ground: DevGround, virtual_time: None) -> None:
    container = await others_container(ground)
    async with ground.open() as devcontainers:
        await devcontainers.list()
        ground.engine.containers[container].state = ContainerState.EXITED
        await anyio.sleep(SAFETY_S + 1)
        assert (await only_one(devcontainers)).status is Status.STOPPED


async def test_an_edit_is_told_without_a_question(ground: DevGround, virtual_time: None) -> None:
    async with ground.open() as devcontainers:
        await recreated(devcontainers)
        await anyio.sleep(2 * POLL_S)
        before = ground.changes
        ground.definitions.write(SHOP, {"image": "img:1"}, Dockerfile="RUN 2")
        await anyio.sleep(POLL_S + REACTION_S)
        assert ground.changes == before + 1
        await anyio.sleep(60)
        assert ground.changes == before + 1


async def test_a_new_definition_is_told_without_a_question(ground: DevGround, virtual_time: None) -> None:
    async with ground.open() as devcontainers:
        await devcontainers.list()
        await anyio.sleep(2 * POLL_S)
        before = ground.changes
        ground.definitions.write(key_of("other"), {"image": "img:1"})
        await anyio.sleep(POLL_S + REACTION_S)
        assert ground.changes == before + 1
        assert key_of("other") in {found.key for found in (await devcontainers.list()).devcontainers}


async def test_an_edit_that_changes_nothing_is_not_told(ground: DevGround, virtual_time: None) -> None:
    async with ground.open() as devcontainers:
        await recreated(devcontainers)
        await anyio.sleep(2 * POLL_S)
        before = ground.changes
        ground.definitions.write(SHOP, '{\n  "image": "img:1"\n}')
        await anyio.sleep(60)
        found = await only_one(devcontainers)
    assert ground.changes == before
    assert found.verdict is not None
    assert found.verdict.freshness is Freshness.CLEAN


async def test_an_edit_that_only_processes_would_have_is_a_warning_until_the_next_container(ground: DevGround) -> None:
    async with ground.open() as devcontainers:
        await recreated(devcontainers)
        assert (await only_one(devcontainers)).warnings == ()
        ground.definitions.write(SHOP, {"image": "img:1", "remoteEnv": {"A": "1"}, "userEnvProbe": "none", "name": "x"})
        found = await only_one(devcontainers)
        assert found.verdict is not None
        assert (found.verdict.freshness, found.verdict.reasons) == (Freshness.CLEAN, ())
        [warning] = found.warnings
        assert warning.startswith("remoteEnv and userEnvProbe changed: processes have that in the next container")
        for is_dry_run in (True, False):
            done = await recreated(devcontainers, RecreateAsk(is_dry_run=is_dry_run))
            assert (done.change, done.warnings) == ("none", (warning,))
        await recreated(devcontainers, RecreateAsk(force=True))
        assert (await only_one(devcontainers)).warnings == ()


async def test_an_answer_is_about_the_files_of_now(ground: DevGround) -> None:
    async with ground.open() as devcontainers:
        await recreated(devcontainers)
        for text, freshness in (("RUN 2", Freshness.DIRTY), ("FROM img:1", Freshness.CLEAN)):
            ground.definitions.write(SHOP, {"image": "img:1"}, Dockerfile=text)
            found = await only_one(devcontainers)
            assert found.verdict is not None
            assert found.verdict.freshness is freshness


async def test_an_edit_while_no_server_runs_is_seen(ground: DevGround) -> None:
    async with ground.open() as devcontainers:
        await recreated(devcontainers)
    ground.definitions.write(SHOP, {"image": "img:1"}, Dockerfile="RUN 2")
    async with ground.open() as devcontainers:
        found = await only_one(devcontainers)
    assert found.verdict is not None
    assert found.verdict.reasons == ("Dockerfile changed (copied by the Dockerfile)",)


async def test_a_list_that_fails_keeps_the_last_one_and_says_its_age(ground: DevGround, virtual_time: None) -> None:
    await others_container(ground)
    async with ground.open() as devcontainers:
        before = await devcontainers.list()
        await ground.engine.go_down()
        await anyio.sleep(10)
        during = await devcontainers.list(is_fresh=True)
        assert during.devcontainers == before.devcontainers
        assert "no container engine answers" in during.unknown
        assert 9 < during.age_s < 12
        ground.engine.come_back()
        after = await devcontainers.list(is_fresh=True)
        assert (after.unknown, after.age_s) == ("", 0.0)


async def test_an_engine_that_never_answered_is_said_and_nothing_is_invented(ground: DevGround) -> None:
    await ground.engine.go_down()
    async with ground.open() as devcontainers:
        listing = await devcontainers.list()
    assert (listing.devcontainers, "no container engine answers" in listing.unknown) == ((), True)


async def test_the_same_trouble_is_logged_once(
    ground: DevGround, virtual_time: None, caplog: pytest.LogCaptureFixture
) -> None:
    def said(text: str) -> int:
        return sum(text in record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING)

    async with ground.open() as devcontainers:
        await devcontainers.list()
        for _ in range(5):
            ground.engine.fail_next("list_containers", EngineError("one thing"))
            await devcontainers.list(is_fresh=True)
        assert said("one thing") == 1
        ground.engine.fail_next("list_containers", EngineError("another thing"))
        await devcontainers.list(is_fresh=True)
        assert said("another thing") == 1
        await devcontainers.list(is_fresh=True)
        ground.engine.fail_next("list_containers", EngineError("one thing"))
        await devcontainers.list(is_fresh=True)
        assert said("one thing") == 2


async def test_while_no_events_can_be_heard_each_question_looks(ground: DevGround, virtual_time: None) -> None:
    container = await others_container(ground)
    for _ in range(100):
        ground.engine.fail_next("open_events", EngineError("no events"))
    async with ground.open() as devcontainers:
        await devcontainers.list()
        await anyio.sleep(60)
        tries = ground.engine.calls.count("open_events")
        assert 12 <= tries <= 20  # 0.2 s, then twice as long each time up to 5 s
        ground.engine.containers[container].state = ContainerState.EXITED
        assert (await only_one(devcontainers)).status is Status.STOPPED


async def test_events_are_heard_again_after_the_engine_was_away(ground: DevGround, virtual_time: None) -> None:
    container = await others_container(ground)
    async with ground.open() as devcontainers:
        await devcontainers.list()
        await ground.engine.go_down()
        ground.engine.containers[container].state = ContainerState.EXITED
        await anyio.sleep(20)
        ground.engine.come_back()
        await anyio.sleep(6)
        before = ground.changes
        assert (await only_one(devcontainers)).status is Status.STOPPED
        await ground.engine.start(container)
        await anyio.sleep(REACTION_S)
        assert ground.changes > before


async def test_a_half_written_definition_keeps_the_last_verdict_and_is_looked_at_again(
    ground: DevGround, virtual_time: None
) -> None:
    async with ground.open() as devcontainers:
        await recreated(devcontainers)
        clean = (await only_one(devcontainers)).verdict
        ground.definitions.write(SHOP, '{"image": "im')
        found = await only_one(devcontainers)
        assert (found.status, found.verdict) == (Status.UNKNOWN, clean)
        assert "line 1" in found.warnings[0]
        ground.definitions.write(SHOP, {"image": "img:1"})
        before = ground.changes
        await anyio.sleep(RETRY_S + REACTION_S)
        assert ground.changes == before + 1
        assert (await only_one(devcontainers)).status is Status.RUNNING


async def test_one_whose_definition_is_gone_is_orphaned_until_it_is_back(ground: DevGround) -> None:
    async with ground.open() as devcontainers:
        await recreated(devcontainers)
        text = ground.definitions.texts[SHOP]
        ground.definitions.delete(SHOP)
        assert (await only_one(devcontainers)).status is Status.ORPHANED
        ground.definitions.write(SHOP, text)
        assert (await only_one(devcontainers)).status is Status.RUNNING


async def test_one_whose_container_goes_is_absent_and_has_no_verdict(ground: DevGround) -> None:
    async with ground.open() as devcontainers:
        made = (await recreated(devcontainers)).devcontainer.container
        assert made is not None
        await ground.engine.remove(made)
        found = await only_one(devcontainers, is_fresh=True)
    assert (found.status, found.verdict, found.place) == (Status.ABSENT, None, None)
    assert ground.records.records == {}


async def test_records_of_containers_that_went_while_no_server_ran_are_cleaned_up(ground: DevGround) -> None:
    async with ground.open() as devcontainers:
        made = (await recreated(devcontainers)).devcontainer.container
    assert made is not None
    del ground.engine.containers[made]
    async with ground.open() as devcontainers:
        await devcontainers.list()
    assert ground.records.records == {}


async def test_records_are_kept_while_the_engine_does_not_answer(ground: DevGround) -> None:
    async with ground.open() as devcontainers:
        await recreated(devcontainers)
    ground.engine.fail_next("list_containers", EngineError("not now"))
    async with ground.open() as devcontainers:
        await devcontainers.list()
    assert len(ground.records.records) == 1


async def test_a_container_of_others_is_adopted_and_edits_are_seen_from_then_on(ground: DevGround) -> None:
    container = await others_container(ground)
    async with ground.open() as devcontainers:
        found = await only_one(devcontainers)
        assert (found.container, found.is_complete) == (container, True)
        assert found.verdict is not None
        assert (found.verdict.freshness, found.verdict.is_adopted) == (Freshness.CLEAN, True)
        ground.definitions.write(SHOP, {"image": "img:1"}, Dockerfile="RUN 2")
        found = await only_one(devcontainers)
    assert found.verdict is not None
    assert found.verdict.reasons == ("Dockerfile changed (copied by the Dockerfile)",)
    assert ground.records.records[container].is_adopted


async def test_a_container_of_others_that_differs_is_not_taken_as_the_baseline(ground: DevGround) -> None:
    await others_container(ground)
    ground.definitions.write(SHOP, {"image": "img:1", "containerEnv": {"A": "1"}})
    async with ground.open() as devcontainers:
        found = await only_one(devcontainers)
    assert found.verdict is not None
    assert found.verdict.reasons == ("containerEnv added",)
    assert ground.records.records == {}


async def test_of_duplicates_the_running_newest_one_counts(ground: DevGround) -> None:
    old = await others_container(ground, name="old")
    new = await others_container(ground, name="new")
    async with ground.open() as devcontainers:
        found = await only_one(devcontainers)
        assert found.container == new
        assert [(each.name, each.is_duplicate) for each in found.siblings] == [("old", True)]
        assert "'old'" in found.warnings[0]
        await ground.engine.stop(new, 1)
        assert (await only_one(devcontainers, is_fresh=True)).container == old


async def test_the_rest_of_a_compose_project_is_shown_with_it(ground: DevGround) -> None:
    ground.definitions.write(SHOP, {"dockerComposeFile": "compose.yaml", "service": "app"})
    ground.cli.sidecars = ("db",)
    async with ground.open() as devcontainers:
        await recreated(devcontainers)
        found = await only_one(devcontainers)
    assert found.project == "shop_devcontainer"
    assert [(each.name, each.is_duplicate) for each in found.siblings] == [("shop_db_1", False)]


async def test_only_what_carries_the_chosen_labels_counts(ground: DevGround) -> None:
    await others_container(ground, name="plain")
    chosen = await others_container(ground, name="chosen", labels={"team": "blue", TEST_RUN: "true"})
    async with ground.open() as devcontainers:
        found = await only_one(devcontainers)
        assert (ground.engine.containers[chosen].spec.name in {each.name for each in found.siblings}) is False
    ground.labels["team"] = "blue"
    async with ground.open() as devcontainers:
        assert (await only_one(devcontainers)).container == chosen


async def test_containers_of_no_dev_container_are_no_dev_containers(ground: DevGround) -> None:
    await ground.engine.create(ContainerSpec(name="web", image="img:1"))
    await others_container(ground, key=key_of("../etc"), name="foreign")
    async with ground.open() as devcontainers:
        assert (await only_one(devcontainers)).container is None


async def test_a_name_stays_when_another_folder_of_that_name_comes(ground: DevGround, virtual_time: None) -> None:
    async with ground.open() as devcontainers:
        assert (await only_one(devcontainers)).name == "shop"
        ground.definitions.write(key_of("a/shop"), {"image": "img:1"})
        await anyio.sleep(2 * SAFETY_S)
        found = (await devcontainers.list()).devcontainers
    assert {each.key.folder: each.name for each in found}[SHOP.folder] == "shop"
    assert len({each.name for each in found}) == 2


async def test_a_failure_of_one_look_is_not_the_end(ground: DevGround, caplog: pytest.LogCaptureFixture) -> None:
    def break_once(_key: object) -> None:
        ground.definitions.on_fingerprint = lambda _: None
        raise RuntimeError("a bug")

    await others_container(ground)
    ground.definitions.on_fingerprint = break_once
    async with ground.open() as devcontainers:
        assert "the log of the server says why" in (await devcontainers.list()).unknown
        assert "a bug" in caplog.text
        assert (await devcontainers.list(is_fresh=True)).unknown == ""
        assert (await only_one(devcontainers)).status is Status.RUNNING


async def test_what_is_done_to_one_is_shown_to_everybody(ground: DevGround) -> None:
    seen: list[Status] = []
    async with ground.open() as devcontainers:
        await devcontainers.list()

        async def look() -> None:
            while len(seen) < 2 or seen[-1] is not Status.RUNNING:
                status = (await only_one(devcontainers)).status
                seen.extend([status] if status not in seen[-1:] else [])
                await anyio.lowlevel.checkpoint()

        with anyio.fail_after(60):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(look)
                await recreated(devcontainers, RecreateAsk())
    assert seen == [Status.ABSENT, Status.STARTING, Status.RUNNING]


def send(ground: DevGround, event: EngineEvent) -> None:
    """An event that stands for nothing that happened."""
    for watcher in ground.engine._watchers:
        watcher.send_nowait(event)


async def test_a_disk_that_does_not_answer_leaves_what_was_known_and_the_others_go_on(ground: DevGround) -> None:
    other = key_of("other")
    ground.definitions.write(other, {"image": "img:1"})
    async with ground.open() as devcontainers:
        for key in (SHOP, other):
            await recreated(devcontainers, key=key)
        ground.definitions.silence = {SHOP.folder: 42.0}
        ground.definitions.write(other, {"image": "img:1"}, Dockerfile="RUN 2")
        listing = await devcontainers.list(is_fresh=True)
        assert "'/projects/shop' has not answered for 42 s" in listing.unknown
        assert listing.age_s == 42.0
        [moved, still] = sorted(listing.devcontainers, key=lambda each: each.name)
        assert (moved.status, still.status) == (Status.RUNNING, Status.UNKNOWN)
        assert moved.verdict is not None
        assert moved.verdict.freshness is Freshness.DIRTY
        assert still.verdict is not None
        assert still.verdict.freshness is Freshness.CLEAN
        assert "see that it is mounted" in still.warnings[0]
        with pytest.raises(UnreadableDefinitionError, match="has not answered"):
            await recreated(devcontainers, RecreateAsk(force=True))
        assert (await recreated(devcontainers, key=other)).change == "recreated"
        ground.definitions.silence = {}
        listing = await devcontainers.list()
    assert (listing.unknown, listing.age_s) == ("", 0.0)
    assert {each.status for each in listing.devcontainers} == {Status.RUNNING}


async def test_nothing_new_is_brought_into_a_container_whose_disk_does_not_answer(ground: DevGround) -> None:
    container = await others_container(ground)
    ground.definitions.silence = {SHOP.folder: 42.0}
    async with ground.open() as devcontainers:
        await devcontainers.list()
        assert ground.inside.arrived == []
        ground.definitions.silence = {}
        await devcontainers.list(is_fresh=True)
        with anyio.fail_after(5):
            await devcontainers.resolve("shop")
    assert ground.inside.arrived == [container]


async def test_where_nothing_is_the_list_is_empty_and_well(ground: DevGround) -> None:
    ground.definitions.delete(SHOP)
    async with ground.open() as devcontainers:
        listing = await devcontainers.list()
    assert (listing.devcontainers, listing.unknown, listing.age_s) == ((), "", 0.0)


async def test_an_engine_that_answers_at_last_shows_what_is_there(ground: DevGround) -> None:
    container = await others_container(ground)
    await ground.engine.go_down()
    async with ground.open() as devcontainers:
        assert (await devcontainers.list()).unknown
        with pytest.raises(EngineUnavailableError, match="not known now"):
            await devcontainers.stop("shop", unheard)
        ground.engine.come_back()
        assert (await only_one(devcontainers)).container == container
        assert (await devcontainers.list()).unknown == ""


async def test_a_poll_that_fails_is_not_the_last(
    ground: DevGround, virtual_time: None, caplog: pytest.LogCaptureFixture
) -> None:
    async with ground.open() as devcontainers:
        await recreated(devcontainers)
        await anyio.sleep(2 * POLL_S)
        ground.definitions.fault = RuntimeError("a bug")
        await anyio.sleep(2 * POLL_S)
        assert "a bug" in caplog.text
        before = ground.changes
        ground.definitions.fault = None
        ground.definitions.write(SHOP, {"image": "img:1"}, Dockerfile="RUN 2")
        await anyio.sleep(POLL_S + REACTION_S)
        assert ground.changes == before + 1
