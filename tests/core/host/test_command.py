"""Programs of this machine, run to their end or ended with all that they started."""

from __future__ import annotations

import fcntl
import os
import signal
import sys
from pathlib import Path

import anyio
import pytest
from hypothesis import given
from hypothesis.strategies import binary, integers, lists

from ws_mcp.core.errors import StartError, StateError
from ws_mcp.core.host.command import Finished, Lines, allowed_environment, run_command

pytestmark = pytest.mark.usefixtures("real_io_both")
ENVIRONMENT = {"PATH": os.environ["PATH"]}


def nobody(line: bytes) -> None:
    """Hear nothing."""


async def shell(script: str, *, term_s: float = 3.0, heard: list[bytes] | None = None) -> Finished:
    hear = nobody if heard is None else heard.append
    with anyio.fail_after(20):
        return await run_command(("sh", "-c", script), environment=ENVIRONMENT, hear=hear, term_s=term_s)


def is_there(process: int) -> bool:
    """Whether it runs; a zombie that a careless init does not reap does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def test_stdout_comes_whole_and_stderr_by_lines() -> None:
    heard: list[bytes] = []
    done = await shell("echo answer; echo one >&2; printf 'two\\nthree' >&2; exit 7", heard=heard)
    assert done == Finished(code=7, stdout=b"answer\n")
    assert heard == [b"one", b"two", b"three"]


async def test_a_line_may_be_longer_than_any_buffer() -> None:
    heard: list[bytes] = []
    script = "import sys; sys.stderr.write('x' * 300_000 + '\\nend\\n'); print('y' * 300_000)"
    with anyio.fail_after(20):
        done = await run_command((sys.executable, "-c", script), environment=ENVIRONMENT, hear=heard.append)
    assert [len(line) for line in heard] == [300_000, 3]
    assert len(done.stdout) == 300_001


async def test_a_program_that_was_killed_says_by_which_signal() -> None:
    assert (await shell("kill -9 $$")).code == -signal.SIGKILL


async def test_what_is_no_program_is_said_without_its_path() -> None:
    with pytest.raises(StartError, match=r"^no-such could not be started: No such file or directory$"):
        await run_command(("/srv/hidden/no-such",), environment=ENVIRONMENT, hear=nobody)


async def test_a_child_that_outlives_the_program_and_holds_its_output_does_not_hold_us() -> None:
    heard: list[bytes] = []
    done = await shell("sleep 60 & echo $! >&2; echo answer", heard=heard)
    assert done == Finished(code=0, stdout=b"answer\n")
    (child,) = map(int, heard)
    assert is_there(child)
    os.kill(child, signal.SIGKILL)


@pytest.mark.parametrize("deaf", ["", "trap '' TERM; "], ids=["heeds TERM", "deaf to TERM"])
async def test_a_cancelled_program_leaves_nobody_of_its_group(deaf: str) -> None:
    children: list[int] = []
    with anyio.CancelScope() as scope:

        def hear(line: bytes) -> None:
            children.append(int(line))
            if len(children) == 2:
                scope.cancel()

        # The inner shell is what a build is to the CLI: a child with a child.
        script = f"{deaf}sh -c '{deaf}sleep 61 & echo $! >&2; wait; sleep 61' & echo $! >&2; wait; sleep 61"
        with anyio.fail_after(20):
            await run_command(("sh", "-c", script), environment=ENVIRONMENT, hear=hear, term_s=0.5)
    assert scope.cancelled_caught
    assert len(children) == 2
    assert not [child for child in children if is_there(child)]


async def test_a_deadline_ends_the_program_too() -> None:
    heard: list[bytes] = []
    with pytest.raises(TimeoutError):
        with anyio.fail_after(0.3):
            await run_command(("sh", "-c", "echo $$ >&2; sleep 62"), environment=ENVIRONMENT, hear=heard.append)
    assert not is_there(int(heard[0]))


async def test_a_failing_listener_ends_the_program() -> None:
    heard: list[bytes] = []

    def hear(line: bytes) -> None:
        heard.append(line)
        raise ValueError("no")

    with pytest.raises(ExceptionGroup) as caught:
        await run_command(("sh", "-c", "echo $$ >&2; sleep 63"), environment=ENVIRONMENT, hear=hear)
    assert caught.group_contains(ValueError)
    assert not is_there(int(heard[0]))


async def test_a_program_goes_on_when_who_started_it_is_killed_and_holds_what_it_was_given(tmp_path: Path) -> None:
    lock, done = tmp_path / "lock", tmp_path / "done"
    script = (
        f"echo begun >&2; while ! test -e {tmp_path}/go; do sleep 0.05; done; echo more >&2; echo on; echo > {done}"
    )
    starter = f"""
import anyio, fcntl, os
from ws_mcp.core.host.command import run_command
async def main():
    handle = os.open({str(lock)!r}, os.O_CREAT | os.O_RDWR)
    fcntl.flock(handle, fcntl.LOCK_EX)
    await run_command(("sh", "-c", {script!r}), environment={ENVIRONMENT!r}, hear=print_line, keeps=(handle,))
def print_line(line):
    os.write(1, line + b"\\n")
anyio.run(main)
"""
    with anyio.fail_after(20):
        async with await anyio.open_process((sys.executable, "-c", starter)) as process:
            assert process.stdout is not None
            assert await process.stdout.receive() == b"begun\n"
            process.kill()
        assert not is_free(lock)
        (tmp_path / "go").touch()
        while not (done.exists() and is_free(lock)):  # noqa: ASYNC110 - no event comes from it any more
            await anyio.sleep(0.02)


def is_free(lock: Path) -> bool:
    """Whether nobody holds it."""
    with lock.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


async def test_a_program_that_writes_without_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ws_mcp.core.host.command.MAX_OUTPUT_BYTES", 100_000)
    heard: list[bytes] = []
    done = await shell("while :; do echo $$ >&2; done", heard=heard)
    assert (done.is_flood, done.code) == (True, -signal.SIGTERM)
    assert not is_there(int(heard[0]))


async def test_a_program_that_opens_its_stderr_anew_is_heard_on() -> None:
    heard: list[bytes] = []
    await shell("echo one one one >&2; sleep 0.2; echo two > /dev/stderr; echo three >&2", heard=heard)
    assert heard == [b"one one one", b"two", b"three"]


async def test_without_a_place_for_its_output_a_program_is_not_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", "/srv/no-such")
    with pytest.raises(StateError, match="No such file"):
        await shell("true")


def test_secrets_of_the_server_are_not_passed_on() -> None:
    ours = {
        "PATH": "/bin",
        "WS_MCP_TOKEN": "s",
        "AWS_SECRET_ACCESS_KEY": "s",
        "DOCKER_AUTH_CONFIG": "s",
        "LD_PRELOAD": "x",
    }
    theirs = {
        "DOCKER_HOST": "unix:///x",
        "XDG_RUNTIME_DIR": "/run/1",
        "LC_ALL": "C",
        "https_proxy": "p",
        "NODE_OPTIONS": "x",
    }
    assert set(allowed_environment({**ours, **theirs})) == {
        "PATH",
        "DOCKER_HOST",
        "XDG_RUNTIME_DIR",
        "LC_ALL",
        "https_proxy",
    }


@given(chunks=lists(binary(max_size=12)), limit=integers(1, 8))
def test_lines_are_the_same_however_the_bytes_are_cut(chunks: list[bytes], limit: int) -> None:
    heard: list[bytes] = []
    lines = Lines(heard.append, limit)
    for chunk in chunks:
        lines.feed(chunk)
    lines.end()
    text = b"".join(chunks)
    wanted = text.split(b"\n") if not text.endswith(b"\n") else text[:-1].split(b"\n")
    assert heard == ([line[:limit] for line in wanted] if text else [])
