"""The rarer wishes for a workspace: they reach the core whole, and a bad one is refused by name, never by value."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.edge_client import MODES, ok, open_client, refused
from support.fake_core import FakeCore

from ws_mcp.core.ids import WorkspaceName
from ws_mcp.core.workspaces.model import (
    Access,
    Ask,
    Content,
    Probe,
    Replace,
    Sizes,
    WorkspaceKind,
    WorkspaceSpec,
)
from ws_mcp.edge.options import Options

SECRET = "hunter2"
MIB = 1024 * 1024
EVERYTHING: dict[str, Any] = {
    "runtime": "py",
    "platform": "linux/arm64",
    "memory_mib": 1024,
    "cpus": 1.5,
    "pids": 99,
    "tmpfs_mib": 64,
    "network": "team",
    "folder": "/srv/project",
    "access": "read_only",
    "mounts": {"/usr/local/bin/worker": "/srv/bin/worker"},
    "files": {"config.yaml": "a: 1\n"},
    "template": "base",
    "required": ["config.yaml"],
    "home": "agent",
    "secrets": {"TOKEN": SECRET},
    "command": ["sleep", "9"],
    "user": "1000:1000",
    "cwd": "/workspace/app",
    "restart": "on-failure",
    "idle_stop_s": 600,
    "ready": {"http": 8000, "path": "/health", "wait_s": 5},
    "replace": "always",
    "dry_run": False,
    "request_key": "first",
}
SPEC = WorkspaceSpec(
    name=WorkspaceName("main"),
    kind=WorkspaceKind.CONTAINER,
    image="python:3.14",
    platform="linux/arm64",
    access=Access.READ_ONLY,
    folder="/srv/project",
    mounts={"/usr/local/bin/worker": "/srv/bin/worker"},
    sizes=Sizes(memory_mib=1024, cpus=1.5, pids=99, tmpfs_mib=64),
    network="team",
    command=("sleep", "9"),
    user="1000:1000",
    cwd="/workspace/app",
    restart="on-failure",
    idle_stop_s=600,
    content=Content(
        files={"config.yaml": "a: 1\n"},
        template="base",
        required=("config.yaml",),
        home="agent",
        secrets={"TOKEN": SECRET},
    ),
    ready=Probe(http=8000, path="/health", wait_s=5),
)


def test_the_example_has_every_option() -> None:
    assert EVERYTHING.keys() == Options.model_fields.keys()


@pytest.mark.parametrize("mode", MODES)
async def test_every_option_reaches_the_core(mode: str) -> None:
    core = FakeCore()
    async with open_client(core, mode) as client:
        await ok(client, "provision_workspace", options=EVERYTHING)
        assert core.specs == [SPEC]
        assert core.asks == [Ask(replace=Replace.ALWAYS, request_key="first")]


async def test_options_may_come_as_text_since_some_hosts_send_them_so() -> None:
    core = FakeCore()
    async with open_client(core) as client:
        await ok(client, "provision_workspace", options=json.dumps(EVERYTHING))
        assert core.specs == [SPEC]


async def test_what_is_left_out_is_left_open() -> None:
    core = FakeCore()
    async with open_client(core) as client:
        await ok(client, "provision_workspace", options={})
        assert core.specs == [WorkspaceSpec(name=WorkspaceName("main"), kind=WorkspaceKind.CONTAINER)]
        assert core.asks == [Ask()]


@pytest.mark.parametrize("mode", MODES)
async def test_an_unknown_option_is_refused_with_all_that_there_are(mode: str) -> None:
    core = FakeCore()
    async with open_client(core, mode) as client:
        said = await refused(client, "provision_workspace", options={"memory": 5})
        assert said == f"provision_workspace: `options` takes no 'memory'; it takes {', '.join(Options.model_fields)}"
        said = await refused(client, "provision_workspace", options={"ready": {"port": 80}})
        assert "`options.ready` takes no 'port'; it takes tcp, http, path, command, wait_s" in said
        assert core.specs == []


async def test_an_option_beside_the_options_is_told_where_it_goes() -> None:
    async with open_client(FakeCore()) as client:
        assert await refused(client, "provision_workspace", replace="always") == (
            "provision_workspace takes no 'replace'; 'replace' is one of its `options`"
        )


BAD: list[tuple[object, str]] = [
    ({"memory_mib": 0}, "`options.memory_mib` input should be greater than 0"),
    ({"memory_mib": -5}, "`options.memory_mib` input should be greater than 0"),
    ({"memory_mib": 10**400}, "`options.memory_mib` input should be less than or equal to"),
    ({"memory_mib": "512"}, "`options.memory_mib` input should be a valid integer"),
    ({"cpus": "many"}, "`options.cpus` input should be a valid number"),
    ({"cpus": 10**400}, "`options.cpus` "),
    ({"access": "write"}, "`options.access` input should be 'none', 'read_only' or 'read_write'"),
    ({"replace": "now"}, "`options.replace` input should be 'if_idle' or 'always'"),
    ({"restart": "always"}, "`options.restart` input should be 'no', 'on-failure' or 'unless-stopped'"),
    ({"dry_run": "yes"}, "`options.dry_run` input should be a valid boolean"),
    ({"command": "sleep 9"}, "`options.command` input should be a valid list"),
    ({"command": ["x"] * 257}, "`options.command` list should have at most 256 items"),
    ({"folder": "/srv/a\0b"}, "`options.folder` has a NUL byte"),
    ({"folder": "/" + "a" * 5000}, "`options.folder` is too long: at most 4096 bytes"),
    ({"mounts": {f"/m{n}": "/srv/x" for n in range(17)}}, "`options.mounts` dictionary should have at most 16"),
    ({"mounts": {"": "/srv/x"}}, "`options.mounts` string should have at least 1 character"),
    ({"files": {f"f{n}": "" for n in range(257)}}, "`options.files` dictionary should have at most 256 items"),
    ({"files": {"f": "a" * (MIB + 1)}}, f"`options.files` is too long: at most {MIB} bytes"),
    ({"files": {"f": 5}}, "`options.files` input should be a valid string"),
    ({"secrets": {f"s{n}": "" for n in range(65)}}, "`options.secrets` dictionary should have at most 64 items"),
    ({"required": "config.yaml"}, "`options.required` input should be a valid list"),
    ({"request_key": "k" * 201}, "`options.request_key` string should have at most 200 characters"),
    ({"ready": {}}, "`options.ready` takes exactly one of tcp (a port), http (a port) and command (a shell line)"),
    ({"ready": {"tcp": 1, "http": 2}}, "`options.ready` takes exactly one of tcp"),
    ({"ready": {"tcp": 65536}}, "`options.ready.tcp` input should be less than or equal to 65535"),
    ({"ready": {"tcp": 80, "wait_s": 301}}, "`options.ready.wait_s` input should be less than or equal to 300"),
    ("folder", "`options` input should be a valid dictionary"),
    ([], "`options` input should be a valid dictionary"),
]


@pytest.mark.parametrize("mode", MODES)
async def test_a_bad_option_is_refused_by_name(mode: str) -> None:
    core = FakeCore()
    async with open_client(core, mode) as client:
        for options, said in BAD:
            answer = await refused(client, "provision_workspace", options=options)
            assert answer.startswith(f"provision_workspace: {said}")
            assert len(answer) < 400
        assert core.specs == []


GIVING: list[object] = [
    {"secrets": {"TOKEN": [SECRET]}},
    {"secrets": {"TOKEN": SECRET * 200_000}},
    {"secrets": {SECRET: 5}},
    {"secrets": {SECRET + "\0": "x"}},
    {"secrets": [SECRET]},
    {"secrets": SECRET},
    {"secrets": {"TOKEN": SECRET}, "pids": 0},
    {"secrets": {"TOKEN": SECRET}, "unknown": SECRET},
    {"files": {SECRET: [SECRET]}},
    {"ready": SECRET},
    {"ready": {"tcp": SECRET}},
    f'{{"secrets": {{"TOKEN": "{SECRET}"',
    SECRET,
]


@pytest.mark.parametrize("mode", MODES)
async def test_no_error_repeats_what_was_given(mode: str) -> None:
    async with open_client(FakeCore(), mode) as client:
        for options in GIVING:
            assert SECRET not in await refused(client, "provision_workspace", options=options)


async def test_a_runtime_is_an_image_that_the_operator_named() -> None:
    core = FakeCore()
    async with open_client(core) as client:
        said = await refused(client, "provision_workspace", options={"runtime": "cobol"})
        assert said == "there is no runtime 'cobol'; there are: py. Or give `image`"
        said = await refused(client, "provision_workspace", image="x", options={"runtime": "py"})
        assert said == "`image` and the option `runtime` both name an image; give one of them"
        assert core.specs == []
