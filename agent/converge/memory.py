"""What the ledger learns from actions and passes. Pure: entry in, entry out."""

import dataclasses
from collections.abc import Iterable, Iterator

from agent.converge import goal as goals
from agent.model import container, ledger, state, suspension
from agent.model.key import Kind, ObjectKey
from agent.plan import actions, plan


def before(entry: ledger.LedgerEntry, action: actions.Action) -> ledger.LedgerEntry:
    """Give the entry to keep before an action is performed.

    A stop must be known as ours even if we die right after it: what was to follow, a start or a successor, may never.
    """
    match action:
        case actions.StopContainer():
            restarts = _counted(entry, action.restart) if action.restart else entry.restarts
            return dataclasses.replace(entry, restarts=restarts, restarting=True)
        case _:
            return entry


def after(entry: ledger.LedgerEntry, action: actions.Action) -> ledger.LedgerEntry:
    """Give the entry to keep once an action has succeeded."""
    match action:
        case actions.StartContainer():
            restarts = _counted(entry, action.restart) if action.restart else entry.restarts
            return dataclasses.replace(entry, streak=action.streak, restarts=restarts, restarting=False)
        case _:
            return entry


def applied(
    entries: Iterable[ledger.LedgerEntry], goal: goals.Goal, observed: state.ObservedState, computed: plan.Plan
) -> Iterator[ledger.LedgerEntry]:
    """Return the entries that change, of declared objects that have been brought about: no steps, no waiting."""
    remembered = {entry.key: entry for entry in entries}
    busy = {step.action.key for step in computed.steps} | {blocked.key for blocked in computed.blocked}
    running = {
        ObjectKey(Kind.CONTAINER, observed.config.name)
        for observed in observed.containers
        if observed.state is container.ContainerState.RUNNING
    }
    digests = {image.reference: image.digests for image in observed.images}
    images = {ObjectKey(Kind.IMAGE, image.name): digests.get(image.reference, ()) for image in goal.desired.images}
    for key in goal.hashes.keys() - busy:
        entry = remembered.get(key) or ledger.LedgerEntry(key, "")
        restarting, current = entry.restarting and key not in running, images.get(key, ())
        if (entry.applied_hash, entry.restarting, entry.digests) != (goal.hashes[key], restarting, current):
            yield dataclasses.replace(entry, applied_hash=goal.hashes[key], restarting=restarting, digests=current)


def forgettable(entries: Iterable[ledger.LedgerEntry], goal: goals.Goal, computed: plan.Plan) -> Iterator[ObjectKey]:
    """Give the objects within reach that are neither declared nor there any more: they are to be forgotten."""
    present = {key for key, _ in computed.buckets}
    for entry in entries:
        if entry.key not in present and goal.covers(entry.key):
            yield entry.key


def vanished(suspensions: suspension.Suspensions, goal: goals.Goal, computed: plan.Plan) -> Iterator[ObjectKey]:
    """Return suspended objects within reach that are neither declared nor there: nothing is left to suspend.

    None while it is not known what is declared.
    """
    present = {key for key, _ in computed.buckets}
    for item in suspensions.objects if goal.desired.is_known else ():
        if item.key not in present and goal.covers(item.key):
            yield item.key


def _counted(entry: ledger.LedgerEntry, reason: ledger.RestartReason) -> tuple[ledger.RestartCount, ...]:
    counts = {restart.reason: restart.count for restart in entry.restarts}
    counts[reason] = counts.get(reason, 0) + 1
    return tuple(sorted(ledger.RestartCount(name, count) for name, count in counts.items()))
