"""Names of dev containers: unique, safe, and the same tomorrow."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis.strategies import dictionaries, lists, sampled_from, sets, text

from ws_mcp.core.devcontainers.model import Key
from ws_mcp.core.devcontainers.names import MAX_LENGTH, config_name, names_of, safe_name
from ws_mcp.core.workspaces.naming import workspace_name

MAIN = ".devcontainer/devcontainer.json"


def key(folder: str, config: str = MAIN) -> Key:
    return Key(folder=folder, config=f"{folder}/{config}")


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("/home/ann/shop", "shop"),
        ("/home/ann/Shop", "shop"),
        ("/home/ann/my_shop", "my-shop"),
        ("/home/ann/my shop", "my-shop"),
        ("/home/ann/my.shop.io", "my-shop-io"),
        ("/home/ann/my--shop", "my-shop"),
        ("/home/ann/_shop_", "shop"),
        ("/home/ann/-shop-", "shop"),
        ("/home/ann/.shop", "shop"),
        ("/home/ann/shop@2.1", "shop-2-1"),
        ("/home/ann/shop__2", "shop-2"),
        ("/home/ann/123", "123"),
        ("/home/ann/1shop", "1shop"),
        ("/home/ann/s", "s"),
        ("/home/ann/café", "caf"),
        ("/home/ann/Ünïcode", "n-code"),
        ("/home/ann/проект", "ann"),
        ("/home/ann/店", "ann"),
        ("/home/ann/🚀rocket", "rocket"),
        ("/home/ann/a🚀b", "a-b"),
        ("/home/ann/!!!", "ann"),
        ("/home/ann/---", "ann"),
        ("/home/ann/$(rm -rf)", "rm-rf"),
        ("/home/ann/a\nb", "a-b"),
        ("/home/ann/a\tb", "a-b"),
        ("/home/ann/K", "k"),  # KELVIN SIGN becomes k
        ("/home/ann/İstanbul", "i-stanbul"),
        ("/home/ann/" + "x" * 63, "x" * 63),
        ("/home/ann/" + "x" * 64, "x" * 63),
        ("/home/ann/" + "x" * 62 + "-y", "x" * 62),
        ("/home/ann/" + "_" * 70 + "shop", "shop"),
        ("/shop", "shop"),
    ],
)
def test_a_folder_gives_a_safe_name(folder: str, name: str) -> None:
    only = key(folder)
    assert names_of([only], {}) == {only: name}


@pytest.mark.parametrize("folder", ["/", "/🚀", "/!!!/???"])
def test_a_folder_without_a_usable_character_gets_a_name_still(folder: str) -> None:
    name = names_of([key(folder)], {})[key(folder)]
    assert name.startswith("devcontainer-")
    workspace_name(name)


def test_who_comes_second_gets_the_parent_into_the_name() -> None:
    one, two, three = key("/a/x/shop"), key("/b/x/shop"), key("/b/y/shop")
    assert names_of([three, two, one], {}) == {one: "shop", two: "x-shop", three: "y-shop"}


def test_names_that_meet_grow_by_up_to_five_parents_and_then_take_a_hash() -> None:
    taken = ["shop", "e-shop", "d-e-shop", "c-d-e-shop", "b-c-d-e-shop"]
    deep = key("/z/a/b/c/d/e/shop")
    assert names_of([deep], {}, taken) == {deep: "a-b-c-d-e-shop"}
    hashed = names_of([deep], {}, [*taken, "a-b-c-d-e-shop"])[deep]
    assert hashed.startswith("shop-")
    assert len(hashed) == len("shop-") + 8


def test_a_folder_with_several_definitions_names_them_after_their_own_folders() -> None:
    main = key("/p/shop")
    python, node = (key("/p/shop", f".devcontainer/{name}/devcontainer.json") for name in ("Python 3", "node"))
    assert names_of([main, python, node], {}) == {main: "shop", python: "shop-python-3", node: "shop-node"}


def test_a_named_definition_that_is_alone_is_named_after_the_folder() -> None:
    only = key("/p/shop", ".devcontainer/python/devcontainer.json")
    assert names_of([only], {}) == {only: "shop"}


def test_two_places_of_a_main_definition_do_not_meet() -> None:
    names = names_of([key("/p/shop"), key("/p/shop", ".devcontainer.json")], {})
    assert sorted(names.values()) == ["p-shop", "shop"]


@pytest.mark.parametrize(
    ("config", "name"),
    [(MAIN, ""), (".devcontainer.json", ""), (".devcontainer/py/devcontainer.json", "py"), ("x/devcontainer.json", "")],
)
def test_only_a_definition_in_a_folder_of_its_own_has_a_name(config: str, name: str) -> None:
    assert config_name(key("/p/shop", config)) == name


def test_a_name_that_was_given_is_kept_when_a_project_comes_that_would_sort_before_it() -> None:
    old, new = key("/b/shop"), key("/a/shop")
    assert names_of([old, new], {old: "shop"}) == {old: "shop", new: "a-shop"}


def test_a_second_definition_does_not_rename_the_first() -> None:
    python = key("/p/shop", ".devcontainer/python/devcontainer.json")
    names = names_of([python, key("/p/shop")], {python: "shop"})
    assert names == {python: "shop", key("/p/shop"): "p-shop"}


@pytest.mark.parametrize("name", ["", "-a", "a-", "A", "a b", "a_b", "x" * 64, "ä", "a\n"])
def test_a_name_from_outside_that_is_none_is_not_kept(name: str) -> None:
    assert names_of([key("/p/shop")], {key("/p/shop"): name}) == {key("/p/shop"): "shop"}


def test_a_name_that_was_given_twice_stays_with_one() -> None:
    one, two = key("/a/shop"), key("/b/shop")
    assert names_of([one, two], {one: "x", two: "x"}) == {one: "x", two: "shop"}


def test_even_where_all_hashes_are_taken_there_is_a_name() -> None:
    only, taken = key("/s"), set[str]()
    for _ in range(12):
        name = names_of([only], {}, taken)[only]
        assert name not in taken
        workspace_name(name)
        taken.add(name)


FOLDERS = lists(sampled_from(["a", "b", "Ä", "!", "x" * 70, "a b", "-"]), min_size=1, max_size=9).map(
    lambda parts: "/" + "/".join(parts)
)
NAMED = [f".devcontainer/{name}/devcontainer.json" for name in ("a", "!")]
CONFIGS = sampled_from([MAIN, ".devcontainer.json", *NAMED])
KEYS = sets(FOLDERS.flatmap(lambda folder: CONFIGS.map(lambda config: key(folder, config))), max_size=12)


@given(
    keys=KEYS, given_names=dictionaries(KEYS.filter(bool).map(min), text(max_size=5), max_size=3), taken=sets(text())
)
def test_names_are_unique_and_safe_and_not_those_of_others(
    keys: set[Key], given_names: dict[Key, str], taken: set[str]
) -> None:
    names = names_of(keys, given_names, taken)
    assert set(names) == keys
    assert len(set(names.values())) == len(keys)
    assert not taken & set(names.values())
    for name in names.values():
        assert len(name) <= MAX_LENGTH
        workspace_name(name)


@given(before=KEYS, new=KEYS, gone=KEYS)
def test_nobody_is_renamed_when_others_come_and_go(before: set[Key], new: set[Key], gone: set[Key]) -> None:
    names = names_of(before, {})
    later = names_of((before - gone) | new, names)
    assert {k: later[k] for k in before - gone} == {k: names[k] for k in before - gone}


@given(text(max_size=100))
def test_a_safe_text_stays_what_it_is(anything: str) -> None:
    assert safe_name(safe_name(anything)) == safe_name(anything)
