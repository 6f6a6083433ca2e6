"""What `ws-mcp doctor` finds of the database that servers share: whether it answers, what it is, and whose."""

from __future__ import annotations

import anyio
import anyio.to_thread

from ws_mcp.console import Mark
from ws_mcp.core.errors import StateError
from ws_mcp.facts import Fact

ADVICE = "docs/operations.md, Several servers, says what it needs; psql with this address shows whether it is reached"


async def database_facts(address: str) -> list[Fact]:
    """Nothing where the state is in the state directory. It makes no table."""
    if not address:
        return []
    try:
        from ws_mcp.core.stores.postgres_look import look_at  # noqa: PLC0415 - only who has a database pays for it
    except ImportError:
        advice = "install psycopg[binary] (3.2 or newer) into the environment of ws-mcp"
        return [Fact("database", "the Python package psycopg, or its libpq, is missing", Mark.BAD, advice)]
    began = anyio.current_time()
    try:
        seen = await anyio.to_thread.run_sync(look_at, address)
    except StateError as error:
        return [Fact("database", str(error), Mark.BAD, ADVICE)]
    took_ms = (anyio.current_time() - began) * 1000
    whose = f"schema {seen.schema}, instance {seen.instance}" if seen.schema else "empty: made on first use"
    text = f"PostgreSQL {seen.version}, connected in {took_ms:.0f} ms, {whose}, servers: {seen.servers}"
    return [Fact("database", text)]
