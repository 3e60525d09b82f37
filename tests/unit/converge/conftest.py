"""A whole loop over the memory runtime, in virtual time: what the tests of this room are played on."""

import asyncio
import contextlib
import dataclasses
import pathlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Protocol, Self, TypeVar

import pytest

from agent.converge import cycle, journal, reconcile, signals
from agent.converge import goal as goals
from agent.drivers.memory import driver, world
from agent.kit import damage
from agent.model import container, state
from agent.sources import api
from tests import builders

EPOCH = 1_700_000_000.0


T = TypeVar("T")


class Until(Protocol):
    """Waits for something to be so."""

    def __call__(self, condition: Callable[[], object], patience: float = 10.0) -> Awaitable[None]:
        """Look now and then; fail after so many seconds of the loop's time."""


class LoopClock:
    """The time of the running event loop, which may be a virtual one."""

    def now(self) -> float:
        """Return the loop's time, as if since the epoch."""
        return EPOCH + asyncio.get_running_loop().time()

    def monotonic(self) -> float:
        """Return the loop's time."""
        return asyncio.get_running_loop().time()


def declare(*containers: container.ContainerConfig, revision: str = "r1") -> state.DesiredState:
    """Declare containers and their images."""
    images = tuple(
        builders.image_config(reference) for reference in sorted({container.image for container in containers})
    )
    return state.DesiredState.of(revision, (*containers, *images))


def open_files(folder: pathlib.Path) -> list[str]:
    """Return the names of the files below a folder that this process has open."""
    links = []
    for entry in pathlib.Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            links.append(str(entry.readlink()))
    return [link for link in links if link.startswith(f"{folder}/")]


@dataclasses.dataclass(slots=True)
class Stage:
    """A runtime in RAM, a journal, and everything that was told."""

    world: world.World
    parts: reconcile.Parts
    emitted: list[signals.Signal]
    path: pathlib.Path

    def of(self, kind: type[T]) -> list[T]:
        """Return the signals of a kind."""
        return [signal for signal in self.emitted if isinstance(signal, kind)]

    def actions(self) -> list[str]:
        """Every action that succeeded, in order."""
        done = [signal for signal in self.of(signals.ActionFinished) if signal.result is signals.Result.SUCCEEDED]
        return [f"{type(signal.action).__name__} {signal.action.key.name}" for signal in done]

    def states(self) -> dict[str, str]:
        """Return the containers' states by name."""
        return {container.name: container.state.value for container in self.world.containers.values()}

    def conditions(self, key: str) -> dict[str, tuple[str, str]]:
        """Type -> (status, reason) of an object, as last reported."""
        status = next(status for status in self.of(signals.PassFinished)[-1].statuses if str(status.key) == key)
        return {condition.type.value: (condition.status.value, condition.reason) for condition in status.conditions}

    def forget(self) -> None:
        """Let the journal be one that was begun anew, of whose last good revision nothing could be read."""
        self.parts.book._write(lambda connection: connection.execute("DELETE FROM good"))
        damage.put_aside_name(self.path, 1.0).touch()

    @contextlib.asynccontextmanager
    async def going(self, desired: Callable[[], state.DesiredState]) -> AsyncIterator[cycle.Cycle]:
        """Make passes in the background while the test looks on."""
        async with (
            cycle.Cycle(self.parts, lambda: goals.Goal.everything(desired())) as going,
            asyncio.TaskGroup() as group,
        ):

            async def run_pass() -> None:
                while True:
                    await going.run_pass()

            task = group.create_task(run_pass())
            yield going
            task.cancel()


@pytest.fixture
def stage(tmp_path: pathlib.Path) -> Iterator[Stage]:
    emitted: list[signals.Signal] = []
    path = tmp_path / "agent.sqlite"
    around = world.World(LoopClock())
    with journal.Journal(path, lambda message: emitted.append(signals.JournalFailed(message))) as book:
        parts = reconcile.Parts(driver.runtime_in(around), book, emitted.append, LoopClock(), builders.OWNER)
        yield Stage(around, parts, emitted, path)


@dataclasses.dataclass(slots=True)
class Script:
    """A source that says what the test writes into it. Files are manifests by name."""

    files: dict[str, str] = dataclasses.field(default_factory=dict)
    unavailable: str = ""
    shortened: float | None = None
    """Seconds since all files were changed in place."""
    age: float | None = None
    takes: float = 0.0
    """Seconds that reading takes."""
    reads: int = 0
    ended: int = 0
    changed: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)

    name = "script"

    def write(self, name: str, text: str) -> None:
        """Put a file in, and hint."""
        self.files[name] = text
        self.changed.set()

    async def snapshot(self) -> api.SourceSnapshot:
        """Return what is written, or fail."""
        self.reads += 1
        await asyncio.sleep(self.takes)
        self.ended += 1
        if self.unavailable:
            raise api.SourceUnavailable(self.unavailable, hint="mend it")
        files = tuple(api.SourceFile(name, "/", text.encode()) for name, text in sorted(self.files.items()))
        changed = {} if self.shortened is None else dict.fromkeys(self.files, self.shortened)
        return api.SourceSnapshot(f"script:{hash(files)}", files, changed_in_place=changed, age=self.age)

    async def forget(self) -> None:
        """Keep nothing."""

    async def changes(self) -> AsyncIterator[None]:
        """Hint at once, and at each writing."""
        while True:
            yield
            await self.changed.wait()
            self.changed.clear()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def until() -> Until:
    """Wait for something to be so, looking at it a thousand times; virtual time passes fast, looking does not."""

    async def wait(condition: Callable[[], object], patience: float = 10.0) -> None:
        async with asyncio.timeout(patience):
            while not condition():  # noqa: ASYNC110 - anything can be waited for
                await asyncio.sleep(patience / 1000)

    return wait
