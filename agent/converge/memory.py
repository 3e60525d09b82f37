"""What the ledger learns from actions and passes. Pure: entry in, entry out."""

import dataclasses
from collections.abc import Iterable, Iterator

from agent.converge import wish as wishes
from agent.model import container, ledger, state
from agent.model.key import Kind, ObjectKey
from agent.plan import actions, plan


def before(entry: ledger.LedgerEntry, action: actions.Action) -> ledger.LedgerEntry:
    """Give the entry to keep before an action is performed.

    A stop that is half of a restart must be known as ours even if we die right after it.
    """
    match action:
        case actions.StopContainer(restart=ledger.RestartReason() as reason):
            return dataclasses.replace(entry, restarts=_counted(entry, reason), restarting=True)
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
    entries: Iterable[ledger.LedgerEntry], wish: wishes.Wish, observed: state.ObservedState, found: plan.Plan
) -> Iterator[ledger.LedgerEntry]:
    """Give an entry for each declared object that has been brought about: no steps, and nothing that it waits for."""
    known = {entry.key: entry for entry in entries}
    busy = {step.action.key for step in found.steps} | {blocked.key for blocked in found.blocked}
    running = {
        ObjectKey(Kind.CONTAINER, one.config.name)
        for one in observed.containers
        if one.state is container.ContainerState.RUNNING
    }
    digests = {one.reference: one.digests for one in observed.images}
    images = {ObjectKey(Kind.IMAGE, one.name): digests.get(one.reference, ()) for one in wish.desired.images}
    for key in wish.hashes.keys() - busy:
        entry = known.get(key) or ledger.LedgerEntry(key, "")
        yield dataclasses.replace(
            entry,
            applied_hash=wish.hashes[key],
            restarting=entry.restarting and key not in running,
            digests=images.get(key, ()),
        )


def gone(entries: Iterable[ledger.LedgerEntry], wish: wishes.Wish, found: plan.Plan) -> Iterator[ObjectKey]:
    """Give the objects within reach that are neither declared nor there any more: they are to be forgotten."""
    there = {key for key, _ in found.buckets}
    for entry in entries:
        if entry.key not in there and wish.covers(entry.key):
            yield entry.key


def _counted(entry: ledger.LedgerEntry, reason: ledger.RestartReason) -> tuple[ledger.RestartCount, ...]:
    counts = {one.reason: one.count for one in entry.restarts}
    counts[reason] = counts.get(reason, 0) + 1
    return tuple(sorted(ledger.RestartCount(name, count) for name, count in counts.items()))
