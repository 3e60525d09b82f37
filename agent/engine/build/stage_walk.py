"""The walk through one stage: from its base, instruction by instruction, to its end."""

import asyncio
import contextlib
import dataclasses
import functools
import os
import pathlib
from collections.abc import AsyncIterator, Iterator, Sequence

from agent import errors
from agent.dockerfile import builds, configuration, evaluate, ignore, instructions, parse, stages
from agent.dockerfile.mistake import Mistake
from agent.engine.build import (
    bases,
    disk_trees,
    fetching,
    mounting,
    result,
    running,
    spec,
    steps,
    trees,
    workbenches,
    writing,
)
from agent.engine.build import session as sessions
from agent.kit import tasks
from agent.oci import image_config, platform
from agent.reasons import Reason

_TITLE = 160
"""Characters of an instruction that are shown."""
_FILE_STEPS = (instructions.Run, instructions.Copy, instructions.Add, instructions.Workdir)


class StageWalk:
    """The walk through one stage."""

    def __init__(self, session: sessions.Session, node: stages.Node, prefix: str) -> None:
        self._session = session
        self._node = node
        self._prefix = prefix
        self._on_build: tuple[str, ...] = ()
        self._count = 1
        self._total = 1 + sum(isinstance(instruction, _FILE_STEPS) for instruction in node.stage.instructions)
        shared, own, request = session.shared, session.own, session.request
        self._mounts = mounting.Deps(
            where=shared.where,
            kernel=shared.kernel,
            caches=shared.caches,
            secrets=request.secrets,
            ssh=request.ssh,
            opened=self._mounted,
            scratch=own.workshop.scratch,
        )
        deps = steps.Deps(
            kernel=shared.kernel,
            workshop=own.workshop,
            runner=shared.runner,
            cache=shared.cache,
            lease=own.lease,
            locks=shared.steps,
            digests=shared.digests,
            clock=shared.clock,
            limits=shared.limits,
            mounts=self._mounts,
            fetcher=fetching.Fetcher(shared.limits.unpacked),
            tree=self._tree,
            workbench=functools.partial(workbenches.opened, shared.where, shared.kernel),
            crew=own.crew,
            held=own.held,
            remote=session.remote,
            record=functools.partial(session.record, node.number),
        )
        self._steps = steps.Steps(deps, request)

    async def stage(self) -> steps.Stage:
        """Follow the stage to its end."""
        stage, options = await self._begun()
        for instruction in (*self._triggers(), *self._node.stage.instructions):
            stage = await self._followed(stage, instruction, options)
        return stage

    async def _begun(self) -> tuple[steps.Stage, evaluate.Options]:
        request = self._session.request
        options = evaluate.Options(request.dockerfile.escape, dict(request.build_args), self._session.arguments)
        base = self._node.base
        if base.stage is not None:
            below = await self._session.end(base.stage)
            self._on_build = below.frame.configuration.on_build
            return dataclasses.replace(below, frame=evaluate.inherit(below.frame)), options
        title = self._node.base.image or stages.SCRATCH
        step = self._session.begin_step(f"[{self._prefix}1/{self._total}] FROM {title}")
        with self._reported(step, self._node.stage.origin):
            image = await self._image(base.image)
        step.ended(is_cached=True)
        own = image.base.document.get("config")
        layers = tuple(_layer_of_image(layer) for layer in image.layers)
        begun_with = configuration.of_document(own if isinstance(own, dict) else {})
        self._on_build = begun_with.on_build
        return steps.Stage(image.base, evaluate.begin(begun_with), layers), options

    async def _image(self, name: str) -> bases.Image:
        """Return what a name stands for. Raises ``errors.InvalidArgument``, and what a pull raises."""
        text = self._node.platform
        try:
            requested = platform.parse(text) if text else self._session.platform
        except ValueError as error:
            raise errors.InvalidArgument(str(error)) from error
        if not name:
            return bases.of_nothing(requested)
        own = self._session.request.contexts.get(name)
        if isinstance(own, builds.Context):
            raise errors.InvalidArgument(
                f"the context {name} is a directory, which no stage can begin with",
                hint=f"COPY --from={name}, or give it as an image: --build-context {name}=docker-image://REFERENCE",
            )
        return await self._session.base_image(own or name, requested)

    def _triggers(self) -> Sequence[instructions.Instruction]:
        """Return the instructions that the base has for who builds upon it, as they stand at FROM."""
        if not self._on_build:
            return ()
        parsed = parse.parse(("FROM scratch\n" + "\n".join(self._on_build)).encode("utf-8", "surrogateescape"))
        position = self._node.stage.origin.position
        if parsed.mistakes:
            raise builds.BuildFailed(position, f"an ONBUILD of {self._node.stage.base}: {parsed.mistakes[0].message}")
        (stage,) = parsed.dockerfile.stages
        self._total += sum(isinstance(instruction, _FILE_STEPS) for instruction in stage.instructions)
        return tuple(_moved(instruction, position) for instruction in stage.instructions)

    async def _followed(
        self, stage: steps.Stage, instruction: instructions.Instruction, options: evaluate.Options
    ) -> steps.Stage:
        try:
            frame, step = evaluate.follow(stage.frame, instruction, options)
        except Mistake as mistake:
            raise failed(mistake) from mistake
        step_layer: steps.StepLayer | None = None
        if isinstance(instruction, _FILE_STEPS):
            self._count += 1
        if step is not None:
            title = f"[{self._prefix}{self._count}/{self._total}] {_shown(instruction.origin.source)}"
            progress = self._session.begin_step(title)
            with self._reported(progress, instruction.origin):
                step_layer = await self._steps.layer(stage, step, progress.output)
            progress.ended(is_cached=step_layer.is_cached)
        entries = frame.history[len(stage.frame.history) :]
        moments = tuple(
            result.Moment(entry, step_layer.created if step_layer is not None and entry.has_layer else None)
            for entry in entries
        )
        layers = stage.layers if step_layer is None else (*stage.layers, step_layer)
        return steps.Stage(stage.base, frame, layers, (*stage.moments, *moments))

    @contextlib.contextmanager
    def _reported(self, step: sessions.ShownStep, origin: instructions.Origin) -> Iterator[None]:
        """Tell a step's failure, with its place in the Dockerfile."""
        try:
            yield
        except running.Failed as error:
            step.ended(error=str(error))
            message = f"{_shown(origin.source)} has ended with {error}"
            raise builds.BuildFailed(origin.position, message, output=step.last_lines) from error
        except errors.Failure as error:
            step.ended(error=error.message)
            if isinstance(error, errors.InvalidArgument) or error.reason is Reason.CONTENT_MISSING:
                refused = error.reason is Reason.BUILD_NOT_ADMITTED
                reason = error.reason if refused else Reason.BUILD_FAILED
                raise builds.BuildFailed(origin.position, error.message, error.hint, reason=reason) from error
            error.message = f"line {origin.position[0]}: {_shown(origin.source)}: {error.message}"
            raise
        except asyncio.CancelledError:
            step.ended(error="CANCELED")
            raise
        except BaseException as error:
            step.ended(error=str(error) or type(error).__name__)
            raise

    @contextlib.asynccontextmanager
    async def _tree(self, origin: str, bench: workbenches.Workbench) -> AsyncIterator[disk_trees.DiskTree]:
        """Open what ``--from`` names, or the context where it is empty."""
        own = self._session.request.contexts.get(origin)
        if not origin:
            yield self._session.context_tree()
        elif isinstance(own, builds.Context):
            yield self._session.context(own)
        else:
            async with self._root(origin, bench) as root:
                top = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                try:
                    yield disk_trees.DiskTree(self._session.shared.kernel, top)
                finally:
                    os.close(top)

    @contextlib.asynccontextmanager
    async def _root(self, origin: str, bench: workbenches.Workbench) -> AsyncIterator[pathlib.Path]:
        """Mount the root file system of a stage or an image to be read."""
        base = self._node.sources[origin]
        if base.stage is not None:
            ids: Sequence[str] = (await self._session.end(base.stage)).ids
        else:
            image = await self._image(base.image)
            ids = image_config.chain_ids(tuple(layer.diff_id for layer in image.layers))
        with self._session.own.workshop.reading(ids, bench.folder("tree")) as root:
            yield root

    @contextlib.asynccontextmanager
    async def _mounted(self, origin: str, bench: workbenches.Workbench) -> AsyncIterator[pathlib.Path]:
        """Make what a mount's ``from`` names readable: of a context a copy, without what is left out of it."""
        own = self._session.request.contexts.get(origin)
        if origin and not isinstance(own, builds.Context):
            async with self._root(origin, bench) as root:
                yield root
            return
        tree = self._session.context(own) if isinstance(own, builds.Context) else self._session.context_tree()
        folder = self._session.own.workshop.scratch() / "context"
        folder.mkdir(mode=0o755)
        entries = trees.below(tree, "", ignore.Ignore())
        await tasks.in_thread(lambda: writing.copy_tree(self._session.shared.kernel, tree, entries, folder))
        yield folder


def _layer_of_image(layer: spec.Layer) -> steps.StepLayer:
    """Return a layer of an image as a stage has it."""
    promised: asyncio.Future[spec.Layer] = asyncio.get_running_loop().create_future()
    promised.set_result(layer)
    return steps.StepLayer(layer.diff_id, promised, 0.0, is_cached=True)


def failed(mistake: Mistake) -> builds.BuildFailed:
    """Return a mistake as a build's failure."""
    return builds.BuildFailed(mistake.position, mistake.message, mistake.hint)


def _moved(instruction: instructions.Instruction, position: tuple[int, int]) -> instructions.Instruction:
    """Return an instruction of a base image as one that stands at FROM."""
    origin = dataclasses.replace(instruction.origin, position=position, last=position[0])
    return dataclasses.replace(instruction, origin=origin)


def _shown(source: str) -> str:
    text = " ".join(source.split())
    return text if len(text) <= _TITLE else f"{text[:_TITLE]}…"
