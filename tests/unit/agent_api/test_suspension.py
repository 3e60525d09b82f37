"""The JSON of what was suspended or resumed."""

import json

import pytest

from agent.agent_api import suspension
from agent.model import suspension as suspensions
from agent.model.key import Kind, ObjectKey

WEB = ObjectKey(Kind.CONTAINER, "web")
SUSPENDED = suspensions.Suspensions(None, (suspensions.Suspension(WEB, 5.0),))
OBJECT = suspension.of(frozenset({WEB}), ("Container/web",), [WEB], SUSPENDED)
SOURCE = suspension.of(None, (), [], suspensions.Suspensions(4.0))


@pytest.mark.parametrize("answer", [OBJECT, SOURCE])
def test_document__read_back__is_the_same(answer: suspension.Answer) -> None:
    assert suspension.restore(json.loads(json.dumps(suspension.document(answer)))) == answer


def test_document__something_else__is_refused() -> None:
    with pytest.raises(ValueError, match="not what is suspended"):
        suspension.restore({"changed": []})


def test_of__no_object__is_the_source() -> None:
    assert SOURCE.requested == ("Source",)
