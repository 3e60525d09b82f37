"""Runs are taken away some at a time, and one that fails gives its place back."""

import asyncio
import pathlib

from agent.engine import layout
from agent.engine.containers import ending
from agent.engine.kernel import recording
from agent.kit import clock, notices


class Runtime:
    """Counts how many deletions are under way."""

    def __init__(self) -> None:
        """Start without any deletion."""
        self.running = 0
        self.most = 0
        self.deleted = 0

    async def delete(self, container_id: str) -> None:
        """Take a moment; an odd one fails."""
        self.running += 1
        self.most = max(self.most, self.running)
        await asyncio.sleep(0.001)
        self.running -= 1
        self.deleted += 1
        if int(container_id) % 2:
            raise OSError("busy")


class Networks:
    """Has nothing to take away."""

    async def detach(self, container_id: str) -> None:
        """Do nothing."""


async def test_clean__many_have_ended_together__some_at_a_time(tmp_path: pathlib.Path) -> None:
    runtime = Runtime()
    cleaner = ending.Cleaner(
        where=layout.of(tmp_path / "root", tmp_path / "run"),
        kernel=recording.RecordingKernel(),
        runtime=runtime,  # type: ignore[arg-type]
        networks=Networks(),  # type: ignore[arg-type]
        register=notices.Register(clock.SystemClock(), lambda _: None),
    )
    await asyncio.gather(*(cleaner.attempt(str(number)) for number in range(100)))
    assert runtime.deleted == 100
    assert 1 < runtime.most <= 16
    assert len(cleaner.unfinished) == 50
