"""The agent's loop on a journal that was damaged anywhere, a hundred places a kind: it starts, converges, and goes on.

Nothing that runs is touched for it, and what crashes afterwards is started again. The processes themselves start on
damaged databases in tests/e2e/test_damaged_records.py, for few places.
"""

import asyncio
import contextlib
import dataclasses
import pathlib
import tempfile
from collections.abc import AsyncIterator

import looptime
import pytest

from agent.converge import journal, loop, reconcile, signals
from agent.drivers.memory import driver, world
from agent.kit import tasks
from tests import builders, damages
from tests.unit.converge import conftest

PLACES = 100
CONTAINERS = 8
MANIFEST = (
    "apiVersion: trimtab.dev/v1\nkind: Container\nmetadata: {name: c%d}\n"
    "spec: {image: 'app:1', networks: none, restart: {backoff: {initial: 1s, max: 2s}}}\n"
)


@dataclasses.dataclass(frozen=True, slots=True)
class Host:
    """A host with a source, on which agents are started one after the other."""

    journal: pathlib.Path
    world: world.World
    source: conftest.Script

    def running(self) -> dict[str, str]:
        """Return the ids of what runs, by name."""
        return {
            container.name: container.id
            for container in self.world.containers.values()
            if container.state.value == "running"
        }


def host_in(folder: pathlib.Path) -> Host:
    """Return a host whose journal is in a folder, with a source of some containers."""
    source = conftest.Script()
    for number in range(CONTAINERS):
        source.write(f"c{number}.yaml", MANIFEST % number)
    return Host(folder / "agent.sqlite", world.World(conftest.LoopClock()), source)


@contextlib.asynccontextmanager
async def converged(host: Host, until: conftest.Until) -> AsyncIterator[journal.Journal]:
    """Start an agent and wait until it says that everything is as declared; end it. Nothing may fail in it."""
    emitted: list[signals.Signal] = []
    failures: list[str] = []
    with journal.Journal(host.journal, failures.append) as book:
        runtime = driver.runtime_in(host.world)
        parts = reconcile.Parts(runtime, book, emitted.append, conftest.LoopClock(), builders.OWNER)
        agent = loop.Loop(parts, host.source)
        async with tasks.Crew(lambda name, error: failures.append(f"{name}: {error!r}")) as crew:
            crew.start(agent.run(), name="loop")
            await until(lambda: failures or any(isinstance(signal, signals.RevisionApplied) for signal in emitted))
            assert agent.ready() == ""
            yield book
        assert failures == []


async def life(host: Host, until: conftest.Until, kind: str, place: int) -> int:
    """Converge, damage the journal, converge again, and let a container crash; return how much damage was noticed."""
    async with converged(host, until):
        pass
    running = host.running()
    assert len(running) == CONTAINERS
    damages.damage(host.journal, kind, place)
    calls = len(host.world.calls)
    async with converged(host, until) as book:
        assert host.world.calls[calls:] == []
        assert book.good() is not None
        crashing = f"c{place % CONTAINERS}"
        host.world.end(running[crashing], 1)
        await until(lambda: host.running() == running)
        assert host.world.calls[calls:] == [("containers.start", crashing)]
        return len(book.notices())


@pytest.mark.filterwarnings("ignore:The executor did not finish")  # whose patience is over at once in virtual time
@pytest.mark.parametrize("kind", damages.KINDS)
def test_start__journal_is_damaged_anywhere__converges_touches_nothing_and_restarts_what_crashes(
    until: conftest.Until, kind: str
) -> None:
    noticed = 0
    for place in range(PLACES):
        with tempfile.TemporaryDirectory(dir="/dev/shm") as folder, asyncio.Runner(loop_factory=_virtual) as runner:
            noticed += runner.run(life(host_in(pathlib.Path(folder)), until, kind, place))
    assert noticed > 0, "some of it was damage that is noticed"


def _virtual() -> asyncio.AbstractEventLoop:
    return looptime.new_event_loop()
