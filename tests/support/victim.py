"""The core of a server without its MCP edge, for one act on the workspace "main": made to be killed.

Each is a child of this program, which loads what they need once. It says the pid of the next one, which reads what it
is to do (STATE ENGINE CHAT create|recreate|remove, with null bytes between them), and how that one ended.
"""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path

import anyio

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.images import BUSYBOX
from ws_mcp.core.ids import PrincipalId, Scope, WorkspaceName
from ws_mcp.core.runtime import open_core
from ws_mcp.core.workspaces.model import Ask, Content, Replace, WorkspaceKind, WorkspaceSpec
from ws_mcp.doors import choices_of, open_engine
from ws_mcp.settings import Settings

WISHES = {"create": ("1", "one"), "recreate": ("2", "two")}
MAIN = WorkspaceName("main")


def spec_of(act: str) -> WorkspaceSpec:
    """What is wished for."""
    variable, text = WISHES[act]
    content = Content(files={"a.txt": text})
    return WorkspaceSpec(name=MAIN, kind=WorkspaceKind.CONTAINER, environment={"A": variable}, content=content)


async def unheard(_phase: str, _fraction: float) -> None: ...


async def main(state: str, engine: str, chat: str, act: str) -> None:
    settings = Settings(state=Path(state), engine=engine, image=BUSYBOX)
    async with open_engine(settings) as door, open_core(choices_of(settings), door) as core:
        principal = PrincipalId(f"local:{os.getuid()}")
        scope = Scope(principal=principal, chat=(await core.chat(principal, chat)).id)
        if act == "remove":
            await core.remove(scope, MAIN, keep_volume=False)
        else:
            await core.provision(scope, spec_of(act), Ask(replace=Replace.ALWAYS), unheard)


def act() -> int:
    """What a child does; returns its exit code."""
    state, engine, chat, what = os.read(0, 10_000).decode().split("\0")
    try:
        anyio.run(main, state, engine, chat, what)
    except BaseException:  # noqa: BLE001 - it is told; nothing of the parent may run in here
        traceback.print_exc()
        return 1
    return 0


def serve() -> None:
    while True:
        child = os.fork()
        if child == 0:
            os._exit(act())
        print(child, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    serve()
