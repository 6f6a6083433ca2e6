"""T40, the person: a real server asks over stdio before what cannot be undone, and takes only a yes for one."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from mcp.types import ElicitRequestFormParams, ElicitRequestParams, ElicitResult
from support.audit_ground import lines_of
from support.peers import MODES, Json, Peer, open_peer, text_of

pytestmark = pytest.mark.usefixtures("real_io")

FLAGS = ("--engine", "none", "--allow-host-processes", "--max-tier", "3", "--audit", "on")
YES, NO = ElicitResult(action="accept", content={"confirm": True}), ElicitResult(action="decline")
WITH_DATA: Json = {"name": "main", "keep_data": False}
KEPT = "/workspace/kept.txt"
ASKING = ("failed", "UnansweredError")  # of the newer era: the question is the answer, and the call comes again
REFUSED = ("failed", "NotConfirmedError")


class Person:
    """Who sits at the host, and what they were asked."""

    def __init__(self, *answers: ElicitResult) -> None:
        self._answers = list(answers)
        self.asked: list[str] = []

    async def __call__(self, context: object, params: ElicitRequestParams) -> ElicitResult:
        assert isinstance(params, ElicitRequestFormParams)
        self.asked.append(params.message)
        return self._answers.pop(0)


@asynccontextmanager
async def serving(state: Path, confirm: str, mode: str, person: Person | None) -> AsyncGenerator[Peer]:
    """A server with a workspace in which there is a file."""
    async with open_peer(state, *FLAGS, "--confirm", confirm, mode=mode, person=person) as peer:
        await peer.ok("provision_workspace", kind="local")
        await peer.ok("workspace_files", action="write", path=KEPT, content="kept")
        yield peer


async def is_kept(peer: Peer) -> bool:
    return text_of(await peer.call("workspace_files", action="read", path=KEPT)).startswith("kept")


def outcomes(state: Path, verb: str) -> list[object]:
    """What the audit says became of the calls of a tool."""
    lines = lines_of(state)
    intents = {line["seq"] for line in lines if line.get("verb") == verb}
    return [(line["outcome"], line.get("error")) for line in lines if line.get("of") in intents]


@pytest.mark.parametrize("mode", MODES)
async def test_data_goes_after_a_yes_and_a_yes_to_one_call_is_none_to_the_next(mode: str, tmp_path: Path) -> None:
    person = Person(NO, ElicitResult(action="cancel"), YES)
    async with serving(tmp_path / "state", "always", mode, person) as peer:
        for _ in range(2):
            said = await peer.refused("remove_workspace", **WITH_DATA)
            assert said.startswith("the person at the host did not say yes; nothing was done")
            assert await is_kept(peer)
        await peer.ok("remove_workspace", **WITH_DATA)
        assert await peer.workspaces() == {}
        assert person.asked == ["Remove the workspace 'main' with all its files? Nothing runs in it."] * 3
    said = [each for each in outcomes(tmp_path / "state", "remove_workspace") if each != ASKING]
    assert said == [REFUSED, REFUSED, ("ok", None)]


@pytest.mark.parametrize("mode", MODES)
async def test_root_on_the_host_is_asked_for_before_the_engine_hears_of_it(mode: str, tmp_path: Path) -> None:
    person = Person(NO, YES)
    async with serving(tmp_path / "state", "auto", mode, person) as peer:
        said = await peer.refused("provision_workspace", name="root", kind="container", tier=3)
        assert said.startswith("the person at the host did not say yes; nothing was done")
        said = await peer.refused("provision_workspace", name="root", kind="container", tier=3)
        assert "engine" in said  # there is none here: it came that far
        assert person.asked == ["Give the workspace 'root' tier 3? It is root on the host of the container engine."] * 2


@pytest.mark.parametrize(("confirm", "goes"), [("always", False), ("auto", True), ("never", True)])
@pytest.mark.parametrize("mode", MODES)
async def test_who_cannot_be_asked_is_refused_only_where_asking_is_a_must(
    mode: str, confirm: str, *, goes: bool, tmp_path: Path
) -> None:
    async with serving(tmp_path / "state", confirm, mode, None) as peer:
        if goes:
            await peer.ok("remove_workspace", **WITH_DATA)
        else:
            assert "your client cannot ask; nothing was done" in await peer.refused("remove_workspace", **WITH_DATA)
            assert await is_kept(peer)
        assert set(await peer.workspaces()) == (set[str]() if goes else {"main"})
    assert outcomes(tmp_path / "state", "remove_workspace") == [("ok", None) if goes else REFUSED]


@pytest.mark.parametrize("mode", MODES)
async def test_nobody_is_asked_where_the_operator_does_not_want_it(mode: str, tmp_path: Path) -> None:
    person = Person()
    async with serving(tmp_path / "state", "never", mode, person) as peer:
        await peer.ok("remove_workspace", **WITH_DATA)
    assert person.asked == []
