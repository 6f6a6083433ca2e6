"""Whether dev containers are out of date, asked of their definitions and remembered until an input may have changed."""

from __future__ import annotations

from dataclasses import dataclass

import anyio

from ws_mcp.core.devcontainers.lifecycle import Event
from ws_mcp.core.devcontainers.model import Freshness, Record, Verdict
from ws_mcp.core.devcontainers.port import (
    DefinitionMissingError,
    Definitions,
    Fingerprint,
    UnreadableDefinitionError,
)
from ws_mcp.core.devcontainers.sightings import METADATA, Sighting
from ws_mcp.core.devcontainers.verdict import Made, verdict_of
from ws_mcp.core.engine.model import Container
from ws_mcp.core.errors import EngineError
from ws_mcp.core.ids import ContainerId

AT_ONCE = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A verdict and what is wrong with the definition. `adopts`: what to keep of a container that others made."""

    verdict: Verdict | None
    trouble: Event | None = None
    warning: str = ""
    adopts: Fingerprint | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    container: Container
    record: Record | None
    stamp: str
    judged: Judged


class Judge:
    """Judges sightings. A definition that cannot be read just now leaves the last verdict standing."""

    def __init__(self, definitions: Definitions) -> None:
        self._definitions = definitions
        self._kept: dict[ContainerId, _Kept] = {}

    async def all(
        self, sightings: tuple[Sighting, ...], records: dict[ContainerId, Record], *, trusts_stamp: bool
    ) -> dict[ContainerId, Judged]:
        """The verdicts of all, by the container that counts; forgets others.

        With `trusts_stamp` nothing is read again whose stamp did not change.
        """
        judged: dict[ContainerId, Judged] = {}
        stamps = await self._definitions.stamps([sighting.key for sighting in sightings])
        limit = anyio.Semaphore(AT_ONCE)

        async def judge(sighting: Sighting, stamp: str) -> None:
            container = sighting.container
            record, kept = records.get(container.id), self._kept.get(container.id)
            async with limit:
                last = kept.judged.verdict if kept is not None else None
                found = judged[container.id] = await self._judged(sighting, record, last)
            self._kept[container.id] = _Kept(container=container, record=record, stamp=stamp, judged=found)

        async with anyio.create_task_group() as tasks:
            for sighting, stamp in zip(sightings, stamps, strict=True):
                found = sighting.container.id
                kept = self._kept.get(found)
                if trusts_stamp and kept is not None and (kept.stamp, kept.record) == (stamp, records.get(found)):
                    judged[found] = kept.judged
                else:
                    tasks.start_soon(judge, sighting, stamp)
        self._kept = {container: kept for container, kept in self._kept.items() if container in judged}
        return judged

    async def _judged(self, sighting: Sighting, record: Record | None, last: Verdict | None) -> Judged:
        try:
            definition = await self._definitions.read(sighting.key)
            now = await self._definitions.fingerprint(sighting.key)
        except DefinitionMissingError:
            return Judged(verdict=last, trouble=Event.DEFINITION_GONE)
        except UnreadableDefinitionError as error:
            verdict = last or Verdict(freshness=Freshness.UNKNOWN, reasons=(str(error),))
            return Judged(verdict=verdict, trouble=Event.DEFINITION_UNREADABLE, warning=str(error))
        except EngineError as error:
            verdict = last or Verdict(freshness=Freshness.UNKNOWN, reasons=(str(error),))
            return Judged(verdict=verdict, warning=str(error))
        container = sighting.container
        made = Made(created_at=container.created_at, metadata=container.labels.get(METADATA, ""))
        verdict = verdict_of(now, record, made, definition)
        is_adopted = record is None and verdict.is_adopted and verdict.freshness is Freshness.CLEAN
        return Judged(verdict=verdict, adopts=now if is_adopted else None)
