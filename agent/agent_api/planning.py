"""The answer of ``/v1/plan`` as values and as JSON, and the way back. Pure."""

import dataclasses

from agent.agent_api import past
from agent.kit import frozen


@frozen.value
class Line:
    """A line of the plan's text, and its style."""

    style: str
    text: str


@frozen.value
class Answer:
    """What the agent would do to bring about what its source declares now."""

    problems: tuple[str, ...]
    """Of the manifests, each with path, line and column; where there are any, there is no plan."""
    declares_nothing: bool
    has_objects: bool
    """Whether anything is declared, or there."""
    is_empty: bool
    """Nothing is to be done now."""
    lines: tuple[Line, ...]
    plan: past.Json
    """The document of ``plan --output json``."""


def document(answer: Answer) -> past.Json:
    """Return the JSON document."""
    return {
        "version": past.VERSION,
        "problems": list(answer.problems),
        "declaresNothing": answer.declares_nothing,
        "hasObjects": answer.has_objects,
        "empty": answer.is_empty,
        "lines": [dataclasses.asdict(line) for line in answer.lines],
        "plan": answer.plan,
    }


def restore(read: past.Json) -> Answer:
    """Return the answer of a document. Raises ``ValueError`` for one that is none."""
    try:
        return Answer(
            tuple(read["problems"]),
            read["declaresNothing"],
            read["hasObjects"],
            read["empty"],
            tuple(Line(line["style"], line["text"]) for line in read["lines"]),
            dict(read["plan"]),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"no plan: {type(error).__name__}: {error}") from error
