"""What doctor makes of engines that this machine does not have, and of what an operator chose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from support.fake_engine import FakeEngine
from support.fake_world import INFO
from support.workspace_ground import an_engine

from ws_mcp import doctor_engine, doctor_rules
from ws_mcp.console import Mark
from ws_mcp.core.devcontainers.choices import DevContainerChoices
from ws_mcp.core.engine.model import EngineInfo
from ws_mcp.core.workspaces.rules import WorkspaceRules
from ws_mcp.doctor_devcontainers import Said, allowed_fact, builder_facts, devcontainer_facts, podman_facts
from ws_mcp.doctor_engine import image_facts
from ws_mcp.doctor_rules import rule_facts
from ws_mcp.facts import Fact

NEW = replace(INFO, version="29.5.1", endpoint="unix:///run/engine.sock")
PODMAN = replace(NEW, kind="podman", version="6.1.2", has_live_restore=False)
USUAL = WorkspaceRules()
MISSING = "registry.example/missing:1"


def facts_of(info: EngineInfo, rules: WorkspaceRules = USUAL, *, has_names: bool = True) -> list[Fact]:
    return [
        *doctor_engine._age(info),
        *doctor_engine._limits(info),
        *doctor_engine._restarts(info),
        *doctor_engine._distance(info, rules),
        *doctor_engine._podman(info, rules, has_names=has_names),
    ]


def warnings_of(facts: list[Fact]) -> list[str]:
    return [f"{fact.text} -> {fact.advice}" for fact in facts if fact.mark is not Mark.OK]


@pytest.mark.parametrize("info", [NEW, PODMAN], ids=["docker", "podman"])
def test_a_new_engine_that_keeps_processes_gives_no_advice(info: EngineInfo) -> None:
    assert warnings_of(facts_of(info)) == []


@pytest.mark.parametrize(
    ("info", "words"),
    [
        (replace(NEW, version="20.10.24+dfsg1"), "29.5.1 has it fixed"),
        (replace(NEW, kind="podman", version="4.3.1"), "6.1.2 has it fixed"),
        (replace(NEW, is_rootless=True, cgroup_version="1"), "use cgroup v2"),
        (replace(NEW, security_options=()), "without seccomp"),
        (replace(NEW, has_live_restore=False), "live-restore"),
    ],
    ids=["old docker", "old podman", "limits do not hold", "no seccomp", "no live-restore"],
)
def test_an_engine_that_is_not_as_it_should_be_gets_one_piece_of_advice(info: EngineInfo, words: str) -> None:
    (advice,) = [fact.advice for fact in facts_of(info) if fact.mark is Mark.WARN]
    assert words in advice


def test_podman_needs_no_live_restore() -> None:
    assert doctor_engine._restarts(replace(NEW, kind="podman", has_live_restore=False)) == []


def test_a_runtime_that_podman_would_not_take_is_said_to_stop_every_workspace() -> None:
    rules = WorkspaceRules(container_runtime="runsc")
    (said,) = warnings_of(facts_of(PODMAN, rules))
    assert "no workspace can be made" in said
    assert "containers.conf" in said
    assert warnings_of(facts_of(NEW, rules)) == []


def test_a_podman_without_a_name_server_is_said_to_have_no_names_in_networks() -> None:
    (said,) = warnings_of(facts_of(PODMAN, has_names=False))
    assert "by name" in said
    assert "aardvark-dns" in said
    far = replace(PODMAN, endpoint="ssh://elsewhere")
    assert warnings_of(facts_of(far, has_names=False)) == [], "what is installed elsewhere is not known here"


def test_roots_give_nothing_to_an_engine_on_another_machine(tmp_path: Path) -> None:
    (said,) = warnings_of(facts_of(replace(NEW, endpoint="tcp://elsewhere:2375"), WorkspaceRules(roots=(tmp_path,))))
    assert "on another machine" in said


@pytest.mark.parametrize(("most", "mark"), [(2, Mark.OK), (3, Mark.WARN)])
def test_an_engine_that_refuses_privileges_matters_where_they_are_granted(most: int, mark: Mark) -> None:
    (fact,) = doctor_engine._privileges(WorkspaceRules(max_tier=most), is_refused=True)
    assert (fact.mark, bool(fact.advice)) == (mark, mark is Mark.WARN)
    assert doctor_engine._privileges(WorkspaceRules(max_tier=most), is_refused=False) == []


def test_podman_is_never_taken_for_the_docker_that_refuses_privileges() -> None:
    assert not doctor_engine._refuses_privileges(PODMAN)
    assert not doctor_engine._refuses_privileges(replace(NEW, endpoint="tcp://elsewhere:2375"))


async def images_of(engine: FakeEngine, info: EngineInfo, rules: WorkspaceRules) -> list[Fact]:
    return await image_facts(engine, info, rules)


async def test_images_that_the_server_was_told_of_are_looked_for() -> None:
    engine = an_engine()
    (there,) = [tag for image in await engine.list_images() for tag in image.tags if "empty" not in tag][:1]
    rules = WorkspaceRules(default_image=there, runtimes={"py": MISSING})
    found, missing = await images_of(engine, NEW, rules)
    assert (found.mark, found.text) == (Mark.OK, f"--image: {there} is on the engine")
    assert (missing.mark, missing.text) == (Mark.WARN, f"--runtime py: {MISSING} is not on the engine")
    assert f"docker pull {MISSING}" in missing.advice
    (of_podman,) = await images_of(engine, PODMAN, WorkspaceRules(default_image=MISSING))
    assert f"podman pull {MISSING}" in of_podman.advice


async def test_an_image_that_is_pulled_when_needed_is_no_warning() -> None:
    (fact,) = await images_of(an_engine(), NEW, WorkspaceRules(default_image=MISSING, may_pull=True))
    assert fact.mark is Mark.OK
    assert "pulled when a workspace needs it" in fact.text


async def test_a_name_that_no_image_can_have_is_said_with_its_flag() -> None:
    (fact,) = await images_of(an_engine(), NEW, WorkspaceRules(default_image="-v"))
    assert fact.mark is Mark.WARN
    assert fact.text.startswith("--image: ")


@pytest.mark.parametrize(("most", "power"), [(3, "tier 3 is root"), (4, "tier 4 has the engine itself")])
def test_root_on_the_host_for_callers_is_a_danger(most: int, power: str) -> None:
    (fact,) = rule_facts(WorkspaceRules(max_tier=most))
    assert fact.is_danger
    assert fact.mark is Mark.WARN
    assert power in fact.text


def test_the_usual_tiers_are_no_danger() -> None:
    (fact,) = rule_facts(USUAL)
    assert (fact.is_danger, fact.mark) == (False, Mark.OK)


def test_tier_1_alone_is_said_to_refuse_callers_that_name_no_tier() -> None:
    (fact,) = rule_facts(WorkspaceRules(max_tier=1))
    assert (fact.is_danger, fact.mark) == (False, Mark.WARN)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A directory that only this user can change, with two files."""
    found = tmp_path / "project"
    (found / "sub").mkdir(parents=True)
    for directory in (tmp_path, found, found / "sub"):
        directory.chmod(0o755)
    (found / "config.yaml").write_text("a: 1\n")
    (found / "sub" / "more").write_text("more\n")
    return found


def directory_facts(rules: WorkspaceRules) -> list[Fact]:
    return rule_facts(rules)[1:]


def test_directories_as_they_should_be_are_shown_with_what_they_hold(project: Path) -> None:
    rules = WorkspaceRules(roots=(project,), templates={"web": project}, homes={"agent": project})
    root, template, home = directory_facts(rules)
    assert [fact.mark for fact in (root, template, home)] == [Mark.OK] * 3
    assert str(project) in root.text
    assert (template.topic, template.text) == ("template", "'web' has 2 files, 10 B")
    assert (home.topic, home.text) == ("home", "'agent' has 2 files, 10 B")


def test_directories_that_are_not_there_are_found(project: Path) -> None:
    gone = project / "gone"
    facts = directory_facts(WorkspaceRules(roots=(gone,), templates={"web": gone}, homes={"agent": gone}))
    assert [fact.topic for fact in facts] == ["root", "template", "home"]
    assert all(fact.mark is Mark.WARN and fact.advice for fact in facts)


def test_a_template_that_no_workspace_can_be_made_with_is_found(project: Path) -> None:
    (project / "link").symlink_to("config.yaml")
    (fact,) = directory_facts(WorkspaceRules(templates={"web": project}))
    assert fact.mark is Mark.WARN
    assert "'link', which is a link" in fact.text


@pytest.mark.parametrize("at", [".", ".."], ids=["itself", "above"])
def test_directories_that_others_can_write_are_found(project: Path, at: str) -> None:
    (project / at).resolve().chmod(0o777)
    rules = WorkspaceRules(roots=(project,), templates={"web": project}, homes={"agent": project})
    for fact in directory_facts(rules):
        assert fact.mark is Mark.WARN
        assert "can be written by others" in fact.text
        assert "chmod go-w" in fact.advice


def test_a_root_with_the_home_directory_in_it_is_found(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(project / "sub"))
    (fact,) = directory_facts(WorkspaceRules(roots=(project,)))
    assert fact.mark is Mark.WARN
    assert "keys" in fact.text


def test_a_directory_that_goes_while_it_is_looked_at_is_no_crash(project: Path) -> None:
    found = doctor_rules.weakness(project / "gone")
    assert found is not None
    assert "cannot be looked at" in found[0]


# --- dev containers ---


def says(**answers: str) -> Said:
    """Commands that say something, by their words; others are not there."""

    async def said(argv: Sequence[str]) -> str | None:
        return answers.get("_".join(argv).replace("--", "").replace("-", "_"))

    return said


EVERYTHING = says(docker_compose_version="Docker Compose version v2.26.1-4", docker_buildx_version="buildx 0.13.1")


async def test_without_roots_or_an_engine_dev_containers_are_said_to_be_off(tmp_path: Path) -> None:
    for choices, engine in ((DevContainerChoices(), an_engine()), (DevContainerChoices(roots=(tmp_path,)), None)):
        (fact,) = await devcontainer_facts(choices, tmp_path, engine)
        assert (fact.mark, "off: --root DIR" in fact.text) == (Mark.OK, True)


async def test_a_missing_cli_is_a_warning_that_says_how_to_get_it(tmp_path: Path, real_io: None) -> None:
    choices = DevContainerChoices(roots=(tmp_path,), cli=str(tmp_path / "none"), labels={"team": "a"})
    facts = await devcontainer_facts(choices, tmp_path / "state", an_engine())
    assert facts[0].mark is Mark.WARN
    assert "none can be made" in facts[0].text
    assert facts[0].advice.startswith("run `make devcontainers`")
    assert any("0 definitions below the roots; only containers with team=a" in fact.text for fact in facts)


async def test_the_builder_and_compose_are_named_with_their_versions() -> None:
    facts = await builder_facts(NEW, EVERYTHING, lambda _: True)
    assert [fact.text for fact in facts] == ["compose 2.26.1", "images are built by BuildKit (buildx 0.13.1)"]
    assert warnings_of(facts) == []


async def test_without_buildx_and_compose_it_says_what_does_not_work() -> None:
    compose, builder = await builder_facts(NEW, says(), lambda _: True)
    assert "dockerComposeFile cannot be made" in compose.text
    assert "legacy builder" in builder.text


async def test_without_the_engines_command_line_nothing_can_be_made() -> None:
    (fact,) = await builder_facts(NEW, EVERYTHING, lambda _: False)
    assert (fact.mark, fact.advice) == (Mark.WARN, "install the client of Docker")


async def test_podman_builds_by_itself_and_with_its_own_compose() -> None:
    said = says(podman_compose_version="podman-compose version 1.0.3")
    facts = await builder_facts(PODMAN, said, lambda _: True)
    assert [fact.text for fact in facts] == ["compose 1.0.3", "images are built by Podman itself"]


def test_what_podman_cannot_do_is_said_of_the_podman_that_cannot() -> None:
    assert "keep-id" in podman_facts(PODMAN)[0].text
    assert podman_facts(replace(PODMAN, is_rootless=True)) == []
    assert podman_facts(NEW) == []


def test_what_is_allowed_to_definitions_is_named_and_a_danger_is_one() -> None:
    assert "nothing that reaches this machine" in allowed_fact(()).text
    usual = allowed_fact(("compose", "feature:ghcr.io/devcontainers/*"))
    assert (usual.mark, usual.is_danger) == (Mark.OK, False)
    assert "feature:ghcr.io/devcontainers/*" in usual.text
    danger = allowed_fact(("compose", "privileged"))
    assert (danger.mark, danger.is_danger) == (Mark.WARN, True)
    assert "leave --devcontainer-allow privileged out" in danger.advice
