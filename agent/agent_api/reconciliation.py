"""The answer of ``/v1/reconcile`` as values and as JSON, and the way back. Pure."""

import dataclasses

from agent.agent_api import past, status
from agent.kit import frozen


@frozen.value
class Step:
    """An action that has begun, or that waits for its turn."""

    object: str
    action: str
    reason: str
    message: str


@frozen.value
class Waiting:
    """An object that nothing can be done for yet."""

    object: str
    reason: str
    message: str


@frozen.value
class Reconciliation:
    """What the look at the source and the passes after it have come to."""

    revision: str
    """The revision that stands; empty where none does."""
    look: status.LookResult
    """How the look at the source ended."""
    message: str
    """Why it failed."""
    problems: tuple[str, ...]
    error: str
    """Why the runtime could not be observed; empty where it was."""
    steps: tuple[Step, ...]
    under_way: tuple[str, ...]
    """Objects that are being worked on."""
    waiting: tuple[Waiting, ...]

    @property
    def is_well(self) -> bool:
        """Return whether the source was read, is good, and the runtime was observed."""
        return self.look is status.LookResult.GOOD and not self.error

    @property
    def is_converged(self) -> bool:
        """Return whether all is as it is declared."""
        return self.is_well and not (self.steps or self.under_way or self.waiting)


def document(answer: Reconciliation) -> past.Json:
    """Return the JSON document."""
    return {
        "version": past.VERSION,
        "revision": answer.revision or None,
        "converged": answer.is_converged,
        "look": {"result": answer.look.value, "message": answer.message},
        "problems": list(answer.problems),
        "error": answer.error,
        "steps": [dataclasses.asdict(step) for step in answer.steps],
        "underWay": list(answer.under_way),
        "waiting": [dataclasses.asdict(item) for item in answer.waiting],
    }


def restore(read: past.Json) -> Reconciliation:
    """Return the answer of a document. Raises ``ValueError`` for one that is none."""
    try:
        return Reconciliation(
            read["revision"] or "",
            status.LookResult(read["look"]["result"]),
            read["look"]["message"],
            tuple(read["problems"]),
            read["error"],
            tuple(Step(step["object"], step["action"], step["reason"], step["message"]) for step in read["steps"]),
            tuple(read["underWay"]),
            tuple(Waiting(item["object"], item["reason"], item["message"]) for item in read["waiting"]),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"no reconciliation: {type(error).__name__}: {error}") from error
