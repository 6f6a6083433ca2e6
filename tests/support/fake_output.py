"""The output of a process of a fake execd under absolute offsets."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class FakeOutput:
    """The first and the last bytes of a stream; counts are exact."""

    head_bytes: int
    tail_bytes: int
    head: bytes = b""
    tail: bytes = b""
    end: int = 0
    is_final: bool = False

    @property
    def tail_start(self) -> int:
        return self.end - len(self.tail)

    def write(self, data: bytes) -> None:
        self.end += len(data)
        room = self.head_bytes - len(self.head)
        if room and not self.tail:
            self.head += data[:room]
            data = data[room:]
        self.tail = (self.tail + data)[-self.tail_bytes :] if self.tail_bytes else b""

    def span(self) -> dict[str, object]:
        return {
            "end": self.end,
            "head_end": len(self.head),
            "tail_start": self.tail_start,
            "is_final": self.is_final,
        }

    def window(self, offset: int, limit: int) -> tuple[int, bytes]:
        """Where the window at `offset` begins, and its bytes."""
        if offset < len(self.head):
            kept = self.head[offset:]
            if self.tail_start == len(self.head):
                kept += self.tail
            return offset, kept[:limit]
        start = max(offset, self.tail_start)
        return start, self.tail[start - self.tail_start :][:limit]

    def last(self, count: int) -> int:
        """Where the last `count` kept bytes begin."""
        oldest = 0 if self.tail_start == len(self.head) else self.tail_start
        return max(oldest, self.end - count)
