"""The answer of ``/v1/apply`` as values and as JSON, and the way back. Pure."""

from agent.agent_api import past, status_json
from agent.converge import completion, once
from agent.kit import canonical, frozen
from agent.model import conditions
from agent.model.key import Kind, ObjectKey


@frozen.value
class Answer:
    """What has become of what the source declares, and what was done meanwhile."""

    converged: once.Converged
    events: tuple[past.Event, ...]
    """In the order of their ends."""
    applied_at: float | None = None
    """When all of the revision had been brought about, in seconds since the epoch; ``None``: not yet."""


def outcome(converged: once.Converged) -> past.Json:
    """Return the JSON of an outcome, as ``apply`` and ``delete --output json`` print it."""
    return {
        "outcome": converged.outcome.value,
        "revision": converged.revision,
        "timedOut": converged.timed_out,
        "nothingHere": converged.nothing_here,
        "unfinished": [
            {"object": str(unfinished.key), "reason": unfinished.reason, "message": unfinished.message}
            for unfinished in converged.unfinished
        ],
        "objects": [
            {
                "object": str(status.key),
                "detail": status.detail,
                "until": status.until,
                "conditions": canonical.plain(status.conditions),
            }
            for status in converged.statuses
        ],
    }


def document(answer: Answer) -> past.Json:
    """Return the JSON document."""
    return {
        "version": past.VERSION,
        **outcome(answer.converged),
        "declaresNothing": answer.converged.declares_nothing,
        "appliedAt": answer.applied_at,
        "events": past.events_document(answer.events)["events"],
    }


def restore(read: past.Json) -> Answer:
    """Return the answer of a document. Raises ``ValueError`` for one that is none."""
    try:
        converged = once.Converged(
            once.Outcome(read["outcome"]),
            read["revision"],
            tuple(
                conditions.ObjectStatus(
                    _key(item["object"]),
                    "",
                    status_json.restore_conditions(item["conditions"]),
                    item["detail"],
                    item["until"],
                )
                for item in read["objects"]
            ),
            tuple(
                completion.Unfinished(_key(item["object"]), item["reason"], item["message"])
                for item in read["unfinished"]
            ),
            read["timedOut"],
            read["declaresNothing"],
            read["nothingHere"],
        )
        return Answer(converged, past.restore_events(read), read.get("appliedAt"))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"no outcome: {type(error).__name__}: {error}") from error


def _key(text: str) -> ObjectKey:
    kind, _, name = text.partition("/")
    return ObjectKey(Kind(kind), name)
