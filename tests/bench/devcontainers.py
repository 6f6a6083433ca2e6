"""Dev containers: 50 of them listed, one made anew beside the CLI alone, and how soon a stop by hand is known."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

import anyio

from tests.bench import table
from tests.bench.at_once import at_once
from tests.bench.ground import IMAGE, Ground, settle
from tests.bench.table import Line
from tests.support.docker_cli import docker
from tests.support.raw_client import RawClient, RawClientError, open_raw_client, timed
from ws_mcp.core.devcontainers.cli_found import find_cli
from ws_mcp.core.devcontainers.port import CliMissingError
from ws_mcp.core.devcontainers.sightings import CONFIG, FOLDER
from ws_mcp.core.engine.docker import DockerEngine
from ws_mcp.core.engine.model import ContainerSpec

LISTED = 50
LISTING_S = 0.02
REPEATS = 20
OF_THE_CLI = 1.3  # times what the CLI takes by itself
REACTION_S = 0.2
ADDRESS = "ws://devcontainers"
BOUND_S = 30.0
Json = dict[str, object]


def measure_devcontainers(ground: Ground, rounds: int) -> list[Line]:
    """All of it, on servers of their own that have a root; nothing where the CLI is missing."""
    try:
        cli = str(anyio.run(find_cli, "", os.environ).path)
    except CliMissingError as error:
        print(f"left out: {error} ...", end=" ", file=sys.stderr, flush=True)
        return []
    with TemporaryDirectory(prefix="ws-mcp-bench-") as directory:
        root = Path(directory).resolve()
        root.chmod(0o755)
        return [
            *_measure_list(ground, root / "many"),
            _measure_recreate(ground, root / "recreated", cli, rounds),
            *_measure_reaction(ground, root / "stopped", rounds),
        ]


def _measure_list(ground: Ground, root: Path) -> list[Line]:
    """They were never started: the claim is about the list, which shows all, and compares each with its definition."""
    folders = [_project(root / f"project{number}") for number in range(LISTED)]
    with _open_server(ground, root) as client:
        try:
            anyio.run(_make_many, folders)
            while len([found for found in _devcontainers(client) if found["state"] == "stopped"]) < LISTED:
                settle()  # until the events were heard
            took = [client.ok("list_containers").seconds for _ in range(REPEATS)]
        finally:
            anyio.run(_remove_below, root)
    noop = [ground.empty.ok("noop").seconds for _ in range(REPEATS)]
    note = f"(p95 {table.duration(table.p95(took))}; no-op call {table.duration(table.p50(noop))})"
    return [table.below(f"list_containers with {LISTED} dev containers", table.p50(took), LISTING_S, _shown, note)]


def _measure_recreate(ground: Ground, root: Path, cli: str, rounds: int) -> Line:
    """In turn; the CLI's own one lies below no root, so that the server leaves it alone."""
    ours, alone = _project(root / "ours" / "project"), _project(root / "alone" / "project")
    named = ("--workspace-folder", str(alone))
    took: list[float] = []
    by_cli: list[float] = []
    with _open_server(ground, root / "ours") as client:
        try:
            for number in range(rounds + 1):
                mine = client.ok("recreate_devcontainer", folder=str(ours), force=True).seconds
                settle()
                build = timed(lambda: _run(cli, "build", *named))
                its = build + timed(lambda: _run(cli, "up", *named, "--remove-existing-container"))
                settle()
                if number:  # the first ones find nothing to make anew
                    took.append(mine)
                    by_cli.append(its)
        finally:
            anyio.run(_remove_below, root)
    name = "recreate_devcontainer, forced, image-based / the CLI's build + up"
    ratio = table.p50(took) / table.p50(by_cli)
    return table.at_most(name, table.spread(took), table.spread(by_cli), ratio, OF_THE_CLI)


def _measure_reaction(ground: Ground, root: Path, rounds: int) -> list[Line]:
    """From the time that the engine gives to the end of the container."""
    folder = _project(root / "project")
    told: list[float] = []
    listed: list[float] = []
    with _open_server(ground, root) as client:
        try:
            made = client.ok("recreate_devcontainer", folder=str(folder)).structured
            container = str(cast("Json", made["devcontainer"])["container"])
            client.request("resources/subscribe", {"uri": ADDRESS})
            for _ in range(rounds):
                told.append(_after_stop(client, container, lambda: _until_told(client)))
                listed.append(_after_stop(client, container, lambda: _until(client, "stopped")))
        finally:
            anyio.run(_remove_below, root)
    return [
        table.below("docker stop of a dev container until the list says so", table.p50(listed), REACTION_S, _shown),
        table.below("docker stop of a dev container until a subscriber is told", table.p50(told), REACTION_S, _shown),
    ]


def _after_stop(client: RawClient, container: str, until: Callable[[], None]) -> float:
    """How long after the end of the container it is known; the container runs before and afterwards."""
    settle()
    _until(client, "running")  # also leaves behind what was told until now
    began = time.time()
    with subprocess.Popen(("docker", "stop", container), stdout=subprocess.DEVNULL) as stopping:
        until()
        known_at = time.time()
        stopping.wait(BOUND_S)
    wanted = ("--filter", f"container={container}", "--filter", "event=die", "--format", "{{.TimeNano}}")
    ended = docker("events", "--since", f"{began:.3f}", "--until", f"{time.time():.3f}", *wanted).split()
    docker("start", container)
    return known_at - int(ended[-1]) / 1e9


def _until(client: RawClient, state: str) -> None:
    until = time.monotonic() + BOUND_S
    while not all(found["state"] == state for found in _devcontainers(client)):
        if time.monotonic() > until:
            raise RawClientError(f"no list says {state} within {BOUND_S:.0f} s")


def _until_told(client: RawClient) -> None:
    while cast("Json", client.next_notification()["params"]).get("uri") != ADDRESS:
        continue


def _devcontainers(client: RawClient) -> list[Json]:
    return cast("list[Json]", client.ok("list_containers").structured["devcontainers"])


@contextmanager
def _open_server(ground: Ground, root: Path) -> Generator[RawClient]:
    """A server with a root, and a client in the older era, which can be told of changes on the same connection."""
    with open_raw_client((*ground.argv, "--root", str(root)), era="legacy", log=ground.log) as client:
        yield client


def _project(folder: Path) -> Path:
    (folder / ".devcontainer").mkdir(parents=True)
    _config(folder).write_text(json.dumps({"image": IMAGE}))
    return folder


def _config(folder: Path) -> Path:
    return folder / ".devcontainer" / "devcontainer.json"


def _run(*argv: str) -> None:
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


async def _make_many(folders: list[Path]) -> None:
    """Containers with the labels that the CLI gives."""
    left = iter(folders)

    async def make(engine: DockerEngine) -> None:
        folder = next(left)
        labels = {FOLDER: str(folder), CONFIG: str(_config(folder))}
        name = f"bench-{secrets.token_hex(4)}"
        await engine.create(ContainerSpec(name=name, image=IMAGE, command=("true",), labels=labels))

    await at_once(make, len(folders))


async def _remove_below(root: Path) -> None:
    """Containers, and the images that the CLI named after a folder below it."""
    engine = DockerEngine()
    found = [c for c in await engine.list_containers({FOLDER: ""}) if _is_below(root, c.labels)]
    await engine.aclose()
    left = iter(found)

    async def remove(engine: DockerEngine) -> None:
        await engine.remove(next(left).id)

    await at_once(remove, len(found))
    digests = {hashlib.sha256(c.labels[FOLDER].encode()).hexdigest() for c in found}
    tags = docker("images", "--format", "{{.Repository}}:{{.Tag}}").split()
    if named := [tag for tag in tags if any(digest in tag for digest in digests)]:
        docker("rmi", *named)


def _is_below(root: Path, labels: Mapping[str, str]) -> bool:
    return Path(labels[FOLDER]).is_relative_to(root)


_shown = table.duration
