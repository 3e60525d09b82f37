"""The builder of an instance: what its builds share, and what becomes of what they make."""

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator

from agent.distribution.content import store
from agent.distribution.layers import streams
from agent.dockerfile import builds
from agent.dockerfile import steps as build_steps
from agent.engine import layout
from agent.engine.build import (
    bases,
    cache,
    disk_trees,
    remote_caches,
    result,
    running,
    session,
    solve,
    spec,
    workspace,
)
from agent.engine.images import images
from agent.engine.kernel import api
from agent.engine.snapshots import snapshots
from agent.kit import batching, clock, frozen, locks, tasks
from agent.oci import digest, mediatypes


@frozen.value(kw_only=True)
class Deps:
    """Collaborators of builds."""

    where: layout.Layout
    kernel: api.Kernel
    content: store.ContentStore
    snapshots: snapshots.Snapshots
    images: images.Images
    runner: running.Runner
    cache: cache.Cache
    clock: clock.Clock
    limits: streams.Limits
    remote_caches: remote_caches.RemoteCaches


class Builder:
    """Builds images. What two builds have to do alike is done once."""

    def __init__(self, deps: Deps) -> None:
        """Nothing is built yet."""
        self._deps = deps
        self._under_way = 0
        self._flush = batching.Batch(lambda: asyncio.to_thread(deps.kernel.sync, str(deps.where.root)))
        self._workshop_deps = workspace.Deps(
            where=deps.where, kernel=deps.kernel, content=deps.content, snapshots=deps.snapshots
        )
        self._shared = session.Shared(
            where=deps.where,
            kernel=deps.kernel,
            bases=bases.Bases(deps.images, deps.content),
            runner=deps.runner,
            cache=deps.cache,
            clock=deps.clock,
            limits=deps.limits,
            steps=locks.KeyedLocks(),
            caches=locks.KeyedLocks(),
            digests=disk_trees.Digests(),
            remote_caches=deps.remote_caches,
        )

    @contextlib.asynccontextmanager
    async def built(self, request: builds.Request, report: build_steps.Report) -> AsyncIterator[spec.BuiltImage]:
        """Build an image, and keep what it is made of for as long as the context lasts.

        Raises ``builds.BuildFailed``, and other failures of what a build uses.
        """
        async with contextlib.AsyncExitStack() as held:
            await held.enter_async_context(self._counted())
            lease = await held.enter_async_context(self._deps.images.leases.reading([]))
            workshop = workspace.Workshop(self._workshop_deps, self._flush)
            held.push_async_callback(functools.partial(asyncio.to_thread, workshop.close))
            crew = await held.enter_async_context(tasks.Crew())
            own = session.Own(workshop=workshop, lease=lease, crew=crew, held=held)
            yield await solve.solve(self._shared, own, request, report)

    @contextlib.asynccontextmanager
    async def _counted(self) -> AsyncIterator[None]:
        """Count a build; the last one takes the network of all away."""
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1
            if not self._under_way:
                await self._deps.runner.remove_network()

    async def recover(self) -> None:
        """Take away what a crash has left of builds, and no other room does."""
        await self._deps.runner.remove_network()

    async def store(self, name: str, built: spec.BuiltImage, labels: images.Labels) -> images.StoredImage:
        """Record a built image under a name, replacing the one that had it."""
        data = result.manifest(built.config, built.layers)
        async with self._deps.images.leases.reading([digest.of(built.config), digest.of(data)]):
            self._deps.content.put(mediatypes.CONFIG, built.config)
            stored = await self._deps.images.keep(name, data, labels, lambda _: None)
        self._deps.images.collector.wake()  # the image that had the name may be nobody's now
        return stored
