"""The answer of ``/v1/restart`` as values and as JSON, and the way back; and what may be restarted. Pure."""

import enum
from collections.abc import Collection

from agent import errors
from agent.agent_api import names, past
from agent.kit import frozen
from agent.model import state, suspension
from agent.model.key import Kind, ObjectKey


class Result(enum.StrEnum):
    """How far a container's restart has got."""

    RESTARTED = "restarted"
    UNDER_WAY = "under way"
    """It goes on, and nobody waits for it any more."""
    WAITING = "waiting"
    """It was waiting for something until nobody waited for it any more: it was given up."""
    FAILED = "failed"


class CannotRestart(errors.TrimtabError):
    """An object that is not restarted, whoever asks for it."""


@frozen.value
class Restart:
    """What has become of one container's restart."""

    object: str
    """As ``Container/web``."""
    result: Result
    message: str
    """Why it is waiting or has failed; empty otherwise."""


Answer = tuple[Restart, ...]


def resolve(
    texts: tuple[str, ...], keys: Collection[ObjectKey], desired: state.DesiredState, suspended: suspension.Suspensions
) -> frozenset[ObjectKey]:
    """Return the containers that texts name. Raises ``names.UnknownObject`` and ``CannotRestart``."""
    declared = {state.key_of(config) for config in desired.containers}
    resolved: set[ObjectKey] = set()
    for text in texts:
        named = names.resolve([text], {*keys, *declared})
        containers = frozenset(key for key in named if key.kind is Kind.CONTAINER)
        if not containers:
            raise CannotRestart(f"{min(named)} cannot be restarted: it is no container")
        resolved |= containers
    for key in sorted(resolved):
        if key not in declared:
            raise CannotRestart(f"{key} is not restarted: it is no longer declared")
        if suspended.moments([key]):
            hint = f"trimtab resume {'--all' if suspended.source is not None else key}, and restart it then"
            raise CannotRestart(f"{key} is not restarted: it is suspended", hint=hint)
    return frozenset(resolved)


def is_done(answer: Answer) -> bool:
    """Return whether every container was restarted."""
    return all(item.result is Result.RESTARTED for item in answer)


def document(answer: Answer) -> past.Json:
    """Return the JSON document."""
    restarts = [{"object": item.object, "result": item.result.value, "message": item.message} for item in answer]
    return {"version": past.VERSION, "restarts": restarts}


def restore(read: past.Json) -> Answer:
    """Return the answer of a document. Raises ``ValueError`` for one that is none."""
    try:
        return tuple(Restart(item["object"], Result(item["result"]), item["message"]) for item in read["restarts"])
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"no restarts: {type(error).__name__}: {error}") from error
