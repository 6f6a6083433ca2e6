"""Three ways to speak to a model: Anthropic's Messages, OpenAI's Responses, Gemini's generateContent.

Each says what a request offers and shows of our server, and puts the next turn into the answer's form.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import uuid4

from hosts.script import DONE, Call

Body = Mapping[str, Any]
Events = list[dict[str, Any]]
FOUND = 3  # so many tools a search may find


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a request has of our server.

    `tools`: by our names, those that were offered and those that were found. `searches`: for tools, made so far.
    `results`: as the host shows them, oldest first.
    """

    tools: frozenset[str]
    searches: frozenset[str] = frozenset()
    results: tuple[str, ...] = ()


class Dialect(Protocol):
    """How one host speaks to its model. Answers are the events of a stream."""

    is_typed: bool
    """Whether events carry their type as a name."""

    def asked(self, body: Body) -> Asked | None:
        """None: the request is about something else, as a title."""
        ...

    def answer(self, body: Body, call: Call | None) -> Events:
        """The call, or the last words."""
        ...

    def search(self, body: Body, words: str) -> Events:
        """Looks for tools that the host has deferred."""
        ...


class Messages:
    """Anthropic's."""

    is_typed = True
    PREFIX = "mcp__ws__"

    def asked(self, body: Body) -> Asked | None:
        names = [str(tool["name"]) for tool in body.get("tools", [])]
        if not any(name == "ToolSearch" or name.startswith(self.PREFIX) for name in names):
            return None
        blocks = [block for message in body["messages"] for block in message["content"] if isinstance(block, dict)]
        uses = {block["id"]: block for block in blocks if block["type"] == "tool_use"}
        shown = [block for block in blocks if block["type"] == "tool_result"]
        parts = [part for block in shown for part in block["content"] if isinstance(part, dict)]
        names += [str(part["tool_name"]) for part in parts if part["type"] == "tool_reference"]
        ours = [block for block in shown if uses[block["tool_use_id"]]["name"].startswith(self.PREFIX)]
        return Asked(
            tools=frozenset(name.removeprefix(self.PREFIX) for name in names if name.startswith(self.PREFIX)),
            searches=frozenset(use["input"]["query"] for use in uses.values() if use["name"] == "ToolSearch"),
            results=tuple(_text(block["content"]) for block in ours),
        )

    def answer(self, body: Body, call: Call | None) -> Events:
        if call is None:
            content = {"type": "text", "text": ""}
            return self._message(body, content, {"type": "text_delta", "text": DONE}, "end_turn")
        return self._use(body, self.PREFIX + call.tool, call.arguments)

    def search(self, body: Body, words: str) -> Events:
        return self._use(body, "ToolSearch", {"query": words, "max_results": FOUND})

    def _use(self, body: Body, name: str, arguments: Body) -> Events:
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
    """OpenAI's, with the tools of a server in a namespace."""

    is_typed = True
    NAMESPACE = "mcp__ws"

    def asked(self, body: Body) -> Asked | None:
        items, offered = body["input"], body.get("tools", [])
        if all(tool.get("name") != self.NAMESPACE and tool["type"] != "tool_search" for tool in offered):
            return None
        found = [tool for item in items if item["type"] == "tool_search_output" for tool in item["tools"]]
        ours = [tool for tool in (*offered, *found) if tool.get("name") == self.NAMESPACE]
        calls = {item["call_id"] for item in items if item.get("namespace") == self.NAMESPACE}
        outputs = [item for item in items if item["type"] == "function_call_output" and item["call_id"] in calls]
        searches = (item["arguments"] for item in items if item["type"] == "tool_search_call")
        return Asked(
            tools=frozenset(str(one["name"]) for tool in ours for one in tool["tools"]),
            searches=frozenset(str(arguments["query"]) for arguments in searches),
            results=tuple(_text(item["output"]) for item in outputs),
        )

    def answer(self, body: Body, call: Call | None) -> Events:
        if call is None:
            content = [{"type": "output_text", "text": DONE, "annotations": []}]
            return self._item({"type": "message", "role": "assistant", "content": content})
        arguments = json.dumps(call.arguments)
        return self._item(
            {"type": "function_call", "namespace": self.NAMESPACE, "name": call.tool, "arguments": arguments}
        )

    def search(self, body: Body, words: str) -> Events:
        arguments = {"query": words, "limit": FOUND}
        return self._item({"type": "tool_search_call", "execution": "client", "arguments": arguments})

    def _item(self, item: Body) -> Events:
        number = uuid4().hex
        known = {"id": f"item_{number}", "call_id": f"call_{number}", "status": "completed"}
        usage = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}
        return [
            {"type": "response.created", "response": {"id": "r_1"}},
            {"type": "response.output_item.done", "output_index": 0, "item": {**known, **item}},
            {"type": "response.completed", "response": {"id": "r_1", "usage": usage}},
        ]


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
        usage = {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2}
        content = {"role": "model", "parts": [part]}
        return [{"candidates": [{"content": content, "finishReason": "STOP", "index": 0}], "usageMetadata": usage}]

    def search(self, body: Body, words: str) -> Events:
        raise NotImplementedError("its hosts defer nothing")


def _text(content: str | Sequence[Body]) -> str:
    return content if isinstance(content, str) else "".join(str(part.get("text", part)) for part in content)
