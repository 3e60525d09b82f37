"""The JSON of what an agent has brought about."""

import json

import pytest

from agent.agent_api import application, past
from agent.converge import completion, once
from agent.model import conditions
from agent.model.key import Kind, ObjectKey
from agent.reasons import Reason

WEB = ObjectKey(Kind.CONTAINER, "web")
CONDITION = conditions.Condition(
    conditions.ConditionType.READY, conditions.ConditionStatus.FALSE, Reason.BACK_OFF, "exited with 1", 3.0
)
PARTIAL = application.Answer(
    once.Converged(
        once.Outcome.PARTIAL,
        "r1",
        (conditions.ObjectStatus(WEB, "", (CONDITION,), "exited (1)", 5.0),),
        (completion.Unfinished(WEB, Reason.BACK_OFF, "exited with 1"),),
        timed_out=True,
    ),
    (past.Event(1.0, "Container/web", "StartContainer", "Missing", "failed", "no", 0.5, "r1"),),
)
NOTHING = application.Answer(
    once.Converged(once.Outcome.APPLIED, "r2", (), (), timed_out=False, declares_nothing=True), ()
)


@pytest.mark.parametrize("answer", [PARTIAL, NOTHING])
def test_document__read_back__is_the_same(answer: application.Answer) -> None:
    assert application.restore(json.loads(json.dumps(application.document(answer)))) == answer


def test_document__something_else__is_refused() -> None:
    with pytest.raises(ValueError, match="no outcome"):
        application.restore({"outcome": "applied"})


def test_outcome__of_what_was_read_back__prints_as_before() -> None:
    restored = application.restore(json.loads(json.dumps(application.document(PARTIAL))))
    assert application.outcome(restored.converged) == application.outcome(PARTIAL.converged)
