"""What tools and resources answer about processes."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field

from ws_mcp.core.errors import one_line
from ws_mcp.core.processes.model import Listing, ProcessInfo, SignalResult, Written
from ws_mcp.core.processes.render import Shown, state_text
from ws_mcp.edge.views import View, moment

COMMAND_CHARACTERS = 200  # of a command in lists; the start answered with all of it


class ProcessView(View):
    """A process and its state."""

    process_id: Annotated[str, Field(description="What other tools call it")]
    workspace: Annotated[str, Field(description="Where it runs")]
    command: Annotated[str, Field(description="What was started, shortened")]
    state: Annotated[Literal["running", "ended", "lost"], Field(description="lost: its container restarted")]
    status: Annotated[str, Field(description="The state in words")]
    started_at: Annotated[str, Field(description="When it began, UTC")]
    exit_code: Annotated[int | None, Field(description="Its exit code, if it exited")] = None
    signal: Annotated[str | None, Field(description="The signal that ended it, if one did")] = None
    output_bytes: Annotated[int, Field(description="Bytes it has written")] = 0
    stderr_bytes: Annotated[int, Field(description="Bytes on a separate stderr")] = 0
    takes_input: Annotated[bool, Field(description="Its stdin is open for write_input")] = False
    is_receipt: Annotated[bool, Field(description="Its output is no longer kept, only its last bytes")] = False

    @staticmethod
    def fields(info: ProcessInfo) -> dict[str, object]:
        """What a view is made of; views of a list are made in one pass, which takes half the time."""
        return {
            "process_id": info.process,
            "workspace": info.workspace,
            "command": one_line(info.command, COMMAND_CHARACTERS),
            "state": info.state.value,
            "status": state_text(info),
            "started_at": moment(info.started_at),
            "exit_code": info.exit.code if info.exit else None,
            "signal": info.exit.signal if info.exit else None,
            "output_bytes": info.out.end,
            "stderr_bytes": info.err.end if info.err else 0,
            "takes_input": info.has_stdin,
            "is_receipt": info.is_receipt,
        }


class ProcessesView(View):
    """The processes of a chat."""

    chat: Annotated[str, Field(description="Handle of the chat")]
    running: Annotated[int, Field(description="How many run")]
    total: Annotated[int, Field(description="How many there are, also those beyond the limit")]
    processes: Annotated[list[ProcessView], Field(description="Running first, newest first")]
    unavailable: Annotated[list[str], Field(description="Workspaces that do not answer: theirs are unknown")] = Field(
        default_factory=list[str]
    )

    @classmethod
    def of(cls, chat: str, listing: Listing) -> Self:
        rows = [ProcessView.fields(info) for info in listing.processes]
        counts = {"running": listing.running, "total": listing.total}
        return cls.model_validate({"chat": chat, "processes": rows, "unavailable": list(listing.unavailable)} | counts)


class StartView(View):
    """A process that was started, and what it wrote so far."""

    process_id: Annotated[str, Field(description="What other tools call it")]
    workspace: Annotated[str, Field(description="Where it runs")]
    state: Annotated[Literal["running", "ended", "lost"], Field(description="running: it goes on")]
    exit_code: Annotated[int | None, Field(description="Its exit code, if it exited")] = None
    signal: Annotated[str | None, Field(description="The signal that ended it, if one did")] = None
    output: Annotated[str, Field(description="First output, as text")] = ""
    stderr: Annotated[str, Field(description="First output on a separate stderr")] = ""
    next_offset: Annotated[int | None, Field(description="Where read_output goes on; null: all was shown")] = None
    was_repeated: Annotated[bool, Field(description="The request key was known: this is the process of then")] = False
    status: Annotated[str, Field(description="State, byte range and what to do next, in one line")]
    note: Annotated[str, Field(description="Advice")] = ""

    @classmethod
    def of(cls, info: ProcessInfo, out: Shown, *, stderr: str, was_repeated: bool, note: str) -> Self:
        return cls(
            process_id=info.process,
            workspace=info.workspace,
            state=info.state.value,
            exit_code=info.exit.code if info.exit else None,
            signal=info.exit.signal if info.exit else None,
            output=out.text,
            stderr=stderr,
            next_offset=out.next_offset,
            was_repeated=was_repeated,
            status=out.status,
            note=note,
        )


class WriteView(View):
    """What became of input."""

    process_id: Annotated[str, Field(description="The process")]
    state: Annotated[Literal["running", "ended", "lost"], Field(description="Its state")]
    written_bytes: Annotated[int, Field(description="Bytes that it took")]
    stdin: Annotated[Literal["open", "closed"], Field(description="Whether it takes more")]
    note: Annotated[str, Field(description="What to do about bytes that it did not take")] = ""

    @classmethod
    def of(cls, written: Written) -> Self:
        left = written.asked - written.written
        return cls(
            process_id=written.info.process,
            state=written.info.state.value,
            written_bytes=written.written,
            stdin="closed" if written.is_closed else "open",
            note=f"it does not read: the last {left} bytes were not taken, send them again later" if left else "",
        )


class SignalView(View):
    """What a signal did."""

    process_id: Annotated[str, Field(description="The process")]
    state: Annotated[Literal["running", "ended", "lost"], Field(description="Its state now")]
    status: Annotated[str, Field(description="The state in words")]
    signalled: Annotated[int, Field(description="Processes that got the signal, children included")]
    gone: Annotated[int, Field(description="How many of those are gone")]
    left: Annotated[int, Field(description="How many are left")]
    exit_code: Annotated[int | None, Field(description="Its exit code, if it exited")] = None
    signal: Annotated[str | None, Field(description="The signal that ended it, if one did")] = None

    @classmethod
    def of(cls, result: SignalResult) -> Self:
        info = result.info
        return cls(
            process_id=info.process,
            state=info.state.value,
            status=state_text(info),
            signalled=result.signalled,
            gone=result.gone,
            left=result.left,
            exit_code=info.exit.code if info.exit else None,
            signal=info.exit.signal if info.exit else None,
        )
