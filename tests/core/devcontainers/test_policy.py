"""What a definition asks of this machine: harmless projects need nothing, everything else says which word allows it."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis.strategies import dictionaries, lists, recursive, sampled_from, text
from support.devcontainer_values import ROOT, SHOP

from ws_mcp.core.devcontainers.allowances import Allowances, Violation, allowances_of, refusal_of
from ws_mcp.core.devcontainers.mount_rules import Paths
from ws_mcp.core.devcontainers.policy import (
    check_definition,
    check_image,
    check_merged,
    checked_copy,
)
from ws_mcp.core.errors import ForbiddenError, InvalidArgumentError

PLAIN = Allowances(roots=(ROOT,))
LINKS = {f"{ROOT}/shop/out": "/", f"{ROOT}/shop/in": f"{ROOT}/shop/src"}


def real(path: str) -> str:
    """Follows the links of the test."""
    return LINKS.get(path, path)


def allowed(*words: str) -> Allowances:
    return allowances_of(words, (ROOT,), {"TOKEN": "t0ken", "HOME": ROOT})


def check(properties: Mapping[str, object], allowances: Allowances = PLAIN) -> tuple[Violation, ...]:
    return check_definition(SHOP, properties, allowances, Paths(real=real))


HARMLESS: list[dict[str, object]] = [
    {"image": "debian:12"},
    {"image": "mcr.microsoft.com/devcontainers/base:bookworm", "name": "x", "remoteUser": "vscode"},
    {"build": {"dockerfile": "Dockerfile"}},
    {"build": {"dockerfile": "Dockerfile", "context": "..", "args": {"A": "1"}, "target": "dev", "cacheFrom": "x"}},
    {"build": {"dockerfile": "../Dockerfile", "context": "${localWorkspaceFolder}"}},
    {"image": "x", "features": {"./tool": {"version": "1"}, "./other": {}}},
    {"image": "x", "postCreateCommand": "npm ci", "onCreateCommand": ["a", "b"], "postStartCommand": {"a": "b"}},
    {"image": "x", "containerEnv": {"A": "${containerEnv:PATH}"}, "remoteEnv": {"B": "${containerWorkspaceFolder}"}},
    {"image": "x", "mounts": ["source=shop-${devcontainerId},target=/data,type=volume"]},
    {"image": "x", "mounts": ["type=volume,target=/data", "type=tmpfs,destination=/tmp,tmpfs-size=1m"]},
    {"image": "x", "mounts": [{"type": "volume", "source": "cache", "target": "/cache"}]},
    {"image": "x", "mounts": ["type=bind,source=${localWorkspaceFolder}/.cache,target=/c,readonly"]},
    {"image": "x", "mounts": ["type=bind,source=${localWorkspaceFolder}/in,target=/c"]},
    {"image": "x", "mounts": ["type=bind,source=${localWorkspaceFolder}/../other,target=/o,consistency=cached"]},
    {"image": "x", "workspaceMount": "source=${localWorkspaceFolder},target=/w,type=bind", "workspaceFolder": "/w"},
    {"image": "x", "workspaceMount": "", "workspaceFolder": "/w"},
    {"image": "x", "privileged": False, "capAdd": [], "securityOpt": [], "runArgs": [], "mounts": [], "features": {}},
    {"image": "x", "securityOpt": ["no-new-privileges"], "init": True, "overrideCommand": False},
    {"image": "x", "forwardPorts": [3000], "appPort": [3000, "127.0.0.1:8000:80"]},
    {
        "image": "x",
        "runArgs": ["--init", "--cpus=2", "--memory", "2g", "-m", "1g", "--shm-size=1g", "-it", "--name=shop"],
    },
    {"image": "x", "runArgs": ["-e", "A=1", "-eB=2", "--env=C=", "-h", "box", "--hostname=box", "--user", "dev"]},
    {"image": "x", "runArgs": ["--network=none", "--network", "bridge", "--ipc=private", "--userns=keep-id"]},
    {"image": "x", "runArgs": ["-v", "cache:/cache", "-v/anonymous", "--volume=${localWorkspaceFolder}/a:/a:ro"]},
    {
        "image": "x",
        "runArgs": ["-p", "127.0.0.1:80:80", "-p=[::1]:80:80", "--label", "team=x", "--security-opt=no-new-privileges"],
    },
    {
        "image": "x",
        "runArgs": ["--mount", "type=bind,src=${localWorkspaceFolder},dst=/w", "--cap-drop=ALL", "--read-only"],
    },
    {"image": "x", "hostRequirements": {"cpus": 4}, "customizations": {"vscode": {"extensions": ["a.b"]}}},
]


@pytest.mark.parametrize("properties", HARMLESS)
def test_a_project_that_stays_in_its_container_needs_no_allowance(properties: dict[str, object]) -> None:
    assert check(properties) == ()


# property, its value, the word that allows it ("" = none does)
ATTACKS: list[tuple[str, object, str]] = [
    ("initializeCommand", "touch /tmp/marker", "initialize-command"),
    ("initializeCommand", ["touch", "/tmp/marker"], "initialize-command"),
    ("initializeCommand", {"a": "b"}, "initialize-command"),
    ("initializeCommand", [], "initialize-command"),
    ("privileged", True, "privileged"),
    ("privileged", "false", "privileged"),
    ("privileged", 1, "privileged"),
    ("privileged", [], "privileged"),
    ("capAdd", ["SYS_ADMIN"], "capability:SYS_ADMIN"),
    ("capAdd", ["cap_sys_admin"], "capability:SYS_ADMIN"),
    ("capAdd", [" ALL "], "capability:ALL"),
    ("capAdd", "SYS_ADMIN", ""),
    ("capAdd", ["SYS_PTRACE", 1], ""),
    ("securityOpt", ["seccomp=unconfined"], "security-option:seccomp=unconfined"),
    ("securityOpt", ["apparmor:unconfined"], "security-option:apparmor:unconfined"),
    ("securityOpt", ["no-new-privileges=false"], "security-option:no-new-privileges=false"),
    ("securityOpt", ["no-new-privileges\n"], "security-option:no-new-privileges\n"),
    ("securityOpt", {"a": "b"}, ""),
    ("dockerComposeFile", "docker-compose.yml", "compose"),
    ("dockerComposeFile", ["a.yml", "b.yml"], "compose"),
    ("build", {"dockerfile": "D", "options": ["--network=host"]}, "build-options"),
    ("build", {"dockerfile": "D", "options": "--ssh=default"}, "build-options"),
    ("build", {"dockerfile": "D", "context": "../../.."}, ""),
    ("build", {"dockerfile": "D", "context": "/etc"}, ""),
    ("build", {"dockerfile": "/etc/passwd"}, ""),
    ("build", {"dockerfile": "D", "context": "${localWorkspaceFolder}/../.."}, ""),
    ("build", {"dockerfile": "D", "context": "${localWorkspaceFolder}/out"}, ""),
    ("build", {"dockerfile": "D", "context": "${containerEnv:X}"}, ""),
    ("build", {"dockerfile": "D", "context": ["..", ".."]}, ""),
    ("build", {"dockerfile": "D", "target": "--output=/etc"}, ""),
    ("dockerFile", "../../../../etc/x", ""),
    ("context", "../../../..", ""),
    ("features", {"ghcr.io/evil/f:1": {}}, "feature:ghcr.io/evil/f:1"),
    (
        "features",
        {"https://evil.test/devcontainer-feature-x.tgz": {}},
        "feature:https://evil.test/devcontainer-feature-x.tgz",
    ),
    ("features", {"node": "lts"}, "feature:node"),
    ("features", {"./../../../etc": {}}, ""),
    ("features", {"/etc/feature": {}}, "feature:/etc/feature"),
    ("image", "-v/:/x", ""),
    ("image", "--privileged", ""),
    ("image", ["a"], ""),
    ("appPort", "8080:80", "publish"),
    ("appPort", [3000, "0.0.0.0:80:80"], "publish"),
    ("mounts", ["type=bind,source=/,target=/host"], "mount:/"),
    ("mounts", ["type=bind,source=/etc,target=/e"], "mount:/etc"),
    ("mounts", ["TYPE=BIND,SRC=/etc,DST=/e"], "mount:/etc"),
    ("mounts", [" type = bind , source = /etc , target = /e"], "mount:/etc"),
    ("mounts", ['type=bind,"source=/etc",target=/e'], "mount:/etc"),
    ("mounts", ["type=bind,source=/home/ann/ok,source=/etc,target=/e"], "mount:/etc"),
    ("mounts", ["type=volume,type=bind,source=/etc,target=/e"], "mount:/etc"),
    ("mounts", ["type=tmpfs,type=bind,source=/etc,target=/e"], "mount:/etc"),
    ("mounts", ["source=/etc,target=/e"], "mount:/etc"),
    ("mounts", ["type=volume,source=/etc,target=/e"], "mount:/etc"),
    ("mounts", ["type=bind,source=//etc,target=/e"], "mount:/etc"),
    ("mounts", ["type=bind,source=/home/annex,target=/e"], "mount:/home/annex"),
    ("mounts", ["type=bind,source=/home/ann/../bob,target=/e"], "mount:/home/bob"),
    ("mounts", ["type=bind,source=${localWorkspaceFolder}/../../bob,target=/e"], "mount:/home/bob"),
    ("mounts", ["type=bind,source=${localWorkspaceFolder}/out,target=/e"], "mount:/"),
    ("mounts", ["type=bind,source=/var/run/docker.sock,target=/s"], ""),
    ("mounts", [f"type=bind,source={ROOT}/shop/docker.sock,target=/s"], ""),
    ("mounts", ["type=bind,source=~/.ssh,target=/s"], ""),
    ("mounts", ["type=bind,source=.,target=/s"], ""),
    ("mounts", ["type=bind,source=shop,target=/s"], ""),
    ("mounts", ["type=bind,source=${containerEnv:X},target=/s"], ""),
    ("mounts", ["type=volume,source=x,target=/e,volume-driver=local,volume-opt=type=none,volume-opt=device=/"], ""),
    ("mounts", [{"type": "volume", "source": "x,volume-opt=device=/", "target": "/e"}], ""),
    ("mounts", [{"type": "bind", "source": "/etc", "target": "/e"}], "mount:/etc"),
    ("mounts", [{"type": "volume", "source": "x", "target": "/e,type=bind,source=/etc"}], ""),
    ("mounts", [{"type": ["bind"], "source": "/etc", "target": "/e"}], ""),
    ("mounts", [{"type": "bind", "source": ["/etc"], "target": "/e"}], ""),
    ("mounts", [["type=bind,source=/etc"]], ""),
    ("mounts", ["type=bind,source=/etc,target=/e\n"], ""),
    ("mounts", ['type=bind,source="/etc"x,"'], ""),
    ("mounts", ["type=npipe,source=x,target=/e"], ""),
    ("mounts", ["type=glob,source=/etc/*,target=/e"], ""),
    ("mounts", "type=bind,source=/etc,target=/e", ""),
    ("workspaceMount", "type=bind,source=/,target=/w", "mount:/"),
    ("workspaceMount", ["type=bind,source=/,target=/w"], ""),
    ("runArgs", "--privileged", ""),
    ("runArgs", ["--init", ["--privileged"]], ""),
    ("runArgs", ["--privileged"], "privileged"),
    ("runArgs", ["--privileged=true"], "privileged"),
    ("runArgs", ["--init", "--privileged"], "privileged"),
    ("runArgs", ["--cpus", "2", "--privileged"], "privileged"),
    ("runArgs", ["--cap-add=SYS_ADMIN"], "capability:SYS_ADMIN"),
    ("runArgs", ["--cap-add", "CAP_SYS_ADMIN"], "capability:SYS_ADMIN"),
    ("runArgs", ["--cap-addSYS_ADMIN"], "run-arg:--cap-addSYS_ADMIN"),
    ("runArgs", ["--security-opt", "seccomp=unconfined"], "security-option:seccomp=unconfined"),
    ("runArgs", ["--security-opt=label=disable"], "security-option:label=disable"),
    ("runArgs", ["-v", "/:/host"], "mount:/"),
    ("runArgs", ["-v/:/host"], "mount:/"),
    ("runArgs", ["-v=/:/host"], "mount:/"),
    ("runArgs", ["-itv", "/:/host"], "mount:/"),
    ("runArgs", ["-itv/:/host"], "mount:/"),
    ("runArgs", ["-it=false", "-v/:/host"], "mount:/"),
    ("runArgs", ["--volume", "/etc:/e:ro"], "mount:/etc"),
    ("runArgs", ["--volume=./x:/e"], ""),
    ("runArgs", ["--mount=type=bind,source=/etc,target=/e"], "mount:/etc"),
    ("runArgs", ["--volumes-from", "other"], "run-arg:--volumes-from"),
    ("runArgs", ["--volume-driver=x"], "run-arg:--volume-driver"),
    ("runArgs", ["--network=host"], "run-arg:--network"),
    ("runArgs", ["--net", "host"], "run-arg:--network"),
    ("runArgs", ["--network=container:x"], "run-arg:--network"),
    ("runArgs", ["--network=name=host"], "run-arg:--network"),
    ("runArgs", ["--network=others"], "run-arg:--network"),
    ("runArgs", ["--pid=host"], "run-arg:--pid"),
    ("runArgs", ["--pid", "container:x"], "run-arg:--pid"),
    ("runArgs", ["--ipc=host"], "run-arg:--ipc"),
    ("runArgs", ["--uts=host"], "run-arg:--uts"),
    ("runArgs", ["--userns=host"], "run-arg:--userns"),
    ("runArgs", ["--cgroupns=host"], "run-arg:--cgroupns"),
    ("runArgs", ["--cgroup-parent=/x"], "run-arg:--cgroup-parent"),
    ("runArgs", ["--device", "/dev/sda"], "run-arg:--device"),
    ("runArgs", ["--device=/dev/sda"], "run-arg:--device"),
    ("runArgs", ["--device-cgroup-rule=a *:* rwm"], "run-arg:--device-cgroup-rule"),
    ("runArgs", ["--gpus", "all"], "run-arg:--gpus"),
    ("runArgs", ["--runtime=x"], "run-arg:--runtime"),
    ("runArgs", ["--env-file", "/etc/passwd"], "run-arg:--env-file"),
    ("runArgs", ["--label-file=/etc/passwd"], "run-arg:--label-file"),
    ("runArgs", ["--cidfile=/tmp/x"], "run-arg:--cidfile"),
    ("runArgs", ["-e", "SECRET"], "local-env:SECRET"),
    ("runArgs", ["-eSECRET"], "local-env:SECRET"),
    ("runArgs", ["--env", "SECRET"], "local-env:SECRET"),
    ("runArgs", ["-l", "devcontainer.local_folder=/x"], ""),
    ("runArgs", ["--label=dev.ws-mcp.signature=x"], ""),
    ("runArgs", ["--label=com.docker.compose.project=prod"], ""),
    ("runArgs", ["--name=wsmcp-abc"], "run-arg:--name"),
    ("runArgs", ["-p", "80:80"], "publish"),
    ("runArgs", ["-p80"], "publish"),
    ("runArgs", ["-P"], "run-arg:--publish-all"),
    ("runArgs", ["--publish=0.0.0.0:80:80"], "publish"),
    ("runArgs", ["evil-image"], ""),
    ("runArgs", ["--init", "evil-image"], ""),
    ("runArgs", ["--", "evil-image"], ""),
    ("runArgs", ["-"], ""),
    ("runArgs", [""], ""),
    ("runArgs", ["\u2013privileged"], ""),
    ("runArgs", ["\uff0d\uff0dprivileged"], ""),
    ("runArgs", [" --privileged"], ""),
    ("runArgs", ["--Privileged"], "run-arg:--Privileged"),
    ("runArgs", ["--privilege\u0301d"], "run-arg:--privilege\u0301d"),
    ("runArgs", ["-x"], "run-arg:-x"),
    ("runArgs", ["--entrypoint=/x"], "run-arg:--entrypoint"),
    ("runArgs", ["-d"], "run-arg:--detach"),
    ("remoteEnv", {"A": "${localEnv:SECRET}"}, "local-env:SECRET"),
    ("containerEnv", {"A": "${env:SECRET}"}, "local-env:SECRET"),
    ("containerEnv", {"A": "x${localEnv:SECRET:default}y"}, "local-env:SECRET"),
    ("containerEnv", {"${localEnv:SECRET}": "x"}, "local-env:SECRET"),
    ("containerEnv", {"A": "${a\r${localEnv:SECRET}"}, "local-env:SECRET"),
    ("containerEnv", {"A": "${a\u2028${env:SECRET}"}, "local-env:SECRET"),
    ("containerEnv", {"A": "${localEnv:}"}, ""),
    ("containerEnv", {"A": "${localEnv}"}, ""),
    ("containerEnv", {"A": "${localEnv: SECRET}"}, ""),
    ("build", {"dockerfile": "D", "args": {"A": "${localEnv:SECRET}"}}, "local-env:SECRET"),
    ("customizations", {"x": [[{"y": "${localEnv:SECRET}"}]]}, "local-env:SECRET"),
    ("postCreateCommand", ["echo", "${localEnv:SECRET}"], "local-env:SECRET"),
]


@pytest.mark.parametrize(("name", "value", "word"), ATTACKS)
def test_what_leads_out_of_the_container_is_refused_and_says_what_allows_it(
    name: str, value: object, word: str
) -> None:
    violations = check({"image": "x", name: value})
    assert violations
    assert word in {each.allow for each in violations}
    for each in violations:
        assert str(each).isprintable()
        assert len(str(each)) < 400


@pytest.mark.parametrize(("name", "value", "word"), [attack for attack in ATTACKS if attack[2]])
def test_the_word_that_a_refusal_names_allows_it(name: str, value: object, word: str) -> None:
    assert check({"image": "x", name: value}, allowed(word)) == ()


@pytest.mark.parametrize("depth", [65, 900])
def test_what_is_nested_too_deeply_to_be_looked_at_is_refused(depth: int) -> None:
    value: object = "${localEnv:SECRET}"
    for _ in range(depth):
        value = [value]
    assert check({"image": "x", "customizations": {"x": value}})


def test_everything_that_is_not_allowed_is_told_at_once() -> None:
    violations = check(
        {"image": "-x", "initializeCommand": "a", "privileged": True, "runArgs": ["--pid=host", "-v/:/x"]}
    )
    assert [each.subject for each in violations] == [
        "initializeCommand",
        "privileged",
        "runArgs",
        "runArgs --volume",
        "image",
    ]
    error = refusal_of("shop", violations)
    assert isinstance(error, ForbiddenError)
    for part in ("'shop'", "(1) initializeCommand 'a'", "--devcontainer-allow run-arg:--pid allows it", "(5) image"):
        assert part in str(error)
    assert str(error).isprintable()


def test_a_refusal_is_bounded() -> None:
    violations = check({"image": "x", "capAdd": [f"CAP{number}" for number in range(1000)]})
    assert "and 980 more" in str(refusal_of("shop", violations))


def test_a_long_or_odd_value_is_shown_short_and_in_one_line() -> None:
    (violation,) = check({"image": "x", "initializeCommand": "a\n\u202eb" + "x" * 5000})
    assert "\n" not in str(violation)
    assert "\u202e" not in str(violation)
    assert len(str(violation)) < 250


def test_a_folder_or_a_definition_that_is_not_below_a_root_is_refused_whatever_it_says() -> None:
    subjects = [each.subject for each in check({"image": "x"}, Allowances(roots=("/srv",)))]
    assert subjects == ["the folder", "the definition"]
    assert check_definition(
        SHOP, {"image": "x"}, PLAIN, Paths(real=lambda path: "/etc" if path == SHOP.config else path)
    )


@pytest.mark.parametrize(
    ("properties", "word"),
    [
        ({"mounts": ["type=bind,source=/srv/cache/x,target=/c"]}, "mount:/srv/cache"),
        ({"mounts": ["type=bind,source=${localEnv:HOME}/x,target=/c"]}, "local-env:HOME"),
        ({"features": {"ghcr.io/devcontainers/features/node:1": {}}}, "feature:ghcr.io/devcontainers/features/*"),
        ({"runArgs": ["--cap-add=NET_ADMIN", "--security-opt=x", "--privileged"]}, "privileged"),
        ({"capAdd": ["NET_ADMIN"]}, "capability:ALL"),
        ({"runArgs": ["-e", "TOKEN"]}, "local-env:TOKEN"),
        ({"runArgs": ["--device", "/dev/fuse", "--device=/dev/kvm"]}, "run-arg:--device"),
    ],
)
def test_an_allowance_reaches_as_far_as_it_says(properties: dict[str, object], word: str) -> None:
    assert check({"image": "x", **properties})
    assert check({"image": "x", **properties}, allowed(word)) == ()


@pytest.mark.parametrize(
    ("properties", "word"),
    [
        ({"mounts": ["type=bind,source=/srv/cache2,target=/c"]}, "mount:/srv/cache"),
        ({"mounts": ["type=bind,source=/srv/cache/docker.sock,target=/c"]}, "mount:/srv/cache"),
        ({"mounts": ["type=bind,source=/srv/docker.sock,target=/c"]}, "mount:/srv/docker.sock"),
        ({"mounts": ["type=bind,source=${localEnv:HOME}/../bob,target=/c"]}, "local-env:HOME"),
        (
            {"features": {"ghcr.io/devcontainers/features/../../evil/x:1": {}}},
            "feature:ghcr.io/devcontainers/features/*",
        ),
        ({"features": {"ghcr.io/evil/x": {}}}, "feature:ghcr.io/devcontainers/*"),
        ({"runArgs": ["--device", "/dev/fuse", "--pid=host"]}, "run-arg:--device"),
        ({"runArgs": ["--sysctl", "--privileged"]}, "run-arg:--sysctl"),
        ({"runArgs": ["--use-api-socket", "evil-image"]}, "run-arg:--use-api-socket"),
        ({"capAdd": ["SYS_ADMIN"]}, "capability:SYS_PTRACE"),
        ({"initializeCommand": "x"}, "privileged"),
        ({"dockerComposeFile": "x"}, "privileged"),
        ({"build": {"options": ["x"]}}, "compose"),
    ],
)
def test_an_allowance_reaches_no_further(properties: dict[str, object], word: str) -> None:
    assert check({"image": "x", **properties}, allowed(word))


@pytest.mark.parametrize(
    "word",
    [
        "",
        "x",
        "privileged:",
        "privileged:x",
        "capability",
        "capability:",
        "run-arg:device",
        "mount:srv",
        "mount:/a/..",
        ":x",
    ],
)
def test_a_word_that_is_none_is_refused(word: str) -> None:
    with pytest.raises(InvalidArgumentError, match="--devcontainer-allow"):
        allowed(word)


def test_nothing_is_allowed_by_default() -> None:
    assert allowances_of([], [], {"SECRET": "x"}) == Allowances()
    assert "SECRET" not in allowances_of(["local-env:OTHER"], [], {"SECRET": "x"}).local_env


def test_what_the_image_adds_is_found_in_its_label() -> None:
    entries = [{"id": "./tool", "privileged": True}, {"mounts": ["type=bind,source=/,target=/h"]}, {"capAdd": ["BPF"]}]
    found = check_image(SHOP, {"devcontainer.metadata": json.dumps(entries)}, PLAIN)
    assert [each.allow for each in found] == ["privileged", "mount:/", "capability:BPF"]
    assert check_image(SHOP, {"devcontainer.metadata": json.dumps([{"remoteUser": "dev"}])}, PLAIN) == ()
    assert check_image(SHOP, {}, PLAIN) == ()


def test_a_variable_of_this_machine_in_the_images_label_is_found_before_it_is_filled_in() -> None:
    label = {"devcontainer.metadata": '{"containerEnv": {"STOLEN": "${localEnv:SECRET}"}}'}
    assert [each.allow for each in check_image(SHOP, label, PLAIN)] == ["local-env:SECRET"]


def test_a_label_that_cannot_be_read_is_not_trusted() -> None:
    assert check_image(SHOP, {"devcontainer.metadata": "[{"}, PLAIN)


def test_the_merged_configuration_is_checked_by_the_same_rules() -> None:
    merged = {"privileged": True, "mounts": [{"type": "bind", "source": "/etc", "target": "/e"}], "entrypoints": ["x"]}
    assert [each.allow for each in check_merged(SHOP, merged, PLAIN)] == ["privileged", "mount:/etc"]
    assert check_merged(SHOP, {"privileged": False, "init": False, "mounts": [], "remoteEnv": {}}, PLAIN) == ()


@pytest.mark.parametrize("properties", HARMLESS)
def test_the_checked_copy_says_what_was_checked(properties: dict[str, object]) -> None:
    assert json.loads(checked_copy(properties)) == properties
    assert checked_copy(properties).isascii()


JSON = recursive(
    text(max_size=5), lambda inner: lists(inner, max_size=3) | dictionaries(text(max_size=5), inner, max_size=3)
)


@given(properties=dictionaries(sampled_from(sorted({attack[0] for attack in ATTACKS})), JSON))
def test_whatever_a_definition_holds_is_judged_and_never_trips_the_judge(properties: dict[str, object]) -> None:
    for each in check(properties):
        assert str(each).isprintable()


@given(words=lists(sampled_from([str(word) for a in ATTACKS if a[0] == "runArgs" for word in a[1]]), max_size=5))  # pyright: ignore[reportGeneralTypeIssues]
def test_a_run_argument_that_is_refused_is_refused_whatever_comes_after_it(words: list[str]) -> None:
    # Not whatever comes before: `--env --privileged=true` is a variable of a strange name.
    assert check({"image": "x", "runArgs": ["--init", "--privileged=true", *words]})
