"""Which engine is chosen, as the docker CLI would."""

from __future__ import annotations

import hashlib
import json
import socket
from pathlib import Path

import pytest

from ws_mcp.core.engine.context import Endpoint, TlsFiles, endpoint_of, resolve_endpoint, ssh_command
from ws_mcp.core.errors import EngineUnavailableError, InvalidArgumentError


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / ".docker").mkdir()
    return tmp_path


def make_context(home: Path, name: str, host: str, *, tls: bool = False, skips: bool = False) -> None:
    digest = hashlib.sha256(name.encode()).hexdigest()
    meta = home / ".docker" / "contexts" / "meta" / digest
    meta.mkdir(parents=True)
    endpoint = {"Host": host, "SkipTLSVerify": skips}
    (meta / "meta.json").write_text(json.dumps({"Name": name, "Metadata": {}, "Endpoints": {"docker": endpoint}}))
    if tls:
        files = home / ".docker" / "contexts" / "tls" / digest / "docker"
        files.mkdir(parents=True)
        for each in ("ca.pem", "cert.pem", "key.pem"):
            (files / each).write_text("x")


def test_what_is_said_wins_over_everything(home: Path) -> None:
    make_context(home, "far", "ssh://far")
    environment = {"HOME": str(home), "DOCKER_HOST": "unix:///env.sock", "DOCKER_CONTEXT": "far"}
    assert resolve_endpoint("unix:///said.sock", environment).path == "/said.sock"
    assert resolve_endpoint("/bare.sock", environment).path == "/bare.sock"
    assert resolve_endpoint("", environment).path == "/env.sock"
    assert resolve_endpoint("", environment).origin == "DOCKER_HOST"
    del environment["DOCKER_HOST"]
    assert str(resolve_endpoint("", environment)) == "ssh://far"


def test_the_current_context_is_followed(home: Path) -> None:
    make_context(home, "colima", "unix:///colima.sock")
    (home / ".docker" / "config.json").write_text('{"currentContext": "colima"}')
    found = resolve_endpoint("", {"HOME": str(home)})
    assert (found.path, found.origin, found.tls) == ("/colima.sock", "docker context 'colima'", None)
    elsewhere = {"HOME": "/nonexistent", "DOCKER_CONFIG": str(home / ".docker")}
    assert resolve_endpoint("", elsewhere).path == "/colima.sock"


@pytest.mark.parametrize("skips", [True, False])
def test_a_context_brings_its_certificates(home: Path, skips: bool) -> None:
    make_context(home, "team", "tcp://build:2376", tls=True, skips=skips)
    found = resolve_endpoint("", {"HOME": str(home), "DOCKER_CONTEXT": "team"})
    assert (found.kind, str(found)) == ("tls", "tcp://build:2376")
    assert found.tls is not None
    assert Path(found.tls.ca).name == "ca.pem"
    assert Path(found.tls.certificate).name == "cert.pem"
    assert found.tls.verifies is not skips


def test_a_context_that_is_gone_is_named(home: Path) -> None:
    with pytest.raises(EngineUnavailableError, match="'gone'"):
        resolve_endpoint("", {"HOME": str(home), "DOCKER_CONTEXT": "gone"})


@pytest.mark.parametrize("content", ["", "{", "[]", '{"currentContext": 5}', '{"currentContext": "default"}'])
def test_without_a_usable_context_the_first_socket_that_is_there_is_taken(home: Path, content: str) -> None:
    (home / ".docker" / "config.json").write_text(content)
    (home / "podman").mkdir()
    path = str(home / "podman" / "podman.sock")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        found = resolve_endpoint("", {"HOME": str(home), "XDG_RUNTIME_DIR": str(home)})
    assert found.path in (path, "/var/run/docker.sock")
    assert found.origin == "the default"


def test_tls_of_the_environment_is_the_clis(home: Path) -> None:
    (home / "ca.pem").write_text("x")
    environment = {"HOME": str(home), "DOCKER_HOST": "tcp://h", "DOCKER_CERT_PATH": str(home)}
    assert resolve_endpoint("", environment).port == 2375
    with_tls = resolve_endpoint("", {**environment, "DOCKER_TLS": "1"})
    assert (with_tls.port, with_tls.tls) == (2376, TlsFiles(ca=str(home / "ca.pem"), verifies=False))
    verified = resolve_endpoint("", {**environment, "DOCKER_TLS_VERIFY": "1"})
    assert verified.tls == TlsFiles(ca=str(home / "ca.pem"), verifies=True)


@pytest.mark.parametrize(
    ("text", "kind", "shown"),
    [
        ("unix:///run/x.sock", "unix", "unix:///run/x.sock"),
        ("tcp://10.0.0.1", "tcp", "tcp://10.0.0.1:2375"),
        ("tcp://[::1]:99", "tcp", "tcp://[::1]:99"),
        ("http://h:1", "tcp", "tcp://h:1"),
        ("https://h", "tls", "tcp://h:2376"),
        ("ssh://me@h:22", "ssh", "ssh://h:22"),
        ("ssh://h", "ssh", "ssh://h"),
    ],
)
def test_endpoints_as_the_cli_writes_them_are_taken(text: str, kind: str, shown: str) -> None:
    found = endpoint_of(text, "--engine", None)
    assert (found.kind, str(found)) == (kind, shown)


@pytest.mark.parametrize(
    "text",
    [
        "npipe:////./pipe/x",
        "unix://",
        "tcp://",
        "x",
        "tcp://h:port",
        "tcp://h:99999",
        "ssh://-oProxyCommand=x",
        "ssh://-o@h",
        "ssh://h/run/docker.sock",
        "ssh://a:secret@h",
        "ssh://",
        "fd://",
    ],
)
def test_what_is_no_endpoint_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgumentError, match="--engine") as refused:
        endpoint_of(text, "--engine", None)
    assert "secret" not in str(refused.value)


def test_ssh_asks_nobody_and_takes_no_option_from_the_endpoint() -> None:
    command = ssh_command(Endpoint(kind="ssh", origin="x", host="h", port=2222, user="me"))
    assert command[-3:] == ["--", "h", "docker system dial-stdio"]
    assert "BatchMode=yes" in command
    assert command[command.index("-l") + 1] == "me"
    assert command[command.index("-p") + 1] == "2222"
