"""What the next server says of processes whose server was asked to end. All ways to end: `test_ends.py`."""

from __future__ import annotations

import signal
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import IO, cast

import pytest
from support.instances import IMAGE, Instance
from support.peers import server_argv, text_of
from support.raw_client import RawClient, open_child
from support.server_process import open_http

BOUND_S = 20
ENDS = ("EOF", signal.SIGTERM)


def end(client: RawClient, how: str | signal.Signals) -> int:
    """End a stdio server; returns its exit code."""
    if isinstance(how, signal.Signals):
        client.child.send_signal(how)
    else:
        cast("IO[bytes]", client.child.stdin).close()
    return client.child.wait(BOUND_S)


def code_of(how: str | signal.Signals) -> int:
    """As shells count: 128 and the signal."""
    return 128 + how if isinstance(how, signal.Signals) else 0


def started(client: RawClient, command: str, workspace: str) -> object:
    answer = client.ok("start_process", command=command, workspace=workspace, wait_s=0)
    return answer.structured["process_id"]


def states(client: RawClient) -> dict[object, object]:
    listing = cast("list[dict[str, object]]", client.ok("list_processes").structured["processes"])
    return {process["process_id"]: process["state"] for process in listing}


@contextmanager
def connected(argv: Sequence[str]) -> Generator[RawClient]:
    with open_child(argv) as child:
        client = RawClient(child)
        client.connect()
        yield client


@pytest.mark.parametrize("keeps_local", [False, True])
def test_a_stdio_server_ends_when_asked_and_ends_only_local_processes(instance: Instance, keeps_local: bool) -> None:
    flags = ("--image", IMAGE, "--allow-host-processes", *(("--keep-local",) if keeps_local else ()))
    argv = server_argv("stdio", instance.state, *flags)
    left: dict[object, object] = {}
    for how in ENDS:
        with connected(argv) as client:
            assert states(client) == left
            client.ok("provision_workspace", name="box", kind="container")
            client.ok("provision_workspace", name="here", kind="local")
            left[started(client, "exec sleep 600", "box")] = "running"
            left[started(client, "exec sleep 600", "here")] = "running" if keeps_local else "ended"
            assert end(client, how) == code_of(how)
    with connected(argv) as client:
        assert states(client) == left
        client.ok("remove_workspace", name="here", keep_data=False)


async def test_an_http_server_ends_when_asked(instance: Instance) -> None:
    with open_http(instance.state, "--image", IMAGE) as server:
        async with server.client() as client:
            made = await client.call_tool("provision_workspace", {})
            assert not made.is_error, text_of(made)
            chat = cast("dict[str, object]", made.structured_content)["chat"]
            arguments = {"command": "exec sleep 600", "wait_s": 0, "chat": chat}
            assert not (await client.call_tool("start_process", arguments)).is_error
        server.child.send_signal(signal.SIGTERM)
        assert server.child.wait(BOUND_S) == code_of(signal.SIGTERM)
    with open_http(instance.state, "--image", IMAGE) as server:
        async with server.client() as client:
            listing = await client.call_tool("list_processes", {"chat": chat})
            assert cast("dict[str, object]", listing.structured_content)["running"] == 1
