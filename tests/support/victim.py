"""The core of a server without its MCP edge, for one act on the workspace "main": a process that is there to be killed.

`victim.py STATE ENGINE CHAT create|recreate|remove`. Without the MCP library it starts in a third of the time.
"""

from __future__ import annotations

import os
import sys
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


if __name__ == "__main__":
    _, STATE, ENGINE, CHAT, ACT = sys.argv
    anyio.run(main, STATE, ENGINE, CHAT, ACT)
