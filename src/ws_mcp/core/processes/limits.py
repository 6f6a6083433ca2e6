"""The limits of a chat's processes (pure)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessLimits:
    """How much one chat may ask for. What is counted in bytes is counted as UTF-8."""

    running: int = 32  # processes at once, over all places of the chat
    ended: int = 100  # lost ones that are still shown; ended ones are kept by execd
    head_bytes: int = 64 << 10  # first output that is kept, per stream
    tail_bytes: int = 1 << 20  # last output that is kept, per stream
    wait_s: float = 45.0  # hosts give up on a call after 60 s
    grace_s: float = 45.0  # same reason
    time_limit_s: float = 30 * 86_400.0
    command_bytes: int = 64 << 10  # the kernel takes 128 KiB as one argument
    cwd_bytes: int = 4096  # PATH_MAX
    user_bytes: int = 128
    environment_bytes: int = 128 << 10  # names and values; the kernel takes 2 MiB with the arguments
    environment_variables: int = 128
    request_key_bytes: int = 200  # execd takes 256
    pattern_bytes: int = 1024  # as execd
    input_bytes: int = 1 << 20  # one write; a frame takes 4 MiB
    read_bytes: int = 1 << 20  # one window; execd gives 2 MiB
    listed: int = 1000
    terminal_size: int = 1000  # columns and rows
    remembered: int = 2000  # processes whose place is remembered, so that it need not be looked for; few that ended
