"""External inputs of what stands: a changed one is another desired state, an unusable one changes nothing."""

import asyncio
import contextlib
import pathlib
import threading
from collections.abc import AsyncIterator, Iterable

import pytest

from agent.converge import intake, reading, signals
from agent.kit import tasks
from agent.manifests import admission, pipeline
from agent.model import external_input, state
from agent.model.key import Kind
from agent.sources import api, build_contexts, external_inputs
from tests.unit.converge import conftest

IMAGE = "apiVersion: trimtab.dev/v1\nkind: Image\nmetadata: {name: app}\nspec: {archive: {path: %s}}\n"
BUILT = "apiVersion: trimtab.dev/v1\nkind: Image\nmetadata: {name: app}\nspec: {build: {context: %s}}\n"
WITH_FILE = (
    "apiVersion: trimtab.dev/v1\nkind: Container\nmetadata: {name: web}\n"
    "spec: {image: app:1, networks: none, envFile: [%s], env: {B: own}}\n"
)
PLAIN = "apiVersion: trimtab.dev/v1\nkind: Container\nmetadata: {name: api}\nspec: {image: app:1, networks: none}\n"


@pytest.fixture
def taken(stage: conftest.Stage, script: conftest.Script) -> intake.Intake:
    parts = stage.parts
    around = intake.Surroundings(script, parts.book, parts.sink, parts.time, pipeline.ParseOptions())
    return intake.Intake(around, lambda: None)


@contextlib.asynccontextmanager
async def watching(taken: intake.Intake) -> AsyncIterator[tasks.Crew]:
    """Watch the external inputs meanwhile."""
    async with tasks.Crew(lambda name, error: pytest.fail(f"{name}: {error}")) as crew:
        crew.start(taken.watch_inputs(), name="external inputs")
        yield crew


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at inputs without hints, every few milliseconds."""
    monkeypatch.setattr(intake, "INPUTS", 0.01)


def env(taken: intake.Intake) -> dict[str, str]:
    """Return the environment of the first container that is desired."""
    return dict(taken.standing.containers[0].env)


@pytest.fixture
def read_inputs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count the looks at inputs."""
    looks: list[int] = []
    read = external_inputs.InputTracker.read

    def counted(
        tracker: external_inputs.InputTracker, inputs: Iterable[external_input.ExternalInput]
    ) -> external_input.Inputs:
        looks.append(1)
        return read(tracker, inputs)

    monkeypatch.setattr(external_inputs.InputTracker, "read", counted)
    return looks


async def test_archive__rewritten__is_another_desired_state_within_a_moment(
    taken: intake.Intake, script: conftest.Script, until: conftest.Until, tmp_path: pathlib.Path
) -> None:
    archive = tmp_path / "app.tar"
    archive.write_bytes(b"one")
    script.write("app.yaml", IMAGE % archive)
    await taken.read()
    first = taken.standing
    async with watching(taken):
        archive.write_bytes(b"another")
        await until(lambda: taken.standing != first)
    assert taken.standing.with_objects({Kind.IMAGE: ()}) == first.with_objects({Kind.IMAGE: ()})


@pytest.mark.usefixtures("often")
async def test_inputs__are_as_they_were__nothing_is_lowered_again(
    stage: conftest.Stage,
    script: conftest.Script,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    until: conftest.Until,
    read_inputs: list[int],
) -> None:
    archive = tmp_path / "app.tar"
    archive.write_bytes(b"one")
    script.write("app.yaml", IMAGE % archive)
    parts = stage.parts
    around = intake.Surroundings(script, parts.book, parts.sink, parts.time, pipeline.ParseOptions())
    taken = intake.Intake(around, lambda: None)
    await taken.read()
    lowered: list[str] = []
    lower = pipeline.lower

    def counted(parsed: pipeline.Parsed, revision: str, states: external_input.Inputs) -> state.DesiredState:
        lowered.append(revision)
        return lower(parsed, revision, states)

    monkeypatch.setattr(pipeline, "lower", counted)
    async with watching(taken):
        await until(lambda: len(read_inputs) >= 5)
        assert lowered == []
        archive.write_bytes(b"another")
        await until(lambda: len(lowered) == 1)


@pytest.mark.usefixtures("often")
async def test_inputs__a_newer_revision_while_they_are_looked_at__is_not_put_back(
    stage: conftest.Stage, script: conftest.Script, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = tmp_path / "app.tar"
    archive.write_bytes(b"one")
    script.write("app.yaml", IMAGE % archive)
    parts = stage.parts
    around = intake.Surroundings(script, parts.book, parts.sink, parts.time, pipeline.ParseOptions())
    taken = intake.Intake(around, lambda: None)
    await taken.read()
    lowers, go_on = threading.Event(), threading.Event()
    with_inputs = reading.Reading.with_inputs

    def slow(before: reading.Reading, inputs: external_input.Inputs) -> reading.Reading:
        lowered = with_inputs(before, inputs)
        lowers.set()
        go_on.wait(10)
        return lowered

    monkeypatch.setattr(reading.Reading, "with_inputs", slow)
    archive.write_bytes(b"another")
    async with watching(taken) as crew:
        await asyncio.to_thread(lowers.wait)
        monkeypatch.setattr(reading.Reading, "with_inputs", with_inputs)
        script.write("api.yaml", PLAIN)
        crew.start(taken.read(), name="read")
        await asyncio.sleep(0.05)
        go_on.set()
        async with asyncio.timeout(10):
            while "read" in crew:  # noqa: ASYNC110 - the crew tells it so
                await asyncio.sleep(0.01)
        newest = (await script.snapshot()).revision
        assert (taken.standing.revision, len(taken.standing.containers)) == (newest, 1)
        await asyncio.sleep(0.05)  # several looks at the archives
        assert (taken.standing.revision, len(taken.standing.containers)) == (newest, 1)
    kept = stage.parts.book.good()
    assert kept is not None
    assert kept.desired == taken.standing


@pytest.fixture
def env_file(script: conftest.Script, tmp_path: pathlib.Path) -> pathlib.Path:
    """An env file that a container of the source uses."""
    path = tmp_path / "web.env"
    path.write_text("A=1\nB=file\n")
    script.write("web.yaml", WITH_FILE % path)
    return path


async def test_env_file__changed__is_another_desired_state_within_a_moment(
    taken: intake.Intake, until: conftest.Until, env_file: pathlib.Path
) -> None:
    await taken.read()
    assert env(taken) == {"A": "1", "B": "own"}
    async with watching(taken):
        env_file.write_text("A=2\nC=3\n")
        await until(lambda: env(taken) == {"A": "2", "B": "own", "C": "3"}, patience=5)


@pytest.mark.usefixtures("often")
@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "does not exist"), ("A=1\nno such thing\n", "web.env:2:1: this line has no =")],
)
async def test_env_file__becomes_unusable__what_stands_goes_on_until_it_is_back(
    stage: conftest.Stage,
    taken: intake.Intake,
    until: conftest.Until,
    env_file: pathlib.Path,
    content: str | None,
    message: str,
) -> None:
    await taken.read()
    before = taken.standing
    async with watching(taken):
        if content is None:
            env_file.unlink()
        else:
            env_file.write_text(content)
        await until(lambda: message in taken.trouble)
        assert taken.standing == before
        assert len(stage.of(signals.SourceRejected)) == 1
        env_file.write_text("A=2\n")
        await until(lambda: env(taken) == {"A": "2", "B": "own"})
        assert taken.trouble == ""


@pytest.mark.usefixtures("often")
async def test_env_file__of_a_new_revision_is_missing__that_stands_once_it_is_there(
    stage: conftest.Stage, taken: intake.Intake, script: conftest.Script, until: conftest.Until, tmp_path: pathlib.Path
) -> None:
    script.write("api.yaml", PLAIN)
    await taken.read()
    path = tmp_path / "web.env"
    script.write("web.yaml", WITH_FILE % path)
    async with watching(taken):
        await taken.read()
        assert "does not exist" in taken.trouble
        assert [container.name for container in taken.standing.containers] == ["api"]
        await taken.read()
        assert [signal.repeated for signal in stage.of(signals.SourceRejected)] == [False, True]
        path.write_text("A=1\n")
        await until(lambda: len(taken.standing.containers) == 2)
        assert taken.trouble == ""


@pytest.mark.usefixtures("often")
async def test_archive_of_what_stands__changes_while_a_newer_revision_is_bad__is_followed(
    taken: intake.Intake, script: conftest.Script, until: conftest.Until, tmp_path: pathlib.Path
) -> None:
    archive = tmp_path / "app.tar"
    archive.write_bytes(b"one")
    script.write("app.yaml", IMAGE % archive)
    await taken.read()
    first = taken.standing
    script.write("bad.yaml", "kind: Nothing\n")
    async with watching(taken):
        await taken.read()
        trouble = taken.trouble
        assert trouble
        archive.write_bytes(b"another")
        await until(lambda: taken.standing != first)
        assert taken.trouble == trouble


async def test_understand__missing_env_file__is_a_problem_at_the_manifests_line(tmp_path: pathlib.Path) -> None:
    data = (WITH_FILE % "../x/web.env").encode()
    snapshot = api.SourceSnapshot(
        "r1",
        (api.SourceFile("m/web.yaml", str(tmp_path / "m"), data),),
        folder=external_input.SourceFolder(str(tmp_path)),
    )
    understood = reading.understand(snapshot, pipeline.ParseOptions())
    message = "m/web.yaml:4:48: ../x/web.env does not exist (create it, or take it out of the manifest)"
    assert [str(problem) for problem in understood.problems] == [message]
    assert not any(True for _ in understood.desired)


async def test_read_certain__a_file_that_is_named_has_been_cut__waits_until_that_counts(
    taken: intake.Intake, env_file: pathlib.Path
) -> None:
    await taken.read()
    async with watching(taken), tasks.Crew() as crew:
        crew.start(taken.watch(), name="source")
        env_file.write_text("A=1\n")
        desired = await taken.read_certain()
        assert dict(desired.containers[0].env) == {"A": "1", "B": "own"}
        assert env(taken) == {"A": "1", "B": "own"}


@pytest.mark.usefixtures("often")
async def test_watch__context_that_is_not_admitted__is_not_looked_at(
    stage: conftest.Stage, script: conftest.Script, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str] = []
    monkeypatch.setattr(build_contexts, "observe", lambda external: looked.append(external.path))
    monkeypatch.setattr(build_contexts, "rules_of", lambda external: looked.append(external.path))
    (tmp_path / "app").mkdir()
    admitted = admission.Policy(admission.Level.BASELINE, own=(str(tmp_path / "own"),))
    parts, options = stage.parts, pipeline.ParseOptions(admitted=admitted)
    taken = intake.Intake(intake.Surroundings(script, parts.book, parts.sink, parts.time, options), lambda: None)
    script.write("app.yaml", BUILT % (tmp_path / "app"))
    await taken.read()
    assert "is not admitted" in taken.trouble
    async with watching(taken):
        await asyncio.sleep(0.2)
    assert looked == []
