"""What every execd does with probes and with a command that waits, the real one and the fake one.

Source: execd/PROTOCOL.md, section "Readiness".
"""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from support.execd_contract import SECRET, ExecdContract, Link, OnFakeExecd, OnRealExecd, Place, run

from ws_mcp.core.errors import InvalidArgumentError
from ws_mcp.core.execd.client import ExecdClient
from ws_mcp.core.execd.failures import NotReadyError
from ws_mcp.core.execd.ready import HttpProbe, TcpProbe, probe, release

OK = b"HTTP/1.1 204 No Content\r\n\r\n"
FOR_EVER_S = 590.0


class ReadyContract(ExecdContract):
    # --- probes ---

    async def test_a_port_that_is_open_is_ready(self, place: Place, client: ExecdClient) -> None:
        port = place.ports.free_port()
        async with place.ports.listen(port, None):
            assert await probe(client, TcpProbe(port=port), 5) is None

    async def test_a_probe_waits_for_a_port_that_opens_late(self, place: Place, client: ExecdClient) -> None:
        port = place.ports.free_port()
        is_open = anyio.Event()

        async def wait() -> None:
            await probe(client, TcpProbe(port=port), FOR_EVER_S)
            is_open.set()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            await client.call("ping", {}, timeout_s=30)
            async with place.ports.listen(port, OK):
                assert await probe(client, HttpProbe(port=port), 5) == 204
                # It asks now and then: closed before, the port would never open for it.
                await is_open.wait()

    async def test_a_port_that_stays_closed_is_named(self, place: Place, client: ExecdClient) -> None:
        port = place.ports.free_port()
        with pytest.raises(NotReadyError, match=rf"nothing listens on port {port}; tried for 50ms|0\.05s"):
            await probe(client, TcpProbe(port=port), 0.05)

    @pytest.mark.parametrize(
        ("answer", "reason"),
        [
            (b"HTTP/1.1 404 Not Found\r\n\r\n", "answered with status 404"),
            (b"HTTP/1.0 500 x\r\n\r\n", "status 500"),
            (b"SSH-2.0-OpenSSH_9\r\n", "no HTTP"),
            (None, "does not answer GET /health"),
        ],
    )
    async def test_an_answer_that_is_not_good_is_told(
        self, place: Place, client: ExecdClient, answer: bytes | None, reason: str
    ) -> None:
        port = place.ports.free_port()
        async with place.ports.listen(port, answer):
            with pytest.raises(NotReadyError, match=reason):
                await probe(client, HttpProbe(port=port, path="/health"), 0.2)

    async def test_a_cancelled_probe_is_answered_at_once(self, place: Place, client: ExecdClient) -> None:
        port = place.ports.free_port()
        async with place.ports.listen(port, None), await place.dial() as stream:
            link = Link(stream)
            await link.say(id=1, op="hello", protocol=1, secret=SECRET, client="t")
            http = {"port": port, "path": "/"}
            await link.say(id=2, op="probe", http=http, timeout_ms=600_000)
            await link.say(id=3, op="cancel", target=2)
            answers = {said["id"]: said for said in [await link.hear() for _ in range(3)]}
        assert answers[2]["error"]["code"] == "not_ready"
        assert answers[3] == {"id": 3}

    async def test_a_cancelled_caller_ends_its_probe(self, place: Place, client: ExecdClient) -> None:
        port = place.ports.free_port()
        with anyio.move_on_after(0.05) as scope:
            await probe(client, TcpProbe(port=port), FOR_EVER_S)
        assert scope.cancelled_caught
        async with place.ports.listen(port, OK):
            assert await probe(client, HttpProbe(port=port), 5) == 204

    @pytest.mark.parametrize(
        ("target", "timeout_s"),
        [
            (TcpProbe(port=0), 1.0),
            (TcpProbe(port=65536), 1.0),
            (TcpProbe(port=80), 0.0),
            (TcpProbe(port=80), 601.0),
            (HttpProbe(port=80, path="x"), 1.0),
            (HttpProbe(port=80, path="/ x"), 1.0),
            (HttpProbe(port=80, path="/\r\nHost: x"), 1.0),
            (HttpProbe(port=80, path="/ü"), 1.0),
        ],
    )
    async def test_a_probe_that_makes_no_sense_is_refused(
        self, client: ExecdClient, target: TcpProbe | HttpProbe, timeout_s: float
    ) -> None:
        with pytest.raises(InvalidArgumentError):
            await probe(client, target, timeout_s)

    # --- release ---

    async def test_a_gated_command_waits_until_it_is_released(self) -> None:
        async with self.open_place(main=("sleep", "60"), is_gated=True) as place:
            async with place.client() as client:
                assert client.hello.main == {"argv": ["sleep", "60"], "state": "waiting"}
                assert (await run(client, "echo hello"))["body"] == b"hello\n"
                await release(client)
                await release(client)
            async with place.client() as client:
                assert client.hello.main == {"argv": ["sleep", "60"], "state": "running"}

    @pytest.mark.parametrize("limits", [{}, {"main": ("sleep", "60")}])
    async def test_a_release_of_what_does_not_wait_changes_nothing(self, limits: dict[str, Any]) -> None:
        async with self.open_place(**limits) as place, place.client() as client:
            await release(client)
            async with place.client() as other:
                assert other.hello.main == client.hello.main


class TestFakeReadyContract(OnFakeExecd, ReadyContract):
    pass


@pytest.mark.usefixtures("real_io")
class TestRealReadyContract(OnRealExecd, ReadyContract):
    pass
