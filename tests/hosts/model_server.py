"""The scripted model as a server on the loopback, and a proxy that lets nobody out but remembers who asked."""

from __future__ import annotations

import json
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from hosts.dialects import Body, Dialect, Events
from hosts.script import SEARCHES, Play


class ModelServer:
    """Plays one script to one host.

    `strangers`: what it was asked besides, as by a host that phones home. `unfound`: tools that a search did not find.
    """

    def __init__(self, dialect: Dialect, play: Play) -> None:
        self.dialect = dialect
        self.play = play
        self.url = ""
        self.strangers: set[str] = set()
        self.unfound: set[str] = set()
        self.requests: list[Body] = []

    def answer(self, body: Body) -> Events:
        """The next turn of the script; to requests about something else a few words."""
        asked = self.dialect.asked(body)
        if asked is None:
            return self.dialect.answer(body, None)
        self.requests.append(body)
        call = self.play.turn(asked.results)
        if call is not None and call.tool not in asked.tools:
            if SEARCHES[call.tool] not in asked.searches:
                return self.dialect.search(body, SEARCHES[call.tool])
            self.unfound.add(call.tool)
        return self.dialect.answer(body, call)


@contextmanager
def open_model(dialect: Dialect, play: Play) -> Generator[ModelServer]:
    """A model that lives as long as the block."""
    model = ModelServer(dialect, play)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, model)) as server:
        model.url = f"http://127.0.0.1:{server.server_port}"
        thread = Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield model
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, model: ModelServer, *arguments: Any) -> None:
        self._model = model
        super().__init__(*arguments)

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers.get("content-length") or 0))
        path = self.path.partition("?")[0]
        if path.endswith(("/v1/messages", "/v1/responses", ":streamGenerateContent")):
            self._stream(self._model.answer(json.loads(content)))
        elif path.endswith(":generateContent"):
            self._send(200, json.dumps(self._model.dialect.answer(json.loads(content), None)[0]))
        else:
            self._refuse()

    def do_GET(self) -> None:
        self._refuse()

    def do_HEAD(self) -> None:
        self._refuse()

    def do_CONNECT(self) -> None:
        self._refuse()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Says nothing."""

    def _refuse(self) -> None:
        self._model.strangers.add(f"{self.command} {self.path.partition('?')[0]}")
        self._send(403, json.dumps({"error": {"message": "nobody leaves this machine"}}))

    def _stream(self, events: Events) -> None:
        names = [f"event: {event['type']}\n" if self._model.dialect.is_typed else "" for event in events]
        lines = [f"{name}data: {json.dumps(event)}\n\n" for name, event in zip(names, events, strict=True)]
        self._send(200, "".join(lines), "text/event-stream")

    def _send(self, status: int, text: str, kind: str = "application/json") -> None:
        content = text.encode()
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
