"""A few commands of a shell, enough to script the processes of a fake execd with text that a real `sh` runs alike.

`echo`, `printf`, `seq`, `head -c N /dev/zero`, `cat`, `read`, `pwd`, `sleep`, `true`, `false`, `exit`,
`trap '' SIG...`, `kill -SIG $$`, `CMD &`, `>&2`, `$NAME`, statements divided by `;` or line ends.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

import anyio

PROGRAMS = ("sh", "echo", "printf", "seq", "head", "cat", "pwd", "sleep", "true", "false")
NOT_FOUND = 127


class Terminal(Protocol):
    """What a script may do to its process."""

    environment: Mapping[str, str]
    cwd: str
    ignored: set[str]

    def write(self, data: bytes, *, is_err: bool) -> None: ...

    async def read_line(self) -> bytes: ...

    async def read_some(self) -> bytes: ...

    def fork(self, run: Callable[[], Awaitable[None]]) -> None: ...

    def die(self, signal: str) -> None: ...


class _ExitNowError(Exception):
    def __init__(self, code: int) -> None:
        self.code = code


async def run_shell(script: str, at: Terminal) -> int:
    """Run statements; returns the exit code."""
    code = 0
    try:
        for statement in _statements(script):
            code = await _run(statement, at)
    except _ExitNowError as exit_now:
        return exit_now.code
    return code


async def run_words(words: list[str], at: Terminal) -> int:
    """Run one command that is given as words."""
    if words[0] == "sh":
        return await run_shell(words[2], at)
    try:
        return await _command(words, at, is_err=False)
    except _ExitNowError as exit_now:
        return exit_now.code


def _statements(script: str) -> list[list[str]]:
    lexer = shlex.shlex(script.replace("\n", " ; "), posix=True, punctuation_chars=";&>")
    lexer.whitespace_split = True
    lexer.commenters = ""
    found: list[list[str]] = [[]]
    for token in lexer:
        found[-1].append(token)
        if token == ";":
            found[-1].pop()
            found.append([])
        elif token == "&":
            found.append([])
    return [statement for statement in found if statement]


async def _run(words: list[str], at: Terminal) -> int:
    words = [re.sub(r"\$(\w+)", lambda m: at.environment.get(m[1], ""), word) for word in words]
    if words[-1] == "&":
        rest = words[:-1]

        async def child() -> None:
            await _run(rest, at)

        at.fork(child)
        return 0
    is_err = words[-2:] == [">&", "2"]
    return await _command(words[:-2] if is_err else words, at, is_err=is_err)


async def _command(words: list[str], at: Terminal, *, is_err: bool) -> int:
    name, args = words[0], words[1:]
    if name in _WAITING:
        return await _WAITING[name](args, at)
    if name in _WRITING:
        at.write(_WRITING[name](args, at), is_err=is_err)
        return 0
    if name in _PLAIN:
        return _PLAIN[name](args, at)
    at.write(f"sh: 1: {name}: not found\n".encode(), is_err=True)
    return NOT_FOUND


async def _sleep(args: list[str], at: Terminal) -> int:
    await anyio.sleep(float(args[0]))
    return 0


async def _cat(args: list[str], at: Terminal) -> int:
    while data := await at.read_some():
        at.write(data, is_err=False)
    return 0


async def _read(args: list[str], at: Terminal) -> int:
    line = await at.read_line()
    at.environment = {**at.environment, args[0]: line.decode().rstrip("\n")}
    return 0 if line else 1


def _exit(args: list[str], at: Terminal) -> int:
    raise _ExitNowError(int(args[0]) if args else 0)


def _trap(args: list[str], at: Terminal) -> int:
    at.ignored |= set(args[1:])
    return 0


def _kill(args: list[str], at: Terminal) -> int:
    at.die(args[0].removeprefix("-"))
    return 0


_WAITING: dict[str, Callable[[list[str], Terminal], Awaitable[int]]] = {"sleep": _sleep, "cat": _cat, "read": _read}
_PLAIN: dict[str, Callable[[list[str], Terminal], int]] = {
    "exit": _exit,
    "trap": _trap,
    "kill": _kill,
    "true": lambda args, at: 0,
    "false": lambda args, at: 1,
}
_WRITING: dict[str, Callable[[list[str], Terminal], bytes]] = {
    "echo": lambda args, at: (" ".join(args) + "\n").encode(),
    "printf": lambda args, at: args[0].encode().decode("unicode_escape").encode("latin-1"),
    "seq": lambda args, at: "".join(f"{n}\n" for n in range(int(args[0]), int(args[-1]) + 1)).encode(),
    "head": lambda args, at: bytes(int(args[1])),
    "pwd": lambda args, at: f"{at.cwd}\n".encode(),
}
