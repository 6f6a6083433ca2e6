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

JSON = "application/json"


def add_resources(server: MCPServer, core: Core, identity: Identity) -> None:
    """Register every resource and template."""
    containers = ContainerResources(core, identity)
    processes = ProcessResources(core, identity)
    server.add_resource(
        FunctionResource.from_function(
            reads(containers.containers), uris.CONTAINERS, name="containers", title="Workspaces", mime_type=JSON
        )
    )
    server.add_resource(
        FunctionResource.from_function(
            reads(ChatResources(core, identity).chats), uris.CHATS, name="chats", title="Chats", mime_type=JSON
        )
    )
    server.add_resource(
        FunctionResource.from_function(
            reads(DevContainerResources(core, identity).devcontainers),
            uris.DEVCONTAINERS,
            name="devcontainers",
            title="Dev containers",
            mime_type=JSON,
        )
    )
    server.resource(uris.CHAT_CONTAINERS, name="chat_containers", title="Workspaces of a chat", mime_type=JSON)(
        reads(containers.chat_containers)
    )
    server.resource(uris.PROCESSES, name="processes", title="Processes of a chat", mime_type=JSON)(
        reads(processes.processes)
    )
    server.resource(uris.OUTPUT, name="output", title="Output of a process", mime_type="text/plain")(
        reads(processes.output)
    )
