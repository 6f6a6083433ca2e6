"""Seeded mutation of bytes and of JSON values; a case that fails says its seed and itself, so that it can be kept.

`FUZZ_CASES` is how many cases each fuzzer tries (`make fuzz` sets it), `FUZZ_SEED` where chance begins. Without them
each is short, and the same in every run.
"""

from __future__ import annotations

import json
import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from random import Random
from typing import Any

# By the name of an argument: what is sometimes right, so that some of it comes through and a process is there.
_WORTHY: dict[str, tuple[Any, ...]] = {
    "chat": ("new", "c_" + "A" * 22),
    "command": ("true", ["true", "-x"]),
    "image": ("debian:13", "python:3.14", "debian", "evil/../x"),
    "name": ("main", "other", "app"),
    "options": (
        {},
        {"memory_mib": 64},
        {"folder": "/etc"},
        {"files": {"a": "b"}},
        {"ready": {"tcp": 80}},
        {"runtime": "py"},
    ),
    "path": ("hello.txt", "/workspace/hello.txt", "../x", "/etc/passwd"),
    "pattern": ("(a+)+$", "x"),
    "process_id": ("p_00000001", "p_00000002"),
    "workspace": ("main",),
}
_PLAIN: dict[str, tuple[Any, ...]] = {
    "string": ("main", "x", ""),
    "integer": (0, 1, 1, 2, 3, 80, 70_000),
    "number": (0, 1, 2.5),
    "boolean": (True, False),
    "object": ({}, {"A": "1"}),
}
SNAPSHOTS = Path(__file__).parents[1] / "snapshots"
IS_LONG = "FUZZ_CASES" in os.environ
SEED = int(os.environ.get("FUZZ_SEED", "5"))
# In `make test` other tests share the machine: there only what stands still can be told from what is slow.
HANG_S = 2.0 if IS_LONG else 15.0

BITS: tuple[bytes, ...] = (
    b"\0", b"\n", b"\r\n", b"\r\n\r\n", b"\xff", b"\xed\xa0\x80", b"\xe2\x80\xae", b"\x1b[2J", b'"', b"\\", b"{", b"}",
    b"[[", b"]", b",", b":", b"#", b"//", b"/*", b"*/", b"null", b"1e999", b"-0", b"9" * 40, b"NaN", rb"\ud800", b"'''",
    b"%00", b"../", b"${localEnv:HOME}", b"[" * 200, b"A" * 3000,
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1 << 31, 1 << 63, 10**30, 1.5, -0.0, 1e308, "", " ", "\0", "\n", "\u202e", "\x1b[31m",
    "-x", "--privileged", "../..", "/", "/etc/passwd", "a" * 5000, "ü" * 70, "new", "%s{0}", "${localEnv:HOME}", [], {},
    [[]], [None], {"": ""}, {"a": {"b": [1]}}, ["x"] * 300, {f"k{n}": n for n in range(100)},
)  # fmt: skip


def chances(short: int) -> Iterator[tuple[str, Random]]:
    """A name and a source of chance for each case; `short`: how many they are in `make test`."""
    for number in range(int(os.environ.get("FUZZ_CASES", short))):
        yield f"{SEED}:{number}", Random(f"{SEED}:{number}")


@contextmanager
def told(name: str, case: object) -> Generator[None]:
    """Say which case it was when one fails."""
    try:
        yield
    except BaseException as error:
        error.add_note(f"case {name} (FUZZ_SEED:number), to be kept as a test of its own:\n{case!r}")
        raise


def mutated_bytes(chance: Random, data: bytes) -> bytes:
    """`data` with one to four changes: flipped bits, parts gone, twice, moved or strange, or cut off."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        at, length = chance.randint(0, len(changed)), chance.choice((1, 1, 4, 30))
        match chance.randrange(6):
            case 0 if at < len(changed):
                changed[at] ^= 1 << chance.randrange(8)
            case 1:
                del changed[at : at + length]
            case 2:
                changed[at:at] = changed[at : at + length] * chance.choice((1, 2, 50))
            case 3:
                changed[at : at + length] = chance.choice(BITS)
            case 4 if chance.random() < 0.3:
                del changed[at:]
            case _:
                changed[at:at] = chance.choice(BITS)
    return bytes(changed)


def mutated_value(chance: Random, value: Any) -> Any:
    """A JSON value with one to three of its parts replaced, removed, renamed or added."""
    changed = deepcopy(value)
    for _ in range(chance.randint(1, 3)):
        changed = _mutated_once(chance, changed)
    return changed


def _mutated_once(chance: Random, value: Any) -> Any:
    if isinstance(value, dict) and value and chance.random() < 0.85:
        key = chance.choice(sorted(value))
        match chance.randrange(6):
            case 0:
                del value[key]
            case 1:
                value[chance.choice(("", "\0", key + "x", key.upper(), "__proto__", "x" * 300))] = value[key]
            case _:
                value[key] = _mutated_once(chance, value[key])
        return value
    if isinstance(value, list) and value and chance.random() < 0.7:
        at = chance.randrange(len(value))
        value[at] = _mutated_once(chance, value[at])
        return value
    return deepcopy(chance.choice(VALUES))


def schemas() -> dict[str, dict[str, Any]]:
    """What our tools take, as they say it themselves: the schema of each."""
    read = [json.loads(path.read_text()) for path in sorted(SNAPSHOTS.glob("*.json"))]
    return {tool["name"]: tool["inputSchema"] for tool in read}


def arguments_for(chance: Random, schema: dict[str, Any]) -> dict[str, Any]:
    """Arguments that a schema allows: what is required, and half of the rest."""
    required = schema.get("required", ())
    taken = {name: part for name, part in schema["properties"].items() if name in required or chance.random() < 0.5}
    return {name: _value_for(chance, part, name) for name, part in taken.items()}


def _value_for(chance: Random, schema: dict[str, Any], name: str) -> Any:
    if name in _WORTHY and chance.random() < 0.8:
        return deepcopy(chance.choice(_WORTHY[name]))
    if "anyOf" in schema:
        return _value_for(chance, chance.choice(schema["anyOf"]), name)
    if schema.get("type") == "array":
        return [_value_for(chance, schema["items"], name) for _ in range(chance.randint(0, 3))]
    if name == "wait_s":
        return 0
    return deepcopy(chance.choice(schema.get("enum") or _PLAIN[schema["type"]]))
