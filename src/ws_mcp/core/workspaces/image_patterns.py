"""Which images a workspace may be made from: patterns of names, and digests that nobody can move (pure).

A pattern is NAME, NAME:TAG, or either with @sha256:DIGEST. A `*` in it stands for any characters but `/`; without a tag
every tag is meant. `*` alone is every image.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from ws_mcp.core.engine.model import Image
from ws_mcp.core.engine.names import plain_image, repository_and_tag

ANY = "*"
_PATTERN = re.compile(
    r"[a-zA-Z0-9*][a-zA-Z0-9*._/-]*(?::[0-9]+/[a-z0-9*][a-z0-9*._/-]*)?(?::[\w*.-]+)?(@sha256:[0-9a-f]{64})?"
)
_LOCAL = "localhost/"  # Podman's registry of what was built here


@dataclass(frozen=True, slots=True)
class _Reference:
    repository: str
    tag: str  # "" where none is named
    digest: str

    @property
    def name(self) -> str:
        return f"{self.repository}:{self.tag or 'latest'}"


def is_pattern(text: str) -> bool:
    """Whether it can be a pattern of images."""
    return _PATTERN.fullmatch(text) is not None


def may_be_named(patterns: Iterable[str], reference: str) -> bool:
    """Whether an image of this name may be, before anybody has looked at the image."""
    asked = _read(reference)
    return any(_has_name(pattern, asked) for pattern in patterns)


def may_be_used(patterns: Iterable[str], reference: str, image: Image, *, is_named: bool = True) -> bool:
    """Whether `image` may be, to which `reference` led; it did so by its name (`is_named`), or was known before."""
    asked = _read(reference)
    fitting = [pattern for pattern in patterns if _has_name(pattern, asked)]
    if ANY in fitting:
        return True
    if is_named and not _carries(image, asked):
        return False  # the engine took the name for the beginning of an id
    return any(_has_digest(pattern, image) for pattern in fitting)


def _read(text: str) -> _Reference:
    name, _, digest = text.partition("@")
    repository, tag = repository_and_tag(_plain(name))
    return _Reference(repository, tag if _plain(name) != repository else "", digest)


def _plain(name: str) -> str:
    plain = plain_image(name)
    host, slash, _ = plain.partition("/")
    # What follows Docker's own registry is a name there, however much it looks like another registry.
    is_other_registry = bool(slash) and (host == "localhost" or "." in host or ":" in host)
    return name if plain != name and is_other_registry else plain


def _has_name(pattern: str, asked: _Reference) -> bool:
    if pattern == ANY:
        return True
    wanted = _read(pattern)
    if asked.digest and wanted.digest not in ("", asked.digest):
        return False
    if not _fits(wanted.repository, asked.repository):
        return False
    if asked.digest and not asked.tag:
        return bool(wanted.digest) or not wanted.tag
    # A tag beside a digest is only said, never looked up: it shows nothing about the image.
    is_shown = not asked.digest or bool(wanted.digest)
    return not wanted.tag or (is_shown and _fits(wanted.tag, asked.tag or "latest"))


def _fits(pattern: str, text: str) -> bool:
    return re.fullmatch("[^/]*".join(map(re.escape, pattern.split("*"))), text) is not None


def _has_digest(pattern: str, image: Image) -> bool:
    digest = _read(pattern).digest
    return not digest or image.id == digest or any(each.endswith(f"@{digest}") for each in image.digests)


def _carries(image: Image, asked: _Reference) -> bool:
    if asked.digest:
        return image.id == asked.digest or any(each.endswith(f"@{asked.digest}") for each in image.digests)
    return any(_plain(tag) in (asked.name, _LOCAL + asked.name) for tag in image.tags)
