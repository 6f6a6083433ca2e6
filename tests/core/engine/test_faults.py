"""The table from an engine's answers to our errors; the texts are those of dockerd 20.10 and Podman 4.3."""

from __future__ import annotations

import errno
import socket

import pytest

from ws_mcp.core.engine.faults import Call, error_of, image_missing, reason_of, unreachable
from ws_mcp.core.errors import (
    EngineConflictError,
    EngineError,
    EngineNotFoundError,
    EngineTimeoutError,
    EngineUnavailableError,
    ImageNotFoundError,
    SubnetTakenError,
)

ID = "0123456789ab" + "c" * 52


@pytest.mark.parametrize(
    ("call", "status", "text", "error"),
    [
        (Call.INSPECT, 404, f"No such container: {ID}", EngineNotFoundError),
        (Call.CREATE, 404, "No such image: nope:1", ImageNotFoundError),
        (Call.CREATE, 404, "network x not found", EngineNotFoundError),
        (Call.CREATE, 409, 'Conflict. The container name "/x" is already in use by container', EngineConflictError),
        (Call.CREATE, 500, 'creating container storage: the container name "x" is already in use', EngineConflictError),
        (Call.CREATE, 500, "unable to find network with name or ID x: network not found", EngineNotFoundError),
        (Call.CREATE, 400, "invalid mount config", EngineError),
        (Call.IMAGE, 404, "failed to find image x", ImageNotFoundError),
        (Call.EXEC, 409, f"Container {ID} is not running", EngineConflictError),
        (
            Call.EXEC,
            500,
            "can only create exec sessions on running containers: container state improper",
            EngineConflictError,
        ),
        (
            Call.START,
            500,
            "driver failed: Bind for 127.0.0.1:80 failed: port is already allocated",
            EngineConflictError,
        ),
        (Call.START, 400, "OCI runtime create failed: exec: no such file or directory: unknown", EngineError),
        (Call.REMOVE_VOLUME, 409, "volume is in use - [x]", EngineConflictError),
        (Call.REMOVE_VOLUME, 500, "volume x is being used by the following container(s)", EngineConflictError),
        (Call.REMOVE_NETWORK, 403, "error while removing network: network x has active endpoints", EngineConflictError),
        (Call.CREATE_NETWORK, 409, "network with name x already exists", EngineConflictError),
        (Call.NODES, 503, "rpc error: desc = The swarm does not have a leader", EngineUnavailableError),
        (Call.ROOM, 500, "rpc error: code = DeadlineExceeded desc = context deadline exceeded", EngineUnavailableError),
        (Call.ROOM, 404, "service raft: x not found", EngineNotFoundError),
        (Call.CREATE_ROOM, 409, "rpc error: desc = name conflicts with an existing object", EngineConflictError),
        (Call.CREATE_ROOM, 400, "rpc error: desc = invalid memory value 1: Must be at least 4MiB", EngineError),
        (Call.CHANGE_ROOM, 500, "rpc error: desc = update out of sequence", EngineConflictError),
        (Call.REMOVE_OVERLAY, 400, "rpc error: desc = network x is in use by task y", EngineConflictError),
        (Call.CREATE_NETWORK, 500, "network name x already used: network already exists", EngineConflictError),
        (Call.CREATE_NETWORK, 403, "Pool overlaps with other one on this address space", SubnetTakenError),
        (
            Call.CREATE_NETWORK,
            500,
            "subnet 10.1.0.0/24 is already used on the host or by another config",
            SubnetTakenError,
        ),
        (
            Call.CREATE_NETWORK,
            500,
            "could not find an available, non-overlapping IPv4 address pool among the defaults",
            SubnetTakenError,
        ),
        (Call.CREATE_NETWORK, 500, "could not find free subnet from subnet pools", SubnetTakenError),
        (
            Call.CREATE,
            404,
            "image with reference x was found but does not match the specified platform",
            ImageNotFoundError,
        ),
        (Call.PULL, 404, "manifest for x:9 not found: manifest unknown", ImageNotFoundError),
        (Call.PULL, 200, "no matching manifest for linux/s390x in the manifest list entries", ImageNotFoundError),
        (Call.PULL, 200, "choosing an image from manifest list: no image found in manifest list", ImageNotFoundError),
        (
            Call.PULL,
            404,
            "pull access denied for x, repository does not exist or may require 'docker login'",
            ImageNotFoundError,
        ),
        (Call.PULL, 500, "toomanyrequests: You have reached your pull rate limit", EngineError),
        (Call.PULL, 500, "dial tcp: lookup nosuch.invalid: no such host", EngineError),
        (Call.UNPAUSE, 500, f"Container {ID} is not paused", EngineConflictError),
        (Call.USAGE, 500, "a disk usage operation is already running", EngineConflictError),
        (Call.PUT, 404, "Could not find the file /no in container x", EngineNotFoundError),
        (Call.PUT, 403, "Forbidden", EngineError),
        (
            Call.LIST,
            400,
            "client version 1.41 is too old. Minimum supported API version is 1.44",
            EngineUnavailableError,
        ),
        (Call.LIST, 504, "", EngineTimeoutError),
        (Call.LIST, 500, "", EngineError),
    ],
)
def test_an_answer_becomes_the_error_that_it_means(
    call: Call, status: int, text: str, error: type[EngineError]
) -> None:
    found = error_of(call, "x", status, text)
    assert type(found) is error
    assert call.value in str(found)
    assert "\n" not in str(found)


def test_a_reason_has_one_line_and_no_path_of_the_host() -> None:
    text = (
        f"Error response from daemon: mount /var/lib/docker/overlay2/{ID}/merged:\x1b[31m\nopen /home/me/.ssh/id: {ID}."
    )
    reason = reason_of(text)
    assert reason == "mount <path>: [31m open <path>: 0123456789ab"


def test_a_missing_image_names_at_most_ten_others() -> None:
    text = str(image_missing("a:1", [f"i{n:02}" for n in range(12)], is_podman=True))
    assert "`podman pull a:1`" in text
    assert "i09 ..." in text
    assert "i10" not in text
    assert "no image with a name" in str(image_missing("a:1", [], is_podman=False))


@pytest.mark.parametrize(
    ("cause", "error", "words"),
    [
        (FileNotFoundError(errno.ENOENT, "x"), EngineUnavailableError, "no socket at unix:///s"),
        (PermissionError(errno.EACCES, "x"), EngineUnavailableError, "group docker"),
        (ConnectionRefusedError(errno.ECONNREFUSED, "x"), EngineUnavailableError, "start it"),
        (TimeoutError("timed out"), EngineTimeoutError, "in time"),
        (socket.gaierror(-2, "Name or service not known"), EngineUnavailableError, "Name or service not known"),
        (ConnectionResetError(errno.ECONNRESET, "reset"), EngineUnavailableError, "reset"),
    ],
)
def test_a_failed_connection_says_what_to_do(cause: OSError, error: type[EngineError], words: str) -> None:
    for wrapped in (cause, OSError("all attempts failed", cause), OSError(ExceptionGroup("several", [cause]))):
        found = unreachable("unix:///s", "DOCKER_HOST", wrapped)
        assert type(found) is error
        assert words in str(found)
        assert "DOCKER_HOST" in str(found)


def test_an_engine_that_may_not_give_all_capabilities_is_said_to_be_one() -> None:
    text = "OCI runtime create failed: runc create failed: unable to apply caps: operation not permitted: unknown"
    assert "use tier 2" in str(error_of(Call.START, "x", 400, text))
