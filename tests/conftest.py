"""Event loops and the container engine of the tests.

- An async test runs on asyncio and on trio; on trio the clock is virtual (an hour costs nothing), fresh for each test.
- Sockets and children are invisible to the virtual clock: a test that uses them, or waits for time inside a worker
  thread, asks for the fixture `real_io` and runs on asyncio only, or for `real_io_both` and runs on trio with the real
  clock, too. While a worker thread works the virtual clock stands still.
- A test that lets seconds or hours pass asks for `virtual_time` and runs on trio only.
- `docker_engine` is a real engine (asyncio only, marker `engine`). Where none answers the test is skipped, and fails
  with CI=true or WS_MCP_REQUIRE_ENGINE=1.
- `swarm_ground` is a swarm of three real engines on this machine, whole again before each test; `swarm_missing` says
  where that cannot be: there its tests are skipped, and fail with CI=true unless WS_MCP_ALLOW_NO_SWARM=1.
- `podman_engine` is a real Podman, where WS_MCP_PODMAN_SOCKET names one; elsewhere its tests are deselected, and fail
  with CI=true.
- `devcontainer_ground` is the real dev container CLI on the engine; where there is none its tests are deselected (the
  header says why), and fail with CI=true.
- `conformance` is the official conformance suite, `inspector` the official Inspector, `wheelhouse` the packages that an
  installation needs, `mcpb_packer` the official packer of bundles; the same holds for them.
- `browser` is Chromium (asyncio only); the same holds for it.
- A test with the marker `long` is the longer form of what others show in less time: `make soak` runs it.
"""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncGenerator, Generator
from enum import Enum, auto
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from support.browser import browser_missing
from support.described import describe_once
from support.devcontainer_ground import DevcontainerGround, cli_missing
from support.local_left import end_left
from support.mcpb import mcpb_missing
from support.npm_tools import INSPECTOR, SUITE
from support.postgres import Postgres, open_postgres_server, postgres_missing
from support.real_engine import EngineGround, LabelledEngine, open_ground, run_in_thread
from support.soaked import IS_LONG
from support.swarm_nodes import SwarmGround, open_swarm, swarm_missing
from support.virtual_clock import virtual_clock
from support.wheelhouse import wheelhouse_missing
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

# How long an example takes says something about the machine and what else it does, nothing about the code.
settings.register_profile("ws-mcp", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ws-mcp")
# Begun with nohup, or in the background of a script, all that tests start would not heed these.
for number, usual in ((signal.SIGHUP, signal.SIG_DFL), (signal.SIGINT, signal.default_int_handler)):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, usual)
describe_once()

PODMAN = "WS_MCP_PODMAN_SOCKET"
# Real hosts with a scripted model take minutes and a gigabyte: `make hosts` asks for them.
collect_ignore = [] if os.environ.get("WS_MCP_HOSTS") else ["hosts"]
ENGINES = ("docker", "podman") if os.environ.get(PODMAN) else ("docker",)
END_TO_END = "end_to_end"
MAKERS_OF_IMAGES = ("test_app", "test_bundle", "test_devcontainers", "test_image", "test_installed", "test_people")
WITH_SWARM = "test_swarm"  # names of files whose tests need a swarm begin so
# What may not be there, by the fixture that needs it, and how it is called in the header.
OPTIONAL = {
    "devcontainer_ground": ("dev containers", cli_missing),
    "conformance": ("conformance", lambda: SUITE.missing),
    "inspector": ("Inspector", lambda: INSPECTOR.missing),
    "browser": ("browser", browser_missing),
    "postgres": ("PostgreSQL", postgres_missing),
    "wheelhouse": ("installed packages", wheelhouse_missing),
    "mcpb_packer": ("bundles", mcpb_missing),
}
ENGINE_GROUNDS = ("engine_ground", "podman_ground", "each_ground", "swarm_ground")
REAL = ("real_io", "browser", *ENGINE_GROUNDS)


def pytest_report_header() -> list[str]:
    """Say what is left out, and what would help."""
    found = {what: missing() for what, missing in (*OPTIONAL.values(), ("swarm", swarm_missing))}
    found["long forms"] = "" if IS_LONG else "make soak has them"
    return [f"{what}: {f'left out, {reason}' if reason else 'tested'}" for what, reason in found.items()]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Say on which event loops a test runs."""
    if "anyio_backend" not in metafunc.fixturenames:
        return
    backends = ["asyncio", "trio"]
    if "real_io_both" in metafunc.fixturenames:
        backends = ["asyncio", "trio-real"]
    elif "virtual_time" in metafunc.fixturenames:
        backends = ["trio"]
    elif any(name in metafunc.fixturenames for name in REAL) or metafunc.definition.get_closest_marker("engine"):
        backends = ["asyncio"]
    metafunc.parametrize("anyio_backend", backends, indirect=True)


class Lane(Enum):
    """What files have in common that one worker goes through first."""

    IMAGES = auto()  # end to end, with images that are built and Chromium: they wait for other programs
    SERVERS = auto()  # end to end, the rest: they wait for servers and containers
    REST = auto()


def lane_of(file: str) -> Lane:
    """The lane of a file, by its path."""
    if Path(file).name.startswith(WITH_SWARM):
        return Lane.SERVERS  # one worker has the one swarm
    if f"/{END_TO_END}/" not in f"/{file}":
        return Lane.REST
    return Lane.IMAGES if Path(file).name.startswith(MAKERS_OF_IMAGES) else Lane.SERVERS


class WaitingFirst(LoadScopeScheduling):
    """By file. The first workers begin with what waits for servers and containers, the last one with the rest.

    Two that wait beside each other would leave a core idle.
    """

    def _split_scope(self, nodeid: str) -> str:
        return nodeid.partition("::")[0]

    def _assign_work_unit(self, node: WorkerController) -> None:
        lanes = tuple(Lane)
        at = self.nodes.index(node)
        first = Lane.REST if at == len(self.nodes) - 1 else lanes[min(at, 1)]
        order = (first, *lanes)
        file = min(self.workqueue, key=lambda file: order.index(lane_of(file)))  # the first of the first lane
        self.workqueue.move_to_end(file, last=False)
        super()._assign_work_unit(node)


@pytest.hookimpl
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    """How `-n 3` shares the tests out."""
    # The order is ours, not by the number of tests in a file: that would leave the longest for the end.
    config.option.loadscopereorder = False
    return WaitingFirst(config, log)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Whoever asks for the engine needs it: `-m engine` and `-m "not engine"` select by fixture, too."""
    left_out: list[pytest.Item] = []
    lacking = [fixture for fixture, (_, missing) in OPTIONAL.items() if missing()]
    for item in items:
        names: list[str] = getattr(item, "fixturenames", [])
        if any(name in names for name in ENGINE_GROUNDS):
            item.add_marker(pytest.mark.engine)
        is_too_long = not IS_LONG and any(_is_meant(mark, item) for mark in item.iter_markers("long"))
        lacks_podman = "podman_ground" in names and not os.environ.get(PODMAN)
        is_lacking = lacks_podman or any(name in names for name in lacking)
        if is_too_long or (is_lacking and os.environ.get("CI") != "true"):
            left_out.append(item)
    items.sort(key=lambda item: (END_TO_END not in item.path.parts, item.get_closest_marker("slow") is None))
    if left_out:
        items[:] = [item for item in items if item not in left_out]
        config.hook.pytest_deselected(items=left_out)


def _is_meant(mark: pytest.Mark, item: pytest.Item) -> bool:
    """Whether a mark is about this form of a test: about all, or those whose id has one of its words."""
    form = item.name.partition("[")[2].rstrip("]").split("-")
    return not mark.args or any(word in form for word in mark.args)


@pytest.fixture
def anyio_backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> tuple[str, dict[str, object]]:
    """The event loop of the test and its options."""
    if request.param == "trio":
        return "trio", {"clock": virtual_clock(monkeypatch)}
    return str(request.param).partition("-")[0], {}


@pytest.fixture(scope="session", autouse=True)
def _no_daemon_outlives_the_tests(tmp_path_factory: pytest.TempPathFactory) -> Generator[None]:
    yield
    end_left(tmp_path_factory.getbasetemp())


@pytest.fixture
def real_io() -> None:
    """Run on asyncio only: the test waits for threads, sockets or children."""


@pytest.fixture
def virtual_time() -> None:
    """Run on trio only: the test lets time pass."""


@pytest.fixture
def real_io_both() -> None:
    """Run on asyncio, and on trio with the real clock: the claim is about real I/O on both."""


@pytest.fixture(scope="session")
def engine_ground() -> Generator[EngineGround]:
    """The engine of this session with the fixture images; what carries our label is removed at the end."""
    with open_ground() as ground:
        yield ground


@pytest.fixture
async def docker_engine(engine_ground: EngineGround) -> AsyncGenerator[LabelledEngine]:
    """A real `DockerEngine` that puts the session's label on whatever it makes."""
    async with engine_ground.engine() as engine:
        yield engine


@pytest.fixture(scope="session")
def podman_ground() -> Generator[EngineGround]:
    """The Podman whose socket WS_MCP_PODMAN_SOCKET names; without it they are deselected, in CI they fail."""
    if not os.environ.get(PODMAN):
        pytest.fail(f"{PODMAN} names no Podman; here (CI=true) that is a failure", pytrace=False)
    with open_ground(os.environ[PODMAN], is_required=True) as ground:
        yield ground


@pytest.fixture
async def podman_engine(podman_ground: EngineGround) -> AsyncGenerator[LabelledEngine]:
    """A `DockerEngine` that speaks to Podman."""
    async with podman_ground.engine() as engine:
        yield engine
        # Each container that is there makes Podman's answers slower.
        await engine.remove_made()


@pytest.fixture(scope="session", params=ENGINES)
def each_ground(request: pytest.FixtureRequest) -> EngineGround:
    """The Docker of this session, then the Podman if there is one."""
    ground: EngineGround = request.getfixturevalue("engine_ground" if request.param == "docker" else "podman_ground")
    return ground


@pytest.fixture(scope="session")
def kept_swarm() -> Generator[SwarmGround]:
    """The swarm of this session; tests ask for `swarm_ground`."""
    with open_swarm() as ground:
        yield ground


@pytest.fixture
def swarm_ground(kept_swarm: SwarmGround) -> SwarmGround:
    """Three managers that run, reach each other and have a leader; a test may kill and cut them as it likes."""
    kept_swarm.mend()
    return kept_swarm


@pytest.fixture(scope="session")
def devcontainer_ground(engine_ground: EngineGround) -> Generator[DevcontainerGround]:
    """The real dev container CLI; without it its tests are deselected, in CI they fail."""
    _must_be_there("devcontainer_ground")
    ground = DevcontainerGround(engine_ground)
    run_in_thread(ground.look)
    yield ground
    run_in_thread(ground.clean)


@pytest.fixture(scope="session")
def postgres() -> Generator[Postgres]:
    """A PostgreSQL server; without its programs its tests are deselected, in CI they fail."""
    _must_be_there("postgres")
    with open_postgres_server() as server:
        yield server


@pytest.fixture(scope="session")
def conformance() -> None:
    """The official conformance suite is there; without it its tests are deselected, in CI they fail."""
    _must_be_there("conformance")


@pytest.fixture(scope="session")
def inspector() -> tuple[str, ...]:
    """How the official Inspector's command line is started; without it its tests are deselected, in CI they fail."""
    _must_be_there("inspector")
    return (*INSPECTOR.argv, "--cli")


@pytest.fixture(scope="session")
def wheelhouse() -> None:
    """The wheels of what ws-mcp needs are there; without them their tests are deselected, in CI they fail."""
    _must_be_there("wheelhouse")


@pytest.fixture(scope="session")
def mcpb_packer() -> None:
    """The official packer of bundles is there; without it its tests are deselected, in CI they fail."""
    _must_be_there("mcpb_packer")


def _must_be_there(fixture: str) -> None:
    if reason := OPTIONAL[fixture][1]():
        pytest.fail(f"{reason}; here (CI=true) that is a failure", pytrace=False)
