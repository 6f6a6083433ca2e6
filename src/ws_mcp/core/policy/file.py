"""The policy file on the disk: read only if nobody but the operator and root can have written it."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

from ws_mcp.core.errors import PolicyError
from ws_mcp.core.host.opening import weakness_of
from ws_mcp.core.policy.model import Policy
from ws_mcp.core.policy.written import policy_of

MAX_BYTES = 1 << 20


def read_policy(path: Path, roots: Iterable[Path] = ()) -> Policy:
    """The policy that the file says. `roots`: directories that workspaces may be given besides those that it names.

    Raises:
        PolicyError: it cannot be read, others could have written it, or it is not one; or workspaces could be given it,
            or what says whose tokens are good.
    """
    try:
        policy = policy_of(_text(path), str(path))
    except OSError as error:
        raise _bad(path, f"cannot be read: {error.strerror}") from error
    auth = policy.auth
    named = {"tokens_file": auth.tokens_file, "jwks": auth.keys_file}
    whose = {f"names {key} {file!r}, which": file for key, file in named.items() if file}
    given = sorted({*roots, *(root for grant in policy.grants for root in grant.roots)})
    for what, file in {"": str(path), **whose}.items():
        real = Path(os.path.realpath(file))
        for root in given:
            if real.is_relative_to(os.path.realpath(root)):
                raise _bad(path, f"{what} is below {root}, which workspaces may be given: keep it elsewhere".lstrip())
    return policy


def _text(path: Path) -> str:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise _bad(path, "is a link: name the file that it leads to") from error
        raise _bad(path, f"cannot be opened: {error.strerror}") from error
    try:
        _check(path, os.fstat(descriptor))
        with open(descriptor, "rb", closefd=False) as file:
            content = file.read(MAX_BYTES + 1)
    finally:
        os.close(descriptor)
    if len(content) > MAX_BYTES:
        raise _bad(path, f"is larger than {MAX_BYTES} bytes")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise _bad(path, "is not UTF-8") from error


def _check(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise _bad(path, "is no regular file")
    if status.st_uid not in (0, os.geteuid()):
        raise _bad(path, f"belongs to user {status.st_uid}: it must be yours or root's")
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise _bad(path, f"has mode {stat.S_IMODE(status.st_mode):o}, so others can write it: chmod go-w")
    real = Path(os.path.realpath(path.parent))
    for directory, child in pairwise((*reversed(real.parents), real)):
        if weakness := weakness_of(directory.stat(), child.stat(), os.geteuid()):
            raise _bad(path, f"could be swapped: {directory} {weakness}")
    if weakness := weakness_of(real.stat(), status, os.geteuid()):
        raise _bad(path, f"could be swapped: {real} {weakness}")


def _bad(path: Path, problem: str) -> PolicyError:
    return PolicyError([f"policy file {path} {problem}"])
