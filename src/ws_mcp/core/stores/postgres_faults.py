"""What PostgreSQL and the way to it say, in words for who reads them: no address, no name of a person, no password."""

from __future__ import annotations

import psycopg

from ws_mcp.core.errors import StateError, one_line

DOCTOR = "see `ws-mcp doctor`"
AWAY = f"the state database does not answer now; call again, or {DOCTOR}"
UNKNOWN = (
    "the state database went away while it was told to keep this, and whether it did is not known; call again, or "
    f"{DOCTOR}"
)

NO_MACHINE = "there is no machine of that name"
_BY_STATE = {
    "28": "it does not let this server in: look at its user, its password and pg_hba.conf",
    "3D": "it has no database of that name: make it with createdb",
    "42501": "its user may not do that: it must be allowed to make a schema in the database",
    "53": "it has no room: connections, memory or disk",
    "55P03": "another server has been writing for too long; call again",
    "57014": "it took too long; call again",
    "57": "it is starting or ending; call again",
    "08": "it does not answer; call again",
    "25006": "it is a standby, which only reads: name the primary",
    "22021": "a text has a character that it cannot keep (NUL)",
}


def readable(error: psycopg.Error) -> StateError:
    """By what kind of error it is."""
    code = error.sqlstate or ""
    for prefix in (code, code[:2]):
        if prefix in _BY_STATE:
            return StateError(f"the state database cannot be used: {_BY_STATE[prefix]} ({DOCTOR})")
    if error.diag.message_primary:
        return StateError(f"the state database cannot be used now ({one_line(error.diag.message_primary)}); {DOCTOR}")
    return StateError(_unreached(str(error)))


def _unreached(said: str) -> str:
    # libpq has no codes for what went wrong before the server could say anything, and its texts name addresses.
    for words, meaning in (
        ("password", _BY_STATE["28"]),
        ("no pg_hba.conf", _BY_STATE["28"]),
        ("does not exist", _BY_STATE["3D"]),
        ("too many", _BY_STATE["53"]),
        ("starting up", _BY_STATE["57"]),
        ("shutting down", _BY_STATE["57"]),
        ("could not translate host name", NO_MACHINE),
        ("Name or service", NO_MACHINE),
        ("name resolution", NO_MACHINE),
        ("certificate", "its certificate is not the one that is asked for"),
        ("SSL", "it does not speak TLS as it is asked for"),
    ):
        if words in said:
            return f"the state database cannot be used: {meaning} ({DOCTOR})"
    return AWAY
