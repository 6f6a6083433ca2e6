"""The tables in a PostgreSQL database: made, brought up to date, and whose they are."""

from __future__ import annotations

import secrets
from typing import cast

import psycopg

from ws_mcp.core.database import COLUMNS, KEY, SCHEMA, TABLES, Instance, instance_in
from ws_mcp.core.errors import StateError
from ws_mcp.core.stores.dialect import definition_of, lock_key
from ws_mcp.core.stores.postgres_reach import SCHEMA_NAME

OPENING = lock_key("ws-mcp", "opening")


def open_schema(connection: psycopg.Connection) -> Instance:
    """Make the tables, or bring them up to date: all of it, or nothing.

    Raises:
        psycopg.Error
        StateError: it is damaged, or a newer version wrote it.
    """
    with connection.transaction():
        connection.execute(f"SELECT pg_advisory_xact_lock({OPENING})".encode())
        if schema_version(connection) < SCHEMA:
            _migrate(connection)
        return instance_in(connection.execute(b"SELECT name, value FROM meta").fetchall())


def schema_version(connection: psycopg.Connection) -> int:
    """0 where there are no tables.

    Raises:
        StateError: a newer version wrote it, or it is damaged.
    """
    found = connection.execute(b"SELECT to_regclass('meta')").fetchone()
    if found is None or found[0] is None:
        return 0
    row = connection.execute(b"SELECT value FROM meta WHERE name = 'schema'").fetchone()
    try:
        version = int(bytes(cast("bytes", row[0]))) if row else 0
    except ValueError as error:
        raise StateError("the state database is damaged: it does not say its version; see `ws-mcp doctor`") from error
    if version > SCHEMA:
        raise StateError(f"the state database was written by a newer ws-mcp (schema {version}); upgrade this one")
    return version


def _migrate(connection: psycopg.Connection) -> None:
    connection.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA_NAME}".encode())
    for statement in filter(str.strip, TABLES.split(";")):
        connection.execute(definition_of(statement).encode())
    for table, column, kind in COLUMNS:
        connection.execute(definition_of(f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS {column} {kind}").encode())
    for name, value in (("instance", secrets.token_hex(8).encode()), ("key", secrets.token_bytes(KEY))):
        connection.execute(b"INSERT INTO meta VALUES (%s, %s) ON CONFLICT DO NOTHING", (name, value))
    connection.execute(
        b"INSERT INTO meta VALUES ('schema', %s) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        (str(SCHEMA).encode(),),
    )
