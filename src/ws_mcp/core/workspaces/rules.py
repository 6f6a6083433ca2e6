"""What the operator lets workspaces be: images, tiers, sizes, directories (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

from ws_mcp.core.errors import ForbiddenError, InvalidArgumentError
from ws_mcp.core.workspaces.model import Sizes
from ws_mcp.core.workspaces.tiers import DEFAULT_TIER, Tier, granted

LARGEST = Sizes(memory_mib=8192, cpus=8.0, pids=4096, tmpfs_mib=1024, log_mib=100)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkspaceRules:
    """The operator's choices. An empty tuple or mapping allows nothing of its kind."""

    max_tier: int = DEFAULT_TIER
    sizes: Mapping[int, Sizes] = field(default_factory=dict[int, Sizes])  # by tier, in place of the tier's own
    largest: Sizes = LARGEST  # that a request may name
    runtimes: Mapping[str, str] = field(default_factory=dict[str, str])  # name: image
    default_image: str = ""
    may_pull: bool = False
    roots: tuple[Path, ...] = ()  # below which folders and worker binaries may be
    templates: Mapping[str, Path] = field(default_factory=dict[str, Path])
    homes: Mapping[str, Path] = field(default_factory=dict[str, Path])
    server_url: str = ""
    container_runtime: str = ""  # "" = the engine's default; runsc, kata
    workspaces: int = 16  # of one chat
    keep_ended: int = 100
    idle_stop_s: int = 0  # of a workspace that does not say itself after how long; 0: never

    def image_of(self, runtime: str) -> str:
        """The image that a runtime name stands for.

        Raises:
            InvalidArgumentError
        """
        if runtime not in self.runtimes:
            known = ", ".join(sorted(self.runtimes)) or "none"
            raise InvalidArgumentError(f"there is no runtime {runtime[:60]!r}; there are: {known}. Or give `image`")
        return self.runtimes[runtime]

    def level(self, number: int) -> Tier:
        """A tier as it is here: granted, with the operator's sizes.

        Raises:
            InvalidArgumentError, ForbiddenError
        """
        found = granted(number, self.max_tier)
        return replace(found, sizes=_laid_over(self.sizes.get(number, Sizes()), found.sizes))

    def sizes_of(self, number: int, asked: Sizes) -> Sizes:
        """The sizes of a container of a tier.

        Raises:
            ForbiddenError: more than the operator lets a request name.
        """
        for each in fields(Sizes):
            most, wanted = getattr(self.largest, each.name), getattr(asked, each.name)
            if wanted < 0:
                raise InvalidArgumentError(f"{each.name} is {wanted}: it must be more than 0")
            if wanted > most:
                raise ForbiddenError(
                    f"{each.name} {wanted} is more than this server allows: at most {most}; ask for less, or let the "
                    f"operator raise it with --largest {each.name}={wanted}"
                )
        return _laid_over(asked, self.level(number).sizes)


def named(kind: str, name: str, known: Mapping[str, Path]) -> Path:
    """The directory that the operator gave this name.

    Raises:
        InvalidArgumentError: no such name; which there are is not said, since it may be somebody else's business.
    """
    if name not in known:
        raise InvalidArgumentError(
            f"there is no {kind} {name[:60]!r}; the operator names them with --{kind} NAME=DIRECTORY"
        )
    return known[name]


def _laid_over(upper: Sizes, lower: Sizes) -> Sizes:
    return Sizes(**{each.name: getattr(upper, each.name) or getattr(lower, each.name) for each in fields(Sizes)})
