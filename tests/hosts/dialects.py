"""Three ways to speak to a model: Anthropic's Messages, OpenAI's Responses, Gemini's generateContent.

Each says what a request offers and shows of our server, and puts the next turn into the answer's form.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import uuid4

from hosts.script import DONE, Call

Body = Mapping[str, Any]
Events = list[dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a request has of our server: its tools by our names, and what is shown of results, oldest first."""

    tools: frozenset[str]
    results: tuple[str, ...]


class Dialect(Protocol):
    """How one host speaks to its model."""

    is_typed: bool
    """Whether events of the answer's stream carry their type as a name."""

    def asked(self, body: Body) -> Asked | None:
        """None: the request is about something else, as a title."""
        ...

    def answer(self, body: Body, call: Call | None) -> Events:
        """The turn as events of a stream."""
        ...


class Messages:
    """Anthropic's. A tool that was deferred is looked for first, as a model would."""

    is_typed = True
    PREFIX = "mcp__ws__"

    def asked(self, body: Body) -> Asked | None:
        names = {str(tool["name"]) for tool in body.get("tools", [])}
        tools = frozenset(name.removeprefix(self.PREFIX) for name in names if name.startswith(self.PREFIX))
        return Asked(tools=tools, results=tuple(self._results(body))) if tools else None

    def _results(self, body: Body) -> Iterator[str]:
        names: dict[str, str] = {}
        for message in body["messages"]:
            for block in message["content"] if isinstance(message["content"], list) else ():
                if block["type"] == "tool_use":
                    names[block["id"]] = block["name"]
                elif block["type"] == "tool_result" and names[block["tool_use_id"]].startswith(self.PREFIX):
                    yield _text(block.get("content", ""))

    def answer(self, body: Body, call: Call | None) -> Events:
        if call is None:
            content = {"type": "text", "text": ""}
            return self._message(body, content, {"type": "text_delta", "text": DONE}, "end_turn")
        name, arguments = self.PREFIX + call.tool, call.arguments
        search = {"query": f"select:{name}", "max_results": 1}
        if name not in {tool["name"] for tool in body["tools"]} and search not in _inputs(body):
            name, arguments = "ToolSearch", search
        content = {"type": "tool_use", "id": f"toolu_{uuid4().hex}", "name": name, "input": {}}
        delta = {"type": "input_json_delta", "partial_json": json.dumps(arguments)}
        return self._message(body, content, delta, "tool_use")

    def _message(self, body: Body, content: Body, delta: Body, why: str) -> Events:
        usage = {"input_tokens": 1, "output_tokens": 1}
        message = {"id": "msg_1", "type": "message", "role": "assistant", "model": body["model"], "content": []}
        stop = {"stop_reason": why, "stop_sequence": None}
        return [
            {
                "type": "message_start",
                "message": {**message, "stop_reason": None, "stop_sequence": None, "usage": usage},
            },
            {"type": "content_block_start", "index": 0, "content_block": content},
            {"type": "content_block_delta", "index": 0, "delta": delta},
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": stop, "usage": usage},
            {"type": "message_stop"},
        ]


class Responses:
    """OpenAI's, with the tools of a server in a namespace. A tool that was deferred is searched for by its words."""

    is_typed = True
    NAMESPACE = "mcp__ws"

    def asked(self, body: Body) -> Asked | None:
        if not self._offered(body) and all(tool["type"] != "tool_search" for tool in body.get("tools", [])):
            return None
        calls = {item["call_id"] for item in body["input"] if item.get("namespace") == self.NAMESPACE}
        outputs = [
            item for item in body["input"] if item["type"] == "function_call_output" and item["call_id"] in calls
        ]
        return Asked(tools=self._offered(body), results=tuple(_text(item["output"]) for item in outputs))

    def answer(self, body: Body, call: Call | None) -> Events:
        number = uuid4().hex
        item: dict[str, Any] = {"id": f"m_{number}", "status": "completed", "call_id": f"call_{number}"}
        if call is None:
            content = [{"type": "output_text", "text": DONE, "annotations": []}]
            item |= {"type": "message", "role": "assistant", "content": content}
        elif call.tool in self._offered(body):
            item |= {"type": "function_call", "namespace": self.NAMESPACE}
            item |= {"name": call.tool, "arguments": json.dumps(call.arguments)}
        else:
            query = {"query": call.tool.replace("_", " ")}
            item |= {"type": "tool_search_call", "execution": "client", "arguments": query}
        usage = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}
        return [
            {"type": "response.created", "response": {"id": "r_1"}},
            {"type": "response.output_item.done", "output_index": 0, "item": item},
            {"type": "response.completed", "response": {"id": "r_1", "usage": usage}},
        ]

    def _offered(self, body: Body) -> frozenset[str]:
        found = (tool for item in body["input"] if item["type"] == "tool_search_output" for tool in item["tools"])
        ours = [tool for tool in (*body.get("tools", []), *found) if tool.get("name") == self.NAMESPACE]
        return frozenset(str(one["name"]) for tool in ours for one in tool["tools"])


class GenerateContent:
    """Gemini's."""

    is_typed = False
    PREFIX = "mcp_ws_"

    def asked(self, body: Body) -> Asked | None:
        names = {str(one["name"]) for tool in body.get("tools", []) for one in tool.get("functionDeclarations", [])}
        tools = frozenset(name.removeprefix(self.PREFIX) for name in names if name.startswith(self.PREFIX))
        parts: Iterable[Body] = (part for content in body["contents"] for part in content["parts"])
        shown = [part["functionResponse"] for part in parts if "functionResponse" in part]
        ours = [one["response"] for one in shown if one["name"].startswith(self.PREFIX)]
        return Asked(tools=tools, results=tuple("".join(map(str, one.values())) for one in ours)) if tools else None

    def answer(self, body: Body, call: Call | None) -> Events:
        part: dict[str, Any] = {"text": DONE}
        if call is not None:
            part = {"functionCall": {"name": self.PREFIX + call.tool, "args": call.arguments}}
        content = {"role": "model", "parts": [part]}
        usage = {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2}
        return [{"candidates": [{"content": content, "finishReason": "STOP", "index": 0}], "usageMetadata": usage}]


def _inputs(body: Body) -> list[object]:
    """What tools were called with so far."""
    blocks = (block for message in body["messages"] for block in message["content"] if isinstance(block, dict))
    return [block["input"] for block in blocks if block["type"] == "tool_use"]


def _text(content: str | Sequence[Body]) -> str:
    return content if isinstance(content, str) else "".join(str(part.get("text", part)) for part in content)
