"""A host that shows the page in a frame, as small as one can be: it hands calls and reads on to a client of ours.

The frame is as narrow as those of real hosts: an origin of its own, and a policy that lets nothing be loaded.
Source: the specification of MCP Apps of 2026-01-26 (sandboxed frame, default policy, messages).
"""

from __future__ import annotations

import html
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mcp import Client, MCPError

from support.browser import open_tab
from support.edge_client import resource
from ws_mcp.edge.page import URI

if TYPE_CHECKING:
    from playwright.async_api import Browser, FrameLocator, Page

POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'"
HOST = """<!doctype html><title>host</title><style>body{margin:0}iframe{border:0;width:100%;height:600px}</style>
<iframe sandbox="allow-scripts" srcdoc="PAGE"></iframe>
<script>
const frame = document.querySelector("iframe");
const send = message => frame.contentWindow.postMessage({jsonrpc: "2.0", ...message}, "*");
const answers = {
  "ui/initialize": async () => ({protocolVersion: "2026-01-26", hostInfo: {name: "stub", version: "0"},
    hostCapabilities: {serverTools: {}}, hostContext: {theme: "THEME"}}),
  "tools/call": params => callTool(params),
  "resources/read": params => readResource(params),
  "ui/open-link": async () => ({}),
};
addEventListener("message", async event => {
  const message = event.data;
  if (event.source !== frame.contentWindow) return;
  heard(message);
  if (message.method === "ui/notifications/size-changed") frame.style.height = `${message.params.height}px`;
  if (message.id === undefined || !answers[message.method]) return;
  try {
    const result = await answers[message.method](message.params);
    send(result.error ? {id: message.id, error: result.error} : {id: message.id, result});
  } catch (error) {
    send({id: message.id, error: {code: -32603, message: String(error)}});
  }
});
</script>"""


@dataclass(kw_only=True)
class AppHost:
    """The host's page, the frame in it, and all that the frame said."""

    page: Page
    frame: FrameLocator
    heard: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    def calls(self, tool: str) -> list[dict[str, Any]]:
        """The arguments of all calls of a tool."""
        said = [one["params"] for one in self.heard if one.get("method") == "tools/call"]
        return [one["arguments"] for one in said if one["name"] == tool]

    async def tell(self, method: str, params: object, **more: object) -> None:
        """Say something to the frame."""
        await self.page.evaluate("message => send(message)", {"method": method, "params": params, **more})


@asynccontextmanager
async def open_app(
    browser: Browser,
    client: Client,
    *,
    theme: str = "light",
    before: Callable[[str], None] = lambda _: None,
    **more: Any,
) -> AsyncGenerator[AppHost]:
    """The page, on the server of `client`. `before` is told each tool that is called, and may refuse."""

    async def call_tool(params: dict[str, Any]) -> dict[str, Any]:
        try:
            before(params["name"])
            result = await client.call_tool(params["name"], params.get("arguments") or {})
        except MCPError as error:
            return {"error": {"code": error.code, "message": error.message}}
        return result.model_dump(mode="json", by_alias=True, exclude_none=True)

    async def read_resource(params: dict[str, Any]) -> dict[str, Any]:
        try:
            result = await client.read_resource(params["uri"])
        except MCPError as error:
            return {"error": {"code": error.code, "message": error.message}}
        return result.model_dump(mode="json", by_alias=True, exclude_none=True)

    text = await resource(client, URI)
    text = text.replace("<head>", f'<head><meta http-equiv="Content-Security-Policy" content="{POLICY}">', 1)
    async with open_tab(browser, **more) as page:
        host = AppHost(page=page, frame=page.frame_locator("iframe"))

        def hear(message: dict[str, Any]) -> None:
            host.heard.append(message)

        await page.clock.install()
        await page.expose_function("callTool", call_tool)
        await page.expose_function("readResource", read_resource)
        await page.expose_function("heard", hear)
        await page.set_content(HOST.replace("THEME", theme).replace("PAGE", html.escape(text)))
        yield host
