"""What is told of each pass, what makes the next one, and how thorough it is."""

import asyncio
import dataclasses
import itertools
from collections.abc import AsyncIterator

import pytest

from agent import errors
from agent.converge import cycle, history, reconcile, signals
from agent.converge import goal as goals
from agent.kit import failpoint, notices
from agent.manifests import pipeline
from agent.model import container, health, ledger
from agent.model.key import Kind, ObjectKey
from agent.plan import actions
from agent.reasons import Reason
from agent.runtime import events
from tests import builders
from tests.unit.converge import conftest

pytestmark = pytest.mark.looptime
WEB = ObjectKey(Kind.CONTAINER, "web")
IMAGE = ObjectKey(Kind.IMAGE, builders.IMAGE)
START = actions.StartContainer(WEB, actions.Cause(Reason.MISSING, "not there yet"), "web", None, 0)


def still(stage: conftest.Stage, *declared: container.ContainerConfig) -> cycle.Cycle:
    """Return a cycle that makes no passes by itself."""
    return cycle.Cycle(stage.parts, lambda: goals.Goal.everything(conftest.declare(*declared)))


def now() -> float:
    return asyncio.get_running_loop().time()


class Replaced:
    """A role of the runtime, or all of it, in which some calls are others."""

    def __init__(self, real: object, **calls: object) -> None:
        self.__dict__.update(calls)
        self._real = real

    def __getattr__(self, name: str) -> object:
        return getattr(self._real, name)


def replaced(stage: conftest.Stage, **roles: object) -> None:
    """Put other roles in the runtime's place."""
    stage.parts = dataclasses.replace(stage.parts, runtime=Replaced(stage.parts.runtime, **roles))  # type: ignore[arg-type]


async def due(going: cycle.Cycle) -> tuple[float, tuple[signals.Trigger, ...]]:
    """Return in how many seconds a pass is due, and why."""
    began = now()
    names = await going.triggers.wait(not_before=0.0)
    return round(now() - began, 2), names


async def test_pass__has_ended__is_told_with_its_number_its_reasons_and_how_long_it_took(stage: conftest.Stage) -> None:
    await asyncio.sleep(5)
    async with still(stage, builders.config("web")) as going:
        assert going.progress == cycle.Progress(None, None, 0.0, 0, 0, None)
        result = await going.run_pass()
        assert result is not None
        progress = going.progress
        assert (progress.began, progress.failures, progress.number, progress.last) == (None, 0, 1, result)
        assert progress.ended == pytest.approx(5.0, abs=0.1)
        assert 0.0 <= progress.took < 0.1
        (told,) = stage.of(signals.PassFinished)
        assert told.triggers == (signals.Trigger.START,)
        assert 0.0 <= told.duration < 0.1
        assert told.notices == ()
        assert (told.in_flight, told.converged, told.statuses) == (2, False, result.statuses)
        await going.run_pass()
        assert going.progress.number == 2


async def test_pass__the_journal_has_something_to_say__is_told(stage: conftest.Stage) -> None:
    notice = notices.Notice(notices.NoticeReason.RECORDS_DAMAGED, "agent.sqlite", "it was damaged", 1.0)
    book = Replaced(stage.parts.book, notices=lambda: (notice,))
    stage.parts = dataclasses.replace(stage.parts, book=book)  # type: ignore[arg-type]
    async with still(stage) as going:
        await going.run_pass()
    assert [told.notices for told in stage.of(signals.PassFinished)] == [(notice,)]


async def test_pass__fails_again_and_again__is_told_and_tried_later_and_later(stage: conftest.Stage) -> None:
    async def absent() -> tuple[()]:
        raise errors.Unavailable("no engine")

    replaced(stage, networks=Replaced(stage.parts.runtime.networks, list=absent))
    stage.parts = dataclasses.replace(stage.parts, relist=10_000.0)
    async with stage.going(conftest.declare) as going:
        await asyncio.sleep(250)
        assert going.progress.failures == 10
        assert going.progress.last is None
    failed = stage.of(signals.PassFailed)
    assert [round(later.at - conftest.EPOCH) for later in failed] == [0, 1, 3, 7, 15, 31, 63, 123, 183, 243]
    assert [told.triggers for told in failed] == [(signals.Trigger.START,), *[(signals.Trigger.TIMER,)] * 9]
    assert {str(told.error) for told in failed} == {"no engine"}
    assert all(0.0 <= told.duration < 0.1 for told in failed)


async def test_recheck__only_at_first_after_a_failure_and_at_each_relist(stage: conftest.Stage) -> None:
    rechecks: list[int] = []
    fails = [False]
    listed = stage.parts.runtime.networks.list

    async def listing() -> object:
        if fails[0]:
            raise errors.Unavailable("no engine")
        return await listed()

    networks = Replaced(stage.parts.runtime.networks, list=listing)
    replaced(stage, networks=networks, recheck=lambda: rechecks.append(1))
    async with still(stage) as going:
        for trigger, is_failing, expected in (
            (signals.Trigger.START, False, 1),
            (signals.Trigger.SOURCE, False, 1),
            (signals.Trigger.SOURCE, True, 1),
            (signals.Trigger.SOURCE, False, 2),
            (signals.Trigger.SOURCE, False, 2),
            (signals.Trigger.RELIST, False, 3),
        ):
            fails[0] = is_failing
            going.triggers.request(trigger)
            await going.run_pass()
            assert len(rechecks) == expected


async def test_look_at__a_moment__makes_a_pass_then_or_at_once_where_it_is_over(stage: conftest.Stage) -> None:
    async with still(stage) as going:
        await due(going)
        await due(going)  # what the runtime's events may tell of at first
        going.look_at(now() + 3.0)
        assert await due(going) == (3.0, (signals.Trigger.TIMER,))
        going.look_at(now() - 3.0)
        assert await due(going) == (0.0, (signals.Trigger.TIMER,))
        going.look_at(None)
        going.triggers.request(signals.Trigger.SOURCE, within=9.0)
        assert await due(going) == (9.0, (signals.Trigger.SOURCE,))


@pytest.mark.parametrize(
    ("is_working", "is_awaited", "seconds"), [(False, False, 0.0), (True, False, 0.25), (True, True, 0.0)]
)
async def test_action__has_ended__waits_a_moment_for_others_unless_somebody_waits_for_it(
    stage: conftest.Stage, monkeypatch: pytest.MonkeyPatch, is_working: bool, is_awaited: bool, seconds: float
) -> None:
    async with still(stage) as going:
        await due(going)
        await due(going)
        if is_working:
            monkeypatch.setitem(going._reconciler._executor._current, WEB, START)
        going._awaited = is_awaited
        going._released(frozenset({WEB}))
        assert await due(going) == (seconds, (signals.Trigger.ACTION,))


async def test_action__has_ended_and_a_pass_was_made__what_the_runtime_tells_is_still_its_echo(
    stage: conftest.Stage,
) -> None:
    async with still(stage) as going:
        going._released(frozenset({WEB}))
        await going.run_pass()
        assert going._is_echo(events.RuntimeEvent(Kind.CONTAINER, "id", "web", events.EventAction.STARTED, 0.0))


async def test_task__breaks__is_told_and_begun_again_after_a_while(
    stage: conftest.Stage, until: conftest.Until
) -> None:
    begun: list[float] = []

    async def fragile() -> None:
        begun.append(now())
        raise RuntimeError("it is broken")

    async with still(stage) as going:
        going.keep("fragile", fragile)
        await until(lambda: len(begun) == 2, patience=20.0)
        names = {task.get_name() for task in asyncio.all_tasks()}
        assert {"fragile", "runtime events", "relist", "clock"} <= names
    assert begun[1] - begun[0] == pytest.approx(5.0, abs=0.1)
    assert [(told.name, str(told.error)) for told in stage.of(signals.TaskFailed)] == [
        *[("fragile", "it is broken")] * 2,
    ]


async def test_image__letting_go_of_it_fails__is_told_by_its_name(stage: conftest.Stage, until: conftest.Until) -> None:
    async def forget(_: str) -> None:
        raise RuntimeError("no room")

    replaced(stage, images=Replaced(stage.parts.runtime.images, forget=forget))
    declared = [builders.config("web"), builders.config("api", image="docker.io/library/api:1")]
    async with stage.going(lambda: conftest.declare(*declared)) as going:
        await until(lambda: len(stage.states()) == 2)
        del declared[1]
        going.triggers.request(signals.Trigger.SOURCE)
        await until(lambda: stage.of(signals.TaskFailed))
    told = stage.of(signals.TaskFailed)[0]
    assert (told.name, str(told.error)) == ("forgetting docker.io/library/api:1", "no room")


async def test_registry__answers__is_remembered_told_and_a_reason_to_look_where_it_is_news(
    stage: conftest.Stage,
) -> None:
    first = ledger.LatestImage("question", 1.0, builders.IMAGE, "sha256:a")
    same, other = (
        dataclasses.replace(first, checked_at=2.0),
        dataclasses.replace(first, checked_at=3.0, digest="sha256:b"),
    )
    async with still(stage) as going:
        await due(going)
        await due(going)
        before: ledger.LatestImage | None = None
        for answer, is_news in ((first, True), (same, False), (other, True)):
            going._answered(builders.IMAGE, answer)
            assert stage.parts.book.entry(IMAGE).newest == answer
            assert stage.of(signals.RegistryAnswered)[-1] == signals.RegistryAnswered(IMAGE, before, answer)
            going.triggers.request(signals.Trigger.SOURCE, within=1.0)
            expected = (0.0, (signals.Trigger.REGISTRY,)) if is_news else (1.0, (signals.Trigger.SOURCE,))
            assert await due(going) == expected
            before = answer


@pytest.mark.parametrize("error", [None, errors.Unavailable("connection refused")])
async def test_events__begin_and_end__is_told_with_the_reason(
    stage: conftest.Stage, until: conftest.Until, error: errors.Failure | None
) -> None:
    async def stream() -> AsyncIterator[events.RuntimeEvent]:
        yield events.RuntimeEvent(Kind.CONTAINER, "id", "web", events.EventAction.STARTED, 0.0)
        if error is not None:
            raise error

    replaced(stage, events=Replaced(None, subscribe=stream))
    async with still(stage):
        await until(lambda: len(stage.of(signals.EventStream)) == 2)
    began, ended = stage.of(signals.EventStream)
    assert (began.connected, began.message, began.at >= conftest.EPOCH) == (True, "", True)
    message = "the stream ended" if error is None else "connection refused"
    assert (ended.connected, ended.message, ended.at >= conftest.EPOCH) == (False, message, True)
    assert [told.event.name for told in stage.of(signals.RuntimeEvent)] == ["web"]


async def test_probe__answers__is_told(stage: conftest.Stage, until: conftest.Until) -> None:
    probe = health.Probe(health.ExecProbe(("check",)), 0.0, 1.0, 1.0, 1, 3)
    stage.world.program("check", lambda _: (0, b""))
    web = builders.config("web", health=health.HealthConfig(None, probe, None))
    async with stage.going(lambda: conftest.declare(web)):
        await until(lambda: stage.of(signals.ProbeFinished))
    assert stage.of(signals.ProbeFinished)[0].result.container == "web"


async def test_action__is_performed__is_told_at_its_beginning_and_its_end(
    stage: conftest.Stage, until: conftest.Until
) -> None:
    await asyncio.sleep(3)
    async with stage.going(lambda: conftest.declare(builders.config("web"))):
        await until(lambda: stage.states() == {"web": "running"})
    started = stage.of(signals.ActionStarted)
    assert [type(told.action).__name__ for told in started] == ["EnsureImage", "CreateContainer", "StartContainer"]
    assert all(3.0 <= told.at - conftest.EPOCH < 4.0 for told in started)
    outcomes = stage.parts.book.history.actions(10)
    assert [(told.outcome.action, told.outcome.result.value) for told in outcomes] == [
        *(("StartContainer", "succeeded"), ("CreateContainer", "succeeded"), ("EnsureImage", "succeeded"))
    ]


@pytest.mark.parametrize(("point", "is_done"), [("converge.perform", False), ("converge.performed", True)])
async def test_action__the_agent_may_die_around_it(
    stage: conftest.Stage, until: conftest.Until, point: str, is_done: bool
) -> None:
    failpoint.arm(point, "error")
    async with still(stage, builders.config("web")) as going:
        await going.run_pass()
        await until(lambda: stage.of(signals.ObjectDisposed))
    (failed,) = [told for told in stage.of(signals.ActionFinished) if told.result is signals.Result.FAILED]
    assert str(failed.error) == f"injected failure at {point}"
    assert bool(stage.world.images) is is_done


async def test_removal__fails_again_and_again__backs_off_as_others_do(
    stage: conftest.Stage, until: conftest.Until
) -> None:
    declared = [builders.config("web"), builders.config("api")]
    async with stage.going(lambda: conftest.declare(*declared)) as going:
        await until(lambda: len(stage.states()) == 2)
        stage.world.fail("containers.remove", errors.Unavailable("busy"), times=4)
        del declared[1]
        going.triggers.request(signals.Trigger.SOURCE)
        await until(lambda: stage.states() == {"web": "running"}, patience=60.0)
    failed = stage.of(signals.ObjectDisposed)
    assert [(told.attempts, told.stalled, told.hold.reason) for told in failed] == [
        (attempt, False, failed[0].hold.reason) for attempt in (1, 2, 3, 4)
    ]
    moments = [told.at for told in stage.of(signals.ActionFinished) if told.result is signals.Result.FAILED]
    assert [round(later - earlier) for earlier, later in itertools.pairwise(moments)] == [1, 2, 4]


async def test_removal__takes_long__is_not_begun_anew_by_passes_meanwhile(
    stage: conftest.Stage, until: conftest.Until
) -> None:
    declared = [builders.config("web"), builders.config("api")]
    async with stage.going(lambda: conftest.declare(*declared)) as going:
        await until(lambda: len(stage.states()) == 2)
        stage.world.delay("containers.stop", 5.0)
        del declared[1]
        for _ in range(4):
            going.triggers.request(signals.Trigger.SOURCE)
            await asyncio.sleep(1.0)
        await until(lambda: stage.states() == {"web": "running"})
    assert signals.Result.SUPERSEDED not in {told.result for told in stage.of(signals.ActionFinished)}


async def test_resources__change__are_changed_in_place(stage: conftest.Stage, until: conftest.Until) -> None:
    declared = [builders.config("web")]
    async with stage.going(lambda: conftest.declare(*declared)) as going:
        await until(lambda: stage.states() == {"web": "running"})
        declared[0] = builders.config("web", resources=container.Resources(1.0, None, None, None))
        going.triggers.request(signals.Trigger.SOURCE)
        await until(lambda: "UpdateContainer web" in stage.actions())
    assert stage.actions()[-1] == "UpdateContainer web"


async def test_parts__what_is_not_said__and_what_manifests_are_read_under(stage: conftest.Stage) -> None:
    parts = stage.parts
    assert (parts.parallel, parts.relist, parts.host_key) == (8, 60.0, b"")
    features = parts.runtime.features
    keyed = dataclasses.replace(parts, host_key=b"do not tell", registry="r.example")
    assert "do not tell" not in repr(keyed)
    assert keyed.parse_options == pipeline.ParseOptions(
        features.unsupported, "r.example", parts.admitted, b"do not tell"
    )


async def test_note_applied__tells_how_long_it_took_only_where_it_is_new(stage: conftest.Stage) -> None:
    await asyncio.sleep(10)
    read_at = stage.parts.time.now() - 3.0
    for revision in ("r1", "r2"):
        stage.parts.book.history.record_revision(history.Revision(revision, "here", read_at, (), None))
    for revision, began in (("r1", read_at), ("r1", read_at), ("r2", None)):
        reconcile.note_applied(stage.parts, revision, began)
    assert [(told.revision, told.duration, told.at - read_at) for told in stage.of(signals.RevisionApplied)] == [
        *(("r1", 3.0, 3.0), ("r1", None, 3.0), ("r2", None, 3.0)),
    ]
