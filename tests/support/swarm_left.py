"""What is left of instances of ours on the nodes of a swarm."""

from __future__ import annotations

from support.swarm_nodes import SwarmGround


def left_over(ground: SwarmGround, instance: str = "") -> list[str]:
    """Everything of an instance ("": of any) on any node, but the volumes with execd, which all workspaces share."""
    label = f"label=dev.ws-mcp.instance={instance}" if instance else "label=dev.ws-mcp.instance"
    mine = ("--filter", label)
    found: list[str] = []
    for node in ground.nodes:
        found += node.docker("ps", "--all", *mine, "--format", "container {{.Names}}").splitlines()
        found += node.docker("volume", "ls", *mine, "--format", "volume {{.Name}}").splitlines()
        found += node.docker("network", "ls", *mine, "--format", "network {{.Name}}").splitlines()
    found += ground.nodes[0].docker("service", "ls", *mine, "--format", "service {{.Name}}").splitlines()
    return sorted(each for each in found if "wsmcp-execd-" not in each)
