"""Why a run of the dev container CLI failed, in one line for a model: what happened, and what to do next (pure).

The CLI says which command line failed; the reason stands somewhere in its log, in the words of Docker, of a shell or of
Node. The first row of the table whose pattern is found in there wins, so that what is particular stands first.
Source: recorded from 0.89.0 (tests/core/devcontainers/recordings), and its sources for what cannot be recorded here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from ws_mcp.core.devcontainers.cli_build import BuildLines
from ws_mcp.core.devcontainers.cli_lines import meaning_of
from ws_mcp.core.errors import one_line

LIMIT = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a failed run said. `lines`: of its log, all levels; `shown`: the last ones a reader may see."""

    message: str = ""
    description: str = ""
    lines: tuple[str, ...] = ()
    shown: tuple[str, ...] = ()
    build: BuildLines
    last_of_hook: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    pattern: re.Pattern[str]
    is_of_cli: bool  # only in what the CLI itself says: a build writes ENOENT and the like, too
    words: str  # {names} are groups of the pattern, or {last}, {of_hook}, {of_build}, {step}, {engine}


def _log(pattern: str, words: str) -> _Row:
    return _Row(pattern=re.compile(pattern), is_of_cli=False, words=words)


def _cli(pattern: str, words: str) -> _Row:
    return _Row(pattern=re.compile(pattern), is_of_cli=True, words=words)


_HOST = r"(?:ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH)"
_ROWS = (
    # Hooks.
    _log(
        r"(?P<hook>(?:\S+ of )?\w+Command) from (?P<origin>.+?) failed with exit code (?P<code>12[67])\b",
        "{hook} failed with exit code {code}, a command that is not in the container or cannot be run: {of_hook};"
        " the container runs, later hooks were not run: correct the hook, then recreate",
    ),
    _log(
        r"(?P<hook>(?:\S+ of )?\w+Command) from (?P<origin>.+?) failed with exit code (?P<code>\d+)",
        "{hook} failed with exit code {code}: {of_hook}; the container runs, later hooks were not run: correct the"
        " hook, then recreate",
    ),
    _log(
        r"(?P<hook>(?:\S+ of )?\w+Command) from (?P<origin>.+?) failed",
        "{hook} failed: {of_hook}; the container runs, later hooks were not run: correct the hook, then recreate",
    ),
    _cli(
        r"The initializeCommand in the devcontainer\.json failed",
        "initializeCommand, which runs on the machine of the server, failed: {of_hook}; nothing was built",
    ),
    # The engine and this machine.
    _log(
        r"Cannot connect to the Docker daemon|permission denied while trying to connect|error during connect",
        "the container engine does not answer the dev container CLI: see `ws-mcp doctor`",
    ),
    _log(
        r"no space left on device",
        "no disk space is left on the engine or on this machine: free some (`docker system df` shows what takes it)",
    ),
    _cli(
        r"spawn \S*(?:docker|podman)-compose ENOENT",
        "docker compose is not installed, and this dev container needs it: install the compose plugin of Docker"
        " (docker-compose-plugin) on the machine of the server",
    ),
    _cli(
        r"spawn (?:\S*/)?(?P<name>[^\s/]+) ENOENT",
        "the program {name} is not on the machine of the server: install it there (the CLI uses Docker's command line)",
    ),
    _cli(
        r"Command failed: id -u -n|cannot find name for user ID",
        "the user that the server runs as has no name on its machine: give it an entry in /etc/passwd",
    ),
    # The definition.
    _cli(
        r"Dev container config \((?P<path>[^)]*)\) not found",
        "the definition {path} is not there: it was moved or removed; the dev container list has those there are",
    ),
    _cli(r"Dev container config .*must contain a JSON object", "the definition is no JSON object: it has to be one"),
    _cli(
        r"is missing one of \"image\"",
        'the definition names neither "image" nor "build" nor "dockerComposeFile": add one of them',
    ),
    _cli(r"EISDIR", "the definition, or a file that it names, is a directory: a file has to be there"),
    _cli(r"(?:EROFS|EACCES)[^']*'(?P<path>[^']*)'", "{path} cannot be read or written: check who may, then try again"),
    _cli(
        r"ENOENT[^']*'(?P<path>[^']*)/devcontainer-feature\.json'",
        "the local feature {path} is not there, or has no devcontainer-feature.json: correct its name in features",
    ),
    _cli(
        r"ENOENT[^']*'(?P<path>[^']*)'",
        "the file {path}, which the definition names, is not there: create it, or correct its name",
    ),
    _cli(
        r"Service '(?P<name>[^']*)' configured in devcontainer\.json not found",
        "the compose files have no service {name!r}: correct `service` in the definition",
    ),
    _cli(
        r"An error occurred retrieving the Docker Compose configuration",
        "docker compose cannot read the compose files: {last}; correct them, then try again",
    ),
    _log(
        rf"Resolving Feature dependencies for '(?P<feature>[^']*)'[\s\S]*{_HOST}(?: (?P<host>[\w.-]+))?",
        "the registry of feature {feature} cannot be reached from the machine of the server: use a local feature"
        " (./name), or give the machine access",
    ),
    _cli(
        r"Could not resolve Feature '(?P<feature>[^']*)'|Feature '(?P<other>[^']*)' could not be processed",
        "there is no feature {feature}{other}, or it cannot be read: correct its name and version in features",
    ),
    # Images and builds.
    _log(
        r"(?m)^(?:ERROR: )?failed to solve.*docker/dockerfile[:/]",
        "BuildKit cannot fetch its Dockerfile frontend from the registry: give the engine access to it, use Docker 23"
        " or newer, or remove features",
    ),
    _cli(
        r"Command failed: \S+ pull (?P<image>\S+)",
        "the image {image} is not on the engine and cannot be pulled{engine}; correct its name, or build or load it",
    ),
    _log(
        r"Feature \"(?P<feature>[^\"]*)\" .*failed to install",
        "the feature {feature} failed to install: {of_build}; correct its options or its install.sh",
    ),
    _log(
        r"unknown instruction: (?P<word>\S+)",
        "the Dockerfile has an unknown instruction {word}: correct it, then try again",
    ),
    _cli(
        r"An error occurred building the (?:image|Docker Compose images)|Command failed: \S+ (?:buildx )?build ",
        "the build failed{step}: {of_build}; correct the Dockerfile, then try again",
    ),
    # The container.
    _log(r"cannot start a paused container", "the container is paused: unpause it, then try again"),
    _log(
        r"unable to find user (?P<user>[^\s:]+)",
        "the user {user} (remoteUser, containerUser) is not in the image: name one that is, or create it in the image",
    ),
    _log(
        r"unable to upgrade to tcp, received 500",
        "Podman cannot run a command as the user of the dev container: is remoteUser or containerUser in the image?"
        " Name one that is, or create it in the image",
    ),
    _log(
        r"could not select device driver|nvidia-container-cli",
        'the engine has no GPU to give: make it "optional" in hostRequirements, or remove --gpus from runArgs',
    ),
    _log(
        r"exec: \\?\"/bin/sh\\?\".*no such file",
        "the image has no shell: a dev container needs /bin/sh; use another image",
    ),
    _log(
        r'invalid argument "type=bind,source=(?P<path>.*?),target=.* for "--mount" flag',
        "the folder {path} cannot be mounted, for its name has a quotation mark or a comma: rename it",
    ),
    _log(
        r"bind source path does not exist: (?P<path>\S+)",
        "a mount names {path}, which is not on the engine's machine: create it, or correct mounts",
    ),
    _log(
        r"port is already allocated|address already in use",
        "a port of the dev container is taken{engine}; free it, or change appPort or ports",
    ),
    _log(
        r"unknown (?:shorthand )?flag: (?P<flag>.+)",
        "runArgs has {flag}, which `docker run` does not know: correct runArgs",
    ),
    _log(
        r"is already in progress|Conflict\. The container name",
        "the engine is still busy with the old container{engine}; try again in a moment",
    ),
    _log(
        r"[Cc]ontainer \S+ is not running",
        "the container ended at once: give the service a command that stays (`command: sleep infinity`), or set"
        " overrideCommand to true",
    ),
    _cli(
        r"The expected container does not exist",
        "there is no container of this dev container any more: recreate it",
    ),
    _log(
        r"Unknown arguments?: (?P<what>.+)|Unmatched argument format: (?P<other>.+)",
        "the dev container CLI refused its arguments ({what}{other}): its version does not fit; `make devcontainers`"
        " installs the one that does",
    ),
    _cli(r"Command failed: \S+ run ", "the engine did not create the container{engine}; correct the definition"),
)
_ENGINE = re.compile(r"(?:^docker: )?Error response from daemon: (?P<words>.+)|^docker: (?P<client>.+)")


def reason_of(said: Said) -> str:
    """Why it failed. Only what a reader may see is taken over from the log."""
    of_cli = f"{said.message}\n{said.description}"
    log = "\n".join((*said.lines, of_cli))
    for row in _ROWS:
        if found := row.pattern.search(of_cli if row.is_of_cli else log):
            groups = {name: _own(value) for name, value in found.groupdict(default="").items()}
            return one_line(row.words.format(**groups, **_words_of(said)), LIMIT)
    return one_line(f"the dev container CLI failed: {said.description or _last(said.shown)}", LIMIT)


def _words_of(said: Said) -> dict[str, str]:
    build = said.build
    code = f" with exit code {build.code}" if build.code else ""
    return {
        "last": _last(said.shown),
        "of_hook": said.last_of_hook or "it wrote nothing",
        "of_build": build.last or build.reason or _last(said.shown),
        "step": f" at {one_line(str(build.step), 160)}{code}" if build.step else "",
        "engine": _engine(said.shown),
    }


def _last(shown: Iterable[str]) -> str:
    told = [line for line in shown if not re.match(r"Exit code \d|(?:Error: )?Command failed: ", line)]
    return told[-1] if told else "it said no more"


def _engine(shown: Iterable[str]) -> str:
    """The last words of the engine, but for those that a pull begins with: that the image is not there yet."""
    found = [match["words"] or match["client"] for line in shown if (match := _ENGINE.search(line))]
    told = [words for words in found if "no such image" not in words.lower()]
    return f": {one_line(told[-1], 240)}" if told else ""


def _own(value: str) -> str:
    """A part of a line of the log: as the line would be shown."""
    return meaning_of(one_line(value, 240)) or one_line(value, 240)
