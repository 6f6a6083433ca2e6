"""Calls that must be refused, and words that each refusal must have, tool by tool."""

from __future__ import annotations

from collections.abc import Mapping

Row = tuple[str, dict[str, object], *tuple[str, ...]]
"""The case, the arguments, the words. LIVING, ENDED and HUGE stand for what only the test has."""

GONE = "p_zzzzzzzz"
HUGE = 3_000_000  # bytes: a message with it is below what the transport takes
MISSING = "no process 'p_zzzzzzzz'"

ROWS: Mapping[str, tuple[Row, ...]] = {
    "start_process": (
        ("unknown workspace", {"command": "true", "workspace": "no"}, "no workspace 'no'", "main"),
        ("unknown argument", {"command": "true", "timout": 5}, "'timout'", "it takes command"),
        ("missing argument", {}, "`command` is missing"),
        ("empty command", {"command": ""}, "`command`", "empty"),
        ("blank command", {"command": " \n"}, "`command`", "empty"),
        ("empty list as command", {"command": []}, "`command`", "empty"),
        ("command of a wrong type", {"command": 5}, "`command`"),
        ("program that does not exist", {"command": ["no-such-program"]}, "no-such-program"),
        ("cwd that does not exist", {"command": "true", "cwd": "/no/such"}, "/no/such"),
        ("cwd that is a file", {"command": "true", "cwd": "/bin/busybox"}, "/bin/busybox"),
        ("negative wait of a start", {"command": "true", "wait_s": -0.5}, "`wait_s`"),
        ("NUL in the command", {"command": "echo a\x00b"}, "`command`", "NUL"),
        ("NUL in an argument", {"command": ["echo", "a\x00b"]}, "`command`", "NUL"),
        ("NUL in cwd", {"command": "true", "cwd": "/\x00"}, "`cwd`", "NUL"),
        ("NUL in the environment", {"command": "true", "env": {"A": "\x00"}}, "`env`", "NUL"),
        ("environment name with =", {"command": "true", "env": {"A=B": "c"}}, "`env`"),
        ("3 MB of environment", {"command": "true", "env": {"A": "HUGE"}}, "`env`", "too large"),
        ("command that is too long", {"command": "true " * 100_000}, "`command`", "too long"),
    ),
    "remove_workspace": (("unknown workspace to remove", {"name": "no"}, "no workspace 'no'", "main"),),
    "read_output": (
        ("unknown process to read", {"process_id": GONE}, MISSING, "it has: p_"),
        ("offset beyond the end", {"process_id": "LIVING", "offset": 1000000}, "offset", "end"),
        ("negative offset", {"process_id": "LIVING", "offset": -1}, "`offset`"),
        ("offset and tail", {"process_id": "LIVING", "offset": 0, "tail": 5}, "`offset` or `tail`"),
        ("negative wait of a read", {"process_id": "LIVING", "wait_s": -1}, "`wait_s`"),
        ("bad pattern", {"process_id": "LIVING", "wait_for": "pattern", "pattern": "("}, "pattern"),
    ),
    "signal_process": (
        ("unknown process to signal", {"process_id": GONE}, MISSING, "it has: p_"),
        ("unknown signal", {"process_id": "LIVING", "signal": "STOP"}, "`signal`", "TERM, KILL"),
        ("negative grace", {"process_id": "LIVING", "grace_s": -1}, "`grace_s`"),
        ("signal to an ended process", {"process_id": "ENDED"}, "ended"),
    ),
    "write_input": (
        ("unknown process to write to", {"process_id": GONE, "text": "x"}, MISSING, "it has: p_"),
        ("stdin that is not open", {"process_id": "LIVING", "text": "x"}, "keep_stdin"),
    ),
    "list_processes": (
        ("unknown chat", {"chat": "c_" + "A" * 22}, "no chat", "provision_workspace"),
        ("unreadable chat", {"chat": "../\u202e;"}, "no chat", "provision_workspace"),
    ),
    "provision_workspace": (
        ("NUL in a workspace name", {"name": "a\x00"}, "`name`", "NUL"),
        ("3 MB of environment for a workspace", {"name": "big", "env": {"A": "HUGE"}}, "`env`", "too large"),
        ("image that does not exist", {"name": "new", "image": "no-such:1"}, "no-such:1", "docker pull", "build"),
        ("image name that cannot be", {"name": "new", "image": "../../containers/json?x"}, "image"),
        ("workspace name that cannot be", {"name": "Ü ber/.."}, "workspace name"),
        ("tier that is not offered", {"name": "new", "tier": 3}, "tier"),
        ("port that cannot be", {"name": "new", "ports": [70000]}, "`ports`"),
        ("port without a network", {"name": "new", "tier": 1, "ports": [80]}, "tier 1", "no network"),
        ("reserved variable", {"name": "new", "env": {"WSMCP_VERIFIER": "x"}}, "WSMCP_VERIFIER"),
        ("workspace that differs", {"name": "main", "tier": 1}, "main", "tier"),
    ),
}
