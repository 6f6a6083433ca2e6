"""T32: whose tokens are good is the policy file's word, where it says so; flags only repeat it or fill it in."""

from __future__ import annotations

import re
import signal
import subprocess
from pathlib import Path

import pytest
from support.http_ground import ask, record_for, token_for, write_tokens
from support.issuer import ISSUER, RESOURCE, Issuer
from support.peers import project_of, server_environment
from support.policies import written
from support.raw_client import RawClient
from support.said_server import argv_of, serving

from ws_mcp.cli import run
from ws_mcp.core.errors import PolicyError
from ws_mcp.core.policy.file import read_policy

GRANT = '[[grant]]\nprincipal = "*"\ntools = ["*"]\n'


@pytest.fixture(scope="module")
def issuer() -> Issuer:
    return Issuer()


def policy(directory: Path, *lines: str) -> Path:
    return written(directory / "policy.toml", "\n".join(("[auth]", *lines, GRANT)))


def refusal(tmp_path: Path, *flags: str) -> str:
    """What a server says that does not start."""
    done = subprocess.run(
        argv_of(tmp_path, *flags),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=server_environment(),
        cwd=project_of(tmp_path / "s"),
    )
    assert done.returncode == 1
    assert not (tmp_path / "s").exists()
    assert len(done.stderr.splitlines()) == 1
    return done.stderr


def test_the_tokens_of_the_policys_file_count_and_no_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = policy(tmp_path, f'tokens_file = "{tmp_path / "mine"}"')
    (tmp_path / "s").mkdir(mode=0o700)
    write_tokens(tmp_path / "s" / "tokens", record_for("mallory"))
    state = ("--state", str(tmp_path / "s"))
    assert run(["token", "create", "alice", "--policy", str(file), *state]) == 0
    token = capsys.readouterr().out.splitlines()[0]
    assert run(["token", "list", "--policy", str(file), *state]) == 0
    assert capsys.readouterr().out.startswith("alice: ")
    with serving(tmp_path, "--policy", str(file)) as child:
        url = child.line(r"http://\S+")
        assert ask(url, token=token).status == 200
        for other in ("", token_for("mallory"), token[:-1]):
            assert ask(url, token=other).status == 401
        assert ask(url, token=token).status == 200


def test_the_issuer_of_the_policy_counts_and_flags_fill_in_what_it_leaves_out(issuer: Issuer, tmp_path: Path) -> None:
    keys = issuer.file(tmp_path)
    file = policy(tmp_path, f'issuer = "{ISSUER}"', f'jwks = "{keys}"', 'principal = "subject"')
    flags = ("--policy", str(file), "--oauth-issuer", ISSUER, "--oauth-resource", RESOURCE)
    with serving(tmp_path, *flags) as child:
        url = child.line(r"http://\S+")
        assert ask(url, token=issuer.token()).status == 200
        assert ask(url, token=issuer.token(sub="local:0")).status == 401  # by subject no user of the machine
        for forged in (issuer.token(aud="https://other.example"), issuer.token(key=issuer.unknown)):
            assert ask(url, token=forged).status == 401
        assert ask(url).status == 401


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (
            ("--oauth-issuer", "https://evil.example"),
            "--oauth-issuer (a flag or a variable) says 'https://evil.example'",
        ),
        (("--oauth-audience", "x"), "--oauth-audience (a flag or a variable) says 'x', and audience under [auth]"),
        (("--oauth-principal", "subject"), "and principal under [auth] in the policy file says 'hash'"),
        (("--tokens", "elsewhere"), "--tokens (a flag or a variable) says"),
        (("--oauth-jwks", "/etc/keys"), "missing: resource"),
    ],
)
def test_a_server_does_not_start_on_a_contradiction_or_on_half_of_it(
    tmp_path: Path, flags: tuple[str, ...], said: str
) -> None:
    lines = (f'issuer = "{ISSUER}"', 'audience = "a"', 'principal = "hash"', 'tokens_file = "/etc/ws-mcp-tokens"')
    assert said in refusal(tmp_path, "--policy", str(policy(tmp_path, *lines)), *flags)


@pytest.mark.parametrize("key", ["tokens_file", "jwks"])
def test_what_says_whose_tokens_are_good_is_not_kept_where_workspaces_could_write_it(tmp_path: Path, key: str) -> None:
    place = tmp_path / "given"
    place.mkdir()
    (tmp_path / "link").symlink_to(place)
    for root, name in (
        (place, place / "file"),
        (place, tmp_path / "link" / "file"),
        (tmp_path / "link", place / "file"),
    ):
        file = policy(tmp_path, f'{key} = "{name}"')
        with pytest.raises(PolicyError, match=rf"names {key} .* is below .*, which workspaces may be given"):
            read_policy(file, [root])
    assert read_policy(policy(tmp_path, f'{key} = "{tmp_path / "file"}"'), [place])


def test_what_a_reload_cannot_change_is_named_and_stays(tmp_path: Path) -> None:
    mine, others = (write_tokens(tmp_path / name, record_for(name)) for name in ("alice", "mallory"))
    file = policy(tmp_path, f'tokens_file = "{mine}"')
    with serving(tmp_path, "--policy", str(file)) as child:
        url = child.line(r"http://\S+")
        policy(tmp_path, f'tokens_file = "{others}"', f'issuer = "{ISSUER}"')
        child.process.send_signal(signal.SIGHUP)
        said = (
            "counts from now on, but for tokens_file, issuer under [auth]: a change of that counts from the next start"
        )
        child.line(re.escape(said))
        assert ask(url, token=token_for("alice")).status == 200
        assert ask(url, token=token_for("mallory")).status == 401
        policy(tmp_path, f'tokens_file = "{mine}"')
        child.process.send_signal(signal.SIGHUP)
        child.line(r"counts from now on$")
        policy(tmp_path, f'token_file = "{others}"')
        child.process.send_signal(signal.SIGHUP)
        child.line(r"the policy stays as it was: .*line 2 \(auth.token_file\): there is no such key")


def test_on_stdio_the_log_says_that_nobody_is_asked_for_a_token(tmp_path: Path) -> None:
    file = policy(tmp_path, 'tokens_file = "/etc/ws-mcp-tokens"')
    with serving(tmp_path, "--policy", str(file), transport="stdio") as child:
        child.line(r"\[auth\] of the policy is about HTTP and counts for nothing here")
        RawClient(child.process).connect()  # from here on it takes signals
        policy(tmp_path, 'principal = "hash"')
        child.process.send_signal(signal.SIGHUP)
        child.line(r"counts from now on, but for tokens_file, principal under \[auth\]: that is about HTTP")


def test_at_a_unix_socket_the_log_says_so_too(tmp_path: Path) -> None:
    file = policy(tmp_path, 'tokens_file = "/etc/ws-mcp-tokens"')
    with serving(tmp_path, "--policy", str(file), "--unix", str(tmp_path / "u")) as child:
        child.line("tokens count for nothing at a unix socket")


def test_metrics_are_told_to_who_has_a_token_of_either_kind(issuer: Issuer, tmp_path: Path) -> None:
    tokens, keys = write_tokens(tmp_path / "mine", record_for("alice")), issuer.file(tmp_path)
    lines = (f'tokens_file = "{tokens}"', f'issuer = "{ISSUER}"', f'jwks = "{keys}"', f'resource = "{RESOURCE}"')
    flags = ("--policy", str(policy(tmp_path, *lines)), "--metrics", "127.0.0.1:0")
    with serving(tmp_path, *flags) as child:
        where = child.line(r"(?<=tells of itself at )http://\S+")
        for path in ("/metrics", "/livez", "/readyz"):
            for token in (token_for("alice"), issuer.token(scope="ws:read")):
                assert ask(f"{where}{path}", b"", method="GET", token=token).status == 200
            for bad in (
                "",
                token_for("mallory"),
                issuer.token(scope="openid"),
                issuer.token(aud="https://other.example"),
                issuer.token(key=issuer.unknown),
                "x" * 20_000,
            ):
                assert ask(f"{where}{path}", b"", method="GET", token=bad).status == 401
        write_tokens(tokens)
        assert ask(f"{where}/livez", b"", method="GET", token=token_for("alice")).status == 401
