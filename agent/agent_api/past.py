"""The answers of ``/v1/history`` and ``/v1/events`` as values and as JSON, and the way back. Pure.

Fields are added, never renamed or removed: ``ops/docs/command-line.md`` documents them. Unknown ones are passed over.
"""

import dataclasses
from typing import Any

from agent.kit import frozen

Json = dict[str, Any]
VERSION = 1
DEFAULT_LIMIT = 20
"""Revisions, or events, that are returned where no number is asked for."""


@frozen.value
class Revision:
    """A revision of the source as it was read once. Times are seconds since the epoch."""

    revision: str
    source: str
    read_at: float
    applied_at: float | None
    """When all of it was applied; ``None``: not yet, or never."""
    problems: tuple[str, ...]
    """Of its manifests, each with path, line and column; empty for a good one."""
    inputs_changed: bool = False
    """The files are those of the revision before: what they refer to, or the settings, have changed what they mean."""

    @property
    def result(self) -> str:
        """Return what became of it: ``applied``, ``not applied`` or ``rejected``."""
        if self.problems:
            return "rejected"
        return "not applied" if self.applied_at is None else "applied"


@frozen.value
class Event:
    """An action that was taken on an object, and how it ended."""

    at: float
    """When it ended, in seconds since the epoch."""
    object: str
    """As ``Container/web``."""
    action: str
    """As ``StartContainer``."""
    reason: str
    """Why: as ``Missing``, ``Changed`` or ``Exited``."""
    result: str
    """``succeeded``, ``failed``, ``skipped`` or ``superseded``."""
    error: str
    duration: float
    """Seconds; 0 where it never began."""
    revision: str
    """The revision that was to be applied; empty where that is not recorded any more."""


def history_document(revisions: tuple[Revision, ...]) -> Json:
    """Return the JSON of revisions, the one that was read last at the end."""
    return {"version": VERSION, "revisions": [_revision(revision) for revision in revisions]}


def restore_history(document: Json) -> tuple[Revision, ...]:
    """Return the revisions of a document. Raises ``ValueError`` for one that is none."""
    try:
        return tuple(_restored_revision(read) for read in document["revisions"])
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a history: {type(error).__name__}: {error}") from error


def events_document(events: tuple[Event, ...]) -> Json:
    """Return the JSON of events, the last one at the end."""
    return {"version": VERSION, "events": [dataclasses.asdict(event) for event in events]}


def restore_events(document: Json) -> tuple[Event, ...]:
    """Return the events of a document. Raises ``ValueError`` for one that has none."""
    names = [field.name for field in dataclasses.fields(Event)]
    try:
        return tuple(Event(**{name: read[name] for name in names}) for read in document["events"])
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"no events: {type(error).__name__}: {error}") from error


def _revision(revision: Revision) -> Json:
    return {
        "revision": revision.revision,
        "source": revision.source,
        "readAt": revision.read_at,
        "appliedAt": revision.applied_at,
        "result": revision.result,
        "problems": list(revision.problems),
        "inputsChanged": revision.inputs_changed,
    }


def _restored_revision(read: Json) -> Revision:
    return Revision(
        read["revision"],
        read["source"],
        read["readAt"],
        read["appliedAt"],
        tuple(read["problems"]),
        read.get("inputsChanged", False),  # an agent of an earlier release does not say it
    )
