"""The page in a real Chromium, on a real HTTP server: signing in, live output, signals, input, by mouse and by keys."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import anyio
import pytest
from support.browser import open_tab, press_again, shot
from support.conformance import open_way
from support.edge_client import ok
from support.server_process import HttpServer, open_http

from ws_mcp.core.host import sandbox

if TYPE_CHECKING:
    from mcp import Client
    from playwright.async_api import Browser, Page, Route

pytestmark = [
    pytest.mark.usefixtures("browser"),
    pytest.mark.skipif(not sandbox.has_bubblewrap(), reason="bubblewrap is not installed"),
]
# A bash that is interrupted between two commands of a loop takes it for the command's and goes on: hence the trap.
TICKER = "trap 'trap - INT; kill -INT $$' INT; i=0; while :; do i=$((i+1)); echo tick $i; sleep 0.2; done"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """A server with a workspace and two processes in a chat."""

    server: HttpServer
    chat: str

    @property
    def url(self) -> str:
        """Where the page is."""
        return self.server.url.removesuffix("mcp")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Generator[HttpServer]:
    with open_http(tmp_path_factory.mktemp("app") / "state", "--engine", "none") as made:
        yield made


@pytest.fixture
async def ground(server: HttpServer) -> AsyncGenerator[Ground]:
    """A chat of its own for each test."""
    with anyio.fail_after(60):
        async with server.client() as client:
            chat = str((await ok(client, "provision_workspace", kind="local", chat="new"))["chat"])
            await start(client, chat, TICKER)
            await start(client, chat, "cat", keep_stdin=True)
            yield Ground(server=server, chat=chat)
            await ok(client, "remove_workspace", chat=chat, name="*", keep_data=False)


async def start(client: Client, chat: str, command: str, **more: object) -> None:
    await ok(client, "start_process", command=command, chat=chat, wait_s=0, **more)


@asynccontextmanager
async def signed_in(browser: Browser, ground: Ground, **more: Any) -> AsyncGenerator[Page]:
    async with open_tab(browser, **more) as page:
        await page.goto(ground.url)
        await page.get_by_label("Token").fill(ground.server.token)
        await page.get_by_label("Chat").fill(ground.chat)
        await page.get_by_role("button", name="Show").click()
        yield page


async def seen(page: Page, words: str, where: str = "#output") -> None:
    """Wait until words are in a part of the page."""
    await page.locator(where).filter(has_text=re.compile(words)).wait_for()


async def said(page: Page, where: str) -> str:
    return cast("str", await page.locator(where).text_content())


async def test_a_person_signs_in_sees_live_output_and_interrupts(browser: Browser, ground: Ground) -> None:
    async with signed_in(browser, ground, color_scheme="light") as page:
        await page.get_by_role("option").filter(has_text="tick").click()
        await seen(page, "tick 3\n")
        assert re.fullmatch(r"(tick \d+\n)+", await said(page, "#output"))
        await seen(page, "connected", "#link")
        await shot(page, "light")
        await page.get_by_role("button", name="Interrupt").click()
        await seen(page, "killed by INT", "#window")
        await page.get_by_role("option", selected=True).filter(has_text="ended").wait_for()
        assert await page.get_by_role("button", name="Interrupt").is_disabled()
        output = await said(page, "#output")
        ticks = [int(tick) for tick in re.findall(r"tick (\d+)", output)]
        assert ticks == list(range(1, len(ticks) + 1))
        assert "ws-mcp" in await page.title()
        assert ground.server.token not in page.url


async def test_input_reaches_a_process_and_kill_needs_a_second_press(browser: Browser, ground: Ground) -> None:
    async with signed_in(browser, ground, color_scheme="dark") as page:
        await page.get_by_role("option").filter(has_text="cat").click()
        await page.get_by_label("Input for the process").fill("hello <b>you</b>")
        await page.get_by_role("button", name="Send").click()
        await seen(page, "hello <b>you</b>\n")
        await shot(page, "dark")
        button = page.get_by_role("button", name="Kill")
        await button.click()
        await press_again(button, page.get_by_role("button", name="Press again to kill"))
        await seen(page, "killed by KILL", "#window")
        assert await page.get_by_label("Input for the process").is_hidden()


async def test_everything_can_be_done_with_keys_alone(browser: Browser, ground: Ground) -> None:
    async with open_tab(browser) as page:
        await page.goto(ground.url)
        keys = page.keyboard
        await page.locator("#token:focus").wait_for()  # not before the server was asked whether it wants one
        await keys.type(ground.server.token)
        for _ in range(2):
            await keys.press("Tab")
        await keys.type(ground.chat)
        await keys.press("Enter")
        await seen(page, r"tick|cat", "#list")
        await page.locator("#tab-processes").focus()
        await keys.press("ArrowRight")
        await seen(page, "local, sandbox bubblewrap", "#places")
        await keys.press("ArrowLeft")
        for _ in range(3):  # sign out, the filter, the list
            await keys.press("Tab")
        assert await focused(page) == "list"
        await keys.press("End")
        await keys.press("Home")
        first = await chosen(page)
        await keys.press("ArrowDown")
        assert await chosen(page) != first
        await page.get_by_role("option", selected=True).wait_for()
        while "cat" not in await chosen(page):
            await keys.press("ArrowUp")
        await keys.press("i")
        assert await focused(page) == "text"
        await keys.type("one")
        await keys.press("Enter")
        await keys.type("two")
        await keys.press("Enter")
        await seen(page, "one\ntwo\n")
        await page.locator("#list").focus()
        await keys.press("Enter")
        assert await focused(page) == "output"
        await keys.press("/")
        assert await focused(page) == "grep"
        await keys.type("TW")
        assert await said(page, "#output") == "two\n"
        await keys.press("Escape")
        assert await said(page, "#output") == "one\ntwo\n"
        await page.locator("#kill").focus()
        await keys.press("Enter")
        await keys.press("Enter")
        await seen(page, "killed by KILL", "#window")


async def focused(page: Page) -> str:
    return cast("str", await page.evaluate("document.activeElement.id"))


async def chosen(page: Page) -> str:
    return await said(page, "[role=option][aria-selected=true]")


async def test_a_wrong_token_gets_a_clear_line_and_nothing_else(browser: Browser, ground: Ground) -> None:
    async with open_tab(browser) as page:
        await page.goto(ground.url)
        await page.get_by_label("Token").fill("wsmcp_" + "x" * 43)
        await page.get_by_label("keep it").check()
        await page.get_by_role("button", name="Show").click()
        await seen(page, "This token is not good here", "#problem")
        assert await page.locator("#processes").is_hidden()
        assert await page.get_by_label("Token").input_value() == ""
        assert await page.evaluate("sessionStorage.length") == 0


async def test_a_token_is_kept_over_a_reload_only_if_that_was_asked_for(browser: Browser, ground: Ground) -> None:
    async with signed_in(browser, ground) as page:
        await seen(page, "tick", "#list")
        await page.reload()
        await page.get_by_label("Token").fill(ground.server.token)
        assert await page.evaluate("sessionStorage.length + localStorage.length + document.cookie.length") == 0
        await page.get_by_label("Chat").fill(ground.chat)
        await page.get_by_label("keep it").check()
        await page.get_by_role("button", name="Show").click()
        await seen(page, "tick", "#list")
        await page.reload()
        await seen(page, "tick", "#list")
        await page.get_by_role("button", name="Sign out").click()
        await page.get_by_label("Token").wait_for()
        assert await page.evaluate("sessionStorage.length") == 0
        assert await said(page, "#list") == ""


async def test_an_answer_that_comes_after_signing_out_is_dropped(browser: Browser, ground: Ground) -> None:
    asked, may_go = anyio.Event(), anyio.Event()

    async def hold(route: Route) -> None:
        asked.set()
        await may_go.wait()
        await route.continue_()

    async with signed_in(browser, ground) as page:
        await seen(page, "tick", "#list")
        await page.route("**/mcp", hold)
        await asked.wait()
        await page.get_by_role("button", name="Sign out").click()
        await page.get_by_label("Chat").fill("another")
        async with page.expect_event("requestfinished"):
            may_go.set()
        await page.get_by_label("Token").wait_for()
        assert await said(page, "#list") == await said(page, "#problem") == ""
        assert await page.get_by_label("Chat").input_value() == "another"


async def test_without_a_chat_it_says_which_there_are_and_goes_on_with_a_handle(
    browser: Browser, ground: Ground
) -> None:
    async with open_tab(browser) as page:
        await page.goto(ground.url)
        await page.get_by_label("Token").fill(ground.server.token)
        await page.get_by_role("button", name="Show").click()
        await seen(page, "does not say which chat it belongs to", "#problem")
        await page.get_by_role("heading", name="Your chats").wait_for()
        assert ground.chat not in await page.content()
        await page.get_by_label("Chat").fill(ground.chat)
        await page.get_by_role("button", name="Show").click()  # the token is still known
        await seen(page, "tick", "#list")


async def test_it_says_that_it_is_not_connected_and_comes_back_by_itself(browser: Browser, ground: Ground) -> None:
    async with signed_in(browser, ground) as page:
        await seen(page, "connected", "#link")
        await page.context.set_offline(True)
        await seen(page, "not connected, trying again in", "#link")
        await page.context.set_offline(False)
        await page.locator("#link[data-state=on]").filter(has_text="connected").wait_for()


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_it_fits_a_narrow_screen(browser: Browser, ground: Ground, scheme: str) -> None:
    async with signed_in(browser, ground, width=320, height=700, color_scheme=scheme) as page:
        await seen(page, "tick", "#list")
        await shot(page, f"narrow-{scheme}")
        for view in ("Processes", "Workspaces"):
            await page.get_by_role("tab", name=view).click()
            assert await page.evaluate("document.documentElement.scrollWidth") <= 320


async def test_at_a_unix_socket_no_token_is_asked_for(browser: Browser, tmp_path: Path) -> None:
    async with open_way(tmp_path) as url, open_tab(browser) as page:
        await page.goto(url.removesuffix("mcp"))
        await seen(page, "No token is needed here", "#signin")
        assert await page.get_by_label("Token").is_hidden()
