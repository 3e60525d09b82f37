"""When passes are made: at once for what cannot wait, with a rest after each, and not for echoes of our own actions."""

import asyncio

import pytest

from agent import errors
from agent.converge import cycle, signals
from agent.converge import goal as goals
from agent.model import container, health
from agent.model.key import Kind, ObjectKey
from agent.plan import actions
from agent.reasons import Reason
from agent.runtime import events
from tests import builders
from tests.unit.converge import conftest

pytestmark = pytest.mark.looptime
WEB = ObjectKey(Kind.CONTAINER, "web")
PROBED = health.HealthConfig(None, health.Probe(health.ExecProbe(("check",)), 0.0, 1.0, 1.0, 1, 3), None)


def still(stage: conftest.Stage) -> cycle.Cycle:
    """Return a cycle that makes no passes by itself."""
    return cycle.Cycle(stage.parts, lambda: goals.Goal.everything(conftest.declare(builders.config("web"))))


def event(action: events.EventAction, name: str = "web") -> events.RuntimeEvent:
    """Return what a runtime tells of a container."""
    return events.RuntimeEvent(Kind.CONTAINER, "id", name, action, 0.0)


@pytest.mark.parametrize(
    ("action", "is_echo"),
    [
        (events.EventAction.STARTED, True),
        (events.EventAction.CREATED, True),
        (events.EventAction.EXITED, False),
        (events.EventAction.OOM_KILLED, False),
    ],
)
async def test_event__just_after_our_own_action__is_its_echo_unless_something_has_ended(
    stage: conftest.Stage, action: events.EventAction, is_echo: bool
) -> None:
    async with still(stage) as going:
        going._released(frozenset({WEB}))
        assert going._is_echo(event(action)) is is_echo
        assert not going._is_echo(event(action, "another"))
        await asyncio.sleep(cycle.OWN_EVENT_WINDOW - 0.01)
        assert going._is_echo(event(action)) is is_echo
        await asyncio.sleep(0.02)
        assert not going._is_echo(event(action))


async def test_event__while_we_work_on_it__is_an_echo_whatever_it_says(
    stage: conftest.Stage, until: conftest.Until
) -> None:
    stage.world.delay("containers.create", 5.0)
    async with still(stage) as going:
        await going.run_pass()
        await until(lambda: WEB in going._reconciler.current)
        assert going._is_echo(event(events.EventAction.EXITED))


@pytest.mark.parametrize(
    ("took", "is_working", "pause"),
    [(0.02, False, 0.02), (0.02, True, 0.18), (0.5, True, 1.0), (5.0, False, 1.0), (0.0, True, 0.0)],
)
async def test_rest__is_as_long_as_the_pass_and_longer_while_actions_are_under_way(
    stage: conftest.Stage, monkeypatch: pytest.MonkeyPatch, took: float, is_working: bool, pause: float
) -> None:
    async with still(stage) as going:
        assert going._rested() == 0.0, "before the first pass"
        going.progress.ended, going.progress.took = 100.0, took
        if is_working:
            start = actions.StartContainer(WEB, actions.Cause(Reason.MISSING, "not there yet"), "web", None, 0)
            monkeypatch.setitem(going._reconciler._executor._current, WEB, start)
        assert going._rested() == pytest.approx(100.0 + pause)


async def test_action__what_is_to_go_is_gone_already__has_succeeded(
    stage: conftest.Stage, until: conftest.Until
) -> None:
    desired = [conftest.declare(builders.config("web"), builders.config("api"))]
    async with stage.going(lambda: desired[0]) as going:
        await until(lambda: stage.states() == {"web": "running", "api": "running"})
        stage.world.fail("containers.stop", errors.NotFound("no container web"))
        desired[0] = conftest.declare(builders.config("api"), revision="r2")
        going.triggers.request(signals.Trigger.SOURCE)
        await until(lambda: [stop for stop in stage.of(signals.ActionFinished) if _is_stop(stop)])
        await until(lambda: stage.states() == {"api": "running"})
    assert [stop.result for stop in stage.of(signals.ActionFinished) if _is_stop(stop)] == [signals.Result.SUCCEEDED]
    assert stage.of(signals.ObjectDisposed) == []


def _is_stop(finished: signals.ActionFinished) -> bool:
    return isinstance(finished.action, actions.StopContainer)


async def test_action__what_is_to_start_is_gone__has_failed(stage: conftest.Stage, until: conftest.Until) -> None:
    stage.world.fail("containers.start", errors.NotFound("no container web"))
    async with stage.going(lambda: conftest.declare(builders.config("web"))):
        await until(lambda: stage.of(signals.ObjectDisposed))
    (failed,) = stage.of(signals.ObjectDisposed)
    assert (failed.hold.key, failed.hold.reason) == (WEB, Reason.NOT_FOUND)


async def test_health__of_what_has_just_begun_to_run__is_in_the_same_pass(
    stage: conftest.Stage, until: conftest.Until
) -> None:
    """Whoever probes has answered for every container that a pass sees running, if only that nothing is known yet."""
    stage.world.program("check", lambda _: (0, b""))
    web = builders.config("web", health=PROBED)
    async with stage.going(lambda: conftest.declare(web)):
        await until(lambda: stage.states() == {"web": "running"})
        await until(lambda: any(signal.observed.containers for signal in stage.of(signals.PassFinished)))
        await until(lambda: stage.conditions("Container/web")["Ready"][0] == "True", patience=30)
    for signal in stage.of(signals.PassFinished):
        running = [item for item in signal.observed.containers if item.state is container.ContainerState.RUNNING]
        assert {answer.container_id for answer in signal.observed.health} == {item.id for item in running}
