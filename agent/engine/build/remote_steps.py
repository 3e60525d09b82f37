"""What one build has of caches in registries, and what it gives them."""

import asyncio
from collections.abc import Callable, Mapping, Sequence

from agent import errors
from agent.engine.build import cache, remote_caches, spec
from agent.kit import frozen, tasks
from agent.reasons import Reason

Show = Callable[[str], Callable[[str], None]]
"""Tells that something begins, by its title; what it returns tells its end: why it failed, or nothing."""


@frozen.value
class RemoteStep:
    """A step that a cache in a registry has."""

    name: str
    """The cache's."""
    step: cache.Step
    local_key: str


class RemoteSteps:
    """The caches that one build takes steps from. Each is read at the first step that this host has not done."""

    def __init__(self, caches: remote_caches.RemoteCaches, names: Sequence[str], crew: tasks.Crew, show: Show) -> None:
        """Nothing is read yet."""
        self._caches = caches
        self._names = names
        self._crew = crew
        self._show = show
        self._read: dict[str, asyncio.Future[Mapping[str, cache.Step]]] = {}

    def local_keys(self, key: str) -> list[str]:
        """Return what a step of the caches would be known by on this host."""
        return [remote_caches.local_key(name, key) for name in self._names]

    async def find(self, key: str) -> RemoteStep | None:
        """Return a step. Raises ``errors.InvalidArgument`` for what is no cache, or may not be used."""
        for name in self._names:
            step = (await self._steps(name)).get(key)
            if step is not None:
                return RemoteStep(name, step, remote_caches.local_key(name, key))
        return None

    async def fetch(self, remote: RemoteStep, below: Sequence[spec.Layer], ids: Sequence[str]) -> None:
        """Fetch a step's layer upon those below it; ``ids`` are the chain ids of all. Raises what a pull raises."""
        await self._caches.fetch(remote.name, (*below, remote.step.layer), ids)

    async def _steps(self, name: str) -> Mapping[str, cache.Step]:
        if name not in self._read:
            self._read[name] = self._crew.promise(self._reading(name), name=f"cache {name}")
        return await asyncio.shield(self._read[name])

    async def _reading(self, name: str) -> Mapping[str, cache.Step]:
        """Read a cache. One that cannot be reached is told of, and done without."""
        ended = self._show(f"importing the cache {name}")
        try:
            steps = await self._caches.read(name)
        except errors.Failure as error:
            ended(error.message)
            if isinstance(error, errors.InvalidArgument) and error.reason is not Reason.IMAGE_PULL_DENIED:
                raise
            return {}
        ended("")
        return steps
