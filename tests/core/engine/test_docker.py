"""The engine door against engines that are slow, odd, restarted or gone."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import pytest
from anyio.abc import ByteStream
from support.http_server import VERSION, Request, always, open_door, open_server, reply

from ws_mcp.core.engine.deadlines import Deadlines
from ws_mcp.core.engine.docker import DockerEngine
from ws_mcp.core.engine.model import ContainerSpec, ExecSpec
from ws_mcp.core.engine.sdk import agreed_api
from ws_mcp.core.errors import (
    EngineConflictError,
    EngineError,
    EngineNotFoundError,
    EngineTimeoutError,
    EngineUnavailableError,
    InvalidArgumentError,
)
from ws_mcp.core.ids import ContainerId

pytestmark = pytest.mark.usefixtures("real_io")

ID = ContainerId("a" * 64)


def test_importing_the_door_does_not_import_the_sdk() -> None:
    code = "import sys, ws_mcp.core.engine.docker; sys.exit(bool({'docker', 'requests', 'urllib3'} & set(sys.modules)))"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("newest", "oldest", "agreed"),
    [("1.41", "1.12", "1.41"), ("1.52", "1.44", "1.44"), ("1.60", "1.50", "1.50"), ("1.9", "", "1.9")],
)
def test_the_version_of_the_api_is_one_that_both_speak(newest: str, oldest: str, agreed: str) -> None:
    assert agreed_api(newest, oldest) == agreed


@pytest.mark.parametrize("status", [400, 403, 500, 503])
async def test_a_refusal_is_one_line_with_the_engines_reason(tmp_path: Path, status: int) -> None:
    refusal = always(status, {"message": "it is\nfull: /var/lib/docker/x"})
    async with open_door(tmp_path / "s", refusal) as (engine, _):
        with pytest.raises(EngineError, match=r"could not start container 'aaaaaaaaaaaa': it is full: <path>$"):
            await engine.start(ID)


@pytest.mark.parametrize("body", [None, [], "x", 5, {"Id": 7, "Config": [], "State": None, "HostConfig": "x"}])
async def test_an_odd_answer_is_no_crash(tmp_path: Path, body: object) -> None:
    async with open_door(tmp_path / "s", always(200, body)) as (engine, _):
        with pytest.raises(EngineNotFoundError):
            await engine.inspect(ID)
        assert (await engine.image("x")).tags == ()
        with pytest.raises(EngineError, match="no id"):
            await engine.create(ContainerSpec(name="x", image="y"))


@pytest.mark.parametrize("raw", [b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{{{", b"SSH-2.0\r\n\r\n", b"\0" * 100])
async def test_garbage_is_an_engine_error(tmp_path: Path, raw: bytes) -> None:
    async def babble(_request: Request, stream: ByteStream) -> None:
        await stream.send(raw)
        await stream.aclose()

    async with open_door(tmp_path / "s", babble) as (engine, _):
        with pytest.raises(EngineError):
            await engine.info()
        with pytest.raises(EngineError):
            await engine.create(ContainerSpec(name="x", image="y"))


async def test_an_error_within_a_good_answer_to_an_import_is_seen(tmp_path: Path) -> None:
    async with open_door(tmp_path / "s", always(200, {"error": "unexpected EOF"})) as (engine, _):
        with pytest.raises(EngineError, match="unexpected EOF"):
            await engine.import_image(b"", "x:1")


async def test_a_removal_that_another_began_is_waited_for(tmp_path: Path) -> None:
    looks: list[Request] = []

    async def answer(request: Request, stream: ByteStream) -> None:
        if request.method == "DELETE":
            await reply(stream, 409, {"message": "removal of container x is already in progress"})
        elif len(looks) < 2:
            looks.append(request)
            await reply(stream, 200, {"Id": ID, "Name": "/x"})
        else:
            await reply(stream, 404, {"message": "No such container: x"})

    async with open_door(tmp_path / "s", answer) as (engine, _):
        await engine.remove(ID)
    assert len(looks) == 2


async def test_a_removal_that_never_ends_is_given_up(tmp_path: Path) -> None:
    async def answer(request: Request, stream: ByteStream) -> None:
        if request.method == "DELETE":
            await reply(stream, 409, {"message": "removal of container x is already in progress"})
        else:
            await reply(stream, 200, {"Id": ID, "Name": "/x"})

    async with open_door(tmp_path / "s", answer, Deadlines(gone_s=0.1)) as (engine, _):
        with pytest.raises(EngineTimeoutError, match="not gone"):
            await engine.remove(ID)


async def test_a_removal_that_is_refused_is_a_conflict(tmp_path: Path) -> None:
    async with open_door(tmp_path / "s", always(409, {"message": "You cannot remove it"})) as (engine, _):
        with pytest.raises(EngineConflictError):
            await engine.remove(ID)


async def test_a_container_that_was_not_asked_for_is_not_given(tmp_path: Path) -> None:
    async with open_door(tmp_path / "s", always(200, {"Id": "b" * 64, "Name": "/other"})) as (engine, _):
        with pytest.raises(EngineNotFoundError):
            await engine.inspect("bbbbbbbbbbbb")


async def test_without_an_engine_every_call_says_so(tmp_path: Path) -> None:
    engine = DockerEngine(str(tmp_path / "none"), {})
    with pytest.raises(EngineUnavailableError, match="no socket at unix://"):
        await engine.info()
    with pytest.raises(EngineUnavailableError):
        await engine.create(ContainerSpec(name="x", image="y"))
    with pytest.raises(EngineUnavailableError):
        async with engine.open_events():
            pytest.fail("there is no engine")
    with pytest.raises(EngineUnavailableError):
        async with engine.open_exec(ID, ExecSpec(argv=("true",))):
            pytest.fail("there is no engine")
    await engine.aclose()
    with pytest.raises(InvalidArgumentError, match="--engine"):
        await DockerEngine("what:ever", {}).info()


async def test_podman_is_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def answer(request: Request, stream: ByteStream) -> None:
        await reply(stream, 200, {"ID": str(len(request.target)), "Name": "host", "DockerRootDir": "/store"})

    monkeypatch.setitem(VERSION, "Components", [{"Name": "Podman Engine"}])
    async with open_door(tmp_path / "s", answer) as (engine, _):
        info = await engine.info()
    assert info.kind == "podman"
    assert len(info.engine_id) == 32


async def test_podman_is_asked_for_the_directory_first_since_it_would_make_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def answer(request: Request, stream: ByteStream) -> None:
        await reply(stream, 404 if request.method == "HEAD" else 200, "" if request.method == "HEAD" else {})

    monkeypatch.setitem(VERSION, "Components", [{"Name": "Podman Engine"}])
    async with open_door(tmp_path / "s", answer) as (engine, server):
        with pytest.raises(EngineNotFoundError):
            await engine.put_archive(ID, "/no", b"")
        assert not any(request.method == "PUT" for request in server.requests)


async def test_podman_gets_the_tag_of_an_import_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(VERSION, "Components", [{"Name": "Podman Engine"}])
    async with open_door(tmp_path / "s", always(201, {"status": "sha256:" + "1" * 64})) as (engine, server):
        await engine.import_image(b"", "a/b:2")
        assert server.requests[-1].target.endswith("/tag?tag=2&repo=a%2Fb&force=0")


async def test_a_warning_of_the_engine_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with open_door(tmp_path / "s", always(201, {"Id": ID, "Warnings": ["no swap\nlimit"]})) as (engine, _):
        await engine.create(ContainerSpec(name="x", image="y"))
    assert "no swap limit" in caplog.text


async def test_the_beginning_of_a_networks_id_finds_nothing(tmp_path: Path) -> None:
    async with open_door(tmp_path / "s", always(200, {"Name": "other", "Id": ID})) as (engine, _):
        with pytest.raises(EngineNotFoundError):
            await engine.inspect_network("aaaa")


async def test_a_login_that_cannot_be_read_is_said_before_anything_is_pulled(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"auths": {"registry": "?"}}')

    async def report(_phase: str, _fraction: float) -> None:
        raise AssertionError("nothing is pulled")

    async with open_server(tmp_path / "s", always(200, VERSION)) as server:
        engine = DockerEngine(str(tmp_path / "s"), {"DOCKER_CONFIG": str(tmp_path)})
        with pytest.raises(EngineError, match="the login for the registry of 'x:1' cannot be read"):
            await engine.pull("x:1", "", report)
        await engine.aclose()
    assert not [request for request in server.requests if request.method == "POST"]


async def test_a_pull_that_the_engine_breaks_off_is_no_image(tmp_path: Path) -> None:
    async def half(request: Request, stream: ByteStream) -> None:
        await stream.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        await stream.send(b'25\r\n{"status":"Pulling fs layer","id":"a"}\r\n')
        await stream.aclose()

    phases: list[str] = []

    async def report(phase: str, _fraction: float) -> None:
        phases.append(phase)

    async with open_door(tmp_path / "s", half) as (engine, _):
        with pytest.raises(EngineUnavailableError):
            await engine.pull("x:1", "", report)
    assert phases == []


async def test_a_network_is_made_though_an_interface_of_the_machine_goes_meanwhile(tmp_path: Path) -> None:
    gone = {"message": "route ip+net: no such network interface"}
    left = [gone, gone]

    async def answer(_request: Request, stream: ByteStream) -> None:
        await (reply(stream, 500, left.pop()) if left else reply(stream, 201, {"Id": "n", "Warning": ""}))

    async with open_door(tmp_path / "s", answer) as (engine, _):
        await engine.create_network("n", {}, is_internal=False)
        assert not left
        left += [gone] * 5
        with pytest.raises(EngineError, match="no such network interface; call again"):
            await engine.create_network("n", {}, is_internal=False)
