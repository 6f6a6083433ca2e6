"""Which images the engine has that a principal may use, and that a container really was made from the one meant."""

from __future__ import annotations

from ws_mcp.core.engine.fill import EMPTY_IMAGE
from ws_mcp.core.engine.model import Image
from ws_mcp.core.engine.port import Engine
from ws_mcp.core.errors import ConflictError
from ws_mcp.core.ids import ContainerId, WorkspaceName
from ws_mcp.core.workspaces.image_patterns import ANY, may_be_named
from ws_mcp.core.workspaces.rules import WorkspaceRules


async def which_image(engine: Engine, workspace: WorkspaceName, rules: WorkspaceRules) -> str:
    """What to say to a caller who names no image."""
    there = (tag for image in await engine.list_images() for tag in image.tags if tag != EMPTY_IMAGE)
    tags = sorted(tag for tag in there if may_be_named(rules.images, tag))
    have = f"the engine has {', '.join(tags[:10])}" if tags else "the engine has none yet (docker pull, docker build)"
    return f"say which image workspace {workspace!r} is made from; {have}"


async def check_made_from(engine: Engine, container: ContainerId, image: Image, rules: WorkspaceRules) -> None:
    """That the name still meant the image that was checked when the engine made the container, which never ran yet.

    Raises:
        ConflictError
    """
    if ANY in rules.images:
        return
    found = await engine.inspect(container)
    if found.image_id != image.id:
        raise ConflictError(
            f"image {found.image} came to mean another one ({found.image_id[:19]}) while the container was made; "
            "nothing was started: call again"
        )
