"""What our way of a call costs beside the SDK's: a tool that does nothing, both eras, both transports."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from urllib.parse import urlsplit

from tests.bench import table
from tests.bench.ground import EMPTY, ROOT
from tests.bench.table import Line
from tests.support.raw_client import CLIENT, META, VERSIONS, Era, Json, open_raw_client

CALLS = 100  # of a side in a round
WARM_UP = 50
SERVER = (sys.executable, str(ROOT / "tests" / "bench" / "noop_server.py"))
START_S = 30.0
NOOP: Json = {"name": "noop", "arguments": {}}
HELLO: Json = {"protocolVersion": VERSIONS["legacy"], "capabilities": {}, "clientInfo": CLIENT}
MODERN = {"MCP-Protocol-Version": VERSIONS["modern"], "Mcp-Method": "tools/call", "Mcp-Name": "noop"}


def measure_noop(rounds: int) -> list[Line]:
    """One call at a time; the sides take turns call by call."""
    lines: list[Line] = []
    eras: tuple[Era, ...] = ("legacy", "modern")
    for era in eras:
        with open_raw_client((*SERVER, "stdio"), era) as ours, open_raw_client(EMPTY, era) as plain:
            lines.append(_line(f"stdio, {era}", partial(ours.ok, "noop"), partial(plain.ok, "noop"), rounds))
        with _open_http((*SERVER, "http"), era) as our, _open_http((*SERVER, "sdk"), era) as bare:
            lines.append(_line(f"HTTP, {era}", our.noop, bare.noop, rounds))
    return lines


def _line(name: str, ours: Callable[[], object], plain: Callable[[], object], rounds: int) -> Line:
    taken: dict[bool, list[float]] = {True: [], False: []}
    sides = ((False, plain), (True, ours))
    for number in range(WARM_UP + rounds * CALLS):
        for is_ours, call in sides:
            begin = time.perf_counter()
            call()
            if number >= WARM_UP:
                taken[is_ours].append(time.perf_counter() - begin)
    mine, theirs = taken[True], taken[False]
    ratio = table.p50(mine) / table.p50(theirs)
    return table.at_most(
        f"a tool that does nothing, {name} / the SDK's plain server",
        table.spread(mine),
        table.spread(theirs),
        ratio,
        1.2,
    )


@dataclass(slots=True)
class _HttpClient:
    """A bare client with one connection that is kept."""

    connection: http.client.HTTPConnection
    era: Era
    headers: dict[str, str] = field(default_factory=dict[str, str])

    def hello(self) -> None:
        """What comes first in the older era."""
        if self.era == "legacy":
            session = self._ask({"id": 1, "method": "initialize", "params": HELLO}, {})
            self.headers |= {"Mcp-Session-Id": session, "MCP-Protocol-Version": VERSIONS["legacy"]}
            self._ask({"method": "notifications/initialized"}, {})

    def noop(self) -> None:
        """Call the tool."""
        if self.era == "legacy":
            self._ask({"id": 1, "method": "tools/call", "params": NOOP}, {})
        else:
            self._ask({"id": 1, "method": "tools/call", "params": {**NOOP, "_meta": META}}, MODERN)

    def _ask(self, message: Json, more: dict[str, str]) -> str:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self.connection.request("POST", "/mcp", body, {**self.headers, **more})
        answer = self.connection.getresponse()
        said = answer.read()
        if answer.status >= 300 or b'"error"' in said or b'"isError":true' in said:
            raise ValueError(f"{answer.status}: {said[:300]!r}")
        return answer.getheader("Mcp-Session-Id", "")


@contextmanager
def _open_http(argv: tuple[str, ...], era: Era) -> Generator[_HttpClient]:
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        try:
            assert server.stdout is not None
            address, token = server.stdout.readline().split()
            place = urlsplit(address)
            connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=START_S)
            _wait(connection)
            headers = {
                "Content-Type": "application/json",
                "Accept": "application/json, text/event-stream",
                "Authorization": f"Bearer {token}",
            }
            client = _HttpClient(connection, era, headers)
            client.hello()
            yield client
            connection.close()
        finally:
            server.kill()


def _wait(connection: http.client.HTTPConnection) -> None:
    until = time.monotonic() + START_S
    while True:
        try:
            return connection.connect()
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)
