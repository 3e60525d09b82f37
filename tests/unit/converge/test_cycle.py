import asyncio

import pytest

from agent.converge import signals
from agent.model import container, health
from agent.runtime import errors

pytestmark = pytest.mark.looptime


async def test_cycle__nothing_there__brings_about_what_is_declared(stage, desk, until):
    async with stage.going(lambda: desk.desired(desk.container("web"))):
        await until(lambda: stage.states() == {"web": "running"})
        await until(lambda: stage.of(signals.PassFinished)[-1].converged)
    assert stage.actions() == ["EnsureImage docker.io/library/app:1", "CreateContainer web", "StartContainer web"]
    assert stage.conditions("Container/web")["Ready"] == ("True", "Running")
    assert {str(entry.key): bool(entry.applied_hash) for entry in stage.parts.book.ledger()} == {
        "Container/web": True,
        "Image/docker.io/library/app:1": True,
    }
