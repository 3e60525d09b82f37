"""The loop with a source: what stands when the source is bad, gone or empty, and over restarts."""

import asyncio
import contextlib
import dataclasses
import pathlib
from collections.abc import AsyncIterator

import pytest

from agent import errors
from agent.converge import intake, journal, loop, once, reading, signals
from agent.kit import tasks
from agent.manifests import pipeline
from agent.plan import actions
from agent.sources import api
from tests.unit.converge import conftest

MANIFEST = "apiVersion: trimtab.dev/v1\nkind: Container\nmetadata: {name: %s}\nspec: {image: app:1, networks: none}\n"


def around(stage: conftest.Stage, script: conftest.Script) -> intake.Surroundings:
    parts = stage.parts
    return intake.Surroundings(script, parts.book, parts.sink, parts.time, pipeline.ParseOptions())


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
    assert all(signal.duration is not None for signal in stage.of(signals.RevisionApplied))


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
        (rejected, *more) = stage.of(signals.SourceRejected)
        assert not rejected.repeated
        assert all(signal.repeated for signal in more)
        assert str(rejected.problems[0]).startswith("web.yaml:4:8: ")
        assert going.ready().startswith("web.yaml:4:8: ")
        script.write("web.yaml", MANIFEST % "web")
        await until(lambda: not going.ready())
    assert stage.parts.book.history.revisions(1)[0].problems == ()  # or it is told of when the agent has ended
    applied = {revision.revision: revision for revision in stage.parts.book.history.revisions()}
    assert applied[rejected.revision].problems
    assert applied[rejected.revision].applied_at is None


def recorded(stage: conftest.Stage) -> list[tuple[str, bool]]:
    """Return the readings that are written down, the first one first: their revisions, and whether all was applied."""
    rows = reversed(stage.parts.book.history.revisions())
    return [(row.revision, row.applied_at is not None) for row in rows]


async def test_loop__a_revision_comes_again__is_written_down_and_applied_each_time(
    stage: conftest.Stage, script: conftest.Script, until: conftest.Until
) -> None:
    async with running(stage, script):
        for number, image in enumerate(("app:1", "app:2", "app:1"), 1):
            script.write("web.yaml", (MANIFEST % "web").replace("app:1", image))
            await until(lambda number=number: [done for _, done in recorded(stage)] == [True] * number)
    first, second, third = (revision for revision, _ in recorded(stage))
    assert first == third != second
    assert all(signal.duration is not None for signal in stage.of(signals.RevisionApplied))


async def test_loop__bad_and_as_before_again__stays_applied(
    stage: conftest.Stage, script: conftest.Script, until: conftest.Until
) -> None:
    async with running(stage, script):
        script.write("web.yaml", MANIFEST % "web")
        await until(lambda: [done for _, done in recorded(stage)] == [True])
        script.write("web.yaml", "kind: [")
        await until(lambda: len(recorded(stage)) == 2)
        script.write("web.yaml", MANIFEST % "web")
        await until(lambda: len(recorded(stage)) == 3)
    assert [done for _, done in recorded(stage)] == [True, False, True]


async def test_loop__what_the_same_files_refer_to_changes__is_written_down_and_applied_again(
    stage: conftest.Stage, script: conftest.Script, until: conftest.Until, tmp_path: pathlib.Path
) -> None:
    archive = tmp_path / "app.tar"
    archive.write_bytes(b"one")
    text = f"apiVersion: trimtab.dev/v1\nkind: Image\nmetadata: {{name: app}}\nspec: {{archive: {{path: {archive}}}}}\n"
    async with running(stage, script):
        script.write("app.yaml", text)
        await until(lambda: [done for _, done in recorded(stage)] == [True])
        archive.write_bytes(b"another")
        script.changed.set()
        await until(lambda: [done for _, done in recorded(stage)] == [True, True])
    (first, _), (second, _) = recorded(stage)
    assert first == second


async def test_loop__source_is_bad_after_a_restart__last_good_one_of_the_journal_stands(
    stage: conftest.Stage, script: conftest.Script, until: conftest.Until
) -> None:
    script.write("web.yaml", MANIFEST % "web")
    async with running(stage, script):
        await until(lambda: stage.of(signals.RevisionApplied))
    stage.world.end("web", 1)
    stage.emitted.clear()
    script.write("web.yaml", "kind: [")
    async with running(stage, script):
        await until(lambda: stage.states() == {"web": "running"})
        await until(lambda: stage.of(signals.RevisionApplied))
    assert [signal.duration for signal in stage.of(signals.RevisionApplied)] == [None]
    assert [signal.repeated for signal in stage.of(signals.SourceRejected)].count(False) == 1


@pytest.mark.parametrize("restarted", [False, True])
async def test_loop__a_file_may_be_cut__nothing_is_removed_until_it_has_rested(
    stage: conftest.Stage, script: conftest.Script, until: conftest.Until, *, restarted: bool
) -> None:
    script.write("web.yaml", MANIFEST % "web" + "---\n" + MANIFEST % "db")
    async with running(stage, script) as going:
        await until(lambda: stage.states() == {"web": "running", "db": "running"})
        if not restarted:
            script.shortened = 0.0
            script.write("web.yaml", MANIFEST % "web")
            await asyncio.sleep(9)
            assert stage.states() == {"web": "running", "db": "running"}
            assert going.ready() == ""
            script.shortened = 10.0
            await until(lambda: stage.states() == {"web": "running"})
            (awaited,) = stage.of(signals.SourceAwaited)
            assert awaited == signals.SourceAwaited("script", "Container/db", pytest.approx(10.0))
    if restarted:
        script.age = 3.0
        script.write("web.yaml", MANIFEST % "web")
        async with running(stage, script):
            await asyncio.sleep(6)
            assert stage.states() == {"web": "running", "db": "running"}
            script.age = 10.0
            await until(lambda: stage.states() == {"web": "running"})


async def test_loop__the_journal_was_damaged__nothing_is_removed_until_the_source_has_rested(
    stage: conftest.Stage, script: conftest.Script, until: conftest.Until
) -> None:
    script.write("web.yaml", MANIFEST % "web" + "---\n" + MANIFEST % "db")
    async with running(stage, script):
        await until(lambda: stage.states() == {"web": "running", "db": "running"})
    stage.forget()
    script.age = 3.0
    script.write("web.yaml", MANIFEST % "web")
    async with running(stage, script):
        await asyncio.sleep(6)
        assert stage.states() == {"web": "running", "db": "running"}
        assert stage.conditions("Container/db")["Ready"] == ("Unknown", "DeclarationUnknown")
        script.age = 10.0
        script.changed.set()
        await until(lambda: stage.states() == {"web": "running"})


async def test_loop__a_cut_file_is_whole_again__what_is_gone_afterwards_is_so_within_two_seconds(
    stage: conftest.Stage, script: conftest.Script, until: conftest.Until
) -> None:
    whole = MANIFEST % "web" + "---\n" + MANIFEST % "db"
    script.write("web.yaml", whole)
    async with running(stage, script):
        await until(lambda: stage.states() == {"web": "running", "db": "running"})
        script.shortened = 0.0
        script.write("web.yaml", MANIFEST % "web")
        await asyncio.sleep(2)
        script.shortened = None
        script.write("web.yaml", whole)
        await asyncio.sleep(1)
        script.write("web.yaml", MANIFEST % "db")
        await until(lambda: stage.states() == {"db": "running"}, patience=2.0)
    assert [signal.missing for signal in stage.of(signals.SourceAwaited)] == ["Container/db"]
    assert [call for call in stage.world.calls if call[0] == "containers.remove"] == [("containers.remove", "web")]


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
        assert [signal.repeated for signal in stage.of(signals.SourceFailed)] == [False, True]
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
        assert not [call for call in stage.world.calls if call[0] == "containers.remove"]
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
    assert [signal.changed for signal in stage.of(signals.SourceRead)].count(True) == 1


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


async def test_intake__source_is_looked_at__each_look_is_told_also_without_news(
    stage: conftest.Stage, script: conftest.Script
) -> None:
    script.write("web.yaml", MANIFEST % "web")
    taken = intake.Intake(around(stage, script), lambda: None)
    assert taken.health == api.SourceHealth()
    for _ in range(2):
        await taken.read()
    script.unavailable = "the disk is gone"
    for _ in range(3):
        await taken.read()
    script.unavailable = ""
    await taken.read()
    looks = [signal.health for signal in stage.of(signals.SourceLooked)]
    assert [(look.error, look.failures) for look in looks] == [
        ("", 0),
        ("", 0),
        *(("the disk is gone (mend it)", count) for count in (1, 2, 3)),
        ("", 0),
    ]
    times = [(look.last_attempt, look.last_success) for look in looks]
    assert times[1][1] is not None
    assert [success for _, success in times[2:5]] == [times[1][1]] * 3
    assert sorted(attempt for attempt, _ in times if attempt) == [attempt for attempt, _ in times]
    assert times[5][0] == times[5][1]
    assert len(stage.of(signals.SourceFailed)) == 3
    assert taken.health.revision == (await script.snapshot()).revision


async def test_intake__what_an_earlier_run_has_kept_is_taken__is_no_look_at_the_source(
    stage: conftest.Stage,
) -> None:
    class Stored(conftest.Script):
        async def snapshot(self) -> api.SourceSnapshot:
            return dataclasses.replace(await super().snapshot(), stored=True)

    script = Stored()
    script.write("web.yaml", MANIFEST % "web")
    taken = intake.Intake(around(stage, script), lambda: None)
    await taken.read()
    assert len(taken.standing.containers) == 1
    assert taken.health == api.SourceHealth()


async def test_intake__file_breaks_our_own_parser__is_told_and_changes_nothing(
    stage: conftest.Stage, script: conftest.Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> reading.Reading:
        raise RecursionError("too deep")

    monkeypatch.setattr(reading, "understand", broken)
    taken = intake.Intake(
        around(stage, script),
        lambda: None,
    )
    await taken.read()
    assert [type(signal.error).__name__ for signal in stage.of(signals.TaskFailed)] == ["RecursionError"]
    assert taken.trouble == "RecursionError: too deep"
    assert taken.attempted.is_set()


async def test_loop__asked_what_is_going_on__tells_tasks_and_the_last_plan(
    stage: conftest.Stage, script: conftest.Script, until: conftest.Until
) -> None:
    script.write("web.yaml", (MANIFEST % "web").replace("spec: {", "spec: {env: {PASSWORD: hunter2}, "))
    stage.world.delay("images.ensure", 100.0)
    async with running(stage, script) as going:
        await until(lambda: stage.world.calls)
        description = going.describe()
    assert "runtime events at " in description
    assert "EnsureImage Image/docker.io/library/app:1 at " in description
    assert "StartContainer Container/web (Missing) after 1" in description
    assert "hunter2" not in description


async def test_look_now__the_source_has_changed_without_a_hint__returns_the_passes_that_bring_it_about(
    stage: conftest.Stage, script: conftest.Script, until: conftest.Until
) -> None:
    script.write("web.yaml", MANIFEST % "web")
    async with running(stage, script) as going:
        await until(lambda: len(stage.of(signals.RevisionApplied)) == 1)
        script.files["api.yaml"] = MANIFEST % "api"
        passes = await going.look_now()
        steps = [step.action for ended in passes if ended is not None for step in ended.plan.steps]
        assert [(type(action).__name__, action.key.name) for action in steps] == [
            *(("CreateContainer", "api"), ("StartContainer", "api"))
        ]
        await until(lambda: len(stage.of(signals.RevisionApplied)) == 2)
        passes = await going.look_now()
        assert passes[-1] is not None
        assert passes[-1].converged


async def test_look_now__the_source_cannot_be_read__still_makes_a_pass(
    stage: conftest.Stage, script: conftest.Script, until: conftest.Until
) -> None:
    script.write("web.yaml", MANIFEST % "web")
    async with running(stage, script) as going:
        await until(lambda: len(stage.of(signals.RevisionApplied)) == 1)
        script.unavailable = "it is away"
        passes = await going.look_now()
        assert passes[-1] is not None
        assert going.source_health.error.startswith("it is away")


async def test_wake__asked_again_and_again_while_the_source_is_slow__the_look_ends_and_one_more_follows(
    stage: conftest.Stage, script: conftest.Script, until: conftest.Until
) -> None:
    script.write("web.yaml", MANIFEST % "web")
    async with running(stage, script) as going:
        await until(lambda: len(stage.of(signals.RevisionApplied)) == 1)
        script.takes = 1.0
        before, began = script.reads, asyncio.get_running_loop().time()
        for _ in range(35):
            going.wake()
            await asyncio.sleep(0.1)
        seconds = int(asyncio.get_running_loop().time() - began)  # 3, or more where the machine itself took some
        assert script.reads - before in {seconds, seconds + 1}
        assert script.ended - before in {seconds, seconds + 1}


async def test_preview__the_source_has_changed__says_what_would_be_done_and_does_nothing(
    stage: conftest.Stage, script: conftest.Script, until: conftest.Until
) -> None:
    script.write("web.yaml", MANIFEST % "web")
    async with running(stage, script) as going:
        await until(lambda: stage.of(signals.RevisionApplied))
        _, computed = await going.preview()
        assert computed is not None
        assert (computed.steps, computed.blocked) == ((), ())
        script.files["api.yaml"] = MANIFEST % "api"  # nobody hints that
        reading, computed = await going.preview()
        assert computed is not None
        assert {str(step.action.key) for step in computed.steps} == {"Container/api"}
        assert reading.desired.revision == computed.revision
        assert stage.states() == {"web": "running"}
        script.files["api.yaml"] = "kind: ["
        reading, computed = await going.preview()
        assert (bool(reading.problems), computed) == (True, None)
        script.unavailable = "gone"
        with pytest.raises(api.SourceUnavailable, match="gone"):
            await going.preview()


async def test_preview__a_container_is_being_stopped__says_that_it_is_worked_on(
    stage: conftest.Stage, script: conftest.Script, until: conftest.Until
) -> None:
    script.write("web.yaml", MANIFEST % "web")
    async with running(stage, script) as going:
        await until(lambda: stage.of(signals.RevisionApplied))
        stage.world.delay("containers.stop", 20.0)
        script.write("web.yaml", (MANIFEST % "web").replace("app:1", "app:2"))
        await until(
            lambda: [item for item in stage.of(signals.ActionStarted) if isinstance(item.action, actions.StopContainer)]
        )
        _, computed = await going.preview()
        assert computed is not None
        assert {str(blocked.key): blocked.reason for blocked in computed.blocked}["Container/web"] == "InProgress"
        assert computed.steps == ()


async def test_apply__the_source_has_changed__comes_back_when_all_of_it_is_up(
    stage: conftest.Stage, script: conftest.Script, until: conftest.Until
) -> None:
    script.write("web.yaml", MANIFEST % "web")
    async with running(stage, script) as going:
        await until(lambda: stage.of(signals.RevisionApplied))
        script.files["api.yaml"] = MANIFEST % "api"  # nobody hints that
        begun = asyncio.get_running_loop().time()
        converged = await going.apply(60.0)
        assert (converged.outcome, converged.unfinished) == (once.Outcome.APPLIED, ())
        assert converged.revision == stage.of(signals.SourceRead)[-1].revision
        assert stage.states() == {"web": "running", "api": "running"}
        assert 1.0 <= asyncio.get_running_loop().time() - begun < 3.0, "it has run for a second"


async def test_apply__something_is_no_longer_declared__waits_until_that_is_believed(
    stage: conftest.Stage, script: conftest.Script, until: conftest.Until
) -> None:
    script.write("web.yaml", MANIFEST % "web" + "---\n" + MANIFEST % "db")
    async with running(stage, script) as going:
        await until(lambda: stage.of(signals.RevisionApplied))
        script.shortened = 3.0
        script.files["web.yaml"] = MANIFEST % "web"
        applying = asyncio.create_task(going.apply(60.0))  # noqa: TID251 - of this test
        await asyncio.sleep(5)
        assert (applying.done(), stage.states()) == (False, {"web": "running", "db": "running"})
        script.shortened = 10.0
        converged = await applying
        assert (converged.outcome, stage.states()) == (once.Outcome.APPLIED, {"web": "running"})


async def test_apply__a_doubted_source_declares_nothing_any_more__is_answered(
    stage: conftest.Stage, script: conftest.Script, until: conftest.Until
) -> None:
    script.write("web.yaml", MANIFEST % "web" + "---\n" + MANIFEST % "db")
    async with running(stage, script) as going:
        await until(lambda: stage.of(signals.RevisionApplied))
        script.shortened = 0.0
        script.write("web.yaml", MANIFEST % "web")
        await until(lambda: len(stage.of(signals.SourceLooked)) >= 3)
        script.write("web.yaml", "")
        converged = await going.apply(5.0)
        assert (converged.declares_nothing, stage.states()) == (True, {"web": "running", "db": "running"})


async def test_apply__it_crashes__is_named_and_not_applied(
    stage: conftest.Stage, script: conftest.Script, until: conftest.Until
) -> None:
    script.write("web.yaml", MANIFEST % "web")
    async with running(stage, script) as going:
        await until(lambda: stage.of(signals.RevisionApplied))
        stage.world.fail("containers.start", errors.InvalidArgument("no such program"), times=9)
        script.files["api.yaml"] = MANIFEST % "api"
        converged = await going.apply(60.0)
        assert converged.outcome is once.Outcome.PARTIAL
        assert [str(item.key) for item in converged.unfinished] == ["Container/api"]


async def test_apply__the_source_is_bad_or_gone__is_refused(
    stage: conftest.Stage, script: conftest.Script, until: conftest.Until
) -> None:
    script.write("web.yaml", MANIFEST % "web")
    async with running(stage, script) as going:
        await until(lambda: stage.of(signals.RevisionApplied))
        script.files["web.yaml"] = "kind: ["
        with pytest.raises(reading.BadManifests):
            await going.apply(60.0)
        script.unavailable = "gone"
        with pytest.raises(api.SourceUnavailable, match="gone"):
            await going.apply(60.0)
        assert stage.states() == {"web": "running"}


async def test_preview__the_source_is_as_it_was_read_last__is_not_parsed_again(
    stage: conftest.Stage, script: conftest.Script, until: conftest.Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    script.write("web.yaml", MANIFEST % "web")
    async with running(stage, script) as going:
        await until(lambda: stage.of(signals.RevisionApplied))
        before, _ = await going.preview()
        monkeypatch.setattr(reading, "understand", lambda *_: pytest.fail("it is parsed again"))
        repeated, computed = await going.preview()
        assert repeated.desired == before.desired
        assert computed is not None
        assert computed.empty
