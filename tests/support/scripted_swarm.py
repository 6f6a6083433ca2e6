"""A manager's API as a script, for what a real swarm does too seldom or too late to wait for it."""

from __future__ import annotations

import json
from urllib.parse import urlsplit

from anyio.abc import ByteStream

from support.http_server import Request, reply

LEADERLESS = "rpc error: code = Unknown desc = The swarm does not have a leader."
WORKER = "This node is not a swarm manager. Worker nodes can't be used to view or modify cluster state."
IN_USE = "rpc error: code = AlreadyExists desc = name conflicts with an existing object: service r already exists"
LATE = "rpc error: code = Unknown desc = update out of sequence"


class ScriptedManager:
    """One service at most, and networks; `refusals` are its next answers, `drops` the calls whose answer is lost."""

    def __init__(self, node: str, nodes: tuple[str, ...] = ()) -> None:
        self.node = node
        self.nodes = nodes or (node,)
        self.refusals: list[tuple[int, str]] = []
        self.drops = 0
        self.service: dict[str, object] = {}
        self.version = 10
        self.ticks = 0  # versions that Swarm makes by itself before the next changes
        self.networks: dict[str, dict[str, object]] = {}
        self.is_out_of_subnets = False

    async def answer(self, request: Request, stream: ByteStream) -> None:
        """What it says."""
        url = urlsplit(request.target)
        path = url.path.split("/", 2)[2]
        if path == "info":
            await reply(stream, 200, {"ID": self.node, "Swarm": {"NodeID": self.node}})
        elif self.refusals:
            status, text = self.refusals.pop(0)
            await reply(stream, status, {"message": text})
        else:
            status, body = self._said(request.method, path, url.query, json.loads(request.body or b"null"))
            if request.method == "POST" and self.drops:
                self.drops -= 1
                await stream.aclose()
            else:
                await reply(stream, status, body)

    def _said(self, method: str, path: str, query: str, body: object) -> tuple[int, object]:
        first, *rest = path.split("/")
        if first == "networks":
            return self._network(method, rest, body)
        if method == "POST":
            return self._created(body) if rest == ["create"] else self._updated(query, body)
        if first == "services":
            return (200, self._shown()) if self.service else (404, {"message": "service r not found"})
        return 200, {"swarm": {"ID": "swarm"}, "nodes": [_node(node) for node in self.nodes], "tasks": []}[first]

    def _created(self, body: object) -> tuple[int, object]:
        if self.service:
            return 409, {"message": IN_USE}
        assert isinstance(body, dict)
        self.service = body
        return 201, {"ID": "service"}

    def _updated(self, query: str, body: object) -> tuple[int, object]:
        if self.ticks:
            self.ticks -= 1
            self.version += 1
        if query != f"version={self.version}":
            return 500, {"message": LATE}
        assert isinstance(body, dict)
        self.service, self.version = body, self.version + 1
        return 200, {}

    def _network(self, method: str, rest: list[str], body: object) -> tuple[int, object]:
        if rest == ["create"]:
            assert isinstance(body, dict)
            if body["Name"] in self.networks:
                return 409, {"message": "network already exists"}
            pool = {"Config": [{"Subnet": "10.0.9.0/24"}]}
            self.networks[body["Name"]] = {**body, "IPAM": {} if self.is_out_of_subnets else pool}
            return 201, {}
        if not rest:
            return 200, list(self.networks.values())
        if method == "DELETE":
            self.networks.pop(rest[0], None)
            return 204, None
        found = self.networks.get(rest[0])
        return (200, found) if found else (404, {"message": "network not found"})

    def _shown(self) -> object:
        about = {"ID": "service", "Version": {"Index": self.version}, "CreatedAt": "2026-01-01T00:00:00.5Z"}
        return {**about, "Spec": self.service}


def _node(name: str) -> object:
    return {
        "ID": name,
        "Spec": {"Role": "manager", "Availability": "active"},
        "Description": {"Hostname": name, "Platform": {"Architecture": "x86_64"}},
        "Status": {"State": "ready", "Addr": "192.0.2.1"},
        "ManagerStatus": {"Reachability": "reachable", "Addr": "192.0.2.1:2377"},
    }
