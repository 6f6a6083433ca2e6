"""Whether what runs in a workspace is ready: by a port, a page or a command; and what is said when it is not."""

from __future__ import annotations

import anyio
import pytest
from support.instances import Instance
from support.peers import Json, Peer

SERVE = "echo made > /workspace/index.html; echo listening on 8080; exec httpd -f -p 8080 -h /workspace"
WISH: Json = {"command": ["sh", "-c", SERVE]}


async def asked(peer: Peer, **ready: object) -> tuple[object, str]:
    """Whether it is ready, and what is said about it."""
    answer = await peer.ok("provision_workspace", ports=[8080], options={**WISH, "ready": ready})
    return answer["is_ready"], str(answer["readiness"])


@pytest.mark.long("podman")
async def test_a_probe_says_where_a_workspace_is_ready_or_why_not_and_what_it_logged(each_instance: Instance) -> None:
    with anyio.fail_after(90):
        async with each_instance.open_peer() as peer:
            is_ready, said = await asked(peer, tcp=8080)
            assert is_ready
            assert "ready at http://127.0.0.1:" in said
            assert (await asked(peer, http=8080, path="/index.html"))[0]
            assert (await asked(peer, command="test -e /workspace/index.html")) == (True, "ready")

            is_ready, said = await asked(peer, http=8080, path="/missing", wait_s=0.5)
            assert not is_ready
            assert "not ready at http://127.0.0.1:" in said
            assert "/missing after 0.5 s" in said
            assert "404" in said
            assert "its last log lines: listening on 8080" in said

            is_ready, said = await asked(peer, tcp=9, wait_s=0.5)
            assert not is_ready
            assert "nothing listens on port 9" in said
            assert "listening on 8080" in said
            assert await asked(peer, command="exit 3", wait_s=0.2) == (
                False,
                "not ready after 0.2 s: the command ended with 3; its last log lines: listening on 8080",
            )
            # Asking is no change, and the probes are nobody's processes.
            assert (await peer.ok("provision_workspace"))["change"] == "none"
            assert await peer.processes() == {}


BAD: tuple[tuple[Json, str], ...] = (
    ({}, "exactly one"),
    ({"tcp": 1, "http": 1}, "exactly one"),
    ({"tcp": 70000}, "65535"),
    ({"http": 1, "path": "no-slash"}, "begins with '/'"),
    ({"http": 1, "path": "/a\r\nX: y"}, "begins with '/'"),
    ({"tcp": 1, "wait_s": 10**6}, "300"),
)


async def test_a_probe_that_cannot_be_is_refused_and_makes_nothing(instance: Instance) -> None:
    with anyio.fail_after(75):
        async with instance.open_peer() as peer:
            for ready, why in BAD:
                assert why in await peer.refused("provision_workspace", options={"ready": ready})
            assert instance.containers == []
