"""Which containers are dev containers, and whose: labels match, and supply nothing."""

from __future__ import annotations

import json
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis.strategies import dictionaries, sampled_from, text
from support.devcontainer_values import ROOT, SHOP, SHOP_MOUNT, compose_labels, container, labels_of, metadata_label

from ws_mcp.core.devcontainers.model import Key, Sibling
from ws_mcp.core.devcontainers.sightings import (
    MAX_METADATA_BYTES,
    Ground,
    has_folder,
    inner_path_of,
    is_plain,
    metadata_of,
    sightings_of,
)
from ws_mcp.core.engine.model import BindMount, ContainerState, VolumeMount

GROUND = Ground(roots=(ROOT,))
FOLDER, CONFIG = "devcontainer.local_folder", "devcontainer.config_file"


def test_a_container_with_the_two_labels_is_a_dev_container() -> None:
    one = container()
    (found,) = sightings_of([one, container("other", {})], GROUND)
    assert (found.key, found.container, found.siblings, found.warnings) == (SHOP, one, (), ())


def test_dev_containers_come_in_the_order_of_their_folders() -> None:
    keys = [Key(folder=f"{ROOT}/{name}", config=f"{ROOT}/{name}/.devcontainer.json") for name in "cab"]
    seen = sightings_of([container(key.folder, labels_of(key)) for key in keys], GROUND)
    assert [each.key for each in seen] == sorted(keys)


def test_two_definitions_of_one_folder_are_two_dev_containers() -> None:
    other = Key(folder=SHOP.folder, config=f"{SHOP.folder}/.devcontainer/py/devcontainer.json")
    seen = sightings_of([container("a"), container("b", labels_of(other))], GROUND)
    assert {each.key: each.container.name for each in seen} == {SHOP: "a", other: "b"}


@pytest.mark.parametrize(
    ("folder", "config"),
    [
        ("/tmp/evil", "/tmp/evil/.devcontainer.json"),
        ("/home/annex/shop", "/home/annex/shop/.devcontainer.json"),
        ("/home", "/home/.devcontainer.json"),
        ("/", "/.devcontainer.json"),
        (f"{ROOT}/../bob", f"{ROOT}/../bob/.devcontainer.json"),
        (f"{ROOT}/shop", "/etc/devcontainer.json"),
        (f"{ROOT}/shop", f"{ROOT}/../evil/.devcontainer.json"),
        (f"{ROOT}//shop", SHOP.config),
        (f"{ROOT}/shop/", SHOP.config),
        (f"{ROOT}/./shop", SHOP.config),
        ("home/ann/shop", SHOP.config),
        ("", SHOP.config),
        (f"{ROOT}/shop\n", SHOP.config),
        (f"{ROOT}/\u202eshop", SHOP.config),
        ("C:\\Users\\ann\\shop", "C:\\Users\\ann\\shop\\.devcontainer.json"),
        (r"\\wsl.localhost\Debian\home\ann\shop", "/home/ann/shop/.devcontainer.json"),
    ],
)
def test_what_is_not_below_a_root_is_none_of_ours(folder: str, config: str) -> None:
    seen = sightings_of([container("evil", {FOLDER: folder, CONFIG: config})], GROUND)
    assert seen == ()


def test_without_roots_no_dev_container_is_ours() -> None:
    seen = sightings_of([container()], Ground(roots=()))
    assert seen == ()


def test_a_path_that_goes_through_a_link_is_where_the_link_leads() -> None:
    links = {"/home/a": f"{ROOT}/shop", "/home/a/.devcontainer/devcontainer.json": SHOP.config, f"{ROOT}/out": "/etc"}
    ground = Ground(roots=(ROOT,), links=links)
    through = {FOLDER: "/home/a", CONFIG: "/home/a/.devcontainer/devcontainer.json"}
    out = {FOLDER: f"{ROOT}/out", CONFIG: SHOP.config}
    seen = sightings_of([container("in", through), container("out", out)], ground)
    assert [each.key for each in seen] == [SHOP]


def test_an_old_container_without_a_config_label_is_the_folders_only_definition() -> None:
    old = container(labels={FOLDER: SHOP.folder})
    second = Key(folder=SHOP.folder, config=f"{SHOP.folder}/.devcontainer.json")
    known = frozenset({SHOP, Key(folder="/other", config="/other/.devcontainer.json")})
    assert [each.key for each in sightings_of([old], Ground(roots=(ROOT,), known=known))] == [SHOP]
    assert sightings_of([old], Ground(roots=(ROOT,), known=known | {second})) == ()
    assert sightings_of([old], GROUND) == ()


def test_of_two_with_one_key_the_running_newest_one_wins_in_whatever_order_they_come() -> None:
    ones = [
        container("dead-new", state=ContainerState.EXITED, age_s=1),
        container("paused", state=ContainerState.PAUSED, age_s=2),
        container("old", age_s=40),
        container("new", age_s=30),
        container("dead-old", state=ContainerState.EXITED, age_s=50),
    ]
    for order in permutations(ones):
        (found,) = sightings_of(order, GROUND)
        assert found.container.name == "new"
        assert [each.name for each in found.siblings] == ["old", "paused", "dead-new", "dead-old"]
        assert all(each.is_duplicate for each in found.siblings)
        (warning,) = found.warnings
        assert "4 more containers" in warning
        assert "'new' counts" in warning


def test_one_that_merely_carries_the_labels_never_takes_the_place_of_one_with_the_folder() -> None:
    real = container("real", state=ContainerState.EXITED, mounts=(SHOP_MOUNT,))
    image_says_so = container("image-says-so", mounts=())
    for order in permutations([real, image_says_so]):
        (found,) = sightings_of(order, GROUND)
        assert (found.container.name, [each.name for each in found.duplicates]) == ("real", ["image-says-so"])


def test_a_workspace_is_no_dev_container_whatever_its_image_says() -> None:
    assert sightings_of([container("workspace", labels_of() | {"dev.ws-mcp.workspace": "main"})], GROUND) == ()


def test_of_two_dead_ones_the_newer_one_counts() -> None:
    dead = [container(name, state=ContainerState.EXITED, age_s=age) for name, age in (("a", 2), ("b", 1))]
    (found,) = sightings_of(dead, GROUND)
    assert (found.container.name, [each.name for each in found.duplicates]) == ("b", ["a"])
    assert "1 more container of this" in found.warnings[0]


def test_side_containers_belong_to_their_project() -> None:
    app = container("shop-app", {**labels_of(), **compose_labels("shop", "app")})
    beside = [
        container("shop-db", compose_labels("shop", "db")),
        container("shop-cache", compose_labels("shop", "cache"), ContainerState.EXITED),
        container("other-db", compose_labels("other", "db")),
    ]
    (found,) = sightings_of([app, *beside], GROUND)
    assert found.project == "shop"
    assert found.siblings == (Sibling(name="shop-cache", state="exited"), Sibling(name="shop-db", state="running"))


def test_a_duplicate_of_the_same_project_is_named_once() -> None:
    labels = {**labels_of(), **compose_labels("shop", "app")}
    (found,) = sightings_of([container("a", labels), container("b", labels, age_s=1)], GROUND)
    assert [(each.name, each.is_duplicate) for each in found.siblings] == [("b", True)]


def test_two_dev_containers_of_one_project_are_not_members_of_each_other() -> None:
    other = Key(folder=SHOP.folder, config=f"{SHOP.folder}/.devcontainer/web/devcontainer.json")
    ones = [
        container("app", {**labels_of(), **compose_labels("shop", "app")}),
        container("web", {**labels_of(other), **compose_labels("shop", "web")}),
    ]
    assert [each.siblings for each in sightings_of(ones, GROUND)] == [(), ()]


@pytest.mark.parametrize("where", ["/srv/prod", "", "/home/annex", f"{ROOT}/../srv/prod"])
def test_a_project_of_another_place_is_not_drawn_in_by_a_forged_label(where: str) -> None:
    forged = container("evil", {**labels_of(), **compose_labels("prod", "app", f"{ROOT}/shop")})
    prod = container("prod-db", compose_labels("prod", "db", where))
    (found,) = sightings_of([forged, prod], GROUND)
    assert found.members == ()


def test_what_a_test_run_made_is_left_out_unless_it_is_asked_for() -> None:
    tested = container("t", labels_of(**{"devcontainer.is_test_run": "true"}))
    assert sightings_of([tested], GROUND) == ()
    assert len(sightings_of([tested], GROUND, {"devcontainer.is_test_run": "true"})) == 1
    assert len(sightings_of([container("t", labels_of(**{"devcontainer.is_test_run": "false"}))], GROUND)) == 1


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        ({}, ["a", "b"]),
        ({"team": "x"}, ["a", "b"]),
        ({"team": ""}, ["a", "b"]),
        ({"team": "x", "stage": "1"}, ["a"]),
        ({"team": "x", "stage": "2"}, []),
        ({"other": ""}, []),
    ],
)
def test_all_label_filters_have_to_match(filters: dict[str, str], names: list[str]) -> None:
    other = Key(folder=f"{ROOT}/b", config=f"{ROOT}/b/.devcontainer.json")
    ones = [container("a", labels_of(team="x", stage="1")), container("b", labels_of(other, team="x"))]
    assert sorted(each.container.name for each in sightings_of(ones, GROUND, filters)) == names


@pytest.mark.parametrize(
    ("label", "entries"),
    [
        ('[ {"remoteUser":"dev"} ]', ({"remoteUser": "dev"},)),
        ('{"remoteUser":"dev"}', ({"remoteUser": "dev"},)),
        ('[{"id":"./tool"},{"remoteUser":"dev"}]', ({"id": "./tool"}, {"remoteUser": "dev"})),
        ("[]", ()),
        ("", ()),
        ("  ", ()),
        ("[", None),
        ("[1]", None),
        ("null", None),
        ('"x"', None),
        ("[" * 100_000, None),
        (json.dumps([{"a": "x" * MAX_METADATA_BYTES}]), None),
    ],
)
def test_the_metadata_label_is_read_in_all_its_forms(label: str, entries: tuple[object, ...] | None) -> None:
    assert metadata_of({"devcontainer.metadata": label}) == entries


def test_no_metadata_is_no_fault_and_unreadable_metadata_is_said() -> None:
    assert metadata_of({}) == ()
    (found,) = sightings_of([container(labels=labels_of(**{"devcontainer.metadata": "{"}))], GROUND)
    assert "devcontainer.metadata label cannot be read" in found.warnings[0]
    (well,) = sightings_of([container(labels={**labels_of(), **metadata_label({"remoteUser": "dev"})})], GROUND)
    assert well.warnings == ()


def test_the_folder_is_found_where_it_is_mounted() -> None:
    repository = BindMount(source=ROOT, target="/workspaces/ann")
    whole = BindMount(source="/", target="/host")
    assert inner_path_of(container(mounts=(SHOP_MOUNT,)), SHOP.folder) == "/workspaces/shop"
    assert inner_path_of(container(mounts=(repository,)), SHOP.folder) == "/workspaces/ann/shop"
    assert inner_path_of(container(mounts=(repository, SHOP_MOUNT)), SHOP.folder) == "/workspaces/shop"
    assert inner_path_of(container(mounts=(whole,)), SHOP.folder) is None
    assert not has_folder(container(mounts=()), SHOP.folder)
    assert not has_folder(container(mounts=(VolumeMount(volume="shop", target="/workspaces/shop"),)), SHOP.folder)
    assert not has_folder(container(mounts=(BindMount(source=f"{SHOP.folder}/src", target="/x"),)), SHOP.folder)


PATHS = sampled_from([ROOT, SHOP.folder, SHOP.config, "/", "/etc", f"{ROOT}/..", "", "\0", "C:\\x", "//x"])
NAMES = sampled_from([FOLDER, CONFIG, "devcontainer.metadata", *compose_labels("p", "s")])


@given(labels=dictionaries(NAMES, PATHS | text(max_size=8)))
def test_no_labels_bring_a_folder_of_others_in(labels: dict[str, str]) -> None:
    seen = sightings_of([container("x", labels)], GROUND)
    for each in seen:
        assert all(is_plain(path) and f"{path}/".startswith(f"{ROOT}/") for path in (each.key.folder, each.key.config))
