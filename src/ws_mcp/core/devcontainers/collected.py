"""What was found of a dev container's inputs so far, and how a build adds to it. Blocking."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from ws_mcp.core.devcontainers.canonical import digest_of
from ws_mcp.core.devcontainers.contexts import context_digests
from ws_mcp.core.devcontainers.copied import MAIN, sources_of
from ws_mcp.core.devcontainers.definition import shown
from ws_mcp.core.devcontainers.dockerfile import Instruction, instructions_of
from ws_mcp.core.devcontainers.inputs import Inputs, Look, OutsideError
from ws_mcp.core.devcontainers.model import Key
from ws_mcp.core.devcontainers.port import Fingerprint
from ws_mcp.core.devcontainers.stages import build_of

GONE = "gone"  # the digest of a file that a definition names and that is not there
OUTSIDE = "it leads out of what may be read"


@dataclass(slots=True)
class Collected:
    """What was found so far."""

    key: Key
    inputs: Inputs
    look: Look
    parts: dict[str, str] = field(default_factory=dict[str, str])
    untracked: list[str] = field(default_factory=list[str])
    images: list[str] = field(default_factory=list[str])

    def shown(self, path: str) -> str:
        """A path as a person names it."""
        return shown(path, self.key.folder)

    def add(self, part: str, digest: str) -> None:
        """Note a part; one that is read in two ways (a Dockerfile for two targets) is both together."""
        before = self.parts.get(part, digest)
        self.parts[part] = digest if before == digest else digest_of(f"{before} {digest}")

    def skip(self, name: str, why: str) -> None:
        """Note what is not compared."""
        self.untracked.append(f"{name} ({why})")

    @contextmanager
    def reading(self, name: str) -> Generator[None]:
        """What leads out of the roots is not read, and said."""
        try:
            yield
        except OutsideError:
            self.skip(name, OUTSIDE)

    def fingerprint(self) -> Fingerprint:
        """All of it."""
        return Fingerprint(
            parts=dict(sorted(self.parts.items())),
            untracked=_once(self.untracked),
            images=_once(self.images),
            newest=self.look.newest,
            newest_at=self.look.newest_at,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How an image is built; paths are absolute. `inline`: the Dockerfile, where a compose file holds it."""

    dockerfile: str
    context: str
    args: Mapping[str, str | None]
    target: str = ""
    inline: str = ""
    is_base: bool = True  # whether the dev container itself is made from it
    contexts: Mapping[str, str] = field(default_factory=dict[str, str])  # others, by name in small letters


def add_build(recipe: Recipe, found: Collected) -> None:
    """The Dockerfile and what it copies."""
    name = found.shown(recipe.dockerfile)
    with found.reading(name):
        instructions = instructions_of(recipe.inline) if recipe.inline else _read(recipe.dockerfile, found)
        if instructions is None:
            found.add(f"dockerfile/{name}", GONE)
            return
        build = build_of(instructions, recipe.args, recipe.target)
        if not recipe.inline:
            found.add(f"dockerfile/{name}", digest_of(build.text))
        if recipe.is_base:
            found.images += build.images
        for context, directory in {**recipe.contexts, MAIN: recipe.context}.items():
            if sources := sources_of(build, recipe.args, context):
                dockerfile = recipe.dockerfile if context == MAIN else ""
                digests, untracked = context_digests(directory, dockerfile, sources, found.inputs, found.look)
                found.untracked += untracked
                for path, digest in digests.items():
                    found.add(f"ctx/{path}", digest)


def _read(path: str, found: Collected) -> tuple[Instruction, ...] | None:
    return found.inputs.made(path, found.look, _instructions)


def _once(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


def _instructions(text: str, _file: str) -> tuple[Instruction, ...]:
    return instructions_of(text)
