"""A wheel that was installed into an empty environment, as a newcomer has it: the demo, and `uvx`."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.built import HERE, make_dist
from support.wheelhouse import BIN, install, run, temporary_of

from ws_mcp import __version__

BOUND_S = 100.0  # of a whole demo; it takes about twenty seconds
CLAIMS = ("its exit code is 3", "the same chat has the same process ids", "no tick is missing or there twice")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel for this machine."""
    (made,) = make_dist(tmp_path_factory.mktemp("dist"), HERE)
    return made


@pytest.fixture(scope="module")
def programs(wheelhouse: None, wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the programs of an environment are that has the wheel and what it needs, and nothing else."""
    return install(wheel, tmp_path_factory.mktemp("installed"))


def test_what_is_installed_is_the_wheel_and_nothing_of_this_checkout(programs: Path, tmp_path: Path) -> None:
    done = run(str(programs / "python"), "-c", "import ws_mcp; print(ws_mcp.__file__)", home=tmp_path)
    assert Path(done.stdout.strip()).is_relative_to(programs.parent)
    missing = run(str(programs / "python"), "-c", "import pytest", home=tmp_path)
    assert "No module named 'pytest'" in missing.stderr
    assert run(str(programs / "ws-mcp"), "--version", home=tmp_path).stdout == f"ws-mcp {__version__}\n"


@pytest.mark.slow
def test_the_demo_holds_without_an_engine(programs: Path, tmp_path: Path) -> None:
    # Without a sandbox where bubblewrap may not be used: what is shown is that nothing is missing from the wheel.
    flags = ("--engine", "none", "--allow-host-processes")
    assert_holds(programs, tmp_path, *flags)


@pytest.mark.long  # test_people.py has it from the checkout
@pytest.mark.slow
@pytest.mark.usefixtures("engine_ground")
def test_the_demo_holds_on_an_engine(programs: Path, tmp_path: Path) -> None:
    said = assert_holds(programs, tmp_path)
    assert "in containers of" in said
    assert "ok   it is gone with its data" in said


def assert_holds(programs: Path, home: Path, *flags: str) -> str:
    """The demo's words, all of which were true."""
    done = run(str(programs / "ws-mcp"), "demo", *flags, home=home, timeout_s=BOUND_S)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [claim for claim in CLAIMS if f"ok   {claim}" not in done.stdout] == []
    assert "nothing of the demo is left" in done.stdout
    assert list(temporary_of(home).iterdir()) == []
    return done.stdout


@pytest.mark.usefixtures("wheelhouse")
def test_uvx_gets_it_with_all_that_it_needs(wheel: Path, tmp_path: Path) -> None:
    done = run(str(BIN / "uvx"), "--from", str(wheel), "ws-mcp", "--version", home=tmp_path)
    assert done.stdout == f"ws-mcp {__version__}\n", done.stderr
