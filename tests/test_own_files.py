"""A server's own socket, tokens and keys: no workspace gets them, and a server does not start where one could."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from support.fake_engine import FakeEngine
from support.workspace_ground import SPEC, an_engine, open_service

from ws_mcp.console import Mark
from ws_mcp.core.engine.model import EngineInfo
from ws_mcp.core.errors import ForbiddenError, InvalidArgumentError
from ws_mcp.core.workspaces.mounts import Access
from ws_mcp.doctor_own import own_facts
from ws_mcp.doors import choices_of
from ws_mcp.edge.http_choices import HttpChoices, OAuth
from ws_mcp.own_files import check_apart, own_files
from ws_mcp.settings import Settings

CLOSED = "holds, or is in, what no workspace may have"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root with a project in it."""
    (tmp_path / "root" / "proj").mkdir(parents=True)
    (tmp_path / "root" / "other").mkdir()
    return tmp_path / "root"


def settings(root: Path, **more: object) -> Settings:
    return Settings.model_validate({"state": root.parent / "state", "root": [root], **more})


def test_all_that_is_named_is_the_servers_own(root: Path) -> None:
    oauth = OAuth(issuer="https://i.test", jwks="/k/jwks", resource="https://r.test", audience="a")
    http = HttpChoices(unix="/s/ws", tls_cert="/t/cert", tls_key="/t/key", oauth=oauth)
    said = settings(root, metrics="unix:/m/s", tokens="/k/tokens", policy="/p/policy.toml")
    names = ["/k/jwks", "/k/tokens", "/m/s", "/p/policy.toml", "/s/ws", "/t/cert", "/t/key"]
    assert sorted(map(str, own_files(said, http))) == names
    choices = choices_of(said, http=http)
    assert choices.workspaces.closed == choices.devcontainers.closed == own_files(said, http)
    web = HttpChoices(oauth=replace(oauth, jwks="https://i.test/jwks"))
    assert own_files(settings(root, metrics="127.0.0.1:9"), web) == ()


@pytest.mark.parametrize("where", ["proj/s", "s", "link/s"])
@pytest.mark.parametrize("flag", ["--unix", "--metrics", "--tokens"])
def test_what_gives_power_over_the_server_is_not_below_a_root(root: Path, flag: str, where: str) -> None:
    (root.parent / "link").symlink_to(root / "proj")
    path = f"{root.parent if where.startswith('link') else root}/{where}"
    http = HttpChoices(unix=path) if flag == "--unix" else None
    metrics, tokens = (f"unix:{path}" if flag == "--metrics" else ""), (path if flag == "--tokens" else "")
    said = settings(root, metrics=metrics, tokens=tokens)
    with pytest.raises(InvalidArgumentError, match=f"{flag} .* is below .*root.* Put it elsewhere"):
        check_apart(said, http, said.root)


def test_apart_or_in_what_is_closed_as_a_whole_it_is_fine(root: Path) -> None:
    said = settings(root, state=root / "state", tokens=str(root / "state" / "tokens"), metrics=f"unix:{root}-x/s")
    for path in (f"{root}/state/ws", "/run/user/1000/ws", f"{root.parent}/ws"):
        check_apart(said, HttpChoices(unix=path), said.root)


def test_a_key_below_a_root_is_a_warning(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    check_apart(settings(root), HttpChoices(tls_cert="/t/cert", tls_key=f"{root}/proj/key"), (root,))
    (record,) = caplog.records
    assert f"--tls-key {root}/proj/key is below the root" in record.getMessage()


class Here(FakeEngine):
    """An engine that sees the folders of this machine."""

    async def info(self) -> EngineInfo:
        return replace(await super().info(), endpoint="unix:///run/none.sock")


@pytest.mark.parametrize("own", ["unix", "tokens", "tls_key"])
async def test_a_folder_with_an_own_file_of_the_server_is_refused(root: Path, own: str, real_io_both: None) -> None:
    path = root / "proj" / "own"
    http = HttpChoices(
        unix=str(path) if own == "unix" else "",
        tls_key=str(path) if own == "tls_key" else "",
        tls_cert="/t/cert" if own == "tls_key" else "",
    )
    rules = choices_of(settings(root, tokens=str(path) if own == "tokens" else ""), http=http).workspaces
    fake = Here()
    fake.add_image(await an_engine().image("img:1"))
    async with open_service(fake, root.parent, rules) as service:
        for there in (False, True):
            if there:
                path.write_text("x")
            for folder in (root, root / "proj"):
                with pytest.raises(ForbiddenError, match=CLOSED):
                    await service.provision(replace(SPEC, folder=str(folder), access=Access.READ_ONLY))
        mounted = replace(SPEC, mounts={"/opt/own": str(path)})
        with pytest.raises(ForbiddenError, match=CLOSED):
            await service.provision(mounted)
        assert "create" not in fake.calls
        wish = replace(SPEC, folder=str(root / "other"), access=Access.READ_ONLY)
        assert (await service.provision(wish)).change == "created"


@pytest.mark.parametrize("flags", [("http", "--unix"), ("http", "--tokens"), ("stdio", "--metrics=unix:")])
def test_a_server_does_not_start_where_a_workspace_could_have_its_socket(root: Path, flags: tuple[str, str]) -> None:
    command, flag = flags
    path = root / "proj" / "own"
    said = [f"{flag}{path}"] if flag.endswith(":") else [flag, str(path)]
    argv = [sys.executable, "-m", "ws_mcp", command, "--state", str(root.parent / "s"), "--root", str(root), *said]
    done = subprocess.run(
        argv, capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL, env=os.environ, check=False
    )
    assert done.returncode == 1
    assert "is below" in done.stderr
    assert "Traceback" not in done.stderr
    assert not path.exists()


def test_doctor_says_what_lies_below_a_root_and_who_could_read_tokens(root: Path) -> None:
    tokens = root.parent / "tokens"
    assert own_facts(settings(root, tokens=str(tokens))) == []
    tokens.write_text("")
    tokens.chmod(0o666)
    (found,) = own_facts(settings(root, tokens=str(tokens)))
    assert (found.topic, found.mark) == ("tokens", Mark.BAD)
    assert "chmod 600" in found.advice
    (found,) = own_facts(settings(root, metrics=f"unix:{root}/proj/m"))
    assert (found.mark, found.is_danger) == (Mark.BAD, True)
    (found,) = own_facts(settings(root, state=str(root / "state")))
    assert (found.topic, found.mark) == ("state", Mark.WARN)
