"""The one table from what an engine answers to our errors (pure).

Docker tells by status; Podman answers 500 to much of it, so that its text has to tell.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import cast

from ws_mcp.core.engine.context import SshError
from ws_mcp.core.errors import (
    EngineConflictError,
    EngineError,
    EngineNotFoundError,
    EngineTimeoutError,
    EngineUnavailableError,
    ImageNotFoundError,
    SubnetTakenError,
    one_line,
)

NAMED_IMAGES = 10


class Call(StrEnum):
    """What was asked of the engine; the value completes "could not ..."."""

    INFO = "ask the engine about itself"
    LIST = "list the engine's objects"
    INSPECT = "look at container"
    CREATE = "create container"
    START = "start container"
    STOP = "stop container"
    REMOVE = "remove container"
    PAUSE = "pause container"
    UNPAUSE = "unpause container"
    RENAME = "rename container"
    LOGS = "read the log of container"
    EXEC = "run a command in container"
    PUT = "put files into container"
    GET = "get files from container"
    IMAGE = "look at image"
    PULL = "pull image"
    IMPORT = "import image"
    REMOVE_IMAGE = "remove image"
    VOLUME = "look at volume"
    CREATE_VOLUME = "create volume"
    REMOVE_VOLUME = "remove volume"
    USAGE = "measure the engine's volumes"
    NETWORK = "look at network"
    CREATE_NETWORK = "create network"
    REMOVE_NETWORK = "remove network"
    EVENTS = "watch the engine"
    SWARM = "ask the swarm about itself"
    NODES = "list the nodes of the swarm"
    ROOMS = "list the rooms of the swarm"
    ROOM = "look at room"
    CREATE_ROOM = "create room"
    CHANGE_ROOM = "change room"
    REMOVE_ROOM = "remove room"
    OVERLAYS = "list the networks of the swarm"
    OVERLAY = "look at network of the swarm"
    CREATE_OVERLAY = "create network of the swarm"
    REMOVE_OVERLAY = "remove network of the swarm"


SWARM_CALLS = (
    Call.SWARM,
    Call.NODES,
    Call.ROOMS,
    Call.ROOM,
    Call.CREATE_ROOM,
    Call.CHANGE_ROOM,
    Call.REMOVE_ROOM,
    Call.OVERLAYS,
    Call.OVERLAY,
    Call.CREATE_OVERLAY,
    Call.REMOVE_OVERLAY,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """An answer matches by its status, the call and its text (any if empty); the first row that matches wins."""

    error: type[EngineError]
    statuses: tuple[int, ...] = ()
    calls: tuple[Call, ...] = ()
    text: str = ""
    hint: str = ""

    def matches(self, status: int, call: Call, text: str) -> bool:
        """Whether the answer is of this kind."""
        return (
            (not self.statuses or status in self.statuses)
            and (not self.calls or call in self.calls)
            and re.search(self.text, text, re.IGNORECASE) is not None
        )


_NO_IMAGE = "the registry has none of this name for this platform, or wants to know who asks (docker login)"
_NO_PRIVILEGE = (
    "this engine cannot give a container all capabilities (tiers 3 and 4), since its machine keeps some back: use tier "
    "2, or Podman, which gives those that there are"
)

_IN_USE = "containers still use it"

# Podman looks at all interfaces of its machine first. One that goes meanwhile fails that; nothing was made then.
INTERFACE_GONE = "no such network interface"

NO_MANAGER = r"not a swarm manager|not part of a swarm"  # what a worker says, or an engine that is in no swarm
_NO_LEADER = r"not have a leader|no elected .*leader|deadline exceeded|raft: "

TABLE = (
    Row(error=EngineUnavailableError, calls=SWARM_CALLS, statuses=(503,)),
    Row(error=EngineUnavailableError, calls=SWARM_CALLS, statuses=(406, 500), text=f"{NO_MANAGER}|{_NO_LEADER}"),
    Row(error=EngineConflictError, calls=(Call.CHANGE_ROOM,), text=r"out of sequence"),
    Row(error=EngineConflictError, calls=(Call.REMOVE_OVERLAY,), text=r"in use by task", hint=_IN_USE),
    Row(error=EngineUnavailableError, text=r"client version \S+ is too (old|new)", hint="call again"),
    Row(error=ImageNotFoundError, calls=(Call.IMAGE,), statuses=(404,)),
    Row(
        error=ImageNotFoundError,
        calls=(Call.IMAGE, Call.CREATE),
        text=r"no such image|image not known|not match the specified platform",
    ),
    Row(error=ImageNotFoundError, calls=(Call.PULL,), statuses=(404,), hint=_NO_IMAGE),
    Row(
        error=ImageNotFoundError,
        calls=(Call.PULL,),
        text=r"(manifest|name) unknown|no matching manifest|no image found|not exist|unauthorized|denied|basic auth",
        hint=_NO_IMAGE,
    ),
    Row(
        error=SubnetTakenError,
        calls=(Call.CREATE_NETWORK,),
        text=r"overlaps|already used on the host|non-overlapping|address pools|free (network )?subnet",
        hint="name another subnet",
    ),
    Row(error=EngineConflictError, calls=(Call.UNPAUSE,), text=r"cannot resume a running process"),
    Row(error=EngineError, calls=(Call.CREATE_NETWORK,), text=INTERFACE_GONE, hint="call again"),
    Row(error=EngineConflictError, calls=(Call.USAGE,), text=r"already running", hint="call again"),
    Row(error=EngineNotFoundError, statuses=(404,)),
    Row(error=EngineConflictError, calls=(Call.REMOVE_NETWORK,), statuses=(403,), hint=_IN_USE),
    Row(error=EngineConflictError, statuses=(409,)),
    Row(error=EngineConflictError, statuses=(500,), text=r"already (in use|exists)|is being used|is in use"),
    Row(error=EngineConflictError, statuses=(500,), text=r"container state improper|is not (running|paused)"),
    Row(
        error=EngineNotFoundError,
        statuses=(500,),
        text=r"no such (container|volume|network|exec|file)|network not found",
    ),
    Row(error=EngineConflictError, calls=(Call.START,), text=r"port is already allocated|address already in use"),
    Row(error=EngineError, calls=(Call.START,), text=r"unable to apply caps", hint=_NO_PRIVILEGE),
    Row(error=EngineTimeoutError, statuses=(408, 504)),
    Row(error=EngineError, statuses=(206,), hint="only a part of the answer came"),
    Row(error=EngineError),
)

_HOST_PATH = re.compile(r"/(?:var|run|proc|sys|root|home|Users|mnt|media|srv|data|snap|private)/[^\s'\",;:)]*")
_LONG_ID = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{52}\b")
_PREFIX = re.compile(r"^(Error response from daemon: |Conflict\. )+")


def reason_of(text: str) -> str:
    """The engine's words in one line, without paths of its host."""
    return one_line(_LONG_ID.sub(r"\1", _HOST_PATH.sub("<path>", _PREFIX.sub("", text))), 240).rstrip(".")


def error_of(call: Call, subject: str, status: int, text: str) -> EngineError:
    """The error for an answer of the engine; `subject` is what the call was about, as the caller named it."""
    row = next(row for row in TABLE if row.matches(status, call, text))
    about = f"{call.value} {subject!r}" if subject else call.value
    hint = f"; {row.hint}" if row.hint else ""
    return row.error(f"could not {about}: {reason_of(text) or f'status {status}'}{hint}")


def image_missing(image: str, tags: Iterable[str], *, is_podman: bool, platform: str = "") -> ImageNotFoundError:
    """Says how to get or build the image, and what is there instead."""
    cli = "podman" if is_podman else "docker"
    option = f"--platform {platform} " if platform else ""
    here = sorted(tags)
    some = ", ".join(here[:NAMED_IMAGES]) + (" ..." if len(here) > NAMED_IMAGES else "")
    have = f"It has: {some}" if here else "It has no image with a name"
    return ImageNotFoundError(
        f"the image {image!r} is not on the engine{f' for {platform}' if platform else ''}; get it with "
        f"`{cli} pull {option}{image}` or build it with `{cli} build {option}-t {image} .`, then call again. {have}"
    )


# What stands for {0} says where the engine is, {1} is the cause's own text.
_MEANINGS: tuple[tuple[type[BaseException], type[EngineError], str], ...] = (
    (SshError, EngineUnavailableError, "the engine at {0} is not reached; ssh says: {1}"),
    (FileNotFoundError, EngineUnavailableError, "no container engine answers: there is no socket at {0}; start one"),
    (
        PermissionError,
        EngineUnavailableError,
        "no permission for the engine at {0}: add this user to the group docker, or use a rootless engine",
    ),
    (ConnectionRefusedError, EngineUnavailableError, "no container engine answers at {0}; start it"),
    (TimeoutError, EngineTimeoutError, "the engine at {0} did not answer in time"),
)


def unreachable(endpoint: str, origin: str, error: BaseException, reason: str = "") -> EngineError:
    """The error for a connection that failed; looks for the operating system's reason in the chain of `error`."""
    where = f"{endpoint} (from {origin})"
    causes = _chain(error)
    for cause in causes:
        if isinstance(cause, FileNotFoundError) and endpoint.startswith("ssh:"):
            return EngineUnavailableError(f"the engine at {where} needs the program ssh on this machine; install it")
        for kind, meaning, text in _MEANINGS:
            if isinstance(cause, kind):
                return meaning(text.format(where, reason_of(str(cause))))
    # The second argument of an OSError need not be text.
    reasons = (cause.strerror for cause in causes if isinstance(cause, OSError))
    systems = next((text for text in reasons if text and isinstance(cast("object", text), str)), "")
    why = reason_of(reason or systems or str(error))
    return EngineUnavailableError(f"the connection to the engine at {where} failed: {why}")


def check_node(endpoint: object, wanted: str, found: str) -> None:
    """Whether the engine that answers is the node of a swarm that it has to be.

    Raises:
        EngineUnavailableError: it is another one, or in no swarm.
    """
    if found != wanted:
        is_what = f"node {found} of a swarm" if found else "in no swarm"
        raise EngineUnavailableError(f"the engine at {endpoint} is {is_what}, not node {wanted}: correct --node")


def _chain(error: BaseException) -> list[BaseException]:
    """The error and what is behind it: causes, contexts, groups, and errors wrapped as arguments (as urllib3 does)."""
    seen: list[BaseException] = []
    queue: list[object] = [error]
    while queue and len(seen) < 20:
        cause = queue.pop(0)
        if not isinstance(cause, BaseException) or cause in seen:
            continue
        seen.append(cause)
        group = cast("tuple[object, ...]", getattr(cause, "exceptions", ()))
        queue += [getattr(cause, "reason", None), *group, *cause.args, cause.__cause__, cause.__context__]
    return seen
