"""What two chats do in a run, and what they were told: the processes with what must become of each, and one act."""

from __future__ import annotations

from dataclasses import dataclass, field

import httpx2
from kills.plan import Moment, Plan
from kills.servers import open_another
from mcp import MCPError
from mcp.types import CallToolResult
from support.peers import Json, Peer, text_of

COUNTER = 'i=0; while :; do i=$((i+1)); echo "line $i"; sleep 0.05; done'
# Far more at once than anybody reads, and less than what is kept.
BURST = 'i=0; while [ $i -lt 12000 ]; do i=$((i+1)); echo "line $i"; done; exit %d'
ENDER = 'echo "line 1"; sleep 1.5; echo "line 2"; exit %d'
ENDED = 'echo "line 1"; exit %d'
READER = "exec cat"
TRAPPED = 'trap \'echo "line 2"; exit %d\' TERM; echo "line 1"; while :; do sleep 0.05; done'
KEY = "the-act"
ONCE = 'echo run >> runs; i=0; while :; do i=$((i+1)); echo "line $i"; sleep 0.05; done'


@dataclass(kw_only=True)
class Record:
    """A process that a chat was told of. `code`: how it ends by itself; None: it goes on. `key`: its request key.

    `is_later`: it began after its place was hit.
    """

    id: str
    chat: str
    workspace: str
    kind: str
    code: int | None = None
    key: str = ""
    is_later: bool = False


@dataclass(kw_only=True)
class Story:
    """One run's. `a` and `b` are the chats; `subject` is the process that the act is about."""

    plan: Plan
    a: str = ""
    b: str = ""
    records: list[Record] = field(default_factory=list[Record])
    subject: Record | None = None
    answer: Json | None = None  # of the act; None: there was none
    refusal: str = ""
    is_over: bool = False  # the act is

    @property
    def workspace(self) -> str:
        """Where the processes of the act are."""
        return "here" if self.plan.is_local else "main"

    @property
    def worked_on(self) -> str:
        """The workspace that is made, changed or removed."""
        return "fresh" if self.plan.moment is Moment.PROVISION else "side"

    async def begin(self, peer: Peer) -> None:
        """Two chats with three places, and processes of every kind in each."""
        made = await peer.ok("provision_workspace", chat="new", name="main", kind="container")
        self.a = str(made["chat"])
        await peer.ok("provision_workspace", chat=self.a, name="here", kind="local")
        self.b = str((await peer.ok("provision_workspace", chat="new", name="there", kind="local"))["chat"])
        if self.plan.moment in (Moment.RECREATE, Moment.REMOVE):
            await peer.ok("provision_workspace", **self.wish("one", name="side"))
        for chat, workspace in ((self.a, "main"), (self.a, "here"), (self.b, "there")):
            code = self.plan.exit_code
            await self.start(peer, chat, workspace, "counter", COUNTER, key=f"counter-{workspace}")
            await self.start(peer, chat, workspace, "ender", ENDER % code, code=code)
            await self.start(peer, chat, workspace, "ended", ENDED % code, code=code)
        match self.plan.moment:
            case Moment.SIGNAL:
                command, code = TRAPPED % self.plan.exit_code, self.plan.exit_code
                self.subject = await self.start(peer, self.a, self.workspace, "trapped", command, code=code, key="t")
                await peer.read(self.subject.id, chat=self.a, wait_for="pattern", pattern="line 1", wait_s=20)
            case Moment.INPUT:
                self.subject = await self.start(peer, self.a, self.workspace, "reader", READER, code=0, key="r")
            case Moment.OUTPUT:
                code = self.plan.exit_code
                self.subject = await self.start(peer, self.a, self.workspace, "burst", BURST % code, code=code, key="b")
            case _:
                pass

    async def start(
        self, peer: Peer, chat: str, workspace: str, kind: str, command: str, *, code: int | None = None, key: str = ""
    ) -> Record:
        """Start a process and remember what must become of it."""
        more = {"request_key": key} if key else {}
        keep = {"keep_stdin": True} if kind == "reader" else {}
        process = await peer.start(command, chat=chat, workspace=workspace, wait_s=0, **more, **keep)
        record = Record(
            id=process,
            chat=chat,
            workspace=workspace,
            kind=kind,
            code=code,
            key=key,
            is_later=self.is_over,  # what is started after the act comes after the fault, too
        )
        self.records.append(record)
        return record

    async def run(self, peer: Peer, workspace: str, command: str) -> str:
        """What a short command of chat A writes."""
        record = await self.start(peer, self.a, workspace, "short", command, code=0)
        return (await peer.read(record.id, chat=self.a, wait_for="exit", wait_s=30)).output

    def wish(self, text: str, *, name: str = "") -> Json:
        """What the workspace that is worked on should be."""
        options: Json = {"files": {"a.txt": text}, "replace": "always"}
        if not name:
            options["request_key"] = KEY
        name = name or self.worked_on
        return {"chat": self.a, "name": name, "kind": "container", "env": {"A": text}, "options": options}

    def act(self) -> tuple[str, Json]:
        """The call that the fault meets."""
        acts: dict[Moment, tuple[str, Json]] = {
            Moment.PROVISION: ("provision_workspace", self.wish("one")),
            Moment.RECREATE: ("provision_workspace", self.wish("two")),
            Moment.REMOVE: ("remove_workspace", {"name": "side", "keep_data": False}),
            Moment.START: (
                "start_process",
                {"workspace": self.workspace, "command": ONCE, "request_key": KEY, "wait_s": 0},
            ),
            Moment.SIGNAL: ("signal_process", {"signal": "TERM", "grace_s": 0}),
            Moment.INPUT: ("write_input", {"text": "line 1\n"}),
            Moment.OUTPUT: ("read_output", {"wait_for": "exit", "wait_s": 5}),
        }
        tool, arguments = acts[self.plan.moment]
        subject = {"process_id": self.subject.id} if self.subject is not None else {}
        return tool, {"chat": self.a, **arguments, **subject}

    async def play(self, peer: Peer) -> None:
        """Make the call; whoever answers it may be killed meanwhile."""
        try:
            async with open_another(peer) as other:
                result = await self.call(other)
        except (MCPError, OSError, ExceptionGroup) as error:
            if isinstance(error, ExceptionGroup) and error.split((OSError, MCPError, httpx2.TransportError))[1]:
                raise
            self.refusal = f"no answer: {error}"
        else:
            self.take(result)
        self.is_over = True

    async def call(self, peer: Peer) -> CallToolResult:
        """The act's call."""
        tool, arguments = self.act()
        return await peer.call(tool, **arguments)

    def take(self, result: CallToolResult) -> None:
        """Remember what was answered."""
        if result.is_error:
            self.answer, self.refusal = None, text_of(result)
            return
        self.answer, self.refusal = {**(result.structured_content or {}), "text": text_of(result)}, ""
