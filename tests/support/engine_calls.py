"""What is asked of an engine, read from the bytes that a client sends it: the calls that change something (pure)."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field

_HEAD = re.compile(rb"(?P<method>[A-Z]+) (?P<target>\S+) HTTP/1\.[01]\r\n(?P<fields>.*?)\r\n\r\n", re.DOTALL)
_LENGTH = re.compile(rb"(?im)^content-length:\s*(\d+)")
_CHUNKED = re.compile(rb"(?im)^transfer-encoding:\s*chunked")
_UPGRADE = re.compile(rb"(?im)^upgrade:")
_VERSION = re.compile(r"^/v[0-9.]+")
# Names and ids of one run; what tells objects apart within it stays.
_ONES_OWN = re.compile(r"[0-9a-f]{64}|wsmcp-(execd|net)?-?[0-9a-z]{16,40}(-[0-9a-f]{12})?|(?<=-configs-)[0-9a-f]{12}")
LOOKS = ("GET", "HEAD")


@dataclass
class CallReader:
    """The calls of one connection, in the order in which they are sent."""

    _rest: bytes = b""
    _body: int = 0
    _is_chunked: bool = False
    _is_stream: bool = False

    def feed(self, chunk: bytes) -> list[str]:
        """The calls whose heads end in this chunk, as `METHOD path` without what is one run's own."""
        calls: list[str] = []
        self._rest += chunk
        while self._rest and not self._is_stream:
            if self._is_chunked:
                end = self._rest.find(b"0\r\n\r\n")
                self._rest = self._rest[end + 5 :] if end >= 0 else self._rest[-4:]
                self._is_chunked = end < 0
            elif self._body:
                taken = min(self._body, len(self._rest))
                self._rest, self._body = self._rest[taken:], self._body - taken
            elif head := _HEAD.match(self._rest):
                self._rest = self._rest[head.end() :]
                calls.append(self._call(head))
                continue
            if self._is_chunked or (not self._body and not _HEAD.match(self._rest)):
                break
        if self._is_stream:
            self._rest = b""
        return calls

    def _call(self, head: re.Match[bytes]) -> str:
        fields = head["fields"]
        length = _LENGTH.search(fields)
        self._body = int(length[1]) if length else 0
        self._is_chunked = _CHUNKED.search(fields) is not None
        self._is_stream = _UPGRADE.search(fields) is not None
        target = _ONES_OWN.sub("*", _VERSION.sub("", head["target"].decode()))
        return f"{head['method'].decode()} {target}"


@dataclass
class Trap:
    """Springs at the first call that changes something and at which it has not sprung before; `every`: at each n-th."""

    every: int = 1
    sprung: set[str] = field(default_factory=set[str])
    spared: set[str] = field(default_factory=set[str])
    _seen: Counter[str] = field(default_factory=Counter[str])

    def begin(self) -> None:
        """From here on calls are those of another run."""
        self._seen.clear()

    def springs_at(self, call: str) -> bool:
        """Whether it does, at this call."""
        if call.startswith(LOOKS):
            return False
        self._seen[call] += 1
        which = f"{call} #{self._seen[call]}"
        if which in self.sprung | self.spared:
            return False
        springs = (len(self.sprung) + len(self.spared)) % self.every == 0
        (self.sprung if springs else self.spared).add(which)
        return springs
