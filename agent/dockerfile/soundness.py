"""Mistakes that show only where a Dockerfile is followed: without a build, and whatever its base images are."""

from collections.abc import Iterator

from agent.dockerfile import configuration, evaluate, instructions, parse, stages
from agent.dockerfile.checks import PLATFORM_ARGUMENTS
from agent.dockerfile.mistake import Mistake
from agent.kit import frozen


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
    arguments = _Anything()
    bases = [stages.Base(image="unknown")] * len(dockerfile.stages)
    try:
        arguments.update(stages.global_arguments(dockerfile, {}, dict.fromkeys(PLATFORM_ARGUMENTS, "x")))
        nodes = stages.graph(dockerfile, arguments).nodes
        bases = [node.base for node in nodes]
        yield from (node.mistake for node in nodes if node.mistake is not None)
    except Mistake as mistake:
        yield mistake
    ends: list[_End] = []
    for stage, base in zip(dockerfile.stages, bases, strict=True):
        if base.stage is None:
            is_complete, frame = base == stages.Base(), evaluate.begin(configuration.Configuration())
        else:
            is_complete, frame = ends[base.stage].is_complete, evaluate.inherit(ends[base.stage].frame)
        options = evaluate.Options(dockerfile.escape, {}, dict(arguments), is_base_complete=is_complete)
        for instruction in stage.instructions:
            try:
                frame, _ = evaluate.follow(frame, instruction, options)
            except Mistake as mistake:
                yield mistake
        ends.append(_End(frame, is_complete))


@frozen.value
class _End:
    """A stage's end, as far as it is known."""

    frame: evaluate.Frame
    is_complete: bool
    """Whether it begins with nothing, so that all that is set is known."""
