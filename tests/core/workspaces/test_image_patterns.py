"""Which images a list of patterns lets through: by the name that is asked for, and by what it leads to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis.strategies import from_regex
from support.policies import DIGEST, OTHER_DIGEST

from ws_mcp.core.engine.model import Image
from ws_mcp.core.workspaces.image_patterns import is_pattern, may_be_named, may_be_used

PINNED = f"ghcr.io/x/ws@{DIGEST}"


def image(*tags: str, digest: str = "", name: str = "ghcr.io/x/ws") -> Image:
    digests = (f"{name}@{digest}",) if digest else ()
    return Image(id="sha256:" + "1" * 64, tags=tags, architecture="amd64", digests=digests)


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("*", "whatever.example:5000/a/b/c:d"),
        ("debian", "debian"),
        ("debian", "debian:13"),
        ("debian:latest", "debian"),
        ("debian", "docker.io/library/debian:13"),
        ("docker.io/library/debian", "debian"),
        ("debian:1*", "debian:13-slim"),
        ("ghcr.io/x/*", "ghcr.io/x/ws:v2"),
        ("127.0.0.1:5000/*:v1", "127.0.0.1:5000/ws:v1"),
        ("me/tool", "docker.io/me/tool"),
        (PINNED, "ghcr.io/x/ws"),
        (PINNED, "ghcr.io/x/ws:v2"),
        (PINNED, f"ghcr.io/x/ws@{DIGEST}"),
        (f"ghcr.io/x/ws:v2@{DIGEST}", f"ghcr.io/x/ws@{DIGEST}"),
        (f"ghcr.io/x/ws:v2@{DIGEST}", "ghcr.io/x/ws:v2"),
    ],
)
def test_a_name_that_is_listed_may_be_asked_for(pattern: str, name: str) -> None:
    assert is_pattern(pattern)
    assert may_be_named([pattern], name)


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("debian", "evil/debian"),
        ("debian", "evil.example/debian"),
        ("debian*", "debian.evil.example/x"),
        ("debian:13", "debian"),
        ("debian:13", "debian:14"),
        ("debian:13", f"debian:13@{OTHER_DIGEST}"),
        ("ghcr.io/x/*", "ghcr.io/x/y/z"),
        ("ghcr.io/x/*", "docker.io/ghcr.io/x/ws"),
        ("localhost/*", "docker.io/localhost/x"),
        ("ghcr.io/x/ws", "ghcr.io/x/wsx"),
        ("ghcr.io/x/ws", "ghcrXio/x/ws"),
        (PINNED, f"ghcr.io/x/ws@{OTHER_DIGEST}"),
        (f"ghcr.io/x/ws:v2@{DIGEST}", "ghcr.io/x/ws:v3"),
    ],
)
def test_a_name_that_is_not_listed_may_not(pattern: str, name: str) -> None:
    assert not may_be_named([pattern], name)


def test_nothing_may_be_named_where_nothing_is_listed() -> None:
    assert not may_be_named([], "debian")


def test_what_a_digest_pins_is_the_image_and_not_its_name() -> None:
    good, moved = image("ghcr.io/x/ws:v2", digest=DIGEST), image("ghcr.io/x/ws:v2", digest=OTHER_DIGEST)
    assert may_be_used([PINNED], "ghcr.io/x/ws:v2", good)
    assert not may_be_used([PINNED], "ghcr.io/x/ws:v2", moved)
    assert not may_be_used([PINNED], "ghcr.io/x/ws:v2", image("ghcr.io/x/ws:v2"))


def test_an_image_that_was_built_here_is_pinned_by_its_id() -> None:
    built = image("ws:1")
    assert may_be_used([f"ws@{built.id}"], "ws:1", built)


def test_a_name_that_only_begins_an_id_does_not_lead_past_the_list() -> None:
    secret = image("secret:1")
    assert not may_be_used(["1*"], "1111", secret)
    assert may_be_used(["*"], "1111", secret)


def test_an_image_that_has_lost_its_name_is_known_by_the_container_that_was_made_from_it() -> None:
    assert may_be_used(["img"], "img:1", image(), is_named=False)
    assert not may_be_used(["img"], "img:1", image())
    assert not may_be_used([f"img@{DIGEST}"], "img:1", image(), is_named=False)


def test_an_image_is_found_by_its_digest_under_any_name_of_it() -> None:
    assert may_be_used([PINNED], f"ghcr.io/x/ws@{DIGEST}", image(digest=DIGEST))
    assert may_be_used(["*@" + DIGEST], f"mirror@{DIGEST}", image(digest=DIGEST))


def test_what_podman_built_is_meant_by_its_short_name() -> None:
    assert may_be_used(["ws"], "ws:1", image("localhost/ws:1"))
    assert not may_be_used(["ws"], "ws:1", image("evil.example/ws:1"))


@pytest.mark.parametrize("text", ["", "-x", "a b", "a@sha256:1", "a@md5:" + "1" * 64, "a:", "[a]", "a?", "a\n"])
def test_what_is_no_pattern_is_told_apart(text: str) -> None:
    assert not is_pattern(text)


@given(name=from_regex(r"[a-z]{1,8}(?:\.[a-z]{2})?(?:/[a-z]{1,8}){0,2}(?::[a-z0-9]{1,4})?", fullmatch=True))
def test_a_name_is_a_pattern_of_itself(name: str) -> None:
    assert is_pattern(name)
    assert may_be_named([name], name)
    assert not may_be_named([name + "x"], name)
