"""Fuzzing of what is read from files: a policy, a devcontainer.json, the state. Understood, or refused in words."""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from pathlib import Path

import anyio
from support.devcontainer_values import ROOT, SHOP
from support.fuzzing import chances, mutated_bytes, mutated_value, told

from ws_mcp.core.clock import utc_now
from ws_mcp.core.database import SCHEMA
from ws_mcp.core.devcontainers.allowances import Allowances
from ws_mcp.core.devcontainers.definition import config_parts, definition_of, live_parts
from ws_mcp.core.devcontainers.policy import check_definition, check_merged, checked_copy
from ws_mcp.core.errors import PolicyError, StateError, WsError
from ws_mcp.core.policy.model import Policy
from ws_mcp.core.policy.written import policy_of
from ws_mcp.core.state import StartRecord, open_state
from ws_mcp.core.stores.damage import MAX_VERSION

EXAMPLE = Path(__file__).parents[2] / "examples" / "policy.toml"
DEFINITION = {
    "name": "shop",
    "build": {
        "dockerfile": "../Dockerfile",
        "context": "..",
        "args": {"A": "1"},
        "target": "dev",
        "options": ["--pull"],
    },
    "features": {"./tool": {"version": "1"}, "ghcr.io/devcontainers/features/git:1": {}},
    "mounts": [
        "type=bind,source=${localWorkspaceFolder}/in,target=/c",
        {"type": "volume", "source": "a", "target": "/a"},
    ],
    "workspaceMount": "source=${localWorkspaceFolder},target=/w,type=bind",
    "workspaceFolder": "/w",
    "runArgs": ["--cap-add=SYS_PTRACE", "-v", "/:/host", "--network", "host", "--label=a=b"],
    "capAdd": ["SYS_PTRACE"],
    "securityOpt": ["seccomp=unconfined"],
    "privileged": True,
    "appPort": [3000, "127.0.0.1:8000:80"],
    "containerEnv": {"A": "${localEnv:TOKEN:x}", "B": "${containerEnv:PATH}"},
    "hostRequirements": {"cpus": 2, "memory": "4gb", "storage": "8gb", "gpu": "optional"},
    "initializeCommand": {"a": ["true"]},
    "postCreateCommand": {"a": "b"},
    "waitFor": "postCreateCommand",
    "forwardPorts": [80, "db:5432"],
}


def test_a_mutated_policy_is_a_policy_or_says_what_is_wrong() -> None:
    whole = EXAMPLE.read_bytes()
    bare = b"\n".join(line for line in whole.split(b"\n") if line and not line.startswith(b"#"))
    for name, chance in chances(1500):
        text = mutated_bytes(chance, chance.choice((whole, bare))).decode(errors="replace")
        with told(name, text), suppress(PolicyError):
            assert isinstance(policy_of(text, "policy.toml"), Policy)


def test_a_mutated_devcontainer_json_is_judged_or_says_what_is_wrong() -> None:
    allowances = Allowances(roots=(ROOT,))
    for name, chance in chances(1500):
        value = mutated_value(chance, DEFINITION) if chance.random() < 0.7 else DEFINITION
        text = json.dumps(value, indent=2 if chance.random() < 0.5 else None)
        if value is DEFINITION:
            text = mutated_bytes(chance, text.encode()).decode(errors="replace")
        with told(name, text):
            assert "\n" not in _judged(text, allowances)


def _judged(text: str, allowances: Allowances) -> str:
    """What a definition is refused with; empty where it is understood."""
    try:
        definition = definition_of(SHOP, text)
        config_parts(definition)
        live_parts(definition)
        check_definition(SHOP, definition.properties, allowances)
        check_merged(SHOP, definition.properties, allowances)
        checked_copy(definition.properties)
    except WsError as error:
        return str(error)
    return ""


async def test_a_damaged_state_opens_or_is_refused_and_a_newer_one_is_not_touched(
    tmp_path: Path, real_io: None
) -> None:
    whole = await _state(tmp_path / "whole")
    for name, chance in chances(150):
        data = bytearray(mutated_bytes(chance, whole)) if chance.random() < 0.5 else bytearray(whole)
        for _ in range(chance.randint(1, 20)):
            if data:
                data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        if is_newer := chance.random() < 0.2:
            data = bytearray(whole)
            data[60:64] = chance.randint(SCHEMA + 1, MAX_VERSION).to_bytes(4, "big")  # SQLite's user_version
        directory = tmp_path / "damaged"
        directory.mkdir(mode=0o700)
        (directory / "state.db").write_bytes(data)
        kept = tmp_path / "case.db"  # pytest leaves it there when the test fails
        kept.write_bytes(data)
        with told(name, kept):
            refusal = await _used(directory)
            assert "\n" not in refusal
            if is_newer:
                assert "newer" in refusal
                assert (directory / "state.db").read_bytes() == bytes(data)
        shutil.rmtree(directory)


async def _used(directory: Path) -> str:
    """What a state directory is refused with; empty where it can be used."""
    try:
        with anyio.fail_after(30):
            async with open_state(directory) as state:
                assert len(state.instance.key) == 32
                await state.known_chats()
                await state.has_fills()
                await state.start_of_key("c", "k1")
                await state.claim_start(
                    "c", "new", StartRecord(digest="d", process="p", place="w", boot="b"), utc_now()
                )
    except StateError as error:
        return str(error)
    return ""


async def _state(directory: Path) -> bytes:
    """A state file with something in it, whole (SQLite empties its journal when the last one closes it)."""
    async with open_state(directory) as state:
        for number in range(40):
            record = StartRecord(digest="d" * 64, process=f"p_{number}", place="w1", boot="b1")
            await state.claim_start("c", f"k{number}", record, utc_now())
        await state.mark_filled("engine", "volume", "2026")
    return (directory / "state.db").read_bytes()
