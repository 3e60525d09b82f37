"""An instance of the engine that builds, with the base image of all cases in it."""

import contextlib
import pathlib
from collections.abc import AsyncIterator
from typing import Any

from agent.dockerfile import builds, parse
from agent.dockerfile import steps as build_steps
from agent.engine import engine, layout, recover
from tests.builds import described

_USUAL = engine.Options()
BASE = f"docker.io/library/{described.BASE}"


@contextlib.asynccontextmanager
async def opened(folder: pathlib.Path, options: engine.Options = _USUAL) -> AsyncIterator[engine.Engine]:
    """Open an instance with the cases' base image in it; nothing is left over of what it does."""
    where = layout.of(folder / "root", folder / "run")
    folder.mkdir(exist_ok=True)
    archive = described.base_archive(folder / "base.tar")
    async with engine.opened(where, options, lambda _: None) as instance:
        await instance.images.load(archive, BASE, (), lambda _: None)
        yield instance
        await instance.collector.sweep()
        assert await recover.leftovers(instance.recovery) == []


def request(text: str, context: pathlib.Path | None = None, **fields: Any) -> builds.Request:
    """Return a build of a Dockerfile without a network."""
    parsed = parse.parse(text.encode())
    assert parsed.mistakes == ()
    taken = None if context is None else builds.Context(context)
    return builds.Request(parsed.dockerfile, text.encode(), taken, **{"network": "none", **fields})


class Told:
    """Collects what a build tells."""

    def __init__(self) -> None:
        """Nothing yet."""
        self.titles: dict[int, str] = {}
        self.output = b""
        self.ends: list[tuple[str, bool, str]] = []

    def __call__(self, progress: build_steps.Progress) -> None:
        """Collect it."""
        match progress:
            case build_steps.StepBegun(number=number, title=title):
                self.titles[number] = title
            case build_steps.StepOutput(data=data):
                self.output += data
            case build_steps.StepEnded(number=number, is_cached=is_cached, error=error):
                title = self.titles[number]
                self.ends.append((title.partition("] ")[2] or title, is_cached, error))

    @property
    def done(self) -> list[str]:
        """The steps that were not taken from the cache."""
        return [title for title, is_cached, error in self.ends if not is_cached and not error]


async def build(
    instance: engine.Engine,
    text: str,
    context: pathlib.Path | None = None,
    name: str = "localhost/test:1",
    **fields: Any,
) -> Told:
    """Build and keep an image, and return what was told of it."""
    told = Told()
    async with instance.builder.built(request(text, context, **fields), told) as built:
        await instance.builder.store(name, built, ())
    return told


@contextlib.contextmanager
def tree(instance: engine.Engine, folder: pathlib.Path, name: str = "localhost/test:1"):  # type: ignore[no-untyped-def]
    """Mount an image's root file system."""
    with described.mounted(instance.images.runnable(name).lower_dirs, folder) as root:
        yield root
