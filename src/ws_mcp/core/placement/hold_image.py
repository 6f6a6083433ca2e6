"""The image that rooms are held with: execd alone, brought to each node by its own engine."""

from __future__ import annotations

import hashlib

import anyio
import anyio.to_thread

from ws_mcp.core.engine.fill import file_entry, tar_of
from ws_mcp.core.engine.swarm_model import NodeId
from ws_mcp.core.errors import EngineError, ImageNotFoundError
from ws_mcp.core.execd.binaries import Binary, binary
from ws_mcp.core.placement.keepers import Keeper, Keepers

ARCHITECTURES = ("amd64", "arm64")
WAIT_S = 20.0  # that a node has to take it: some megabytes over whatever leads there


def image_name() -> str:
    """The same on all nodes, whatever their architecture.

    Raises:
        NoBinaryError
    """
    digests = "".join(binary("linux", architecture).digest for architecture in ARCHITECTURES)
    return f"wsmcp-hold:{hashlib.sha256(digests.encode()).hexdigest()[:12]}"


async def ensure_everywhere(keepers: Keepers) -> frozenset[NodeId]:
    """Bring it to every node that could be chosen; returns those where no workspace may come to: they do not answer."""
    failed: set[NodeId] = set()

    async def bring(keeper: Keeper) -> None:
        with anyio.move_on_after(WAIT_S) as patience:
            try:
                await _ensure(keeper)
            except EngineError as error:
                failed.add(keeper.id)
                keepers.silent(keeper, str(error))
        if patience.cancelled_caught:
            failed.add(keeper.id)
            keepers.silent(keeper, f"it did not answer within {WAIT_S:g} s")

    async with anyio.create_task_group() as tasks:
        for keeper in await keepers.opened():
            if keeper.node is None or not keeper.node.is_ready:
                continue  # Swarm does not choose it either
            if keeper.unreachable:
                failed.add(keeper.id)
            elif not keeper.has_hold:
                tasks.start_soon(bring, keeper)
    return frozenset(failed)


async def _ensure(keeper: Keeper) -> None:
    name = image_name()
    try:
        await keeper.engine.image(name)
    except ImageNotFoundError:
        info = await keeper.engine.info()
        program = binary("linux", info.architecture)
        await keeper.engine.import_image(await anyio.to_thread.run_sync(_tar_of, program), name)
    keeper.has_hold = True


def _tar_of(program: Binary) -> bytes:
    return tar_of(file_entry("execd", program.path.read_bytes(), mode=0o755))
