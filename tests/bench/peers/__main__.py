"""Install peers, drive them and us with the same steps, print one table: `make bench-peers`."""

from __future__ import annotations

import argparse
import dataclasses
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from tests.bench import svg, table
from tests.bench.ground import ROOT, host
from tests.bench.peers.bench import FULL, QUICK
from tests.bench.peers.figures import Figure, Figures
from tests.bench.peers.image import IMAGE, make_image
from tests.bench.peers.installs import PACKAGES, install_all
from tests.bench.peers.on_engine import SandboxEnv, ServerDocker
from tests.bench.peers.on_host import BackgroundJob, CodexExecServer, DesktopCommander
from tests.bench.peers.ours import Ours
from tests.bench.peers.rows import ROWS, table_of
from tests.bench.peers.side import Side
from tests.bench.peers.steps import STEPS, failure_of, go_through

RESULTS = ROOT / "bench-results"
PAGE = ROOT / "docs" / "peers.md"
PICTURES = ROOT / "docs" / "pictures"
OURS = (Ours().name, Ours(IMAGE).name)


def main() -> int:
    """Install or measure; what could not be had is said and is no failure."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.peers", description=__doc__)
    parser.add_argument("what", choices=("install", "measure"))
    parser.add_argument("--quick", action="store_true", help="a tenth of everything")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="only sides with this in the name")
    parser.add_argument("--step", action="append", choices=tuple(STEPS), help="only these steps")
    parser.add_argument("--join", action="store_true", help="take all else from the newest kept run")
    parser.add_argument("--write", action="store_true", help="put table and pictures into docs/")
    options = parser.parse_args()
    if options.what == "install":
        install_all(_say)
        return 0
    where, sides = host(), _newest() if options.join else {}
    for side in _sides():
        if not options.only or any(word in side.name for word in options.only):
            steps = options.step or tuple(STEPS)
            kept = {key: one for key, one in sides.get(side.name, {}).items() if key not in map(failure_of, steps)}
            sides[side.name] = kept | go_through(side, QUICK if options.quick else FULL, _say, steps)
    rows = table_of(sides, OURS)
    print(f"\n{where}\n\n{table.columns(rows)}\n", flush=True)
    _keep(where, sides)
    for name, figures in sides.items():
        for key in figures:
            if key.startswith("failed"):
                _say(f"{name}: {key}: {figures[key].text}")
    if options.write:
        _write(where, sides, rows)
    return 0


def _sides() -> Iterator[Side]:
    """Whoever can be driven here."""
    yield Ours()
    has_engine = _has_engine()
    if has_engine:
        yield Ours(make_image())
    found = {package.name: package.found for package in PACKAGES}
    makers: Mapping[str, Callable[[Path], Side]] = {
        "@openai/codex": CodexExecServer,
        "@wonderwhy-er/desktop-commander": DesktopCommander,
        "mcp-background-job": BackgroundJob,
        "sandbox-env-mcp": lambda program: SandboxEnv(program, IMAGE),
        "mcp-server-docker": lambda program: ServerDocker(program, IMAGE),
    }
    for name, make in makers.items():
        program = found[name]
        if program is None:
            _say(f"{name}: is not installed, and is left out")
        elif name in ("sandbox-env-mcp", "mcp-server-docker") and not has_engine:
            _say(f"{name}: no container engine answers, so it is left out")
        else:
            yield make(program)


def _newest() -> dict[str, Figures]:
    """The sides of the newest kept run; none without one."""
    kept = sorted(RESULTS.glob("peers-*.json"))
    if not kept:
        return {}
    found = cast("dict[str, dict[str, dict[str, Any]]]", json.loads(kept[-1].read_text())["sides"])
    return {
        name: {key: Figure(value=one["value"], text=one["text"]) for key, one in figures.items()}
        for name, figures in found.items()
    }


def _has_engine() -> bool:
    with suppress(OSError, subprocess.TimeoutExpired):
        return not subprocess.run(("docker", "version"), capture_output=True, timeout=10, check=False).returncode
    return False


def _keep(where: str, sides: Mapping[str, Figures]) -> None:
    RESULTS.mkdir(exist_ok=True)
    kept = {
        "machine": where,
        "versions": {package.name: package.version for package in PACKAGES},
        "sides": {
            name: {key: dataclasses.asdict(figure) for key, figure in figures.items()}
            for name, figures in sides.items()
        },
    }
    (RESULTS / f"peers-{time.strftime('%Y%m%dT%H%M%S')}.json").write_text(json.dumps(kept, indent=1) + "\n")


def _write(where: str, sides: Mapping[str, Figures], rows: list[tuple[str, ...]]) -> None:
    versions = ", ".join(f"{package.name} {package.version}" for package in PACKAGES)
    words = [f"{where}. {versions}.", "", table.markdown(rows), ""]
    for row in ROWS:
        if row.has_plot:
            path = PICTURES / f"peers-{row.key.replace('_', '-')}.svg"
            path.write_text(svg.bars(row.title, [_bar(name, figures, row.key) for name, figures in sides.items()]))
            words.append(f"![{row.title}](pictures/{path.name})")
    failed = [
        f"- {name}, {key}: {figure.text}"
        for name, figures in sides.items()
        for key, figure in figures.items()
        if key.startswith("failed")
    ]
    table.put(PAGE, "peers", "\n".join([*words, *(["", "What failed:", "", *failed] if failed else [])]))


def _bar(name: str, figures: Figures, key: str) -> svg.Bar:
    figure = figures.get(key)
    return svg.Bar(
        name=name,
        value=figure.value if figure else None,
        text=figure.text if figure else "failed",
        is_ours=name in OURS,
    )


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
