"""A plan as people read it, in the form that Terraform has taught them; and as JSON for programs."""

from collections.abc import Collection, Iterable, Iterator
from typing import Any

from agent.kit import canonical, frozen
from agent.model.key import ObjectKey
from agent.plan import actions, plan
from agent.reasons import Reason


@frozen.value
class Line:
    """A line and its style: ``create``, ``change``, ``replace``, ``remove``, ``wait``, ``detail`` or ``summary``."""

    style: str
    text: str


_SIGNS = {"create": "+", "change": "~", "replace": "-/+", "remove": "-"}
_RETAINED = (
    "it is no longer declared, and its data is kept (deletionPolicy: Retain). To remove it, declare it again with"
    " deletionPolicy: Delete, apply that, and then take it out"
)
_VERBS = {"create": "is created", "change": "is changed", "replace": "is replaced", "remove": "is removed"}
_CONDITIONALS = {style: verb.replace("is", "would be") for style, verb in _VERBS.items()}


def lines(computed: plan.Plan, *, explain: bool = False) -> tuple[Line, ...]:
    """Say what a plan does to each object, and why; ``explain`` shows every step and what it waits for."""
    by_key = _by_key(computed.steps)
    output: list[Line] = []
    counts = dict.fromkeys(_SIGNS, 0)
    for key in sorted(by_key):
        style = _style(by_key[key])
        counts[style] += 1
        output.append(Line(style, f"{_SIGNS[style]:>3} {key} {_VERBS[style]}"))
        output += [Line("detail", f"      because {why}") for why in _causes(by_key[key])]
        if explain:
            output += [Line("detail", f"      {_step(step)}") for step in by_key[key]]
    output += [Line("wait", f"  ? {key} may have to change: {message}") for key, message in computed.uncompared]
    output += [Line("detail", f"  = {key} stays: {_RETAINED}") for key in computed.retained]
    withheld = _by_key(computed.withheld)
    for wait in computed.blocked:
        output.append(Line("wait", f"  … {wait.key} waits: {wait.message} ({wait.reason})"))
        output += [Line("detail", f"      {sentence}") for sentence in _withheld(withheld.get(wait.key, ()))]
    if output:
        output.append(Line("detail", ""))
    output.append(Line("summary", _summary(counts, computed)))
    return tuple(output)


def text(computed: plan.Plan, *, explain: bool = False) -> str:
    """Give the lines without styles."""
    return "\n".join(line.text for line in lines(computed, explain=explain))


def document(computed: plan.Plan) -> dict[str, Any]:
    """Give a plan as JSON has it; stable and documented in ``ops/docs/command-line.md``. No secret is in it."""
    withheld = _by_key(computed.withheld)
    return {
        "revision": computed.revision,
        "steps": [
            {
                "id": step.id,
                "action": type(step.action).__name__,
                "object": str(step.action.key),
                "reason": step.action.cause.reason.value,
                "message": step.action.cause.message,
                "fields": list(step.action.cause.fields),
                "after": list(step.after),
            }
            for step in computed.steps
        ],
        "blocked": [
            {
                "object": str(wait.key),
                "reason": wait.reason,
                "message": wait.message,
                "until": wait.until,
                "would": _would(withheld.get(wait.key, ())),
            }
            for wait in computed.blocked
        ],
        "buckets": {str(key): bucket.value for key, bucket in computed.buckets},
        "drift": {str(key): message for key, message in computed.drift},
        "wakeAt": canonical.plain(computed.wake_at),
        "retained": [str(key) for key in computed.retained],
        "uncompared": {str(key): message for key, message in computed.uncompared},
    }


def _by_key(steps: Iterable[plan.Step]) -> dict[ObjectKey, list[plan.Step]]:
    by_key: dict[ObjectKey, list[plan.Step]] = {}
    for step in steps:
        by_key.setdefault(step.action.key, []).append(step)
    return by_key


def _withheld(steps: Collection[plan.Step]) -> Iterator[str]:
    """Say what would be done to a suspended object, and why."""
    if steps:
        yield f"suspended: {_CONDITIONALS[_style(steps)]} ({'; '.join(_causes(steps))})"


def _would(steps: Collection[plan.Step]) -> dict[str, Any] | None:
    """Return what would be done to a suspended object as JSON has it; ``None`` where it would be nothing."""
    if not steps:
        return None
    causes = dict.fromkeys(step.action.cause for step in steps)
    return {
        "change": _style(steps),
        "causes": [
            {"reason": cause.reason.value, "message": cause.message, "fields": list(cause.fields)} for cause in causes
        ],
    }


def _style(steps: Iterable[plan.Step]) -> str:
    """Tell what several steps of one object come to."""
    kinds = [step.action for step in steps]
    creates = any(action.TRAITS.effect is actions.Effect.CREATE for action in kinds)
    removes = any(action.TRAITS.effect is actions.Effect.REMOVE for action in kinds)
    if creates and removes:
        return "replace"
    if removes:
        return "remove"
    mended = any(action.cause.reason is Reason.CHANGED or action.cause.fields for action in kinds)
    return "create" if creates and not mended else "change"


def _causes(steps: Iterable[plan.Step]) -> list[str]:
    return list(dict.fromkeys(_cause(step.action.cause) for step in steps))


def _cause(cause: actions.Cause) -> str:
    return f"{cause.reason.value}: {cause.message}"


def _step(step: plan.Step) -> str:
    after = f" after {', '.join(str(number) for number in step.after)}" if step.after else ""
    return f"{step.id}: {type(step.action).__name__}{after}"


def _summary(counts: dict[str, int], computed: plan.Plan) -> str:
    waiting = len(computed.blocked)
    waits = f"{waiting} {'waits' if waiting == 1 else 'wait'}" if waiting else ""
    if not any(counts.values()):
        compared = ", as far as it can be compared here" if computed.uncompared else ""
        return f"Nothing to change now{compared}: {waits}." if waits else f"Nothing to change{compared}."
    names = {"create": "to create", "change": "to change", "replace": "to replace", "remove": "to remove"}
    return f"Plan: {', '.join(f'{counts[style]} {name}' for style, name in names.items())}{waits and f', {waits}'}."
