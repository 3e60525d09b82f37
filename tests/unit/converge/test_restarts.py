"""Restarts that somebody asks for: by the loop while an agent runs, and without one."""

import asyncio
import dataclasses

import pytest

from agent import errors
from agent.converge import goal as goals
from agent.converge import journal, once, restarts, signals
from agent.model import container
from agent.model.key import Kind, ObjectKey
from agent.reasons import Reason
from tests import builders
from tests.unit.converge import conftest, test_loop

pytestmark = pytest.mark.looptime
WEB, DB = ObjectKey(Kind.CONTAINER, "web"), ObjectKey(Kind.CONTAINER, "db")
BOTH = frozenset({WEB, DB})
RESTARTED = (restarts.Progress.RESTARTED, "")
DEPENDENT = test_loop.MANIFEST.replace("networks: none", "networks: none, dependsOn: [{container: db}]")


def requested(stage: conftest.Stage) -> list[str]:
    """Return the actions that a request has caused, in order."""
    return [
        f"{type(signal.action).__name__} {signal.action.key.name}"
        for signal in stage.of(signals.ActionFinished)
        if signal.action.cause.reason is Reason.REQUESTED
    ]


async def test_restart__two_that_depend_on_each_other_run__are_restarted_once_in_their_order(
    stage: conftest.Stage, script: conftest.Script, until: conftest.Until
) -> None:
    script.write("a.yaml", DEPENDENT % "web" + "---\n" + test_loop.MANIFEST % "db")
    async with test_loop.running(stage, script) as going:
        await until(lambda: stage.of(signals.RevisionApplied))
        await asyncio.sleep(5)
        before = {name: found.started_at for name, found in stage.world.containers.items()}
        request = await going.restart(BOTH, 60.0)
        assert (request.progress(WEB), request.progress(DB)) == (RESTARTED, RESTARTED)
        assert requested(stage).index("StartContainer db") < requested(stage).index("StartContainer web")
        await asyncio.sleep(60)
        assert sorted(requested(stage)) == [
            *("StartContainer db", "StartContainer web", "StopContainer db", "StopContainer web")
        ]
        assert all(found.started_at != before[name] for name, found in stage.world.containers.items())
        assert [entry.restarts for entry in stage.parts.book.ledger() if entry.key in BOTH] == [(), ()]


async def test_restart__it_crashes_in_a_loop__is_started_at_once(
    stage: conftest.Stage, script: conftest.Script, until: conftest.Until
) -> None:
    script.write("web.yaml", test_loop.MANIFEST % "web")
    async with test_loop.running(stage, script) as going:
        await until(lambda: stage.of(signals.RevisionApplied))
        for _ in range(6):
            stage.world.end("web", 1)
            await until(lambda: stage.states() == {"web": "running"}, patience=60)
        stage.world.end("web", 1)
        await asyncio.sleep(1)
        assert stage.states() == {"web": "exited"}
        begun = asyncio.get_running_loop().time()
        assert (await going.restart(frozenset({WEB}), 60.0)).progress(WEB) == RESTARTED
        assert asyncio.get_running_loop().time() - begun < 1.0
        assert stage.parts.book.entry(WEB).streak == 0


async def test_restart__stopping_it_fails__says_so_and_tries_again_when_asked_again(
    stage: conftest.Stage, script: conftest.Script, until: conftest.Until
) -> None:
    script.write("web.yaml", test_loop.MANIFEST % "web")
    async with test_loop.running(stage, script) as going:
        await until(lambda: stage.of(signals.RevisionApplied))
        stage.world.fail("containers.stop", errors.Unavailable("it hangs", reason=Reason.ENGINE_DOWN))
        request = await going.restart(frozenset({WEB}), 60.0)
        assert request.progress(WEB) == (restarts.Progress.FAILED, "EngineDown: it hangs")
        begun = asyncio.get_running_loop().time()
        assert (await going.restart(frozenset({WEB}), 60.0)).progress(WEB) == RESTARTED
        assert asyncio.get_running_loop().time() - begun < 1.0


async def test_restart__what_it_depends_on_is_down__gives_up_in_time_and_for_good(
    stage: conftest.Stage, script: conftest.Script, until: conftest.Until
) -> None:
    never = test_loop.MANIFEST.replace("networks: none", "networks: none, restart: {policy: Never}")
    script.write("a.yaml", DEPENDENT % "web" + "---\n" + never % "db")
    async with test_loop.running(stage, script) as going:
        await until(lambda: stage.of(signals.RevisionApplied))
        stage.world.end("db", 1)
        request = await going.restart(frozenset({WEB}), 5.0)
        progress, message = request.progress(WEB)
        assert (progress, message.partition(":")[0]) == (restarts.Progress.WAITING, "WaitingForDependency")
        assert (await going.restart(frozenset({DB}), 5.0)).progress(DB) == RESTARTED
        await asyncio.sleep(60)
        assert requested(stage) == ["StartContainer db"]


async def test_restart_without_an_agent__others_differ__are_left_as_they_are(stage: conftest.Stage) -> None:
    desired = conftest.declare(builders.config("web"), builders.config("db"))
    await once.converge_once(stage.parts, goals.Goal.everything(desired), 60.0)
    changed = conftest.declare(
        *(builders.config("web"), dataclasses.replace(builders.config("db"), args=("x",)), builders.config("new"))
    )
    stage.parts.book.accept(journal.Good(changed, "script", 1.0))
    before = stage.actions()
    request = await once.restart(stage.parts, frozenset({WEB}), 60.0)
    assert request.progress(WEB) == RESTARTED
    assert stage.actions()[len(before) :] == ["StopContainer web", "StartContainer web"]
    assert stage.states() == {"web": "running", "db": "running"}
    statuses = {status.key: status.conditions[0].reason for status in stage.parts.book.statuses()}
    assert statuses[DB] == "Running"


async def test_restart_without_an_agent__stopping_takes_longer_than_the_wait__is_brought_to_its_end(
    stage: conftest.Stage,
) -> None:
    desired = conftest.declare(builders.config("web"))
    await once.converge_once(stage.parts, goals.Goal.everything(desired), 60.0)
    stage.parts.book.accept(journal.Good(desired, "script", 1.0))
    stage.world.delay("containers.stop", 90.0)
    assert (await once.restart(stage.parts, frozenset({WEB}), 5.0)).progress(WEB) == RESTARTED
    assert stage.world.find("web").state is container.ContainerState.RUNNING


async def test_restart_without_an_agent__it_is_not_there__says_how_to_bring_it_about(stage: conftest.Stage) -> None:
    stage.parts.book.accept(journal.Good(conftest.declare(builders.config("web")), "script", 1.0))
    with pytest.raises(once.NotThere, match="Container/web is not there") as raised:
        await once.restart(stage.parts, frozenset({WEB}), 5.0)
    assert "apply SOURCE" in raised.value.hint
