"""The page in a frame of a host (MCP Apps): what it asks for, what it shows that others wrote, how it waits."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import anyio
import pytest
from mcp import MCPError
from support.app_host import AppHost, open_app
from support.browser import press_again, shot
from support.edge_client import call, ok, open_client
from support.fake_core import DEV, FakeCore, FakeProcess

from ws_mcp.core.devcontainers.build_logs import BuildLog
from ws_mcp.core.devcontainers.model import Freshness, Key, Verdict
from ws_mcp.core.errors import ConflictError, PlaceUnavailableError
from ws_mcp.core.job import StillRunning
from ws_mcp.core.workspaces.model import WorkspaceName

if TYPE_CHECKING:
    from mcp import Client
    from playwright.async_api import Browser, Locator

pytestmark = pytest.mark.usefixtures("browser")
EVIL = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A host with the page, the server behind it, and the processes there."""

    host: AppHost
    core: FakeCore
    client: Client

    @property
    def processes(self) -> list[FakeProcess]:
        """Those that were started, oldest first."""
        return [process for one in self.core.by_scope.values() for process in one.made.values()]

    async def sees(self, words: str, where: str = "#output") -> None:
        """Wait until words are in a part of the page."""
        await self.host.frame.locator(where).filter(has_text=words).first.wait_for()

    async def text(self, where: str = "#output") -> str:
        """What a part of the page says."""
        return cast("str", await self.host.frame.locator(where).text_content())

    @property
    def looks(self) -> int:
        """How often it asked for the list."""
        return len(self.host.calls("list_processes"))

    async def pass_time(self, ms: int) -> None:
        """Let time pass for the page, and let it do what is due."""
        await self.host.page.clock.run_for(ms)
        for place in (self.host.frame.locator("body"), self.host.page.locator("body")):
            await place.evaluate("() => new Promise(then => requestAnimationFrame(() => requestAnimationFrame(then)))")

    def button(self, name: str) -> Locator:
        """A button by what it says."""
        return self.host.frame.get_by_role("button", name=name, exact=True)

    async def press(self, name: str) -> None:
        """Press a button."""
        await self.button(name).click()


@asynccontextmanager
async def staged(browser: Browser, *commands: str, core: FakeCore | None = None, **more: Any) -> AsyncGenerator[Stage]:
    core = core or FakeCore()
    with anyio.fail_after(60):
        async with open_client(core) as client:
            await ok(client, "provision_workspace")
            for command in commands:
                await ok(client, "start_process", command=command, wait_s=0, keep_stdin=True)
            async with open_app(browser, client, **more) as host:
                yield Stage(host=host, core=core, client=client)


async def test_the_page_stands_beside_an_answer_and_goes_on_from_there(browser: Browser) -> None:
    async with staged(browser, "make test", "npm run dev") as stage:
        answer = await call(stage.client, "list_processes")
        await stage.host.tell(
            "ui/notifications/tool-result", answer.model_dump(mode="json", by_alias=True, exclude_none=True)
        )
        await stage.sees("npm run dev", "#list")
        await stage.sees("connected", "#link")
        stage.processes[0].write(b"building\n>>> ")
        await stage.sees("building\n>>> ")
        stage.processes[0].write(b"1 + 1\n2\n")
        await stage.sees("building\n>>> 1 + 1\n2\n")  # a line that was open goes on
        stage.processes[0].end(3)
        await stage.sees("exited 3", "#list")
        await stage.sees("end of output", "#window")
        chat = (answer.structured_content or {})["chat"]
        assert {arguments["chat"] for arguments in stage.host.calls("list_processes")} == {chat}
        initialized = [one for one in stage.host.heard if one.get("method") == "ui/notifications/initialized"]
        sizes = [one["params"] for one in stage.host.heard if one.get("method") == "ui/notifications/size-changed"]
        assert len(initialized) == 1
        assert sizes[-1]["height"] > 300
        assert await stage.host.frame.locator("#leave").is_hidden()
        await shot(stage.host.page, "framed")


async def test_beside_an_answer_about_workspaces_it_shows_those_first(browser: Browser) -> None:
    core = FakeCore()
    core.devcontainers.there["app"] = DEV
    async with staged(browser, core=core, theme="dark") as stage:
        answer = await call(stage.client, "list_containers")
        await stage.host.tell(
            "ui/notifications/tool-result", answer.model_dump(mode="json", by_alias=True, exclude_none=True)
        )
        await stage.sees("512 MiB of memory, 1 processor", "#places")
        await stage.sees("Dockerfile changed", "#places")
        frame = stage.host.frame.locator(":root")
        assert await frame.evaluate("root => getComputedStyle(root).colorScheme") == "dark"
        await stage.host.tell("ui/notifications/host-context-changed", {"theme": "light"})
        await stage.host.frame.locator(":root[data-theme=light]").wait_for()
        assert await frame.evaluate("root => getComputedStyle(root).colorScheme") == "light"


async def test_a_dev_container_is_made_anew_after_a_second_press_and_its_progress_is_shown(browser: Browser) -> None:
    core = FakeCore()
    core.devcontainers.there["app"] = DEV
    core.devcontainers.pending = StillRunning(phase="building the image: step 2/4", fraction=0.3, elapsed_s=7)
    async with staged(browser, core=core) as stage:
        await stage.host.frame.get_by_role("tab", name="Workspaces").click()
        button = stage.button("Make app anew")
        sure = button.and_(stage.host.frame.locator(".sure"))
        await button.click()
        assert core.devcontainers.asked == []
        await press_again(button, sure)
        await stage.sees("building the image: step 2/4, 7 s", "#places")
        core.devcontainers.logs["app"] = BuildLog(lines=("step 2/4: RUN make", EVIL))
        await stage.sees(f"step 2/4: RUN make\n{EVIL}\n", "#places .log")
        await shot(stage.host.page, "devcontainers")
        core.devcontainers.pending = None
        await stage.sees("recreated; 3.2 s; Dockerfile changed", "#places")
        await stage.sees("clean", "#places .badge")
        core.devcontainers.fault = ConflictError(f"dev container 'app' failed: {EVIL}")
        await button.click()
        await press_again(button, sure)
        await stage.sees(f"failed: {EVIL}", "#places pre")
        await stage.host.frame.get_by_text("Build log").click()
        await stage.host.frame.locator("#places .log").wait_for(state="hidden")
        await stage.sees("app: not done", "#said")


async def test_what_others_wrote_is_shown_as_text_whatever_it_is(browser: Browser) -> None:
    def script(process: FakeProcess) -> None:
        process.write(f"{EVIL}\n\x1b[31mred\x1b[0m \x1b]0;title\x07 a\u202eb\n".encode())

    core = FakeCore(script=script)
    core.devcontainers.there["app"] = replace(
        DEV, name=EVIL, error=EVIL, image=EVIL, warnings=(EVIL,), project="javascript:alert(1)"
    )
    async with staged(browser, f"echo {EVIL}", core=core) as stage:
        await stage.sees(f"{EVIL}\nred  ab\n")
        await stage.sees(f"echo {EVIL}", "#list")
        await stage.sees(f"echo {EVIL}", "#command")
        (made,) = core.made.values()
        made[WorkspaceName("main")] = replace(made[WorkspaceName("main")], notes=(EVIL,), image=EVIL)
        await stage.host.frame.get_by_role("tab", name="Workspaces").click()
        await stage.sees(EVIL, "#places pre")
        elements = "frame => frame.querySelectorAll('img, #places script, #list script, #output *').length"
        assert await stage.host.frame.locator("body").evaluate(elements) == 0
        assert await stage.host.frame.locator("body").evaluate("() => document.title") != "owned"
        assert await stage.host.page.title() == "host"


async def test_a_refusal_is_shown_as_it_is_worded_until_it_is_over(browser: Browser) -> None:
    async with staged(browser, "make") as stage:
        await stage.sees("connected", "#link")
        stage.core.read_fault = PlaceUnavailableError(f"workspace {EVIL} does not answer now")
        stage.processes[0].write(b"more")
        await stage.sees(f"workspace {EVIL} does not answer now", "#problem")
        stage.core.read_fault = None
        await stage.sees("more")
        await stage.host.frame.locator("#problem").wait_for(state="hidden")


async def test_signals_say_what_they_did_and_kill_is_asked_for_twice(browser: Browser) -> None:
    async with staged(browser, "first", "second") as stage:
        await stage.sees("second", "#list")
        await stage.press("Terminate")
        await stage.sees("2 signalled, 0 left", "#said")
        await stage.sees("killed by TERM", "#list")
        await stage.host.frame.get_by_role("option").filter(has_text="running").click()
        await stage.press("Kill")
        assert len(stage.host.calls("signal_process")) == 1
        await press_again(stage.button("Kill"), stage.button("Press again to kill"))
        await stage.sees("killed by KILL", "#window")
        assert [one["signal"] for one in stage.host.calls("signal_process")] == ["TERM", "KILL"]


@pytest.mark.parametrize("output", [b"the only line\n", b""])
async def test_how_a_process_ended_is_shown_though_its_output_was_closed_before(
    browser: Browser, output: bytes
) -> None:
    async with staged(browser, "exec >&-") as stage:
        (process,) = stage.processes
        process.write(output)
        process.close()
        await stage.sees("running | ", "#window")
        await stage.sees("end of output", "#window")
        process.end(code=None, signal="INT")
        await stage.sees("killed by INT", "#window")
        assert await stage.text() == output.decode()


async def test_lists_and_lines_are_filtered_and_copied_as_shown(browser: Browser) -> None:
    def script(process: FakeProcess) -> None:
        process.write(b"one\nTWO\nthree\n")

    async with staged(browser, "alpha", "beta", core=FakeCore(script=script)) as stage:
        frame = stage.host.frame
        await stage.sees("three")
        await frame.get_by_label("Filter processes").fill("BET")
        assert await frame.get_by_role("option").count() == 1
        await frame.get_by_label("Filter lines of the output").fill("t")
        assert await stage.text() == "TWO\nthree\n"
        await stage.press("Copy")
        await stage.sees("is selected", "#said")  # a frame may not write to the clipboard
        stage.processes[0].write(b"no\nat last\n")
        await stage.sees("TWO\nthree\nat last\n")


async def test_long_output_begins_with_its_end_and_is_read_from_the_start_when_asked(browser: Browser) -> None:
    lines = [f"line {number}\n" for number in range(12_000)]

    def script(process: FakeProcess) -> None:
        process.write("".join(lines).encode())

    async with staged(browser, "long", core=FakeCore(script=script)) as stage:
        await stage.sees("line 11999")
        assert "line 0\n" not in await stage.text()
        await stage.press("From start")
        await stage.sees("line 0\n")
        await stage.sees("line 11999")
        assert await stage.text() == "".join(lines)


async def test_it_asks_less_and_less_often_while_it_is_refused(browser: Browser) -> None:
    refused = list[str]()

    def before(tool: str) -> None:
        if refused:
            raise MCPError(-32603, refused[0])

    async with staged(browser, "x", before=before) as stage:
        await stage.sees("connected", "#link")
        refused.append("the host is busy")
        await stage.sees("the host is busy", "#problem")
        await stage.sees("asking again in 4 s", "#link")
        refused.clear()
        await stage.sees("connected", "#link")
        assert await stage.text("#problem") == ""


async def test_it_asks_seldom_while_nobody_sees_it(browser: Browser) -> None:
    async with staged(browser, "x") as stage:
        page = stage.host.page
        await stage.sees("connected", "#link")
        await page.evaluate("frame.style.marginTop = '5000px'")  # scrolled out of the conversation
        looks = -1
        while looks != stage.looks:  # what was on its way
            looks = stage.looks
            await stage.pass_time(2_000)
        await stage.pass_time(5_000)  # not more: the time of this machine passes, too
        assert stage.looks == looks
        while stage.looks == looks:
            await stage.pass_time(2_000)
        await page.evaluate("frame.style.marginTop = ''")
        stage.processes[0].write(b"seen at once\n")
        await stage.sees("seen at once")


async def test_it_stops_when_the_host_takes_it_down(browser: Browser) -> None:
    async with staged(browser, "x") as stage:
        await stage.sees("connected", "#link")
        await stage.host.tell("ui/resource-teardown", {}, id=99)
        await stage.host.tell("no/such-method", {}, id=100)
        with anyio.fail_after(30):
            while not {99, 100} <= {one.get("id") for one in stage.host.heard if "method" not in one}:
                await stage.host.page.evaluate("0")
        answers = {one["id"]: one for one in stage.host.heard if "method" not in one}
        assert answers[99]["result"] == {}
        assert answers[100]["error"]["code"] == -32601


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_the_pictures_of_the_documents_are_taken(browser: Browser, theme: str) -> None:
    output = {
        "npm run dev": "> shop@1.4.0 dev\n> vite --host\n\n  VITE v7.2.4  ready in 412 ms\n\n"
        "  ->  Local:   http://localhost:5173/\n  ->  Network: http://172.19.0.2:5173/\n\n"
        "09:41:07 [vite] page reload src/cart.ts\n09:41:22 [vite] hmr update /src/App.tsx\n",
        "pytest -q": "....................F.....                      [100%]\n"
        "FAILED tests/test_cart.py::test_an_empty_cart_costs_nothing\n1 failed, 25 passed in 2.31s\n",
        "psql shop": "shop=# ",
    }

    def script(process: FakeProcess) -> None:
        process.write(output[process.info.command].encode())
        if process.info.command == "pytest -q":
            process.end(1)

    core = FakeCore(script=script)
    reasons = ("Dockerfile changed", "feature ghcr.io/devcontainers/features/node: 1.6.1 -> 1.7.0")
    core.devcontainers.there["shop"] = replace(
        DEV,
        key=Key(folder="/src/shop", config="/src/shop/.devcontainer/devcontainer.json"),
        name="shop",
        path="/workspaces/shop",
        verdict=Verdict(freshness=Freshness.DIRTY, reasons=reasons),
    )
    async with staged(browser, *output, core=core, theme=theme, width=860, height=540) as stage:
        await stage.sees("hmr update")
        if theme == "dark":
            await stage.host.frame.get_by_role("tab", name="Workspaces").click()
            await stage.sees("Dockerfile changed", "#places")
        await shot(stage.host.page, f"app-{theme}")
