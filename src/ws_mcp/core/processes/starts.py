"""Starting a process once: under an id that is minted before, and under the caller's key, over all servers."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import anyio

from ws_mcp.core.errors import ConflictError, LimitError, PlaceUnavailableError, StartError, StateError, WsError
from ws_mcp.core.execd.failures import OutputExpiredError, UnknownProcessError
from ws_mcp.core.execd.protocol import Header, Reply, child, flag
from ws_mcp.core.ids import NewProcessId, PlaceId, ProcessId, Scope, WorkspaceName
from ws_mcp.core.processes import convert
from ws_mcp.core.processes.atlas import SILENT_S, Atlas
from ws_mcp.core.processes.inquiry import Inquiry, Page
from ws_mcp.core.processes.limits import ProcessLimits
from ws_mcp.core.processes.model import OutputWindow, ProcessInfo, ProcessState, ReadRequest, Started, StartRequest
from ws_mcp.core.processes.port import ClientOf, HasRoom, OnStarted, PlaceRef, StartClaim, StartReceipts
from ws_mcp.core.processes.reach import SHORT_S, OutcomeUnknownError, Question, Repeat

log = logging.getLogger(__name__)

COUNT_S = 1.0  # a silent place counts as empty: it must not hold up starts elsewhere


class Starts:
    """The starts of one chat."""

    def __init__(
        self,
        *,
        scope: Scope,
        client_of: ClientOf,
        atlas: Atlas,
        inquiry: Inquiry,
        new_id: NewProcessId,
        limits: ProcessLimits,
        receipts: StartReceipts,
        on_started: OnStarted,
        has_room: HasRoom | None = None,
    ) -> None:
        self._chat = scope.chat
        self._client_of = client_of
        self._atlas = atlas
        self._inquiry = inquiry
        self._new_id = new_id
        self._limits = limits
        self._receipts = receipts
        self._on_started = on_started
        self._has_room = has_room
        self._silent: dict[PlaceId, float] = {}  # until when they are not asked

    async def start(self, workspace: WorkspaceName | None, request: StartRequest) -> Started:
        """Start what was checked before.

        Raises:
            OutcomeUnknownError: it may run; names the process to look for.
            ConflictError: the key was used for another request, or for a process that is lost.
            LimitError, StartError, PlaceUnavailableError: nothing was started.
        """
        key = request.request_key
        if not key:
            return await self._launch(await self._atlas.of(workspace), self._new_id(), request, "", is_ours=True)
        digest = convert.digest_of(request)
        known = await self._receipts.find(self._chat, key)
        if known is not None:
            return await self._again(workspace, request, digest, known)
        place = await self._atlas.of(workspace)
        boot = (await self._client_of(place)).boot
        ours = StartClaim(digest=digest, process=self._new_id(), place=place.place, boot=boot)
        kept = await self._receipts.claim(self._chat, key, ours)
        if kept.process != ours.process:
            return await self._again(workspace, request, digest, kept)
        return await self._launch(place, ours.process, request, boot, is_ours=True)

    async def _again(
        self, workspace: WorkspaceName | None, request: StartRequest, digest: str, claim: StartClaim
    ) -> Started:
        """The key was seen before: the process of then, started now if its server died before it could."""
        key = request.request_key
        if claim.digest != digest:
            raise ConflictError(
                f"request_key {key!r} was used for another request, which is process {claim.process}; "
                "use another key for this one"
            )
        place = await self._place_of(workspace, claim)
        if place is None:
            raise ConflictError(
                f"request_key {key!r} was used in another workspace, for process {claim.process}; "
                "use another key for this one"
            )
        await self._check_boot(place, claim, key)
        try:
            if claim.is_confirmed:
                return await self._look(place, claim, request)
            started = await self._launch(place, claim.process, request, claim.boot, is_ours=False)
        except PlaceUnavailableError:
            # A kept connection may not have noticed yet that its execd is another one.
            await self._check_boot(place, claim, key)
            raise
        return replace(started, was_repeated=True)

    async def _look(self, place: PlaceRef, claim: StartClaim, request: StartRequest) -> Started:
        """The process of then, only looked at: it ran, so asking for its start could run it twice."""
        subject: Header = {"process": claim.process, "chat": self._chat}

        def info_of(reply: Reply, place: PlaceRef) -> ProcessInfo:
            return convert.info_of(child(reply.header, "process"), place, self._chat, claim.process)

        def window_of(reply: Reply, place: PlaceRef) -> OutputWindow:
            return convert.window_of(reply, place, self._chat, claim.process)

        first = request.first
        try:
            if first is not None:
                question = _patient("read", first, lambda wait_s: subject | convert.read_fields(first, wait_s))
                with suppress(OutputExpiredError):
                    window = (await self._inquiry.ask(place, question, window_of, claim.boot)).value
                    return Started(info=window.info, was_repeated=True, window=window)
            question = Question(op="get", fields=lambda: subject)
            info = (await self._inquiry.ask(place, question, info_of, claim.boot)).value
        except UnknownProcessError as error:
            raise ConflictError(
                f"request_key {request.request_key!r} was used for process {claim.process}: it ran and is forgotten; "
                "give a new key to run it again"
            ) from error
        return Started(info=info, was_repeated=True)

    async def _check_boot(self, place: PlaceRef, claim: StartClaim, key: str) -> None:
        if (await self._client_of(place)).boot != claim.boot:
            raise ConflictError(
                f"request_key {key!r} was used for process {claim.process}, which ended when workspace "
                f"{place.workspace!r} restarted; use another key to run it again"
            )

    async def _place_of(self, workspace: WorkspaceName | None, claim: StartClaim) -> PlaceRef | None:
        if workspace is not None:
            place = await self._atlas.of(workspace)
            return place if place.place == claim.place else None
        # Which workspace is meant by default may have changed since; the process is where it is.
        place = self._atlas.at(claim.place)
        if place is None:
            await self._atlas.all()
            place = self._atlas.at(claim.place)
        return place

    async def _launch(
        self, place: PlaceRef, process: ProcessId, request: StartRequest, boot: str, *, is_ours: bool
    ) -> Started:
        try:
            started = await self._send(place, process, request, boot, is_ours=is_ours)
        except OutcomeUnknownError as error:
            raise OutcomeUnknownError(_unknown_text(place, process, request, error.reason), error.reason) from error
        except anyio.get_cancelled_exc_class():
            # Who stopped waiting may have stopped after the process began; telling of one that did not does no harm.
            self._on_started(place, process)
            raise
        except WsError as error:
            # Of an earlier start only execd's refusal proves that it did not become a process.
            if request.request_key and (is_ours or isinstance(error, (StartError, LimitError))):
                await self._receipts.release(self._chat, request.request_key, process)
            raise
        is_over = started.info.state is ProcessState.ENDED and not started.info.lingering
        if not started.was_repeated and not is_over:
            self._on_started(place, started.info.process)
        if request.request_key:
            await self._confirm(request.request_key, started.info.process)
        return started

    async def _confirm(self, key: str, process: ProcessId) -> None:
        try:
            await self._receipts.confirm(self._chat, key, process)
        except StateError as error:
            # It runs: its id must reach the caller. Execd knows the key for a day even so.
            log.warning("the start of %s could not be confirmed: %s", process, error)

    async def _send(
        self, place: PlaceRef, process: ProcessId, request: StartRequest, boot: str, *, is_ours: bool
    ) -> Started:
        room = self._limits.running - await self._running_elsewhere(place)
        if room < 1 and is_ours:
            raise self._too_many()
        if self._has_room is not None and is_ours:
            await self._has_room()
        # An earlier start is in execd, most likely: the limit must not hide it.
        fields = convert.start_fields(request, process, self._chat, self._limits, max(room, 1))
        question = _question(fields, request.first)
        try:
            started = (await self._inquiry.ask(place, question, self._started_of, boot)).value
        except LimitError as error:
            raise self._too_many() from error
        # A second attempt of ours finds what the first one started.
        is_from_before = started.was_repeated and not (is_ours and started.info.process == process)
        if started.was_repeated == is_from_before:
            return started
        return replace(started, was_repeated=is_from_before)

    async def _running_elsewhere(self, place: PlaceRef) -> int:
        now = anyio.current_time()
        others = [ref for ref in await self._atlas.others(place.place) if self._silent.get(ref.place, now) <= now]
        if not others:
            return 0
        question = Question(op="list", fields=lambda: {"chat": self._chat, "state": "running", "limit": 1})
        answers = await self._inquiry.each(others, question, self._inquiry.page_of, COUNT_S)
        self._silent |= {ref.place: now + SILENT_S for ref, answer in answers if isinstance(answer, WsError)}
        return sum(answer.running for _, answer in answers if isinstance(answer, Page))

    def _started_of(self, reply: Reply, place: PlaceRef) -> Started:
        was_repeated = flag(reply.header, "repeated")
        if "end" in reply.header:
            window = convert.window_of(reply, place, self._chat)
            return Started(info=window.info, was_repeated=was_repeated, window=window)
        info = convert.info_of(child(reply.header, "process"), place, self._chat)
        return Started(info=info, was_repeated=was_repeated)

    def _too_many(self) -> LimitError:
        return LimitError(
            f"this chat has {self._limits.running} running processes, as many as it may; "
            "end some with signal_process or wait until they end"
        )


def _question(fields: dict[str, object], first: ReadRequest | None) -> Question:
    if first is None:
        return Question(op="start", fields=lambda: fields, repeat=Repeat.SAME_BOOT)
    patient = _patient("start", first, lambda wait_s: fields | convert.first_fields(first, wait_s))
    return replace(patient, repeat=Repeat.SAME_BOOT)


def _patient(op: str, first: ReadRequest, fields: Callable[[float], Header]) -> Question:
    """A question with a wait: each attempt is told what is left of it."""
    wait_s = first.wait.wait_s if first.wait is not None else 0.0
    over_at = anyio.current_time() + wait_s
    return Question(op=op, fields=lambda: fields(max(0.0, over_at - anyio.current_time())), timeout_s=wait_s + SHORT_S)


def _unknown_text(place: PlaceRef, process: ProcessId, request: StartRequest, reason: str) -> str:
    key = ", or repeat this call with the same request_key: it will not run twice" if request.request_key else ""
    return (
        f"whether process {process} was started is not known: workspace {place.workspace!r} did not answer "
        f"({reason}); look for {process} with list_processes before you start it again{key}"
    )
