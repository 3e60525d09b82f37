"""The loop in words: what those who debug it are told, and that nobody's secret is among it."""

import asyncio
import dataclasses
from collections.abc import Coroutine, Generator

from agent import errors
from agent.converge import describe, failures, reconcile, signals
from agent.converge import goal as goals
from agent.model import policy, state
from agent.model.key import Kind, ObjectKey
from agent.plan import actions, planner
from agent.reasons import Reason
from tests import builders


def of_pass(observed: state.ObservedState, revision: str, **fields: object) -> reconcile.PassResult:
    """Return a pass over two containers."""
    desired = dataclasses.replace(builders.desired(builders.config("a"), builders.config("b")), revision=revision)
    goal = goals.Goal.everything(desired)
    computed = planner.compute_plan(goal.desired, observed, builders.rules(holds=fields.pop("holds", ())))
    base = reconcile.PassResult(goal, 0.0, observed, computed, (), frozenset(), {}, None)
    return dataclasses.replace(base, **fields)


def failing(key: ObjectKey, error: Exception) -> failures.Failure:
    """Return what is known of one that fails."""
    start = actions.StartContainer(key, actions.Cause(Reason.MISSING, "not there yet"), key.name, None, 0)
    return failures.Failures().add(error, signals.ActionFinished(start, signals.Result.FAILED, 0.1, error, 0.0), None)


async def test_describe__no_pass_yet__tells_the_tasks_alone() -> None:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(asyncio.sleep(60), name="a waiting one")
        await asyncio.sleep(0)
        lines = describe.describe(None).splitlines()
        task.cancel()
    assert lines[0] == "2 tasks:"
    (waiting,) = (line for line in lines if line.startswith("  a waiting one at "))
    assert "asyncio/tasks.py:" in waiting
    assert lines[-1] == "no pass has been made"


async def test_describe__after_a_pass__tells_what_is_done_and_what_waits() -> None:
    a, b = (ObjectKey(Kind.CONTAINER, name) for name in ("a", "b"))
    holds = (policy.Hold(b, Reason.UNAVAILABLE, "no answer"),)
    broken = {
        b: failing(b, errors.Unavailable("no answer")),
        a: failing(a, errors.InvalidArgument("no such program")),
    }
    result = of_pass(builders.world(), "r7", holds=holds, busy=frozenset({b, a}), failing=broken)
    assert describe.describe(result).splitlines()[2:] == [
        "revision r7, not converged",
        "2 objects under way: Container/a, Container/b",
        "last plan: 2 steps",
        "  0: CreateContainer Container/a (Missing)",
        "  1: StartContainer Container/a (Missing) after 0",
        "1 blocked",
        "  Container/b: Unavailable: no answer",
        "2 failing",
        "  Container/a: 1 time, stalled: no such program",
        "  Container/b: 1 time, to be retried: no answer",
    ]


async def test_describe__all_is_as_declared__says_so() -> None:
    observed = builders.world(*(builders.observed(builders.config(name)) for name in ("a", "b")))
    assert describe.describe(of_pass(observed, "")).splitlines()[2:] == [
        "revision none, converged",
        "0 objects under way: -",
        "last plan: 0 steps",
        "0 blocked",
        "0 failing",
    ]


class Opaque(Coroutine[None, None, None]):
    """What runs as a task and has no frames, as a compiled coroutine has none."""

    def send(self, _: None) -> None:
        """End at once."""
        raise StopIteration

    def throw(self, *error: BaseException) -> None:
        """End as told."""
        raise error[0]

    def close(self) -> None:
        """Have nothing to close."""

    def __await__(self) -> Generator[None, None, None]:
        """Wait for nothing."""
        yield from ()


async def test_describe__a_task_without_frames__is_nowhere() -> None:
    task = asyncio.get_running_loop().create_task(Opaque(), name="an opaque one")
    lines = describe.describe(None).splitlines()
    await task
    assert "  an opaque one at nowhere" in lines
