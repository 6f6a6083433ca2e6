"""Lines of the dev container CLI that a reader is shown: no colours, no stacks, nothing that it says to itself (pure).

Its log has more than lines of a log: command lines with environment values, whole compose files, objects of Node.
"""

from __future__ import annotations

import re
from enum import Enum, auto

from ws_mcp.core.errors import one_line

MAX_LINE = 400
# Source: ECMA-48, section 5.4 (control sequences), and the titles that terminals take (OSC).
_ANSI = re.compile(r"(?:\x9b|\x1b\[)[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)")
_COMMAND = re.compile(r"(?P<begin>Command failed: \S+(?: compose| buildx)?(?: [a-z]\S*)?).*")
# The legacy builder shows each step, and this one has the definition's containerEnv.
_METADATA = re.compile(r"(?P<begin>devcontainer\.metadata)=.*")
_OWN_FILE = re.compile(r"\S*/devcontainercli(?:-[^/\s]+)?/\S*?(?P<name>[^/\s'\"]*)(?=['\"]?(?:\s|$))")
_NOISE = re.compile(
    r"@devcontainers/cli \S+ Node"
    r"|Container started$"
    r"|Error fetching image details: getaddrinfo"
    r"|Failed to fetch control manifest"
    r"|DEPRECATED: The legacy builder|Install the buildx component|https://docs\.docker\.com/go/buildx"
    r"|Run 'docker \S+ --help'|Usage:  docker"
    r"|--->|--> |Removing intermediate container|Sending build context|Successfully (?:built|tagged)"
    r"|#\d+ (?:DONE|sha256:|transferring|exporting|writing|naming|CACHED|preparing|building with)"
    r"|Shell server terminated|Error: An error occurred setting up"
)


def lines_of(text: str) -> list[str]:
    """The lines of `text` as a terminal would leave them: what a carriage return wrote over is gone."""
    return [_shown(line) for line in _ANSI.sub("", text).replace("\r\n", "\n").split("\n")]


def _shown(line: str) -> str:
    parts = [part for part in line.split("\r") if part.strip()]
    return one_line(_METADATA.sub(r"\g<begin>", parts[-1]), MAX_LINE) if parts else ""


def meaning_of(line: str) -> str:
    """The line for a reader, "" when it tells nothing: own files of the CLI by name only, no command line."""
    if _NOISE.match(line) or not any(character.isalnum() for character in line):
        return ""
    return _OWN_FILE.sub(r"\g<name>", _COMMAND.sub(r"\g<begin> ...", line))


def text_lines(text: str) -> list[str]:
    """The lines of a `text` event. A failed command is a command line of any length; a compose file has secrets."""
    lines = lines_of(text)
    if any(line == "services:" for line in lines):
        return []
    return lines[:1] if lines[0].startswith("Command failed: ") else lines


class _In(Enum):
    TEXT = auto()
    MESSAGE = auto()  # the rest of a command line of several lines
    OBJECT = auto()  # what Node shows of an error's members: also what a command inside wrote


class PlainLines:
    """What is no event: words of other programs are kept; messages, stacks and objects of Node are not."""

    def __init__(self) -> None:
        self._in = _In.TEXT

    def line(self, text: str) -> str:
        """The line for a reader, "" when it is none."""
        is_stack = text.startswith("    at ")
        if self._in is _In.OBJECT:
            self._in = _In.TEXT if text == "}" else _In.OBJECT
            return ""
        if text == "{" or (is_stack and text.endswith(" {")):
            self._in = _In.OBJECT
            return ""
        if is_stack:
            self._in = _In.TEXT
            return ""
        if self._in is _In.MESSAGE:
            return ""
        if text.startswith("Error: Command failed: "):
            self._in = _In.MESSAGE
        return lines_of(text)[0]

    def event(self) -> None:
        """An event came between: whatever was being written has ended."""
        self._in = _In.TEXT
