"""The engine door's volumes."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from ws_mcp.core.engine import answers
from ws_mcp.core.engine.calls import EngineCalls
from ws_mcp.core.engine.faults import Call
from ws_mcp.core.engine.model import Volume
from ws_mcp.core.engine.names import checked_name
from ws_mcp.core.engine.record import Record, listed_of
from ws_mcp.core.engine.sdk import carries, filters_of, volume_usage
from ws_mcp.core.errors import EngineConflictError, EngineNotFoundError


class EngineVolumes(EngineCalls):
    """See `port.Engine`."""

    async def create_volume(self, name: str, labels: Mapping[str, str]) -> Volume:
        checked_name("volume", name)
        with suppress(EngineConflictError):  # Podman's answer where it exists; Docker gives it back
            await self._act(Call.CREATE_VOLUME, name, lambda sdk: sdk.create_volume(name, labels=dict(labels)))
        # The answer to "create" is not trusted to tell whose volume it is.
        return await self.inspect_volume(name)

    async def inspect_volume(self, name: str) -> Volume:
        checked_name("volume", name)
        found = await self._look(Call.VOLUME, name, lambda sdk: sdk.inspect_volume(name))
        return answers.volume_of(Record(found))

    async def list_volumes(self, labels: Mapping[str, str]) -> tuple[Volume, ...]:
        filters = filters_of(labels)
        found = await self._look(Call.LIST, "", lambda sdk: _volumes(sdk.volumes(filters=filters)))
        volumes = map(answers.volume_of, found)
        return tuple(volume for volume in volumes if carries(volume.labels, labels))

    async def remove_volume(self, name: str) -> None:
        checked_name("volume", name)
        with suppress(EngineNotFoundError):
            await self._act(Call.REMOVE_VOLUME, name, lambda sdk: sdk.remove_volume(name))

    async def volume_usage(self) -> Mapping[str, int]:
        # It walks the volumes: as slow as an act where they are large.
        found = await self._look(Call.USAGE, "", volume_usage, self._deadlines.act_s)
        return answers.usage_of(Record(found))


def _volumes(found: object) -> tuple[Record, ...]:
    """The volumes of an answer. Go writes an empty list as null where it is a member.

    Raises:
        ValueError: it is no list of volumes.
    """
    answer = Record(found)
    if "Volumes" not in answer.keys():  # noqa: SIM118 - a `Record` is no mapping
        raise ValueError("the answer has no volumes")
    return listed_of(answer.get("Volumes") or [])
