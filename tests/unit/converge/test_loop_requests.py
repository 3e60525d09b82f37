"""What is asked of the loop: before it runs, while passes fail, and when time is over."""

import asyncio
import dataclasses

import pytest

from agent import errors
from agent.converge import loop, once, signals
from agent.model.key import Kind, ObjectKey
from tests.unit.converge import conftest, test_loop

pytestmark = pytest.mark.looptime
WEB = ObjectKey(Kind.CONTAINER, "web")
MANIFEST = test_loop.MANIFEST % "web"


async def test_loop__does_not_run__answers_what_can_be_said_without_a_pass(
    stage: conftest.Stage, script: conftest.Script
) -> None:
    script.write("web.yaml", MANIFEST)
    idle = loop.Loop(stage.parts, script)
    idle.wake()
    assert idle.source_health.error == ""
    assert await idle.suspend(frozenset({WEB})) == loop.Changed(("Container/web",), None)
    assert await idle.resume(frozenset({WEB})) == loop.Changed(("Container/web",), None)
    reading, computed = await idle.preview()
    assert ([config.name for config in reading.desired.containers], computed) == (["web"], None)
    request = await idle.restart(frozenset({WEB}), 5.0)
    assert (request.keys, request.is_over) == ({WEB}, False)
    assert (idle.converged_once, idle.ready()) == (False, "no pass has been made yet")
    assert idle.describe() != ""
    assert stage.world.calls == []


async def test_loop__waits_for_its_first_reading__is_alive_and_not_ready(
    stage: conftest.Stage, script: conftest.Script, until: conftest.Until
) -> None:
    script.takes = 5.0
    script.write("web.yaml", MANIFEST)
    async with test_loop.running(stage, script) as going:
        await asyncio.sleep(4.0)
        assert (going.alive(), going.converged_once, going.ready()) == ("", False, "no pass has been made yet")
        await until(lambda: stage.states() == {"web": "running"})
        assert (going.alive(), going.converged_once, going.ready()) == ("", True, "")
        description = going.describe()
    for name in ("source", "source confirmation", "external inputs", "relist", "clock"):
        assert f"{name} at " in description


async def test_loop__nothing_was_ever_read__nothing_is_applied(
    stage: conftest.Stage, script: conftest.Script, until: conftest.Until
) -> None:
    script.unavailable = "no such repository"
    async with test_loop.running(stage, script) as going:
        await until(lambda: going.converged_once)
        await asyncio.sleep(100.0)
    assert stage.of(signals.RevisionApplied) == []


class Observation:
    """The networks of a runtime, which can be out of reach."""

    def __init__(self, stage: conftest.Stage) -> None:
        self.fails = False
        self._real = stage.parts.runtime.networks
        runtime = dataclasses.replace(stage.parts.runtime, networks=self)  # type: ignore[type-var]
        stage.parts = dataclasses.replace(stage.parts, runtime=runtime)

    def __getattr__(self, name: str) -> object:
        return getattr(self._real, name)

    async def list(self) -> object:
        """Return what is there, or fail."""
        if self.fails:
            raise errors.Unavailable("no engine")
        return await self._real.list()


async def test_loop__runtime_is_out_of_reach_for_a_while__says_so_and_goes_on(
    stage: conftest.Stage, script: conftest.Script, until: conftest.Until
) -> None:
    observation = Observation(stage)
    script.write("web.yaml", MANIFEST)
    async with test_loop.running(stage, script) as going:
        await until(lambda: stage.of(signals.RevisionApplied))
        observation.fails = True
        assert (await going.look_now())[-1] is None
        assert going.ready() == "the runtime cannot be observed"
        assert (await going.suspend(None)).result is None
        assert (await going.preview())[1] is None
        converged = await going.apply(5.0)
        assert (converged.outcome, converged.timed_out) == (once.Outcome.FAILED, True)
        observation.fails = False
        resumed = await going.resume(None)
        assert (resumed.subjects, resumed.result is not None and resumed.result.converged) == (("Source",), True)
        assert going.ready() == ""


def is_requested(passes: list[signals.PassFinished]) -> bool:
    """Tell whether somebody asked for one of the passes."""
    return any(signals.Trigger.REQUEST in told.triggers for told in passes)


async def test_wake__nothing_has_changed__still_makes_a_pass(
    stage: conftest.Stage, script: conftest.Script, until: conftest.Until
) -> None:
    script.write("web.yaml", MANIFEST)
    async with test_loop.running(stage, script) as going:
        await until(lambda: stage.of(signals.RevisionApplied))
        await asyncio.sleep(5.0)
        before, reads = len(stage.of(signals.PassFinished)), script.reads
        going.wake()
        await until(lambda: is_requested(stage.of(signals.PassFinished)[before:]))
        await until(lambda: script.reads > reads)
        assert stage.states() == {"web": "running"}


async def test_apply__time_is_over__comes_back_with_what_is_so_by_then(
    stage: conftest.Stage, script: conftest.Script, until: conftest.Until
) -> None:
    stage.world.delay("containers.start", 1000.0)
    script.write("web.yaml", MANIFEST)
    async with test_loop.running(stage, script) as going:
        await until(lambda: stage.of(signals.ActionStarted))
        began = asyncio.get_running_loop().time()
        converged = await going.apply(30.0)
        assert asyncio.get_running_loop().time() - began >= 30.0
        assert (converged.outcome, converged.timed_out) == (once.Outcome.PARTIAL, True)
        assert [str(item.key) for item in converged.unfinished] == ["Container/web"]
