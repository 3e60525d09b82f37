"""A plan being written: steps with edges that may still be added, and who cannot be brought about yet."""

from collections.abc import Iterable

from agent.kit import graph
from agent.model.key import ObjectKey
from agent.plan import actions, plan


class Draft:
    """Collects steps. Not a value: it lives only while one plan is computed."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._actions: list[actions.Action] = []
        self._after: list[set[int]] = []
        self.blocked: dict[ObjectKey, plan.Blocked] = {}
        self.buckets: dict[ObjectKey, plan.Bucket] = {}
        self.drift: dict[ObjectKey, str] = {}
        self.retained: set[ObjectKey] = set()

    def add(self, action: actions.Action, after: Iterable[int | None] = ()) -> int:
        """Write a step down and give its number; ``None`` among ``after`` is nothing to wait for."""
        self._actions.append(action)
        self._after.append({step for step in after if step is not None})
        return len(self._actions) - 1

    def wait(self, step: int, after: Iterable[int]) -> None:
        """Let a step wait for more."""
        self._after[step].update(after)

    def block(self, blocked: plan.Blocked) -> None:
        """Say that an object cannot be brought about yet; the first reason counts."""
        self.blocked.setdefault(blocked.key, blocked)

    def steps(self) -> tuple[plan.Step, ...]:
        """Give the steps in an order that respects every edge, numbered anew; ties by object and age, so it is one."""
        order = graph.order(
            dict(enumerate(self._after)), key=lambda step: (self._actions[step].TRAITS.phase, self._named(step), step)
        )
        numbers = {old: new for new, old in enumerate(order)}
        return tuple(
            plan.Step(numbers[old], self._actions[old], tuple(sorted(numbers[step] for step in self._after[old])))
            for old in order
        )

    def _named(self, step: int) -> str:
        return self._actions[step].key.name
