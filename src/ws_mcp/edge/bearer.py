"""Who a bearer token stands for, for the SDK's authentication; and whether it still does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.auth.provider import AccessToken
from pydantic import ConfigDict

from ws_mcp.core.ids import READ, Principal
from ws_mcp.core.policy.tokens import PREFIX
from ws_mcp.edge.token_file import TokenFile

MAX_CHARACTERS = 16_384  # of a token; claims of some issuers are long


class ProvenToken(AccessToken):
    """A token that was verified. `stands` says later whether it still is good; then what it began must end."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    principal: Principal
    stands: Callable[[], bool]


class Issued(Protocol):
    """Verifies tokens that an authorization server issued."""

    async def verify_token(self, token: str) -> ProvenToken | None: ...


class Bearers:
    """Verifies all kinds of tokens: ours by the file, others by their issuer where the operator named one."""

    def __init__(self, file: TokenFile, issued: Issued | None = None, resource: str = "") -> None:
        self._file = file
        self._issued = issued
        self._resource = resource

    async def verify_token(self, token: str) -> ProvenToken | None:
        """Who it stands for; None if for nobody."""
        if len(token) > MAX_CHARACTERS:
            return None
        if not token.startswith(PREFIX):
            return await self._issued.verify_token(token) if self._issued else None
        principal = self._file.principal_of(token)
        if principal is None:
            return None
        return ProvenToken(
            token=token,
            client_id=principal.id,
            subject=principal.chat or None,
            scopes=sorted(principal.scopes),
            resource=self._resource or None,  # ours were made for this server and no other
            principal=principal,
            stands=lambda: self._file.principal_of(token) == principal,
        )

    async def admits(self, token: str) -> bool:
        """Whether it lets in to what asks for a token and shows everybody the same."""
        proven = await self.verify_token(token)
        return proven is not None and READ in proven.principal.scopes


def token_principal() -> Principal:
    """Who makes the request that is being answered, by its token."""
    return proven().principal


def token_stands() -> Callable[[], bool]:
    """What says, later, whether the token of this request still is good."""
    return proven().stands


def proven() -> ProvenToken:
    """The token of the request that is being answered; none comes so far without."""
    token = get_access_token()
    assert isinstance(token, ProvenToken)
    return token
