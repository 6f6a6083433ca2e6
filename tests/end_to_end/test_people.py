"""What a person sees who runs `ws-mcp demo`, `doctor` and `ps`, on real parts."""

from __future__ import annotations

import io
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import anyio
import pytest
from support.devcontainer_ground import FOLDER, DevcontainerGround, cli_missing
from support.docker_cli import containers_of, docker, networks_of, volumes_of
from support.forked import forked_argv
from support.instances import IMAGE, Instance
from support.peers import open_peer, server_environment

from ws_mcp.console import Console
from ws_mcp.demo_devcontainers import WITHOUT_AN_ENGINE
from ws_mcp.demo_server import environment_of
from ws_mcp.demo_workspaces import LEFT_OUT
from ws_mcp.settings import Settings, from_environment
from ws_mcp.transcript import ClaimError, Transcript

BOUND_S = 100.0  # of a whole demo; it takes about twenty-five seconds
DEAD_ENGINE = "unix:///nowhere/engine.sock"
NO_BUBBLEWRAP = "/nowhere"  # as PATH: no program is found by its name


def bubblewrap_works() -> bool:
    program = shutil.which("bwrap")
    return program is not None and subprocess.run([program, "--ro-bind", "/", "/", "true"], check=False).returncode == 0


sandboxed = pytest.mark.skipif(not bubblewrap_works(), reason="bubblewrap is not installed or may not be used here")


def environment(temporary: Path, **more: str) -> Mapping[str, str]:
    return {**server_environment(), "TMPDIR": str(temporary), **more}


async def run(*argv: str, temporary: Path, **more: str) -> tuple[int, str]:
    """One command of a person to its end: exit code, and what was said on both streams."""
    with anyio.fail_after(BOUND_S):
        done = await anyio.run_process(
            forked_argv(temporary.parent / f"{temporary.name}.pid", *argv),
            check=False,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env=environment(temporary, **more),
        )
    return done.returncode, done.stdout.decode()


def instance_of(temporary: Path) -> str:
    """The instance of the demo that is running with this temporary directory, "" while there is none."""
    for database in temporary.glob("ws-mcp-demo-*/state/state.db"):
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as opened:
            try:
                found = opened.execute("SELECT value FROM meta WHERE name = 'instance'").fetchone()
            except sqlite3.OperationalError:
                return ""
            return found[0].decode() if found else ""
    return ""


def left_in(directory: Path) -> list[str]:
    """What lies in a directory."""
    return [path.name for path in directory.iterdir()]


def sockets_of(temporary: Path) -> set[Path]:
    """Where the sockets of local workspaces of the demo with this temporary directory are."""
    root = Path("/dev/shm") / f"ws-mcp-{os.getuid()}"
    return {root / path.name for path in temporary.glob("ws-mcp-demo-*/state/local/wsmcp-*")}


async def demo(
    temporary: Path, *flags: str, stop: signal.Signals | None = None, at: str = "2. "
) -> tuple[int, str, str]:
    """A whole demo: exit code, transcript, instance. With `stop` it gets that signal once it has said `at`."""
    command = [sys.executable, "-m", "ws_mcp", "demo", *flags]
    with anyio.fail_after(BOUND_S):
        async with await anyio.open_process(
            command, stderr=subprocess.STDOUT, env=environment(temporary), start_new_session=True
        ) as child:
            assert child.stdout is not None
            instance, said, sockets = "", b"", set[Path]()
            async for chunk in child.stdout:
                said += chunk
                instance = instance or instance_of(temporary)
                sockets |= sockets_of(temporary)
                if stop is not None and at.encode() in said:
                    child.send_signal(stop)
                    stop = None
            code = await child.wait()
            assert [path for path in sockets if path.exists()] == []
            assert sockets or "--engine" not in flags
            return code, said.decode(), instance


CLAIMS = (
    "the reads join without a gap",
    "its exit code is 3",
    "the same chat has the same process ids",
    "what had ended still says how",
    "no tick is missing or there twice",
)
WITH_AN_ENGINE = (
    "it has the template's file",
    "and why: the template is another one",
    "but nothing was done",
    "it has the new template and the old files",
    "its file is read all the same",
    "it is gone with its data",
)

WITH_THE_CLI = (
    "it is in the list, and not there yet",
    "a process runs in it, in the folder of the project",
    "and says why: the Dockerfile",
    "nothing was done to it by itself",
    "the step that failed is named",
    "the old container runs on",
    "it answers as before",
    "another container took its place",
    "it is as the Dockerfile says now",
    "it is gone, its definition stays",
)


def made_for_dev_containers() -> set[str]:
    """Containers of dev containers and of build steps that failed in a demo, and all images, by id."""
    shown = docker("ps", "--all", "--no-trunc", "--format", f'{{{{.ID}}}} {{{{.Command}}}} {{{{.Label "{FOLDER}"}}}}')
    containers = [line for line in shown.splitlines() if "no-such-program-" in line or "ws-mcp-demo-" in line]
    images = docker("images", "--format", "{{.ID}} {{.Repository}}").splitlines()
    return {*containers, *(image for image in images if "vsc-shop-" in image or "ws-mcp-demo" in image)}


@pytest.mark.slow
@pytest.mark.usefixtures("engine_ground")
async def test_the_demo_holds_on_a_real_engine_and_leaves_nothing(tmp_path: Path) -> None:
    before = made_for_dev_containers()
    code, said, instance = await demo(tmp_path)
    assert code == 0, said
    claims = (*CLAIMS, *WITH_AN_ENGINE, *(() if cli_missing() else WITH_THE_CLI))
    assert [claim for claim in claims if f"ok   {claim}" not in said] == []
    if cli_missing():
        assert "this is left out" in said
    else:
        assert re.search(r"^ +\d+ %  building the image: step \d", said, re.MULTILINE), said
        assert "shop running, dirty: .devcontainer/Dockerfile changed" in said
    assert made_for_dev_containers() <= before
    assert "would be recreated: the template changed" in said
    assert "kill -9" in said
    assert "\x1b" not in said
    assert instance
    assert (containers_of(instance), volumes_of(instance), networks_of(instance)) == ([], [], [])
    made = re.search(r"ws-mcp-demo:\w+", said)
    assert made is not None
    assert docker("images", "--quiet", made[0]) == ""
    assert left_in(tmp_path) == []


@pytest.mark.slow
@pytest.mark.usefixtures("engine_ground")
async def test_a_demo_that_is_stopped_in_the_middle_leaves_nothing(tmp_path: Path) -> None:
    code, said, instance = await demo(tmp_path, stop=signal.SIGINT)
    assert code == 130, said
    assert "clearing away" in said
    assert "Traceback" not in said
    assert instance
    assert (containers_of(instance), volumes_of(instance), networks_of(instance)) == ([], [], [])
    assert left_in(tmp_path) == []


@pytest.mark.long  # the one above is stopped, too
@pytest.mark.skipif(bool(cli_missing()), reason=cli_missing() or "the CLI is here")
@pytest.mark.usefixtures("engine_ground")
@pytest.mark.slow
@pytest.mark.parametrize("at", ["building the image", "Repaired, and made anew"])
async def test_a_demo_that_is_stopped_at_its_dev_container_leaves_nothing(tmp_path: Path, at: str) -> None:
    before = made_for_dev_containers()
    code, said, instance = await demo(tmp_path, stop=signal.SIGINT, at=at)
    assert code == 130, said
    assert (containers_of(instance), volumes_of(instance), networks_of(instance)) == ([], [], [])
    assert made_for_dev_containers() <= before
    assert left_in(tmp_path) == []


@sandboxed
@pytest.mark.slow
async def test_the_demo_holds_when_the_engine_does_not_answer(tmp_path: Path, real_io: None) -> None:
    # Without any it is shown with what is installed: test_installed.py.
    code, said, _ = await demo(tmp_path, "--engine", DEAD_ENGINE)
    assert code == 0, said
    assert "bubblewrap" in said
    assert LEFT_OUT in said
    assert WITHOUT_AN_ENGINE in said
    assert [claim for claim in CLAIMS if f"ok   {claim}" not in said] == []
    assert left_in(tmp_path) == []


async def test_a_demo_that_has_nothing_to_run_in_says_what_to_install(tmp_path: Path, real_io: None) -> None:
    code, said = await run("demo", "--engine", "none", temporary=tmp_path, PATH=NO_BUBBLEWRAP)
    assert code == 1
    assert "install bubblewrap" in said
    assert "--allow-host-processes" in said
    assert "Traceback" not in said
    assert left_in(tmp_path) == []


async def test_a_demo_without_a_sandbox_runs_only_when_allowed(tmp_path: Path, real_io: None) -> None:
    flags = ("demo", "--engine", "none", "--allow-host-processes")
    code, said = await run(*flags, temporary=tmp_path, PATH=NO_BUBBLEWRAP)
    assert code == 0, said
    assert "without a sandbox" in said
    assert left_in(tmp_path) == []


def test_the_servers_of_a_demo_get_every_setting_of_it(tmp_path: Path) -> None:
    settings = Settings(
        state=tmp_path / "state",
        root=(tmp_path / "one", tmp_path / "two"),
        template={"demo": tmp_path / "a, b"},
        runtime={"python": "python:3.12"},
        size={"2.cpus": 1.5},
        pull=True,
    )
    assert Settings.model_validate(from_environment(environment_of(settings))) == settings


def test_a_claim_that_does_not_hold_ends_the_demo_with_a_clear_line() -> None:
    shown = Console(io.StringIO(), io.StringIO(), is_coloured=False, columns=100)
    transcript = Transcript(shown)
    with pytest.raises(ClaimError, match=r"not true: it counts \(found: 7\)"):
        transcript.check("it counts", holds=False, found=7)


async def test_doctor_finds_the_engine_and_asks_each_workspace(instance: Instance) -> None:
    async with instance.open_peer() as peer:
        await peer.ok("provision_workspace")
        await peer.start("sleep 600", wait_s=0)
        code, said = await run("doctor", "--state", str(instance.state), temporary=instance.state.parent)
    assert code == 0, said
    assert re.search(r"^ok +engine +docker \S+ \(API \S+\) at \S+, from", said, re.MULTILINE), said
    assert re.search(r"storage \w+, cgroup v[12]", said)
    assert "live-restore is" in said
    assert re.search(r"^ok +images .*wsmcp-test-busybox:1", said, re.MULTILINE), said
    assert re.search(
        r"^ok +workspace +main \(container, \S+\): execd \S+ answers in [\d.]+ ms, 1 running", said, re.MULTILINE
    )
    assert "workspaces can be containers" in said


async def test_doctor_says_what_to_do_where_nothing_can_be_made(tmp_path: Path, real_io: None) -> None:
    state = tmp_path / "state"
    code, said = await run(
        "doctor", "--state", str(state), "--engine", DEAD_ENGINE, temporary=tmp_path, PATH=NO_BUBBLEWRAP
    )
    assert code == 1
    assert re.search(r"^warn engine +no container engine answers", said, re.MULTILINE), said
    assert re.search(r"^warn sandbox +bubblewrap is not installed\n +-> install bubblewrap", said, re.MULTILINE), said
    assert "no workspace can be made here" in said
    assert not state.exists()


async def test_doctor_finds_a_state_directory_that_others_can_read(tmp_path: Path, real_io: None) -> None:
    state = tmp_path / "state"
    state.mkdir(mode=0o755)
    _, said = await run("doctor", "--state", str(state), "--engine", "none", temporary=tmp_path)
    assert re.search(r"^warn state .* has mode 755\n +-> ", said, re.MULTILINE), said


async def test_ps_says_how_to_begin_where_there_is_nothing(tmp_path: Path, real_io: None) -> None:
    code, said = await run("ps", "--state", str(tmp_path / "state"), "--engine", "none", temporary=tmp_path)
    assert code == 0
    assert "No workspace" in said
    assert "provision_workspace" in said
    assert not (tmp_path / "state").exists()


async def test_ps_shows_what_runs_in_which_chat(instance: Instance) -> None:
    async with instance.open_peer() as peer:
        await peer.ok("provision_workspace")
        running = await peer.start("echo hello; sleep 600", wait_s=0)
        ended_one = await peer.start("printf '\\033[31m'; exit 3", wait_s=30)
        other = str((await peer.ok("provision_workspace", name="other", chat="new"))["chat"])
        await peer.start("sleep 601", wait_s=0, chat=other)
        arguments = ("ps", "--state", str(instance.state))
        code, said = await run(*arguments, temporary=instance.state.parent)
        _, everything = await run(*arguments, "--all", temporary=instance.state.parent)
    assert code == 0, said
    assert said.count("(chat ") == 2
    assert re.search(rf"^    {running} +running +\d+ s +6 B +echo hello; sleep 600$", said, re.MULTILINE), said
    assert "1 ended; --all shows them" in said
    assert ended_one not in said
    assert re.search(rf"^    {ended_one} +exited 3 +\d+ s +5 B +printf", everything, re.MULTILINE), everything
    assert "\x1b" not in everything


@sandboxed
async def test_ps_says_what_is_unknown_while_the_engine_does_not_answer(tmp_path: Path, real_io: None) -> None:
    state = tmp_path / "state"
    async with open_peer(state, "--engine", "none") as peer:
        await peer.ok("provision_workspace", name="here")
        process = await peer.start("sleep 600", wait_s=0)
        code, said = await run("ps", "--state", str(state), "--engine", DEAD_ENGINE, temporary=tmp_path)
        await peer.ok("remove_workspace", name="here", keep_data=False)
    assert code == 1
    assert "containers are unknown now, not gone" in said
    assert re.search(rf"{process} +running", said), said


async def test_ps_shows_all_processes_also_when_they_do_not_fit_into_one_answer(instance: Instance) -> None:
    async with instance.open_peer() as peer:
        await peer.ok("provision_workspace")
        started = {await peer.start(f": {number} {'x' * 60_000}", wait_s=1) for number in range(80)}
        code, said = await run("ps", "--state", str(instance.state), "--all", temporary=instance.state.parent)
    assert code == 0, said
    assert set(re.findall(r"^    (p_\w+) ", said, re.MULTILINE)) == started


@pytest.mark.skipif(bool(cli_missing()), reason=cli_missing() or "the CLI is here")
async def test_ps_and_doctor_show_dev_containers_and_what_chats_run_in_them(
    instance: Instance, tmp_path: Path, devcontainer_ground: DevcontainerGround
) -> None:
    folder = tmp_path / "root" / "shop"
    (folder / ".devcontainer").mkdir(parents=True)
    definition = folder / ".devcontainer" / "devcontainer.json"
    definition.write_text(f'{{"image": "{IMAGE}"}}')
    devcontainer_ground.own(folder)
    root = ("--root", str(tmp_path / "root"))
    async with instance.open_peer(*root) as peer:
        await peer.ok("recreate_devcontainer", folder=str(folder))
        process = await peer.start("sleep 600", workspace="shop", wait_s=0)
        definition.write_text(f'{{"image": "{IMAGE}", "containerEnv": {{"A": "1"}}}}')
        code, said = await run("ps", "--state", str(instance.state), *root, temporary=tmp_path)
        _, looked = await run("doctor", "--state", str(instance.state), *root, temporary=tmp_path)
        await peer.ok("remove_workspace", name="shop")  # execd's volume goes with the instance
    assert code == 0, said
    assert re.search(r"^  shop: running, out of date \(.*containerEnv.*\), ", said, re.MULTILINE), said
    assert re.search(rf"^    \w{{8}}  {process} +running .* sleep 600$", said, re.MULTILINE), said
    assert re.search(r"^ok +devcontainer +CLI \d+\.\d+\.\d+ with ", looked, re.MULTILINE), looked
    assert re.search(r"^ok +devcontainer +1 definition below the roots$", looked, re.MULTILINE), looked
