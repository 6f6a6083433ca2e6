"""The image of the HTTP server, built and run by the engine of these tests, which it works for."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from mcp import Client
from support.built import make_dist
from support.docker_cli import docker
from support.http_ground import http_client
from support.images import BUSYBOX
from support.python_image import make_python_image
from support.real_engine import INSTANCE_LABEL, EngineGround
from support.wheelhouse import PLACE

# pip takes most of it, and much longer where much else goes on.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

IN_THERE = "/var/run/docker.sock"
LISTENS_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A running container of the image."""

    container: str
    url: str
    token: str

    def run(self, *argv: str) -> str:
        """A command in there."""
        return docker("exec", self.container, *argv)


@pytest.fixture(scope="module")
def image(wheelhouse: None, engine_ground: EngineGround, tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    """The image, built without a network: what it is made of lies in its context."""
    context = tmp_path_factory.mktemp("image")
    make_dist(context, "image")
    for wheel in PLACE.glob("*.whl"):
        shutil.copy(wheel, context)
    name = f"{engine_ground.name('image')}:1"
    base = f"BASE={make_python_image()}"
    built = (
        "build",
        "--quiet",
        "--network",
        "none",
        "--build-arg",
        base,
        "--build-arg",
        "PIP_NO_INDEX=1",
        str(context),
    )
    file = ("--file", str(context / "Containerfile"))
    # The first stage has a name as well, so that it can be removed.
    docker(*built, *file, "--target", "build", "--tag", f"{name}-build")
    docker(*built, *file, "--tag", name)
    yield name
    docker("image", "rm", "--force", name, f"{name}-build")


@pytest.fixture(scope="module")
def served(image: str, engine_ground: EngineGround) -> Generator[Served]:
    """The image, run as the documents say, on a port of the loopback that is free."""
    socket = engine_socket()
    words = (
        "--publish",
        "127.0.0.1::8811",
        "--volume",
        f"{socket}:{IN_THERE}",
        "--group-add",
        str(socket.stat().st_gid),
    )
    state = ("--volume", f"{engine_ground.name('state')}:/var/lib/ws-mcp")
    label = next(f"{name}={value}" for name, value in engine_ground.labels.items())
    flags = ("--behind-proxy", "--allowed-host", "localhost", "--image", BUSYBOX)
    container = docker("run", "--detach", "--label", label, *words, *state, image, *flags).strip()
    try:
        wait_until_ready(container)
        port = docker("port", container, "8811/tcp").split()[0].rpartition(":")[2]
        token = docker("exec", container, "cat", "/var/lib/ws-mcp/state/http-token").strip()
        yield Served(container=container, url=f"http://127.0.0.1:{port}/mcp", token=token)
    finally:
        docker("rm", "--force", container)


def engine_socket() -> Path:
    """The socket of the engine that these tests use."""
    host = (
        os.environ.get("DOCKER_HOST") or docker("context", "inspect", "--format", "{{.Endpoints.docker.Host}}").strip()
    )
    assert host.startswith("unix://"), "the image is tested with an engine of this machine"
    return Path(host.removeprefix("unix://"))


def wait_until_ready(container: str) -> None:
    """As the image's own health check asks, which the engine does too seldom for a test."""
    ask = "until ws-mcp health; do sleep 0.2; done"
    try:
        docker("exec", container, "timeout", f"{LISTENS_S:.0f}", "sh", "-c", ask)
    except subprocess.CalledProcessError:
        pytest.fail(f"it did not get ready: {logs_of(container)}")


def logs_of(container: str) -> str:
    """What the server said, on both streams."""
    done = subprocess.run(("docker", "logs", container), capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


@pytest.mark.long  # it builds an image of Python first
@pytest.mark.usefixtures("real_io")
async def test_a_client_with_its_token_gets_a_workspace_of_the_engine_that_it_runs_on(
    served: Served, engine_ground: EngineGround
) -> None:
    said = served.run("ws-mcp", "doctor")
    found = re.search(r"(?m)^ok +instance +(\w+),", said)
    assert found is not None, said
    engine_ground.own({INSTANCE_LABEL: found[1]})
    async with http_client(served.url, served.token, "auto") as client:
        assert "start_process" in {tool.name for tool in (await client.list_tools()).tools}
        chat = (await call(client, "provision_workspace", name="main"))["chat"]
        started = await call(client, "start_process", chat=chat, command="echo hello", wait_s=20)
        assert started["exit_code"] == 0
        await call(client, "remove_workspace", chat=chat, name="main", keep_data=False)


def test_who_has_no_token_is_refused(served: Served) -> None:
    with pytest.raises(HTTPError, match="401"):
        urlopen(Request(served.url, data=b"{}", method="POST"), timeout=20)


def test_it_is_not_root_and_its_health_is_asked_by_itself(served: Served, image: str) -> None:
    assert served.run("id", "-u").strip() == "65532"
    shown = docker("image", "inspect", "--format", "{{json .Config.Healthcheck.Test}} {{json .Config.Labels}}", image)
    assert '["CMD","ws-mcp","health"]' in shown
    assert '"io.modelcontextprotocol.server.name"' in shown
    assert served.run("ws-mcp", "health").strip() == "ready"


def test_nothing_of_the_build_is_left_in_it(image: str) -> None:
    listed = docker(
        "run", "--rm", "--entrypoint", "sh", image, "-c", "ls -d /wheels /opt/ws-mcp/bin/pip* 2>&1; ls /opt/ws-mcp/bin"
    )
    assert "/wheels:" in listed
    assert "/opt/ws-mcp/bin/pip" not in listed.splitlines()
    assert "ws-mcp" in listed.splitlines()


def test_it_ends_cleanly_when_it_is_stopped(served: Served) -> None:
    docker("stop", "--time", "20", served.container)
    # 128 and the number of TERM, as it ends itself then; 137 would be the engine's KILL.
    assert docker("inspect", "--format", "{{.State.ExitCode}}", served.container).strip() == "143"
    assert "Traceback" not in logs_of(served.container)


async def call(client: Client, tool: str, **arguments: object) -> dict[str, object]:
    """A call that must succeed; its structured answer."""
    answer = await client.call_tool(tool, arguments)
    assert not answer.is_error, answer.content
    return answer.structured_content or {}
