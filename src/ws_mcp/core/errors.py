"""The hierarchy of expected failures.

`str(error)` is one line for the model that reads it: what failed, which one, what to do next, without paths or secrets
of the host. Everything that is not a `WsError` is a bug of ours.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Sequence

from ws_mcp.core.unseen import printable


class WsError(Exception):
    """An expected failure; `str(error)` is written for the model that reads it."""


class InvalidArgumentError(WsError):
    """A value that the caller gave cannot be used; the message names it and says what can."""


class ForbiddenError(WsError):
    """The operator does not allow this; the message names the flag that would."""


class NotFoundError(WsError):
    """The caller's chat has no such thing, whether or not another chat has; or, of what all share, the server."""

    def __init__(self, kind: str, name: str, known: Iterable[str], hint: str, *, is_shared: bool = False) -> None:
        names = sorted(known)
        more = " ..." if len(names) > 20 else ""
        have = f"it has: {', '.join(names[:20])}{more}" if names else f"it has no {kind} yet"
        lacks = f"this server has no {kind}" if is_shared else f"this chat has no {kind}"
        super().__init__(f"{lacks} {name!r}; {have}. {hint}")
        self.kind = kind
        self.name = name


class ConflictError(WsError):
    """The state of the thing forbids the request; the message says which state and what helps."""


class LimitError(WsError):
    """A stated limit is reached; the message names it, its value, and how to get below it."""


class EngineError(WsError):
    """The container engine refused or failed; the message has its reason, sanitised."""


class EngineUnavailableError(EngineError):
    """No engine answers (not installed, not running, no permission): nothing is known about containers now."""


class EngineNotFoundError(EngineError):
    """The engine answered: there is no such container, image, volume or network."""


class EngineConflictError(EngineError):
    """The engine answered: the name is taken, or the object is in a state that forbids the call."""


class SubnetTakenError(EngineConflictError):
    """The subnet overlaps another one, or the engine has none left to give: ask for another."""


class EngineTimeoutError(EngineError):
    """The engine did not answer in time; whether the effect took place is not known."""


class ImageNotFoundError(EngineNotFoundError):
    """The image is not on the engine; the message says how to get or build it."""


class PlaceUnavailableError(WsError):
    """The place where the processes live does not answer now (container stopped, execd gone, engine down)."""


class StartError(WsError):
    """The command could not be started (bad cwd, no such command, bad user); nothing is running."""


class StateError(WsError):
    """The state directory cannot be used (damaged, newer, read-only, full)."""


class StorageFullError(StateError):
    """Nothing can be written to the state directory now (no room, read-only, a failing disk); reading goes on."""


class DamagedStateError(StateError):
    """The state is damaged; until `ws-mcp repair` has mended it nothing is changed. The message names the command."""


class JobOverdueError(WsError):
    """A job was given up at its deadline, and undone as far as its work undoes what is cancelled."""


class JobClosedError(WsError):
    """The server is closing; its work was cancelled."""


class JobCancelledError(WsError):
    """The only caller of a job cancelled it, or somebody gave it up."""


class JobMissedError(WsError):
    """What became of a job that an earlier server ended, of which nobody was told; said once."""


class PolicyError(WsError):
    """The policy file cannot be used; the messages are for the operator and name the file, the key and the line."""

    def __init__(self, problems: Sequence[str]) -> None:
        more = f" (and {len(problems) - 1} more; ws-mcp policy check shows all)" if len(problems) > 1 else ""
        super().__init__(one_line(problems[0], 500) + more)
        self.problems = tuple(one_line(problem, 500) for problem in problems)


_UNWRITABLE = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EFBIG))


def is_unwritable(error: OSError) -> bool:
    """Whether room or the disk is the reason that something was not written."""
    return error.errno in _UNWRITABLE


def unwritten(error: OSError, text: str) -> StateError:
    """The failure of a write to the state directory, of the kind that says the reason."""
    return StorageFullError(text) if is_unwritable(error) else StateError(text)


def one_line(text: str, limit: int = 300) -> str:
    """Foreign text (of an engine, of execd) as one printable line of at most `limit` characters."""
    flat = " ".join(printable(text).split())
    return flat if len(flat) <= limit else flat[: limit - 4] + " ..."
