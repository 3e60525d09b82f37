"""External inputs of manifests: which are declared, what lowering takes of them, what is wrong in them."""

import gc

import pytest
import yaml

from agent.manifests import inputs, pipeline, program_limits
from agent.model import external_input
from agent.model.external_input import ExternalInput, InputKind, InputState, SourceFolder
from agent.model.image import ArchiveSource, BuildSource

WEB = "apiVersion: trimtab.dev/v1\nkind: Container\nmetadata: {name: web}\nspec:\n  image: x\n  %s\n"
FOLDER = SourceFolder("/srv/site")


def parsed(spec: str) -> pipeline.Parsed:
    """Parse a container of /srv/site/apps/web.yaml, whose spec goes on in line 6."""
    file = pipeline.ManifestFile("site/apps/web.yaml", "/srv/site/apps", (WEB % spec).encode(), FOLDER)
    return pipeline.parse([file])


def env_file(path: str) -> ExternalInput:
    """Return an env file's input."""
    return ExternalInput(InputKind.ENV_FILE, path, FOLDER)


def states(**contents: str) -> external_input.Inputs:
    """Return states of env files in /srv/site/apps by their names."""
    return {env_file(f"/srv/site/apps/{name}.env"): InputState("1", text.encode()) for name, text in contents.items()}


def test_env_file__relative_and_absolute__are_declared_below_the_folder() -> None:
    result = parsed("envFile: [web.env, ../common.env, /srv/site/x/../y.env]")
    assert result.problems == ()
    paths = [(external.kind, external.path, external.within) for external in result.inputs]
    assert paths == [
        (InputKind.ENV_FILE, path, FOLDER)
        for path in ("/srv/site/apps/web.env", "/srv/site/common.env", "/srv/site/y.env")
    ]


@pytest.mark.parametrize("path", ["../../other.env", "/etc/shadow", "/srv/site-other/a.env", "../../site-other/a.env"])
def test_env_file__outside_of_the_source__is_a_problem_at_its_place(path: str) -> None:
    message = f"site/apps/web.yaml:6:13: {path} is not below the source's folder, /srv/site (move it there)"
    assert [str(problem) for problem in parsed(f"envFile: [{path}]").problems] == [message]


def test_env_file__without_a_folder__is_below_the_manifests_own() -> None:
    file = pipeline.ManifestFile("web.yaml", "/srv/apps", (WEB % "envFile: [../a.env]").encode())
    assert "is not below the source's folder, /srv/apps" in str(pipeline.parse([file]).problems[0])


def test_parse__sound_files__no_node_of_theirs_is_kept() -> None:
    before = sum(isinstance(thing, yaml.Node) for thing in gc.get_objects())
    result = parsed("envFile: [a.env]")
    assert sum(isinstance(thing, yaml.Node) for thing in gc.get_objects()) == before
    states = {env_file("/srv/site/apps/a.env"): InputState("1", b"", "is a directory", "name a file")}
    (shown,) = pipeline.input_problems(result, states)
    assert (shown.line, shown.column, shown.message) == (6, 13, "a.env is a directory")


def test_lower__env_files__later_ones_win_and_env_wins_over_all() -> None:
    result = parsed("envFile: [a.env, b.env]\n  env: {C: own}")
    desired = pipeline.lower(result, "r1", states(a="A=a\nB=a\nC=a\n", b="B=b\nC=b\n"))
    assert dict(desired.containers[0].env) == {"A": "a", "B": "b", "C": "own"}


def test_lower__same_states__give_the_same_and_another_content_gives_another() -> None:
    result = parsed("envFile: [a.env]")
    first, second = (pipeline.lower(result, "r1", states(a="A=1\n")) for _ in range(2))
    assert first == second
    assert pipeline.lower(result, "r1", states(a="A=2\n")) != first


def test_problems__unusable_file__is_at_the_manifest_and_a_bad_line_at_the_file() -> None:
    result = parsed("envFile: [a.env, ../b.env]")
    known = {
        env_file("/srv/site/apps/a.env"): InputState("", problem="does not exist", hint="create it"),
        env_file("/srv/site/b.env"): InputState("1", b"A=1\nB\n"),
    }
    assert [str(problem) for problem in pipeline.input_problems(result, known)] == [
        "site/apps/web.yaml:6:13: a.env does not exist (create it)",
        (
            "site/b.env:2:1: this line has no =: a variable of the agent's own environment is not passed on"
            " (write NAME=VALUE, or NAME= for an empty value)"
        ),
    ]


def test_problems__good_files__are_none() -> None:
    assert pipeline.input_problems(parsed("envFile: [a.env]"), states(a="A=1\n")) == ()


def test_problems__more_variables_than_a_source_may_have__are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs, "LARGEST_USE", 6)
    problems = pipeline.input_problems(parsed("envFile: [a.env, b.env]"), states(a="A=1\n", b="B=1\n"))
    assert [problem.message for problem in problems] == [
        "env files make more than 0 MiB of variables, each use counted"
    ]


def filled(*sizes: int) -> external_input.Inputs:
    """Return states of env files a, b, c, ... of these sizes in bytes."""
    return states(**{chr(ord("a") + number): "A=" + "x" * (size - 2) for number, size in enumerate(sizes)})


def test_problems__files_of_one_container__are_bounded_together() -> None:
    result = parsed("envFile: [a.env, b.env]")
    half = program_limits.MOST_BYTES // 12
    whole = parsed(f"envFile: [{', '.join(f'{chr(97 + number)}.env' for number in range(13))}]")
    assert pipeline.input_problems(result, filled(half, half)) == ()
    assert [str(problem) for problem in pipeline.input_problems(whole, filled(*[half] * 11, half - 2, 2))] == []
    assert [str(problem) for problem in pipeline.input_problems(whole, filled(*[half] * 11, half - 2, 3))] == [
        (
            "site/apps/web.yaml:6:12: the env files of a container have more than 768 KiB"
            " (give large data as a file, by a mount)"
        )
    ]


def test_problems__exactly_as_many_variables_as_a_source_may_have__are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs, "LARGEST_USE", 8)
    result = parsed("envFile: [a.env, b.env]")
    assert pipeline.input_problems(result, states(a="A=1\n", b="B=1\n")) == ()
    (problem,) = pipeline.input_problems(result, states(a="A=1\n", b="B=12\n"))
    assert (problem.line, problem.column, problem.hint) == (6, 20, "let fewer containers use them")


def test_problems__other_kinds__have_no_env_files() -> None:
    archive = (
        "---\napiVersion: trimtab.dev/v1\nkind: Image\nmetadata: {name: app}\nspec: {archive: {path: ../app.tar}}\n"
    )
    result = parsed(f"envFile: [a.env]\n{archive}")
    assert result.problems == ()
    assert [(external.kind, external.path) for external in result.inputs] == [
        (InputKind.ARCHIVE, "/srv/site/app.tar"),
        (InputKind.ENV_FILE, "/srv/site/apps/a.env"),
    ]
    assert pipeline.input_problems(result, states(a="A=1\n")) == ()
    (image,) = [config for config in pipeline.lower(result, "r1", states(a="A=1\n")).images if config.name == "app"]
    assert image.source == ArchiveSource(
        "/srv/site/app.tar", external_input.InputState(external_input.MISSING).fingerprint
    )


BUILD = "---\napiVersion: trimtab.dev/v1\nkind: Image\nmetadata: {name: app}\nspec: {build: %s}\n"


@pytest.mark.parametrize(
    ("spec", "context", "dockerfile"),
    [
        ("{}", "/srv/site/apps", "/srv/site/apps/Dockerfile"),
        ("{context: ../app}", "/srv/site/app", "/srv/site/app/Dockerfile"),
        ("{context: /src, dockerfile: docker/Web}", "/src", "/src/docker/Web"),
        ("{context: app, dockerfile: ../Dockerfile}", "/srv/site/apps/app", "/srv/site/apps/Dockerfile"),
        ("{dockerfile: /src/Dockerfile}", "/srv/site/apps", "/src/Dockerfile"),
    ],
)
def test_build__paths__start_at_the_manifest_and_at_the_context(spec: str, context: str, dockerfile: str) -> None:
    result = parsed("envFile: []\n" + BUILD % spec)
    assert result.problems == ()
    (external,) = result.inputs
    assert (external.kind, external.path, external.dockerfile) == (InputKind.BUILD, context, dockerfile)


def test_build__its_files__are_its_stamp_and_missing_ones_are_no_problem_of_the_source() -> None:
    result = parsed("envFile: []\n" + BUILD % "{context: /src}")
    (external,) = result.inputs
    for state in (external_input.InputState("1"), external_input.InputState(external_input.MISSING)):
        assert pipeline.input_problems(result, {external: state}) == ()
        (image,) = [config for config in pipeline.lower(result, "r1", {external: state}).images if config.name == "app"]
        assert image.reference == "localhost/app:latest"
        assert image.source == BuildSource("/src", "/src/Dockerfile", state.fingerprint)


def test_build__context_that_cannot_be_looked_at__is_its_images_trouble_alone() -> None:
    result = parsed("envFile: []\n" + BUILD % "{context: /src}")
    (external,) = result.inputs
    state = external_input.InputState(external_input.MISSING, problem="has more than 5 files")
    assert pipeline.input_problems(result, {external: state}) == ()
    (image,) = [config for config in pipeline.lower(result, "r1", {external: state}).images if config.name == "app"]
    assert image.source == BuildSource("/src", "/src/Dockerfile", "", problem="has more than 5 files")


def test_problems__behind_an_image__are_still_found_and_each_limit_is_told_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    head = "apiVersion: trimtab.dev/v1\nkind: %s\nmetadata: {name: %s}\nspec: %s\n---\n"
    pulled = head % ("Image", "app", "{pull: {reference: x}}")
    web, two = (head % ("Container", name, "{image: x, envFile: [a.env, b.env, c.env]}") for name in ("web", "web-2"))
    file = pipeline.ManifestFile("site/apps/web.yaml", "/srv/site/apps", (pulled + web + two).encode(), FOLDER)
    result = pipeline.parse([file])
    assert [external.kind for external in result.inputs] == [InputKind.ENV_FILE] * 3
    contents = states(a="A=1\n", b="B=1\n", c="C=1\n")
    monkeypatch.setattr(program_limits, "MOST_BYTES", 4)
    assert [problem.line for problem in inputs.problems(result.manifests, contents)] == [9, 14]
    monkeypatch.setattr(program_limits, "MOST_BYTES", 40)
    monkeypatch.setattr(inputs, "LARGEST_USE", 4)
    assert [problem.line for problem in inputs.problems(result.manifests, contents)] == [9]


def test_is_below__a_folder_itself_and_no_sibling() -> None:
    assert inputs.is_below("/srv/site", "/srv/site/")
    assert inputs.is_below("/srv/site/a", "/srv/site")
    assert not inputs.is_below("/srv/site-other", "/srv/site")
    assert not inputs.is_below("/srv", "/srv/site")


def test_states__print_no_content() -> None:
    assert "s3cret" not in repr(states(a="A=s3cret\n"))
