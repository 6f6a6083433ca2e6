"""The ways to a real engine besides its socket, and what only a real engine can show of exec streams."""

from __future__ import annotations

import logging
from pathlib import Path

import anyio
import pytest
from anyio.abc import ByteStream
from support.engine_contract import WAIT_S, sleeper
from support.far_engines import make_certificate, open_proxy, put_ssh
from support.images import BUSYBOX
from support.real_engine import EngineGround, LabelledEngine

from ws_mcp.core.engine.connection import Target
from ws_mcp.core.engine.context import endpoint_of
from ws_mcp.core.engine.docker import DockerEngine
from ws_mcp.core.engine.model import ContainerSpec, ExecSpec
from ws_mcp.core.engine.stream import open_events
from ws_mcp.core.errors import EngineUnavailableError
from ws_mcp.core.ids import ContainerId


@pytest.fixture
async def container(docker_engine: LabelledEngine, engine_ground: EngineGround) -> ContainerId:
    return await sleeper(docker_engine, engine_ground.name())


@pytest.fixture
async def engine_socket(docker_engine: LabelledEngine) -> str:
    address = (await docker_engine.info()).endpoint
    if not address.startswith("unix://"):
        pytest.skip("the engine of this machine has no unix socket to reach by other ways")
    return address.removeprefix("unix://")


async def said(stream: ByteStream) -> bytes:
    with anyio.fail_after(WAIT_S):
        return b"".join([chunk async for chunk in stream])


async def check(engine: DockerEngine, container: ContainerId) -> None:
    """A call, an exec stream and the event stream."""
    assert (await engine.inspect(container)).id == container
    async with engine.open_events() as events, engine.open_exec(container, ExecSpec(argv=("cat",))) as stream:
        await stream.send(b"hello")
        with anyio.fail_after(WAIT_S):
            assert await stream.receive() == b"hello"
        await engine.stop(container, 0)
        with anyio.fail_after(WAIT_S):
            async for event in events:
                if (event.id, event.action) == (container, "die"):
                    break


@pytest.mark.usefixtures("real_io_both")
async def test_an_engine_behind_ssh_is_reached(
    container: ContainerId, engine_socket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = put_ssh(tmp_path, engine_socket, monkeypatch)
    engine = DockerEngine("ssh://me@far:2222", {})
    try:
        assert (await engine.info()).endpoint == "ssh://far:2222"
        await check(engine, container)
    finally:
        await engine.aclose()
    command = calls.read_text().splitlines()[0].split("\t")
    assert command[-3:] == ["--", "far", "docker system dial-stdio"]


@pytest.mark.usefixtures("real_io_both")
async def test_an_ssh_that_fails_gives_its_reason(
    engine_socket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_ssh(tmp_path, engine_socket, monkeypatch)
    engine = DockerEngine("ssh://unknown", {})
    with pytest.raises(EngineUnavailableError, match=r"ssh://unknown .*ssh says: Could not resolve hostname unknown"):
        await engine.info()
    await engine.aclose()
    target = Target(
        endpoint=endpoint_of("ssh://unknown", "x", None), api_version="1.41", is_podman=False, handshake_s=5
    )
    with pytest.raises(EngineUnavailableError, match="Could not resolve hostname unknown"):
        async with open_events(target):
            pytest.fail("there is no engine")


@pytest.mark.usefixtures("real_io_both")
async def test_without_ssh_on_this_machine_that_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    engine = DockerEngine("ssh://far", {})
    with pytest.raises(EngineUnavailableError, match="needs the program ssh"):
        await engine.info()
    await engine.aclose()
    target = Target(endpoint=endpoint_of("ssh://far", "x", None), api_version="1.41", is_podman=False, handshake_s=5)
    with pytest.raises(EngineUnavailableError, match="needs the program ssh"):
        async with open_events(target):
            pytest.fail("there is no engine")


@pytest.mark.usefixtures("real_io_both")
async def test_an_engine_behind_tcp_is_reached(container: ContainerId, engine_socket: str) -> None:
    async with open_proxy(engine_socket, None) as port:
        engine = DockerEngine(f"tcp://127.0.0.1:{port}", {"HOME": "/"})
        try:
            await check(engine, container)
        finally:
            await engine.aclose()


@pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")
@pytest.mark.usefixtures("real_io_both")
async def test_an_engine_behind_tls_is_reached_with_certificates(
    container: ContainerId, engine_socket: str, tmp_path: Path
) -> None:
    make_certificate(tmp_path)
    async with open_proxy(engine_socket, tmp_path) as port:
        environment = {"DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(tmp_path), "HOME": str(tmp_path)}
        engine = DockerEngine(f"tcp://127.0.0.1:{port}", environment)
        try:
            await check(engine, container)
        finally:
            await engine.aclose()
        unverified = DockerEngine(
            f"tcp://127.0.0.1:{port}", {**environment, "DOCKER_TLS_VERIFY": "", "DOCKER_TLS": "1"}
        )
        async with unverified.open_events():
            assert (await unverified.info()).endpoint == f"tcp://127.0.0.1:{port}"
        await unverified.aclose()
        (tmp_path / "ca.pem").unlink()
        stranger = DockerEngine(f"tcp://127.0.0.1:{port}", environment)
        with pytest.raises(EngineUnavailableError, match=r"(?i)certificate"):
            await stranger.info()
        await stranger.aclose()


async def test_a_command_has_its_user_and_environment(docker_engine: LabelledEngine, container: ContainerId) -> None:
    spec = ExecSpec(argv=("sh", "-c", "id -u; echo $A"), user="dev", environment={"A": "b c"})
    async with docker_engine.open_exec(container, spec) as stream:
        assert await said(stream) == b"1000\nb c\n"


async def test_stderr_of_a_command_is_logged_not_received(
    docker_engine: LabelledEngine, container: ContainerId, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with docker_engine.open_exec(container, ExecSpec(argv=("sh", "-c", "echo no >&2; echo yes"))) as stream:
        assert await said(stream) == b"yes\n"
    assert "no" in caplog.text


async def test_a_command_whose_stream_is_closed_sees_the_end_of_its_input(
    docker_engine: LabelledEngine, container: ContainerId
) -> None:
    async with docker_engine.open_exec(container, ExecSpec(argv=("sh", "-c", "cat; touch /tmp/ended"))):
        pass
    script = "until [ -e /tmp/ended ]; do sleep 0.01; done; echo ended"
    async with docker_engine.open_exec(container, ExecSpec(argv=("sh", "-c", script))) as stream:
        assert await said(stream) == b"ended\n"


async def test_limits_hold_inside(docker_engine: LabelledEngine, engine_ground: EngineGround) -> None:
    spec = ContainerSpec(
        name=engine_ground.name(),
        image=BUSYBOX,
        command=("sleep", "1000"),
        user="65532:65532",
        network="none",
        is_read_only=True,
        cap_drop=("ALL",),
        security_options=("no-new-privileges",),
    )
    container = await docker_engine.create(spec)
    await docker_engine.start(container)
    script = "id -u; grep -E 'CapEff|NoNewPrivs' /proc/self/status; touch /x 2>/dev/null || echo ro; ls /sys/class/net"
    async with docker_engine.open_exec(container, ExecSpec(argv=("sh", "-c", script))) as stream:
        lines = (await said(stream)).decode().split("\n")
    assert lines[0] == "65532"
    assert {"CapEff:\t0000000000000000", "NoNewPrivs:\t1", "ro"} <= set(lines)
    assert "eth0" not in lines
