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


class FileRefusedError(WsError):
    """A file of a place cannot be read, written or listed; nothing was changed."""


class NoFileError(FileRefusedError):
    """There is no such file or directory."""


class NotReadyError(WsError):
    """A probe got no good answer in its time; the message has the last reason."""


class OlderExecdError(ConflictError):
    """The execd of a place was made by an older ws-mcp and does not know the request; it was not sent."""

    def __init__(self, op: str) -> None:
        super().__init__(
            f"this workspace's execd is older and cannot do {op!r}: make the workspace again "
            "(remove it without its volume, then provision it; what is in the volume stays)"
        )


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
    "no_file": lambda text: NoFileError(f"{text}; check the spelling, or list the directory to see what is there"),
    "bad_path": lambda text: FileRefusedError(f"{text}; give a relative path that stays below the root"),
    "not_a_file": lambda text: FileRefusedError(f"{text}; name a file, or list the directory"),
    "too_large": lambda text: FileRefusedError(f"{text}; write a file of this size with a process"),
    "no_permission": lambda text: FileRefusedError(
        f"{text}; choose a place that the workspace's user may use, or change its permissions with a process"
    ),
    "no_space": lambda text: FileRefusedError(f"{text}; nothing was changed. Remove what is no longer needed first"),
    "not_ready": lambda text: NotReadyError(f"{text}; the server's own output may say why"),
    "unauthorized": lambda _: ExecdUnavailableError("it belongs to another instance of ws-mcp and refuses this one"),
    "bad_version": lambda text: ExecdUnavailableError(f"it is of another version ({text}); make the workspace again"),
}


def failure_of(code: str, words: str) -> WsError:
    """The failure for an error reply. `words` come from a place that its processes may rule: they are made one line."""
    make = _TABLE.get(code)
    if make is None:
        return ExecdUnavailableError(f"it failed inside ({one_line(f'{code}: {words}')}); try again", was_sent=True)
    return make(one_line(words))
