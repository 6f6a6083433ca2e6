"""The tokens file on the disk: read when it changed, written whole, private."""

from __future__ import annotations

import fcntl
import logging
import os
import secrets
import stat
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO

from ws_mcp.core.clock import utc_now
from ws_mcp.core.errors import StateError
from ws_mcp.core.ids import Principal
from ws_mcp.core.policy.tokens import PREFIX, TokenRecord, parsed, record_of, written
from ws_mcp.core.replacing import replace_file

MAX_BYTES = 1 << 20

log = logging.getLogger(__name__)


class TokenFile:
    """The tokens of a file, as it is now: a change counts from the next request on. Blocking, for it is one stat."""

    def __init__(self, path: Path, now: Callable[[], datetime] = utc_now) -> None:
        self.path = path
        self._now = now
        self._seen: object = None
        self._records: tuple[TokenRecord, ...] = ()

    def records(self) -> tuple[TokenRecord, ...]:
        """What the file has now; nothing where there is none.

        Raises:
            StateError: it cannot be read, or others may write or read it.
        """
        try:
            with self.path.open("rb") as file:
                found = os.fstat(file.fileno())
                _check(found, self.path)
                return parsed(file.read(MAX_BYTES).decode())
        except FileNotFoundError:
            return ()
        except (OSError, UnicodeDecodeError) as error:
            raise StateError(f"the tokens file {self.path} cannot be read ({error}); no token is valid") from error

    def principal_of(self, token: str) -> Principal | None:
        """Who a token stands for now; None if it is none, not any more, or the file cannot be read."""
        self._look()
        record = record_of(self._records, token, self._now())
        return record.bearer if record else None

    def has_any(self) -> bool:
        """Whether some token of it is good.

        Raises:
            StateError
        """
        return any(record.is_good(self._now()) for record in self.records())

    @contextmanager
    def changing(self) -> Generator[Callable[[tuple[TokenRecord, ...]], None]]:
        """Keep other commands out; what is yielded writes the new records. `records` inside is what there is.

        Raises:
            StateError
        """
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with _private(self.path.with_name(f"{self.path.name}.lock")) as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield lambda records: replace_file(self.path, written(records))
        except OSError as error:
            raise StateError(f"the tokens file {self.path} cannot be written ({error.strerror})") from error

    def _look(self) -> None:
        try:
            found = self.path.stat()
            seen = (found.st_mtime_ns, found.st_ino, found.st_size, found.st_mode, found.st_uid)
        except OSError:
            seen = None
        if seen == self._seen and seen is not None:
            return
        try:
            self._records = self.records()
        except StateError as error:
            self._records = ()
            log.error("%s", error)  # noqa: TRY400 - an operator's mistake, not ours
        self._seen = seen


def new_token() -> str:
    """A token that nobody has had before."""
    return PREFIX + secrets.token_urlsafe(32)


def _private(path: Path) -> IO[str]:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600), "w")


def _check(found: os.stat_result, path: Path) -> None:
    if found.st_uid not in (0, os.geteuid()) or stat.S_IMODE(found.st_mode) & 0o077:
        raise StateError(f"others may read or write the tokens file {path}; chmod 600 it, no token is valid until then")
