"""Names, labels and signatures."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis.strategies import text

from ws_mcp.core.errors import InvalidArgumentError
from ws_mcp.core.ids import ChatId, PlaceId, PrincipalId, Scope, WorkspaceName
from ws_mcp.core.workspaces import naming

KEY = b"k" * 32
SCOPE = Scope(principal=PrincipalId("local:0"), chat=ChatId("c1"))
MAIN = WorkspaceName("main")


def labels(name: str = "x") -> dict[str, str]:
    return naming.labels_of("i", KEY, kind="container", name=name, scope=SCOPE, workspace=MAIN, more={naming.TIER: "2"})


def test_names_that_share_their_beginning_give_different_places() -> None:
    places = {naming.place_name("i", SCOPE, WorkspaceName("a" * 60 + str(index))) for index in range(100)}
    assert len(places) == 100


@given(a=text(min_size=1), b=text(min_size=1))
def test_no_part_of_a_place_runs_into_the_next(a: str, b: str) -> None:
    if "\0" in a + b:
        return
    one = Scope(principal=PrincipalId(a + b), chat=ChatId("c"))
    two = Scope(principal=PrincipalId(a), chat=ChatId(b + "c"))
    assert naming.place_name("i", one, MAIN) != naming.place_name("i", two, MAIN)


def test_a_place_differs_by_instance_principal_chat_and_name() -> None:
    places = {
        naming.place_name("i", SCOPE, MAIN),
        naming.place_name("j", SCOPE, MAIN),
        naming.place_name("i", Scope(principal=PrincipalId("local:1"), chat=SCOPE.chat), MAIN),
        naming.place_name("i", Scope(principal=SCOPE.principal, chat=ChatId("c2")), MAIN),
        naming.place_name("i", SCOPE, WorkspaceName("other")),
    }
    assert len(places) == 5


def test_signed_labels_are_ours() -> None:
    assert naming.is_ours(KEY, "x", labels())
    assert naming.is_ours(KEY, "x", {**labels(), "maintainer": "somebody"})


@pytest.mark.parametrize(
    "change",
    [
        {naming.TIER: "4"},
        {naming.CHAT: "c2"},
        {naming.SIGNATURE: ""},
        {naming.PREFIX + "more": "1"},
        {naming.KIND: "volume"},
    ],
)
def test_a_label_that_was_changed_or_added_breaks_the_signature(change: dict[str, str]) -> None:
    assert not naming.is_ours(KEY, "x", {**labels(), **change})


def test_labels_copied_to_another_object_are_not_ours() -> None:
    assert not naming.is_ours(KEY, "y", labels("x"))


def test_labels_signed_by_another_instance_are_not_ours() -> None:
    assert not naming.is_ours(b"other" * 8, "x", labels())


def test_labels_tell_whose_it_is() -> None:
    assert naming.scope_of(labels()) == SCOPE


@pytest.mark.parametrize("name", ["main", "a", "web-1", "x.y_z", "0"])
def test_good_workspace_names_are_taken(name: str) -> None:
    assert naming.workspace_name(name) == name


@pytest.mark.parametrize("name", ["", "-v", ".", "../x", "a b", "A", "ä", "a" * 64, "x\0", "x\n"])
def test_bad_workspace_names_are_refused_with_what_is_allowed(name: str) -> None:
    with pytest.raises(InvalidArgumentError, match="1 to 63 characters"):
        naming.workspace_name(name)


def test_the_secret_of_a_place_is_its_own_and_the_verifier_does_not_show_it() -> None:
    one, two = (naming.secret_of(KEY, PlaceId(place)) for place in ("w1", "w2"))
    assert one != two
    assert naming.verifier_of(one) not in (one, two)
