"""The text of a reconciliation."""

import dataclasses

import pytest

from agent.agent_api import reconciliation, status
from agent.cli import reconcile
from tests.unit.agent_api import test_reconciliation

BUSY, IDLE = test_reconciliation.BUSY, test_reconciliation.IDLE


@pytest.mark.parametrize(
    ("answer", "lines"),
    [
        (
            BUSY,
            [
                "the source was read: revision r2 stands",
                "Container/web: StartContainer (Exited: exited with 1)",
                "Container/api waits: db is not healthy (DependencyNotReady)",
                "1 action begun, 1 object being worked on",
            ],
        ),
        (IDLE, ["the source was read: revision r2 stands", "nothing to change"]),
        (
            dataclasses.replace(IDLE, look=status.LookResult.REJECTED, problems=("a.yaml:1:1: no",)),
            ["the manifests have problems: revision r2 stands", "problem a.yaml:1:1: no", "nothing to change"],
        ),
        (
            dataclasses.replace(test_reconciliation.UNREAD, error="it hangs"),
            ["the source cannot be read: nothing stands: gone", "the runtime cannot be looked at: it hangs"],
        ),
    ],
)
def test_lines__each_result__says_what_was_looked_at_and_what_is_done(
    answer: reconciliation.Reconciliation, lines: list[str]
) -> None:
    assert list(reconcile.lines(answer)) == lines
