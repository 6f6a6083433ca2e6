"""Files beside the state that are damaged: each is an error that names the file and what to do, and stays as it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from ws_mcp.core.errors import PolicyError, StateError, WsError
from ws_mcp.core.policy.file import read_policy
from ws_mcp.core.workspaces.local_record import FILE, read_record
from ws_mcp.edge.token_file import TokenFile, new_token
from ws_mcp.over_http import first_token

DAMAGES = {
    "empty": b"",
    "cut": b'{"principal": "me", "cha',
    "binary": b"\x00\xff\xfe\x80" * 100,
    "zeros": bytes(512),
    "half a character": '{"principal": "é'.encode()[:-1],
    "deep": b"[" * 200_000,
    "other": b'[1, 2, "three"]\n',
}
damages = pytest.mark.parametrize("content", DAMAGES.values(), ids=DAMAGES.keys())


def put(path: Path, content: bytes) -> Path:
    path.touch(mode=0o600)
    path.write_bytes(content)
    return path


def check_said(error: WsError, *words: str) -> None:
    assert "\n" not in str(error)
    for word in words:
        assert word in str(error), str(error)


@damages
def test_a_record_of_a_local_workspace(content: bytes, tmp_path: Path) -> None:
    file = put(tmp_path / FILE, content)
    with pytest.raises(StateError) as caught:
        read_record(file)
    check_said(caught.value, "local workspace", "damaged", "by hand")
    assert file.read_bytes() == content


@damages
def test_a_tokens_file(content: bytes, tmp_path: Path) -> None:
    file = put(tmp_path / "tokens", content)
    if content:
        with pytest.raises(StateError) as caught:
            TokenFile(file).records()
        check_said(caught.value, "tokens file")
        with pytest.raises(StateError):
            first_token(TokenFile(file), tmp_path / "own")
    else:
        assert TokenFile(file).records() == ()
    assert TokenFile(file).principal_of(new_token()) is None
    assert file.read_bytes() == content


@damages
def test_the_token_that_a_server_made_for_itself(content: bytes, tmp_path: Path) -> None:
    own = put(tmp_path / "own", content)
    file = TokenFile(tmp_path / "tokens")
    assert first_token(file, own) == str(own)
    assert file.principal_of(own.read_text().strip()) is not None


@damages
def test_a_policy_file(content: bytes, tmp_path: Path) -> None:
    file = put(tmp_path / "policy.toml", content)
    if content:
        with pytest.raises(PolicyError) as caught:
            read_policy(file)
        check_said(caught.value, "policy.toml")
    assert file.read_bytes() == content


@pytest.mark.parametrize("name", ["tokens", "policy.toml", FILE])
def test_a_directory_in_place_of_a_file(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.mkdir(mode=0o700)
    reads = {"tokens": lambda: TokenFile(path).records(), "policy.toml": lambda: read_policy(path)}
    with pytest.raises(WsError) as caught:
        reads.get(name, lambda: read_record(path))()
    check_said(caught.value)
