"""Secrets that are given in confidence, the calls that take them and fail, and where they are looked for after."""

from __future__ import annotations

import json
import os
from pathlib import Path

from support.peers import Json, Peer, text_of


def canary(field: str) -> str:
    return f"canary-{field}-{os.urandom(8).hex()}"


SECRET, VARIABLE, CONTENT, INPUT, OWN, TEMPLATE = (
    canary(field) for field in ("secret", "env", "content", "input", "server", "template")
)
ALL = (SECRET, VARIABLE, CONTENT, INPUT, OWN, TEMPLATE)
GIVEN: Json = {"secrets": {"token": SECRET}, "files": {"a/b": CONTENT}}


def provision(options: Json | None = None, **more: object) -> tuple[str, Json]:
    given: Json = {"options": {**GIVEN, **(options or {})}, "env": {"API_TOKEN": VARIABLE}, **more}
    return "provision_workspace", given


def start(**more: object) -> tuple[str, Json]:
    return "start_process", {"command": "true", "env": {"API_TOKEN": VARIABLE}, **more}


def files(**more: object) -> tuple[str, Json]:
    return "workspace_files", {"action": "write", "path": "/workspace/x", "content": CONTENT, **more}


def write(**more: object) -> tuple[str, Json]:
    return "write_input", {"process_id": "p_unknown1", "text": INPUT, **more}


FAILURES: list[tuple[str, Json]] = [
    *(provision({"tmpfs_mib": 10**6}, tier=tier) for tier in (-1, 0, 3, 4, 9)),
    *(provision(image=image) for image in ("no-such-image:1", "-v/:/x", "a b", "x" * 300)),
    *(provision(name=name) for name in ("", "../x", "a/b", "x" * 200)),
    *(provision(kind=kind) for kind in ("local", "vm", 7)),
    provision(ports=[0]),
    provision(ports=[99999]),
    provision(nonsense=SECRET),
    provision(chat="c_unknown"),
    provision(env={"A=B": VARIABLE}),
    provision(env={"WSMCP_TOKEN": VARIABLE}),
    provision(env={"API_TOKEN": [VARIABLE]}),
    provision(env=[VARIABLE]),
    provision(env={"API_TOKEN": VARIABLE + "\0"}),
    *(provision({name: value}) for name, value in {
        "nonsense": SECRET,
        "secrets": {"../x": SECRET},
        "runtime": "none",
        "folder": "/etc",
        "mounts": {"/x": "/etc/shadow"},
        "template": "none",
        "home": "none",
        "required": ["missing"],
        "memory_mib": 10**9,
        "network": "host",
        "user": "nobody-like-that",
        "cwd": "relative",
        "ready": {"tcp": 1, "http": 1},
        "platform": "plan9/pdp11",
        "request_key": "k" * 300,
        "files": {"../escape": CONTENT},
    }.items()),
    provision({"secrets": [SECRET]}),
    provision({"secrets": {"token": 7, "other": SECRET}}),
    provision({"secrets": SECRET}),
    ("provision_workspace", {"options": json.dumps({"secrets": {"t": SECRET}, "nonsense": CONTENT})}),
    ("provision_workspace", {"options": f'{{"secrets": {{"t": "{SECRET}"'}),
    *(start(**more) for more in (
        {"cwd": "/nowhere"},
        {"workspace": "none"},
        {"command": ["/no/such/program"]},
        {"command": ""},
        {"env": {"": VARIABLE}},
        {"env": {"API_TOKEN": 7, "B": VARIABLE}},
        {"wait_s": -1},
        {"nonsense": VARIABLE},
        {"env": {"WSMCP_SECRET": VARIABLE}},
    )),
    *(files(**more) for more in (
        {"path": "/etc/passwd"},
        {"path": "/workspace"},
        {"path": "/configs/x"},
        {"workspace": "none"},
        {"action": "nonsense"},
        {"content": [CONTENT]},
    )),
    write(),
    write(text=[INPUT]),
    write(nonsense=INPUT),
]  # fmt: skip


async def fail(peer: Peer) -> list[object]:
    said: list[object] = []
    for tool, arguments in FAILURES:
        result = await peer.call(tool, **arguments)
        assert result.is_error, (tool, arguments)
        said.append(text_of(result))
    return said


def command_lines() -> str:
    found: list[str] = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(file.read_bytes().decode(errors="replace"))
        except OSError:
            continue
    return "\n".join(found)


def open_files_of(state: Path) -> str:
    """What is in files that somebody else could be shown: all but those of mode 0600."""
    shown = [file for file in state.rglob("*") if file.is_file() and file.stat().st_mode & 0o077]
    return "\n".join(file.read_bytes().decode(errors="replace") for file in shown)


def hits(where: str, text: str) -> list[str]:
    return [f"{one[:14]} in {where}" for one in ALL if one in text]
