"""What can go wrong with an execd, as failures of the core: one table for its error codes."""

from __future__ import annotations

from collections.abc import Callable

from ws_mcp.core.errors import (
    ConflictError,
    InvalidArgumentError,
    LimitError,
    PlaceUnavailableError,
    StartError,
    WsError,
    one_line,
)
from ws_mcp.core.ids import PlaceId


class ExecdUnavailableError(PlaceUnavailableError):
    """The execd of a place cannot be asked now.

    `reason` is the message without the place, for who can name it better. `was_sent`: the request had left, so that
    its effect may have taken place.
    """

    def __init__(self, reason: str, *, place: PlaceId | None = None, was_sent: bool = False) -> None:
        super().__init__(
            f"place {place!r} does not answer now: {reason}" if place else f"execd does not answer now: {reason}"
        )
        self.reason = reason
        self.was_sent = was_sent

    def at(self, place: PlaceId) -> ExecdUnavailableError:
        """The same with the place named."""
        return ExecdUnavailableError(self.reason, place=place, was_sent=self.was_sent)


class UnknownProcessError(WsError):
    """This execd has no such process of this chat; whoever knows the chat's processes says it better."""


class OutputExpiredError(ConflictError):
    """The process is remembered, its output is not."""


def _expired(_text: str) -> WsError:
    return OutputExpiredError("its output is no longer kept (it ended too long ago); list_processes has its last lines")


_TABLE: dict[str, Callable[[str], WsError]] = {
    "not_found": UnknownProcessError,
    "bad_cwd": lambda text: StartError(
        f"{text}; nothing was started. Give a directory that exists there, or leave cwd out"
    ),
    "no_command": lambda text: StartError(f"{text}; nothing was started. Check the spelling and that the image has it"),
    "bad_user": lambda text: StartError(f"{text}; nothing was started. Leave the user out to use the workspace's own"),
    "start_failed": lambda text: StartError(f"{text}; nothing was started"),
    "conflict": ConflictError,
    "limit": LimitError,
    "bad_request": InvalidArgumentError,
    "bad_offset": lambda text: InvalidArgumentError(f"{text}; give that offset or a lower one, or tail"),
    "bad_pattern": lambda text: InvalidArgumentError(
        f"{text}; write a backslash before what is meant as it stands (RE2 has no lookaround and no backreferences)"
    ),
    "no_stream": lambda text: InvalidArgumentError(
        f"{text}: its stderr is in its stdout, in order; leave `stream` out, or start it with separate_stderr"
    ),
    "bad_signal": InvalidArgumentError,
    "no_stdin": lambda text: ConflictError(f"{text}; start it with keep_stdin or pty to write to it"),
    "no_tty": lambda text: ConflictError(f"{text}; only a process that was started with a terminal has a size"),
    "ended": lambda text: ConflictError(f"{text}; its output can still be read"),
    "expired": _expired,
    "unauthorized": lambda _: ExecdUnavailableError("it belongs to another instance of ws-mcp and refuses this one"),
    "bad_version": lambda text: ExecdUnavailableError(f"it is of another version ({text}); make the workspace again"),
}


def failure_of(code: str, words: str) -> WsError:
    """The failure for an error reply. `words` come from a place that its processes may rule: they are made one line."""
    make = _TABLE.get(code)
    if make is None:
        return ExecdUnavailableError(f"it failed inside ({one_line(f'{code}: {words}')}); try again", was_sent=True)
    return make(one_line(words))
