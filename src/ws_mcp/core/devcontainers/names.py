"""Names of dev containers: from the folder, longer where two meet, safe wherever a workspace's name is (pure).

A name that was given stays with its dev container: who is new has to make room, not who is there. So adding a project
renames none.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import PurePosixPath

from ws_mcp.core.devcontainers.model import Key

MAX_LENGTH = 63  # of a name of a workspace, and of a label of DNS
MAX_PARENTS = 5
FALLBACK = "devcontainer"
CONFIG_FOLDER = ".devcontainer"

_UNSAFE = re.compile("[^a-z0-9]+")
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


def names_of(keys: Collection[Key], given: Mapping[Key, str], taken: Collection[str] = ()) -> dict[Key, str]:
    """A name for each of `keys`, each once and none of `taken`.

    `given`: the names of before. They are kept, first come first served in the order of the keys, unless they cannot be
    used (any more).
    """
    names: dict[Key, str] = {}
    used = set(taken)
    for key in sorted(keys):
        name = given.get(key, "")
        if _NAME.fullmatch(name) and name not in used:
            names[key] = name
            used.add(name)
    folders = [key.folder for key in keys]
    for key in sorted(set(keys) - set(names)):
        name = next(name for name in _candidates(key, is_one_of_many=folders.count(key.folder) > 1) if name not in used)
        names[key] = name
        used.add(name)
    return names


def safe_name(text: str) -> str:
    """What of a text can stand in a name; may be empty."""
    return _cut(_UNSAFE.sub("-", text.lower()).strip("-"))


def config_name(key: Key) -> str:
    """What tells a definition from others of its folder; empty for the main one."""
    parent = PurePosixPath(key.config).parent
    return safe_name(parent.name) if parent.parent.name == CONFIG_FOLDER else ""


def _candidates(key: Key, *, is_one_of_many: bool) -> Iterator[str]:
    """Ever longer names; the last ones are hashes, which do not meet but by the hand of somebody who looks for it."""
    ending = config_name(key) if is_one_of_many else ""
    parts = [safe_name(part) for part in PurePosixPath(key.folder).parts[1:]]
    for count in range(1, min(len(parts), 1 + MAX_PARENTS) + 1):
        words = [*filter(None, parts[-count:]), ending]
        # A folder without a usable character takes its parents' names as its own.
        if any(words[:-1]):
            yield _cut("-".join(filter(None, words)))
    digest = hashlib.sha256(f"{key.folder}\0{key.config}".encode(errors="surrogatepass")).hexdigest()
    base = (parts[-1] if parts else "") or FALLBACK
    for length in range(8, len(digest) + 1, 8):
        yield f"{base[: MAX_LENGTH - length - 1].strip('-')}-{digest[:length]}".strip("-")[:MAX_LENGTH]
    # Every part of the digest is taken: numbers end it for sure.
    number = 2
    while True:
        yield f"{FALLBACK}-{digest[:8]}-{number}"
        number += 1


def _cut(name: str) -> str:
    return name[:MAX_LENGTH].strip("-")
