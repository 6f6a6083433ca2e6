"""The tool for files of workspaces: read, write, list."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Annotated, Literal

from mcp.types import CallToolResult, TextContent
from pydantic import Field

from ws_mcp.core.errors import InvalidArgumentError
from ws_mcp.core.ids import WorkspaceName
from ws_mcp.core.unseen import hidden_in
from ws_mcp.core.workspaces.model import FileSlice
from ws_mcp.edge.answer import answered
from ws_mcp.edge.arguments import MAX_INPUT_BYTES, Encoded, Offset, Text
from ws_mcp.edge.core_port import Core
from ws_mcp.edge.file_views import DirectoryView, WrittenView
from ws_mcp.edge.identity import Identity

FIRST_BYTES = 16_000
MAX_BYTES = 39_000  # with its status line an answer stays below the 40,000 characters that hosts show
MAX_RAW_BYTES = MAX_BYTES // 4 * 3  # as base64; a multiple of 3, so that pieces can be joined
MIN_BYTES = 4  # a whole character, so that reading on always gets on
MAX_NAMES = 500
PARTIAL_BYTES = 3  # of a character of UTF-8 that a cut may leave at an end

Action = Literal["read", "list", "write", "write_base64", "write_program"]


class FileTools:
    """The tool for the files of the caller's workspaces."""

    def __init__(self, core: Core, identity: Identity) -> None:
        self._core = core
        self._identity = identity

    async def workspace_files(
        self,
        *,
        action: Annotated[Action, Field(description="What to do")],
        path: Annotated[Text, Field(description="Below /workspace or /configs")] = "",
        content: Annotated[Encoded | None, Field(description="The whole file")] = None,
        offset: Annotated[Offset, Field(description="First byte")] = 0,
        limit: Annotated[int, Field(ge=1, description="Bytes, at most 39000")] = FIRST_BYTES,
        workspace: Annotated[Text, Field(description="Default main")] = "",
        chat: Annotated[Text, Field(description="Handle")] = "",
    ) -> CallToolResult:
        """Read, list or write files of a workspace, also a stopped one.

        The last line of a read says the next offset.
        """
        written = _content(action, content)
        caller = await self._identity.caller(chat)
        name = WorkspaceName(workspace) if workspace else None
        files = self._core.files
        if action == "list":
            return answered(DirectoryView.of(await files.list(caller.scope, name, path, MAX_NAMES)))
        if action == "read":
            most = min(max(limit, MIN_BYTES), MAX_BYTES)
            return _answer(_shown(await files.read(caller.scope, name, path, offset, most)))
        is_program = action == "write_program"
        return answered(WrittenView.of(await files.write(caller.scope, name, path, written, is_executable=is_program)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shown:
    text: str
    start: int
    end: int
    size: int
    path: str
    encoding: str

    @property
    def status(self) -> str:
        ends_open = self.encoding == "utf-8" and bool(self.text) and not self.text.endswith("\n")
        rest = "end of file" if self.end >= self.size else f"next offset={self.end}"
        parts = [self.path, f"bytes {self.start}-{self.end} of {self.size}"]
        parts += ["base64"] if self.encoding == "base64" else []
        # Left in: what is read here is written back. But a person would not have seen them.
        hidden = hidden_in(self.text)
        parts += [f"{hidden} invisible characters in it"] if hidden else []
        parts += [f"{rest}, without a newline" if ends_open and self.end >= self.size else rest]
        return f"[{' | '.join(parts)}]"


def _content(action: Action, content: str | None) -> bytes:
    """The bytes to write; nothing to read."""
    if action in ("read", "list"):
        if content is not None:
            raise InvalidArgumentError(f"workspace_files: `content` is for writing, not for action {action!r}")
        return b""
    if content is None:
        raise InvalidArgumentError('workspace_files: writing needs `content`; "" makes an empty file')
    try:
        written = base64.b64decode("".join(content.split()), validate=True) if action == "write_base64" else None
    except (binascii.Error, ValueError):
        raise InvalidArgumentError("workspace_files: `content` is no base64; for text use action 'write'") from None
    written = content.encode() if written is None else written
    if len(written) > MAX_INPUT_BYTES:
        raise InvalidArgumentError(
            f"workspace_files: `content` is too long: at most {MAX_INPUT_BYTES} bytes; fetch larger files inside, with "
            "start_process"
        )
    return written


def _shown(found: FileSlice) -> _Shown:
    text = _text_of(found)
    if text is not None:
        content, shown, encoding = text.encode(), text, "utf-8"
    else:
        content = found.content[:MAX_RAW_BYTES]
        shown, encoding = base64.b64encode(content).decode(), "base64"
    end = found.offset + len(content)
    return _Shown(text=shown, start=found.offset, end=end, size=found.size, path=found.path, encoding=encoding)


def _text_of(found: FileSlice) -> str | None:
    """The text, without a character that the end of the piece cuts; None when it is no text."""
    if b"\0" in found.content:
        return None
    is_last = found.offset + len(found.content) >= found.size
    for cut in range(1 if is_last else PARTIAL_BYTES + 1):
        try:
            return found.content[: len(found.content) - cut].decode()
        except UnicodeDecodeError:
            continue
    return None


def _answer(shown: _Shown) -> CallToolResult:
    line_break = "" if not shown.text or shown.text.endswith("\n") else "\n"
    window = {"start": shown.start, "end": shown.end, "size": shown.size, "encoding": shown.encoding}
    text = f"{shown.text}{line_break}{shown.status}"
    return CallToolResult(content=[TextContent(type="text", text=text)], _meta={"dev.ws-mcp/window": window})
