"""Converging once and coming back: for ``apply``, ``delete`` and ``run --once``."""

import asyncio
import dataclasses
import enum

from agent.converge import cycle, history, intake, journal, reconcile, settling, signals
from agent.converge import wish as wishes
from agent.model import conditions, state
from agent.sources import api

DEADLINE = 600.0
"""Seconds after which an apply comes back with what it has got."""
PATIENCE = 60.0
"""Seconds for the answers of registries on images that follow them; what has not come by then is gone without."""


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
    unfinished: tuple[settling.Unfinished, ...]
    """Objects that are not as wished, sorted."""
    timed_out: bool
    declares_nothing: bool = False
    """The source is empty: what runs was left as it is."""


async def apply(parts: reconcile.Parts, source: api.Source, deadline: float = DEADLINE) -> Converged:
    """Bring about what a source declares now, and wait until all that it has started is up or is known not to be.

    Raises ``SourceUnavailable``, and ``intake.BadManifests`` for one with problems: then nothing is changed.
    """
    reading = await asyncio.to_thread(intake.understand, await source.snapshot(), parts.terms)
    desired = reading.checked()
    now = parts.time.now()
    empty = not any(True for _ in desired)
    if not empty:
        parts.book.accept(journal.Good(desired, source.name, now))
    parts.book.history.record_revision(history.Revision(desired.revision, source.name, now, (), None))
    converged = await converge_once(parts, wishes.Wish.everything(desired), deadline)
    if converged.outcome is Outcome.APPLIED:
        reconcile.note_applied(parts, desired.revision, now)
    return dataclasses.replace(converged, declares_nothing=empty)


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
    course: settling.Course | None = None
    timed_out = False
    until = asyncio.get_running_loop().time() + deadline
    async with cycle.Cycle(parts, lambda: wish) as going:
        await going.ask_registries(PATIENCE)
        while not timed_out and (made is None or course is None or not settling.settled(made, course)):
            try:
                # Around each turn anew: a task group that fails inside leaves its task's count of cancellations raised
                # (Python 3.11), and a timeout that was entered before takes that for a cancellation from outside.
                async with asyncio.timeout_at(until):
                    made = await going.turn() or made
            except TimeoutError:
                timed_out = True
            if made is not None:
                course = settling.Course.begin(made) if course is None else course.after(made)
                moment = settling.look_again(made, course)
                if moment is not None:
                    going.triggers.pull(signals.Trigger.TIMER, within=max(0.0, moment - parts.time.now()))
    if made is None or course is None:
        return Converged(Outcome.FAILED, wish.desired.revision, (), (), timed_out)
    unfinished = settling.unfinished(made, course)
    return Converged(_outcome(made, unfinished), wish.desired.revision, made.statuses, unfinished, timed_out)


def _outcome(made: reconcile.Pass, unfinished: tuple[settling.Unfinished, ...]) -> Outcome:
    if not unfinished:
        return Outcome.APPLIED
    objects = made.wish.hashes.keys() or made.wish.reach or ()
    return Outcome.PARTIAL if set(objects) - {one.key for one in unfinished} else Outcome.FAILED
