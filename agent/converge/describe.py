"""The loop in words, for people who debug it."""

import asyncio
from collections.abc import Iterator

from agent.converge import reconcile
from agent.kit import counts
from agent.plan import plan


def describe(last: reconcile.PassResult | None) -> str:
    """Tell all tasks and where they are, and what the last pass found and planned."""
    return "\n".join([*_tasks(), *(["no pass has been made"] if last is None else _pass(last))])


def _tasks() -> Iterator[str]:
    tasks = sorted(asyncio.all_tasks(), key=lambda task: task.get_name())
    yield f"{counts.counted(len(tasks), 'task')}:"
    for task in tasks:
        stack = task.get_stack()
        position = f"{stack[-1].f_code.co_filename}:{stack[-1].f_lineno}" if stack else "nowhere"
        yield f"  {task.get_name()} at {position}"


def _pass(last: reconcile.PassResult) -> Iterator[str]:
    yield f"revision {last.goal.desired.revision or 'none'}, {'converged' if last.converged else 'not converged'}"
    yield f"{counts.counted(len(last.busy), 'object')} under way: {', '.join(map(str, sorted(last.busy))) or '-'}"
    yield f"last plan: {counts.counted(len(last.plan.steps), 'step')}"
    yield from (f"  {step_line(step)}" for step in last.plan.steps)
    yield f"{len(last.plan.blocked)} blocked"
    yield from (f"  {wait.key}: {wait.reason}: {wait.message}" for wait in last.plan.blocked)
    yield f"{len(last.failing)} failing"
    for key, failure in sorted(last.failing.items()):
        fate = "stalled" if failure.stalled else "to be retried"
        yield f"  {key}: {counts.counted(failure.attempts, 'time')}, {fate}: {failure.hold.message}"


def step_line(step: plan.Step) -> str:
    """Give a step in a line, without values: they may be secrets."""
    behind = f" after {', '.join(map(str, step.after))}" if step.after else ""
    return f"{step.id}: {type(step.action).__name__} {step.action.key} ({step.action.cause.reason.value}){behind}"
