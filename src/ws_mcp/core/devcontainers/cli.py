"""The dev container CLI behind its door: how it is run, watched and ended.

What it says is read in `cli_events`, why it failed in `cli_words`. It leaves one `docker run` client for each container
that it creates, which ends with the container: that is not ended here, for it is in nobody's way.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import anyio

from ws_mcp.core.devcontainers.cli_answer import answer_in, failure_of, flooded_of, result_of, stalled_of
from ws_mcp.core.devcontainers.cli_call import (
    CliTools,
    arguments_of,
    aside_script,
    environment_of,
    lock_of,
    reading_arguments,
    tools_of,
)
from ws_mcp.core.devcontainers.cli_events import EventLog
from ws_mcp.core.devcontainers.cli_found import HOW, OWN, FoundCli, find_cli
from ws_mcp.core.devcontainers.copies import copy_beside, private_program
from ws_mcp.core.devcontainers.model import Key, Phase
from ws_mcp.core.devcontainers.port import CliCall, CliMissingError, CliResult, Outcome, Tell, Verb
from ws_mcp.core.engine.context import resolve_endpoint
from ws_mcp.core.engine.model import EngineInfo
from ws_mcp.core.engine.record import Record
from ws_mcp.core.errors import InvalidArgumentError, StartError, WsError
from ws_mcp.core.host.command import Finished, allowed_environment, run_command

WATCH_S = 1.0  # between two questions whether it is stalled
READ_S = 120.0  # for reading a definition, which may pull its image
IsStalled = Callable[[Phase, float], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Command:
    argv: tuple[str, ...]
    environment: Mapping[str, str]


class RealDevcontainerCli:
    """`@devcontainers/cli` on this machine.

    `setting`: the operator's path, "" to look for it; `engine`: as `--engine` says; `info`: of that engine; `local`:
    the variables of this machine that definitions may read, beside the usual ones in the environment of a run.
    """

    def __init__(
        self,
        *,
        info: Callable[[], Awaitable[EngineInfo]],
        setting: str = "",
        engine: str = "",
        environment: Mapping[str, str] = os.environ,
        local: Mapping[str, str] | None = None,
        own: Path = OWN,
        read_s: float = READ_S,
    ) -> None:
        self._info = info
        self._setting = setting
        self._engine = engine
        self._environment = environment
        self._local = dict(local or {})
        self._own = own
        self._read_s = read_s
        self._found: FoundCli | None = None
        self._has_no_frontend = False

    async def version(self) -> str:
        return (await self._cli()).version

    async def run(self, call: CliCall, tell: Tell, is_stalled: IsStalled) -> CliResult:
        tools = await self._tools()
        log = EventLog()
        result = await self._run_once(call, tools, log, tell, is_stalled)
        if result.outcome is Outcome.ERROR and log.build.lacks_frontend and not tools.has_legacy_builder_only:
            # Whether the engine reaches a registry is known only by trying; it will not change from call to call.
            self._has_no_frontend = True
            tools = replace(tools, has_legacy_builder_only=True)
            result = await self._run_once(call, tools, EventLog(log.fraction), tell, is_stalled)
        return result

    async def configuration(self, key: Key, content: Path | None) -> Mapping[str, object]:
        command = await self._command(reading_arguments(key, content, await self._tools()), {})
        log = EventLog()
        with anyio.move_on_after(self._read_s):
            done = await self._started(command, lambda line: _heard(log, line))
            log.end()
            answer = answer_in(done.stdout, "configuration")
            if done.code or answer is None:
                raise InvalidArgumentError(failure_of(Record(None), done.code, log))
            return answer.members()
        raise InvalidArgumentError(
            f"the definition could not be read within {self._read_s:.0f} s: its image or its features may have"
            " to come from a registry that does not answer; try again"
        )

    async def _run_once(
        self, call: CliCall, tools: CliTools, log: EventLog, tell: Tell, is_stalled: IsStalled
    ) -> CliResult:
        async with _with_aside(call, tools) as reached:
            result = await self._run_with(call, reached, log, tell, is_stalled)
        # What stood in for the engine's program for one run means nothing to who reads this.
        stood_in, program = reached.docker or "docker", tools.docker or "docker"
        tail = tuple(line.replace(stood_in, program) for line in result.tail)
        return replace(result, reason=result.reason.replace(stood_in, program), tail=tail)

    async def _run_with(
        self, call: CliCall, tools: CliTools, log: EventLog, tell: Tell, is_stalled: IsStalled
    ) -> CliResult:
        lock = lock_of(call.key.config)
        has_lock = await anyio.Path(lock).exists()
        if has_lock and call.verb is Verb.BUILD and call.content:
            await copy_beside(lock, call.content)
        command = await self._command(arguments_of(call, tools, has_lock=has_lock), call.environment)
        watch = _Watch(log, tell, is_stalled)
        done: Finished | WsError | None = None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watch.until_stalled, tasks.cancel_scope)
            try:
                done = await self._started(command, watch.hear, call.lock)
            except WsError as error:
                done = error
            tasks.cancel_scope.cancel()
        tell(log.end())
        if isinstance(done, WsError):
            raise done
        if done is None:
            return stalled_of(log, watch.silent_s)
        return flooded_of(log) if done.is_flood else result_of(done.stdout, done.code, log)

    async def _command(self, arguments: tuple[str, ...], of_call: Mapping[str, str]) -> _Command:
        cli = await self._cli()
        endpoint = await anyio.to_thread.run_sync(resolve_endpoint, self._engine, self._environment)
        environment = environment_of(allowed_environment(self._environment), endpoint, {**self._local, **of_call})
        return _Command(argv=(str(cli.path), *arguments), environment=environment)

    async def _started(self, command: _Command, hear: Callable[[bytes], None], lock: int | None = None) -> Finished:
        try:
            return await run_command(command.argv, environment=command.environment, hear=hear, lock=lock)
        except StartError as error:
            self._found = None
            raise CliMissingError(f"the dev container CLI is there no more; {HOW}") from error

    async def _cli(self) -> FoundCli:
        if self._found is None:
            self._found = await find_cli(self._setting, allowed_environment(self._environment), self._own)
        return self._found

    async def _tools(self) -> CliTools:
        search = self._environment.get("PATH")
        tools = tools_of(
            await self._info(), lambda name: shutil.which(name, path=search) is not None, is_root=os.getuid() == 0
        )
        return replace(tools, has_legacy_builder_only=tools.has_legacy_builder_only or self._has_no_frontend)


@asynccontextmanager
async def _with_aside(call: CliCall, tools: CliTools) -> AsyncGenerator[CliTools]:
    """The tools with which the container that makes way is kept."""
    if call.aside is None:
        yield tools
        return
    async with private_program(aside_script(tools.docker, call.aside)) as program:
        yield replace(tools, docker=str(program)) if program else tools


class _Watch:
    """Hears a run, and ends it when it is said to hang."""

    def __init__(self, log: EventLog, tell: Tell, is_stalled: IsStalled) -> None:
        self.silent_s = 0.0
        self._log = log
        self._tell = tell
        self._is_stalled = is_stalled
        self._heard_at = anyio.current_time()

    def hear(self, line: bytes) -> None:
        """Take a line of its log."""
        self._heard_at = anyio.current_time()
        if progress := self._log.feed(line):
            self._tell(progress)

    async def until_stalled(self, scope: anyio.CancelScope) -> None:
        """Cancel `scope` once it hangs."""
        while not self._is_stalled(self._log.phase, self.silent_s):
            await anyio.sleep(WATCH_S)
            self.silent_s = anyio.current_time() - self._heard_at
        scope.cancel()


def _heard(log: EventLog, line: bytes) -> None:
    log.feed(line)
