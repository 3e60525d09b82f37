"""From conditions and the ledger to the status of each object. Pure."""

import collections
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence

from agent.agent_api import status
from agent.kit import frozen
from agent.model import conditions, container, ledger, state, suspension
from agent.model.key import Kind, ObjectKey, ownership_of


@frozen.value
class ObjectFacts:
    """What is known beside the conditions of objects."""

    entry: Callable[[ObjectKey], ledger.LedgerEntry]
    """Returns an object's ledger entry."""
    suspensions: suspension.Suspensions
    desired: state.DesiredState
    observed: state.ObservedState | None
    """``None`` where nothing has been looked at."""


def objects(statuses: Sequence[conditions.ObjectStatus], facts: ObjectFacts) -> tuple[status.Object, ...]:
    """Return the status of each object."""
    suspended = facts.suspensions.moments(item.key for item in statuses)
    created = {} if facts.observed is None else dict(_created(facts.observed))
    containers = {} if facts.observed is None else _containers(statuses, facts.desired, facts.observed)
    return tuple(
        dataclasses.replace(
            _object(item, facts.entry(item.key), suspended.get(item.key)),
            created_at=created.get(item.key),
            container=containers.get(item.key),
        )
        for item in statuses
    )


def _created(observed: state.ObservedState) -> Iterator[tuple[ObjectKey, float]]:
    """Yield when each object was created of which the runtime says so."""
    created = [(item.labels, item.created_at) for item in _current(observed)]
    created += [(item.labels, item.created_at) for item in observed.volumes]
    for labels, moment in created:
        ownership = ownership_of(labels)
        if ownership is not None:
            yield ownership.key, moment


def _containers(
    statuses: Sequence[conditions.ObjectStatus], desired: state.DesiredState, observed: state.ObservedState
) -> Mapping[ObjectKey, status.ContainerStatus]:
    """Return what runs of each container that is declared or there."""
    configs = {state.key_of(config): config for config in desired.containers}
    declared = collections.Counter(key.object for key in configs)
    ready = collections.Counter(item.key.object for item in statuses if _is_ready(item))
    current = {
        ownership.key: item for item in _current(observed) if (ownership := ownership_of(item.labels)) is not None
    }
    answers: dict[ObjectKey, status.ContainerStatus] = {}
    for item in statuses:
        config, running = configs.get(item.key), current.get(item.key)
        shown = config if config is not None else None if running is None else running.config
        if item.key.kind is Kind.CONTAINER and shown is not None:
            answers[item.key] = status.ContainerStatus(
                shown.image,
                tuple(str(port) for port in shown.ports),
                () if running is None else running.addresses,
                ready[item.key.object],
                declared[item.key.object],
                item.key.ordinal,
            )
    return answers


def _current(observed: state.ObservedState) -> Iterator[container.ObservedContainer]:
    """Yield the containers that have their declared names: a replacement gets its name once it has taken over."""
    for item in observed.containers:
        ownership = ownership_of(item.labels)
        if ownership is not None and ownership.key.name == item.name:
            yield item


def _is_ready(item: conditions.ObjectStatus) -> bool:
    return any(
        condition.type is conditions.ConditionType.READY and condition.status is conditions.ConditionStatus.TRUE
        for condition in item.conditions
    )


def _object(item: conditions.ObjectStatus, entry: ledger.LedgerEntry, suspended_at: float | None) -> status.Object:
    return status.Object(
        item.key,
        item.conditions,
        item.detail,
        item.until,
        sum(restart.count for restart in entry.restarts),
        _image(entry) if item.key.kind is Kind.IMAGE else None,
        suspended_at,
    )


def _image(entry: ledger.LedgerEntry) -> status.ImageStatus:
    newest = entry.newest
    latest = (
        None
        if newest is None
        else status.LatestImageStatus(newest.reference, newest.digest, newest.checked_at, newest.problem)
    )
    return status.ImageStatus(entry.digests, latest)
