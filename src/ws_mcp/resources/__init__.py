"""The resources: what can be looked at and subscribed to. No decisions live here."""

from __future__ import annotations

from mcp.server import MCPServer
from mcp.server.mcpserver.resources import FunctionResource

from ws_mcp.edge import uris
from ws_mcp.edge.core_port import Core
from ws_mcp.edge.errors import reads
from ws_mcp.edge.identity import Identity
from ws_mcp.resources.chats import ChatResources
from ws_mcp.resources.containers import ContainerResources
from ws_mcp.resources.devcontainers import DevContainerResources
from ws_mcp.resources.processes import ProcessResources

JSON, TEXT = "application/json", "text/plain"


def add_resources(server: MCPServer, core: Core, identity: Identity) -> None:
    """Register every resource and template."""
    containers = ContainerResources(core, identity)
    devcontainers = DevContainerResources(core, identity)
    processes = ProcessResources(core, identity)
    chats = ChatResources(core, identity)
    for uri, name, title, read in (
        (uris.CONTAINERS, "containers", "Workspaces", containers.containers),
        (uris.CHATS, "chats", "Chats", chats.chats),
        (uris.DEVCONTAINERS, "devcontainers", "Dev containers", devcontainers.devcontainers),
    ):
        server.add_resource(FunctionResource.from_function(reads(read), uri, name=name, title=title, mime_type=JSON))
    for uri, name, title, mime_type, read_one in (
        (uris.CHAT_CONTAINERS, "chat_containers", "Workspaces of a chat", JSON, reads(containers.chat_containers)),
        (uris.WORKSPACE, "workspace", "One workspace", JSON, reads(containers.workspace)),
        (uris.PROCESSES, "processes", "Processes of a chat", JSON, reads(processes.processes)),
        (uris.PROCESS, "process", "One process", JSON, reads(processes.process)),
        (uris.OUTPUT, "output", "Output of a process", TEXT, reads(processes.output)),
        (uris.DEVCONTAINER, "devcontainer", "One dev container", JSON, reads(devcontainers.devcontainer)),
        (uris.BUILD_LOG, "build_log", "Build log of a dev container", TEXT, reads(devcontainers.log)),
    ):
        server.resource(uri, name=name, title=title, mime_type=mime_type)(read_one)
