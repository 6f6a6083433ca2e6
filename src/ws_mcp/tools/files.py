"""The tool for files of workspaces: read, write, list."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Literal

from mcp.types import CallToolResult, TextContent
from pydantic import Field

from ws_mcp.core.errors import InvalidArgumentError
from ws_mcp.core.ids import Scope, WorkspaceName
from ws_mcp.core.workspaces.model import DirectoryListing, FileEntryInfo, FileSlice
from ws_mcp.edge.arguments import Input, Offset, Text
from ws_mcp.edge.core_port import Core
from ws_mcp.edge.identity import Identity

FIRST_BYTES = 16_000
MAX_BYTES = 39_000  # with its status line an answer stays below the 40,000 characters that hosts show
MAX_RAW_BYTES = MAX_BYTES * 3 // 4  # as base64
MAX_NAMES = 500
PARTIAL_BYTES = 3  # of a character of UTF-8 that a cut may leave at an end


class FileTools:
    """The tool for the files of the caller's workspaces."""

    def __init__(self, core: Core, identity: Identity) -> None:
        self._core = core
        self._identity = identity

    async def workspace_files(
        self,
        *,
        action: Annotated[
            Literal["read", "list", "write", "write_base64", "write_program"], Field(description="What to do")
        ],
        path: Annotated[Text, Field(description="Below /workspace or /configs")] = "",
        content: Annotated[Input | None, Field(description="Whole file to write")] = None,
        offset: Annotated[Offset, Field(description="First byte to read")] = 0,
        limit: Annotated[int, Field(ge=1, description="Bytes, default 16000, at most 39000")] = FIRST_BYTES,
        workspace: Annotated[Text, Field(description="Default main")] = "",
        chat: Annotated[Text, Field(description="Chat handle")] = "",
    ) -> CallToolResult:
        """Read, list or write files of a workspace, also of a stopped one."""
        caller = await self._identity.caller(chat)
        name = WorkspaceName(workspace) if workspace else None
        if action == "list":
            text = _listed(await self._core.files.list(caller.scope, name, path, MAX_NAMES))
        elif action == "read":
            read = await self._core.files.read(caller.scope, name, path, offset, min(limit, MAX_BYTES))
            text = _read(read)
        else:
            whole = _content(content, is_base64=action == "write_base64")
            text = await self._written(caller.scope, name, path, whole, is_executable=action == "write_program")
        return CallToolResult(content=[TextContent(type="text", text=text)])

    async def _written(
        self, scope: Scope, name: WorkspaceName | None, path: str, content: bytes, *, is_executable: bool
    ) -> str:
        done = await self._core.files.write(scope, name, path, content, is_executable=is_executable)
        return f"[{done.path} written | {done.size} bytes]"


def _content(content: str | None, *, is_base64: bool) -> bytes:
    if content is None:
        raise InvalidArgumentError('workspace_files: writing needs `content`; "" makes an empty file')
    if not is_base64:
        return content.encode()
    try:
        return base64.b64decode(content, validate=True)
    except binascii.Error as error:
        raise InvalidArgumentError("workspace_files: `content` is no base64; use action write for text") from error


def _read(found: FileSlice) -> str:
    """Text if it is UTF-8, whole characters only; else base64, and that is said."""
    whole = _whole_characters(found)
    if whole is not None:
        end, text, form = found.offset + len(whole.encode()), whole, ""
    else:
        raw = found.content[:MAX_RAW_BYTES]
        end, text, form = found.offset + len(raw), base64.b64encode(raw).decode(), " as base64"
    following = "end of file" if end >= found.size else f"next offset={end}"
    line_break = "" if not text or text.endswith("\n") else "\n"
    return f"{text}{line_break}[{found.path} | bytes {found.offset}-{end} of {found.size}{form} | {following}]"


def _whole_characters(found: FileSlice) -> str | None:
    """The text without a character that the end cuts; None when it is no text."""
    is_last = found.offset + len(found.content) >= found.size
    if b"\0" in found.content:
        return None
    for cut in range(1 if is_last else PARTIAL_BYTES + 1):
        try:
            return found.content[: len(found.content) - cut].decode()
        except UnicodeDecodeError:
            continue
    return None


def _listed(found: DirectoryListing) -> str:
    lines = [_line(entry) for entry in found.entries]
    shown = "" if found.total == len(lines) else f", the first {len(lines)} shown"
    return "\n".join((*lines, f"[{found.path} | {found.total} names{shown}]"))


def _line(entry: FileEntryInfo) -> str:
    if entry.kind == "directory":
        return f"{entry.name}/"
    return f"{entry.name}  {entry.size} bytes" if entry.kind == "file" else f"{entry.name}  ({entry.kind})"
