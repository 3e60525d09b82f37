"""The answer of ``/v1/objects`` as values and as JSON, and the way back. Pure."""

from agent.agent_api import declared, names, past, status, status_json
from agent.kit import frozen

EVENTS = 10
"""Events at the end of a description."""


@frozen.value
class Description:
    """All that is known of one object."""

    item: status.Object
    declared: tuple[declared.Field, ...] | None
    """In short; ``None`` where it is not declared, or nobody knows what is."""
    digests: tuple[str, ...]
    """Of an image, or of the image that a container is made from; empty where they are not known."""
    events: tuple[past.Event, ...]
    """The last ones, in that order."""


@frozen.value
class Answer:
    """The objects that a name has; where it has none, objects with similar ones."""

    descriptions: tuple[Description, ...]
    nearest: tuple[str, ...] = ()

    def checked(self, name: str) -> tuple[Description, ...]:
        """Return the descriptions. Raises ``UnknownObject`` where there is none."""
        if not self.descriptions:
            raise names.unknown(name, self.nearest)
        return self.descriptions


def document(answer: Answer) -> past.Json:
    """Return the JSON document."""
    return {
        "version": past.VERSION,
        "objects": [_description(description) for description in answer.descriptions],
        "nearest": list(answer.nearest),
    }


def restore(read: past.Json) -> Answer:
    """Return the answer of a document. Raises ``ValueError`` for one that is none."""
    try:
        return Answer(tuple(_restored(item) for item in read["objects"]), tuple(read["nearest"]))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"no descriptions: {type(error).__name__}: {error}") from error


def _description(description: Description) -> past.Json:
    fields = description.declared
    return {
        **status_json.object_document(description.item),
        "declared": None if fields is None else {name: list(values) for name, values in fields},
        "digests": list(description.digests),
        "events": past.events_document(description.events)["events"],
    }


def _restored(read: past.Json) -> Description:
    fields = read["declared"]
    return Description(
        status_json.restore_object(read),
        None if fields is None else tuple((name, tuple(values)) for name, values in fields.items()),
        tuple(read["digests"]),
        past.restore_events(read),
    )
