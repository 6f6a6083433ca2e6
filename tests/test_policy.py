"""`ws-mcp policy`, and what doctor says of a policy: what an operator sees."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.edge_client import open_client
from support.fake_core import FakeCore
from support.policies import written

from ws_mcp.cli import run
from ws_mcp.cli_policy import EPILOG
from ws_mcp.console import Mark
from ws_mcp.core.policy.auth import FLAGS
from ws_mcp.core.policy.file import read_policy
from ws_mcp.core.policy.limits import Limits
from ws_mcp.core.policy.written import policy_of
from ws_mcp.doctor_policy import policy_facts
from ws_mcp.policy import tools
from ws_mcp.policy_shown import granted
from ws_mcp.settings import Settings

EXAMPLE = Path("examples/policy.toml")
ALICE = '[[grant]]\nprincipal = "alice"\ntools = ["*"]\nimages = ["debian:*"]\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return written(tmp_path / "policy.toml", ALICE)


def call(tmp_path: Path, **said: object) -> str:
    path = tmp_path / "call.json"
    path.write_text(json.dumps(said))
    return str(path)


def test_the_example_can_be_used_and_has_every_key(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    copy = written(tmp_path / "p.toml", EXAMPLE.read_text())
    assert run(["policy", "check", str(copy)]) == 0
    out = capsys.readouterr().out
    assert "can be used" in out
    assert "!" not in out
    assert "warn" not in out
    assert "local:1000: tools *; tiers to 2; images *; folders /home/me/projects (read_write)" in out
    fields = "principal tools max_tier images pull roots access templates homes runtimes local devcontainers workspaces"
    limits = [name for name in Limits.__dataclass_fields__ if name not in ("processes", "workspaces")]
    text = EXAMPLE.read_text()
    others = ("largest", "read_only", "over_http", "audit", "confirm", *FLAGS)
    assert not [key for key in (*fields.split(), *limits, *others) if key not in text]


def test_the_policy_of_the_help_can_be_used() -> None:
    begin, end = EPILOG.index("  read_only"), EPILOG.index("examples/")
    policy = policy_of(EPILOG[begin:end].replace("sha256:...", "sha256:" + "0" * 64), "help")
    assert [grant.principal for grant in policy.grants] == ["local:1000", "*"]


def test_every_mistake_is_shown(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    bad = written(tmp_path / "p.toml", "raed_only = true\n" + ALICE + "max_tier = 7\n")
    assert run(["policy", "check", str(bad)]) == 1
    out = capsys.readouterr().out
    assert "line 1 (raed_only): there is no such key" in out
    assert "line 6 (grant.1.max_tier): Input should be less than or equal to 4" in out


def checked(capsys: pytest.CaptureFixture[str], tmp_path: Path, text: str, *flags: str) -> list[str]:
    assert run(["policy", "check", str(written(tmp_path / "p.toml", text)), *flags]) == 0
    return [line.strip() for line in capsys.readouterr().out.splitlines()[1:]]


def test_what_a_file_leaves_out_is_shown_as_it_counts(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    state = tmp_path / "state"
    lines = checked(capsys, tmp_path, ALICE, "--state", str(state), "--running", "5")
    assert [line.partition(": ")[2] for line in lines[1:]] == [
        "over HTTP as follows; on stdio only processes and workspaces of one chat, for the file has no [limits]",
        (
            "of one chat: calls_at_once 8, calls_per_s 10, calls_burst 40, volumes 8, processes (--running) 5, "
            "workspaces (--workspaces) 16"
        ),
        (
            "of one principal (4 chats): calls_at_once 32, calls_per_s 40, calls_burst 160, volumes 32, "
            "processes (--running) 20, workspaces (--workspaces) 64, streams 8"
        ),
        "of the server: all_processes 1000, all_workspaces 64",
        f"on, in {state}/audit",
        "never: nobody is asked",
        f"over HTTP only: tokens of {state}/tokens",
        (
            "all of it counts anew, but for [auth]: tokens_file, issuer, jwks, resource, audience, principal count "
            "from the next start"
        ),
    ]


def test_what_a_file_says_of_the_whole_server_is_shown(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    whole = 'audit = false\nconfirm = "auto"\n[limits]\nstreams = 2\nprincipal_times = 2\n[privileged]\nmax_tier = 4\n'
    lines = checked(capsys, tmp_path, whole + ALICE + "max_tier = 3\npull = true\ndevcontainers = true\n")
    assert lines[0] == "privileged: tiers to 4 for those whose grant says so, not over HTTP"
    assert (
        "alice: tools *; tiers to 3; images debian:* (pulled if missing); folders none; dev containers yes" in lines[1]
    )
    assert lines[2] == "limits: over HTTP as follows; on stdio as there"
    assert "calls_at_once 16, calls_per_s 20, calls_burst 80, volumes 16" in lines[4]
    assert "streams 2" in lines[4]
    assert lines[6] == "audit: off: nothing is written down"
    assert lines[7].startswith("confirm: auto: the person is asked before what cannot be undone, where the client can")


@pytest.mark.parametrize(
    ("said", "flags", "shown"),
    [
        ("audit = true\n", ("--audit", "off"), "audit: on"),
        ("audit = false\n", ("--audit", "on"), "audit: on"),
        ("", ("--audit", "off"), "audit: off"),
        ('confirm = "auto"\n', ("--confirm", "always"), "confirm: always"),
        ('confirm = "always"\n', ("--confirm", "never"), "confirm: always"),
    ],
)
def test_of_flag_and_file_the_stricter_counts(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, said: str, flags: tuple[str, ...], shown: str
) -> None:
    assert any(line.startswith(shown) for line in checked(capsys, tmp_path, said + ALICE, *flags))


def test_whose_tokens_are_good_is_shown(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    auth = '[auth]\ntokens_file = "/etc/t"\nissuer = "https://id.example"\njwks = "/etc/k"\n'
    lines = checked(capsys, tmp_path, auth + 'resource = "https://ws.example/mcp"\n' + ALICE)
    assert "auth: over HTTP only: tokens of /etc/t" in lines
    said = (
        "auth: and those of https://id.example (keys: /etc/k) for https://ws.example/mcp; a principal is the hash of "
    )
    assert said + "issuer, client and subject" in lines


def test_what_the_flags_contradict_cannot_be_used(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = written(tmp_path / "p.toml", '[auth]\ntokens_file = "/etc/t"\n' + ALICE)
    assert run(["policy", "check", str(file), "--tokens", "/etc/other"]) == 1
    assert "--tokens (a flag or a variable) says '/etc/other'" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "doubt"),
    [
        (
            '[auth]\nissuer = "https://id.example"\n' + ALICE,
            "[auth] does not say jwks, resource: over HTTP only servers with --oauth-jwks, --oauth-resource start",
        ),
        (ALICE.replace('"*"', '"start_proces"', 1), "alice: no tool is called 'start_proces'; there are provision_"),
        (ALICE + "max_tier = 4\n", "alice: max_tier is 4, and [privileged] max_tier is 2, which counts"),
        (
            ALICE + 'roots = ["/srv"]\n[[grant]]\nprincipal = "bob"\ntools = []\nroots = ["/srv/bob"]\n',
            "bob's /srv/bob is below alice's /srv: who may write there",
        ),
    ],
)
def test_what_is_hardly_meant_is_told(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, text: str, doubt: str
) -> None:
    assert run(["policy", "check", str(written(tmp_path / "p.toml", text))]) == 0
    assert doubt in capsys.readouterr().out


@pytest.mark.parametrize(
    ("said", "code", "words"),
    [
        ({"tool": "start_process", "arguments": {"command": "id"}}, 0, ["allowed: start_process", "grant 'alice'"]),
        (
            {"tool": "provision_workspace", "arguments": {"image": "debian:13"}},
            0,
            ["allowed: provision_workspace for alice over stdio"],
        ),
        (
            {"tool": "provision_workspace", "arguments": {"image": "evil/debian"}},
            1,
            ["refused: provision_workspace", "rule: grant 'alice': images", "it lists debian:*"],
        ),
        ({"tool": "provision_workspace", "transport": "http", "arguments": {"tier": 3}}, 1, ["privileged.max_tier"]),
        ({"tool": "start_process", "scopes": ["ws:read"], "arguments": {"command": "id"}}, 1, ["scope ws:write"]),
        ({"resource": "ws://containers"}, 0, ["allowed: ws://containers"]),
        ({"resource": "ws://containers", "principal": "bob"}, 1, ["refused: ws://containers for bob", "no grant"]),
    ],
)
def test_a_call_is_explained(  # noqa: PLR0917 - two fixtures and a row
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    file: Path,
    said: dict[str, object],
    code: int,
    words: list[str],
) -> None:
    asked = call(tmp_path, **{"principal": "alice", **said})
    assert run(["policy", "explain", asked, "--policy", str(file)]) == code
    out = capsys.readouterr().out
    assert not [word for word in words if word not in out]


def test_flags_narrow_what_is_explained(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    wide = written(tmp_path / "p.toml", "privileged.max_tier = 4\n" + ALICE + "max_tier = 4\n")
    asked = call(tmp_path, principal="alice", tool="provision_workspace", arguments={"tier": 4})
    assert run(["policy", "explain", asked, "--policy", str(wide)]) == 0
    assert run(["policy", "explain", asked, "--policy", str(wide), "--max-tier", "2"]) == 1
    assert "rule: --max-tier" in capsys.readouterr().out
    assert run(["policy", "explain", asked, "--policy", str(wide), "--read-only"]) == 1
    assert "rule: read_only" in capsys.readouterr().out


def test_without_a_file_the_flags_are_the_policy(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for transport, code in (("stdio", 0), ("http", 1)):
        asked = call(tmp_path, transport=transport, tool="provision_workspace", arguments={"tier": 3})
        assert run(["policy", "explain", asked, "--max-tier", "3"]) == code
    assert "rule: privileged.over_http" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is no JSON"),
        ("{}", "names a `tool` or a `resource`"),
        ('{"tool": "x", "color": 1}', "color"),
        ('{"tool": "rm"}', "there is no tool 'rm'"),
        ('{"tool": "start_process", "arguments": {"cmd": "x"}}', "start_process takes no 'cmd'"),
    ],
)
def test_what_is_no_call_is_said(capsys: pytest.CaptureFixture[str], tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "call.json"
    path.write_text(text)
    assert run(["policy", "explain", str(path)]) == 1
    err = capsys.readouterr().err
    assert said in err
    assert len(err.splitlines()) == 1


def test_a_call_that_cannot_be_read_is_said(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run(["policy", "explain", str(tmp_path / "none.json")]) == 1
    assert "none.json cannot be read: No such file" in capsys.readouterr().err


async def test_the_tools_that_are_asked_about_are_those_of_the_server() -> None:
    async with open_client(FakeCore()) as client:
        assert [tool.name for tool in (await client.list_tools()).tools] == list(tools())


def test_doctor_tells_the_policy_that_counts(file: Path) -> None:
    facts = policy_facts(Settings(policy=file))
    assert {fact.mark for fact in facts} == {Mark.OK}
    assert facts[1].text == granted(read_policy(file))[0]
    assert [fact.topic for fact in facts[2:]] == ["limits"] * 4 + ["audit", "confirm", "auth", "at HUP"]


def test_doctor_says_that_there_is_none() -> None:
    (fact,) = policy_facts(Settings(read_only=True))
    assert fact.mark is Mark.OK
    assert "none: everybody" in fact.text
    assert "--read-only" in fact.text


@pytest.mark.parametrize(
    ("text", "mark", "words"),
    [
        ("[privileged]\nmax_tier = 3\n" + ALICE + "max_tier = 3\n", Mark.WARN, "root on the engine's host, over stdio"),
        (
            "[privileged]\nmax_tier = 4\nover_http = true\n" + ALICE + "max_tier = 4\n",
            Mark.BAD,
            "root on the engine's host, over HTTP",
        ),
        ("[privileged]\nmax_tier = 4\nover_http = true\n" + ALICE, Mark.OK, ""),
        ("x = 1", Mark.BAD, "there is no such key"),
    ],
)
def test_doctor_judges_a_policy(tmp_path: Path, text: str, mark: Mark, words: str) -> None:
    facts = policy_facts(Settings(policy=written(tmp_path / "p.toml", text)))
    worst = max(facts, key=lambda fact: [Mark.OK, Mark.WARN, Mark.BAD].index(fact.mark))
    assert worst.mark is mark
    assert words in worst.text
    assert worst.is_danger == (mark is not Mark.OK)


def test_doctor_looks_at_the_files_that_say_whose_tokens_are_good(tmp_path: Path) -> None:
    tokens, keys = tmp_path / "tokens", tmp_path / "keys.json"
    lines = f'tokens_file = "{tokens}"\nissuer = "https://id.example"\njwks = "{keys}"\nresource = "https://a.example"'
    file = written(tmp_path / "p.toml", f"[auth]\n{lines}\n{ALICE}")
    for mode, marks, words in (
        (0o600, [Mark.OK, Mark.OK], "has the issuer's keys"),
        (0o666, [Mark.BAD, Mark.BAD], "others can write"),
    ):
        for each in (written(tokens, ""), written(keys, "{}")):
            each.chmod(mode)
        facts = [fact for fact in policy_facts(Settings(policy=file)) if fact.topic == "auth"][2:]
        assert [fact.mark for fact in facts] == marks
        assert words in facts[1].text
    keys.unlink()
    assert "cannot be read: No such file" in policy_facts(Settings(policy=file))[-1].text


def test_doctor_fails_where_others_can_write_the_policy(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.chmod(0o666)
    assert run(["doctor", "--engine", "none", "--state", str(file.parent / "s"), "--policy", str(file)]) == 1
    out = capsys.readouterr().out
    assert "has mode 666, so others can write it" in out
    assert "the policy has to be changed first" in out
