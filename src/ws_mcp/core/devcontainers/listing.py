"""The list of dev containers from all that is known of them (pure)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ws_mcp.core.devcontainers import port
from ws_mcp.core.devcontainers.judge import Judged
from ws_mcp.core.devcontainers.lifecycle import after, seen
from ws_mcp.core.devcontainers.model import DevContainer, Key, Record, Status
from ws_mcp.core.devcontainers.sightings import Sighting, inner_path_of, is_below
from ws_mcp.core.execd.places import PlaceAddress
from ws_mcp.core.ids import ContainerId

CUT_SHORT = "how its set-up ended is not known, since the server that did it ended or lost the engine meanwhile"


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What was seen at one look."""

    sightings: tuple[Sighting, ...] = ()
    discovered: tuple[Key, ...] = ()
    records: Mapping[ContainerId, Record] = field(default_factory=dict[ContainerId, Record])
    errors: Mapping[Key, str] = field(default_factory=dict[Key, str])
    judged: Mapping[ContainerId, Judged] = field(default_factory=dict[ContainerId, Judged])

    @property
    def keys(self) -> tuple[Key, ...]:
        """All dev containers, with a container or without."""
        return tuple(sorted({*self.discovered, *(sighting.key for sighting in self.sightings)}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Doings:
    """What this server is at: acts by key, and the execds in the containers."""

    acting: Mapping[Key, Status]
    addresses: Mapping[ContainerId, PlaceAddress]
    errors: Mapping[ContainerId, str]


def listed(world: World, doings: Doings, names: Mapping[Key, str]) -> tuple[DevContainer, ...]:
    """Every dev container that there is something to say of, in the order of their keys."""
    sightings = {sighting.key: sighting for sighting in world.sightings}
    found: list[DevContainer] = []
    for key in world.keys:
        sighting = sightings.get(key)
        error = world.errors.get(key, "")
        if sighting is None:
            resting = Status.ERROR if error else Status.ABSENT
            status = doings.acting.get(key, resting)
            found.append(DevContainer(key=key, name=names[key], status=status, error=error, is_complete=True))
        else:
            made = _made(world, doings, sighting, names[key])
            if made is not None:
                found.append(made)
    return tuple(found)


def silence_of(silent: Mapping[str, float]) -> str:
    """What is said of roots whose disk does not answer; "" without any."""
    said = [port.silence_of(repr(root), for_s) for root, for_s in silent.items()]
    return f"{'; '.join(said)}: what is there is shown as it was seen last" if said else ""


def below(roots: Iterable[str], sightings: Iterable[Sighting]) -> frozenset[Key]:
    """Those that lie below one of these."""
    places = tuple(roots)
    return frozenset(s.key for s in sightings if any(is_below(s.key.folder, root) for root in places))


def _made(world: World, doings: Doings, sighting: Sighting, name: str) -> DevContainer | None:
    container = sighting.container
    record, judged = world.records.get(container.id), world.judged.get(container.id)
    events = [seen(container.state), *([judged.trouble] if judged and judged.trouble else [])]
    status = doings.acting.get(sighting.key, after(Status.ABSENT, events))
    if status is None:
        return None
    attempt = world.errors.get(sighting.key, "")
    # The mark of a swap that was cut short is about a container without a record, not about the old one.
    is_cut = attempt == CUT_SHORT and (record is None or record.is_adopted)
    if attempt == CUT_SHORT and not is_cut:
        attempt = ""
    address = doings.addresses.get(container.id)
    texts = (attempt, record.error if record is not None else "", doings.errors.get(container.id, ""))
    said = ((judged.warning,) if judged.warning else ()) if judged is not None else ()
    verdict = judged.verdict if judged is not None else None
    return DevContainer(
        key=sighting.key,
        name=name,
        status=status,
        container=container.id,
        place=address.place if address is not None else None,
        created_at=container.created_at,
        image=container.image,
        verdict=verdict,
        error="; ".join(dict.fromkeys(text for text in texts if text)),
        is_complete=not is_cut and (record is None or record.is_complete),
        user=record.user if record is not None else container.user,
        path=(record.path if record is not None else "") or inner_path_of(container, sighting.key.folder) or "",
        project=sighting.project,
        siblings=sighting.siblings,
        warnings=(*sighting.warnings, *said, *(verdict.pending if verdict is not None else ())),
    )
