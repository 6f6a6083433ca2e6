"""Local workspaces in a real sandbox: what the caller gives stays inside, and what is removed is gone."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from ws_mcp.core.choices import Choices
from ws_mcp.core.errors import InvalidArgumentError
from ws_mcp.core.host import sandbox
from ws_mcp.core.ids import ChatId, PrincipalId, Scope, WorkspaceName
from ws_mcp.core.processes.model import ReadRequest, StartRequest, Until, Wait
from ws_mcp.core.runtime import Core, open_core
from ws_mcp.core.workspaces.model import Ask, Provisioned, Workspace, WorkspaceKind, WorkspaceSpec

NAME = WorkspaceName("main")
SCOPE = Scope(principal=PrincipalId("local:0"), chat=ChatId("c1"))
OTHER = Scope(principal=PrincipalId("local:0"), chat=ChatId("c2"))
SPEC = WorkspaceSpec(name=NAME, kind=WorkspaceKind.LOCAL)


@pytest.fixture(autouse=True)
def _needs_a_sandbox(real_io: None) -> None:
    if not sandbox.has_bubblewrap():
        if os.environ.get("CI", "").lower() in {"1", "true"}:
            pytest.fail("bubblewrap is not installed")
        pytest.skip("bubblewrap is not installed")


async def quiet(_phase: str, _fraction: float) -> None: ...


@asynccontextmanager
async def open_local(path: Path) -> AsyncGenerator[Core]:
    async with open_core(Choices(state=path / "state"), None) as core:
        try:
            yield core
        finally:
            with anyio.CancelScope(shield=True):
                for scope in (SCOPE, OTHER):
                    for workspace in (await core.workspaces(scope)).workspaces:
                        await core.remove(scope, workspace.name, keep_volume=False)


@pytest.mark.parametrize("spec", [replace(SPEC, image="debian:13"), replace(SPEC, ports=(80,))])
async def test_what_only_a_container_has_is_refused(tmp_path: Path, spec: WorkspaceSpec) -> None:
    async with open_local(tmp_path) as core:
        with pytest.raises(InvalidArgumentError, match="use a container"):
            await core.provision(SCOPE, spec, Ask(), quiet)
        assert (await core.workspaces(SCOPE)).workspaces == ()


async def said(core: Core, command: str) -> str:
    wait = ReadRequest(wait=Wait(until=Until.EXIT, wait_s=10))
    window = (await core.processes(SCOPE).start(NAME, StartRequest(command=command, first=wait))).window
    assert window is not None
    return window.data.decode()


def family(home: Path) -> list[int]:
    """The pids outside: bubblewrap, and the first process of its sandbox."""
    pid = int((home / "pid").read_text().split()[0])
    return [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]


def shown(pid: int) -> bytes:
    """What everybody on the machine sees of a process, and what rules it."""
    return Path(f"/proc/{pid}/environ").read_bytes() + Path(f"/proc/{pid}/cmdline").read_bytes()


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def home_of(path: Path, workspace: Workspace) -> Path:
    return path / "state" / "local" / workspace.place


async def provisioned(core: Core, scope: Scope, spec: WorkspaceSpec) -> Workspace:
    made = await core.provision(scope, spec, Ask(), quiet)
    assert isinstance(made, Provisioned)
    assert made.workspace is not None
    return made.workspace


async def test_the_callers_environment_reaches_what_runs_inside_and_nothing_of_the_host(tmp_path: Path) -> None:
    environment = {"LD_PRELOAD": "./evil.so", "GREETING": 'hello "there"\n$HOME'}
    spec = WorkspaceSpec(name=NAME, kind=WorkspaceKind.LOCAL, environment=environment)
    async with open_local(tmp_path) as core:
        made = await provisioned(core, SCOPE, spec)
        assert 'hello "there"\n$HOME' in await said(core, 'echo "$GREETING"')
        outside = shown(family(home_of(tmp_path, made))[0])
        assert b"LD_PRELOAD" not in outside
        assert b"GREETING" not in outside


async def test_a_link_planted_in_the_sandbox_is_not_followed_by_the_host(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    async with open_local(tmp_path) as core:
        await provisioned(core, SCOPE, SPEC)
        planted = f"rm -f /run/ws-mcp/sock; for n in log execd.log pid; do ln -sf {victim} /run/ws-mcp/$n; done"
        await said(core, planted)
        # Without its socket it counts as stopped, so this starts it anew.
        await provisioned(core, SCOPE, SPEC)
        assert victim.read_text() == "untouched"


async def test_a_workspace_that_no_longer_answers_is_removed_with_all_that_runs_in_it(tmp_path: Path) -> None:
    async with open_local(tmp_path) as core:
        made = await provisioned(core, SCOPE, SPEC)
        home = home_of(tmp_path, made)
        alive = family(home)
        assert all(is_alive(pid) for pid in alive)
        await said(core, "rm -f /run/ws-mcp/sock")
        await core.remove(SCOPE, NAME, keep_volume=False)
        with anyio.fail_after(30):
            while any(is_alive(pid) for pid in alive):  # noqa: ASYNC110 - they are no children of ours
                await anyio.sleep(0.01)
        assert not home.exists()
        assert (await core.workspaces(SCOPE)).workspaces == ()


async def test_files_are_kept_unless_it_is_told_otherwise(tmp_path: Path) -> None:
    async with open_local(tmp_path) as core:
        made = await provisioned(core, SCOPE, SPEC)
        await said(core, "echo kept > /workspace/file")
        await core.remove(SCOPE, NAME, keep_volume=True)
        assert sorted(p.name for p in home_of(tmp_path, made).iterdir()) == ["data"]
        await provisioned(core, SCOPE, SPEC)
        assert await said(core, "cat /workspace/file") == "kept\n"


async def test_a_damaged_record_does_not_take_the_others_with_it(tmp_path: Path) -> None:
    async with open_local(tmp_path) as core:
        damaged = await provisioned(core, OTHER, SPEC)
        await provisioned(core, SCOPE, SPEC)
        record = home_of(tmp_path, damaged) / "workspace.json"
        kept = record.read_text()
        record.write_text("{")
        assert len((await core.workspaces(SCOPE)).workspaces) == 1
        assert (await core.processes(SCOPE).list(None, 10)).total == 0
        record.write_text(kept)


async def test_the_host_is_out_of_reach(tmp_path: Path) -> None:
    async with open_local(tmp_path) as core:
        await provisioned(core, SCOPE, SPEC)
        assert "CapEff:\t0000000000000000" in await said(core, "cat /proc/self/status")
        assert (
            await said(core, f"cat {tmp_path}/state/state.db /etc/shadow 2>/dev/null; ls /home /root 2>/dev/null") == ""
        )
        assert await said(core, "ls /sys/class/net 2>/dev/null; grep -c : /proc/net/dev") == "1\n"
