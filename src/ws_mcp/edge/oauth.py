"""Tokens that an authorization server issued for this one: signature, issuer, audience, time; who each stands for.

This is a resource server: it never gets, renews or passes on a token.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import cast

import anyio.to_thread
import jwt

from ws_mcp.core.ids import READ, SCOPES, WRITE, Principal, PrincipalId
from ws_mcp.core.policy.tokens import is_name
from ws_mcp.edge.bearer import ProvenToken
from ws_mcp.edge.http_choices import OAuth

# What is not here cannot be used: no "none", nothing with a shared secret.
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
KEY_TYPES = frozenset({"RSA", "EC", "OKP"})
FETCH_S = 5.0
LEEWAY_S = 30.0  # between the clocks of two machines
REMEMBERED_S = 60.0  # a key that its issuer takes back counts so much longer
MAX_REMEMBERED = 1024

log = logging.getLogger(__name__)


class IssuedTokens:
    """Verifies tokens of one issuer."""

    def __init__(self, choices: OAuth, now: Callable[[], float] = time.time) -> None:
        self._choices = choices
        self._now = now
        url = "://" in choices.jwks
        self._client = jwt.PyJWKClient(choices.jwks, timeout=FETCH_S) if url else None
        self._limiter = anyio.CapacityLimiter(4)
        self._known: dict[str, tuple[float, ProvenToken]] = {}

    async def verify_token(self, token: str) -> ProvenToken | None:
        """Who it stands for; None if for nobody. Why not is told to the log only."""
        digest = hashlib.sha256(token.encode()).hexdigest()
        until, known = self._known.get(digest, (0.0, None))
        if known is not None and until > self._now() and known.stands():
            return known
        self._known.pop(digest, None)
        try:
            claims = await anyio.to_thread.run_sync(self._claims, token, limiter=self._limiter)
        except (jwt.PyJWTError, OSError, ValueError) as error:
            log.info("a token of an issuer was refused: %s", type(error).__name__)
            return None
        proven = self._proven(token, claims)
        if proven is not None:
            while len(self._known) >= MAX_REMEMBERED:
                del self._known[next(iter(self._known))]
            self._known[digest] = (self._now() + REMEMBERED_S, proven)
        return proven

    def _claims(self, token: str) -> Mapping[str, object]:
        header = jwt.get_unverified_header(token)
        kid = header.get("kid")
        if header.get("alg") not in ALGORITHMS or not isinstance(kid, str):
            raise jwt.InvalidTokenError("algorithm or key id")
        return cast(
            "Mapping[str, object]",
            jwt.decode(
                token,
                self._key(kid),
                algorithms=ALGORITHMS,
                audience=self._choices.audience,
                issuer=self._choices.issuer,
                leeway=LEEWAY_S,
                options={"require": ["exp", "iss", "aud", "sub"]},
            ),
        )

    def _key(self, kid: str) -> jwt.PyJWK:
        if self._client is not None:
            key = self._client.get_signing_key(kid)
        else:
            found = [
                one for one in jwt.PyJWKSet.from_json(Path(self._choices.jwks).read_text()).keys if one.key_id == kid
            ]
            if len(found) != 1:
                raise jwt.InvalidTokenError("no such key")
            (key,) = found
        if key.key_type not in KEY_TYPES:
            raise jwt.InvalidTokenError("a shared secret among the keys")
        return key

    def _proven(self, token: str, claims: Mapping[str, object]) -> ProvenToken | None:
        subject, client = str(claims["sub"]), _text(claims.get("client_id")) or _text(claims.get("azp"))
        principal = self._principal(subject, client)
        if principal is None:
            log.warning("a token of an issuer was refused: its subject cannot name a principal")
            return None
        expires_at = float(cast("float", claims["exp"])) + LEEWAY_S
        scopes = _scopes(claims)
        return ProvenToken(
            token=token,
            client_id=client or subject,
            subject=subject,
            scopes=sorted(scopes),
            expires_at=int(expires_at),
            resource=self._choices.resource,  # its audience is ours, or it had not come so far
            claims={"iss": self._choices.issuer},
            principal=Principal(id=principal, scopes=scopes),
            stands=lambda: self._now() < expires_at,
        )

    def _principal(self, subject: str, client: str) -> PrincipalId | None:
        if self._choices.principal == "subject":
            # What the operating system proves elsewhere no issuer may say.
            return PrincipalId(subject) if is_name(subject) and not subject.startswith(("local:", "oauth:")) else None
        whole = json.dumps([self._choices.issuer, client, subject]).encode()
        return PrincipalId(f"oauth:{hashlib.sha256(whole).hexdigest()[:32]}")


def _scopes(claims: Mapping[str, object]) -> frozenset[str]:
    said = claims.get("scope") or claims.get("scp")
    words = said.split() if isinstance(said, str) else cast("Sequence[object]", said) if isinstance(said, list) else ()
    given = SCOPES & {word for word in words if isinstance(word, str)}
    return given | {READ} if WRITE in given else given


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
