"""How the PostgreSQL database is reached, and how soon each side sees that the other is gone."""

from __future__ import annotations

from dataclasses import dataclass, field

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from ws_mcp.core.errors import StateError
from ws_mcp.core.redaction import SECRETS
from ws_mcp.core.stores.postgres_faults import readable

SCHEMA_NAME = "ws_mcp"
OLDEST = 130000  # pg_xact_status for the ids that pg_current_xact_id gives
# A server must see that its connection is gone before PostgreSQL gives its locks away: 9 s here, 15 s there.
_HERE: dict[str, str | int | None] = {
    "connect_timeout": 10,
    "keepalives": 1,
    "keepalives_idle": 3,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 9000,
}
_THERE = {
    "search_path": SCHEMA_NAME,
    "lock_timeout": "5s",
    "statement_timeout": "20s",
    "idle_in_transaction_session_timeout": "15s",
    "tcp_keepalives_idle": "6",
    "tcp_keepalives_interval": "3",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "15s",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """The address of a database; it can hold a password, so it is never shown."""

    url: str = field(repr=False)

    def connect(self, name: str = "ws-mcp") -> psycopg.Connection:
        """A connection without a transaction, under a name that the database shows.

        Raises:
            psycopg.Error
            StateError: this is no PostgreSQL that can be used.
        """
        said = self._said()
        if said.get("password"):
            SECRETS.add_own(str(said["password"]))
        options = " ".join(f"-c {name}={text}" for name, text in _THERE.items())
        if said.get("options"):
            options = f"{said['options']} {options}"
        address = make_conninfo("", **{"application_name": name, **_HERE, **said, "options": options})
        connection = psycopg.connect(address, autocommit=True)
        if connection.info.server_version < OLDEST:
            connection.close()
            raise StateError("the state database is too old: PostgreSQL 13 or newer is needed")
        return connection

    def _said(self) -> dict[str, str | int | None]:
        try:
            return dict(conninfo_to_dict(self.url))
        except psycopg.Error:
            # Its message has the text, and that can hold the password.
            raise StateError("the address of the state database is none: postgresql://USER@HOST/DATABASE") from None


def connected(reach: Reach) -> psycopg.Connection:
    """As `Reach.connect`.

    Raises:
        StateError
    """
    try:
        return reach.connect()
    except psycopg.Error as error:
        raise readable(error) from None  # the error of libpq names the address and the user
