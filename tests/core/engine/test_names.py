"""What may stand in a request to the engine."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis.strategies import from_regex, text

from ws_mcp.core.engine.names import (
    checked_archive,
    checked_id,
    checked_image,
    checked_name,
    checked_path,
    repository_and_tag,
)
from ws_mcp.core.errors import InvalidArgumentError

DIGEST = "sha256:" + "a1" * 32


@pytest.mark.parametrize(
    "reference",
    [
        "busybox",
        "busybox:1",
        "a/b/c:Tag_1.2-x",
        "localhost/x",
        "registry.example.com:5000/team/app:v1",
        f"debian@{DIGEST}",
        f"r.io/a/b:1@{DIGEST}",
        DIGEST,
        "a1" * 32,
        "a__b.c--d",
    ],
)
def test_references_as_people_write_them_are_taken(reference: str) -> None:
    assert checked_image(reference) == reference


@given(reference=text(max_size=40))
def test_no_reference_is_an_option_or_leaves_the_path(reference: str) -> None:
    try:
        checked_image(reference)
    except InvalidArgumentError:
        return
    assert not reference.startswith(("-", "/", "."))
    assert not set(reference) & set(" \t\r\n\0?#%\\")
    assert ".." not in reference.split("/")


@given(name=text(max_size=40))
def test_no_name_leaves_its_place_in_a_path(name: str) -> None:
    try:
        checked_name("volume", name)
    except InvalidArgumentError:
        return
    assert name.isascii()
    assert name[0].isalnum()
    assert not set(name) & set("/?#% \n\0")


@given(container=from_regex(r"[0-9a-f]{60,68}", fullmatch=True))
def test_an_id_has_64_digits(container: str) -> None:
    if len(container) == 64:
        assert checked_id(container) == container
    else:
        with pytest.raises(InvalidArgumentError):
            checked_id(container)


@pytest.mark.parametrize("name", ["a\n", "A" * 64 + "\n", ""])
def test_a_line_end_is_part_of_no_name(name: str) -> None:
    with pytest.raises(InvalidArgumentError):
        checked_name("container", name)
    with pytest.raises(InvalidArgumentError):
        checked_id(name)


@pytest.mark.parametrize("path", ["", "relative", "/a\0b", "/" + "x" * 5000])
def test_a_path_in_a_container_is_absolute(path: str) -> None:
    with pytest.raises(InvalidArgumentError):
        checked_path(path)


def test_an_archive_is_not_compressed() -> None:
    assert checked_archive(b"\0" * 1024) == b"\0" * 1024
    with pytest.raises(InvalidArgumentError):
        checked_archive(b"\x1f\x8b\x08")


def test_a_reference_has_a_tag() -> None:
    assert repository_and_tag("a/b:1") == ("a/b", "1")
    assert repository_and_tag("h:5000/b") == ("h:5000/b", "latest")
    assert repository_and_tag("b") == ("b", "latest")
