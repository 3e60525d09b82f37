"""Whether the loop goes round: by how long a pass takes, and how long ago the last one was."""

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator

import pytest

from agent.converge import loop
from agent.kit import tasks
from tests.unit.converge import conftest

pytestmark = pytest.mark.looptime


@contextlib.asynccontextmanager
async def running(stage: conftest.Stage, script: conftest.Script) -> AsyncIterator[loop.Loop]:
    """Run a loop."""
    going = loop.Loop(stage.parts, script)
    async with tasks.Crew(lambda name, error: pytest.fail(f"{name}: {error}")) as crew:
        crew.start(going.run(), name="loop")
        yield going


async def test_alive__before_it_runs__has_not_begun(stage: conftest.Stage, script: conftest.Script) -> None:
    assert loop.Loop(stage.parts, script).alive() == "the loop has not begun"


@pytest.mark.parametrize(
    ("relist", "seconds", "message"),
    [
        (60.0, 179.0, ""),
        (60.0, 181.0, "the last pass was 181 s ago"),
        (10.0, 119.0, ""),
        (10.0, 121.0, "the last pass was 121 s ago"),
        (600.0, 1799.0, ""),
    ],
)
async def test_alive__relists_are_missed__says_since_when(
    stage: conftest.Stage, script: conftest.Script, until: conftest.Until, relist: float, seconds: float, message: str
) -> None:
    async with running(stage, script) as going:
        await until(lambda: going.converged_once)
        assert going._cycle is not None
        going._parts = dataclasses.replace(stage.parts, relist=relist)
        going._cycle.progress.began = None
        going._cycle.progress.ended = asyncio.get_running_loop().time() - seconds
        assert going.alive() == message


@pytest.mark.parametrize(("seconds", "message"), [(119.0, ""), (121.0, "a pass has been under way for 121 s")])
async def test_alive__a_pass_does_not_end__says_for_how_long(
    stage: conftest.Stage, script: conftest.Script, until: conftest.Until, seconds: float, message: str
) -> None:
    async with running(stage, script) as going:
        await until(lambda: going.converged_once)
        assert going._cycle is not None
        going._cycle.progress.began = asyncio.get_running_loop().time() - seconds
        assert going.alive() == message
        going._cycle.progress.began = None
