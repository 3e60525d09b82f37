"""The loop with a source: what stands when the source is bad, gone or empty, and over restarts."""

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator

import pytest

from agent.converge import intake, journal, loop, signals
from agent.kit import tasks
from agent.manifests import pipeline
from agent.sources import api
from tests.unit.converge import conftest

MANIFEST = "apiVersion: trimtab.dev/v1\nkind: Container\nmetadata: {name: %s}\nspec: {image: app:1, networks: none}\n"


def around(stage: conftest.Stage, script: conftest.Script) -> intake.Surroundings:
    parts = stage.parts
    return intake.Surroundings(script, parts.book, parts.sink, parts.time, pipeline.Terms())


@contextlib.asynccontextmanager
async def running(stage: conftest.Stage, source: api.Source) -> AsyncIterator[loop.Loop]:
    going = loop.Loop(stage.parts, source)

    def failed(name: str, error: BaseException) -> None:
        pytest.fail(f"{name}: {error}")

    async with tasks.Crew(failed) as crew:
        crew.start(going.run(), name="loop")
        yield going


async def test_loop__manifest_appears_and_leaves__so_does_its_container(
    stage: conftest.Stage, script: conftest.Script, until: conftest.Until
) -> None:
    script.write("web.yaml", MANIFEST % "web")
    async with running(stage, script) as going:
        await until(lambda: len(stage.of(signals.RevisionApplied)) == 1)
        script.write("api.yaml", MANIFEST % "api")
        await until(lambda: stage.states() == {"web": "running", "api": "running"})
        await until(lambda: len(stage.of(signals.RevisionApplied)) == 2)
        del script.files["web.yaml"]
        script.changed.set()
        await until(lambda: stage.states() == {"api": "running"})
        await until(lambda: len(stage.of(signals.RevisionApplied)) == 3)
        assert going.ready() == ""
        assert going.alive() == ""
    assert all(one.duration is not None for one in stage.of(signals.RevisionApplied))


async def test_loop__manifest_becomes_bad__last_good_one_stands_and_is_kept(
    stage: conftest.Stage, script: conftest.Script, until: conftest.Until
) -> None:
    script.write("web.yaml", MANIFEST % "web")
    async with running(stage, script) as going:
        await until(lambda: stage.of(signals.RevisionApplied))
        script.write("web.yaml", (MANIFEST % "web").replace("image", "imgae"))
        await until(lambda: stage.of(signals.SourceRejected))
        reads = script.reads
        script.changed.set()
        await until(lambda: script.reads > reads)
        stage.world.end("web", 1)
        await until(lambda: stage.states() == {"web": "running"})
        (rejected,) = stage.of(signals.SourceRejected)
        assert str(rejected.problems[0]).startswith("web.yaml:4:8: ")
        assert going.ready().startswith("web.yaml:4:8: ")
        script.write("web.yaml", MANIFEST % "web")
        await until(lambda: not going.ready())
    applied = {one.revision: one for one in stage.parts.book.history.revisions()}
    assert applied[rejected.revision].problems
    assert applied[rejected.revision].applied_at is None


async def test_loop__source_is_bad_after_a_restart__last_good_one_of_the_journal_stands(
    stage: conftest.Stage, script: conftest.Script, until: conftest.Until
) -> None:
    script.write("web.yaml", MANIFEST % "web")
    async with running(stage, script):
        await until(lambda: stage.of(signals.RevisionApplied))
    stage.world.end("web", 1)
    stage.told.clear()
    script.write("web.yaml", "kind: [")
    async with running(stage, script):
        await until(lambda: stage.states() == {"web": "running"})
        await until(lambda: stage.of(signals.RevisionApplied))
    assert [one.duration for one in stage.of(signals.RevisionApplied)] == [None]
    assert len(stage.of(signals.SourceRejected)) == 1


async def test_loop__source_goes_away__changes_nothing_and_is_told(
    stage: conftest.Stage, script: conftest.Script, until: conftest.Until
) -> None:
    script.write("web.yaml", MANIFEST % "web")
    async with running(stage, script) as going:
        await until(lambda: stage.of(signals.RevisionApplied))
        script.unavailable = "the disk is gone"
        for count in (1, 2):
            script.changed.set()
            await until(lambda count=count: len(stage.of(signals.SourceFailed)) == count)
        assert [one.repeated for one in stage.of(signals.SourceFailed)] == [False, True]
        assert going.ready() == "the disk is gone (mend it)"
        stage.world.end("web", 1)
        await until(lambda: stage.states() == {"web": "running"})
        script.unavailable = ""
        script.changed.set()
        await until(lambda: not going.ready())
    assert stage.states() == {"web": "running"}


async def test_loop__source_is_empty__what_stands_is_kept_running(
    stage: conftest.Stage, script: conftest.Script, until: conftest.Until
) -> None:
    script.write("web.yaml", MANIFEST % "web")
    async with running(stage, script):
        await until(lambda: stage.of(signals.RevisionApplied))
        script.files.clear()
        script.changed.set()
        await until(lambda: stage.of(signals.SourceRead)[-1].empty)
        stage.world.end("web", 1)
        await until(lambda: stage.states() == {"web": "running"})
        script.write("api.yaml", MANIFEST % "api")
        await until(lambda: stage.states() == {"api": "running"})


async def test_loop__source_was_never_good__nothing_is_touched(
    stage: conftest.Stage, script: conftest.Script, until: conftest.Until
) -> None:
    script.unavailable = "no such repository"
    async with running(stage, script) as going:
        await until(lambda: going.converged_once)
    assert stage.world.calls == []


async def test_loop__only_words_of_the_manifest_change__nothing_is_touched(
    stage: conftest.Stage, script: conftest.Script, until: conftest.Until
) -> None:
    script.write("web.yaml", MANIFEST % "web")
    async with running(stage, script):
        await until(lambda: stage.of(signals.RevisionApplied))
        before = len(stage.world.calls)
        script.write("web.yaml", "# now with a comment\n" + MANIFEST % "web")
        await until(lambda: len(stage.of(signals.RevisionApplied)) == 2)
    assert len(stage.world.calls) == before
    assert [one.changed for one in stage.of(signals.SourceRead)].count(True) == 1


@pytest.mark.looptime
async def test_loop__source_hangs_at_the_start__goes_by_the_last_good_one_after_a_while(
    stage: conftest.Stage, until: conftest.Until
) -> None:
    class Hanging(conftest.Script):
        async def snapshot(self) -> api.SourceSnapshot:
            await asyncio.sleep(10_000)
            raise AssertionError

    from tests import builders  # noqa: PLC0415

    stage.parts.book.accept(journal.Good(conftest.declare(builders.config("web")), "script", 1.0))
    async with running(stage, Hanging()) as going:
        await asyncio.sleep(loop.FIRST_READ - 1)
        assert stage.world.calls == []
        assert going.ready() == "no pass has been made yet"
        await until(lambda: stage.states() == {"web": "running"}, patience=5)
        assert going.ready() == "the source has not been read yet"


async def test_intake__archive_is_rewritten__is_another_desired_state(
    stage: conftest.Stage, script: conftest.Script, until: conftest.Until, tmp_path_factory: pytest.TempPathFactory
) -> None:
    archive = tmp_path_factory.mktemp("images") / "app.tar"
    archive.write_bytes(b"one")
    changes: list[int] = []
    script.write(
        "app.yaml",
        f"apiVersion: trimtab.dev/v1\nkind: Image\nmetadata: {{name: app}}\nspec: {{archive: {{path: {archive}}}}}\n",
    )
    surroundings = around(stage, script)
    taken = intake.Intake(surroundings, lambda: changes.append(1))
    await taken.read()
    first = taken.standing
    await taken.read()
    assert len(changes) == 1
    archive.write_bytes(b"another")

    def failed(name: str, error: BaseException) -> None:
        pytest.fail(f"{name}: {error}")

    async with tasks.Crew(failed) as crew:
        crew.start(taken.watch_archives(0.01), name="archives")
        await until(lambda: len(changes) == 2)
    assert taken.standing != first
    assert dataclasses.replace(taken.standing, images=()) == dataclasses.replace(first, images=())


async def test_intake__file_breaks_our_own_parser__is_told_and_changes_nothing(
    stage: conftest.Stage, script: conftest.Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> intake.Reading:
        raise RecursionError("too deep")

    monkeypatch.setattr(intake, "understand", broken)
    taken = intake.Intake(
        around(stage, script),
        lambda: None,
    )
    await taken.read()
    assert [type(one.error).__name__ for one in stage.of(signals.TaskFailed)] == ["RecursionError"]
    assert taken.trouble == "RecursionError: too deep"
    assert taken.attempted.is_set()


async def test_loop__asked_what_is_going_on__tells_tasks_and_the_last_plan(
    stage: conftest.Stage, script: conftest.Script, until: conftest.Until
) -> None:
    script.write("web.yaml", (MANIFEST % "web").replace("spec: {", "spec: {env: {PASSWORD: hunter2}, "))
    stage.world.delay("images.ensure", 100.0)
    async with running(stage, script) as going:
        await until(lambda: stage.world.calls)
        told = going.describe()
    assert "runtime events at " in told
    assert "EnsureImage Image/docker.io/library/app:1 at " in told
    assert "StartContainer Container/web (Missing) after 1" in told
    assert "hunter2" not in told
