"""Asking the execd of a place: once more on a fresh connection where nothing can happen twice, the workspace named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Generic, TypeVar

from ws_mcp.core.errors import PlaceUnavailableError, one_line
from ws_mcp.core.execd.client import ExecdClient, WaitFor
from ws_mcp.core.execd.failures import ExecdUnavailableError
from ws_mcp.core.execd.protocol import ExecdProtocolError, Header, Reply
from ws_mcp.core.processes.patience import ObstacleOf, no_obstacle, wait_for
from ws_mcp.core.processes.port import ClientOf, PlaceRef

T = TypeVar("T")

SHORT_S = 15.0  # what does not wait takes milliseconds; a loaded machine gets some patience


class OutcomeUnknownError(PlaceUnavailableError):
    """The request had left when the connection broke: its effect may have taken place. `reason`: why no answer came."""

    def __init__(self, text: str, reason: str) -> None:
        super().__init__(text)
        self.reason = reason


class Repeat(StrEnum):
    """Whether a request that may have arrived may be sent again."""

    ALWAYS = "always"
    SAME_BOOT = "same boot"  # the execd that may have got it knows it again
    NEVER = "never"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One request. `fields` is called for each attempt, since what is left of a wait shrinks."""

    op: str
    fields: Callable[[], Header]
    body: bytes = b""
    timeout_s: float = SHORT_S
    repeat: Repeat = Repeat.ALWAYS


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer(Generic[T]):
    """What an execd said, and in which boot it said it."""

    value: T
    boot: str


async def ask(
    client_of: ClientOf,
    place: PlaceRef,
    question: Question,
    take: Callable[[Reply], T],
    *,
    boot: str = "",
    obstacle_of: ObstacleOf = no_obstacle,
) -> Answer[T]:
    """Ask, and ask once more when the kept connection turned out dead. With `boot` only that boot is asked.

    `obstacle_of` is asked when the place is silent for longer than it should be.

    Raises:
        OutcomeUnknownError: it may have arrived, must not be sent again, and no answer came.
        PlaceUnavailableError: the place cannot be asked now, or answers nonsense.
        WsError: what execd refused.
    """
    was_sent = is_retry = False
    while True:
        try:
            client = await client_of(place)
            wait = partial(wait_for, client=client, obstacle_of=partial(obstacle_of, place))
            reply = await _call(client, question, boot, wait, was_sent=was_sent)
        except ExecdUnavailableError as error:
            raise _failure(place, question, error.reason, was_sent=error.was_sent or was_sent) from error
        if isinstance(reply, Reply):
            return Answer(value=_taken(reply, place, question, take), boot=client.boot)
        if is_retry or not _may_repeat(client, question, reply):
            raise _failure(place, question, reply.reason, was_sent=reply.was_sent or was_sent) from reply
        is_retry = True
        was_sent = reply.was_sent
        boot = boot or (client.boot if was_sent and question.repeat is Repeat.SAME_BOOT else "")


def unavailable(place: PlaceRef, reason: str) -> PlaceUnavailableError:
    """That a workspace cannot be asked now, why, and what to do."""
    # Who dials or looks says what to do; a broken connection does not.
    has_hint = any(words in reason for words in ("provision_workspace", "try again"))
    hint = "" if has_hint else "; try again in a moment, or call provision_workspace"
    return PlaceUnavailableError(f"workspace {place.workspace!r} does not answer now: {reason}{hint}")


async def _call(
    client: ExecdClient, question: Question, boot: str, wait: WaitFor, *, was_sent: bool
) -> Reply | ExecdUnavailableError:
    if boot and client.boot != boot:
        raise ExecdUnavailableError("it restarted", was_sent=was_sent)
    try:
        return await client.call(question.op, question.fields(), question.body, timeout_s=question.timeout_s, wait=wait)
    except ExecdUnavailableError as error:
        return error


def _may_repeat(client: ExecdClient, question: Question, error: ExecdUnavailableError) -> bool:
    # A living connection on which no answer came would not do better the second time.
    return client.is_closed and not (error.was_sent and question.repeat is Repeat.NEVER)


def _taken(reply: Reply, place: PlaceRef, question: Question, take: Callable[[Reply], T]) -> T:
    try:
        return take(reply)
    except ExecdProtocolError as error:
        raise _failure(place, question, f"its execd answers what cannot be ({error})", was_sent=True) from error


def _failure(place: PlaceRef, question: Question, reason: str, *, was_sent: bool) -> PlaceUnavailableError:
    reason = one_line(reason)
    if was_sent and question.repeat is not Repeat.ALWAYS:
        text = f"workspace {place.workspace!r} did not answer ({reason}): whether the {question.op} took effect"
        return OutcomeUnknownError(f"{text} is not known; look at the process before you repeat it", reason)
    return unavailable(place, reason)
