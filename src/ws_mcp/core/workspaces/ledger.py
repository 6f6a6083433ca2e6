"""What this instance is about to do to workspaces, and what it keeps for them: intents, secrets, request keys.

An intent is written before the first effect and deleted after the last. One whose place nobody holds the lock of was
left by a server that died: what it says is undone, or finished.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from ws_mcp.core.clock import Now
from ws_mcp.core.errors import ConflictError
from ws_mcp.core.ids import ChatId, ContainerId, PlaceId
from ws_mcp.core.state import State
from ws_mcp.core.stores.port import Sql

KEEP_REQUESTS_S = 7 * 86_400  # nobody repeats a call after a week
OF_PLACES = ("secrets", "idle_stops", "disk_holds")  # the tables of what is kept of a workspace as long as it is there


class IntentKind(StrEnum):
    """What was begun."""

    PROVISION = "provision"
    REMOVE = "remove"


class ObjectKind(StrEnum):
    """A kind of engine object that a workspace has."""

    VOLUME = "volume"
    NETWORK = "network"
    CONTAINER = "container"


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineObject:
    """An engine object by its name; a container by its id, which no later one has."""

    kind: ObjectKind
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """`objects`: what a provision makes anew, or what a removal removes. A container among them has to go."""

    place: PlaceId
    kind: IntentKind
    objects: tuple[EngineObject, ...]

    @property
    def containers(self) -> tuple[ContainerId, ...]:
        """The containers among the objects: that of a removal, or one that a provision could not take back."""
        return tuple(ContainerId(each.name) for each in self.objects if each.kind is ObjectKind.CONTAINER)

    @property
    def belongings(self) -> tuple[EngineObject, ...]:
        """The objects but for the container."""
        return tuple(each for each in self.objects if each.kind is not ObjectKind.CONTAINER)


class Ledger:
    """The tables of an instance's workspaces. Calls about a place need its lock, except looks."""

    def __init__(self, state: State, now: Now) -> None:
        self._state = state
        self._now = now

    async def begin(self, intent: Intent) -> None:
        """Say what is begun; again with more objects before each is made."""
        objects = json.dumps([[each.kind.value, each.name] for each in intent.objects])
        row = (intent.place, intent.kind.value, objects, self._at())
        statement = (
            "INSERT INTO intents VALUES (?, ?, ?, ?) ON CONFLICT (place) "
            "DO UPDATE SET kind = excluded.kind, objects = excluded.objects, at = excluded.at"
        )
        await self._state.run(lambda db: db.execute(statement, row))

    async def end(self, place: PlaceId) -> None:
        """What was begun is done, or undone."""
        await self._state.run(lambda db: db.execute("DELETE FROM intents WHERE place = ?", (place,)))

    async def intent(self, place: PlaceId) -> Intent | None:
        """What was begun for a place."""
        row = await self._state.run(
            lambda db: db.execute("SELECT place, kind, objects FROM intents WHERE place = ?", (place,)).fetchone()
        )
        return _intent(row) if row else None

    async def intents(self) -> tuple[Intent, ...]:
        """Everything that was begun and is not over, by this server or another."""
        rows = await self._state.run(lambda db: db.execute("SELECT place, kind, objects FROM intents").fetchall())
        return tuple(_intent(row) for row in rows)

    async def keep_secrets(self, place: PlaceId, secrets: Mapping[str, bytes]) -> None:
        """Keep these and no others: they are put into the container again each time that it starts."""

        def work(db: Sql) -> None:
            db.execute("DELETE FROM secrets WHERE place = ?", (place,))
            rows = [(place, name, value) for name, value in secrets.items()]
            db.executemany("INSERT INTO secrets VALUES (?, ?, ?)", rows)

        await self._state.run(work)

    async def secrets(self, place: PlaceId) -> Mapping[str, bytes]:
        """The secrets of a place."""
        rows = await self._state.run(
            lambda db: db.execute("SELECT name, value FROM secrets WHERE place = ?", (place,)).fetchall()
        )
        return {str(name): bytes(value) for name, value in rows}

    async def forget(self, place: PlaceId) -> None:
        """A workspace is gone: its secrets and settings go, too."""

        def work(db: Sql) -> None:
            for table in OF_PLACES:
                db.execute(f"DELETE FROM {table} WHERE place = ?", (place,))  # noqa: S608 - one of ours

        await self._state.run(work)

    async def places(self) -> frozenset[PlaceId]:
        """The places of which anything is kept that `forget` takes away."""
        union = " UNION ".join(f"SELECT place FROM {table}" for table in OF_PLACES)  # noqa: S608 - ours
        rows = await self._state.run(lambda db: db.execute(union).fetchall())
        return frozenset(PlaceId(place) for (place,) in rows)

    async def set_idle_stop(self, place: PlaceId, idle_stop_s: int) -> None:
        """After how long without a process a workspace is stopped; 0: never."""
        await self._state.run(
            lambda db: db.execute(
                "INSERT INTO idle_stops VALUES (?, ?) "
                "ON CONFLICT (place) DO UPDATE SET idle_stop_s = excluded.idle_stop_s",
                (place, idle_stop_s),
            )
        )

    async def idle_stops(self) -> Mapping[PlaceId, int]:
        """The workspaces that say so themselves."""
        rows = await self._state.run(lambda db: db.execute("SELECT place, idle_stop_s FROM idle_stops").fetchall())
        return {PlaceId(place): int(seconds) for place, seconds in rows}

    async def claim_request(self, chat: ChatId, key: str, digest: str) -> None:
        """Remember a keyed request; the same one may come again, over restarts and from other servers.

        Raises:
            ConflictError: the key stands for another request.
        """
        at = self._at()

        def work(db: Sql) -> str:
            db.execute("DELETE FROM provisions WHERE at < ?", (at - KEEP_REQUESTS_S,))
            db.execute("INSERT INTO provisions VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING", (chat, key, digest, at))
            where = "SELECT digest FROM provisions WHERE chat = ? AND request_key = ?"
            return str(db.execute(where, (chat, key)).fetchone()[0])

        if await self._state.run(work) != digest:
            raise ConflictError(
                f"request_key {key[:60]!r} was used for another request of this chat; give a new key, or the same "
                "request"
            )

    def _at(self) -> int:
        return int(self._now().timestamp())


def secret_bytes(secrets: Mapping[str, str]) -> dict[str, bytes]:
    """Secrets as they are kept, and as their files hold them."""
    return {name: value.encode(errors="surrogatepass") for name, value in secrets.items()}


def _intent(row: tuple[str, str, str]) -> Intent:
    objects = tuple(EngineObject(kind=ObjectKind(kind), name=name) for kind, name in json.loads(row[2]))
    return Intent(place=PlaceId(row[0]), kind=IntentKind(row[1]), objects=objects)
