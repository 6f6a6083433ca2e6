"""Calls that must be refused, what each refusal must say to do next, and other words in it, tool by tool."""

from __future__ import annotations

from collections.abc import Mapping

Row = tuple[str, dict[str, object], str, *tuple[str, ...]]
"""The case, the arguments, what to do next, other words. LIVING, ENDED and HUGE stand for what only the test has."""

GONE = "p_zzzzzzzz"
HUGE = 3_000_000  # bytes: a message with it is below what the transport takes
MISSING = "no process 'p_zzzzzzzz'"

ROWS: Mapping[str, tuple[Row, ...]] = {
    "start_process": (
        (
            "unknown workspace",
            {"command": "true", "workspace": "no"},
            "provision_workspace",
            "no workspace 'no'",
            "main",
        ),
        ("unknown argument", {"command": "true", "timout": 5}, "it takes command", "'timout'", "it takes command"),
        ("missing argument", {}, "give it", "`command` is missing"),
        ("empty command", {"command": ""}, "give a shell line", "`command`", "empty"),
        ("blank command", {"command": " \n"}, "give a shell line", "`command`", "empty"),
        ("empty list as command", {"command": []}, "give a shell line", "`command`", "empty"),
        ("command of a wrong type", {"command": 5}, "should be a valid string", "`command`"),
        ("program that does not exist", {"command": ["no-such-program"]}, "Check the spelling", "no-such-program"),
        ("cwd that does not exist", {"command": "true", "cwd": "/no/such"}, "Give a directory that exists", "/no/such"),
        (
            "cwd that is a file",
            {"command": "true", "cwd": "/bin/busybox"},
            "Give a directory that exists",
            "/bin/busybox",
        ),
        ("negative wait of a start", {"command": "true", "wait_s": -0.5}, "greater than or equal to 0", "`wait_s`"),
        ("NUL in the command", {"command": "echo a\x00b"}, "leave it out", "`command`", "NUL"),
        ("NUL in an argument", {"command": ["echo", "a\x00b"]}, "leave it out", "`command`", "NUL"),
        ("NUL in cwd", {"command": "true", "cwd": "/\x00"}, "leave it out", "`cwd`", "NUL"),
        ("NUL in the environment", {"command": "true", "env": {"A": "\x00"}}, "leave it out", "`env`", "NUL"),
        ("environment name with =", {"command": "true", "env": {"A=B": "c"}}, "give one that", "`env`"),
        ("3 MB of environment", {"command": "true", "env": {"A": "HUGE"}}, "use a file", "`env`", "too large"),
        ("key that is too long", {"command": "true", "request_key": "k" * 300}, "give a shorter one", "request_key"),
        ("terminal with two streams", {"command": "true", "pty": True, "separate_stderr": True}, "not both", "pty"),
        ("closed directory", {"command": "true", "cwd": "/proc/1"}, "leave it out", "cwd"),
        ("reserved variable of a process", {"command": "true", "env": {"WSMCP_X": "1"}}, "choose another", "WSMCP_"),
        ("command that is too long", {"command": "true " * 100_000}, "write a script", "`command`", "too long"),
    ),
    "remove_workspace": (("unknown workspace to remove", {"name": "no"}, "it has: main", "no workspace 'no'", "main"),),
    "stop_workspace": (("unknown workspace to stop", {"name": "no"}, "it has: main", "no workspace 'no'", "main"),),
    "workspace_files": (
        ("unknown workspace to read", {"action": "list", "workspace": "no"}, "it has: main", "no workspace 'no'"),
        ("path outside", {"action": "read", "path": "/etc/passwd"}, "give one relative to", "outside"),
        ("path that climbs", {"action": "read", "path": "../etc/passwd"}, "'..'", "cannot be used"),
        ("written configuration", {"action": "write", "path": "/configs/a", "content": ""}, "write below /workspace"),
        ("nothing to write", {"action": "write", "path": "a"}, "makes an empty file", "`content`"),
        ("no base64", {"action": "write_base64", "path": "a", "content": "?"}, "use action 'write'", "base64"),
        ("3 MB of content", {"action": "write", "path": "a", "content": "HUGE"}, "at most", "`content`", "too long"),
    ),
    "read_output": (
        ("unknown process to read", {"process_id": GONE}, "list_processes", MISSING, "it has: p_"),
        (
            "offset beyond the end",
            {"process_id": "LIVING", "offset": 1000000},
            "give that offset or a lower one, or tail",
            "offset",
            "end",
        ),
        (
            "offset beyond all",
            {"process_id": "LIVING", "offset": 1 << 62},
            "next offset of an answer",
            "beyond the end",
        ),
        ("stderr that is in stdout", {"process_id": "LIVING", "stream": "stderr"}, "separate_stderr", "one stream"),
        ("pattern that is too long", {"process_id": "LIVING", "pattern": "a" * 1025}, "give a shorter one", "pattern"),
        ("negative offset", {"process_id": "LIVING", "offset": -1}, "greater than or equal to 0", "`offset`"),
        ("offset and tail", {"process_id": "LIVING", "offset": 0, "tail": 5}, "not both", "`offset` or `tail`"),
        ("negative wait of a read", {"process_id": "LIVING", "wait_s": -1}, "greater than or equal to 0", "`wait_s`"),
        (
            "bad pattern",
            {"process_id": "LIVING", "wait_for": "pattern", "pattern": "("},
            "write a backslash",
            "pattern",
        ),
    ),
    "signal_process": (
        ("unknown process to signal", {"process_id": GONE}, "list_processes", MISSING, "it has: p_"),
        (
            "unknown signal",
            {"process_id": "LIVING", "signal": "STOP"},
            "there are TERM, KILL",
            "`signal`",
            "TERM, KILL",
        ),
        ("negative grace", {"process_id": "LIVING", "grace_s": -1}, "greater than or equal to 0", "`grace_s`"),
        ("signal to an ended process", {"process_id": "ENDED"}, "can still be read", "ended"),
    ),
    "write_input": (
        ("unknown process to write to", {"process_id": GONE, "text": "x"}, "list_processes", MISSING, "it has: p_"),
        ("stdin that is not open", {"process_id": "LIVING", "text": "x"}, "start it with keep_stdin", "keep_stdin"),
    ),
    "list_processes": (
        ("unknown chat", {"chat": "c_" + "A" * 22}, "Leave `chat` out", "no chat", "provision_workspace"),
        ("unreadable chat", {"chat": "../\u202e;"}, "Leave `chat` out", "no chat", "provision_workspace"),
    ),
    "provision_workspace": (
        ("NUL in a workspace name", {"name": "a\x00"}, "leave it out", "`name`", "NUL"),
        (
            "3 MB of environment for a workspace",
            {"name": "big", "env": {"A": "HUGE"}},
            "use a file",
            "`env`",
            "too large",
        ),
        (
            "image that does not exist",
            {"name": "new", "image": "no-such:1"},
            "get it with",
            "no-such:1",
            "docker pull",
            "build",
        ),
        ("image name that cannot be", {"name": "new", "image": "../../containers/json?x"}, "write name", "image"),
        ("workspace name that cannot be", {"name": "Ü ber/.."}, "1 to 63 characters", "workspace name"),
        ("tier zero", {"name": "new", "tier": 0}, "greater than or equal to 1", "`tier`"),
        ("image of a local workspace", {"name": "new", "kind": "local", "image": "a:1"}, "use a container", "image"),
        ("unknown option", {"name": "new", "options": {"memory": 1}}, "it takes runtime", "'memory'"),
        ("option that stands alone", {"name": "new", "replace": "always"}, "one of its `options`", "'replace'"),
        ("folder without a root", {"name": "new", "options": {"folder": "/etc", "access": "read_only"}}, "--root"),
        ("unknown template", {"name": "new", "options": {"template": "no"}}, "--template NAME", "'no'"),
        ("too large", {"name": "new", "options": {"memory_mib": 99999}}, "ask for less", "--largest"),
        ("tier that is not granted", {"name": "new", "tier": 3}, "Use that", "tier 2", "--max-tier 3"),
        ("port that cannot be", {"name": "new", "ports": [70000]}, "less than or equal to 65535", "`ports`"),
        ("port without a network", {"name": "new", "tier": 1, "ports": [80]}, "use tier 2", "tier 1", "no network"),
        ("reserved variable", {"name": "new", "env": {"WSMCP_VERIFIER": "x"}}, "reserved", "WSMCP_VERIFIER"),
        ("workspace that differs", {"name": "main", "tier": 1}, "choose another name", "main", "tier"),
    ),
}
