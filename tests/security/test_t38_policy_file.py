"""T38: a policy that somebody else could have written does not count, and a bad one never makes anything wider."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest
from support.peers import server_environment
from support.policies import ALICE, WIDEST, written
from support.raw_client import RawClient

from ws_mcp.core.errors import PolicyError
from ws_mcp.core.policy.file import MAX_BYTES, read_policy
from ws_mcp.core.policy.in_force import PolicyInForce
from ws_mcp.edge.serve import open_stop

GOOD = '[[grant]]\nprincipal = "alice"\ntools = ["list_*"]\n'


def loose(path: Path) -> None:
    path.chmod(0o666)


def group_writable(path: Path) -> None:
    path.chmod(0o660)


def linked(path: Path) -> None:
    path.rename(path.with_suffix(".other"))
    path.symlink_to(path.with_suffix(".other"))


def in_a_loose_directory(path: Path) -> None:
    path.parent.chmod(0o777)


def in_a_directory_that_could_be_swapped(path: Path) -> None:
    path.parent.parent.chmod(0o777)


def no_file(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def huge(path: Path) -> None:
    path.write_bytes(b"#" * (MAX_BYTES + 1))


def no_text(path: Path) -> None:
    path.write_bytes(b"\xff\xfe")


def gone(path: Path) -> None:
    path.unlink()


def a_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def no_syntax(path: Path) -> None:
    path.write_text("[[")


def unknown_key(path: Path) -> None:
    path.write_text(GOOD + "max_teir = 4\n")


TAMPERED: dict[Callable[[Path], None], str] = {
    loose: "has mode 666, so others can write it",
    group_writable: "has mode 660",
    linked: "is a link",
    in_a_loose_directory: "could be swapped",
    in_a_directory_that_could_be_swapped: "could be swapped",
    no_file: "is no regular file",
    huge: "is larger than",
    no_text: "is not UTF-8",
    gone: "cannot be opened",
    a_directory: "is no regular file",
    no_syntax: "is no TOML",
    unknown_key: "there is no such key",
}
CASES = pytest.mark.parametrize(("tamper", "said"), TAMPERED.items(), ids=lambda each: getattr(each, "__name__", ""))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    directory = tmp_path / "etc"
    directory.mkdir(mode=0o700)
    return written(directory / "policy.toml", GOOD)


@CASES
async def test_what_others_could_have_written_or_is_no_policy_keeps_the_one_before(
    file: Path, tamper: Callable[[Path], None], said: str, real_io: None
) -> None:
    policy = PolicyInForce(lambda: read_policy(file), WIDEST, "stdio")
    before = policy.policy
    tamper(file)
    await policy.reload()
    assert said in policy.problem
    assert policy.policy is before
    assert policy.rules_of(ALICE).images == ()


@CASES
def test_no_server_begins_with_it(file: Path, tmp_path: Path, tamper: Callable[[Path], None], said: str) -> None:
    tamper(file)
    with pytest.raises(PolicyError) as raised:
        read_policy(file)
    assert said in str(raised.value)
    if tamper in (loose, linked, unknown_key):  # the rest would only say the same once more
        done = serve(file, tmp_path)
        assert done.returncode == 1
        assert said in done.stderr
        assert (len(done.stderr.splitlines()), done.stdout) == (1, "")


async def test_a_reading_that_fails_in_an_unforeseen_way_keeps_the_server_and_what_counted(
    caplog: pytest.LogCaptureFixture, real_io: None
) -> None:
    async def broken() -> None:
        raise ValueError("a bug")

    async with open_stop(broken) as stop:
        os.kill(os.getpid(), signal.SIGHUP)
        with anyio.fail_after(30):
            while "what was to be read again stays" not in caplog.text:  # noqa: ASYNC110 - the log tells nobody
                await anyio.sleep(0.01)
        assert not stop.is_asked


def test_a_policy_that_a_workspace_could_be_given_does_not_count(file: Path) -> None:
    with pytest.raises(PolicyError, match="which workspaces may be given"):
        read_policy(file, roots=[file.parent.parent])
    written(file, GOOD + f'roots = ["{file.parent}"]\n')
    with pytest.raises(PolicyError, match="keep it elsewhere"):
        read_policy(file)
    link = file.parent.parent / "elsewhere"
    link.symlink_to(file.parent)
    written(file, GOOD + f'roots = ["{link}"]\n')
    with pytest.raises(PolicyError, match="keep it elsewhere"):
        read_policy(file)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_policy_of_another_user_does_not_count(file: Path) -> None:
    os.chown(file, 65534, 65534)
    with pytest.raises(PolicyError, match="belongs to user 65534: it must be yours or root's"):
        read_policy(file)


def test_a_server_reads_it_again_at_hup_and_keeps_what_it_had_if_it_is_bad(file: Path, tmp_path: Path) -> None:
    mine = f'[[grant]]\nprincipal = "local:{os.getuid()}"\ntools = {{}}\n'
    written(file, mine.format('["list_*"]'))
    log = tmp_path / "log"
    with log.open("wb") as errors:
        child = subprocess.Popen(
            argv(file, tmp_path), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, env=server_environment()
        )
    try:
        client = RawClient(child)
        client.connect()
        assert tools(client) == {"list_processes", "list_containers"}
        for text, expected in (
            (mine.format('["read_output"]'), {"read_output"}),
            ("tools = [", {"read_output"}),
            (mine.format("[]"), set[str]()),
        ):
            seen = log.read_bytes().count(b"the policy")
            written(file, text)
            child.send_signal(signal.SIGHUP)
            while log.read_bytes().count(b"the policy") == seen:
                client.request("tools/list", {})  # a round trip is all the waiting that there is
            assert tools(client) == expected
    finally:
        child.kill()
        child.communicate()
    assert "the policy stays as it was" in log.read_text()


def tools(client: RawClient) -> set[str]:
    return {tool["name"] for tool in client.request("tools/list", {})["tools"]}  # type: ignore[index, union-attr]


def argv(file: Path, tmp_path: Path) -> list[str]:
    state = str(tmp_path / "state")
    return [sys.executable, "-m", "ws_mcp", "stdio", "--engine", "none", "--state", state, "--policy", str(file)]


def serve(file: Path, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        argv(file, tmp_path), capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL
    )
