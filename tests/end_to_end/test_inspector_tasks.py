"""The Inspector's command line declares tasks: what takes long it gets by one."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from end_to_end.test_inspector import Asker
from support.instances import IMAGE, Instance
from support.peers import project_of, server_argv, server_environment


@pytest.mark.slow
def test_the_inspector_asks_for_what_takes_long_by_its_task(
    inspector: tuple[str, ...], instance: Instance, tmp_path: Path
) -> None:
    command, *arguments = server_argv("stdio", instance.state, "--image", IMAGE)
    place = str(project_of(instance.state))
    server = {"command": command, "args": arguments, "env": server_environment(), "cwd": place}
    config = tmp_path / "inspector.json"
    config.write_text(json.dumps({"mcpServers": {"ws": server}}))
    asker = Asker(inspector=inspector, target=("--config", str(config), "--server", "ws"), era="modern")
    made = asker.told("provision_workspace", {"options": {"ready": {"command": "sleep 4", "wait_s": 30}}})
    assert (made["change"], made["is_ready"]) == ("created", True)
    with closing(sqlite3.connect(instance.state / "state.db")) as database:
        assert database.execute("SELECT tool, state FROM tickets").fetchall() == [("provision_workspace", "completed")]
