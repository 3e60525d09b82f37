"""Converging once and coming back: for ``apply``, ``delete`` and ``run --once``."""

import asyncio
import contextlib
import dataclasses
import enum
from collections.abc import Awaitable, Callable

from agent import errors
from agent.converge import acceptance, completion, cycle, history, journal, reading, reconcile, restarts
from agent.converge import goal as goals
from agent.kit import frozen
from agent.model import conditions, state
from agent.model.key import ObjectKey
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


@frozen.value
class Converged:
    """What became of it."""

    outcome: Outcome
    revision: str
    statuses: tuple[conditions.ObjectStatus, ...]
    """Of every object within reach, sorted by key; empty where the runtime could not be observed."""
    unfinished: tuple[completion.Unfinished, ...]
    """Objects that are not as declared, sorted."""
    timed_out: bool
    declares_nothing: bool = False
    """The source is empty: what runs was left as it is."""
    nothing_here: bool = False
    """Nothing of what was to be removed was there."""


class RunsElsewhere(errors.TrimtabError):
    """What is to be removed was brought about over another runtime of the same root."""


class NotThere(errors.TrimtabError):
    """What is to be restarted is not there."""


async def apply(
    parts: reconcile.Parts,
    source: api.Source,
    deadline: float = DEADLINE,
    check: Callable[[state.DesiredState], Awaitable[None]] | None = None,
) -> Converged:
    """Bring about what a source declares now, and wait until all that it has started is up or is known not to be.

    ``check`` is shown what is declared before anything is changed, and may raise.

    Raises ``SourceUnavailable``, also where it does not come to rest, and ``reading.BadManifests`` for one with
    problems: then nothing is changed.
    """
    good = parts.book.good()
    declared = state.DesiredState("") if good is None else good.desired
    standing = acceptance.standing_of(declared, is_forgotten=parts.book.is_forgetful())
    desired = (await reading.read_certain(source, parts.parse_options, standing, parts.sink)).desired
    if check is not None:
        await check(desired)
    now = parts.time.now()
    empty = not any(True for _ in desired)
    if not empty:
        parts.book.accept(journal.Good(desired, source.name, now))
    if not _is_recorded(parts.book, good, desired, source.name):
        parts.book.history.record_revision(history.Revision(desired.revision, source.name, now, (), None))
    converged = await converge_once(parts, goals.Goal.everything(desired), deadline)
    if converged.outcome is Outcome.APPLIED:
        reconcile.note_applied(parts, desired.revision, now)
    return dataclasses.replace(converged, declares_nothing=empty)


def _is_recorded(book: journal.Journal, good: journal.Good | None, desired: state.DesiredState, source: str) -> bool:
    """Return whether a state is what stood before, and the last revision that was written down."""
    last = next(iter(book.history.revisions(1)), None)
    if last is None or last.problems or (last.revision, last.source) != (desired.revision, source):
        return False
    return not any(True for _ in desired) or (good is not None and good.desired == desired.without_secrets())


async def delete(parts: reconcile.Parts, declared: state.DesiredState, deadline: float = DEADLINE) -> Converged:
    """Remove what is declared, and nothing else; what others stand on stays, and so does data that is to be kept."""
    observed = await reconcile.look(parts)
    keys = goals.removable(declared, observed, parts.owner)
    good = parts.book.good()
    nothing_here = keys.isdisjoint(goals.owned(observed, parts.owner))
    if nothing_here and good is not None:
        _check_runtime(parts, keys & {state.key_of(config) for config in good.desired})
    if good is not None:  # or the next agent with a bad source would bring it all back
        parts.book.accept(dataclasses.replace(good, desired=goals.without(good.desired, keys)))
    converged = await converge_once(parts, goals.Goal.removal(keys), deadline)
    kept = frozenset() if good is None else {image.reference for image in goals.without(good.desired, keys).images}
    for reference in {image.reference for image in declared.images} - kept:
        await parts.runtime.images.forget(reference)
    return dataclasses.replace(converged, nothing_here=nothing_here)


async def restart(parts: reconcile.Parts, keys: frozenset[ObjectKey], seconds: float) -> restarts.Request:
    """Restart containers as they are declared, touch nothing else, and return what has become of it.

    It ends at the end, or so many seconds later. Raises ``NotThere`` for one that is not there.
    """
    good = parts.book.good()
    desired = state.DesiredState("") if good is None else good.desired
    missing = sorted(keys - goals.owned(await reconcile.look(parts), parts.owner))
    if missing:
        raise NotThere(f"{missing[0]} is not there", hint="trimtab apply SOURCE brings about what is declared")
    goal = goals.Goal.everything(desired).focused(keys)
    began, result = asyncio.get_running_loop().time(), None
    async with cycle.Cycle(parts, lambda: goal) as going:
        with going.restarts.opened(keys) as request, contextlib.suppress(TimeoutError):
            while not request.is_over:
                # what has begun is brought to its end: what was stopped would stay so otherwise
                patience = DEADLINE if result is not None and result.busy & keys else seconds
                async with asyncio.timeout_at(began + patience):  # anew each time, as in ``converge_once``
                    result = await going.run_pass() or result
        return request


def _check_runtime(parts: reconcile.Parts, declared_here: frozenset[ObjectKey]) -> None:
    """Raise ``RunsElsewhere`` where objects are not here, and may be where another runtime was told to make them."""
    runtime = parts.runtime.features.name
    others = sorted(parts.book.runtimes() - {runtime})
    if declared_here and others:
        raise RunsElsewhere(
            f"nothing was removed: none of it is in the runtime {runtime}, and this root is used with"
            f" {' and '.join(others)} as well",
            hint=f"trimtab --runtime {others[0]} delete SOURCE",
        )


class Attempt:
    """What converging has come to so far, pass by pass."""

    def __init__(self) -> None:
        """Begin before the first pass."""
        self._progress: tuple[reconcile.PassResult, completion.Session] | None = None
        """The last pass, and what all of them have shown."""

    def take(self, result: reconcile.PassResult) -> None:
        """Take a pass in."""
        if self._progress is None:
            self._progress = result, completion.Session.begin(result)
        else:
            self._progress = result, self._progress[1].after(result)

    @property
    def is_settled(self) -> bool:
        """Return whether waiting longer would change nothing."""
        return self._progress is not None and completion.settled(*self._progress)

    @property
    def next_look_at(self) -> float | None:
        """Return when to look again even if nothing happens, by the monotonic clock."""
        return None if self._progress is None else completion.next_look_at(*self._progress)

    def converged(self, revision: str, *, timed_out: bool) -> Converged:
        """Return what has become of a revision."""
        if self._progress is None:
            return Converged(Outcome.FAILED, revision, (), (), timed_out)
        unfinished, (result, _) = completion.unfinished(*self._progress), self._progress
        return Converged(_outcome(result, unfinished), revision, result.statuses, unfinished, timed_out)


async def converge_once(parts: reconcile.Parts, goal: goals.Goal, deadline: float) -> Converged:
    """Make passes until nothing is left to do, or only what has failed, or so many seconds are over."""
    attempt, timed_out = Attempt(), False
    until = asyncio.get_running_loop().time() + deadline
    async with cycle.Cycle(parts, lambda: goal) as going:
        await going.ask_registries(PATIENCE)
        while not timed_out and not attempt.is_settled:
            result = None
            try:
                # Around each turn anew: a task group that fails inside leaves its task's count of cancellations raised
                # (Python 3.11), and a timeout that was entered before takes that for a cancellation from outside.
                async with asyncio.timeout_at(until):
                    result = await going.run_pass()
            except TimeoutError:
                timed_out = True
            if result is not None:
                attempt.take(result)
                going.look_at(attempt.next_look_at)
    return attempt.converged(goal.desired.revision, timed_out=timed_out)


def _outcome(result: reconcile.PassResult, unfinished: tuple[completion.Unfinished, ...]) -> Outcome:
    if not unfinished:
        return Outcome.APPLIED
    objects = result.goal.hashes.keys() or result.goal.reach or ()
    return Outcome.PARTIAL if set(objects) - {item.key for item in unfinished} else Outcome.FAILED
