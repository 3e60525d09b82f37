"""What the journal records of the past, as the running agent answers it and as a command reads it by itself."""

from agent.agent_api import declared, descriptions, names, past, restart, status
from agent.converge import history
from agent.converge import restarts as requests
from agent.model import state

_ALL = 2**31 - 1


def revisions(recorded: history.History, limit: int) -> tuple[past.Revision, ...]:
    """Return the last revisions that were read, in the order of reading."""
    rows = (*reversed(recorded.revisions(limit + 1)),)
    return tuple(_revision(row, before) for before, row in zip((None, *rows), rows, strict=False))[-limit:]


def events(recorded: history.History, limit: int, name: str = "") -> tuple[past.Event, ...]:
    """Return the last actions that have ended, in that order; ``name``: those on objects that it names only."""
    return tuple(_event(action) for action in reversed(recorded.actions(limit, names.canonical(name))))


def events_after(recorded: history.History, number: int) -> tuple[past.Event, ...]:
    """Return the actions that have ended after the one of a number, in the order of their ends."""
    return tuple(_event(action) for action in reversed(recorded.actions(_ALL, after=number)))


def _revision(row: history.Revision, before: history.Revision | None) -> past.Revision:
    """Return a reading; ``before``: the one before it."""
    good = before is not None and not (row.problems or before.problems)
    same = before is not None and (row.revision, row.source) == (before.revision, before.source)
    return past.Revision(row.revision, row.source, row.read_at, row.applied_at, row.problems, good and same)


def describe(
    name: str, answer: status.Status, desired: state.DesiredState, recorded: history.History
) -> descriptions.Answer:
    """Return what is known of each object that a name has: now, as declared, and of the past."""
    items = {item.key: item for item in answer.objects}
    described = []
    for key, item in items.items():
        if names.is_named(key, name):
            made_from = items.get(declared.image_key(desired, key))
            digests = made_from.image.digests if made_from is not None and made_from.image is not None else ()
            last = events(recorded, descriptions.EVENTS, str(key))
            described.append(descriptions.Description(item, declared.summary(desired, key), digests, last))
    return descriptions.Answer(tuple(described), () if described else names.nearest(name, items))


def restarts(request: requests.Request) -> restart.Answer:
    """Return what has become of a request to restart containers."""
    progress = {key: request.progress(key) for key in sorted(request.keys)}
    return tuple(
        restart.Restart(str(key), restart.Result(result.value), message) for key, (result, message) in progress.items()
    )


def _event(action: history.PastAction) -> past.Event:
    outcome = action.outcome
    return past.Event(
        at=outcome.at,
        object=outcome.key,
        action=outcome.action,
        reason=outcome.reason,
        result=outcome.result.value,
        error=outcome.error,
        duration=outcome.duration,
        revision=action.revision,
    )
