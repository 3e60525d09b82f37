"""From a plan that is not carried out to the answer of ``/v1/plan``. Pure."""

import dataclasses

from agent.agent_api import planning
from agent.converge import reading
from agent.model import state
from agent.plan import actions, plan, render


def answer(desired: state.DesiredState, computed: plan.Plan, *, explain: bool) -> planning.Answer:
    """Return the answer of a plan for what is desired."""
    lines = render.lines(computed, explain=explain)
    return planning.Answer(
        problems=(),
        declares_nothing=not any(True for _ in desired),
        has_objects=bool(computed.buckets),
        is_empty=computed.empty,
        lines=tuple(planning.Line(line.style, line.text) for line in lines),
        plan=render.document(computed),
    )


def rejected(read: reading.Reading) -> planning.Answer:
    """Return the answer where the manifests have problems."""
    problems = tuple(str(problem) for problem in read.problems)
    return planning.Answer(problems, declares_nothing=False, has_objects=False, is_empty=False, lines=(), plan={})


def without_values(computed: plan.Plan) -> plan.Plan:
    """Return a plan that names the fields that differ, and not how: their values may be secrets."""
    return dataclasses.replace(
        computed,
        steps=_steps_without_values(computed.steps),
        drift=tuple((key, "changed") for key, _ in computed.drift),
        withheld=_steps_without_values(computed.withheld),
    )


def _steps_without_values(steps: tuple[plan.Step, ...]) -> tuple[plan.Step, ...]:
    return tuple(
        dataclasses.replace(step, action=dataclasses.replace(step.action, cause=_without_values(step.action.cause)))
        for step in steps
    )


def _without_values(cause: actions.Cause) -> actions.Cause:
    message = f"{', '.join(cause.fields)} changed" if cause.fields else cause.message
    return dataclasses.replace(cause, message=message)
