"""The JSON of a reconciliation."""

import dataclasses
import json

import pytest

from agent.agent_api import reconciliation, status

STEP = reconciliation.Step("Container/web", "StartContainer", "Exited", "exited with 1")
WAITING = reconciliation.Waiting("Container/api", "DependencyNotReady", "db is not healthy")
BUSY = reconciliation.Reconciliation("r2", status.LookResult.GOOD, "", (), "", (STEP,), ("Container/web",), (WAITING,))
IDLE = dataclasses.replace(BUSY, steps=(), under_way=(), waiting=())
UNREAD = dataclasses.replace(IDLE, revision="", look=status.LookResult.FAILED, message="gone")


@pytest.mark.parametrize("answer", [BUSY, IDLE, UNREAD])
def test_document__read_back__is_the_same(answer: reconciliation.Reconciliation) -> None:
    assert reconciliation.restore(json.loads(json.dumps(reconciliation.document(answer)))) == answer


def test_document__something_else__is_refused() -> None:
    with pytest.raises(ValueError, match="no reconciliation"):
        reconciliation.restore({"revision": "r1"})


def test_is_converged__only_where_nothing_is_left_to_do() -> None:
    assert (BUSY.is_well, BUSY.is_converged) == (True, False)
    assert (IDLE.is_well, IDLE.is_converged) == (True, True)
    assert (UNREAD.is_well, UNREAD.is_converged) == (False, False)
    assert not dataclasses.replace(IDLE, error="it hangs").is_well
