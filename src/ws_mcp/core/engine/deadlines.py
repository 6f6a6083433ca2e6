"""How long the engine may take: every call is given up in the end, since an engine that hangs answers nobody."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

import anyio

from ws_mcp.core.engine.context import Endpoint
from ws_mcp.core.engine.faults import unreachable


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """Seconds after which a call is given up."""

    look_s: float = 10.0  # a look takes milliseconds, opening a stream 4.5 s at worst with fifty at once on two cores
    act_s: float = 60.0  # fifty starts at once took 7 s; a slow disk and a cold image need several times that
    gone_s: float = 10.0  # until a removal that somebody else began is through
    pull_s: float = 600.0  # an image of several GiB over a line of 100 Mbit/s
    connect_s: float = 20.0  # the first look, the import of the SDK on a slow disk, and one caller who is before us


@contextmanager
def deadline(endpoint: Endpoint, deadline_s: float) -> Generator[None]:
    """Give up what takes longer.

    Raises:
        EngineTimeoutError
    """
    try:
        with anyio.fail_after(deadline_s):
            yield
    except TimeoutError as error:
        raise unreachable(str(endpoint), endpoint.origin, error) from error


@contextmanager
def finishing(endpoint: Endpoint, deadline_s: float) -> Generator[None]:
    """As `deadline`, for what has to come to an end though its caller is cancelled.

    Raises:
        EngineTimeoutError
    """
    # The SDK's own deadline is one for each packet: an answer that trickles would never reach it.
    with anyio.CancelScope(shield=True, deadline=anyio.current_time() + deadline_s) as scope:
        yield
    if scope.cancelled_caught:
        late = TimeoutError()
        raise unreachable(str(endpoint), endpoint.origin, late) from late
