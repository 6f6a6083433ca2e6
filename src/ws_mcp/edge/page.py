"""The page that shows a chat to a person: one file, for the frames of hosts (MCP Apps) and, over HTTP, for browsers."""

from __future__ import annotations

from functools import cache
from pathlib import Path

URI = "ui://ws/chat.html"
SHOWN = {"ui": {"resourceUri": URI}}  # of a tool whose answers the page shows


@cache
def page() -> str:
    """Its text. There is no data in it: all that it shows it asks for, with the rights of who looks."""
    return (Path(__file__).parents[1] / "app" / "page.html").read_text("utf-8")
