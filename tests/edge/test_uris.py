"""Addresses of resources, both ways."""

from __future__ import annotations

import pytest

from ws_mcp.edge.uris import Address, address_of, processes_uri


@pytest.mark.parametrize(
    ("uri", "address"),
    [
        ("ws://containers", Address(topic="containers")),
        ("ws://chats/c_1/containers", Address(topic="containers", chat="c_1")),
        ("ws://chats/c_1/processes", Address(topic="processes", chat="c_1")),
        ("ws://chats/c%2F1/processes", Address(topic="processes", chat="c/1")),
        ("ws://chats/c_1/processes/p_1/output", Address(topic="output", chat="c_1", process="p_1")),
        ("ws://chats/c_1/processes/p_1/output?offset=5", None),
        ("ws://chats/c_1/processes/p_1", Address(topic="processes", chat="c_1")),
        ("ws://chats/c_1/containers/main", Address(topic="containers", chat="c_1")),
        ("ws://devcontainers", Address(topic="devcontainers")),
        ("ws://devcontainers/app", Address(topic="devcontainers")),
        ("ws://devcontainers/app/log", Address(topic="logs")),
        ("ws://devcontainers/app/log/x", None),
        ("ws://chats/c_1/containers/main/x", None),
        ("ws://chats/c_1/processes/p_1/other", None),
        ("ws://chats//processes", None),
        ("ws://chats/c_1", None),
        ("ws://containers/", None),
        ("file:///etc/passwd", None),
        ("", None),
    ],
)
def test_an_address_names_what_can_be_watched(uri: str, address: Address | None) -> None:
    assert address_of(uri) == address


def test_the_process_list_of_a_chat_has_an_address() -> None:
    assert address_of(processes_uri("c/1 é")) == Address(topic="processes", chat="c/1 é")
