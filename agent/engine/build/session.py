"""What the stages of one build share: what is asked for, images, the context, and each other's ends."""

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from agent import errors
from agent.distribution.layers import streams
from agent.dockerfile import builds
from agent.dockerfile import steps as build_steps
from agent.engine import layout
from agent.engine.build import (
    bases,
    cache,
    disk_trees,
    remote_caches,
    remote_steps,
    running,
    steps,
    workspace,
)
from agent.engine.images import leases
from agent.engine.kernel import api
from agent.kit import clock, frozen, locks, tasks
from agent.oci import platform as platforms
from agent.oci import reference
from agent.reasons import Reason

_LAST_LINES = 20
_LONGEST_LINE = 1000
_LOCAL = "localhost"
"""The registry in the references of images that come from none."""


@frozen.value(kw_only=True)
class Shared:
    """What all builds of an instance work with."""

    where: layout.Layout
    kernel: api.Kernel
    bases: bases.Bases
    runner: running.Runner
    cache: cache.Cache
    clock: clock.Clock
    limits: streams.Limits
    steps: locks.KeyedLocks
    """Held while a step is made, by its key."""
    caches: locks.KeyedLocks
    """Held while a step uses a cache mount."""
    digests: disk_trees.Digests
    remote_caches: remote_caches.RemoteCaches


@frozen.value(kw_only=True)
class Own:
    """What is one build's own."""

    workshop: workspace.Workshop
    lease: leases.Lease
    crew: tasks.Crew
    held: contextlib.AsyncExitStack


class Session:
    """One build: what it is about, and what its stages have of each other."""

    def __init__(
        self,
        shared: Shared,
        own: Own,
        request: builds.Request,
        report: build_steps.Report,
        platform: platforms.Platform,
        arguments: Mapping[str, str],
    ) -> None:
        """Nothing is looked at yet. ``platform``: what the image is for; ``arguments``: what FROM knows."""
        self.shared = shared
        self.own = own
        self.request = request
        self.platform = platform
        self.arguments = arguments
        self._report = report
        self._ends: dict[int, asyncio.Future[steps.Stage]] = {}
        self._images: dict[tuple[str, platforms.Platform], asyncio.Future[bases.Image]] = {}
        self._context: disk_trees.DiskTree | None = None
        self._numbers = 0
        self._recorded: dict[int, dict[str, steps.StepLayer]] = {}
        for name in (*request.cache_from, *(target.reference for target in request.cache_to)):
            _is_admitted(name, request.registries)
        self.remote = remote_steps.RemoteSteps(shared.remote_caches, request.cache_from, own.crew, self._showing)

    def record(self, number: int, key: str, step_layer: steps.StepLayer) -> None:
        """Take note of a step of a stage."""
        self._recorded.setdefault(number, {})[key] = step_layer

    async def export(self, number: int) -> None:
        """Push the steps that were done to the caches that are to keep them; ``number``: the target's stage.

        Raises what a push raises.
        """
        for target in self.request.cache_to:
            stages = self._recorded.values() if target.is_whole else [self._recorded.get(number, {})]
            exported = {
                key: cache.Step(await step_layer.layer, step_layer.created)
                for recorded in stages
                for key, step_layer in recorded.items()
            }
            step = self.begin_step(f"exporting the cache to {target.reference}")
            try:
                await self.shared.remote_caches.write(target.reference, exported, self.own.lease)
            except errors.TrimtabError as error:
                step.ended(error=error.message)
                raise
            step.ended()

    def _showing(self, title: str) -> Callable[[str], None]:
        step = self.begin_step(title)
        return lambda error: step.ended(error=error)

    @contextlib.contextmanager
    def expecting(self, numbers: Iterable[int]) -> Iterator[None]:
        """Let stages wait for each other's ends, for as long as the context lasts."""
        loop = asyncio.get_running_loop()
        self._ends = {number: loop.create_future() for number in numbers}
        try:
            yield
        finally:
            for end in self._ends.values():
                end.cancel()

    def set_end(self, number: int, stage: steps.Stage) -> None:
        """Note that a stage is done."""
        self._ends[number].set_result(stage)

    async def end(self, number: int) -> steps.Stage:
        """Return an earlier stage, once it is done."""
        return await asyncio.shield(self._ends[number])

    async def base_image(self, name: str, requested: platforms.Platform) -> bases.Image:
        """Return an image, looked for once a build. Raises ``errors.InvalidArgument`` for one that is not admitted."""
        may_pull = _is_admitted(name, self.request.registries)
        key = name, requested
        if key not in self._images:
            pulls = bases.Pulls.ALWAYS if self.request.pulls else bases.Pulls.MISSING
            pulls = pulls if may_pull else bases.Pulls.NEVER
            getting = self.shared.bases.image(name, requested, self.own.lease, pulls)
            self._images[key] = self.own.crew.promise(getting, name=f"image {name} for {requested}")
        return await asyncio.shield(self._images[key])

    def context_tree(self) -> disk_trees.DiskTree:
        """Return the build's context. Raises ``errors.InvalidArgument`` where there is none."""
        if self._context is None:
            if self.request.context is None:
                raise errors.InvalidArgument("the build has no context to take files of", hint="give it a directory")
            self._context = self.context(self.request.context)
        return self._context

    def context(self, context: builds.Context) -> disk_trees.DiskTree:
        """Open a context, for as long as the build lasts. Raises ``errors.NotFound``."""
        try:
            top = os.open(context.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise errors.NotFound(
                f"the context {context.path} cannot be opened: {error.strerror}", reason=Reason.CONTENT_MISSING
            ) from error
        self.own.held.callback(os.close, top)
        return disk_trees.DiskTree(self.shared.kernel, top, context.ignored, is_context=True)

    def begin_step(self, title: str) -> "ShownStep":
        """Tell that a step begins."""
        self._numbers += 1
        return ShownStep(self._numbers, title, self._report)


def _is_admitted(name: str, admitted: Sequence[str]) -> bool:
    """Return whether an image may be pulled; what archives and builds have made is taken where it is there.

    Raises ``errors.InvalidArgument`` for one that may not be used at all.
    """
    if not admitted:
        return True
    try:
        image = reference.parse(name)
    except reference.InvalidReference as error:
        raise errors.InvalidArgument(str(error), hint="see FROM in the Dockerfile") from error
    is_listed = reference.is_listed(image, admitted)
    if not is_listed and image.registry != _LOCAL:
        raise errors.InvalidArgument(
            f"images of {image.registry} are not among those that may be used",
            hint=f"to admit it, add {image.registry} to registries in the settings' admission",
            reason=Reason.BUILD_NOT_ADMITTED,
        )
    return is_listed


class ShownStep:
    """A step as it is shown to who waits."""

    def __init__(self, number: int, title: str, report: build_steps.Report) -> None:
        self._number = number
        self._report = report
        self._begun = time.monotonic()
        self._tail = b""
        report(build_steps.StepBegun(number, title))

    def output(self, data: bytes) -> None:
        """Tell what it prints."""
        self._tail = (self._tail + data)[-_LAST_LINES * _LONGEST_LINE :]
        self._report(build_steps.StepOutput(self._number, data))

    def ended(self, *, is_cached: bool = False, error: str = "") -> None:
        """Tell that it has ended."""
        self._report(build_steps.StepEnded(self._number, time.monotonic() - self._begun, is_cached, error))

    @property
    def last_lines(self) -> tuple[str, ...]:
        """Return the last lines that it has printed."""
        lines = self._tail.decode(errors="replace").splitlines()
        return tuple(line[-_LONGEST_LINE:] for line in lines[-_LAST_LINES:])
