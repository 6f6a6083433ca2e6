"""What belongs to nobody: every combination of what there may be, and what must never be taken away."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from itertools import product

import pytest
from support.our_objects import INSTANCE, OTHER_INSTANCE, OTHER_SCOPE, SCOPE, labels, place_of

from ws_mcp.core.database import Instance
from ws_mcp.core.engine.fill import EMPTY_IMAGE, filler_of
from ws_mcp.core.engine.model import Container, ContainerState, Network, Volume, VolumeMount
from ws_mcp.core.ids import ContainerId, PlaceId, PrincipalId, Scope, WorkspaceName
from ws_mcp.core.workspaces import naming
from ws_mcp.core.workspaces.recipe import Recipe, label_of
from ws_mcp.core.workspaces.sweep_plan import (
    DEAD_FILLER,
    KEPT_DATA,
    NEVER_STARTED,
    NO_CONTAINER,
    NOT_SHARED,
    OTHER_NETWORK,
    UNKNOWN_CHAT,
    Leftover,
    LeftoverKind,
    Seen,
    plan_sweep,
)

MADE = datetime(2026, 1, 1, tzinfo=UTC)
PLACE = place_of("main")
CONFIGS = naming.configs_name(PLACE, "d" * 64)
NET = naming.own_network_name(PLACE)
SHARED = naming.network_name(INSTANCE.id, SCOPE, PLACE, "team")
VOLUME = naming.volume_name(PLACE)


def container(
    name: str = PLACE,
    state: ContainerState = ContainerState.EXITED,
    *,
    signed: str = PLACE,
    scope: Scope = SCOPE,
    workspace: str = "main",
    instance: Instance = INSTANCE,
    network: str = "",
    recipe: Recipe | None = None,
) -> Container:
    its = dict(labels("container", signed, workspace, scope, instance))
    if recipe is not None:
        its = naming.labels_of(
            instance.id,
            instance.key,
            kind="container",
            name=signed,
            scope=scope,
            workspace=WorkspaceName(workspace),
            more={naming.SPEC: label_of(recipe)},
        )
    ran = None if state is ContainerState.CREATED else MADE
    return Container(
        id=ContainerId(name),
        name=name,
        image="img:1",
        image_id="",
        state=state,
        labels=its,
        created_at=MADE,
        started_at=ran,
        network=network,
    )


def volume(name: str, kind: str) -> Volume:
    return Volume(
        name=name, driver="local", labels=labels(kind, name, "main"), options={}, created_at="2026-01-01T00:00:00Z"
    )


def network(name: str, *, containers: int = 0) -> Network:
    return Network(
        name=name,
        labels=labels("network", name, "main"),
        driver="bridge",
        subnets=(),
        is_internal=False,
        containers=containers,
    )


def filler(name: str, state: ContainerState = ContainerState.CREATED, image: str = EMPTY_IMAGE) -> Container:
    mounts = (VolumeMount(volume=name.removesuffix("-fill"), target="/fill/volume"),)
    return replace(container(name, state), labels={}, image=image, mounts=mounts)


def seen(
    *objects: Container | Volume | Network,
    intents: tuple[PlaceId, ...] = (),
    chats: tuple[Scope, ...] = (SCOPE, OTHER_SCOPE),
) -> Seen:
    return Seen(
        instance=INSTANCE.id,
        key=INSTANCE.key,
        containers=tuple(each for each in objects if isinstance(each, Container)),
        volumes=tuple(each for each in objects if isinstance(each, Volume)),
        networks=tuple(each for each in objects if isinstance(each, Network)),
        intents=frozenset(intents),
        chats=frozenset(chats),
    )


def swept(look: Seen, *, has_data: bool = False) -> dict[str, str]:
    """What goes, and why."""
    return {each.name: each.why for each in plan_sweep(look, lambda each: has_data or not each.is_data)}


ALL = (volume(CONFIGS, "configs"), volume(VOLUME, "volume"), network(NET), network(SHARED))


def test_without_a_container_all_but_the_data_goes() -> None:
    assert swept(seen(*ALL)) == {CONFIGS: NO_CONTAINER, NET: NO_CONTAINER, SHARED: NOT_SHARED}
    assert swept(seen(*ALL), has_data=True) == {
        CONFIGS: NO_CONTAINER,
        VOLUME: KEPT_DATA,
        NET: NO_CONTAINER,
        SHARED: NOT_SHARED,
    }


@pytest.mark.parametrize(
    "name", [PLACE, naming.incoming_name(PLACE), naming.outgoing_name(PLACE)], ids=["current", "new", "old"]
)
@pytest.mark.parametrize("state", [s for s in ContainerState if s is not ContainerState.CREATED])
@pytest.mark.parametrize("is_signed", [True, False])
def test_a_container_that_ran_keeps_what_its_workspace_has(name: str, state: ContainerState, is_signed: bool) -> None:
    its = container(name, state)
    its = its if is_signed else replace(its, labels={})
    own = [each for each in ALL if each.name != SHARED]
    assert swept(seen(its, *own), has_data=True) == {}


@pytest.mark.parametrize("name", [PLACE, naming.incoming_name(PLACE), naming.outgoing_name(PLACE)])
def test_a_container_that_was_never_started_goes_with_what_only_it_could_use(name: str) -> None:
    never = container(name, ContainerState.CREATED)
    assert swept(seen(never, *ALL)) == {
        name: NEVER_STARTED,
        CONFIGS: NO_CONTAINER,
        NET: NO_CONTAINER,
        SHARED: NOT_SHARED,
    }


def test_while_a_container_is_too_young_to_go_what_it_could_use_stays() -> None:
    look = seen(container(state=ContainerState.CREATED), *ALL[:3])
    assert plan_sweep(look, lambda each: each.kind is not LeftoverKind.CONTAINER) == ()


def test_a_container_that_podman_calls_created_after_the_machine_went_down_stays() -> None:
    ran = replace(container(state=ContainerState.CREATED), started_at=MADE)
    assert swept(seen(ran, *ALL[:3])) == {}


def test_what_a_server_is_at_is_left_alone() -> None:
    never = container(state=ContainerState.CREATED)
    files = filler(filler_of(CONFIGS))
    assert swept(seen(never, files, *ALL, intents=(PLACE,)), has_data=True) == {}
    elsewhere = swept(seen(never, files, *ALL, intents=(place_of("other"),)))
    # Who is at another workspace of the chat may be about to use the shared network.
    assert elsewhere.keys() == {PLACE, files.name, CONFIGS, NET}


@pytest.mark.parametrize("state", list(ContainerState))
def test_what_belongs_to_a_chat_that_nobody_knows_goes_but_for_its_data(state: ContainerState) -> None:
    its = container(state=state)
    assert swept(seen(its, *ALL, chats=(OTHER_SCOPE,))) == {
        PLACE: UNKNOWN_CHAT,
        CONFIGS: NO_CONTAINER,
        NET: NO_CONTAINER,
        SHARED: NOT_SHARED,
    }


def test_a_chat_is_known_together_with_its_principal() -> None:
    other = replace(SCOPE, principal=PrincipalId("local:1"))
    assert swept(seen(container(), chats=(other,))) == {PLACE: UNKNOWN_CHAT}


def test_a_state_directory_that_has_lost_its_chats_condemns_nothing() -> None:
    assert swept(seen(container(state=ContainerState.RUNNING), chats=())) == {}


@pytest.mark.parametrize("name", [filler_of(CONFIGS), filler_of(VOLUME), naming.reader_name(PLACE)])
def test_what_files_were_moved_through_goes_though_it_has_no_labels(name: str) -> None:
    its = filler(name)
    assert swept(seen(container(), its, *ALL[:3])) == {name: DEAD_FILLER}


@pytest.mark.parametrize(
    "its",
    [
        filler(filler_of("somebody-elses")),
        filler(filler_of(CONFIGS), image="img:1"),
        filler(filler_of(CONFIGS), ContainerState.EXITED),
        filler(filler_of(CONFIGS), ContainerState.RUNNING),
        filler(filler_of(naming.volume_name(place_of("other")))),
    ],
)
def test_what_only_looks_like_that_stays_and_keeps_the_volume_that_it_has(its: Container) -> None:
    assert swept(seen(container(), its, *ALL[:3])) == {}
    has_configs = VolumeMount(volume=CONFIGS, target="/fill/volume") in its.mounts
    assert (CONFIGS in swept(seen(its, ALL[0]))) != has_configs


def test_a_volume_that_somebody_elses_container_has_stays() -> None:
    theirs = replace(container("theirs"), labels={}, mounts=(VolumeMount(volume=CONFIGS, target="/x"),), network=NET)
    assert swept(seen(theirs, *ALL[:3])) == {}


def test_a_network_that_somebody_runs_in_stays() -> None:
    assert swept(seen(network(NET, containers=1), network(SHARED, containers=2))) == {}


def test_a_shared_network_stays_while_a_container_of_the_chat_is_meant_for_it() -> None:
    shared, own = Recipe(network="team"), Recipe()
    place = place_of("other")
    for recipe, network_name, stays in ((shared, "", True), (own, "", False), (own, SHARED, True), (None, "", True)):
        its = container(place, signed=place, workspace="other", recipe=recipe, network=network_name)
        assert (SHARED not in swept(seen(its, network(SHARED)))) == stays


def test_its_own_network_goes_when_its_workspace_was_made_anew_in_another_one() -> None:
    shared, own = Recipe(network="team"), Recipe()
    for recipe, network_name, stays in (
        (shared, SHARED, False),
        (own, "", True),
        (shared, NET, True),
        (None, "", True),
    ):
        its = container(PLACE, recipe=recipe, network=network_name)
        assert swept(seen(its, network(NET))) == ({} if stays else {NET: OTHER_NETWORK})
    foreign = replace(container(PLACE, recipe=shared, network=SHARED), labels={})
    assert swept(seen(foreign, network(NET))) == {}


def test_the_same_name_in_another_chat_is_another_network() -> None:
    place = place_of("other", OTHER_SCOPE)
    its = container(place, signed=place, scope=OTHER_SCOPE, workspace="other", recipe=Recipe(network="team"))
    assert swept(seen(its, network(SHARED))) == {SHARED: NOT_SHARED}


def test_a_volume_of_a_driver_or_with_options_is_not_plain_and_stays() -> None:
    assert swept(seen(replace(ALL[0], driver="nfs"), replace(ALL[1], options={"o": "bind"})), has_data=True) == {}


def test_labels_of_one_kind_do_not_make_another_kind_ours() -> None:
    as_volume = replace(ALL[0], name=PLACE, labels=labels("container", PLACE, "main"))
    as_network = replace(ALL[2], name=CONFIGS, labels=labels("configs", CONFIGS, "main"))
    as_container = replace(container(CONFIGS, ContainerState.CREATED), labels=labels("configs", CONFIGS, "main"))
    assert swept(seen(as_volume, as_network, as_container), has_data=True) == {}


@pytest.mark.parametrize(("text", "is_known"), [("2026-01-01T00:00:00Z", True), ("2026-01-01", False), ("x", False)])
def test_an_age_that_the_engine_does_not_say_is_not_guessed(text: str, is_known: bool) -> None:
    found = plan_sweep(seen(replace(ALL[0], created_at=text)), lambda _: True)
    assert (found[0].created_at is not None) == is_known


def forged(its: Container | Volume | Network, how: str) -> Container | Volume | Network:
    """The same object, not ours."""
    if how == "unlabelled" or not its.labels:
        return replace(its, labels={})
    if how == "unsigned":
        return replace(its, labels={k: v for k, v in its.labels.items() if k != naming.SIGNATURE})
    if how == "changed":
        return replace(its, labels={**its.labels, naming.CHAT: "c9"})
    if how == "renamed":
        return replace(its, name=f"x-{its.name}")
    kind, workspace = its.labels[naming.KIND], its.labels[naming.WORKSPACE]
    theirs = dict(labels(kind, its.name, workspace, SCOPE, OTHER_INSTANCE))
    if how == "with our instance":
        theirs[naming.INSTANCE] = INSTANCE.id
    return replace(its, labels=theirs)


FORGERIES = ("unlabelled", "unsigned", "changed", "renamed", "foreign", "with our instance")


def test_in_every_combination_only_what_is_ours_and_nobodys_goes() -> None:
    """The invariants, said without the plan's own words."""
    states = (None, ContainerState.CREATED, ContainerState.EXITED, ContainerState.RUNNING)
    count = 0
    for current, incoming, outgoing in product(states, repeat=3):
        places = [
            container(name, state)
            for name, state in (
                (PLACE, current),
                (naming.incoming_name(PLACE), incoming),
                (naming.outgoing_name(PLACE), outgoing),
            )
            if state is not None
        ]
        for has_intent, knows_chat, has_data, how in product((0, 1), (0, 1), (0, 1), ("", *FORGERIES)):
            objects = (*places, *ALL, filler(filler_of(CONFIGS)))
            if how:
                objects = tuple(forged(each, how) for each in objects)
            look = seen(
                *objects,
                intents=(PLACE,) if has_intent else (),
                chats=(SCOPE,) if knows_chat else (OTHER_SCOPE,),
            )
            gone = plan_sweep(look, lambda each, has_data=has_data: bool(has_data) or not each.is_data)
            check(look, gone, has_data=bool(has_data), is_ours=not how, knows_chat=bool(knows_chat))
            count += 1
    assert count == 4**3 * 8 * 7


def check(look: Seen, gone: tuple[Leftover, ...], *, has_data: bool, is_ours: bool, knows_chat: bool) -> None:
    names = {each.name for each in gone}
    if not is_ours or look.intents:
        assert names == set()
        return
    kinds = [each.kind for each in gone]
    assert kinds == sorted(kinds, key=list(LeftoverKind).index)
    ran = [each for each in look.containers if each.state is not ContainerState.CREATED]
    if knows_chat:
        assert names.isdisjoint(each.name for each in ran)
    if ran and knows_chat:
        assert names.isdisjoint({CONFIGS, VOLUME, NET})
    else:
        assert {CONFIGS, NET, SHARED} <= names
    assert (VOLUME in names) <= has_data
    assert {each.name for each in look.containers if each.state is ContainerState.CREATED} <= names
