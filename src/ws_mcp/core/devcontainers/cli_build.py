"""What a build of the dev container CLI tells: its steps, the last words of one, how far it is (pure).

The lines are those of `docker build` with the legacy builder, with BuildKit and on Podman, alone or below compose.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_LEGACY_STEP = re.compile(r"(?:\[\d+/\d+\] )?(?:Step|STEP) (?P<n>\d+)/(?P<of>\d+) ?: (?P<what>.*)")
_BUILDKIT_STEP = re.compile(r"#\d+ \[(?:[^\]]*\s)?(?P<n>\d+)/(?P<of>\d+)\] (?P<what>.*)")
_FAILED_STEP = re.compile(r"> \[(?:[^\]]*\s)?(?P<n>\d+)/(?P<of>\d+)\] (?P<what>.*?):?$")
_BUILDKIT_OUTPUT = re.compile(r"#\d+ \d+(?:\.\d+)? (?P<text>.*)")
_NO_OUTPUT = re.compile(
    r"#\d+ |--->|Removing intermediate|Successfully |Sending build|DEPRECATED|Install the buildx|https://docs\.docker"
    r"|------|=====|-->|COMMIT |(?:Error: )?building at STEP "
    r'|ERROR: Feature "|(?:Feature|Description|Id|Version|Documentation|Options) *:'
    r"|> \[|\d+\.\d+ |Dockerfile\S*:\d+|(?:>>> )?\d* ?\||The command '|ERROR: failed|failed to solve"
)
_CODE = re.compile(r"(?:exit code: |exit status |returned a non-zero code: )(?P<code>\d+)")
_LACKS_FRONTEND = re.compile(r"(?:ERROR: )?failed to solve.*docker/dockerfile[:/]")
_REASON = re.compile(r"(?:ERROR: )?failed to solve: (?P<solve>.*)|(?P<copy>COPY failed: .*|ADD failed: .*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A step of a build."""

    number: int
    of: int
    what: str

    def __str__(self) -> str:
        return f"step {self.number}/{self.of} ({self.what})"


class BuildLines:
    """The lines of all builds of one run, one after the other."""

    def __init__(self) -> None:
        self.step: Step | None = None
        self.last = ""  # the last line that a step wrote
        self.code = ""  # with which it failed
        self.lacks_frontend = False  # BuildKit could not fetch what it reads Dockerfiles with
        self.reason = ""  # why a build failed that failed without a step's words

    @property
    def share(self) -> float:
        """How much of the build is behind it."""
        return min(max(self.step.number - 1, 0) / self.step.of, 1.0) if self.step and self.step.of else 0.0

    def feed(self, line: str) -> None:
        """Take the next whole line, or one that is not whole yet."""
        step = _LEGACY_STEP.match(line) or _BUILDKIT_STEP.match(line) or _FAILED_STEP.match(line)
        if step:
            is_new = self.step is None or int(step["n"]) != self.step.number
            self.last = "" if is_new and not line.startswith(">") else self.last
            self.step = Step(number=int(step["n"]), of=int(step["of"]), what=step["what"])
            return
        self.lacks_frontend = self.lacks_frontend or bool(_LACKS_FRONTEND.match(line))
        if code := _CODE.search(line):
            self.code = code["code"]
        if reason := _REASON.match(line):
            self.reason = reason["solve"] or reason["copy"]
        if output := _BUILDKIT_OUTPUT.match(line):
            self.last = output["text"] or self.last
        elif line and not _NO_OUTPUT.match(line) and not reason:
            self.last = line
