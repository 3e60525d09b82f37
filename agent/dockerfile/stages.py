"""The stages of a Dockerfile: what each begins with, which others it needs, and which a target needs."""

from collections.abc import Iterator, Mapping, Sequence

from agent.dockerfile import expand, instructions, mounts
from agent.dockerfile.mistake import Mistake, suggestion
from agent.kit import frozen

SCRATCH = "scratch"


@frozen.value
class Base:
    """What a stage begins with, or takes files of."""

    stage: int | None = None
    """The number of an earlier stage; ``None``: an image, or nothing."""
    image: str = ""
    """A reference, or the name of a context; empty: nothing, or a stage."""


@frozen.value
class Node:
    """A stage with what it needs."""

    number: int
    stage: instructions.Stage
    base: Base
    platform: str
    """Expanded; empty: the target's."""
    sources: Mapping[str, Base]
    """What each ``--from``, and each ``from`` of a mount, is."""
    mistake: Mistake | None = None
    """What is wrong with those: nobody minds where the stage is not needed."""

    def needs(self) -> Iterator[int]:
        """Yield the numbers of the stages that it needs itself."""
        yield from (base.stage for base in (self.base, *self.sources.values()) if base.stage is not None)


@frozen.value
class Graph:
    """All stages, in the order of the file: each needs earlier ones only."""

    nodes: tuple[Node, ...]

    def target(self, name: str) -> Node:
        """Return the stage of a name or number; the last for an empty name. Raises ``KeyError`` with a hint."""
        if not name:
            return self.nodes[-1]
        for node in reversed(self.nodes):
            if node.stage.name == name.lower():
                return node
        if name.isdecimal() and int(name[:9]) < len(self.nodes):
            return self.nodes[int(name)]
        raise KeyError(suggestion(name.lower(), (node.stage.name or str(node.number) for node in self.nodes)))

    def needed(self, target: Node) -> tuple[Node, ...]:
        """Return the stages that a target needs, itself the last, in the order of the file."""
        numbers: set[int] = set()
        waiting = [target.number]
        while waiting:
            number = waiting.pop()
            if number not in numbers:
                numbers.add(number)
                waiting += self.nodes[number].needs()
        return tuple(node for node in self.nodes if node.number in numbers)


def global_arguments(
    dockerfile: instructions.Dockerfile, build_args: Mapping[str, str], platform_args: Mapping[str, str]
) -> dict[str, str]:
    """Return what FROM knows: arguments of the platforms, and those in front of the first stage. Raises ``Mistake``."""
    values = dict(platform_args)
    for arg in dockerfile.arguments:
        for name, default in arg.pairs:
            if name in build_args:
                values[name] = build_args[name]
            elif default is not None:
                values[name] = _expanded(default, values, dockerfile.escape, arg.origin)
    return values


def graph(dockerfile: instructions.Dockerfile, arguments: Mapping[str, str]) -> Graph:
    """Return the stages with what they need. ``arguments``: what FROM knows. Raises ``Mistake`` for a FROM."""
    nodes: list[Node] = []
    for stage in dockerfile.stages:
        text = _expanded(stage.base, arguments, dockerfile.escape, stage.origin)
        platform = _expanded(stage.platform, arguments, dockerfile.escape, stage.origin)
        if not text:
            hint = "give its ARG a default in front of the first FROM, or set it with --build-arg"
            raise Mistake(stage.origin.position, f"with the ARGs as they are, {stage.base} is empty", hint)
        if stage.platform and not platform:
            hint = "give its ARG a default, or set it with --build-arg"
            raise Mistake(stage.origin.position, f"with the ARGs as they are, {stage.platform} is empty", hint)
        wrong: Mistake | None = None
        try:
            sources = dict(_sources(stage, nodes, dockerfile.escape))
        except Mistake as mistake:
            sources, wrong = {}, mistake
        nodes.append(Node(len(nodes), stage, _base(text, nodes), platform, sources, wrong))
    return Graph(tuple(nodes))


def _base(text: str, nodes: Sequence[Node]) -> Base:
    for node in reversed(nodes):
        if node.stage.name and node.stage.name == text.lower():
            return Base(stage=node.number)
    return Base() if text == SCRATCH else Base(image=text)


def _sources(stage: instructions.Stage, nodes: Sequence[Node], escape: str) -> Iterator[tuple[str, Base]]:
    """Yield what a stage takes files of. Raises ``Mistake`` for what comes later, or is a variable."""
    for instruction in stage.instructions:
        for text in _origins(instruction):
            if _uses_variables(text, escape):
                hint = f"write FROM {text} AS NAME in front of the stage, and NAME here"
                raise Mistake(instruction.origin.position, f"{text} cannot have variables", hint)
            if text.isdecimal() and int(text[:9]) >= len(nodes):
                hint = "stages are counted from 0; name an earlier one"
                raise Mistake(instruction.origin.position, f"there is no earlier stage {text}", hint)
            yield text, Base(stage=int(text)) if text.isdecimal() else _base(text, nodes)


def _origins(instruction: instructions.Instruction) -> Iterator[str]:
    match instruction:
        case instructions.Copy(stage=stage) if stage:
            yield stage
        case instructions.Run(mounts=texts):
            for text in texts:
                origin = mounts.origin(text)
                if origin:
                    yield origin
        case _:
            return


def _uses_variables(text: str, escape: str) -> bool:
    try:
        result = expand.expand(text, {}, expand.Quoting(escape=escape))
    except expand.ExpansionError:
        return True
    return bool(result.missing)


def _expanded(text: str, variables: Mapping[str, str], escape: str, origin: instructions.Origin) -> str:
    try:
        return expand.expand(text, variables, expand.Quoting(escape=escape)).text
    except expand.ExpansionError as error:
        raise Mistake(origin.position, str(error), "see the reference of Dockerfiles on FROM and ARG") from None
