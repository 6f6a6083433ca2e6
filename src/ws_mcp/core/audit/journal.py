"""What was asked for and what became of it, on the disk before anything changes.

Several intents that wait share one sync. It is done in place as long as the disk is quick, for a worker thread costs
as much as a quick sync; when it was slow, the next one is done in a thread, so that nobody else waits.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import anyio.lowlevel
import anyio.to_thread

from ws_mcp.core.audit.chain import Fields, chain_key
from ws_mcp.core.audit.fields import fields_of
from ws_mcp.core.audit.file import MAX_BYTES, AuditFile, datasync, prepared
from ws_mcp.core.audit.pruning import plan_pruning, prune
from ws_mcp.core.clock import Now, utc_now
from ws_mcp.core.errors import unwritten
from ws_mcp.core.policy.acts import Act, Clean, Verdict

log = logging.getLogger(__name__)

QUICK_S = 0.001  # a sync in place holds up everybody for as long
KEEP_OPEN = 4096  # acts that have no outcome yet; calls are bounded far below


@dataclass(frozen=True, slots=True, kw_only=True)
class _Open:
    """An intent without its outcome: where it stands and when it was written."""

    file: str
    line: int
    at: float


@dataclass(slots=True)
class _Waiter:
    """An intent that is written and waits for the sync; `error`: why it may not be on the disk."""

    done: anyio.Event = field(default_factory=anyio.Event)
    error: OSError | None = None


class AuditJournal:
    """See `policy.acts.Journal`. Made by `open_journal`."""

    def __init__(self, file: AuditFile, key: bytes, clean: Clean, keep_bytes: int = 0) -> None:
        self._file = file
        self._keep_bytes = keep_bytes
        self._pruned_at = ""
        self._key = key
        self._clean = clean
        self._open: dict[str, _Open] = {}
        self._last = 0
        self._missed = 0
        self._sync_s = 0.0
        self._waiting: list[_Waiter] = []
        self._is_syncing = False
        self.errors = 0
        self.problem = ""

    async def intend(self, act: Act, verdict: Verdict) -> str:
        """Write the intent; of what may change anything it is on the disk when this returns.

        Raises:
            StateError: it is not; then nothing may be done. Reading goes on.
        """
        is_bare = act.is_read_only or not verdict.is_allowed  # nothing will change: it need not be on the disk before
        intent = ""
        try:
            line = self._append({"kind": "intent", **fields_of(act, verdict, self._key, self._clean)})
            intent = self._opened(line)
            if not is_bare:
                await self._synced()
            await self._prune()
        except OSError as error:
            self._fail(error)
            self._open.pop(intent, None)
            if is_bare:
                return ""
            said = (
                f"the audit log cannot be written ({error.strerror or type(error).__name__}), so nothing was done; "
                "reading goes on. The operator has to make room or the state directory writable"
            )
            raise unwritten(error, said) from error
        except BaseException:
            self.conclude(intent, "cut short")
            raise
        return intent

    def conclude(self, intent: str, outcome: str, detail: str = "", made: Mapping[str, str] | None = None) -> None:
        """Write what became of it. It is on the disk with the next intent, which says how many could not be written."""
        begun = self._open.pop(intent, None)
        if begun is None:
            return
        took_ms = round((time.perf_counter() - begun.at) * 1000, 2)
        fields: dict[str, object] = {"kind": "outcome", "of": begun.line, "outcome": outcome, "ms": took_ms}
        fields |= {"in": begun.file} if begun.file != self._file.name else {}
        fields |= {"error": detail} if detail else {}
        fields |= {"made": dict(made)} if made else {}
        try:
            self._append(fields)
        except OSError as error:
            self._fail(error)

    async def _prune(self) -> None:
        """Once with each new file of this server: then there may be more than is kept."""
        if not self._keep_bytes or self._pruned_at == self._file.name:
            return
        self._pruned_at = self._file.name
        try:
            pruning = await anyio.to_thread.run_sync(plan_pruning, self._file.directory, self._keep_bytes)
            if pruning.files:
                self._append(pruning.line)
                await self._synced()
                await anyio.to_thread.run_sync(prune, pruning)
        except OSError as error:
            log.warning("old audit files cannot be removed now: %s", error.strerror)

    def trouble(self) -> str:
        """Why nothing can be written now, or ""; for who asks before the next act does."""
        return self.problem or self._file.obstacle()

    def _opened(self, line: int) -> str:
        self._last += 1
        intent = str(self._last)
        self._open[intent] = _Open(file=self._file.name, line=line, at=time.perf_counter())
        while len(self._open) > KEEP_OPEN:
            del self._open[next(iter(self._open))]
        return intent

    def _append(self, fields: Fields) -> int:
        if self._missed:
            self._file.append({"kind": "gap", "missed": self._missed})
            self._missed = 0
        line = self._file.append(fields)
        self.problem = ""
        return line

    async def _synced(self) -> None:
        mine = _Waiter()
        self._waiting.append(mine)
        if not self._is_syncing:
            await self._sync_on()
        if not mine.done.is_set():
            await mine.done.wait()
        if mine.error is not None:
            raise mine.error

    async def _sync_on(self) -> None:
        """Whoever comes first syncs for those that come meanwhile, and so is not cancelled in between."""
        self._is_syncing = True
        try:
            while self._waiting:
                await anyio.lowlevel.cancel_shielded_checkpoint()  # others that run now share this sync
                waiting, self._waiting = self._waiting, []
                error = await self._sync()
                for each in waiting:
                    each.error = each.error or error
                    each.done.set()
        finally:
            self._is_syncing = False

    async def _sync(self) -> OSError | None:
        try:
            handle = self._file.copy_of_handle()
            if handle is None:
                return None  # what was written last was synced when it was closed, or failed then
            if self._sync_s < QUICK_S:
                self._sync_s = _timed_sync(handle)
            else:
                with anyio.CancelScope(shield=True):
                    self._sync_s = await anyio.to_thread.run_sync(_timed_sync, handle)
        except OSError as error:
            self._file.doubt()
            return error
        return None

    def _fail(self, error: OSError) -> None:
        self._missed += 1
        self.errors += 1
        for each in self._waiting:  # their lines may be in a file that could not be closed well
            each.error = error
        if not self.problem:
            log.error("the audit log cannot be written: %s", error.strerror)
        self.problem = error.strerror or "unknown"


def _timed_sync(handle: int) -> float:
    begin = time.perf_counter()
    try:
        datasync(handle)
    finally:
        os.close(handle)
    return time.perf_counter() - begin


@asynccontextmanager
async def open_journal(
    state: Path,
    instance_key: bytes,
    *,
    clean: Clean,
    now: Now = utc_now,
    max_bytes: int = MAX_BYTES,
    keep_bytes: int = 0,
) -> AsyncGenerator[AuditJournal]:
    """The journal of this process. Its file is made with the first act.

    `keep_bytes`: how much the files of all servers may be together, before the oldest are removed; 0: all are kept.

    Raises:
        StateError: the audit directory is not ours alone, or cannot be made.
    """
    key = chain_key(instance_key)
    file = AuditFile(prepared(state), key, now, max_bytes=max_bytes)
    try:
        yield AuditJournal(file, key, clean, keep_bytes)
    finally:
        file.close()
