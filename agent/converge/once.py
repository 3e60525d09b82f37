"""Converging once and coming back: for ``apply``, ``delete`` and ``run --once``."""

import asyncio
import dataclasses
import enum
from collections.abc import Iterator

from agent.converge import cycle, history, intake, journal, reconcile
from agent.converge import wish as wishes
from agent.model import conditions, container, state
from agent.model.key import Kind, ObjectKey
from agent.sources import api

DEADLINE = 600.0
"""Seconds after which an apply comes back with what it has got."""
ATTEMPTS = 2
"""Failures in a row after which an object is given up: once more, since many a conflict is over a moment later."""

_GIVEN_UP = frozenset({"BackOff", "Stopped", "Foreign"})
"""Reasons for which nobody waits who wants to come back."""


class Outcome(enum.StrEnum):
    """How it ended; anything but ``applied`` is a failure."""

    APPLIED = "applied"
    PARTIAL = "partial"
    FAILED = "failed"


@dataclasses.dataclass(frozen=True, slots=True)
class Converged:
    """What became of it."""

    outcome: Outcome
    revision: str
    statuses: tuple[conditions.ObjectStatus, ...]
    """Of every object within reach, sorted by key; empty where the runtime could not be observed."""
    unfinished: tuple[ObjectKey, ...]
    """Objects that are not as wished, sorted."""
    timed_out: bool


async def apply(parts: reconcile.Parts, source: api.Source, deadline: float = DEADLINE) -> Converged:
    """Bring about what a source declares now.

    Raises ``SourceUnavailable``, and ``intake.BadManifests`` for one with problems: then nothing is changed.
    """
    reading = await asyncio.to_thread(intake.understand, await source.snapshot())
    desired = reading.checked()
    now = parts.time.now()
    if any(True for _ in desired):
        parts.book.accept(journal.Good(desired, source.name, now))
    parts.book.history.record_revision(history.Revision(desired.revision, source.name, now, (), None))
    converged = await converge_once(parts, wishes.Wish.everything(desired), deadline)
    if converged.outcome is Outcome.APPLIED:
        reconcile.note_applied(parts, desired.revision, now)
    return converged


async def delete(parts: reconcile.Parts, declared: state.DesiredState, deadline: float = DEADLINE) -> Converged:
    """Remove what is declared, and nothing else; what others stand on stays, and so does data that is to be kept."""
    observed = await reconcile.look(parts)
    keys = wishes.removable(declared, observed, parts.owner)
    good = parts.book.good()
    if good is not None:  # or the next agent with a bad source would bring it all back
        parts.book.accept(dataclasses.replace(good, desired=wishes.without(good.desired, keys)))
    return await converge_once(parts, wishes.Wish.removal(keys), deadline)


async def converge_once(parts: reconcile.Parts, wish: wishes.Wish, deadline: float) -> Converged:
    """Make passes until nothing is left to do, or only what has failed, or so many seconds are over."""
    made: reconcile.Pass | None = None
    timed_out = False
    until = asyncio.get_running_loop().time() + deadline
    async with cycle.Cycle(parts, lambda: wish) as going:
        while not timed_out and (made is None or not settled(made)):
            try:
                # Around each turn anew: a task group that fails inside leaves its task's count of cancellations raised
                # (Python 3.11), and a timeout that was entered before takes that for a cancellation from outside.
                async with asyncio.timeout_at(until):
                    made = await going.turn() or made
            except TimeoutError:
                timed_out = True
    if made is None:
        return Converged(Outcome.FAILED, wish.desired.revision, (), (), timed_out)
    unfinished = tuple(sorted(_unfinished(made)))
    return Converged(_outcome(made, unfinished), wish.desired.revision, made.statuses, unfinished, timed_out)


def settled(made: reconcile.Pass) -> bool:
    """Tell whether waiting longer would change nothing: no work left, and all that waits, waits in vain. Pure."""
    if made.busy or made.plan.steps:
        return False
    blocked = {one.key: one.reason for one in made.plan.blocked}
    hopeless = {key for key, reason in blocked.items() if reason in _GIVEN_UP}
    hopeless |= {key for key, one in made.failing.items() if one.stalled or one.attempts >= ATTEMPTS}
    hopeless |= set(_at_rest(made)) - blocked.keys()
    waiting = blocked.keys() - hopeless
    while lost := {key for key in waiting if hopeless & set(_needs(made.wish.desired, key))}:
        hopeless |= lost
        waiting -= lost
    return not waiting


def _at_rest(made: reconcile.Pass) -> Iterator[ObjectKey]:
    """Give declared containers that do not run and are not going to."""
    running = {one.config.name for one in made.observed.containers if one.state is container.ContainerState.RUNNING}
    for config in made.wish.desired.containers:
        if config.name not in running:
            yield state.key_of(config)


def _needs(desired: state.DesiredState, key: ObjectKey) -> Iterator[ObjectKey]:
    """Give what a container stands on or waits for."""
    for config in desired.containers:
        if key == state.key_of(config):
            yield from (state.key_of(one) for one in desired.images if one.reference == config.image)
            yield from (ObjectKey(Kind.NETWORK, one.network) for one in config.networks)
            yield from (ObjectKey(Kind.CONTAINER, one.container) for one in config.depends_on)
            yield from (ObjectKey(Kind.VOLUME, one.volume) for one in config.mounts if one.type == "volume")


def _unfinished(made: reconcile.Pass) -> Iterator[ObjectKey]:
    """Give what is under way, failing or waiting; not what people have stopped on purpose."""
    blocked = {one.key for one in made.plan.blocked}
    for status in made.statuses:
        answers = {one.type: one.status for one in status.conditions}
        moving = answers[conditions.ConditionType.RECONCILING] is conditions.ConditionStatus.TRUE
        stalled = answers[conditions.ConditionType.STALLED] is conditions.ConditionStatus.TRUE
        if status.key in made.busy or (status.key in blocked and (moving or stalled)):
            yield status.key


def _outcome(made: reconcile.Pass, unfinished: tuple[ObjectKey, ...]) -> Outcome:
    if not unfinished:
        return Outcome.APPLIED
    objects = made.wish.hashes.keys() or made.wish.reach or ()
    return Outcome.PARTIAL if set(objects) - set(unfinished) else Outcome.FAILED
