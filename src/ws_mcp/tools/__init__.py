"""The tools: thin methods that find the caller, ask the core once, and answer with a view. No decisions live here."""

from __future__ import annotations

from ws_mcp.edge import deadlines
from ws_mcp.edge.core_port import Core
from ws_mcp.edge.identity import Identity
from ws_mcp.edge.notifier import Notifier
from ws_mcp.edge.page import SHOWN
from ws_mcp.edge.questions import Questions
from ws_mcp.edge.tool import Effect, ToolSpec
from ws_mcp.tools.devcontainers import DevContainerTools
from ws_mcp.tools.files import FileTools
from ws_mcp.tools.processes import ProcessTools
from ws_mcp.tools.workspaces import WorkspaceTools

LOOKS = Effect(is_read_only=True, is_idempotent=True)
MAKES = Effect(is_destructive=True, is_idempotent=True, is_open_world=True)
RUNS = Effect(is_destructive=True, is_open_world=True)
ACTS = Effect(is_destructive=True)
SETS = Effect(is_destructive=True, is_idempotent=True)
ALWAYS = {"anthropic/alwaysLoad": True}  # a host that loads tools on demand has these from the start


def all_tools(core: Core, identity: Identity, notifier: Notifier) -> tuple[ToolSpec, ...]:
    """Every tool, in the order in which a task needs them."""
    w = WorkspaceTools(core, identity, notifier)
    p = ProcessTools(core, identity, notifier)
    f = FileTools(core, identity)
    d = DevContainerTools(core, identity)
    q = Questions(core, identity)
    return (
        ToolSpec(
            function=w.provision_workspace,
            title="Provision a workspace",
            effect=MAKES,
            deadline=deadlines.JOBS,
            meta=ALWAYS,
            question=q.provision,
        ),
        *_of_processes(p),
        ToolSpec(
            function=w.list_containers, title="List workspaces", effect=LOOKS, deadline=deadlines.LOOKS, meta=SHOWN
        ),
        ToolSpec(
            function=f.workspace_files,
            title="Files of a workspace",
            effect=SETS,
            deadline=deadlines.FILES,
            is_structured=False,
        ),
        ToolSpec(
            function=d.recreate_devcontainer,
            title="Make a dev container anew",
            effect=MAKES,
            deadline=deadlines.JOBS,
            question=q.recreate,
        ),
        *_of_ends(w, q),
    )


def _of_processes(p: ProcessTools) -> tuple[ToolSpec, ...]:
    return (
        ToolSpec(
            function=p.start_process, title="Start a process", effect=RUNS, deadline=deadlines.STARTS, meta=ALWAYS
        ),
        ToolSpec(
            function=p.read_output,
            title="Read a process's output",
            effect=LOOKS,
            deadline=deadlines.READS,
            is_structured=False,
            meta=ALWAYS,
        ),
        ToolSpec(function=p.list_processes, title="List processes", effect=LOOKS, deadline=deadlines.LOOKS, meta=SHOWN),
        ToolSpec(function=p.write_input, title="Write to a process", effect=ACTS, deadline=deadlines.WRITES),
        ToolSpec(function=p.signal_process, title="Stop or signal a process", effect=ACTS, deadline=deadlines.SIGNALS),
    )


def _of_ends(w: WorkspaceTools, q: Questions) -> tuple[ToolSpec, ...]:
    return (
        ToolSpec(function=w.stop_workspace, title="Stop a workspace", effect=ACTS, deadline=deadlines.ENDS),
        ToolSpec(
            function=w.remove_workspace,
            title="Remove a workspace",
            effect=SETS,
            deadline=deadlines.ENDS,
            question=q.remove,
        ),
    )
