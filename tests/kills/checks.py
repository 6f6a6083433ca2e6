"""What must be so when a server has started on the state directory of one that was hit: looked at, and written down."""

from __future__ import annotations

import re
from dataclasses import dataclass

import anyio
from kills.findings import Findings
from kills.ground import Ground
from kills.plan import Fault, Moment
from kills.story import KEY, Record, Story
from support.peers import Json, Page, Peer, page_of, text_of

SETTLE_S = 12.0  # a little more than is promised, so that what takes longer is seen to
END_S = 20.0
LINE = re.compile(r"line (\d+)")
PROCESS = re.compile(r"p_[a-z0-9]{8}")
BYTES = re.compile(r"bytes (\d+)-(\d+) of")
LOST = re.compile(r"lost \(.*(restarted|was stopped|was removed).*\): how it ended is not known")


@dataclass
class Checks:
    """`hit`: workspaces whose processes a fault ended."""

    ground: Ground
    story: Story
    findings: Findings
    hit: set[str]

    async def settled(self) -> None:
        """That a server that nobody has asked anything puts right what another one left, and how long that takes."""
        began_at = anyio.current_time()
        with anyio.move_on_after(SETTLE_S):
            while not await self.ground.is_settled():  # noqa: ASYNC110 - another program makes it so
                await anyio.sleep(0.05)
        self.findings.reconciled_s = max(self.findings.reconciled_s, anyio.current_time() - began_at)
        if self.story.plan.fault is not Fault.CONTAINER_REMOVED:
            self.findings.orphans += await self.ground.unaccounted()

    async def processes(self, peer: Peer, *, knows_all: bool) -> None:
        """Each process has its true end, or runs, or is said to be lost where its place was hit."""
        for chat in (self.story.a, self.story.b):
            listed = await peer.processes(chat=chat)
            ours = {record.id for record in self.story.records if record.chat == chat}
            self.findings.repeated += [f"process {each} was never told of" for each in set(listed) - ours]
        for record in tuple(self.story.records):
            if record.workspace in self.hit and not record.is_later:
                await self._hit(peer, record, knows_all=knows_all)
            else:
                await self._goes_on(peer, record)

    async def _hit(self, peer: Peer, record: Record, *, knows_all: bool) -> None:
        result = await peer.call("read_output", process_id=record.id, chat=record.chat)
        said = text_of(result)
        if LOST.search(said):
            self.findings.said_lost += 1
            return
        ended = f"exited {record.code} after" in said
        # How one had ended may go with its execd; one that ran must be said to be lost by every server that can know.
        may_be_unknown = record.code is not None or not (knows_all or record.key)
        if not ended and not (may_be_unknown and "no process" in said):
            self.findings.lost.append(f"{record.kind} {record.id} in {record.workspace}, which was hit: {said[-200:]}")

    async def _goes_on(self, peer: Peer, record: Record) -> None:
        # The subject of a signal or of input ends when that has been looked at.
        waits = record.code is not None and record.kind not in ("trapped", "reader")
        try:
            if waits:
                await peer.read(record.id, chat=record.chat, wait_for="exit", wait_s=END_S, tail=1)
            found = (await peer.processes(chat=record.chat))[record.id]
            output = await self.output(peer, record)
        except (AssertionError, KeyError) as error:
            self.findings.lost.append(f"{record.kind} {record.id} in {record.workspace}: {error!r}")
            return
        state, code = found["state"], found.get("exit_code")
        may_be = {("ended", record.code)} if waits else {("running", None), ("ended", record.code)}
        if record.kind in ("counter", "once"):
            may_be = {("running", None)}
        if (state, code) not in may_be:
            self.findings.lost.append(f"{record.kind} {record.id} is {state} {code}, not {may_be}: {found}")
        if record.kind != "reader":  # its lines are what it was sent
            self.check_lines(record, output)

    async def output(self, peer: Peer, record: Record) -> str:
        """All that a process has written up to now, from its first byte."""
        text, offset = "", 0
        while True:
            page: Page = await peer.read(record.id, chat=record.chat, offset=offset, limit=39_000)
            if page.start != offset and page.output:
                self.findings.gaps.append(f"{record.kind} {record.id}: asked for {offset}, got {page.start}")
            text += written(page)
            if page.next_offset is None or page.next_offset == offset or not page.output:
                return text
            offset = page.next_offset

    def check_lines(self, record: Record, output: str) -> None:
        """That no number is left out."""
        numbers = [int(number) for number in LINE.findall(output)]
        if numbers != list(range(1, len(numbers) + 1)):
            jumps = [(one, two) for one, two in zip([0, *numbers], numbers, strict=False) if two != one + 1]
            self.findings.gaps.append(f"{record.kind} {record.id}: {jumps[:3]} of {len(numbers)} lines")
        least = {"burst": 12_000, "ender": 2, "ended": 1}.get(record.kind, 0)
        if record.code is not None and len(numbers) < least:
            self.findings.gaps.append(f"{record.kind} {record.id}: {len(numbers)} of {least} lines")

    async def act(self, peer: Peer) -> None:
        """The act again, as a caller does who was not answered: one effect in all."""
        before = self.story.answer
        result = await self.story.call(peer)
        said = text_of(result)
        match self.story.plan.moment:
            case Moment.PROVISION | Moment.RECREATE:
                if result.is_error:
                    self.findings.other.append(f"the act again was refused: {said}")
                await self._whole(peer)
            case Moment.REMOVE:
                if await self.ground.container("side") is not None:
                    self.findings.other.append(f"the workspace is still there after it was removed again: {said}")
            case Moment.START:
                await self._once(peer, result.is_error, said, dict(result.structured_content or {}), before)
            case Moment.SIGNAL | Moment.INPUT | Moment.OUTPUT:
                await self._subject(peer, said)

    async def _whole(self, peer: Peer) -> None:
        wanted = {Moment.PROVISION: "oneone", Moment.RECREATE: "twotwo"}[self.story.plan.moment]
        said = (await self.story.run(peer, self.story.worked_on, "cat /configs/a.txt; echo $A")).strip()
        if said != wanted:
            self.findings.other.append(f"the workspace is not as asked for: {said!r}, not {wanted!r}")
        kinds = sorted(await self._parts())
        if kinds != ["configs", "data", "net"]:
            self.findings.other.append(f"the workspace has {kinds}")

    async def _parts(self) -> list[str]:
        container = await self.ground.container(self.story.worked_on)
        if container is None:
            return []
        seen, name = await self.ground.look(), f"{container.name}-"
        named = [each.name for each in (*seen.volumes, *seen.networks) if each.name.startswith(name)]
        return [each.removeprefix(name).partition("-")[0] for each in named]

    async def _once(self, peer: Peer, is_refused: bool, said: str, answer: Json, before: Json | None) -> None:
        workspace = self.story.workspace
        is_hit = workspace in self.hit
        if is_refused:
            is_known = is_hit and any(word in said for word in ("restarted", "is lost", "stopped", "no workspace"))
            if not is_known:
                self.findings.other.append(f"the start again was refused: {said}")
            # The first answer may have named it: whether it was started was not known then.
            self._tell(PROCESS.findall(f"{said} {self.story.refusal} {before}"), is_later=False)
        else:
            process = str(answer["process_id"])
            if before is not None and str(before["process_id"]) != process and not is_hit:
                self.findings.repeated.append(f"{KEY} is {before['process_id']} and {process}")
            # In a place that was hit only one that began after that can run.
            self._tell([process], is_later=is_hit and answer["state"] == "running")
        if is_hit:
            await self.provision_again(peer)
        runs = int(await self.story.run(peer, workspace, "cat runs 2>/dev/null | wc -l"))
        if runs > 1 or (runs == 0 and not is_refused):
            self.findings.repeated.append(f"what was started with one key ran {runs} times")

    def _tell(self, ids: list[str], *, is_later: bool) -> None:
        """The process of the act, which its caller may not have been told of at once."""
        known = {record.id for record in self.story.records}
        for process in set(ids) - known:
            record = Record(
                id=process, chat=self.story.a, workspace=self.story.workspace, kind="once", key=KEY, is_later=is_later
            )
            self.story.records.append(record)

    async def _subject(self, peer: Peer, said: str) -> None:
        record = self.story.subject
        assert record is not None
        if record.workspace in self.hit:
            return
        if record.kind == "reader":
            await peer.call("write_input", process_id=record.id, chat=record.chat, text="line 2\n", close=True)
        result = await peer.call("read_output", process_id=record.id, chat=record.chat, wait_for="exit", wait_s=END_S)
        page = page_of(text_of(result))
        if f"exited {record.code} after" not in page.status:
            self.findings.lost.append(f"{record.kind} {record.id}: {page.status}; the act again: {said[-200:]}")
        if record.kind == "reader":
            self._check_input(record, page.output)
        else:
            self.check_lines(record, await self.output(peer, record))

    def _check_input(self, record: Record, output: str) -> None:
        """The first call may or may not have arrived, and the second one was made: each at most once."""
        sent = output.splitlines()
        if sent not in (["line 1", "line 2"], ["line 1", "line 1", "line 2"]):
            self.findings.repeated.append(f"input of {record.id}: {sent}")

    async def provision_again(self, peer: Peer) -> None:
        """What was hit is made whole by asking for it."""
        kinds = {"main": "container", "here": "local"}
        for name in sorted(self.hit & set(kinds)):
            await peer.ok("provision_workspace", chat=self.story.a, name=name, kind=kinds[name])
            if await self.story.run(peer, name, "echo well") != "well\n":
                self.findings.other.append(f"workspace {name} does not work after it was provisioned again")

    def bridges(self, most: int) -> None:
        """What a dead server has started in containers is gone: its end of each stream is closed."""
        extra = {place: count for place, count in self.ground.bridges().items() if count > most}
        self.findings.orphans += [f"{count} bridges in {place} for {most} servers" for place, count in extra.items()]

    async def nothing_stays(self, peer: Peer) -> None:
        """When all is removed, nothing of the run is left but execd's volumes, and strangers are as they were."""
        self.ground.local_places()
        await self.ground.containers()
        for chat in (self.story.a, self.story.b):
            await peer.ok("remove_workspace", name="*", keep_data=False, chat=chat)
        with anyio.move_on_after(SETTLE_S):
            while self.ground.processes():  # noqa: ASYNC110 - the same
                await anyio.sleep(0.05)
        self.findings.orphans += [f"container {each.name}" for each in await self.ground.containers()]
        self.findings.orphans += await self.ground.unaccounted()
        self.findings.orphans += [f"process {pid} {line}" for pid, line in self.ground.processes().items()]
        self.findings.orphans += self.ground.files()
        self.findings.foreign += await self.ground.touched()


def written(page: Page) -> str:
    """What the process wrote, all ASCII: a page that ends in the middle of a line has a break that is not its own."""
    found = BYTES.search(page.status)
    return page.output[: int(found[2]) - int(found[1])] if found else page.output
