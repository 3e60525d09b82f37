"""The agent over an engine whose socket has a faulty proxy in front of it, in this process: a day in their life."""

import asyncio
import contextlib
import dataclasses
import pathlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from agent import app, errors, settings
from agent.converge import cycle, dispose, loop, reconcile, signals
from agent.drivers.docker import driver
from agent.kit import tasks
from agent.model import state
from agent.plan import render
from tests import engines, faulty_proxy

PATIENCE = 60.0
_SOON = 0.2
"""Seconds for what is retried after seconds or minutes elsewhere."""
_IMAGE = "apiVersion: trimtab.dev/v1\nkind: Image\nmetadata: {{name: box}}\nspec: {{archive: {{path: {path}}}}}\n"


@dataclasses.dataclass
class Day:
    """The agent, what it works with, and what it tells."""

    switch: engines.Running
    proxy: faulty_proxy.Proxy
    folder: pathlib.Path
    runtime: driver.DockerRuntime
    archive: pathlib.Path
    emitted: list[signals.Signal] = dataclasses.field(default_factory=list)

    @property
    def engine(self) -> engines.Engine:
        """The engine, as strangers reach it: beside the proxy."""
        return self.switch.engine

    def declare(self, **documents: str | None) -> None:
        """Replace manifests, as editors do; ``None`` takes one away."""
        for name, text in documents.items():
            path = self.folder / f"{name}.yaml"
            if text is None:
                path.unlink()
            else:
                (self.folder / f".{name}").write_text(f"apiVersion: trimtab.dev/v1\n{text}")
                (self.folder / f".{name}").rename(path)

    async def until(self, condition: Callable[[state.ObservedState], object], what: str) -> None:
        """Wait until a pass finds everything as declared, and this so."""

        def is_so() -> bool:
            last_pass = self.passes[-1:]
            assert self.surprises() == []
            return bool(last_pass and last_pass[0].converged and condition(last_pass[0].observed))

        await self.assert_eventually(is_so, what)

    async def assert_eventually(self, condition: Callable[[], object], what: str) -> None:
        """Wait until something is so."""
        try:
            async with asyncio.timeout(PATIENCE):
                while not condition():  # noqa: ASYNC110 - observed from outside on purpose
                    await asyncio.sleep(0.02)
        except TimeoutError:
            passes = [
                signal for signal in self.emitted if isinstance(signal, signals.PassFinished | signals.PassFailed)
            ][-1:]
            plan = render.text(passes[0].plan) if passes and isinstance(passes[0], signals.PassFinished) else passes
            raise AssertionError(f"not within {PATIENCE:g} s: {what}; {plan}; {self.proxy.faults}") from None

    def surprises(self) -> list[Exception]:
        """Return failures of passes and tasks that are no failures of the runtime."""
        failed = [
            signal.error for signal in self.emitted if isinstance(signal, signals.PassFailed | signals.TaskFailed)
        ]
        return [error for error in failed if not isinstance(error, errors.Failure)]

    @property
    def passes(self) -> list[signals.PassFinished]:
        """Passes that came to something."""
        return [signal for signal in self.emitted if isinstance(signal, signals.PassFinished)]

    async def streaming(self) -> None:
        """Wait until the engine's events are listened to."""
        await self.assert_eventually(lambda: self.proxy.is_open("/events"), "a stream of events")

    async def cut(self) -> None:
        """Cut all connections with the engine, the stream of events among them."""
        await self.streaming()
        self.proxy.cut()

    def unobserved(self) -> bool:
        """Return whether a pass has failed since anybody asked."""
        return any(isinstance(signal, signals.PassFailed) for signal in self.emitted)

    def complaints(self) -> list[str]:
        """Return the messages with which streams of events ended."""
        return [
            signal.message
            for signal in self.emitted
            if isinstance(signal, signals.EventStream) and not signal.connected
        ]

    def failed(self) -> list[str]:
        """Name the reasons of actions that failed."""
        ended = [
            signal for signal in self.emitted if isinstance(signal, signals.ActionFinished) and signal.error is not None
        ]
        return [dispose.reason_of(signal.error) for signal in ended if signal.error is not None]

    def forget(self) -> None:
        """Begin to listen anew."""
        self.emitted.clear()

    async def call(self, method: str, path: str) -> Any:
        """Make a call of the engine, beside the proxy."""
        return await asyncio.to_thread(self.engine.call, method, path)

    async def present(self) -> tuple[dict[str, str], set[str], set[str]]:
        """Return our objects in the engine: containers with their states, networks and volumes."""
        containers = {
            document["Names"][0].removeprefix("/"): str(document["State"])
            for document in await self.call("GET", "containers/json?all=true")
        }
        own = {document["Name"] for document in await self.call("GET", "networks")} - {
            "bridge",
            "host",
            "none",
            "podman",
        }
        volumes = {document["Name"] for document in (await self.call("GET", "volumes"))["Volumes"] or ()}
        return containers, own, volumes


@contextlib.contextmanager
def _hasty() -> Iterator[None]:
    """Shorten the loop's back-off, which is not tested here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cycle, "RETRY", _SOON)
        patch.setattr(dispose, "INITIAL", _SOON)
        patch.setattr(dispose, "MAXIMUM", _SOON)
        yield


@contextlib.asynccontextmanager
async def begun(switch: engines.Running, home: pathlib.Path, archive: pathlib.Path) -> AsyncIterator[Day]:
    """Begin a day: the agent runs, and has an image; at its end nothing is left in the engine."""
    folder = home / "manifests"
    folder.mkdir()
    (folder / "image.yaml").write_text(_IMAGE.format(path=archive))
    chosen = settings.Settings(
        root=home / "root",
        run_dir=home / "run",
        runtime=switch.engine.flavour,
        converge=settings.ConvergeSettings(relist=3600.0),
    )
    emitted: list[signals.Signal] = []
    async with contextlib.AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(faulty_proxy.standing(home / "p.sock", switch.engine.socket))
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setenv(next(iter(switch.engine.environment)), proxy.url)
        stack.enter_context(_hasty())
        stack.push_async_callback(_emptied, switch)
        parts = await stack.enter_async_context(app.open_parts(chosen, emitted.append))
        assert isinstance(parts.runtime, driver.DockerRuntime)
        parts.runtime.engine.call_timeout = 2.0
        source = await stack.enter_async_context(app.open_source(chosen, str(folder)))
        crew = await stack.enter_async_context(tasks.Crew(_failed))
        crew.start(_run(parts, source), name="agent")
        day = Day(switch, proxy, folder, parts.runtime, archive, emitted)
        yield day
        assert day.surprises() == []


async def _run(parts: reconcile.Parts, source: Any) -> None:
    await loop.Loop(parts, source).run()


async def _emptied(switch: engines.Running) -> None:
    """Remove all that is in the engine, beside the proxy."""
    await asyncio.to_thread(switch.start)
    await asyncio.to_thread(engines.emptied, switch.engine)


def _failed(task: str, failure: BaseException) -> None:
    asyncio.get_running_loop().call_exception_handler({"message": f"{task} has failed", "exception": failure})
