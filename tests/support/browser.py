"""Chromium as the machine has it, driven by Playwright: no browser is downloaded."""

from __future__ import annotations

import shutil
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # most tests need none, and it takes a while to be loaded
    from playwright.async_api import Browser, ConsoleMessage, Error, Locator, Page

CHROMIUM = shutil.which("chromium")
PATIENCE_MS = 20_000
AGAIN_MS = 3_000  # the page takes a second press for four seconds
PRESSES = 5
SHOTS = Path(__file__).parents[2] / "build" / "screenshots"  # kept by CI, and looked through for docs
UNASKED = "the server responded with a status of 401"  # the page asks once without a token whether it needs one


def browser_missing() -> str:
    """Why its tests cannot run here; "" when they can."""
    if CHROMIUM is None:
        return "there is no chromium: install it (Debian: apt-get install chromium)"
    return "" if find_spec("playwright") else "playwright is not installed: make setup"


@asynccontextmanager
async def open_browser() -> AsyncGenerator[Browser]:
    """A Chromium that ends with the block."""
    from playwright.async_api import async_playwright  # noqa: PLC0415 - only where it is used

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--disable-dev-shm-usage"])
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def open_tab(browser: Browser, *, width: int = 1000, height: int = 640, **more: Any) -> AsyncGenerator[Page]:
    """A tab of its own profile, in which no script may fail and nothing may be refused by its policy of content.

    A network that fails is no such thing: tests make it fail.
    """
    context = await browser.new_context(viewport={"width": width, "height": height}, **more)
    context.set_default_timeout(PATIENCE_MS)
    problems: list[str] = []
    try:
        page = await context.new_page()
        page.on("pageerror", _noted_error(problems))
        page.on("console", _noted(problems))
        yield page
        assert problems == []
    finally:
        await context.close()


def _noted(problems: list[str]) -> Callable[[ConsoleMessage], None]:
    def note(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and UNASKED not in message.text and "net::ERR_" not in message.text:
            problems.append(message.text)

    return note


def _noted_error(problems: list[str]) -> Callable[[Error], None]:
    return lambda error: problems.append(error.message)


async def press_again(button: Locator, again: Locator) -> None:
    """The second press of a button that is `again` for a while after the first; a loaded machine may need more."""
    from playwright.async_api import TimeoutError as TooLateError  # noqa: PLC0415 - only where it is used

    for _ in range(PRESSES):
        try:
            await again.click(timeout=AGAIN_MS)
        except TooLateError:
            await button.click()
        else:
            return
    raise AssertionError(f"the second press came too late {PRESSES} times")


async def shot(page: Page, name: str) -> None:
    """Keep a picture of what is seen."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    await page.screenshot(path=SHOTS / f"{name}.png")
