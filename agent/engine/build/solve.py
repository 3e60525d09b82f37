"""One build from its Dockerfile to an image: the stages that its target needs, side by side where they can be."""

from agent import errors
from agent.distribution.content import documents
from agent.dockerfile import builds, outputs, stages
from agent.dockerfile import steps as build_steps
from agent.dockerfile.mistake import Mistake
from agent.engine.build import exporting, result, spec, stage_walk, steps, workbenches
from agent.engine.build import session as sessions
from agent.kit import tasks
from agent.oci import platform
from agent.reasons import Reason


async def solve(
    shared: sessions.Shared, own: sessions.Own, request: builds.Request, report: build_steps.Report
) -> spec.BuiltImage:
    """Build. Raises ``builds.BuildFailed``, and other failures of what a build uses."""
    target_platform = documents.of_platform(request.platform)
    arguments, graph = _stages(request, target_platform)
    target = _target(graph, request.target)
    nodes = graph.needed(target)
    for node in nodes:
        if node.mistake is not None:
            raise stage_walk.failed(node.mistake)
    session = sessions.Session(shared, own, request, report, target_platform, arguments)
    with session.expecting(node.number for node in nodes):
        await tasks.together("stage", *(_walked(session, node, has_others=len(graph.nodes) > 1) for node in nodes))
        last = await session.end(target.number)
    layers = tuple([await step_layer.layer for step_layer in last.layers])
    await session.export(target.number)
    if request.output is not None:
        await _write_files(session, last, request.output)
    diff_ids = [layer.diff_id for layer in layers]
    config = result.configuration(last.base, last.frame, last.moments, diff_ids, request.labels, request.epoch)
    return spec.BuiltImage(config, layers)


async def _walked(session: sessions.Session, node: stages.Node, *, has_others: bool) -> None:
    prefix = f"{node.stage.name or f'stage-{node.number}'} " if has_others else ""
    session.set_end(node.number, await stage_walk.StageWalk(session, node, prefix).stage())


async def _write_files(session: sessions.Session, last: steps.Stage, output: outputs.Output) -> None:
    """Write the files of the last stage to where they are wanted."""
    shown = session.begin_step(f"exporting to {output.path}")
    try:
        async with workbenches.opened(session.shared.where, session.shared.kernel) as bench:
            with session.own.workshop.reading(last.ids, bench.folder("tree")) as root:
                await tasks.in_thread(
                    lambda: exporting.write(session.shared.kernel, root, output, session.request.epoch)
                )
    except (errors.TrimtabError, OSError) as error:
        shown.ended(error=str(error))
        raise
    shown.ended()


def _stages(request: builds.Request, target: platform.Platform) -> tuple[dict[str, str], stages.Graph]:
    """Return what FROM knows, and the stages with what they need."""
    try:
        platforms = _platform_arguments(target)
        arguments = stages.global_arguments(request.dockerfile, dict(request.build_args), platforms)
        return arguments, stages.graph(request.dockerfile, arguments)
    except Mistake as mistake:
        raise stage_walk.failed(mistake) from mistake


def _target(graph: stages.Graph, name: str) -> stages.Node:
    try:
        return graph.target(name)
    except KeyError as error:
        message = f"there is no stage {name}"
        raise errors.InvalidArgument(message, hint=str(error.args[0]), reason=Reason.BUILD_FAILED) from error


def _platform_arguments(target: platform.Platform) -> dict[str, str]:
    """Return the ARGs that FROM knows without a declaration."""
    values: dict[str, str] = {}
    for side, own in (("BUILD", documents.of_platform("")), ("TARGET", target)):
        parts = {"PLATFORM": str(own), "OS": own.os, "ARCH": own.architecture, "VARIANT": own.variant}
        values |= {f"{side}{name}": value for name, value in parts.items()}
    return values
