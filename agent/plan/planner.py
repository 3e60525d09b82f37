"""The plan, from the two states and the policy. Pure and deterministic: equal inputs give an equal plan."""

import dataclasses

from agent.model import policy, state, suspension
from agent.plan import containers, draft, gates, match, plan, stores, usage
from agent.reasons import Reason


def compute_plan(desired: state.DesiredState, observed: state.ObservedState, rules: policy.PlanPolicy) -> plan.Plan:
    """Say what brings ``observed`` to ``desired``, why, what has to wait, and when to look again.

    The time is ``observed.observed_at``. Applied to its end and planned again, the plan is empty, but for what waits.
    What a container stays in that has to wait stays as well: the plan is made again with a hold on each of it.
    """
    world = match.World(desired, observed, rules)
    computed = _compute(world)
    while holds := usage.holds(world, computed.steps):
        held = dataclasses.replace(world.policy, holds=(*world.policy.holds, *holds))
        world = dataclasses.replace(world, policy=held)
        computed = _compute(world)
    return computed


def preview(desired: state.DesiredState, observed: state.ObservedState, rules: policy.PlanPolicy) -> plan.Plan:
    """Return a plan to be shown, with what it would do to objects that are suspended, were nothing suspended."""
    computed = compute_plan(desired, observed, rules)
    suspended = {blocked.key for blocked in computed.blocked if blocked.reason is Reason.SUSPENDED}
    if not suspended:
        return computed
    resumed = compute_plan(desired, dataclasses.replace(observed, suspensions=suspension.Suspensions()), rules)
    withheld = tuple(step for step in resumed.steps if step.action.key in suspended)
    return dataclasses.replace(computed, withheld=withheld)


def _compute(world: match.World) -> plan.Plan:
    sketch = draft.Draft()
    ground = stores.write(world, sketch)
    containers.Writer(world, sketch, ground, gates.Progress()).write()
    blocked = tuple(sketch.blocked[key] for key in sorted(sketch.blocked))
    times = [wait.until for wait in blocked if wait.until is not None and wait.until > world.now]
    return plan.Plan(
        revision=world.desired.revision,
        steps=sketch.steps(),
        blocked=blocked,
        buckets=tuple(sorted(sketch.buckets.items())),
        drift=tuple(sorted(sketch.drift.items())),
        wake_at=min(times, default=None),
        retained=tuple(sorted(sketch.retained)),
    )
