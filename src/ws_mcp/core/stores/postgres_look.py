"""A look at a PostgreSQL database that makes nothing, for who asks whether a server could use it."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg

from ws_mcp.core.database import instance_in
from ws_mcp.core.stores.postgres_faults import readable
from ws_mcp.core.stores.postgres_reach import Reach, connected
from ws_mcp.core.stores.postgres_schema import schema_version


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """`schema`: 0 where there is none yet; `servers`: how many are connected, as far as this user may see."""

    version: str
    schema: int
    instance: str
    servers: int


def look_at(url: str) -> Seen:
    """Blocks for as long as a connection takes.

    Raises:
        StateError: it cannot be used.
    """
    with connected(Reach(url=url)) as connection:
        try:
            version = schema_version(connection)
            meta = connection.execute(b"SELECT name, value FROM meta").fetchall() if version else []
            row = connection.execute(
                b"SELECT count(*) FROM pg_stat_activity WHERE application_name = 'ws-mcp line' "
                b"AND datname = current_database()"
            ).fetchone()
        except psycopg.Error as error:
            raise readable(error) from None
        return Seen(
            version=connection.info.parameter_status("server_version") or "?",
            schema=version,
            instance=instance_in(meta).id if version else "",
            servers=int(row[0]) if row else 0,
        )
