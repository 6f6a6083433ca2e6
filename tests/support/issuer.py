"""An authorization server as far as tests need one: keys, tokens, and a JWKS as a file or at a URL."""

from __future__ import annotations

import http.server
import json
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

ISSUER = "https://id.example"
RESOURCE = "https://ws.example/mcp"


class Issuer:
    """One key of each kind that is used, and one that nobody was told of."""

    def __init__(self) -> None:
        self.rsa = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.ec = ec.generate_private_key(ec.SECP256R1())
        self.unknown = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.secret = "k" * 64
        self.fetches = 0

    @property
    def jwks(self) -> str:
        """The public keys; one entry is a shared secret, which must never be used."""
        one = {**json.loads(RSAAlgorithm.to_jwk(self.rsa.public_key())), "kid": "rsa", "use": "sig"}
        two = {**json.loads(ECAlgorithm.to_jwk(self.ec.public_key())), "kid": "ec", "use": "sig"}
        shared = {"kty": "oct", "kid": "shared", "k": "a2tr", "alg": "HS256", "use": "sig"}
        return json.dumps({"keys": [one, two, shared]})

    def token(
        self, *, key: Any = None, kid: str | None = "rsa", algorithm: str = "RS256", without: str = "", **claims: Any
    ) -> str:
        """A token that is good, but for what is said."""
        now = int(time.time())
        whole = {
            "iss": ISSUER,
            "aud": RESOURCE,
            "sub": "user-1",
            "client_id": "app",
            "scope": "ws:read ws:write",
            "iat": now,
            "exp": now + 600,
            **claims,
        }
        whole.pop(without, None)
        signed_by = self.ec if kid == "ec" and key is None else key or self.rsa
        return jwt.encode(whole, signed_by, algorithm=algorithm, headers={"kid": kid} if kid else {})

    def file(self, directory: Path) -> str:
        """The keys as a file."""
        path = directory / "jwks.json"
        path.write_text(self.jwks)
        return str(path)

    @contextmanager
    def served(self) -> Generator[str]:
        """The keys at a URL."""
        issuer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.fetches += 1
                body = issuer.jwks.encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name there
                """Nothing."""

        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            try:
                yield f"http://127.0.0.1:{server.server_address[1]}/keys"
            finally:
                server.shutdown()
                thread.join()
