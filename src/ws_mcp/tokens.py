"""`ws-mcp token`: makes, lists and revokes bearer tokens. A token is shown once, when it is made, and not kept."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from pydantic import ValidationError

from ws_mcp.auth import tokens_in_force
from ws_mcp.console import Style, age_text, console, home_path
from ws_mcp.core.clock import utc_now
from ws_mcp.core.errors import InvalidArgumentError
from ws_mcp.core.ids import READ, WRITE
from ws_mcp.core.policy.tokens import TokenRecord, digest_of, free_name, with_record, without
from ws_mcp.edge.token_file import TokenFile, new_token
from ws_mcp.settings import Settings

USE = """\
{token}

It is shown this once. Two commands use it:
  ws-mcp http
  claude mcp add --transport http ws http://127.0.0.1:8811/mcp --header "Authorization: Bearer {token}"
Other hosts, as JSON:
  {{"mcpServers": {{"ws": {{"type": "http", "url": "http://127.0.0.1:8811/mcp",
    "headers": {{"Authorization": "Bearer {token}"}}}}}}}}"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A token that somebody wants. `name`: "" for one of ours; `life_s`: None without end."""

    principal: str
    name: str = ""
    is_read_only: bool = False
    life_s: int | None = None
    chat: str = ""


def create(settings: Settings, wish: Wish) -> int:
    """Make a token and show it."""
    token, now = new_token(), utc_now()
    file = TokenFile(tokens_in_force(settings))
    with file.changing() as write:
        records = file.records()
        try:
            record = TokenRecord(
                name=wish.name or free_name(records, wish.principal),
                principal=wish.principal,
                scopes=(READ,) if wish.is_read_only else (READ, WRITE),
                sha256=digest_of(token),
                created_at=now,
                expires_at=now + timedelta(seconds=wish.life_s) if wish.life_s else None,
                chat=wish.chat,
            )
        except ValidationError as error:
            what = error.errors(include_input=False)[0]["loc"][0]
            raise InvalidArgumentError(
                f"this is no {what} of a token: letters, digits and . _ @ : -, at most 128, a letter or digit first"
            ) from error
        write(with_record(records, record))
    shown = console()
    shown.line(USE.format(token=token))
    return 0


def show(settings: Settings) -> int:
    """List the tokens, without any secret."""
    path = tokens_in_force(settings)
    records, now, shown = TokenFile(path).records(), utc_now(), console()
    if not records:
        shown.line(f"There is no token in {home_path(str(path))}. One is made by: ws-mcp token create NAME")
    for record in records:
        life = "no end" if record.expires_at is None else f"until {record.expires_at:%Y-%m-%d %H:%M} UTC"
        words = [f"for {record.principal}", "read and write" if WRITE in record.scopes else "read only"]
        words += ["one chat"] if record.chat else []
        words += [
            f"{age_text((now - record.created_at).total_seconds())} old",
            life if record.is_good(now) else "expired",
        ]
        shown.line(f"{record.name}: {', '.join(words)}", Style.PLAIN if record.is_good(now) else Style.YELLOW)
    return 0


def revoke(settings: Settings, name: str) -> int:
    """Take a token away, at once and for ever."""
    file = TokenFile(tokens_in_force(settings))
    with file.changing() as write:
        write(without(file.records(), name))
    console().line(f"{name} is revoked: servers refuse it from the next request on")
    return 0
