"""The engine door's files: archives into containers and out of them."""

from __future__ import annotations

from ws_mcp.core.engine.calls import EngineCalls
from ws_mcp.core.engine.faults import Call
from ws_mcp.core.engine.names import checked_archive, checked_id, checked_path
from ws_mcp.core.engine.sdk import Sdk, archive, archive_url
from ws_mcp.core.errors import EngineError
from ws_mcp.core.ids import ContainerId


class EngineFiles(EngineCalls):
    """See `port.Engine`."""

    async def put_archive(self, container: ContainerId, path: str, tar: bytes) -> None:
        checked_id(container)
        checked_path(path)
        checked_archive(tar)
        is_podman = (await self._target()).is_podman

        def put(sdk: Sdk) -> None:
            if is_podman:
                # Podman makes a directory that is missing.
                url = archive_url(sdk, container)
                sdk.head(url, params={"path": path}, timeout=sdk.timeout).raise_for_status()
            sdk.put_archive(container, path, tar)

        await self._act(Call.PUT, f"{container[:12]}:{path}", put)

    async def get_archive(self, container: ContainerId, path: str, limit_bytes: int) -> bytes:
        checked_id(container)
        checked_path(path)
        found = await self._look(
            Call.GET,
            f"{container[:12]}:{path}",
            lambda sdk: archive(sdk, container, path, limit_bytes),
            self._deadlines.act_s,
        )
        if found is None:
            raise EngineError(f"{path!r} in container {container[:12]} is larger than {limit_bytes} bytes")
        return found
