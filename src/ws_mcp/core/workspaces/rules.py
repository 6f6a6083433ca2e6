"""What the operator lets workspaces be, all or those of one principal: images, tiers, sizes, directories (pure)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

from ws_mcp.core.engine.model import Image
from ws_mcp.core.errors import ForbiddenError, InvalidArgumentError
from ws_mcp.core.ids import PrincipalId
from ws_mcp.core.workspaces import image_patterns
from ws_mcp.core.workspaces.model import Sizes, Workspace, WorkspaceKind
from ws_mcp.core.workspaces.mounts import Access
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
    images: tuple[str, ...] = (image_patterns.ANY,)
    may_pull: bool = False
    roots: tuple[Path, ...] = ()  # below which folders and worker binaries may be
    closed: tuple[Path, ...] = ()  # the server's own files, beside its state directory, which nobody is given
    access: Access = Access.READ_WRITE  # the most that may be had to one
    templates: Mapping[str, Path] = field(default_factory=dict[str, Path])
    homes: Mapping[str, Path] = field(default_factory=dict[str, Path])
    server_url: str = ""
    container_runtime: str = ""  # "" = the engine's default; runsc, kata
    workspaces: int = 16  # of one chat
    keep_ended: int = 100
    volume_mib: int = 0  # that the data of one may take before it is paused; 0: any
    idle_stop_s: int = 0  # of a workspace that does not say itself after how long; 0: never
    has_local: bool = True
    has_devcontainers: bool = True

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

    def check_name(self, image: str) -> None:
        """That an image of this name may be asked for, before the engine is asked anything about it.

        Raises:
            ForbiddenError
        """
        if image and not image_patterns.may_be_named(self.images, image):
            raise ForbiddenError(
                f"image {image[:200]!r} is not one that the operator's policy lets you use; "
                + (f"it lists {', '.join(self.images[:10])}" if self.images else "it lists none")
            )

    def check_image(self, name: str, image: Image, *, is_named: bool = True) -> None:
        """That this image, to which the name led now, may be used.

        Raises:
            ForbiddenError
        """
        if not image_patterns.may_be_used(self.images, name, image, is_named=is_named):
            raise ForbiddenError(
                f"image {name[:200]!r} is not the one that the operator's policy lists: it is {image.id[:19]} "
                "now, with another digest; the operator decides whether the new one may be used"
            )

    def check_local(self) -> None:
        """That local workspaces may be had.

        Raises:
            ForbiddenError
        """
        if not self.has_local:
            raise ForbiddenError(
                'the operator\'s policy gives you no local workspaces (`local` of a grant): ask for kind "container"'
            )

    def check_folder(self, access: Access) -> None:
        """That so much may be had to a folder.

        Raises:
            ForbiddenError
        """
        if _ACCESSES.index(access) > _ACCESSES.index(self.access):
            raise ForbiddenError(
                f"access {access.value!r} to a folder is more than the operator's policy gives you: at most "
                f"{self.access.value!r}"
            )

    def check_found(self, found: Workspace) -> None:
        """That work may go on in a workspace, which may have been made while more was granted.

        Raises:
            ForbiddenError
        """
        if found.tier > self.max_tier:
            raise ForbiddenError(f"it may do what tier {found.tier} may, which you are not granted now")
        if found.kind is WorkspaceKind.LOCAL:
            self.check_local()
        self.check_name(found.asked_image)
        if found.folder:
            self.check_folder(found.access)
            if not any(Path(found.folder).is_relative_to(root) for root in self.roots):
                raise ForbiddenError("its folder is not below a directory that the operator gives you now")

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


RulesOf = Callable[[PrincipalId], WorkspaceRules]
"""What one principal may, at this moment."""

_ACCESSES = (Access.NONE, Access.READ_ONLY, Access.READ_WRITE)


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
