"""Bearer tokens as they are kept: who each stands for and how long; never the token itself (pure)."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from ws_mcp.core.errors import InvalidArgumentError, StateError
from ws_mcp.core.ids import READ, SCOPES, WRITE, Principal, PrincipalId

PREFIX = "wsmcp_"
"""How our tokens begin, so that one in a log or in a repository is found."""
MAX_TOKENS = 1000

NAME = r"^[A-Za-z0-9][A-Za-z0-9._@:-]{0,127}$"
Name = Annotated[str, StringConstraints(pattern=NAME)]


class TokenRecord(BaseModel):
    """One line of the tokens file."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: Annotated[Name, Field(description="What `revoke` calls it; unique")]
    principal: Annotated[Name, Field(description="Who its bearer is")]
    scopes: Annotated[tuple[Literal["ws:read", "ws:write"], ...], Field(min_length=1, description="What it is for")]
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$"), Field(description="Of the token")]
    created_at: Annotated[AwareDatetime, Field(description="When it was made")]
    expires_at: Annotated[AwareDatetime | None, Field(description="From when it is worth nothing")] = None
    chat: Annotated[str, Field(max_length=64, description="The only chat that it is for; empty: all")] = ""

    def is_good(self, now: datetime) -> bool:
        """Whether it still stands for its principal."""
        return self.expires_at is None or now < self.expires_at

    @property
    def bearer(self) -> Principal:
        """Who it stands for; writing includes reading."""
        scopes = SCOPES if WRITE in self.scopes else frozenset({READ})
        return Principal(id=PrincipalId(self.principal), scopes=scopes, chat=self.chat)


def is_name(text: str) -> bool:
    """Whether it can name a token or a principal."""
    return re.fullmatch(NAME, text) is not None


def digest_of(token: str) -> str:
    """What is kept of a token. It has 256 random bits, so a slow hash would protect nothing more."""
    return hashlib.sha256(token.encode()).hexdigest()


def record_of(records: Iterable[TokenRecord], token: str, now: datetime) -> TokenRecord | None:
    """The good record of a token; how long the search takes says nothing about any of them."""
    digest, found = digest_of(token), None
    for record in records:
        if hmac.compare_digest(record.sha256, digest) and record.is_good(now):
            found = record
    return found


def parsed(text: str) -> tuple[TokenRecord, ...]:
    """The records of a tokens file: a JSON object a line; empty lines and lines that begin with # say nothing.

    Raises:
        StateError: a line that is none, by its number; what it says is not repeated.
    """
    records = list[TokenRecord]()
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.startswith("#"):
            try:
                records.append(TokenRecord.model_validate_json(line))
            except ValidationError as error:
                where = ".".join(map(str, error.errors(include_input=False)[0]["loc"])) or "no JSON object"
                raise StateError(
                    f"line {number} of the tokens file cannot be read ({where}); no token is valid"
                ) from error
    if len({record.name for record in records}) < len(records):
        raise StateError("the tokens file names two tokens alike; no token is valid until one of them is removed")
    if len(records) > MAX_TOKENS:
        raise StateError(f"the tokens file has more than {MAX_TOKENS} tokens; revoke some")
    return tuple(records)


def written(records: Iterable[TokenRecord]) -> str:
    """The text of a tokens file."""
    return "".join(json.dumps(record.model_dump(mode="json", exclude_defaults=True)) + "\n" for record in records)


def with_record(records: Iterable[TokenRecord], record: TokenRecord) -> tuple[TokenRecord, ...]:
    """The records with one more.

    Raises:
        InvalidArgumentError: there is one of that name.
    """
    kept = tuple(records)
    if any(one.name == record.name for one in kept):
        raise InvalidArgumentError(f"there is a token named {record.name!r}; revoke it, or give another --name")
    return (*kept, record)


def without(records: Iterable[TokenRecord], name: str) -> tuple[TokenRecord, ...]:
    """The records without one.

    Raises:
        InvalidArgumentError: there is none of that name.
    """
    kept = tuple(records)
    left = tuple(record for record in kept if record.name != name)
    if len(left) == len(kept):
        raise InvalidArgumentError(f"there is no token named {name!r}; `ws-mcp token list` names them")
    return left


def free_name(records: Iterable[TokenRecord], principal: str) -> str:
    """A name for one more token of a principal: its own, else with a number."""
    taken = {record.name for record in records}
    return next(
        name for n in range(1, len(taken) + 2) if (name := principal if n == 1 else f"{principal}-{n}") not in taken
    )
