"""The answers of ``/v1/suspend`` and ``/v1/resume`` as values and as JSON, and the way back. Pure."""

from collections.abc import Iterable

from agent.agent_api import past
from agent.kit import frozen
from agent.model import suspension
from agent.model.key import Kind, ObjectKey


@frozen.value
class Answer:
    """What was suspended or resumed, and all that is suspended now."""

    requested: tuple[str, ...]
    """What was asked for: ``KIND/NAME``, or ``Source`` for all that it declares."""
    changed: tuple[str, ...]
    """Those of it that were not so before."""
    under_way: tuple[str, ...]
    """Objects that are being worked on: what has begun is brought to its end first."""
    suspensions: suspension.Suspensions


def of(
    requested: frozenset[ObjectKey] | None,
    changed: tuple[str, ...],
    under_way: Iterable[ObjectKey],
    suspensions: suspension.Suspensions,
) -> Answer:
    """Return the answer; ``requested`` is ``None`` for the source."""
    subjects = (suspension.SOURCE,) if requested is None else tuple(map(str, sorted(requested)))
    return Answer(subjects, changed, tuple(map(str, sorted(under_way))), suspensions)


def document(answer: Answer) -> past.Json:
    """Return the JSON document."""
    return {
        "version": past.VERSION,
        "requested": list(answer.requested),
        "changed": list(answer.changed),
        "underWay": list(answer.under_way),
        "source": answer.suspensions.source,
        "objects": [{"object": str(item.key), "since": item.since} for item in answer.suspensions.objects],
    }


def restore(read: past.Json) -> Answer:
    """Return the answer of a document. Raises ``ValueError`` for one that is none."""
    try:
        objects = tuple(suspension.Suspension(_key(item["object"]), item["since"]) for item in read["objects"])
        return Answer(
            tuple(read["requested"]),
            tuple(read["changed"]),
            tuple(read["underWay"]),
            suspension.Suspensions(read["source"], objects),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not what is suspended: {type(error).__name__}: {error}") from error


def _key(text: str) -> ObjectKey:
    kind, _, name = text.partition("/")
    return ObjectKey(Kind(kind), name)
