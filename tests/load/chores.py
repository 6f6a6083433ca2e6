"""What one caller does in its chat, at random, and what must come of it: a model that each answer is held to."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import cast

from tests.load.floods import Flood, check, is_window
from tests.load.serving import Caller
from tests.support.raw_client import Answer, Json

KINDS = ("exits", "writes", "reads", "takes", "ends", "lists", "names", "files", "provisions", "stops")
WEIGHTS = (22, 8, 14, 12, 8, 12, 8, 8, 2, 1)
MOST_RUNNING = 12
MOST_WRITTEN = 3 << 20
SECOND = "second"
BOX = "box"


@dataclass(slots=True, kw_only=True)
class Cat:
    """A process that gives back what it is given; `said` is all that it was given."""

    workspace: str
    said: str = ""


@dataclass(slots=True, kw_only=True)
class Worker:
    """One caller with a chat of its own. `wrong`: what was not as it had to be. Not safe for threads.

    `engine`: it has containers, too.
    `project`: the folder of a dev container, or ""; `devcontainer`: its name, when made.
    """

    caller: Caller
    seed: int
    engine: bool = False
    project: str = ""
    chat: str = ""
    devcontainer: str = ""
    done: int = 0
    took: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    wrong: list[str] = field(default_factory=list[str])
    workspaces: set[str] = field(default_factory=set[str])
    cats: dict[str, Cat] = field(default_factory=dict[str, Cat])
    floods: dict[str, Flood] = field(default_factory=dict[str, Flood])
    kept: dict[str, str] = field(default_factory=dict[str, str])
    chance: random.Random = field(default_factory=random.Random)

    def begin(self) -> None:
        """A chat with its workspace."""
        self.chance = random.Random(self.seed)
        made = self.ok("provision_workspace", kind="local", chat=self.chat or "new")
        self.chat = str(made.structured["chat"])
        self.workspaces.add("main")

    def tidy(self) -> None:
        """Take away all that is there."""
        for name in sorted(self.workspaces):
            self.ok("remove_workspace", name=name, keep_data=False)
        if self.devcontainer:
            self.ok("remove_workspace", name=self.devcontainer, keep_data=False)
            self.devcontainer = ""
        for known in (self.workspaces, self.cats, self.floods, self.kept):
            known.clear()

    def step(self) -> None:
        """Do one thing, and look whether it was right."""
        kind = self.chance.choices(KINDS, WEIGHTS)[0]
        chores: dict[str, Callable[[], None]] = {kind: getattr(self, f"_{kind}") for kind in KINDS}
        chores[kind]()

    def _exits(self) -> None:
        code, word = self.chance.randrange(256), f"{self.chance.random():.9f}"
        answer = self.ok(
            "start_process", command=f"echo {word}; exit {code}", wait_s=30, workspace=self._some_workspace()
        )
        said = (answer.structured["state"], answer.structured.get("exit_code"), answer.structured.get("output"))
        self._expect(said == ("ended", code, f"{word}\n"), f"echo {word}; exit {code}", answer)

    def _writes(self) -> None:
        if self.floods:
            self._reads()
            return
        one = Flood(number=self.chance.randrange(1000), size=self.chance.randrange(1, MOST_WRITTEN))
        command = f"yes '{one.line}' | head -c {one.size}"
        self.floods[self._start(command, wait_s=0)] = one

    def _reads(self) -> None:
        """To the end of what writes, or what a cat said from anywhere on."""
        if self.floods:
            process, one = self.floods.popitem()
            self.ok("read_output", process_id=process, wait_for="exit", wait_s=45, limit=1)
            self.wrong += check(self, process, one)
        elif self.cats:
            process = self.chance.choice(list(self.cats))
            self._follow(process, self.chance.randrange(len(self.cats[process].said) + 1))
        else:
            self._takes()

    def _takes(self) -> None:
        """What a cat is given comes back whole."""
        if len(self.cats) < MOST_RUNNING and self.chance.random() < 0.5:
            name = self._some_workspace()
            self.cats[self._start("exec cat", keep_stdin=True, wait_s=0, workspace=name)] = Cat(workspace=name)
            return
        if not self.cats:
            return
        process = self.chance.choice(list(self.cats))
        text = "".join(self.chance.choices("abcdefgh\n", k=self.chance.randrange(1, 2000))) + "\n"
        answer = self.ok("write_input", process_id=process, text=text)
        self._expect(answer.structured["written_bytes"] == len(text), f"{len(text)} bytes to {process}", answer)
        cat = self.cats[process]
        offset, cat.said = len(cat.said), cat.said + text
        self._follow(process, offset)

    def _follow(self, process: str, offset: int) -> None:
        """Read from there on until all is there that was said."""
        said, until = self.cats[process].said, time.monotonic() + 45
        while offset < len(said) and time.monotonic() < until:
            answer = self.ok("read_output", process_id=process, offset=offset, wait_for="output", wait_s=20)
            output, _, status = answer.text.rpartition("\n[")
            found = re.search(r"bytes (\d+)-(\d+) of", status)
            if found is None:
                continue
            start, end = int(found[1]), int(found[2])
            self._expect(start == offset and is_window(output, said[start:end]), f"{process} from {offset}", answer)
            offset = end
        if offset < len(said):
            self.wrong.append(f"{process}: {offset} of {len(said)} bytes came back")

    def _ends(self) -> None:
        if not self.cats:
            self._takes()
            return
        process = self.chance.choice(list(self.cats))
        del self.cats[process]
        signal = self.chance.choice(("TERM", "KILL"))
        answer = self.ok("signal_process", process_id=process, signal=signal)
        said = (answer.structured["state"], answer.structured.get("signal"), answer.structured["left"])
        self._expect(said == ("ended", signal, 0), f"{signal} to {process}", answer)

    def _lists(self) -> None:
        answer = self.ok("list_processes", state="running", limit=200)
        listed = {str(one["process_id"]) for one in cast("list[Json]", answer.structured["processes"])}
        missing, more = set(self.cats) - listed, listed - set(self.cats) - set(self.floods)
        self._expect(not missing and not more, f"missing {missing}, more {more}", answer)

    def _names(self) -> None:
        answer = self.ok("list_containers")
        listed = {str(one["name"]) for one in cast("list[Json]", answer.structured["workspaces"])}
        self._expect(listed == self.workspaces, f"wanted {self.workspaces}", answer)

    def _files(self) -> None:
        if self.kept and self.chance.random() < 0.5:
            path = self.chance.choice(list(self.kept))
            answer = self.ok("workspace_files", action="read", path=path)
            self._expect(answer.text.startswith(self.kept[path]), f"{path} is {self.kept[path][:40]!r}", answer)
            return
        path = f"/workspace/file{self.chance.randrange(20)}"
        content = f"{self.chance.random()}\n" * self.chance.randrange(1, 200)
        self.ok("workspace_files", action="write", path=path, content=content)
        self.kept[path] = content

    def _provisions(self) -> None:
        """A second workspace comes or goes; where an engine is it is a container, and now and then a dev container."""
        name = BOX if self.engine and self.chance.random() < 0.5 else SECOND
        if self.project and self.chance.random() < 0.2:
            self._makes()
        elif name in self.workspaces:
            self._forget(name)
            self.ok("remove_workspace", name=name, keep_data=False)
            self.workspaces.remove(name)
        else:
            self.ok("provision_workspace", name=name, kind="container" if name == BOX else "local")
            self.workspaces.add(name)

    def _makes(self) -> None:
        """A dev container, made anew each time, and found by its command."""
        answer = self.ok("recreate_devcontainer", folder=self.project, force=True, wait_s=45)
        made = cast("Json", answer.structured["devcontainer"])
        self._expect(answer.structured["change"] in {"created", "recreated"}, "a dev container", answer)
        self.devcontainer = str(made["name"])
        said = self.ok("start_process", command="echo in it", workspace=self.devcontainer, wait_s=30)
        self._expect(said.structured.get("output") == "in it\n", "echo in a dev container", said)

    def _stops(self) -> None:
        """A second one stops and starts again."""
        if SECOND in self.workspaces:
            self._forget(SECOND)
            self.ok("stop_workspace", name=SECOND, restart=True)

    def _forget(self, workspace: str) -> None:
        self.cats = {process: cat for process, cat in self.cats.items() if cat.workspace != workspace}

    def _some_workspace(self) -> str:
        return self.chance.choice(sorted(self.workspaces))

    def _start(self, command: str, **arguments: object) -> str:
        return str(self.ok("start_process", command=command, **arguments).structured["process_id"])

    def ok(self, tool: str, **arguments: object) -> Answer:
        """Call a tool in its chat; it must succeed.

        Raises:
            RawClientError
        """
        named = arguments if "chat" in arguments else {**arguments, "chat": self.chat}
        answer = self.caller.call(tool, **named)
        self.done += 1
        self.took.setdefault(tool, []).append(answer.seconds)
        return answer.sound(tool)

    def _expect(self, is_so: bool, what: str, answer: Answer) -> None:
        if not is_so:
            self.wrong.append(f"{what}: {answer.text[:200]} {str(answer.structured)[:300]}")


def counts(workers: Sequence[Worker]) -> dict[str, int]:
    """How often each tool was called."""
    tools = sorted({tool for worker in workers for tool in worker.took})
    return {tool: sum(len(worker.took.get(tool, ())) for worker in workers) for tool in tools}
