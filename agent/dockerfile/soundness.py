"""Mistakes that show only where a Dockerfile is followed: without a build, and whatever its base images are."""

from collections.abc import Iterator, Mapping

from agent.dockerfile import configuration, evaluate, instructions, parse, stages
from agent.dockerfile.checks import PLATFORM_ARGUMENTS
from agent.dockerfile.mistake import Mistake


class _Anything(dict[str, str]):
    """Values of variables; those that are not known are something."""

    def get(self, name: str, default: object = None) -> str:
        """Return a variable's value."""
        del default
        return super().get(name, "x")


def mistakes(parsed: parse.Parsed) -> tuple[Mistake, ...]:
    """Return the mistakes of a Dockerfile that can be parsed, the first of each stage's sources among them."""
    return tuple(sorted(_mistakes(parsed.dockerfile), key=lambda mistake: mistake.position))


def _mistakes(dockerfile: instructions.Dockerfile) -> Iterator[Mistake]:
    try:
        arguments = _Anything(stages.global_arguments(dockerfile, {}, dict.fromkeys(PLATFORM_ARGUMENTS, "x")))
        graph = stages.graph(dockerfile, arguments)
    except Mistake as mistake:
        yield mistake
        return
    frames: dict[int, tuple[evaluate.Frame, bool]] = {}
    for node in graph.nodes:
        if node.base.stage is None:
            frame, is_complete = evaluate.begin(configuration.Configuration()), node.base == stages.Base()
        else:
            below, is_complete = frames[node.base.stage]
            frame = evaluate.begin(below.configuration)
        for instruction in node.stage.instructions:
            try:
                frame, _ = evaluate.follow(frame, instruction, _options(dockerfile, arguments, is_complete=is_complete))
            except Mistake as mistake:
                yield mistake
        frames[node.number] = frame, is_complete


def _options(
    dockerfile: instructions.Dockerfile, arguments: Mapping[str, str], *, is_complete: bool
) -> evaluate.Options:
    return evaluate.Options(dockerfile.escape, {}, dict(arguments), is_base_complete=is_complete)
