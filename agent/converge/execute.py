"""Walks plans: performs each step once those before it have succeeded. Decides nothing.

Plans run beside each other in the background. An object belongs to one plan at a time (the loop sees to that by
holding it), so its actions never overlap. Calls that mostly wait, for a registry or for a container to end, have a
bound of their own: they must not take the places of those that work.
"""

import asyncio
import collections
from collections.abc import Awaitable, Callable, Iterable, Mapping

from agent.converge import signals
from agent.kit import clock, frozen, locks, tasks
from agent.model.key import ObjectKey
from agent.plan import actions, plan

_MOST_CUTS = 3
"""Builds of an object in a row that are cut short because its files have changed."""
_MOST_STOPS = 2000
"""Stops that may be under way: who waits for the end of a grace period holds no place of those who work, but each may
be a connection to an engine."""


class _Execution:
    """One plan under way. Knows its steps' order, and nothing of what they do."""

    def __init__(self, number: int, steps: tuple[plan.Step, ...]) -> None:
        self.number = number
        self.pending = {step.id: step for step in steps}
        self._waiting = {step.id: set(step.after) for step in steps}
        self.begun: set[ObjectKey] = set()
        """Objects to which something has been done: that is brought to its end."""
        self._behind: dict[int, list[int]] = {step.id: [] for step in steps}
        for step in steps:
            for id in step.after:
                self._behind[id].append(step.id)
        self._ready = [step.id for step in steps if not step.after]

    def take_ready(self) -> list[plan.Step]:
        """Give the steps whose turn has come; they are pending no longer."""
        ready, self._ready = self._ready, []
        return [self.pending.pop(id) for id in ready if id in self.pending]

    def succeeded(self, id: int) -> None:
        """Let the steps behind one go on."""
        for other in self._behind[id]:
            self._waiting[other].discard(id)
            if not self._waiting[other]:
                self._ready.append(other)

    def drop(self, ids: Iterable[int]) -> list[plan.Step]:
        """Give up steps that have not begun; whatever waits for them never will."""
        dropped = []
        stack = list(ids)
        while stack:
            step = self.pending.pop(stack.pop(), None)
            if step is not None:
                dropped.append(step)
                stack += self._behind[step.id]
        return dropped

    def drop_after(self, id: int) -> list[plan.Step]:
        """Give up the steps behind one."""
        return self.drop(self._behind[id])


@frozen.value
class Hooks:
    """Who does the work, and who is told."""

    perform: Callable[[actions.Action], Awaitable[None]]
    """Performs an action; raises where it fails."""
    started: Callable[[actions.Action], None]
    finished: Callable[[int, signals.ActionFinished], None]
    """Told the plan's number and how an action ended."""
    released: Callable[[frozenset[ObjectKey]], None]
    """Told when nothing is left to do for objects: they may be planned again."""


class Executor:
    """All plans under way."""

    def __init__(self, hooks: Hooks, crew: tasks.Crew, time: clock.Clock, parallel: int) -> None:
        """Take the crew that the work runs in, and how many actions may run at a time."""
        self._hooks = hooks
        self._crew = crew
        self._clock = time
        self._places = {
            actions.Lane.WORK: asyncio.Semaphore(parallel),
            actions.Lane.FETCH: asyncio.Semaphore(parallel),
            actions.Lane.STOP: asyncio.Semaphore(_MOST_STOPS),
        }
        self._objects = locks.KeyedLocks()
        self._executions: list[_Execution] = []
        self._steps_remaining: dict[ObjectKey, int] = {}
        self._current: dict[ObjectKey, actions.Action] = {}
        self._fetches: dict[ObjectKey, str] = {}
        self._cut_short: set[ObjectKey] = set()
        self._cuts: collections.Counter[ObjectKey] = collections.Counter()
        """How often in a row a build of an object was cut short."""
        self._withheld: frozenset[ObjectKey] = frozenset()

    @property
    def busy(self) -> frozenset[ObjectKey]:
        """Objects that have steps left."""
        return frozenset(self._steps_remaining)

    @property
    def current(self) -> Mapping[ObjectKey, actions.Action]:
        """What is being done to each busy object, or will be or was done to it as the nearest."""
        return self._current

    def dispatch(self, number: int, computed: plan.Plan) -> None:
        """Begin a plan. Its objects must not be busy."""
        execution = _Execution(number, computed.steps)
        self._executions.append(execution)
        for step in computed.steps:
            self._steps_remaining[step.action.key] = self._steps_remaining.get(step.action.key, 0) + 1
            self._current.setdefault(step.action.key, step.action)
        self._advance(execution)

    def supersede(self, keys: frozenset[ObjectKey]) -> None:
        """Give up steps of objects that have not begun, and all that waits for them; cut fetches short."""
        for execution in list(self._executions):
            dropped = [id for id, step in execution.pending.items() if step.action.key in keys]
            self._give_up(execution, execution.drop(dropped), signals.Result.SUPERSEDED)
        for key in keys & self._fetches.keys():
            if actions.is_build(self._current[key]):
                if self._cuts[key] >= _MOST_CUTS:  # files that never rest would keep it from ever being built
                    continue
                self._cuts[key] += 1
            self._cut_short.add(key)
            self._crew.cancel(self._fetches[key])

    def withhold(self, keys: frozenset[ObjectKey]) -> None:
        """Give up the steps of objects that nothing has been done to yet, and all that waits for them."""
        self._withheld = keys
        for execution in list(self._executions):
            dropped = [id for id, step in execution.pending.items() if self._is_withheld(execution, step)]
            self._give_up(execution, execution.drop(dropped), signals.Result.SUPERSEDED)

    def _is_withheld(self, execution: _Execution, step: plan.Step) -> bool:
        return step.action.key in self._withheld and step.action.key not in execution.begun

    def _advance(self, execution: _Execution) -> None:
        for step in execution.take_ready():
            action = step.action
            name = f"plan {execution.number} step {step.id}: {type(action).__name__} {action.key}"
            if action.TRAITS.lane is actions.Lane.FETCH:
                self._fetches[action.key] = name
            self._crew.start(self._run(execution, step), name=name)
        if not execution.pending and execution in self._executions:
            self._executions.remove(execution)

    async def _run(self, execution: _Execution, step: plan.Step) -> None:
        action = step.action
        began: float | None = None
        error: Exception | None = None
        result = signals.Result.SUCCEEDED
        try:
            async with self._objects.hold(action.key), self._places[action.TRAITS.lane]:
                if self._is_withheld(execution, step):
                    result = signals.Result.SUPERSEDED
                else:
                    execution.begun.add(action.key)
                    began = self._clock.monotonic()
                    await self._perform(action)
        except asyncio.CancelledError:
            if action.key not in self._cut_short:
                raise  # the agent is ending: nothing more is written down
            result = signals.Result.SUPERSEDED
        except Exception as failure:  # noqa: BLE001 - whatever it is, it is this object's failure alone
            result, error = signals.Result.FAILED, failure
        finally:
            self._fetches.pop(action.key, None)
            self._cut_short.discard(action.key)
        duration = 0.0 if began is None else self._clock.monotonic() - began
        self._finish(execution, step, signals.ActionFinished(action, result, duration, error, self._clock.now()))

    async def _perform(self, action: actions.Action) -> None:
        self._current[action.key] = action
        self._hooks.started(action)
        await self._hooks.perform(action)

    def _finish(self, execution: _Execution, step: plan.Step, finished: signals.ActionFinished) -> None:
        self._hooks.finished(execution.number, finished)
        if finished.result is not signals.Result.SUPERSEDED:
            self._cuts.pop(step.action.key, None)
        if finished.result is signals.Result.SUCCEEDED:
            execution.succeeded(step.id)
            self._advance(execution)
        else:
            self._give_up(execution, execution.drop_after(step.id), signals.Result.SKIPPED)
        self._count_down([step])

    def _give_up(self, execution: _Execution, dropped: list[plan.Step], result: signals.Result) -> None:
        for step in dropped:
            finished = signals.ActionFinished(step.action, result, 0.0, None, self._clock.now())
            self._hooks.finished(execution.number, finished)
        self._advance(execution)
        self._count_down(dropped)

    def _count_down(self, steps: list[plan.Step]) -> None:
        released = set()
        for key in (step.action.key for step in steps):
            self._steps_remaining[key] -= 1
            if not self._steps_remaining[key]:
                del self._steps_remaining[key], self._current[key]
                released.add(key)
        if released:
            self._hooks.released(frozenset(released))
