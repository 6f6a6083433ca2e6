"""Who processes in a dev container belong to, and what environment they get."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis.strategies import binary, dictionaries, text
from support.devcontainer_values import SHOP, SHOP_MOUNT, container, labels_of, metadata_label

from ws_mcp.core.devcontainers.environment import (
    Person,
    environment_of,
    is_variable,
    merged_path,
    person_of,
    probe_argv,
    probed_of,
    shell_of,
)
from ws_mcp.core.devcontainers.model import Record

ADOPTED = Record(container=container().id, key=SHOP, parts={}, is_adopted=True)
MADE = Record(container=container().id, key=SHOP, parts={}, user="dev", path="/work")
PASSWD = (
    "root:x:0:0:root:/root:/bin/bash\ndev:x:1000:1000::/home/dev:/usr/bin/zsh\nbroken\n"
    "daemon:x:1:1::/:/usr/sbin/nologin\nodd:x:2:2::/:bin/sh\n"
)


def test_what_up_reported_goes_before_what_labels_say() -> None:
    found = container(labels={**labels_of(), **metadata_label({"remoteUser": "other"})})
    person = person_of(found, MADE, {})
    assert (person.user, person.path) == ("dev", "/work")


@pytest.mark.parametrize(
    ("entries", "user"),
    [
        ([], "image"),
        ([{"remoteUser": "a"}], "a"),
        ([{"remoteUser": "a"}, {"remoteUser": "b"}, {}], "b"),
        ([{"containerUser": "c"}, {"remoteUser": "a"}], "a"),
        ([{"containerUser": "c"}], "c"),
        ([{"remoteUser": 1}], "image"),
    ],
)
def test_the_user_of_an_adopted_container_is_the_last_that_its_label_names(
    entries: list[dict[str, object]], user: str
) -> None:
    found = container(labels={**labels_of(), **metadata_label(*entries)}, user="image")
    assert person_of(found, ADOPTED, {}).user == user


def test_the_folder_of_an_adopted_container_is_where_it_is_mounted() -> None:
    assert person_of(container(), ADOPTED, {}).path == SHOP_MOUNT.target
    assert person_of(container(mounts=()), ADOPTED, {}).path == ""


def test_remote_variables_are_filled_in_and_later_entries_win() -> None:
    entries = [
        {"remoteEnv": {"A": "image", "B": "kept"}},
        {
            "userEnvProbe": "none",
            "remoteEnv": {
                "A": "${containerEnv:BASE}:${containerWorkspaceFolder}",
                "C": "${localWorkspaceFolder}",
                "D": "${localEnv:TOKEN}${localEnv:OTHER}${localEnv:OTHER:else}",
                "E": "${containerEnv:NONE:else}${containerEnv:NONE}",
                "F": None,
                "WSMCP_VERIFIER": "x",
                "a=b": "x",
            },
        },
    ]
    found = container(labels={**labels_of(), **metadata_label(*entries)}, environment={"BASE": "b"})
    person = person_of(found, ADOPTED, {"TOKEN": "t"})
    assert person.probe == "none"
    assert person.remote == {"A": "b:/workspaces/shop", "B": "kept", "C": SHOP.folder, "D": "telse", "E": "else"}


@pytest.mark.parametrize(
    ("user", "environment", "shell"),
    [
        ("dev", {}, "/usr/bin/zsh"),
        ("1000", {}, "/usr/bin/zsh"),
        ("dev:users", {}, "/usr/bin/zsh"),
        ("", {}, "/bin/bash"),
        ("nobody", {"SHELL": "/bin/fish"}, "/bin/fish"),
        ("nobody", {"SHELL": "fish"}, "/bin/sh"),
        ("daemon", {}, "/bin/sh"),
        ("odd", {}, "/bin/sh"),
        ("broken", {}, "/bin/sh"),
    ],
)
def test_the_shell_is_that_of_the_user(user: str, environment: dict[str, str], shell: str) -> None:
    assert shell_of(PASSWD, user, environment) == shell


@pytest.mark.parametrize(
    ("shell", "probe", "begin"),
    [
        ("/bin/bash", "loginInteractiveShell", ("/bin/bash", "-lic")),
        ("/bin/bash", "loginShell", ("/bin/bash", "-lc")),
        ("/bin/bash", "interactiveShell", ("/bin/bash", "-ic")),
        ("/usr/bin/pwsh", "loginShell", ("/usr/bin/pwsh", "-Login", "-Command")),
        ("/usr/bin/pwsh-preview", "interactiveShell", ("/usr/bin/pwsh-preview", "-Command")),
    ],
)
def test_the_shell_is_asked_as_the_definition_says(shell: str, probe: str, begin: tuple[str, ...]) -> None:
    argv = probe_argv(shell, probe, "m1")
    assert argv is not None
    assert argv[:-1] == begin
    assert argv[-1].count("m1") == 2


@pytest.mark.parametrize("probe", ["none", "", "x"])
def test_a_shell_that_is_not_wanted_is_not_asked(probe: str) -> None:
    assert probe_argv("/bin/bash", probe, "m1") is None


@pytest.mark.parametrize(
    ("output", "found"),
    [
        (b"welcome\nm1A=1\0B=2=3\nx\0m1bye", {"A": "1", "B": "2=3\nx"}),
        (b"m1A=1\0PWD=/x\0OLDPWD=/\0SHLVL=1\0_=/bin/cat\0WSMCP_X=1\0m1", {"A": "1"}),
        (b"m1A=\xff\0m1", {"A": "\ufffd"}),
        (b"m1m1", None),
        (b"m1A=1\0", None),
        (b"", None),
        (b"sh: not found", None),
    ],
)
def test_the_answer_of_a_shell_is_found_between_its_marks(output: bytes, found: dict[str, str] | None) -> None:
    assert probed_of(output, "m1") == found


@given(
    before=binary(),
    variables=dictionaries(text(min_size=1).filter(is_variable), text().filter(lambda t: "\0" not in t)),
)
def test_whatever_a_shell_prints_before_it_does_not_spoil_the_answer(before: bytes, variables: dict[str, str]) -> None:
    mark = "0123456789abcdef"
    kept = {n: v for n, v in variables.items() if n not in ("PWD", "OLDPWD", "SHLVL", "_") and n.isascii()}
    answer = b"".join(f"{name}={value}\0".encode(errors="replace") for name, value in kept.items())
    found = probed_of(before.replace(mark.encode(), b"") + mark.encode() + answer + mark.encode(), mark)
    assert (found or {}).keys() == kept.keys()


@pytest.mark.parametrize(
    ("shell", "own", "is_root", "path"),
    [
        ("/bin", "/bin", False, "/bin"),
        ("/usr/bin:/bin", "/opt/x:/usr/bin:/bin", False, "/opt/x:/usr/bin:/bin"),
        ("/usr/bin:/bin", "/usr/bin:/opt/x:/bin:/opt/y", False, "/usr/bin:/opt/x:/bin:/opt/y"),
        ("/bin", "/usr/sbin:/sbin:/opt/x", False, "/opt/x:/bin"),
        ("/bin", "/usr/sbin:/bin", True, "/usr/sbin:/bin"),
    ],
)
def test_a_login_shell_does_not_lose_the_images_path(shell: str, own: str, is_root: bool, path: str) -> None:
    assert merged_path(shell, own, is_root=is_root) == path


def test_remote_variables_stand_over_those_of_the_shell() -> None:
    person = Person(user="dev", path="", remote={"A": "remote"})
    found = container(environment={"PATH": "/opt/x:/bin"})
    assert environment_of(found, person, {"A": "shell", "PATH": "/bin"}) == {"A": "remote", "PATH": "/opt/x:/bin"}
    assert environment_of(found, person, None) == {"A": "remote"}
