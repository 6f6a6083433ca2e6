"""T33: a token in a URL is refused, and nobody who reads the log learns it."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.http_ground import ask, record_for, token_for, write_tokens
from support.serving_child import open_child_http

from ws_mcp.edge.http_door import has_token

CANARY = token_for("alice", name="canary")
JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJjYW5hcnkifQ.c2lnbmF0dXJl"
URLS = (
    f"?token={CANARY}",
    "?token=",
    f"?access_token={CANARY}",
    f"?ACCESS_TOKEN={CANARY}",
    "?api_key=abc",
    f"?x={CANARY}",
    f"?x={JWT}",
    f"?{CANARY}",
    f"?x=1&y=%77smcp_{CANARY[6:]}",
    f"/{CANARY}",
    f"/..%2F{CANARY}",
    f"/{JWT}/x",
)


def test_a_token_in_a_url_is_refused_and_not_logged(tmp_path: Path) -> None:
    tokens = write_tokens(tmp_path / "tokens", record_for("alice", name="canary"))
    with open_child_http(f"tokens={tokens}") as server:
        for more in URLS:
            for method in ("POST", "GET"):
                for token in (CANARY, ""):
                    reply = ask(server.url + more, method=method, token=token)
                    assert reply.status == 400, more
                    assert b"canary" not in reply.body
        root = server.url.removesuffix("mcp")
        for more in (f"?token={CANARY}", f"?x={CANARY}", "?token="):  # the page needs none, and takes none
            assert ask(root + more, b"", method="GET").status == 400
        assert ask(root, b"", method="GET").status == ask(server.url, token=CANARY).status == 200
        log = server.ended()
    assert log.count("a token was seen in a URL") == 4 * len(URLS) + 3
    assert "canary" not in log
    assert JWT not in log


@pytest.mark.parametrize("query", ["", "cursor=abc", "tokens=3", "chat=c_abc", "x=eyJ", "a.b.c"])
def test_other_urls_are_no_tokens(query: str) -> None:
    assert not has_token("/mcp", query)
