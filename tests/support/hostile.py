"""What somebody sends who wants the server to work, to remember or to stop: the values of row T29."""

from __future__ import annotations

import json
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from support.http_ground import META

LINE = 4 * 1024 * 1024 - 600
HEAD = b'{"jsonrpc":"2.0","id":1,"method":"ping","params":'
MAX_CPU_S = 1.0
MAX_GROWTH_KIB = 32 * 1024
HUGE = "100 MB of environment"


def tool_call(arguments: bytes, tool: bytes = b"start_process") -> bytes:
    """A call of the older era with these bytes as its arguments."""
    params = b'{"name":"%s","arguments":%s}' % (tool, arguments)
    return b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":%s}' % params


def in_the_newer_era(message: bytes) -> bytes:
    """The same with what each request of the newer era says of its sender."""
    return message.replace(b'"params":{', b'"params":{"_meta":%s,' % json.dumps(META).encode(), 1)


MESSAGES: dict[str, tuple[bytes, int]] = {
    "garbage": (b"garbage", -32700),
    "zero bytes": (b"\0" * 1000, -32700),
    "no UTF-8": (HEAD + b'{"a":"\xff\xfe"}}', -32700),
    "another encoding": ('{"jsonrpc":"2.0","id":1,"method":"ping"}'.encode("utf-16-le"), -32700),
    "a lone surrogate": (HEAD + rb'{"a":"\ud800"}}', -32700),
    "a lone surrogate as id": (rb'{"jsonrpc":"2.0","id":"\udfff","method":"ping"}', -32700),
    "100,000 arrays deep": (HEAD + b"[" * 100_000 + b"]" * 100_000 + b"}", -32600),
    "100,000 objects deep": (HEAD + b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"}", -32600),
    "33 levels": (HEAD + b"[" * 33 + b"]" * 33 + b"}", -32600),
    "open brackets only": (b"[" * LINE, -32600),
    "a million empty lists": (HEAD + b"[" + b"[]," * (LINE // 3) + b"[]]}", -32600),
    "a million empty objects": (HEAD + b"[" + b"{}," * (LINE // 3) + b"{}]}", -32600),
    "two million numbers": (HEAD + b"[" + b"1," * (LINE // 2) + b"1]}", -32600),
    "a number of 4,000 digits": (HEAD + b"1" * 4000 + b"}", -32600),
    "an id of 4,000 digits": (b'{"jsonrpc":"2.0","id":' + b"1" * 4000 + b',"method":"ping"}', -32600),
    "an id of 100,000 characters": (b'{"jsonrpc":"2.0","id":"' + b"a" * 100_000 + b'","method":"ping"}', -32600),
    "a number that is infinite": (HEAD + b'{"a":1e999}}', -32600),
    "NaN": (HEAD + b'{"a":NaN}}', -32600),
    "minus infinity": (HEAD + b'{"a":-Infinity}}', -32600),
    "a method twice": (b'{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/list"}', -32600),
    "an argument twice": (HEAD + b'{"name":"x","arguments":{"tier":1,"tier":4}}}', -32600),
    "a batch of 10,000": (b"[" + b",".join([HEAD + b"{}}"] * 10_000) + b"]", -32600),
    "an empty batch": (b"[]", -32600),
    "a string without end": (HEAD + b'"' + rb"\"" * (LINE // 2), -32700),
    "quotes only": (HEAD + b'"' * LINE, -32700),
    "a million empty lists as a command": (tool_call(b'{"command":[' + b"[]," * (LINE // 3) + b"[]]}"), -32600),
    "two million numbers as a command": (tool_call(b'{"command":[' + b"1," * (LINE // 2) + b"1]}"), -32600),
    "half a million objects as a command": (tool_call(b'{"command":[' + b'{"a":1},' * (LINE // 8) + b"1]}"), -32600),
    "99,000 lists as a command": (tool_call(b'{"command":[' + b"[]," * 99_000 + b"[]]}"), -32600),
    "99,000 numbers as a command": (tool_call(b'{"command":[' + b"1," * 99_000 + b"1]}"), -32600),
    "a command 100,000 lists deep": (tool_call(b'{"command":' + b"[" * 100_000 + b"]" * 100_000 + b"}"), -32600),
    "a command twice": (tool_call(b'{"command":"a","command":"b"}'), -32600),
    "a command that is NaN": (tool_call(b'{"command":NaN}'), -32600),
    "a command of 5,000 digits": (tool_call(b'{"command":' + b"9" * 5000 + b"}"), -32600),
    "half a character as a command": (tool_call(rb'{"command":"\ud800"}'), -32700),
    "two million empty texts": (b"[{" * 20 + b'""' * (LINE // 2), -32600),
    "long numbers, one after the other": (HEAD + b'{"a":' + (b"1" * 399 + b" ") * (LINE // 400) + b"}}", -32700),
    HUGE: (HEAD + b'{"env":"' + b"x" * 100_000_000 + b'"}}', -32600),
}
"""By name: the message, and the code of the error that answers it."""


def _objects(count: int) -> bytes:
    return json.dumps({f"k{number}": 1 for number in range(count)}).encode()


def _packed(text: str) -> bytes:
    return json.dumps(text).encode()


WRONG_CALLS: dict[str, bytes] = {
    "9,000 numbers as a command": tool_call(b'{"command":[' + b"1," * 9000 + b"1]}"),
    "4,500 lists as a command": tool_call(b'{"command":[' + b"[]," * 4500 + b"[]]}"),
    "9,000 variables that are numbers": tool_call(b'{"command":"x","env":%s}' % _objects(9000)),
    "9,000 unknown arguments": tool_call(_objects(9000)),
    "9,000 unknown options": tool_call(b'{"options":%s}' % _objects(9000), b"provision_workspace"),
    "9,000 ports that are texts": tool_call(b'{"ports":[' + b'"x",' * 9000 + b'"x"]}', b"provision_workspace"),
    "a million lists in a text": tool_call(b'{"command":"x","env":%s}' % _packed("[" + "[]," * (LINE // 3) + "[]]")),
    "two million numbers in a text": tool_call(b'{"command":%s}' % _packed("[" + "1," * (LINE // 2) + "1]")),
    "500,000 words in a text": tool_call(b'{"command":%s}' % _packed("[" + '"a",' * (LINE // 6) + '"a"]')),
    "100,000 objects deep in a text": tool_call(b'{"options":%s}' % _packed('{"a":' * 100_000), b"provision_workspace"),
}
"""Calls whose shape is sane, that a tool has to refuse."""


@contextmanager
def bounded(pid: int, *, is_slow_to_read: bool = False) -> Generator[None]:
    """What is done in it takes a server less than a second of a processor and 32 MiB."""
    cpu_s, peak_kib = _cpu_s(pid), _peak_kib(pid)
    yield
    if not is_slow_to_read:
        assert _cpu_s(pid) - cpu_s < MAX_CPU_S
    growth_kib = _peak_kib(pid) - peak_kib
    assert growth_kib < MAX_GROWTH_KIB


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _peak_kib(pid: int) -> int:
    return int(Path(f"/proc/{pid}/status").read_text().split("VmHWM:")[1].split()[0])
