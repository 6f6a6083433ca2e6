"""How a policy is written: what it means, and where a mistake is said to be."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis.strategies import text

from ws_mcp.core.errors import PolicyError
from ws_mcp.core.policy.auth import Auth
from ws_mcp.core.policy.model import Grant, Policy
from ws_mcp.core.policy.written import policy_of
from ws_mcp.core.workspaces.model import Sizes
from ws_mcp.core.workspaces.mounts import Access

WHOLE = """
read_only = true

[auth]
tokens_file = "/etc/tokens"
issuer = "https://id.example"
jwks = "/etc/keys.json"
resource = "https://ws.example/mcp"
audience = "ws"
principal = "subject"

[privileged]
max_tier = 3
over_http = true

[[grant]]
principal = "alice"
tools = ["*"]
max_tier = 3
images = ["debian:1*"]
pull = true
roots = ["/srv/a"]
access = "read_write"
templates = ["py"]
homes = ["me"]
runtimes = ["go"]
local = true
devcontainers = true
workspaces = 2
largest = { cpus = 1.5, pids = 100 }
"""


def test_every_key_has_a_meaning() -> None:
    grant = Grant(
        principal="alice",
        tools=("*",),
        max_tier=3,
        images=("debian:1*",),
        may_pull=True,
        roots=(Path("/srv/a"),),
        access=Access.READ_WRITE,
        templates=("py",),
        homes=("me",),
        runtimes=("go",),
        has_local=True,
        has_devcontainers=True,
        workspaces=2,
        largest=Sizes(cpus=1.5, pids=100),
    )
    auth = Auth(
        tokens_file="/etc/tokens",
        issuer="https://id.example",
        jwks="/etc/keys.json",
        resource="https://ws.example/mcp",
        audience="ws",
        principal="subject",
    )
    whole = Policy(grants=(grant,), is_read_only=True, max_tier=3, has_privileged_http=True, auth=auth)
    assert policy_of(WHOLE, "f") == whole


def test_an_empty_file_grants_nothing() -> None:
    assert policy_of("", "f") == Policy()


def test_a_grant_that_says_little_grants_little() -> None:
    policy = policy_of('[[grant]]\nprincipal = "a"\ntools = []', "f")
    assert policy.grants == (Grant(principal="a"),)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("read_only = 1", r"f, line 1 \(read_only\): Input should be a valid boolean"),
        ("raed_only = true", r"f, line 1 \(raed_only\): there is no such key"),
        ("x = =\n", r"f is no TOML: .*line 1"),
        ("a = 1\na = 2\nb = 3", r"f is no TOML: Cannot overwrite a value \(at line 2"),
        ("[privileged]\nmax_tier = 5", r"line 2 \(privileged.max_tier\): Input should be less than or equal to 4"),
        ("privileged.max_tier = 1", r"line 1 \(privileged.max_tier\): Input should be greater"),
        ('[auth]\ntoken_file = "/t"', r"line 2 \(auth.token_file\): there is no such key"),
        ('[auth]\ntokens_file = "t"', r"line 2 \(auth.tokens_file\): is no absolute path"),
        ('[auth]\ntokens_file = ""', r"line 2 \(auth.tokens_file\): String should have at least 1"),
        ('[auth]\nissuer = "http://id.example"', r"line 2 \(auth.issuer\): is no https address"),
        ('auth.jwks = "http://id.example/keys"', r"line 1 \(auth.jwks\): is neither an https address"),
        ('auth.jwks = "keys.json"', r"line 1 \(auth.jwks\): is no absolute path"),
        ('[auth]\n\nprincipal = "name"', r"line 3 \(auth.principal\): Input should be 'hash' or 'subject'"),
        ("[audti]", r"line 1 \(audti\): there is no such key"),
        ("[[grant]]\ntools = []", r"line 1 \(grant.1.principal\): is missing"),
        ('[[grant]]\nprincipal = "a"', r"line 1 \(grant.1.tools\): is missing"),
        (
            '[[grant]]\nprincipal="a"\ntools=[]\n\n[[grant]]\nprincipal="b"\ntools=[]\nimages=["a b"]',
            r"line 8 \(grant.2.images.1\): is no pattern of images",
        ),
        ('[[grant]]\nprincipal="a"\ntools=[]\n[grant.largest]\nmemory=1', r"line 5 \(grant.1.largest.memory\)"),
        ('[[grant]]\nprincipal="a"\ntools=[]\nroots=["srv"]', r"line 4 \(grant.1.roots.1\): is no absolute path"),
        ('[[grant]]\nprincipal="a"\ntools=[]\nroots=["/a/../b"]', r"is no absolute path without '\.\.'"),
        ('[[grant]]\nprincipal="a"\ntools="*"', r"line 3 \(grant.1.tools\): Input should be a valid list"),
        ('[[grant]]\nprincipal="a"\ntools=[]\naccess="all"', r"line 4 \(grant.1.access\)"),
        ('[[grant]]\nprincipal="a b"\ntools=[]', r"line 2 \(grant.1.principal\)"),
        (
            '[[grant]]\nprincipal="a"\ntools=[]\n[[grant]]\nprincipal="a"\ntools=[]',
            r"line 5 \(grant.2.principal\): 'a' has a grant already",
        ),
    ],
)
def test_a_mistake_is_named_with_its_line_and_key(wrong: str, said: str) -> None:
    with pytest.raises(PolicyError, match=said) as raised:
        policy_of(wrong, "f")
    assert len(str(raised.value).splitlines()) == 1


def test_all_mistakes_are_told_and_a_server_says_the_first() -> None:
    with pytest.raises(PolicyError, match=r"\(and 1 more; ws-mcp policy check shows all\)") as raised:
        policy_of("a = 1\nb = 2", "f")
    assert [re.findall(r"line (\d)", problem) for problem in raised.value.problems] == [["1"], ["2"]]


@given(noise=text(max_size=200))
def test_whatever_a_file_holds_is_a_policy_or_a_mistake(noise: str) -> None:
    with suppress(PolicyError):
        assert policy_of(WHOLE + noise, "f").grants
